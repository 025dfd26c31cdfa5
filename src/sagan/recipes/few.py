"""Few pictures: what is chosen where a set has at most a thousand, and why. docs/collapse.md has what was measured."""

from collections.abc import Collection
from dataclasses import replace

from sagan.choices import AugmentOp
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS, PROJECTED

FEW = 1000
"""Of so many pictures to train on, or fewer, D learns each by heart in a short run already."""
AUGMENT: tuple[AugmentOp, ...] = ("color", "translation", "cutout")
EXACT = ("slides", "official", "best-known", "studio-like", "sngan-projection", "acgan")
"""Presets that are recipes of others: they stay what they are, however few the pictures."""


def for_few(config: RunConfig, pictures: int, *, keep: Collection[str] = ()) -> tuple[RunConfig, list[str]]:
    """Choose what suits few pictures: that D sees each of them in ever other ways.

    FreezeD (Mo et al. 2020) is not chosen: measured here, it brought nothing (docs/collapse.md).

    Args:
        config: What would be trained.
        pictures: How many there are to train on; of more than FEW nothing is changed.
        keep: Fields, by their dotted names, that stay as they are.

    Returns:
        The configuration, and a sentence for each choice that says why.

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training".
    """
    if pictures > FEW or "train.augment" in keep or config.train.augment == AUGMENT:
        return config, []
    said = (
        f"--train.augment {' '.join(AUGMENT)}, as D would soon know {pictures:,} pictures by heart "
        f"(to have it as the preset does: --train.augment{''.join(f' {op}' for op in config.train.augment)})"
    )
    return replace(config, train=replace(config.train, augment=AUGMENT)), [said]


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
