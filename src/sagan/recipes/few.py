"""Few pictures: what is chosen where a set has at most a thousand, and why. docs/collapse.md has what was measured."""

from collections.abc import Collection
from dataclasses import replace

from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS, PROJECTED

FEW = 1000
"""Of so many pictures to train on, or fewer, D learns each by heart in a short run already."""
AUGMENT = ("color", "translation", "cutout")
FREEZE_D = 2
AUGMENTS = ("train.augment", "train.adaptive_augment", "train.consistency")
"""Whoever says one of these has settled what D sees."""
EXACT = ("slides", "official", "best-known", "studio-like", "sngan-projection", "acgan")
"""Presets that are recipes of others: they stay what they are, however few the pictures."""


def for_few(
    config: RunConfig, pictures: int, *, keep: Collection[str] = (), from_run: bool = False
) -> tuple[RunConfig, list[str]]:
    """Choose what suits few pictures.

    Args:
        config: What would be trained.
        pictures: How many there are to train on; of more than FEW nothing is changed.
        keep: Fields, by their dotted names, that stay as they are.
        from_run: Whether it starts from both networks of another run.

    Returns:
        The configuration, and a sentence for each choice that says why.

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"; Mo et al. 2020, "Freeze the
    Discriminator".
    """
    if pictures > FEW:
        return config, []
    said, changes = [], {}
    count = f"{pictures:,} pictures"
    if not {*AUGMENTS} & {*keep} and config.train.augment != AUGMENT:
        changes["augment"] = AUGMENT
        said.append(
            f"--train.augment {' '.join(AUGMENT)}, as D would soon know {count} by heart "
            f"(to have it as the preset does: --train.augment{''.join(f' {op}' for op in config.train.augment)})"
        )
    frozen_already = config.discriminator.features != "none"
    if from_run and not frozen_already and "train.freeze_d" not in keep and not config.train.freeze_d:
        changes["freeze_d"] = FREEZE_D  # type: ignore[assignment]
        said.append(
            f"--train.freeze-d {FREEZE_D}, as what D's first blocks know already is more than {count} can teach them "
            "(to train all of D: --train.freeze-d 0)"
        )
    return replace(config, train=replace(config.train, **changes)), said  # type: ignore[arg-type]


def features_advice(config: RunConfig, pictures: int, *, started: bool) -> list[str]:
    """Say which preset was ahead with few photos, where its generator is this one and it can still be chosen."""
    size = config.generator.size_px
    if pictures > FEW or started or config.discriminator.features != "none" or size not in PROJECTED:
        return []
    if config.generator.base_width != PRESETS[PROJECTED[size]]().generator.base_width:
        return []
    return [
        f"if these are photos, try --preset {PROJECTED[size]} (extra `features`): with few photos at 64 px it was far "
        "ahead of all else that was tried for the same time, as the network judges that its D looks through"
    ]


def transfer_advice(pictures: int, *, started: bool) -> list[str]:
    """Say what would help besides, where there are few pictures and a run does not start from other weights."""
    if pictures > FEW or started:
        return []
    return [
        f"{pictures:,} pictures are few: where there is a run of the same preset on other pictures, --init-from RUN "
        "starts from what it knows"
    ]
