"""At what size the experiments are run: the paper's, one that two processor cores can do, and one for tests."""

from dataclasses import dataclass, replace
from typing import Literal

from sagan.data import DataConfig
from sagan.evaluation.config import FeatureName
from sagan.metrics.config import MonitorConfig
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.config import RunConfig
from sagan.training.config import TrainConfig

ScaleName = Literal["paper", "small", "smoke"]
PAPER_LR_G, PAPER_LR_D = 1e-4, 4e-4


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How the weights of a row are measured in the end."""

    features: FeatureName
    """Feature network; only with `inception` is the distance called FID."""
    num: int
    """Samples for the distance and the score."""
    real: int | None
    """Real pictures that they are compared with, at most; None is all."""
    intra_num: int
    """Samples of each class for the distance within classes."""
    pairs_num: int
    """Samples that the decoder of `pairs` reads."""
    feature_weights: str | None = None
    """A local file of the feature network's weights."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A size of experiment."""

    name: ScaleName
    """What it is called."""
    base: RunConfig
    """SAGAN without attention, its budget and its two learning rates: the rows are made from it."""
    judging: Judging
    """How rows are measured."""
    seeds: int
    """Seeds of each row, unless it is said otherwise."""
    what: str
    """For people."""

    def __str__(self) -> str:
        train = self.base.train
        budget = f"{self.base.generator.size_px} px, {train.total_steps:,} steps of {train.batch_size}"
        return f"{self.name}: {budget}; {self.what}"


def paper() -> Scale:
    """Build the paper's own scale: ImageNet at 128 px, 1M steps of 256."""
    every = 10_000
    return Scale(
        name="paper",
        base=RunConfig(
            data=DataConfig(holdout_fraction=0.0),
            generator=GeneratorConfig(size_px=128, attention=()),
            discriminator=DiscriminatorConfig(size_px=128, attention=()),
            train=TrainConfig(sample_every=every, evaluate_every=every, save_every=5000),
            monitor=MonitorConfig(features="inception", metrics=("fd", "is"), num=10_000, real=10_000_000),
        ),
        judging=Judging(features="inception", num=50_000, real=None, intra_num=5_000, pairs_num=10_000),
        seeds=1,
        what="the paper's own, published widths: for GPUs",
    )


def small(size_px: int = 32) -> Scale:
    """Build the scale of small machines: narrow networks, half an hour a row on a core and minutes on a GPU.

    The moving average (half-life 346 steps) begins at step 200: at the last step nothing is left of the first ones.
    Rows are watched four times by 500 samples and judged by 2,000 in the end.

    Raises:
        ValueError: If there is no such size.
    """
    widths = {32: (6, 12), 64: (4, 8)}
    if size_px not in widths:
        raise ValueError(f"the scale `small` has 32 and 64 px, found {size_px}")
    width_g, width_d = widths[size_px]
    return Scale(
        name="small",
        base=RunConfig(
            data=DataConfig(holdout_fraction=0.0),
            generator=GeneratorConfig(size_px=size_px, z_dim=64, base_width=width_g, attention=()),
            discriminator=DiscriminatorConfig(size_px=size_px, base_width=width_d, attention=()),
            train=TrainConfig(
                total_steps=6000,
                batch_size=32,
                lr_g=3e-4,
                lr_d=1.2e-3,
                ema_decay=0.998,
                ema_start=200,
                log_every=300,
                sample_every=750,
                evaluate_every=1500,
                save_every=1500,
            ),
            monitor=MonitorConfig(features="efficientnet-lite0", metrics=("fd", "is"), num=500, real=5000),
        ),
        judging=Judging(features="efficientnet-lite0", num=2000, real=5000, intra_num=200, pairs_num=10_000),
        seeds=3,
        what="narrow networks: half an hour a row on one processor core at 32 px, minutes on a GPU",
    )


def smoke() -> Scale:
    """Build the scale of tests: everything runs and nothing is learnt."""
    base = small(32).base
    return Scale(
        name="smoke",
        base=replace(
            base,
            generator=replace(base.generator, z_dim=8, base_width=2),
            discriminator=replace(base.discriminator, base_width=4),
            train=replace(
                base.train,
                total_steps=4,
                batch_size=8,
                ema_decay=0.5,
                ema_start=0,
                log_every=2,
                sample_every=2,
                evaluate_every=2,
                save_every=4,
            ),
            monitor=MonitorConfig(features="pixels", num=16, real=64),
        ),
        judging=Judging(features="pixels", num=32, real=64, intra_num=6, pairs_num=200),
        seeds=1,
        what="everything runs, nothing is learnt",
    )


def scale_of(name: ScaleName, size_px: int | None = None) -> Scale:
    """Give a scale by its name.

    Raises:
        ValueError: If there is no such scale, or it has no such size.
    """
    if name == "small":
        return small(size_px or 32)
    scales = {"paper": paper, "smoke": smoke}
    if name not in scales:
        raise ValueError(f"the scales are paper, small and smoke, found {name!r}")
    scale = scales[name]()
    if size_px not in (None, scale.base.generator.size_px):
        raise ValueError(f"the scale `{name}` has {scale.base.generator.size_px} px, found --size {size_px}")
    return scale


def adapted(scale: Scale, recipe: RunConfig, *, keep_average: bool = False) -> RunConfig:
    """Bring a recipe, at the size of the scale already, to the budget of the scale.

    The recipe keeps its switches. Data, cadences and monitor are the scale's; below the paper's scale also
    widths, noise, steps and batch. There learning rates keep their ratio to the paper's (1e-4 and 4e-4), and the step
    from which they fall its share of all steps.

    Args:
        scale: The scale.
        recipe: What to bring there.
        keep_average: Leave out the moving average where the recipe has none, although the scale has one: for
            comparisons of recipes, not of models.
    """
    train, own, base = scale.base.train, recipe.train, scale.base
    recipe = replace(recipe, data=replace(base.data, flip=recipe.data.flip), monitor=base.monitor, engine=base.engine)
    cadences = {
        name: getattr(train, name)
        for name in ("log_every", "sample_every", "evaluate_every", "save_every", "keep_last")
    }
    if scale.name == "paper":
        return replace(recipe, train=replace(own, **cadences))
    ghost = own.ghost_size * train.batch_size // own.batch_size
    start = own.lr_decay_start
    averaged = own.ema_decay > 0.0 or not keep_average
    return replace(
        recipe,
        generator=replace(recipe.generator, z_dim=base.generator.z_dim, base_width=base.generator.base_width),
        discriminator=replace(recipe.discriminator, base_width=base.discriminator.base_width),
        train=replace(
            own,
            **cadences,
            total_steps=train.total_steps,
            batch_size=train.batch_size,
            g_batch_size=None if own.g_batch_size is None else own.g_batch_size * train.batch_size // own.batch_size,
            ghost_size=max(2, ghost) if own.batch_norm == "ghost" else own.ghost_size,
            lr_g=own.lr_g / PAPER_LR_G * train.lr_g,
            lr_d=own.lr_d / PAPER_LR_D * train.lr_d,
            lr_decay_start=None if start is None else round(start * train.total_steps / own.total_steps),
            ema_decay=train.ema_decay if averaged else 0.0,
            ema_start=train.ema_start if averaged else 0,
        ),
    )
