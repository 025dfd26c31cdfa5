"""One step of training: D updates, one G update, one update of the moving average. No ``.item()`` in here.

Which spectral vectors move when (SAGAN's own rule, for one device): G's in each of its forwards, D's once per D update
- real and generated images go through D in ONE forward - and never in the G update. ``d_vectors`` and ``g_vectors`` of
the configuration have the rules of other sources. With accumulation they move in the first micro-batch only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sagan.losses import classification_loss, discriminator_loss, generator_loss
from sagan.models.discriminator import ClassifierLogits
from sagan.ops.augment import augment, num_draws
from sagan.ops.norm import frozen_running
from sagan.ops.spectral import frozen_spectral
from sagan.randomness import keyed_generator
from sagan.sampling import training_draws
from sagan.training.config import TrainConfig
from sagan.training.ema import decay_at, update_ema
from sagan.training.engine import Engine, RealBatch
from sagan.training.regularisers import (
    consistency_penalty,
    gradient_penalties,
    lecam_penalty,
    move_controls,
    signs,
)
from sagan.training.state import TrainState
from sagan.training.update import update_weights

NextBatch = Callable[[int], RealBatch]


class Draws(NamedTuple):
    """What chance decides in an update of a network: this process's part of it, on the host."""

    z: Tensor
    """Noise (B, z_dim)."""
    y: Tensor | None
    """Classes to generate, int64 (B,); None if unconditional."""
    fake: Tensor
    """Uniform numbers in [0, 1) for the augmentation of generated images (B, n)."""
    real: Tensor
    """The same for real ones. G's update looks at those with the relativistic loss alone; without it they are none."""


class StepInputs(NamedTuple):
    """All that a step computes with beside the training state: the rest is arithmetic on the device."""

    batches: tuple[RealBatch, ...]
    """Real pictures of the updates of D."""
    d: tuple[Draws, ...]
    """Of the updates of D."""
    g: Draws
    """Of the update of G."""


def train_step(
    state: TrainState, config: TrainConfig, next_batch: NextBatch, engine: Engine, seed: int
) -> dict[str, Tensor]:
    """Do one whole step and count it.

    Args:
        state: Changed in place.
        config: The recipe.
        next_batch: Gives this process's part of the k-th global batch of real pictures of the run, k = 0, 1, 2, ...
        engine: Device, precision, processes.
        seed: The run's seed.

    Returns:
        Scalar tensors, averaged over the processes and those of D over its updates: loss_d, loss_g, real_logits,
        fake_logits (means), and with the auxiliary head also class_loss_d and class_loss_g.
    """
    set_schedules(state, config)
    inputs = step_inputs(state, config, next_batch, engine, seed)
    metrics = compute_step(state, config, inputs, engine, decay_at(config, state.step))
    state.step += 1
    return metrics


def set_schedules(state: TrainState, config: TrainConfig) -> None:
    """Set what the step decides about: how far blocks have faded in, and the learning rates."""
    set_fade(state, config)
    factor = config.rollback_lr_factor**state.rollbacks
    set_learning_rate(state.optimizer_d, config.lr_d * factor, state.step, config)
    set_learning_rate(state.optimizer_g, config.lr_g * factor, state.step, config)


def step_inputs(state: TrainState, config: TrainConfig, next_batch: NextBatch, engine: Engine, seed: int) -> StepInputs:
    """Gather a step's pictures and draw its noise, labels and augmentation; arguments as for :func:`train_step`."""
    return StepInputs(
        tuple(next_batch(position) for position in batches_of_step(state, config)),
        tuple(d_draws(state, config, update, engine, seed) for update in range(config.d_steps)),
        g_draws(state, config, engine, seed),
    )


def compute_step(
    state: TrainState, config: TrainConfig, inputs: StepInputs, engine: Engine, ema_decay: float | Tensor
) -> dict[str, Tensor]:
    """Do all of a step that is computed on the device, without counting it; gives what :func:`train_step` does.

    What it does there depends, beside tensors, on the recipe and on whether a penalty is due and LeCam has begun.
    """
    d_metrics: list[dict[str, Tensor]] = []
    real: tuple[Tensor, Tensor] | None = None
    for batch, draws in zip(inputs.batches, inputs.d, strict=True):
        x, y = engine.images(batch), engine.tensor(batch.labels)
        d_metrics.append(d_step(state, config, x, y, draws, engine))
        real = (x, y) if config.loss == "relativistic" else None
    metrics = mean_metrics(d_metrics) | g_step(state, config, inputs.g, engine, real)
    if state.ema is not None:
        update_ema(state.ema, state.G, ema_decay, running=config.ema_running)
    metrics = engine.mean(metrics)
    move_controls(state.controls, config, state.step, metrics)
    if metrics.pop("real_signs", None) is not None:
        metrics["augment_p"] = state.controls["augment_p"].clone()
    return metrics


def set_fade(state: TrainState, config: TrainConfig) -> None:
    """Let the largest blocks of networks that grow count as much as at this step: from 0 evenly to 1."""
    for network in (state.G, state.D):
        if network.config.fades:
            network.fade.fill_(min(1.0, state.step / config.fade_steps))


def batches_of_step(state: TrainState, config: TrainConfig) -> range:
    """Give the positions in the run of the batches of real pictures that the next step takes."""
    return range(state.draw_step * config.d_steps, (state.draw_step + 1) * config.d_steps)


def penalty_due(state: TrainState, config: TrainConfig) -> bool:
    """Tell whether D's gradients on images count in this step."""
    return config.penalises and state.step % config.penalty_every == 0


def lecam_begun(state: TrainState, config: TrainConfig) -> bool:
    """Tell whether LeCam counts in this step."""
    return config.lecam > 0.0 and config.steps_before + state.step >= config.lecam_start


def d_draws(state: TrainState, config: TrainConfig, update: int, engine: Engine, seed: int) -> Draws:
    """Draw what an update of D of this step needs; this process's part of it."""
    z, y = training_draws(seed, "D", state.draw_step, update, config.batch_size, *_sizes(state))
    rows = engine.rows(config.batch_size, config.accumulate)
    real, fake = (
        augment_draws(config, seed, which, state.draw_step, update, config.batch_size)[rows]
        for which in ("real", "fake")
    )
    return Draws(z[rows], None if y is None else y[rows], fake, real)


def d_step(
    state: TrainState, config: TrainConfig, x: Tensor, y: Tensor, draws: Draws, engine: Engine
) -> dict[str, Tensor]:
    """Update D once on real images x (B, 3, H, W) in [-1, 1] with classes y (B,), and as many generated ones.

    B is this process's part of the batch; noise, labels and augmentation are its part of those of the whole batch.

    G runs in training mode without gradients: its batch statistics and spectral vectors see this batch, its weights
    stay.
    """
    state.optimizer_d.zero_grad(set_to_none=True)
    z, y_fake, fake_draws, real_draws = engine.draws(draws)
    if config.loss == "relativistic" and y_fake is not None:
        y_fake = y  # pairs are of one class
    penalised = penalty_due(state, config)
    metrics: list[dict[str, Tensor]] = []
    D = engine.training(state.D)
    for part in micro_batches(state, config, engine, state.D, len(x)):
        with engine.autocast():
            fake_classes = None if y_fake is None else y_fake[part]
            with torch.no_grad(), generator_at_rest(state.G, config):
                x_fake = fp32(state.G(z[part], fake_classes))
            x_real = x[part]
            if penalised:
                x_real = x_real.detach().requires_grad_(config.r1 > 0.0)
                x_fake = x_fake.requires_grad_(config.r2 > 0.0)
            real = augmented(state, config, x_real, real_draws[part])
            fake = augmented(state, config, x_fake, fake_draws[part])
            seen = (x_real, y[part]), (x_fake, fake_classes)
            loss, seen_metrics = looked_at(state, config, D, seen, (real, fake), penalised)
        engine.backward(loss / config.accumulate)
        metrics.append(seen_metrics)
    update_weights(state.optimizer_d, state.D, "D", state.refused)
    return mean_metrics(metrics)


def looked_at(
    state: TrainState,
    config: TrainConfig,
    D: nn.Module,
    plain: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor | None]],
    changed: tuple[Tensor, Tensor],
    penalised: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Let D look, and compute its loss with all the terms of the recipe; its gradients count if ``penalised``."""
    if config.consistency:
        return consistent_loss(state, config, D, plain, changed)
    (x, y), (x_fake, y_fake) = plain
    output, classes = judged(config, D, (changed[0], y), (changed[1], y_fake))
    loss, metrics = d_loss(state, config, output, classes, len(x))
    if penalised:
        term, norms = gradient_penalties(config, source_of(output), (x, x_fake))
        loss, metrics = loss + term, metrics | norms
    return loss, metrics


def judged(
    config: TrainConfig, D: nn.Module, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor | None]
) -> tuple[Tensor | ClassifierLogits, Tensor]:
    """Run D over real and generated images, each with their classes: in one forward, or ``separate`` ones in an order.

    Returns:
        D's output on all of them and their classes, those of real ones first.
    """
    (x, y), (x_fake, y_fake) = real, fake
    classes = y if y_fake is None else torch.cat([y, y_fake])
    if config.d_vectors != "separate":
        return D(torch.cat([x, x_fake]), classes), classes
    if config.d_order == "generated_first":
        on_fake, on_real = D(x_fake, y_fake), D(x, y)
    else:
        on_real, on_fake = D(x, y), D(x_fake, y_fake)
    if isinstance(on_real, ClassifierLogits):
        return ClassifierLogits(*(torch.cat(pair) for pair in zip(on_real, on_fake, strict=True))), classes
    return torch.cat([on_real, on_fake]), classes


def augmented(state: TrainState, config: TrainConfig, images: Tensor, draws: Tensor) -> Tensor:
    """Augment images (B, 3, H, W), all of them or, where augmentation adapts, each with the probability of now."""
    if config.adaptive_augment is None:
        return augment(images, config.augment, draws)
    chosen = (draws[:, -1] < state.controls["augment_p"])[:, None, None, None]
    return torch.where(chosen, augment(images, config.augment, draws[:, :-1]), images)


def consistent_loss(
    state: TrainState,
    config: TrainConfig,
    D: nn.Module,
    plain: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor | None]],
    changed: tuple[Tensor, Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute D's loss on images as they are, and how much its logits move when the same ones are augmented.

    Args:
        state: What is trained.
        config: The recipe.
        D: Looks at all of them in one forward.
        plain: Real images and generated ones, each with their classes.
        changed: The same ones augmented.
    """
    (x, y), (x_fake, y_fake) = plain
    count = len(x) + len(x_fake)
    classes = y if y_fake is None else torch.cat([y, y_fake])
    doubled = classes if y_fake is None else torch.cat([classes, classes])
    output = D(torch.cat([x, x_fake, *changed]), doubled)
    if isinstance(output, ClassifierLogits):
        first = ClassifierLogits(output.source[:count], output.classes[:count])
        logits = fp32(output.source)
    else:
        first, logits = output[:count], fp32(output)
    loss, metrics = d_loss(state, config, first, classes, len(x))
    moved = [consistency_penalty(logits[part], logits[count:][part]) for part in (slice(len(x)), slice(len(x), count))]
    return loss + config.consistency * (moved[0] + moved[1]), metrics | {"consistency": moved[0] + moved[1]}


@contextmanager
def generator_at_rest(G: nn.Module, config: TrainConfig) -> Iterator[None]:
    """Inside the context a forward of G leaves alone what the configuration lets move in G's own step only."""
    with (
        frozen_spectral(G) if config.g_vectors == "g_step_only" else nullcontext(),
        frozen_running(G) if config.bn_tracking == "g_step_only" else nullcontext(),
    ):
        yield


def g_draws(state: TrainState, config: TrainConfig, engine: Engine, seed: int) -> Draws:
    """Draw what the update of G of this step needs; this process's part of it."""
    z, y = training_draws(seed, "G", state.draw_step, 0, config.generator_batch, *_sizes(state))
    rows = engine.rows(config.generator_batch, config.accumulate)
    fake = augment_draws(config, seed, "g", state.draw_step, 0, config.generator_batch)[rows]
    real = fake[:0]
    if config.loss == "relativistic":
        real = augment_draws(config, seed, "g real", state.draw_step, 0, config.generator_batch)[rows]
    return Draws(z[rows], None if y is None else y[rows], fake, real)


def g_step(
    state: TrainState,
    config: TrainConfig,
    draws: Draws,
    engine: Engine,
    real: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Update G once, on ``config.generator_batch`` images. D gets no gradient, and its vectors rest with ``once``.

    ``real`` are the pictures and classes that generated ones are paired with by the relativistic loss: the latest that
    D learnt from. They are of this process.
    """
    state.optimizer_g.zero_grad(set_to_none=True)
    z, y, fake_draws, real_draws = engine.draws(draws)
    pairs = None
    if real is not None:
        y = None if y is None else real[1]
        pairs = (*real, real_draws)
    metrics: list[dict[str, Tensor]] = []
    G = engine.training(state.G)
    at_rest = frozen_spectral(state.D) if config.d_vectors == "once" else nullcontext()
    with frozen_parameters(state.D), at_rest:
        for part in micro_batches(state, config, engine, state.G, len(z)):
            classes = None if y is None else y[part]
            with engine.autocast():
                # In fp32 like the real images, also under autocast: D must not tell them apart by their rounding.
                x_fake = fp32(G(z[part], classes))
                if not config.consistency:
                    x_fake = augmented(state, config, x_fake, fake_draws[part])
                output = state.D(x_fake, classes)
                paired = None if pairs is None else logits_of_pairs(state, config, pairs, part)
                loss, seen_metrics = g_loss(config, output, classes, paired)
            engine.backward(loss / config.accumulate)
            metrics.append(seen_metrics)
    update_weights(state.optimizer_g, state.G, "G", state.refused)
    return mean_metrics(metrics)


@torch.no_grad()
def logits_of_pairs(
    state: TrainState, config: TrainConfig, pairs: tuple[Tensor, Tensor, Tensor], part: slice
) -> Tensor:
    """Give D's logits on the real pictures of pairs (pictures, classes, draws for augmentation); moves nothing."""
    x, y, draws = (tensor[part] for tensor in pairs)
    if not config.consistency:
        x = augmented(state, config, x, draws)
    with frozen_spectral(state.D):
        return fp32(source_of(state.D(x, y)))


def source_of(output: Tensor | ClassifierLogits) -> Tensor:
    """Give the logits that tell real from generated."""
    return output.source if isinstance(output, ClassifierLogits) else output


def d_loss(
    state: TrainState, config: TrainConfig, output: Tensor | ClassifierLogits, classes: Tensor, num_real: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute D's loss from its output on ``num_real`` real images followed by generated ones."""
    logits = source_of(output)
    real_logits, fake_logits = fp32(logits[:num_real]), fp32(logits[num_real:])
    loss = discriminator_loss(config.loss, real_logits, fake_logits)
    metrics = {"loss_d": loss, "real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
    if config.adaptive_augment is not None:
        metrics["real_signs"] = signs(real_logits)
    if config.lecam:
        metrics["lecam"] = lecam_penalty(real_logits, fake_logits, state.controls)
        loss = loss + (config.lecam if lecam_begun(state, config) else 0.0) * metrics["lecam"]
    if isinstance(output, ClassifierLogits):
        class_loss = classification_loss(fp32(output.classes[:num_real]), classes[:num_real])
        if config.auxiliary_on_fake:
            class_loss = class_loss + classification_loss(fp32(output.classes[num_real:]), classes[num_real:])
        loss = loss + config.auxiliary_weight * class_loss
        metrics["class_loss_d"] = class_loss
    return loss, metrics


def g_loss(
    config: TrainConfig, output: Tensor | ClassifierLogits, classes: Tensor | None, paired: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute G's loss from D's output on generated images, and its logits on the real ones that they pair with."""
    loss = generator_loss(config.loss, fp32(source_of(output)), paired)
    metrics = {"loss_g": loss}
    if isinstance(output, ClassifierLogits) and classes is not None:
        class_loss = classification_loss(fp32(output.classes), classes)
        loss = loss + config.auxiliary_weight * class_loss
        metrics["class_loss_g"] = class_loss
    return loss, metrics


@torch.no_grad()
def mean_logit(state: TrainState, batch: RealBatch, engine: Engine, batch_size: int) -> Tensor:
    """Average D's logit over real pictures as they are, not augmented, ``batch_size`` at a time; moves nothing."""
    return picture_logits(state, batch, engine, batch_size).mean()


@torch.no_grad()
def picture_logits(state: TrainState, batch: RealBatch, engine: Engine, batch_size: int) -> Tensor:
    """Give D's logits (B,) on real pictures as they are, not augmented, ``batch_size`` at a time; moves nothing."""
    x, y = engine.images(batch), engine.tensor(batch.labels)
    logits = []
    for part, labels in zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True):
        with frozen_spectral(state.D), engine.autocast():
            output = state.D(part, labels)
        seen = fp32(source_of(output))
        # A copy: the next forward may use the same memory again where networks are replayed as CUDA graphs.
        logits.append(seen.mean(1) if seen.ndim > 1 else seen.clone())
    return torch.cat(logits)


def micro_batches(
    state: TrainState, config: TrainConfig, engine: Engine, trained: nn.Module, batch_size: int
) -> Iterator[slice]:
    """Yield the slices of this process's batch.

    While the second and later ones are worked on, all spectral vectors rest. The gradients of ``trained`` are averaged
    over the processes once, with those of the last slice.
    """
    size = batch_size // config.accumulate
    for i in range(config.accumulate):
        with (
            frozen_spectral(state.G) if i else nullcontext(),
            frozen_spectral(state.D) if i else nullcontext(),
            engine.keeping_gradients(trained, i < config.accumulate - 1),
        ):
            yield slice(i * size, (i + 1) * size)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float, step: int, config: TrainConfig) -> None:
    """Set the learning rate of a step: constant, or falling linearly to 0 at the end."""
    start = config.lr_decay_start
    if start is not None and step >= start:
        lr *= (config.total_steps - step) / max(1, config.total_steps - start)
    for group in optimizer.param_groups:
        group["lr"] = lr


def augment_draws(config: TrainConfig, seed: int, which: str, step: int, update: int, batch_size: int) -> Tensor:
    """Draw the uniform numbers in [0, 1) that augmentation uses for a global batch, (B, n)."""
    generator = keyed_generator(seed, f"augment {which}", step, update)
    count = num_draws(config.augment) + (config.adaptive_augment is not None)
    return torch.from_numpy(generator.random((batch_size, count), dtype="float32"))


def mean_metrics(metrics: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Average each metric over the micro-batches, without gradients."""
    return {key: torch.stack([m[key].detach() for m in metrics]).mean() for key in metrics[0]}


def fp32(x: Tensor) -> Tensor:
    """Give ``x`` in fp32 where autocast lowered it; float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def frozen_parameters(module: nn.Module) -> Iterator[None]:
    """Inside the context the parameters of ``module`` get no gradients; afterwards they are as they were."""
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def _sizes(state: TrainState) -> tuple[int, int]:
    return state.G.config.z_dim, state.G.config.num_classes
