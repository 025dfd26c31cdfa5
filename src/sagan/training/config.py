"""How a run is trained."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from sagan.choices import (
    AugmentOp,
    AverageRunning,
    BatchStatistics,
    DiscriminatorOrder,
    DiscriminatorVectors,
    Each,
    Loss,
)

OnCollapse = Literal["warn", "rollback", "stop"]
CHOICES: dict[str, Any] = {
    "batch_norm": BatchStatistics,
    "loss": Loss,
    "d_vectors": DiscriminatorVectors,
    "d_order": DiscriminatorOrder,
    "g_vectors": Each,
    "bn_tracking": Each,
    "ema_running": AverageRunning,
    "on_collapse": OnCollapse,
}
"""Fields of :class:`TrainConfig` that take one of some names."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a run is trained; the defaults are the paper's recipe.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    total_steps: int = 1_000_000
    """Generator updates in all."""
    batch_size: int = 256
    """Real images in a discriminator update, and generated ones in each update, of all processes together."""
    g_batch_size: int | None = None
    """Generated images in a generator update, if not `batch_size` (SNGAN-projection: 128 beside 64)."""
    accumulate: int = 1
    """Micro-batches that a batch is cut into to save memory; batch normalisation then works per micro-batch."""
    batch_norm: BatchStatistics = "local"
    """Images that the generator's batch normalisation works over: those of each process, `sync` those of all processes
    together, `ghost` groups of a fixed size whatever the number of processes."""
    ghost_size: int = 64
    """Images in a group of batch_norm `ghost`; 64 is what each of the paper's four GPUs had."""
    d_steps: int = 1
    """Discriminator updates per generator update."""
    loss: Loss = "hinge"
    """Adversarial loss; `relativistic` compares each real picture with a generated one of its class (R3GAN, usually
    with `r1` and `r2`)."""
    r1: float = 0.0
    """Weight of the penalty, half of the squared norm of D's gradient at real pictures: it keeps D from changing fast
    around them (R1). Costs about one more backward through D."""
    r2: float = 0.0
    """The same on generated pictures (R2)."""
    penalty_every: int = 1
    """Steps between those that have these penalties, which then count so many times as much."""
    lr_g: float = 1e-4
    """Learning rate of the generator."""
    lr_d: float = 4e-4
    """Learning rate of the discriminator; larger than the generator's is the two-time-scale rule (TTUR)."""
    beta1: float = 0.0
    """Adam's first decay rate."""
    beta2: float = 0.9
    """Adam's second decay rate."""
    adam_eps: float = 1e-8
    """Added to the root of Adam's second moment (StudioGAN: 1e-6, which is felt in the first steps)."""
    d_vectors: DiscriminatorVectors = "once"
    """When D's spectral vectors move: `once` in a D update, whose real and generated images go through D together;
    `joint` in the generator's step, too (BigGAN-PyTorch); `separate` for real images, for generated ones, and in the
    generator's step (StudioGAN, mmgeneration, mimicry)."""
    d_order: DiscriminatorOrder = "real_first"
    """Which images D sees first in its update where `d_vectors` is `separate`: those seen last meet vectors that moved
    once more (`generated_first`: mmgeneration)."""
    g_vectors: Each = "each"
    """When G's spectral vectors move: in each of its forwards, or in those of its own step alone (`g_step_only`)."""
    bn_tracking: Each = "each"
    """When G's running averages move: in each of its forwards, or in those of its own step alone (`g_step_only`:
    StudioGAN)."""
    lr_decay_start: int | None = None
    """Step from which both learning rates fall linearly to 0 at the last step; unset keeps them constant."""
    auxiliary_weight: float = 1.0
    """Weight of the classification loss where D has the auxiliary head."""
    auxiliary_on_fake: bool = False
    """Whether D's classification loss also sees generated images (the original AC-GAN)."""
    ema_decay: float = 0.0
    """Decay of the generator's moving average; 0 keeps none (the paper)."""
    ema_start: int = 0
    """Step before which the moving average is a plain copy."""
    ema_rampup: float = 0.0
    """Half-life of the moving average at most, as a share of the steps so far, so that early samples do not lag behind
    (StyleGAN2-ADA: 0.05); 0 has `ema_decay` from the start."""
    steps_before: int = 0
    """Steps of the stages before this one, which `--grow` says: `ema_start`, `ema_rampup` and `lecam_start` count from
    the first of them."""
    ema_running: AverageRunning = "copy"
    """What the moving average does with running averages of batch normalisation: `copy` the latest, or `average` them
    as it does weights (BigGAN-PyTorch)."""
    augment: tuple[AugmentOp, ...] = ()
    """Differentiable augmentation (DiffAugment) of all that D sees, for small data sets."""
    adaptive_augment: float | None = None
    """Augment each picture with a probability that follows D: it grows while the mean sign of D's logits on real
    pictures is above this (0.6 in the paper on it), and falls below; unset augments all of them. It needs `augment`:
    operations of which a picture has all or none (ADA draws for each)."""
    adaptive_images: int = 50_000
    """Real pictures in which that probability can go from 0 to 1 (ADA: 500,000; runs here are shorter)."""
    consistency: float = 0.0
    """Weight of a term that keeps D's logits the same when pictures, real and generated, are augmented; D and G then
    learn from pictures as they are (bCR). It needs `augment`, and doubles what D looks at."""
    lecam: float = 0.0
    """Weight of a term that pulls D's logits on real pictures towards the average of those on generated ones, and the
    other way round (LeCam), for small data sets; 0.3 to 0.01 were published."""
    lecam_decay: float = 0.99
    """Decay of these averages."""
    lecam_start: int = 1000
    """Step from which LeCam counts."""
    freeze_d: int = 0
    """So many of D's first blocks stay as they start: for a run that starts from other weights (FreezeD)."""
    fade_steps: int = 500
    """Steps over which the largest block of networks that grow fades in; with `--grow` at most half of a stage's."""
    log_every: int = 50
    """Steps between lines of the log."""
    sample_every: int = 500
    """Steps between pictures of samples."""
    evaluate_every: int = 1000
    """Steps between measurements of what `--monitor` says, which the best checkpoint is kept by; 0 measures none."""
    save_every: int = 1000
    """Steps between checkpoints."""
    keep_last: int = 2
    """How many of the latest checkpoints stay, besides the best one and the latest healthy one; 1 keeps two as well,
    for one alone could get damaged."""
    on_collapse: OnCollapse = "warn"
    """What to do when a collapse is seen: say so and go on, go back to the last healthy checkpoint (`rollback`) and on
    from there with other draws and lower learning rates, or `stop`."""
    rollback_lr_factor: float = 0.5
    """What both learning rates are multiplied by at each rollback; 1 keeps them."""
    max_rollbacks: int = 3
    """After so many rollbacks the next collapse ends the run."""

    def __post_init__(self) -> None:
        least = {
            "total_steps": 1,
            "batch_size": 2,
            "accumulate": 1,
            "ghost_size": 2,
            "d_steps": 1,
            "ema_start": 0,
            "steps_before": 0,
            "log_every": 1,
            "sample_every": 0,
            "evaluate_every": 0,
            "save_every": 1,
            "keep_last": 1,
            "max_rollbacks": 1,
            "adaptive_images": 1,
            "lecam_start": 0,
            "freeze_d": 0,
            "penalty_every": 1,
            "fade_steps": 1,
        }
        for field, minimum in least.items():
            if getattr(self, field) < minimum:
                raise ValueError(f"{field} must be at least {minimum}, found {getattr(self, field)}")
        if self.g_batch_size is not None and self.g_batch_size < 2:
            raise ValueError(f"g_batch_size must be at least 2, found {self.g_batch_size}")
        if self.lr_decay_start is not None and self.lr_decay_start < 0:
            raise ValueError(f"lr_decay_start must be at least 0, found {self.lr_decay_start}")
        for field in ("lr_g", "lr_d", "adam_eps"):
            if not getattr(self, field) > 0.0:
                raise ValueError(f"{field} must be above 0, found {getattr(self, field)}")
        for field in ("beta1", "beta2", "ema_decay", "lecam_decay"):
            if not 0.0 <= getattr(self, field) < 1.0:
                raise ValueError(f"{field} must be in [0, 1), found {getattr(self, field)}")
        for field in ("auxiliary_weight", "consistency", "lecam", "r1", "r2", "ema_rampup"):
            if not getattr(self, field) >= 0.0:
                raise ValueError(f"{field} must be at least 0, found {getattr(self, field)}")
        self._check_augmented()
        for name, size in self._batches.items():
            if size % self.accumulate or size // self.accumulate < 2:
                raise ValueError(
                    f"accumulate must divide {name} {size} into micro-batches of at least 2, found {self.accumulate}"
                )
        for field, kind in CHOICES.items():
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
        if self.batch_norm == "ghost":
            self.check_division(1)
        if not 0.0 < self.rollback_lr_factor <= 1.0:
            raise ValueError(f"rollback_lr_factor must be above 0 and at most 1, found {self.rollback_lr_factor}")
        unknown = set(self.augment) - set(get_args(AugmentOp))
        if unknown:
            raise ValueError(f"augment knows {', '.join(get_args(AugmentOp))}, found {sorted(unknown)[0]!r}")

    def _check_augmented(self) -> None:
        for field, value in (("adaptive_augment", self.adaptive_augment), ("consistency", self.consistency)):
            if value and not self.augment:
                raise ValueError(f"{field} needs operations to augment by: set augment as well")
        if self.adaptive_augment is not None and not 0.0 < self.adaptive_augment < 1.0:
            raise ValueError(f"adaptive_augment must be between 0 and 1, found {self.adaptive_augment}")
        if self.consistency and (self.adaptive_augment is not None or self.d_vectors == "separate"):
            raise ValueError("consistency goes with neither adaptive_augment nor d_vectors separate; leave one away")
        if self.consistency and self.penalises:
            raise ValueError("consistency does not go with r1 and r2; leave one away")
        if self.loss == "relativistic" and self.adaptive_augment is not None:
            raise ValueError("adaptive_augment goes by the sign of D's logits, which loss relativistic leaves open")
        if self.loss == "relativistic" and self.generator_batch != self.batch_size:
            raise ValueError(
                f"loss relativistic pairs pictures: g_batch_size must be batch_size {self.batch_size} or unset, "
                f"found {self.g_batch_size}"
            )

    @property
    def penalises(self) -> bool:
        """Whether D's gradients are penalised, so that it is differentiated twice."""
        return bool(self.r1 or self.r2)

    @property
    def generator_batch(self) -> int:
        """Generated images in a generator update."""
        return self.batch_size if self.g_batch_size is None else self.g_batch_size

    @property
    def kept(self) -> int:
        """How many of the latest checkpoints stay."""
        return max(2, self.keep_last)

    @property
    def most_checkpoints(self) -> int:
        """How many checkpoints lie in a run's folder at most.

        Beside the latest ones the best, the latest healthy one, and one that is being written before the oldest goes; a
        run that may go back also keeps that to go back to and the best one from before it.
        """
        return self.kept + (5 if self.on_collapse == "rollback" else 3)

    @property
    def _batches(self) -> dict[str, int]:
        """The batches that are cut, by the field that says how large they are."""
        return {name: getattr(self, name) for name in ("batch_size", "g_batch_size") if getattr(self, name) is not None}

    def one_micro_batch(self, accumulate: int) -> "TrainConfig":
        """Give a recipe whose step is one of ``accumulate`` equal micro-batches of this one's."""
        g_batch_size = None if self.g_batch_size is None else self.g_batch_size // accumulate
        return replace(self, batch_size=self.batch_size // accumulate, g_batch_size=g_batch_size, accumulate=1)

    def check_division(self, world_size: int) -> None:
        """Check that batches can be cut into micro-batches, and those into equal parts for the processes.

        Raises:
            ValueError: If not, or the parts are smaller than 2 images, or no multiple of the groups of ``ghost``.
        """
        cuts = self.accumulate * world_size
        in_micro_batches = f" in {self.accumulate} micro-batches" if self.accumulate > 1 else ""
        for name, size in self._batches.items():
            if size % cuts or size // cuts < 2:
                raise ValueError(
                    f"{name} {size}{in_micro_batches} cannot be shared equally by {world_size} processes, "
                    f"at least 2 images each; take a multiple of {cuts} from {2 * cuts} on, or another number of "
                    "processes"
                )
            if self.batch_norm == "ghost" and size // cuts % self.ghost_size:
                raise ValueError(
                    f"ghost_size must divide the {size // cuts} images that a process normalises at a time "
                    f"({name} {size}{in_micro_batches}, processes: {world_size}), found {self.ghost_size}"
                )


Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Compile = Literal["auto", "on", "graphs", "off"]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What a run computes on.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    device: Device = "auto"
    """Where to compute; `auto` takes a GPU where there is one."""
    precision: Precision = "auto"
    """Arithmetic of the networks; `auto` is bf16 autocast on a GPU that has it, else fp32."""
    channels_last: bool = True
    """Keep feature maps channels-last in memory, which most convolution kernels like better: equal up to rounding."""
    compile: Compile = "auto"
    """Run the networks through torch.compile: equal up to rounding; `auto` is off, as compiling takes minutes. `graphs`
    also asks for CUDA graphs, which save launches and memory; needs a CUDA device and `accumulate` 1."""
    step_graph: bool = False
    """On CUDA, record the step as one CUDA graph and replay it: equal up to rounding, and faster where networks are
    small, so that kernels take longer to launch than to compute. For one process."""
    cudnn_benchmark: bool = False
    """On CUDA, let cuDNN try its kernels at the first step of each shape and keep the fastest: some percent faster, but
    two runs may choose otherwise and then no longer agree bit for bit."""
    deterministic: bool = False
    """Compute only with kernels that give the same bits each time: on CUDA two runs then agree bit for bit, at some
    cost; an operation without such a kernel ends the run. On a processor runs agree with it and without."""

    def __post_init__(self) -> None:
        if self.deterministic and self.cudnn_benchmark:
            raise ValueError("deterministic cannot be with cudnn_benchmark, whose choice of kernels varies: drop one")
        if self.deterministic and self.compile in ("on", "graphs"):
            raise ValueError(f"deterministic cannot be with compile {self.compile}, which times kernels: drop one")
        if self.step_graph and self.compile == "graphs":
            raise ValueError("step_graph cannot be with compile graphs, which records parts of the step: drop one")
        for field, kind in (("device", Device), ("precision", Precision), ("compile", Compile)):
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
