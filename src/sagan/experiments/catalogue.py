"""The paper's tables and figures as lists of presets, and three experiments of our own."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from sagan.experiments import published
from sagan.experiments.published import Cells, Published
from sagan.experiments.scales import Scale, adapted
from sagan.models.config import default_attention
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import acgan, at_size, recipe_steps, sngan_projection
from sagan.words import did_you_mean

Measure = Literal["fd", "score", "intra", "pairs"]
LONGER = 4
"""How many times the steps of a scale below the paper's the long runs take."""


class SweepError(ValueError):
    """A sweep that cannot start as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model of an experiment."""

    name: str
    """What it is called in tables, e.g. ``attention feat32``."""
    config: RunConfig | None
    """What to train, without data and seed; None if this scale has no such model."""
    published: Cells = field(default_factory=dict)
    """The published numbers by measure."""
    curve: dict[int, Published] = field(default_factory=dict)
    """Published FID by step."""
    against: tuple[str, ...] = ()
    """The rows that it is compared with."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A table or figure: which models, what is measured of them, how it is shown."""

    name: str
    """What it is called on the command line."""
    title: str
    """What it is."""
    question: str
    """What it answers, in a sentence or two."""
    measures: tuple[Measure, ...]
    """What is measured of every row: ``fd`` Frechet distance, ``score`` Inception Score, ``intra`` Frechet distance
    within classes, ``pairs`` what the decoder of the set `pairs` finds."""
    rows: Callable[[Scale], tuple[Row, ...]]
    """Its models at a scale."""
    data: str | None = None
    """The data set, where the experiment is about one."""
    pictures: tuple[Literal["curves", "stages", "attention", "classes"], ...] = ("curves",)
    """What is drawn beside the table: curves over the steps, samples at several steps, attention maps, samples by
    class."""


def table1_rows(scale: Scale) -> tuple[Row, ...]:
    """List the models of table 1: no attention, attention, and the residual block in its place."""
    positions = published.ATTENTION if scale.base.generator.size_px >= 128 else (8, 16, 32)
    bare = "no attention"
    return (
        Row(name=bare, config=scale.base, published=published.NO_ATTENTION),
        *(
            Row(
                name=f"attention feat{k}",
                config=with_attention(scale.base, k),
                published=published.ATTENTION[k],
                against=(bare, f"residual feat{k}"),
            )
            for k in positions
        ),
        *(
            Row(
                name=f"residual feat{k}",
                config=with_residual(scale.base, k),
                published=published.RESIDUAL[k],
                against=(bare,),
            )
            for k in positions
        ),
    )


def stage_rows(scale: Scale) -> tuple[Row, ...]:
    """List the stages of figures 3 and 4; all update G and D once a step and have no attention."""
    base = scale.base
    equal = replace(base, train=replace(base.train, lr_g=base.train.lr_d))
    before = {"SN on G/D": ("SN on D",), "SN on G/D + TTUR": ("SN on G/D",)}
    stages = {
        "SN on D": (replace(equal, generator=replace(base.generator, spectral_norm=False)), published.SN_ON_D),
        "SN on G/D": (equal, published.SN_ON_BOTH),
        "SN on G/D + TTUR": (base, published.SN_AND_TTUR),
    }
    return tuple(
        Row(
            name=name,
            config=config,
            published=published.NO_ATTENTION if config == base else {},
            curve={
                1000 * thousands: Published(value=value, source=published.FIGURE4_SOURCE)
                for thousands, value in fids.items()
            },
            against=before.get(name, ()),
        )
        for name, (config, fids) in stages.items()
    )


def ttur_rows(scale: Scale) -> tuple[Row, ...]:
    """List two learning rates and equal ones, at D's of the two and at G's, in a run four times as long.

    Each step is one update of G and of D, whatever the rates: equal steps are equal cost. The paper's equal rates are
    D's; its case for two rates is that equal ones get worse again late in a run, the `paper` scale's million steps.
    """
    base = scale.base if scale.name == "paper" else _longer(scale.base)
    train = base.train
    equal = ("equal rates, high", "equal rates, low")
    return (
        Row(name=equal[0], config=replace(base, train=replace(train, lr_g=train.lr_d))),
        Row(name=equal[1], config=replace(base, train=replace(train, lr_d=train.lr_g)), against=equal[:1]),
        Row(name="TTUR", config=base, against=equal),
    )


def _longer(config: RunConfig) -> RunConfig:
    """Give a run four times the steps, as many lines of the log and sheets, and sixteen measurements."""
    train = config.train
    total, log, sample = (LONGER * n for n in (train.total_steps, train.log_every, train.sample_every))
    often = max(1, total // 16)
    train = replace(train, total_steps=total, log_every=log, sample_every=sample, evaluate_every=often)
    return replace(config, train=train)


def structure_rows(scale: Scale) -> tuple[Row, ...]:
    """List what is compared on `pairs`: no attention, and both blocks at every position; nothing else is monitored.

    Drawn pictures bear, and in few steps need, larger learning rates than photos, at which D gives up on CIFAR-10.
    """
    train = replace(scale.base.train, evaluate_every=0)
    if scale.name != "paper":
        train = replace(train, lr_g=8e-4, lr_d=3.2e-3)
    rows = table1_rows(replace(scale, base=replace(scale.base, train=train)))
    return tuple(replace(row, published={}) for row in rows if row.config is not None)


def table2_rows(scale: Scale) -> tuple[Row, ...]:
    """List the models of table 2: AC-GAN, SNGAN-projection with its own discriminator and updates, SAGAN at feat64.

    The published numbers of SNGAN-projection are those of its longer training: 850,000 steps, the last 50,000 of them
    with falling learning rates (README of its code).
    """
    sngan = sngan_projection()
    sngan = replace(sngan, train=replace(sngan.train, total_steps=850_000, lr_decay_start=800_000))
    return (
        Row(name="AC-GAN", config=_recipe(scale, acgan()), published=published.ACGAN),
        Row(name="SNGAN-projection", config=_recipe(scale, sngan), published=published.SNGAN, against=("AC-GAN",)),
        Row(
            name="SAGAN",
            config=_sagan(scale, 64),
            published=published.SAGAN,
            against=("AC-GAN", "SNGAN-projection"),
        ),
    )


def figure5_rows(scale: Scale) -> tuple[Row, ...]:
    """List the model of figures 1 and 5: SAGAN with attention at feat32, or nearer to its size's default."""
    return (Row(name="SAGAN", config=_sagan(scale, 32)),)


def figure6_rows(scale: Scale) -> tuple[Row, ...]:
    """List the models of figure 6, as in table 2."""
    rows = [row for row in reversed(table2_rows(scale)) if row.name != "AC-GAN"]
    return tuple(replace(row, published={}, against=row.against[1:]) for row in rows)


def recipe_rows(scale: Scale) -> tuple[Row, ...]:
    """List the way from the recipe that fails to the one that works, one switch more in each row."""
    steps = recipe_steps()
    ends = {0: published.STUDIO, len(steps) - 1: published.BEST_KNOWN}
    names = [name if i == 0 else f"+ {name}" for i, (name, _) in enumerate(steps)]
    return tuple(
        Row(
            name=names[i],
            config=_recipe(scale, config, keep_average=True),
            published=ends.get(i, {}),
            # With the row before, and the end with the start.
            against=tuple(dict.fromkeys([names[i - 1], *([names[0]] if i == len(steps) - 1 else [])])) if i else (),
        )
        for i, (_, config) in enumerate(steps)
    )


def _recipe(scale: Scale, recipe: RunConfig, *, keep_average: bool = False) -> RunConfig:
    return adapted(scale, at_size(recipe, scale.base.generator.size_px), keep_average=keep_average)


def _sagan(scale: Scale, position: int) -> RunConfig:
    """Put attention at a position, or where the paper's own is at this size: a quarter of it, half of 32 px.

    Said by its height, so that it is the same row as that of table 1.
    """
    heights = (position, *default_attention(scale.base.generator.size_px))
    return next(config for height in heights if (config := with_attention(scale.base, height)) is not None)


def with_attention(config: RunConfig, position: int) -> RunConfig | None:
    """Put the attention block after the first block whose output has this height, in both networks.

    None if one of the networks has no such block.
    """
    if not _has(config, position):
        return None
    G = replace(config.generator, attention=(position,))
    return replace(config, generator=G, discriminator=replace(config.discriminator, attention=(position,)))


def with_residual(config: RunConfig, position: int) -> RunConfig | None:
    """Put the residual block of the ablation there instead, as near to attention's weights as its width allows."""
    if not _has(config, position):
        return None
    G = replace(config.generator, residual=(position,))
    return replace(config, generator=G, discriminator=replace(config.discriminator, residual=(position,)))


def _has(config: RunConfig, position: int) -> bool:
    return position in config.generator.positions and position in config.discriminator.positions


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="table1",
            title="Table 1: self-attention and the residual block in its place, by position",
            question="Does attention help, where, and is it more than the added weights?",
            measures=("fd", "score"),
            rows=table1_rows,
        ),
        Experiment(
            name="table2",
            title="Table 2: AC-GAN, SNGAN-projection and SAGAN",
            question="How does SAGAN compare with the class-conditional models before it?",
            measures=("fd", "score", "intra"),
            rows=table2_rows,
        ),
        Experiment(
            name="figure3",
            title="Figure 3: training with SN on D, SN on G/D, SN on G/D + TTUR",
            question="Does spectral normalisation of the generator stabilise training, and do two learning rates?",
            measures=("fd", "score"),
            rows=stage_rows,
        ),
        Experiment(
            name="figure4",
            title="Figure 4: samples of the three stages during training",
            question="What do the samples of the three stages look like, and how far are they from real pictures?",
            measures=("fd", "score"),
            rows=stage_rows,
            pictures=("stages",),
        ),
        Experiment(
            name="figure5",
            title="Figures 1 and 5: where the generator looks",
            question="Which parts of the picture does a point attend to?",
            measures=("fd", "score"),
            rows=figure5_rows,
            pictures=("attention",),
        ),
        Experiment(
            name="figure6",
            title="Figure 6: samples by class, SAGAN and SNGAN-projection",
            question="Which classes come out well, and how far from its real pictures is each?",
            measures=("intra",),
            rows=figure6_rows,
            pictures=("classes",),
        ),
        Experiment(
            name="recipe-ablation",
            title="From the recipe that fails to the one that works, switch by switch",
            question="Public runs of SAGAN with one budget differ by a factor of four in FID: which switches matter?",
            measures=("fd", "score"),
            rows=recipe_rows,
        ),
        Experiment(
            name="ttur",
            title="Two learning rates against equal ones, in runs four times as long",
            question="Do equal learning rates get worse late in a run, and two not? Equal steps, which cost the same.",
            measures=("fd", "score"),
            rows=ttur_rows,
        ),
        Experiment(
            name="structure",
            title="Structure: do parts far apart agree?",
            question="Does attention help where two parts far apart must agree, and not on textures?",
            measures=("pairs",),
            rows=structure_rows,
            data="pairs",
            pictures=(),
        ),
    )
}


ALL: tuple[tuple[str, ...], ...] = (
    ("table1", "table2", "figure3", "figure4", "figure5", "figure6"),
    ("recipe-ablation",),
    ("ttur",),
)
"""All experiments on the same pictures, in groups: what is compared with the paper's own claims comes first."""


def experiment_of(name: str) -> Experiment:
    """Find an experiment by its name.

    Raises:
        SweepError: If there is none of that name.
    """
    if name not in EXPERIMENTS:
        hint = did_you_mean(name, EXPERIMENTS)
        raise SweepError(f"unknown experiment {name!r}; {f'{hint} ' if hint else ''}known: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
