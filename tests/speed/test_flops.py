"""Operations of a step, against a count by hand: layer by layer, and which products a backward pass needs."""

from dataclasses import replace

import pytest

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import sagan_128
from sagan.speed.flops import step_flops
from sagan.training.config import TrainConfig

CLASSES, Z = 5, 12


def small(size_px: int = 16, **discriminator: object) -> RunConfig:
    return RunConfig(
        generator=GeneratorConfig(size_px=size_px, num_classes=CLASSES, z_dim=Z, base_width=2, attention=(8,)),
        discriminator=DiscriminatorConfig(
            size_px=size_px,
            num_classes=CLASSES,
            base_width=4,
            attention=(8,),
            **discriminator,  # type: ignore[arg-type]
        ),
        train=TrainConfig(batch_size=4),
    )


def convolution(in_channels: int, out_channels: int, kernel: int, height: int) -> int:
    return 2 * in_channels * out_channels * kernel**2 * height**2


def attention(channels: int, height: int) -> tuple[int, int]:
    """Operations of the 1x1 convolutions, and of the products of queries with keys and of the map with values."""
    eighth = channels // 8
    projections = 2 * convolution(channels, eighth, 1, height) + convolution(channels, channels, 1, height)
    return projections, 2 * height**4 * (eighth + channels)


def by_hand(classifier: bool) -> tuple[int, int]:
    """Count G and D of ``small`` at 16 px on paper: (an update of D, an update of G), for an image of the batch."""
    # G: linear to 8 x 4x4, two blocks of 8 channels to 8x8 and 16x16, attention after the first one, 3x3 to RGB.
    linear = 2 * Z * 8 * 16
    g_projections, g_products = attention(8, 8)
    g_layers = g_projections + convolution(8, 3, 3, 16)
    for height in (8, 16):
        g_layers += 2 * convolution(8, 8, 3, height) + convolution(8, 8, 1, height // 2)
    # D: a block of 8 channels from 16x16 to 8x8, attention, two blocks at 8x8 without shortcut convolutions, a head.
    first = convolution(3, 8, 3, 16) + convolution(3, 8, 1, 8)  # they see the image itself
    d_projections, d_products = attention(8, 8)
    d_layers = convolution(8, 8, 3, 16) + d_projections + 4 * convolution(8, 8, 3, 8)
    d_layers += 2 * 8 * (1 + (CLASSES if classifier else 0))
    # Backwards a layer costs its forward twice, for its input and for its weights; pictures and noise need nothing.
    d_update = linear + g_layers + g_products + 2 * (2 * first + 3 * (d_layers + d_products))
    g_update = 2 * linear + 3 * (g_layers + g_products) + 2 * (first + d_layers) + 3 * d_products
    return d_update, g_update


@pytest.mark.parametrize("classifier", [False, True])
def test_a_step_counts_what_a_count_by_hand_gives(classifier: bool) -> None:
    config = small(head="auxiliary" if classifier else "projection")
    d_update, g_update = by_hand(classifier)
    assert step_flops(config) == d_update + g_update
    twice = replace(config, train=replace(config.train, d_steps=2))
    assert step_flops(twice) == 2 * d_update + g_update
    more = replace(config, train=replace(config.train, g_batch_size=3 * config.train.batch_size))
    assert step_flops(more) == d_update + 3 * g_update


def test_what_makes_a_step_faster_leaves_the_count() -> None:
    config = small(size_px=32)
    other = replace(
        config,
        generator=replace(config.generator, fold=False, spectral_norm=False),
        train=TrainConfig(batch_size=32, accumulate=2),
    )
    assert step_flops(config) == step_flops(other)


def test_the_paper_s_step_is_what_other_implementations_of_it_count() -> None:
    # 149.7 and 149.5 GFLOP an image were counted on two other public implementations with 1x1 convolutions at the
    # larger size, which is three quarters of a shortcut more in every block.
    assert step_flops(sagan_128()) == pytest.approx(149.6e9, rel=0.01)
