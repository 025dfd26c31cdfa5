"""Named configurations. A variant calls its base and replaces the fields that differ."""

from collections.abc import Callable
from dataclasses import replace

from sagan.config import RunConfig
from sagan.data import DataConfig
from sagan.models.discriminator import DiscriminatorConfig
from sagan.models.generator import GeneratorConfig
from sagan.training.config import TrainConfig


def sagan_128() -> RunConfig:
    """Build the paper's SAGAN at 128 px: attention at feat32, batch 256, 1M steps; 81.5 M weights, for GPUs."""
    return RunConfig(train=TrainConfig(sample_every=1000, evaluate_every=5000, save_every=5000))


def acgan_128() -> RunConfig:
    """Build the AC-GAN baseline: `sagan-128` without attention, an auxiliary classifier in place of the projection."""
    base = sagan_128()
    return replace(
        base,
        generator=replace(base.generator, attention=()),
        discriminator=replace(base.discriminator, attention=(), head="auxiliary"),
    )


def sagan_64() -> RunConfig:
    """Build the same recipe at 64 px: attention at feat16, published widths, batch 128, 200,000 steps; for one GPU."""
    return RunConfig(
        generator=GeneratorConfig(size_px=64),
        discriminator=DiscriminatorConfig(size_px=64),
        train=TrainConfig(total_steps=200_000, batch_size=128, ema_decay=0.999, ema_start=2000),
    )


def sagan_32() -> RunConfig:
    """Build the same recipe at 32 px: attention at feat16, published widths, batch 64, 100,000 steps; for one GPU."""
    return RunConfig(
        generator=GeneratorConfig(size_px=32),
        discriminator=DiscriminatorConfig(size_px=32),
        train=TrainConfig(total_steps=100_000, batch_size=64, ema_decay=0.999, ema_start=1000),
    )


def sagan_64_cpu() -> RunConfig:
    """Build a narrow 64 px network for a processor without GPU and small data sets (moving average, translations)."""
    return RunConfig(
        generator=GeneratorConfig(size_px=64, z_dim=32, base_width=8, attention=(16,)),
        discriminator=DiscriminatorConfig(size_px=64, base_width=12, attention=(16,)),
        train=TrainConfig(
            total_steps=8000,
            batch_size=32,
            lr_g=3e-4,
            lr_d=1.2e-3,
            ema_decay=0.998,
            ema_start=200,
            augment=("translation",),
            sample_every=250,
            evaluate_every=250,
            save_every=500,
        ),
    )


def sagan_32_cpu() -> RunConfig:
    """Build a narrow 32 px network for a processor without GPU (moving average)."""
    return RunConfig(
        generator=GeneratorConfig(size_px=32, base_width=10, attention=(16,)),
        discriminator=DiscriminatorConfig(size_px=32, base_width=20, attention=(16,)),
        train=TrainConfig(
            total_steps=6000,
            batch_size=32,
            lr_g=3e-4,
            lr_d=1.2e-3,
            ema_decay=0.998,
            ema_start=200,
            sample_every=250,
            evaluate_every=250,
            save_every=250,
        ),
    )


def demo() -> RunConfig:
    """Build the demonstration: the embedded 8x8 digits at 16 px, three minutes on two cores.

    The noise is 8 wide: with 32, 64 and 128 the classes came later and the samples of a class grew alike.
    """
    return RunConfig(
        data=DataConfig(path="digits"),
        generator=GeneratorConfig(size_px=16, z_dim=8, base_width=8, attention=(8,)),
        discriminator=DiscriminatorConfig(size_px=16, base_width=16, attention=(8,)),
        train=TrainConfig(
            total_steps=900,
            batch_size=64,
            d_steps=2,
            lr_g=6e-4,
            lr_d=2.4e-3,
            ema_decay=0.98,
            log_every=20,
            sample_every=200,
            evaluate_every=200,
            save_every=500,
        ),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "sagan-128": sagan_128,
    "sagan-64": sagan_64,
    "sagan-32": sagan_32,
    "sagan-64-cpu": sagan_64_cpu,
    "sagan-32-cpu": sagan_32_cpu,
    "acgan-128": acgan_128,
    "demo": demo,
}
