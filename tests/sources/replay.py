"""Two updates of this project's own training from the numbers of a source's run, measured like those of the source."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from formula import classes, measured, numbers, pixels
from keys import Key, is_right, start_values
from torch import Tensor

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.training import step
from sagan.training.config import EngineConfig, TrainConfig
from sagan.training.engine import Engine, RealBatch
from sagan.training.state import TrainState, new_state

FOLDER = Path(__file__).parent
State = dict[str, Tensor]


class Recipe(NamedTuple):
    """The options that a run of a source has here, and the names of the source's tensors."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    train: TrainConfig
    keys: Callable[[GeneratorConfig, DiscriminatorConfig], Iterable[Key]]

    def with_options(self, options: dict[str, Any]) -> "Recipe":
        """Change options, named like `train.beta2`."""
        changed = self
        for path, value in options.items():
            part, _, name = path.partition(".")
            changed = changed._replace(**{part: replace(getattr(changed, part), **{name: value})})
        return changed


class Pictures(NamedTuple):
    images: Tensor
    labels: Tensor
    flip: Tensor


class Float64Engine(Engine):
    """An engine on the CPU that gives pictures in float64, rounded to float32 before like those of a training."""

    def __init__(self) -> None:
        super().__init__(EngineConfig(device="cpu", precision="fp32", channels_last=False))

    def images(self, batch: RealBatch) -> Tensor:
        return super().images(batch).double()


@dataclass
class Measured:
    """What was measured of a run, as the file of a source's run has it."""

    forward: dict[str, list[float]] = field(default_factory=dict)
    """Images and logits of each update's forwards, and its two losses."""
    evaluation: dict[str, list[float]] = field(default_factory=dict)
    """Images and logits in evaluation mode, after the updates."""
    tensors: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each tensor: `shape`; `rms_at_start`, the root mean square of a parameter as its network starts it; `eps`, the
    lower bound of norms in its spectral normalisation; then, for each update, `gradient` of a parameter, its `change`
    since the start and that of its moving `average`, or `value` of a vector or a running average."""


def of_source(run: str) -> tuple[Measured, float]:
    """Read what a source gave, and the level of the run's logits."""
    stored: dict[str, Any] = json.loads((FOLDER / f"{run}.json").read_text(encoding="utf-8"))
    measured = Measured(**{part: stored[part] for part in ("forward", "evaluation", "tensors")})
    return measured, stored["options"]["level"]


class Replay:
    """A run of a source from the same numbers, with this project's networks and its own step of training."""

    def __init__(self, run: str, recipe: Recipe) -> None:
        self.run, self.recipe = run, recipe
        self.measured = Measured()
        self.networks: dict[str, Any] = {
            "G": Generator(recipe.generator),
            "D": Discriminator(recipe.discriminator),
        }
        self.keys = list(recipe.keys(recipe.generator, recipe.discriminator))
        self._note_start()

    def __call__(self, level: float, monkeypatch: pytest.MonkeyPatch, updates: int = 2) -> Measured:
        """Do the updates, then look at both networks in evaluation mode."""
        for network in self.networks.values():
            network.double()
        self.states = {name: network.state_dict() for name, network in self.networks.items()}
        self._fill(level)
        state = new_state(self.networks["G"], self.networks["D"], self.recipe.train)
        ema = None if state.ema is None else state.ema.state_dict()
        monkeypatch.setattr(step, "training_draws", self._draws)
        images, logits = self._watch(state)
        for update in range(1, updates + 1):
            losses = step.train_step(state, self.recipe.train, self._batch, Float64Engine(), seed=0)
            self.measured.forward[f"losses {update}"] = [float(losses["loss_d"]), float(losses["loss_g"])]
            self._note_forwards(update, images, logits)
            self._note_tensors(ema)
        self._note_evaluation()
        return self.measured

    def _note_start(self) -> None:
        states = {name: network.state_dict() for name, network in self.networks.items()}
        for key in self.keys:
            tensor = as_theirs(key, states[key.network])
            row = self.measured.tensors[key.name] = {"shape": list(tensor.shape)}
            if key.kind not in ("vector", "mean", "variance"):
                start = tensor.double() - key.added
                row["rms_at_start"] = float(start.square().mean().sqrt())
            elif key.kind == "vector" and not is_right(key):
                norm = self.networks[key.network].get_submodule(key.ours[0].rpartition(".")[0])
                row["eps"] = norm.eps

    def _fill(self, level: float) -> None:
        shapes = {key.name: tuple(self._tensor(key).shape) for key in self.keys}
        values = start_values(self.run, self.keys, shapes, level)
        for key in self.keys:
            for name, value in zip(key.ours, key.taken(values[key.name]), strict=True):
                self.states[key.network][name].copy_(value)
        self.start = {key.name: self._tensor(key).clone() for key in self.keys}

    def _tensor(self, key: Key) -> Tensor:
        return as_theirs(key, self.states[key.network])

    def _draws(self, seed: int, player: str, step: int, *_: int) -> tuple[Tensor, Tensor]:
        return self._noise(f"{player} {step + 1}"), self._classes(f"{player} {step + 1}")

    def _noise(self, what: str) -> Tensor:
        return numbers(f"{self.run}/z {what}", (self.recipe.train.batch_size, self.recipe.generator.z_dim))

    def _classes(self, what: str) -> Tensor:
        return classes(f"{self.run}/y {what}", self.recipe.train.batch_size, self.recipe.generator.num_classes)

    def _batch(self, k: int) -> Pictures:
        return self._pictures(f"real {k + 1}")

    def _pictures(self, what: str) -> Pictures:
        count = self.recipe.train.batch_size
        images = pixels(f"{self.run}/x {what}", count, self.recipe.generator.size_px)
        return Pictures(images, self._classes(what), torch.zeros(count, dtype=torch.bool))

    def _watch(self, state: TrainState) -> tuple[list[Tensor], list[Tensor]]:
        """Keep what forwards give, and the gradients that optimisers see."""
        images: list[Tensor] = []
        logits: list[Tensor] = []
        state.G.register_forward_hook(lambda module, inputs, output: images.append(output.detach().clone()))
        state.D.register_forward_hook(lambda module, inputs, output: logits.append(output.detach().clone()))
        self.gradients: dict[str, State] = {}

        def keep(network: str) -> Callable[..., None]:
            def hook(*_: object) -> None:
                named = self.networks[network].named_parameters()
                self.gradients[network] = {name: parameter.grad.clone() for name, parameter in named}

            return hook

        state.optimizer_g.register_step_pre_hook(keep("G"))
        state.optimizer_d.register_step_pre_hook(keep("D"))
        return images, logits

    def _note_forwards(self, update: int, images: list[Tensor], logits: list[Tensor]) -> None:
        forward = self.measured.forward
        for player, made in zip("DG", images, strict=True):
            forward[f"images {player} {update}"] = measured(f"{self.run}/images {player} {update}", made)
        first = self.recipe.train.d_order == "generated_first"
        order = ("fake", "real", "G") if first else ("real", "fake", "G")
        for what, judged in zip(order, torch.cat(logits).chunk(3), strict=True):
            forward[f"logits {what} {update}"] = judged.tolist()
        images.clear()
        logits.clear()

    def _note_tensors(self, ema: State | None) -> None:
        for key in self.keys:
            row = self.measured.tensors[key.name]
            now, name = self._tensor(key), f"{self.run}/{key.name}"
            if key.kind in ("vector", "mean", "variance"):
                row.setdefault("value", []).append(measured(name, now))
            else:
                row.setdefault("gradient", []).append(measured(name, as_theirs(key, self.gradients[key.network])))
                row.setdefault("change", []).append(measured(name, now - self.start[key.name]))
            if ema is not None and key.network == "G" and key.kind != "vector":
                row.setdefault("average", []).append(measured(name, as_theirs(key, ema) - self.start[key.name]))

    @torch.no_grad()
    def _note_evaluation(self) -> None:
        G, D = self.networks["G"].eval(), self.networks["D"].eval()
        for key in self.keys:
            if key.in_evaluation:  # such a source iterates here once more
                norm = key.ours[0].removesuffix(".u")
                weight = self.networks[key.network].get_parameter(f"{norm.removesuffix('.0')}.original")
                self.networks[key.network].get_submodule(norm).iterate(weight)
        y = self._classes("evaluation")
        images = G(self._noise("evaluation"), y)
        self.measured.evaluation = {
            "images": measured(f"{self.run}/images evaluation", images),
            "pixels": images.flatten()[:: images.numel() // 7][:7].tolist(),
            "logits": D(Float64Engine().images(self._pictures("evaluation")), y).tolist(),
        }


def as_theirs(key: Key, ours: State) -> Tensor:
    """Give a tensor of the source, in its shape, from ours."""
    return key.joined(*(ours[name] for name in key.ours))
