"""Everything that training changes, and so everything that a checkpoint holds."""

import copy
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Adam

from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.training.config import TrainConfig
from sagan.training.regularisers import Controls, new_controls

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
        self.step = int(state["step"])  # type: ignore[call-overload]
        self.rollbacks = int(state.get("rollbacks", 0))  # type: ignore[call-overload]

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
    if config.freeze_d >= len(D.blocks):
        raise ValueError(f"freeze_d must be below the {len(D.blocks)} blocks that D has, found {config.freeze_d}")
    for block in list(D.blocks)[: config.freeze_d]:
        block.requires_grad_(False)
    return TrainState(
        G=G.train(),
        D=D.train(),
        optimizer_g=Adam(G.parameters(), lr=config.lr_g, betas=betas, eps=config.adam_eps, fused=True),
        optimizer_d=Adam(D.parameters(), lr=config.lr_d, betas=betas, eps=config.adam_eps, fused=True),
        ema=ema,
        controls=new_controls(config, next(G.parameters()).device),
    )


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
