"""The arms of the contest of `benchmarks/quality.py`: a base for each set of pictures, and one change an arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sagan.data.config import DataConfig
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """A set of pictures that arms compete on."""

    preset: str
    """What every arm starts from."""
    file: str
    """Name of the file with the pictures."""
    half: int
    """Pictures in the half that samples are judged by, in the other half, and samples."""
    flip: bool
    balanced: bool
    other: str
    """Name of the file, beside it, with the pictures that arms of transfer learn from first."""
    stored: str | None = None
    """Weights of this repository, trained on them before the contest, that arms are to be better than."""


SETS = {
    "clothes": Pictures(
        preset="sagan-64-cpu",
        file="clothing-128.zip",
        half=1890,
        flip=True,
        balanced=True,
        other="cifar10-15k.zip",
        stored="results/clothing-64/generator.safetensors",
    ),
    "cifar": Pictures(
        preset="sagan-32-cpu",
        file="cifar10-15k.zip",
        half=5000,
        flip=True,
        balanced=False,
        other="clothing-128.zip",
        stored="results/cifar10-32/generator.safetensors",
    ),
    "digits": Pictures(preset="demo", file="digits", half=120, flip=False, balanced=False, other="pairs"),
    "digits-32": Pictures(preset="sagan-32-cpu", file="digits", half=120, flip=False, balanced=False, other="pairs"),
}
"""`digits` and `digits-32` are there to try the command: they need no file, and a budget of some seconds."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What an arm trains before its last stage, which is the whole network on the set's own pictures."""

    share: float
    """Part of the budget; the last stage has what is left."""
    size_px: int | None = None
    """Size of the inner part of the networks that is trained; None is the whole."""
    other: bool = False
    """On the other pictures of the set."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train."""

    why: str
    """What it tries, in a few words."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields that differ from the base, by their dotted names; `both.` means generator and discriminator."""
    decay_from: float | None = None
    """Share of the budget from which the learning rates fall to 0; None keeps them."""
    stages: tuple[Stage, ...] = ()
    """What is trained before; all of it counts as cost."""
    later: Mapping[str, Any] = field(default_factory=dict)
    """Fields that differ in the last stage alone."""
    only: tuple[str, ...] = ()
    """The sets that it makes sense on; none means all."""

    @property
    def plans(self) -> bool:
        """Whether what it does now depends on its whole budget, so that another budget is another run."""
        return self.decay_from is not None or bool(self.stages)


PROJECTED: dict[str, Any] = {
    "discriminator.features": "efficientnet-lite0",
    "discriminator.base_width": 16,
    "discriminator.attention": None,
    "train.lr_g": 1e-3,
    "train.lr_d": 1e-3,
    "train.beta2": 0.99,
}
ARMS = {
    "base": Arm(why="the preset as it is"),
    "batch-16": Arm(why="twice the steps, half the batch", changes={"train.batch_size": 16}),
    "batch-64": Arm(why="half the steps, twice the batch", changes={"train.batch_size": 64}),
    "narrow": Arm(
        why="narrower networks, more steps",
        changes={"generator.base_width": 6, "discriminator.base_width": 8},
    ),
    "wide-g": Arm(why="a wider generator", changes={"generator.base_width": 16}),
    "narrow-d": Arm(why="a narrower discriminator", changes={"discriminator.base_width": 8}),
    "wide-d": Arm(why="a wider discriminator", changes={"discriminator.base_width": 24}),
    "equal-width": Arm(why="both networks of width 12", changes={"both.base_width": 12}),
    "rates-half": Arm(why="half the learning rates", changes={"train.lr_g": 1.5e-4, "train.lr_d": 6e-4}),
    "rates-double": Arm(why="twice the learning rates", changes={"train.lr_g": 6e-4, "train.lr_d": 2.4e-3}),
    "rates-equal": Arm(why="equal learning rates, no TTUR", changes={"train.lr_g": 6e-4, "train.lr_d": 6e-4}),
    "beta2-0.99": Arm(why="Adam's second moment remembers longer", changes={"train.beta2": 0.99}),
    "beta1-0.5": Arm(why="Adam with momentum", changes={"train.beta1": 0.5}),
    "decay": Arm(why="learning rates fall to 0 over the second half", decay_from=0.5),
    "ema-0.99": Arm(why="a shorter moving average", changes={"train.ema_decay": 0.99, "train.ema_start": 50}),
    "ema-0.9995": Arm(why="a longer moving average", changes={"train.ema_decay": 0.9995}),
    "ema-ramp": Arm(why="a moving average that is short at first", changes={"train.ema_rampup": 0.05}),
    "d-steps-2": Arm(why="two updates of D for one of G", changes={"train.d_steps": 2}),
    "no-attention": Arm(why="no attention at all", changes={"both.attention": ()}),
    "attention-late": Arm(
        why="attention one size larger in G, none in D",
        changes={"generator.attention": (32,), "discriminator.attention": ()},
        only=("clothes",),
    ),
    "attention-early": Arm(why="attention one size smaller", changes={"both.attention": (8,)}),
    "attention-g": Arm(why="attention in G alone", changes={"discriminator.attention": ()}),
    "attention-pooled": Arm(
        why="attention over pooled keys, as in the authors' code", changes={"both.attention_form": "official"}
    ),
    "augment-none": Arm(why="no augmentation", changes={"train.augment": ()}, only=("clothes",)),
    "translation": Arm(why="translations", changes={"train.augment": ("translation",)}, only=("cifar",)),
    "augment-all": Arm(
        why="colour, translation, cutout", changes={"train.augment": ("color", "translation", "cutout")}
    ),
    "as-they-come": Arm(why="classes as often as they are", changes={"data.balanced": False}, only=("clothes",)),
    "balanced": Arm(why="all classes equally often", changes={"data.balanced": True}, only=("cifar",)),
    "thin-d": Arm(why="one wide convolution fewer in each block of D", changes={"discriminator.width": "thin"}),
    "bilinear": Arm(why="bilinear upsampling", changes={"generator.upsampling": "bilinear"}),
    "orthogonal": Arm(why="orthogonal start", changes={"both.init": "orthogonal"}),
    "noise-128": Arm(why="noise of 128 numbers", changes={"generator.z_dim": 128}, only=("clothes",)),
    "lecam-0.1": Arm(why="LeCam from step 500 on", changes={"train.lecam": 0.1, "train.lecam_start": 500}),
    "lecam-0.01": Arm(why="a little LeCam, from step 500 on", changes={"train.lecam": 0.01, "train.lecam_start": 500}),
    "consistency": Arm(
        why="D's logits stay when pictures are augmented",
        changes={"train.consistency": 10.0, "train.augment": ("translation",)},
    ),
    "adaptive": Arm(
        why="augmentation as strong as D needs it",
        changes={"train.adaptive_augment": 0.6, "train.augment": ("color", "translation", "cutout")},
    ),
    "cheap-blocks": Arm(
        why="half the channels and one convolution at the largest size",
        changes={"both.narrow_largest": 1, "both.single_largest": 1},
        only=("clothes",),
    ),
    "cheap-blocks-g": Arm(
        why="half the channels in G and one convolution in both at the largest size",
        changes={"generator.narrow_largest": 1, "both.single_largest": 1},
    ),
    "cheap-last": Arm(why="one convolution at the largest size", changes={"both.single_largest": 1}),
    "noise-chunks": Arm(
        why="noise in chunks of 20, one for each block",
        changes={"generator.noise_entry": "chunks", "generator.z_dim": 100},
    ),
    "noise-whole": Arm(why="the whole noise in each block, too", changes={"generator.noise_entry": "whole"}),
    "relativistic": Arm(why="the relativistic loss", changes={"train.loss": "relativistic"}),
    "r1": Arm(why="R1", changes={"train.r1": 10.0}),
    "r1-lazy": Arm(why="R1 every 8th step", changes={"train.r1": 10.0, "train.penalty_every": 8}),
    "r1-r2": Arm(why="R1 and R2", changes={"train.r1": 10.0, "train.r2": 10.0}),
    "r1-r2-lazy": Arm(
        why="R1 and R2 every 8th step", changes={"train.r1": 10.0, "train.r2": 10.0, "train.penalty_every": 8}
    ),
    "grow-32": Arm(
        why="half the budget at 32 px, then 64",
        stages=(Stage(share=0.5, size_px=32),),
        changes={"train.fade_steps": 200},
        only=("clothes",),
    ),
    "grow-16-32": Arm(
        why="0.3 of the budget at 16 px, 0.3 at 32, then 64",
        stages=(Stage(share=0.3, size_px=16), Stage(share=0.3, size_px=32)),
        changes={"train.fade_steps": 200},
        only=("clothes",),
    ),
    "grow-16-32-short": Arm(
        why="0.15 of the budget at 16 px, 0.25 at 32, then 64",
        stages=(Stage(share=0.15, size_px=16), Stage(share=0.25, size_px=32)),
        changes={"train.fade_steps": 200},
        only=("clothes",),
    ),
    "grow-16": Arm(
        why="half the budget at 16 px, then 32",
        stages=(Stage(share=0.5, size_px=16),),
        changes={"train.fade_steps": 200},
        only=("cifar",),
    ),
    "transfer": Arm(why="a third of the budget on the other set first", stages=(Stage(share=1 / 3, other=True),)),
    "transfer-freeze": Arm(
        why="a third of the budget on the other set first, then D's first two blocks stay",
        stages=(Stage(share=1 / 3, other=True),),
        later={"train.freeze_d": 2},
    ),
    "features": Arm(why="D judges what a frozen ImageNet network sees; both learning rates 0.001", changes=PROJECTED),
    "features-2x": Arm(
        why="D judges what a frozen ImageNet network sees of pictures enlarged twice, and attends to its map of 16 px; "
        "both learning rates 0.001",
        changes=PROJECTED | {"discriminator.features_enlarge": 2},
        only=("cifar",),
    ),
    "softplus": Arm(why="non-saturating loss", changes={"train.loss": "non-saturating"}),
}
"""One change at a time; what helps together is named by `--arms base+one+another`."""


def chosen(names: str) -> Arm:
    """Give an arm by its name, or several joined by ``+``: all their changes together, the later ones winning.

    Raises:
        ValueError: If one is unknown.
    """
    parts = names.split("+")
    for name in parts:
        if name not in ARMS:
            raise ValueError(f"there is no arm {name}; known are {', '.join(ARMS)}")
    arms = [ARMS[name] for name in parts]
    changes = {key: value for arm in arms for key, value in arm.changes.items()}
    decay = next((arm.decay_from for arm in reversed(arms) if arm.decay_from is not None), None)
    later = {key: value for arm in arms for key, value in arm.later.items()}
    stages = next((arm.stages for arm in reversed(arms) if arm.stages), ())
    why = "; ".join(arm.why for arm in arms)
    return Arm(why=why, changes=changes, decay_from=decay, stages=stages, later=later)


def configuration(name_of_set: str, arm: Arm, data: str, cache: str, seed: int) -> RunConfig:
    """Build what an arm trains; it measures and draws nothing while it trains, as that would cost."""
    pictures = SETS[name_of_set]
    config = PRESETS[pictures.preset]()
    quiet = {"sample_every": 0, "evaluate_every": 0, "save_every": 10**6, "log_every": 50, "total_steps": 10**6}
    config = replace(
        config,
        data=DataConfig(path=data, flip=pictures.flip, balanced=pictures.balanced, keep="memory", cache_dir=cache),
        train=replace(config.train, **quiet),
        seed=seed,
    )
    return with_fields(config, arm.changes)


def with_fields(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Change fields by their dotted names."""
    by_owner: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        part, key = name.split(".")
        for owner in ("generator", "discriminator") if part == "both" else (part,):
            by_owner.setdefault(owner, {})[key] = value
    owners = {owner: replace(getattr(config, owner), **fields) for owner, fields in by_owner.items()}
    return replace(config, **owners)
