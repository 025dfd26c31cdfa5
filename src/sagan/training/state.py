"""Everything that training changes, and so everything that a checkpoint holds."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam

from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.training.config import TrainConfig
from sagan.training.contents import FINITE, not_finite
from sagan.training.regularisers import Controls, new_controls
from sagan.training.update import Refused

# More steps than any run has.
ROLLBACK_OFFSET = 2**32


@dataclass
class TrainState:
    """Both networks, both optimisers, the moving average and the step.

    There is no random state and no position in the data: noise, labels, augmentation and data order are functions of
    the seed and the step.
    """

    G: Generator
    D: Discriminator
    optimizer_g: Adam
    optimizer_d: Adam
    ema: Generator | None
    step: int = 0
    """Generator updates done."""
    rollbacks: int = 0
    """How often the run went back to an earlier checkpoint after a collapse."""
    controls: Controls = field(default_factory=dict)
    """What regularisers remember, where the recipe has such."""
    d_features: str | None = None
    """Frozen network that a discriminator looked through from which weights that the run started from had learnt."""
    refused: Refused = field(default_factory=Refused)
    """Updates that were left out; no part of a checkpoint, which is from before them."""

    @property
    def draw_step(self) -> int:
        """The step that noise, labels, augmentation and data order are drawn for.

        It is the step, moved by ``ROLLBACK_OFFSET`` for each time that the run went back: with the same draws the same
        collapse would follow.
        """
        return self.step + ROLLBACK_OFFSET * self.rollbacks

    def state_dict(self) -> dict[str, object]:
        """Give the whole state as plain containers of tensors and numbers."""
        return {
            "step": self.step,
            "rollbacks": self.rollbacks,
            "G": self.G.state_dict(),
            "D": self.D.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            **({"controls": dict(self.controls)} if self.controls else {}),
            **({"d_features": self.d_features} if self.d_features else {}),
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            RuntimeError: If a network has other parameters or shapes (PyTorch's message names them).
        """
        self.G.load_state_dict(state["G"])  # type: ignore[arg-type]
        self.D.load_state_dict(state["D"])  # type: ignore[arg-type]
        self.optimizer_g.load_state_dict(state["optimizer_g"])  # type: ignore[arg-type]
        self.optimizer_d.load_state_dict(state["optimizer_d"])  # type: ignore[arg-type]
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])  # type: ignore[arg-type]
        for name, value in self.controls.items():
            value.copy_(state["controls"][name])  # type: ignore[index]
        self.refused = Refused()
        self.d_features = state.get("d_features")  # type: ignore[assignment]
        self.step = int(state["step"])  # type: ignore[call-overload]
        self.rollbacks = int(state.get("rollbacks", 0))  # type: ignore[call-overload]

    def misfit(self, state: Mapping[str, Any]) -> str | None:
        """Say what of a checkpoint does not fit these networks and optimisers; None if all does. Nothing is changed."""
        kept = {"G": self.G, "D": self.D} | ({} if self.ema is None else {"ema": self.ema})
        for name, network in kept.items():
            if state[name] is None:
                return f"it has no {name}"
            why = _misfit_of_tensors(state[name], network.state_dict())
            if why is not None:
                return f"{name}/{why}"
        for name, optimizer in (("optimizer_g", self.optimizer_g), ("optimizer_d", self.optimizer_d)):
            why = _misfit(optimizer, state[name])
            if why is not None:
                return f"{name} {why}"
        controls = state.get("controls", {})
        missing = [name for name in self.controls if not isinstance(controls.get(name), Tensor)]
        if missing:
            return f"it has no {missing[0]}"
        return _misfit_of_tensors({name: controls[name] for name in self.controls}, self.controls)

    def not_finite(self) -> str | None:
        """Name the first tensor of the networks, their average and the optimisers that is not finite; None if none."""
        state = self.state_dict()
        return not_finite({name: state[name] for name in FINITE if name in state})

    def refused_by(self) -> str | None:
        """Name a parameter whose gradient kept an update from being done; None if all were done.

        This waits for the device.
        """
        return self.refused.first({"G": self.G, "D": self.D})

    @property
    def sampled(self) -> Generator:
        """The generator that samples come from: the moving average if there is one."""
        return self.G if self.ema is None else self.ema

    def num_bytes(self) -> int:
        """Size of a checkpoint in bytes: weights, two Adam moments a weight, the moving average (4 bytes each)."""
        count = 3 * _parameters(self.G) + 3 * _parameters(self.D)
        return 4 * (count + (0 if self.ema is None else _parameters(self.ema)))


def new_state(G: Generator, D: Discriminator, config: TrainConfig) -> TrainState:
    """Make the state of a run at step 0 from networks that lie on their device already."""
    betas = (float(config.beta1), float(config.beta2))
    ema = copy.deepcopy(G).requires_grad_(False) if config.ema_decay > 0.0 else None
    if config.freeze_d and config.freeze_d >= len(D.blocks):
        why = f"below the {len(D.blocks)} blocks that D has" if len(D.blocks) else "0: D has heads, and no blocks"
        raise ValueError(f"freeze_d must be {why}, found {config.freeze_d}")
    for block in list(D.blocks)[: config.freeze_d]:
        block.requires_grad_(False)
    for module in D.modules() if config.penalises else ():
        if isinstance(module, SelfAttention2d):
            module.implementation = "explicit"  # the only one that can be differentiated twice
    return TrainState(
        G=G.train(),
        D=D.train(),
        optimizer_g=Adam(G.parameters(), lr=config.lr_g, betas=betas, eps=config.adam_eps, fused=True),
        optimizer_d=Adam(D.parameters(), lr=config.lr_d, betas=betas, eps=config.adam_eps, fused=True),
        ema=ema,
        controls=new_controls(config, next(G.parameters()).device),
    )


def _misfit_of_tensors(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> str | None:
    """Say which tensor is not as ours of that name; None if all are."""
    for key in sorted(ours.keys() | theirs.keys()):
        shapes = [tuple(one[key].shape) if key in one else "none" for one in (theirs, ours)]
        if shapes[0] != shapes[1]:
            return f"{key} has the shape {shapes[0]}, expected {shapes[1]}"
        if theirs[key].dtype != ours[key].dtype:
            return f"{key} holds {theirs[key].dtype}, expected {ours[key].dtype}"
    return None


def _misfit(optimizer: Adam, state: Mapping[str, Any]) -> str | None:
    """Say what of an optimiser's state does not fit its parameters; None if all does."""
    parameters = optimizer.param_groups[0]["params"]
    groups, moments = state["param_groups"], state["state"]
    numbers = groups[0].get("params") if len(groups) == 1 and isinstance(groups[0], dict) else None
    if numbers != list(range(len(parameters))):
        return f"is not of {len(parameters)} parameters"
    why = _misfit_of_group(groups[0], optimizer.param_groups[0])
    if why is not None:
        return why
    for number, moment in moments.items():
        if number not in numbers or not isinstance(moment, dict):
            return f"has a parameter {number!r}"[:80]
        why = _misfit_of_moment(moment, parameters[number], f"at parameter {number}")
        if why is not None:
            return why
    return None


def _misfit_of_group(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """Say which choice of an optimiser is not as ours; rates are set anew, and versions of PyTorch may have fewer."""
    if not theirs.keys() >= {"lr", "betas", "eps"}:
        return "has no learning rate"
    if not isinstance(theirs["lr"], (int, float)):
        return f"has the learning rate {theirs['lr']!r}"[:80]
    for key in theirs.keys() - {"lr", "params"}:
        if not _is_same(theirs[key], ours.get(key)) and not (key not in ours and theirs[key] is False):
            return f"has {key} {theirs[key]!r}"[:80] + f", expected {ours.get(key)!r}"
    return None


def _is_same(theirs: object, ours: object) -> bool:
    if isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)):
        return len(theirs) == len(ours) and all(map(_is_same, theirs, ours))
    return isinstance(theirs, (bool, int, float, str, type(None))) and theirs == ours


def _misfit_of_moment(moment: Mapping[str, Any], parameter: Tensor, where: str) -> str | None:
    """Say what an optimiser cannot remember of a parameter; None if it can."""
    step = moment.get("step")
    if not isinstance(step, Tensor) or step.numel() != 1 or not step.is_floating_point() or step.item() < 0:
        return f"has a step {step!r}"[:80]
    for name in ("exp_avg", "exp_avg_sq"):
        found, expected = moment.get(name), parameter.shape
        if not isinstance(found, Tensor) or found.shape != expected:
            return f"has {name} of another shape {where}, expected {tuple(expected)}"
        if found.dtype != parameter.dtype:
            return f"has {name} of {found.dtype} {where}, expected {parameter.dtype}"
    if bool((moment["exp_avg_sq"] < 0).any()):
        return f"has an exp_avg_sq below 0 {where}"
    more = moment.keys() - {"step", "exp_avg", "exp_avg_sq"}
    return f"has a moment {min(map(repr, more))}"[:80] + f" {where}" if more else None


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
