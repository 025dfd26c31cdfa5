"""Named configurations. A variant calls its base and replaces the fields that differ."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sagan.data.config import DataConfig
from sagan.models.config import DiscriminatorConfig, GeneratorConfig, default_attention
from sagan.recipes.config import RunConfig, merged
from sagan.training.config import TrainConfig


def sagan_128() -> RunConfig:
    """Build the paper's SAGAN at 128 px: attention at feat32, batch 256, 1M steps; 81.5 M weights, for GPUs."""
    return RunConfig(train=TrainConfig(sample_every=1000, evaluate_every=5000, save_every=5000))


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


def sagan_64_projected() -> RunConfig:
    """Build `sagan-64-cpu` whose discriminator looks through a frozen ImageNet network: far better pictures an hour.

    It needs the package of that network (extra `features`), also on a GPU. The noise enters each block of the
    generator, attention has pooled keys, and learning rates fall to 0 over the second half.
    """
    base = sagan_64_cpu()
    return replace(
        base,
        generator=replace(base.generator, noise_entry="whole", attention_form="official"),
        discriminator=replace(
            base.discriminator, features="efficientnet-lite0", base_width=16, attention_form="official"
        ),
        train=replace(base.train, total_steps=9000, lr_g=1e-3, lr_d=1e-3, beta2=0.99, lr_decay_start=4500),
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


def sagan_32_projected() -> RunConfig:
    """Build `sagan-32-cpu` whose discriminator looks through a frozen ImageNet network: better pictures an hour.

    That network sees pictures enlarged twice, so that it has a map of 16 px, which D attends to. The noise enters each
    block of the generator, and learning rates fall to 0 over the second half. It needs the extra `features`.
    """
    base = sagan_32_cpu()
    return replace(
        base,
        generator=replace(base.generator, noise_entry="whole"),
        discriminator=replace(
            base.discriminator, features="efficientnet-lite0", features_enlarge=2, base_width=16, attention=(16,)
        ),
        train=replace(base.train, total_steps=9000, lr_g=1e-3, lr_d=1e-3, beta2=0.99, lr_decay_start=4500),
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


# Recipes of the literature, all at 128 px; `at_size` gives them at 64 and 32 px.


def slides() -> RunConfig:
    """Build the paper's own recipe as its first version and slides tell it: `sagan-128` on all pictures."""
    base = sagan_128()
    return replace(base, data=replace(base.data, holdout_fraction=0.0))


def official() -> RunConfig:
    """Build the recipe of the authors' released code: pooled attention, beta2 0.999, running averages, towers of 64.

    Source: brain-research/self-attention-gan, latest commit. Its learning rates and batch are those of the paper.
    """
    base = slides()
    return replace(
        base,
        generator=replace(
            base.generator,
            attention_form="official",
            sn_gradient="full",
            bn_momentum=0.001,
            bn_momentum_last=0.0001,
            bn_biased=True,
            sampling_norm="running",
        ),
        discriminator=replace(base.discriminator, attention_form="official", sn_gradient="full"),
        train=replace(base.train, beta2=0.999, batch_norm="ghost", ghost_size=64),
    )


def best_known() -> RunConfig:
    """Build the recipe of the best public reproduction: `official` blocks at feat64, batch norm over 32, average.

    Source: open-mmlab/mmgeneration, which reports FID 12.83 and IS 69.54 on ImageNet at 128 px after 826,000 steps. Its
    eight devices normalise 32 images each; groups of 32 do that on any number.
    """
    base = slides()
    return replace(
        base,
        generator=replace(
            base.generator,
            attention=(64,),
            attention_form="official",
            sn_eps=1e-8,
            sn_eps_linear=1e-12,
            bias_start="linear",
            class_start="weights",
            sampling_norm="running",
        ),
        discriminator=replace(
            base.discriminator,
            attention=(64,),
            attention_form="official",
            sn_eps=1e-8,
            sn_eps_linear=1e-12,
            bias_start="linear",
        ),
        train=replace(
            base.train,
            beta2=0.999,
            d_vectors="separate",
            d_order="generated_first",
            batch_norm="ghost",
            ghost_size=32,
            ema_decay=0.999,
            ema_start=2000,
        ),
    )


def studio_like() -> RunConfig:
    """Build the recipe of a widespread reproduction that scores worse: class maps with spectral norm, and more.

    Source: StudioGAN, which reports FID 34.73 and IS 29.85 on ImageNet at 128 px after 1M steps of 256.
    """
    base = slides()
    return replace(
        base,
        data=replace(base.data, flip=True),
        generator=replace(
            base.generator,
            attention=(64,),
            attention_form="official",
            sn_eps=1e-6,
            init="orthogonal",
            class_conditioning="linear",
            class_vectors="channels",
            bn_eps=1e-4,
            sampling_norm="running",
        ),
        discriminator=replace(
            base.discriminator,
            attention=(64,),
            attention_form="official",
            sn_eps=1e-6,
            init="orthogonal",
            shortcut_relu=True,
        ),
        train=replace(base.train, beta2=0.999, adam_eps=1e-6, d_vectors="separate", bn_tracking="g_step_only"),
    )


def sngan_projection() -> RunConfig:
    """Build the SNGAN-projection baseline: no attention, a thin discriminator, 5 updates of it to one of G.

    Source: Miyato and Koyama 2018 and pfnet-research/sngan_projection, which reports IS 29.7 after these 450,000 steps
    (36.8 after 850,000). Not taken over: it adds noise of 1/128 to the pictures, and updates G before D.
    """
    base = slides()
    return replace(
        base,
        generator=replace(
            base.generator,
            attention=(),
            spectral_norm=False,
            init="chainer",
            bn_eps=2e-5,
            sampling_norm="running",
        ),
        discriminator=replace(base.discriminator, attention=(), width="thin", init="chainer"),
        train=replace(
            base.train,
            total_steps=450_000,
            batch_size=64,
            g_batch_size=128,
            d_steps=5,
            lr_g=2e-4,
            lr_d=2e-4,
            lr_decay_start=400_000,
            d_vectors="separate",
        ),
    )


def acgan() -> RunConfig:
    """Build the AC-GAN baseline: `slides` without attention, an auxiliary classifier in place of the projection."""
    base = slides()
    return replace(
        base,
        generator=replace(base.generator, attention=()),
        discriminator=replace(base.discriminator, attention=(), head="auxiliary"),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "sagan-128": sagan_128,
    "sagan-64": sagan_64,
    "sagan-32": sagan_32,
    "sagan-64-cpu": sagan_64_cpu,
    "sagan-64-projected": sagan_64_projected,
    "sagan-32-cpu": sagan_32_cpu,
    "sagan-32-projected": sagan_32_projected,
    "demo": demo,
    "slides": slides,
    "official": official,
    "best-known": best_known,
    "studio-like": studio_like,
    "sngan-projection": sngan_projection,
    "acgan": acgan,
}
PROJECTED = {32: "sagan-32-projected", 64: "sagan-64-projected"}
"""Those whose discriminator looks through a frozen network, by their size in px."""


def at_size(config: RunConfig, size_px: int) -> RunConfig:
    """Give a recipe of 128 px at 64 or 32 px, as its authors' code has it there.

    Attention and ablation blocks stay where both networks have their positions, else they go to the default of the
    size. The thin discriminator, SNGAN-projection's, brings its own last layers and length.

    Raises:
        ValueError: If the size is another one.

    Source: Miyato and Koyama 2018 and their code; StudioGAN for the wide discriminator at 64 px.
    """
    if size_px == config.generator.size_px:
        return config
    if size_px not in (64, 32):
        raise ValueError(f"size_px must be 64 or 32, or the recipe's own {config.generator.size_px}, found {size_px}")
    bare: dict[str, Any] = {"size_px": size_px, "attention": (), "residual": ()}
    G, D = replace(config.generator, **bare), replace(config.discriminator, **bare)
    available = G.positions.keys() & D.positions.keys()

    def placed(positions: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return positions if available >= set(positions or ()) else default_attention(size_px)

    G = replace(G, attention=placed(config.generator.attention), residual=placed(config.generator.residual) or ())
    D = replace(
        D, attention=placed(config.discriminator.attention), residual=placed(config.discriminator.residual) or ()
    )
    train = config.train
    if D.width == "thin":
        D = replace(D, last_block_down=size_px == 64, linear_bias=size_px != 32)
        steps, decay, g_batch_size = (250_000, 200_000, 64) if size_px == 64 else (50_000, 0, 128)
        train = replace(train, total_steps=steps, lr_decay_start=decay, g_batch_size=g_batch_size)
    return replace(config, generator=G, discriminator=D, train=train)


def recipe_steps() -> tuple[tuple[str, RunConfig], ...]:
    """Walk from `studio-like` to `best-known`, one switch at a time; each step has a name and its configuration.

    Switches of both networks, and those that mean nothing one without the other, go together.
    """

    def both(field: str) -> tuple[str, str]:
        return f"generator.{field}", f"discriminator.{field}"

    start, end = studio_like(), best_known()
    walk = (
        ("shortcuts without ReLU", ("discriminator.shortcut_relu",)),
        (
            "class tables without spectral norm",
            ("generator.class_conditioning", "generator.class_start", "generator.class_vectors"),
        ),
        ("batch norm eps 1e-5", ("generator.bn_eps",)),
        ("batch norm in groups of 32", ("train.batch_norm", "train.ghost_size")),
        ("running averages in each forward of G", ("train.bn_tracking",)),
        ("spectral norm eps 1e-8, 1e-12 in linear layers", (*both("sn_eps"), *both("sn_eps_linear"))),
        ("xavier initialisation, biases of linear layers too", (*both("init"), *both("bias_start"))),
        ("Adam eps 1e-8", ("train.adam_eps",)),
        ("no mirrored pictures", ("data.flip",)),
        ("D sees generated pictures first", ("train.d_order",)),
        ("moving average from step 2,000", ("train.ema_decay", "train.ema_start")),
    )
    steps = [("studio-like", start)]
    for name, fields in walk:
        steps.append((name, merged(steps[-1][1], end, fields)))
    return tuple(steps)
