"""Collapse and divergence while training: what is watched, what it is called, what usually helps.

Pure: a :class:`Watch` is fed numbers that are there anyway - the means of a line of the log, the spectral norms of both
networks, the fixed samples that are drawn for people - and says once when something begins and once when it is over.
It knows no files, and nothing here changes the training state. docs/collapse.md has the measurements behind the limits.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from sagan.ops.spectral import spectral_norms
from sagan.randomness import keyed_generator
from sagan.training.config import TrainConfig

Floats = NDArray[np.float64]

REMEDY = "Lower learning rates usually help, or spectral normalisation on both networks"

POWER_ITERATIONS = 20
CELLS = 8
# Real pictures of a class that the samples are compared with, at most, and at least: fewer say nothing of how varied a
# class is.
REAL_PER_CLASS = 200
LEAST_PER_CLASS = 8
# As many draws of real pictures decide whether their classes can be told apart at all.
TRIALS = 100
# ... namely if each of them finds at least this share of the squared distance that all the pictures have.
SAFE_SHARE = 0.5
NOT_FINITE = "not finite"
OVERFITTING = "over-fitting"
COPIES = "copies"
FITS = {
    "logits": "held-out logits, on the way from trained (0) to generated (1)",
    "copies": "share of samples that are near one training picture alone",
}
"""Quantities that tell of over-fitting, by the name that a log has them under."""
NO_CURE_BACK = (OVERFITTING, COPIES)
"""What would come again after a rollback: it has no cure in other draws and lower rates."""
JUDGED = ("loss_d", "loss_g", "real_logits", "fake_logits")
"""Means of a line that are compared with a limit."""
# D's loss when it tells nothing apart.
GUESSING = {"hinge": 2.0, "non-saturating": 2.0 * math.log(2.0), "relativistic": math.log(2.0)}
# Observations in a row count for something only if they reach over so many steps, however often the log is written: the
# first few steps of a run are anything.
MIN_STEPS = 30


class DivergedError(RuntimeError):
    """Training produced a number that is not finite, or collapsed in another way; a checkpoint from before is kept."""


@dataclass(frozen=True)
class Symptom:
    """Something that is watched: one quantity on the wrong side of a limit, several times in a row."""

    name: str
    """What it is called."""
    quantity: str
    """What is looked at."""
    side: Literal["above", "below"]
    """Which side of the limit is wrong."""
    limit: float
    """The limit."""
    patience: int
    """How often in a row before it is said: lines of the log, or looks at the samples."""
    grace_steps: int
    """As long as the quantity has not been right once, steps before this one do not count."""
    helps: str
    """What usually helps."""

    def wrong(self, value: float) -> bool:
        """Tell whether a value is on the wrong side; one that is not a number is."""
        return not (value <= self.limit if self.side == "above" else value >= self.limit)


SYMPTOMS = (
    Symptom(
        "diverged",
        "larger loss / loss of guessing",
        "above",
        10.0,
        3,
        0,
        "lower both learning rates; keep spectral normalisation on in both networks",
    ),
    Symptom(
        "discriminator saturated",
        "loss D / loss of guessing",
        "below",
        0.05,
        10,
        0,
        "lower --train.lr-d or --train.d-steps, raise --train.lr-g, or augment what D sees (--train.augment) where "
        "pictures are few",
    ),
    Symptom(
        "discriminator fooled",
        "logits real - fake",
        "below",
        0.02,
        3,
        0,
        "raise --train.lr-d or --train.d-steps, lower --train.lr-g; where D stands still at 0, lower both learning "
        "rates or augment less",
    ),
    Symptom(
        "spectral norm drift",
        "largest singular value",
        "above",
        2.0,
        3,
        0,
        "lower the learning rate of that network: its weights turn faster than one power iteration an update follows",
    ),
    Symptom(
        "variety within classes lost",
        "variety within classes",
        "below",
        0.25,
        3,
        500,
        "lower --train.lr-g, take larger batches or --train.d-steps 2; go back to a checkpoint from before",
    ),
    Symptom(
        "classes alike",
        "variety between classes",
        "below",
        0.25,
        3,
        3000,
        "give D the labels (--discriminator.head projection), take a narrower noise or larger batches, train longer "
        "where classes have not come yet; check the labels with `sagan data check`",
    ),
    Symptom(
        OVERFITTING,
        FITS["logits"],
        "above",
        0.5,
        5,
        0,
        "more pictures, --train.augment color translation cutout, or a run on other pictures to start from "
        "(--init-from RUN): D knows its pictures by heart, and teaches G nothing else",
    ),
    Symptom(
        COPIES,
        FITS["copies"],
        "above",
        0.25,
        3,
        0,
        "more pictures, or what helps against over-fitting; `sagan evaluate --neighbours FILE` shows samples "
        "beside the pictures nearest to them",
    ),
)
RAN_AWAY = "ran away"
RAN_AWAY_LIMIT = 1e5
"""Losses and logits above this are no training any more. Of all runs whose logs this project keeps, the largest loss is
2.9 and the largest logits, of a discriminator that knows its pictures by heart, are 235; rates of 0.5 gave 4e6."""
HELPS_NOT_FINITE = "lower both learning rates, keep spectral normalisation on in both networks, use fp32"


@dataclass(frozen=True)
class Finding:
    """Something that begins or is over."""

    name: str
    """One of the names of :data:`SYMPTOMS`, or "not finite"."""
    step: int
    """When it was said; the first sign was the patience before."""
    over: bool
    """Whether it is over, otherwise it begins."""
    quantity: str
    """What was looked at."""
    value: float
    """What it was."""
    limit: float | None
    """The limit that it is on the wrong side of; none for what is not finite."""
    times: int
    """Observations in a row that say so."""
    helps: str
    """What usually helps."""

    def record(self) -> dict[str, object]:
        """Give the line for the log."""
        return {
            "step": self.step,
            "health": self.name,
            "over": self.over,
            "quantity": self.quantity,
            "value": self.value,
            "limit": self.limit,
            "times": self.times,
            "helps": self.helps,
        }

    def __str__(self) -> str:
        limit = "" if self.limit is None else f" (limit {self.limit:g}, {self.times} times in a row)"
        seen = f"{self.quantity} {self.value:.3g}{limit}"
        if self.over:
            return f"health: {self.name} is over at step {self.step:,}: {seen}"
        return f"health: {self.name} at step {self.step:,}: {seen}. What usually helps: {self.helps}"


class Watch:
    """Follows all symptoms through a run.

    Args:
        config: The recipe; the loss says what guessing costs, the moving average when samples first mean something.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.guessing = GUESSING[config.loss]
        # Before this the moving average still holds much of the untrained weights, and its samples are all alike.
        self.first_look = round(3.0 / (1.0 - config.ema_decay)) if config.ema_decay > 0.0 else 0
        self.active: dict[str, int] = {}
        """Symptoms that are there, by the step at which they were said."""
        self.against: dict[str, tuple[int, int]] = {}
        """How many observations in a row contradict what is believed of a symptom, and the step of the first."""
        self.seen_right: set[str] = set()
        """Symptoms whose quantity has been right once."""

    @property
    def healthy(self) -> bool:
        """Whether there is neither a symptom nor the first sign of one."""
        return not self.active and not self.against

    @property
    def sound(self) -> bool:
        """Whether there is neither a symptom nor the first sign of one, but for what a rollback has no cure for."""
        return not {*self.active, *self.against} - {*NO_CURE_BACK}

    def log_line(self, step: int, means: Mapping[str, float], sigma: float) -> list[Finding]:
        """Take a line of the log.

        Args:
            step: Its step.
            means: Means since the line before; loss_d, loss_g, real_logits and fake_logits are read, all are checked.
            sigma: The largest singular value of a normalised weight of both networks, 1 if there is none.
        """
        for name, value in means.items():
            if not math.isfinite(value):
                return self.not_finite(step, name, value)
        for name in JUDGED:
            if abs(means[name]) > RAN_AWAY_LIMIT:
                return self.ran_away(step, name, means[name])
        return self._take(
            step,
            {
                "larger loss / loss of guessing": max(means["loss_d"], abs(means["loss_g"])) / self.guessing,
                "loss D / loss of guessing": means["loss_d"] / self.guessing,
                "logits real - fake": means["real_logits"] - means["fake_logits"],
                "largest singular value": sigma,
            },
        )

    def look(self, step: int, variety: Mapping[str, float]) -> list[Finding]:
        """Take what :func:`variety` says of the fixed samples."""
        if step < self.first_look:
            return []
        return self._take(step, {f"variety {kind} classes": value for kind, value in variety.items()})

    def fit(self, step: int, found: Mapping[str, float]) -> list[Finding]:
        """Take what :mod:`sagan.training.overfitting` says: of "logits" of D, of "copies" among the fixed samples."""
        return self._take(step, {FITS[name]: value for name, value in found.items() if name in FITS})

    def not_finite(self, step: int, name: str, value: float) -> list[Finding]:
        """Take a number that is not finite: no patience, for nothing good comes after it."""
        if NOT_FINITE in self.active:
            return []
        self.active[NOT_FINITE] = step
        return [Finding(NOT_FINITE, step, False, name, value, None, 1, HELPS_NOT_FINITE)]

    def ran_away(self, step: int, name: str, value: float) -> list[Finding]:
        """Take a loss or logits beyond all bounds: no patience, as for what is not finite, which comes next."""
        if RAN_AWAY in self.active:
            return []
        self.active[RAN_AWAY] = step
        return [Finding(RAN_AWAY, step, False, name, value, RAN_AWAY_LIMIT, 1, HELPS_NOT_FINITE)]

    def state_dict(self) -> dict[str, object]:
        """Give what a checkpoint holds of it."""
        against = {name: list(counted) for name, counted in self.against.items()}
        return {"active": dict(self.active), "against": against, "seen_right": sorted(self.seen_right)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take over what :meth:`state_dict` gave; an empty one, of an older checkpoint, knows of nothing."""
        self.active = dict(state.get("active", {}))  # type: ignore[call-overload]
        self.against = {name: (times, since) for name, (times, since) in state.get("against", {}).items()}  # type: ignore[attr-defined]
        self.seen_right = set(state.get("seen_right", ()))  # type: ignore[call-overload]

    def _take(self, step: int, values: Mapping[str, float]) -> list[Finding]:
        findings = []
        for symptom in SYMPTOMS:
            if symptom.quantity not in values:
                continue
            value, name = values[symptom.quantity], symptom.name
            wrong, active = symptom.wrong(value), name in self.active
            if not wrong:
                self.seen_right.add(name)
            early = name not in self.seen_right and step < symptom.grace_steps
            if wrong == active or early:
                self.against.pop(name, None)
                continue
            times, since = self.against.get(name, (0, step))
            times += 1
            if times < symptom.patience or step - since < MIN_STEPS:
                self.against[name] = times, since
                continue
            self.against.pop(name, None)
            if active:
                del self.active[name]
            else:
                self.active[name] = step
            findings.append(Finding(name, step, active, symptom.quantity, value, symptom.limit, times, symptom.helps))
        return findings


# Spectral norms


@torch.no_grad()
def largest_sigma(network: nn.Module, iterations: int = POWER_ITERATIONS) -> float:
    """Find the largest singular value of all spectrally normalised weights as they are used; 1 if there are none.

    A weight is used as W / (u^T W v). Where u and v have fallen behind W, that divides by too little, and the true
    value is above 1. It is found by further iterations on copies: neither u nor v moves.
    """
    ratios = []
    for norm, weight in spectral_norms(network):
        matrix = weight.detach().flatten(1).float()
        u, used = norm.u.float(), torch.dot(norm.u.float(), torch.mv(matrix, norm.v.float()))
        for _ in range(iterations):
            v = F.normalize(torch.mv(matrix.t(), u), dim=0)
            u = F.normalize(torch.mv(matrix, v), dim=0)
        ratios.append(torch.dot(u, torch.mv(matrix, v)) / used.abs())
    return float(torch.stack(ratios).max()) if ratios else 1.0


# Variety of samples, in the colours of 8x8 cells


@dataclass(frozen=True)
class RealPictures:
    """What samples are compared with: the spread of the real pictures of the classes that are drawn."""

    within: float
    """Mean distance of two pictures of a class, averaged over the classes; NaN where no class has enough of them."""
    between: float
    """Mean squared distance of the means of two classes, above 0; NaN where there are no two with enough pictures, or
    so few samples cannot tell them apart."""


def cells(images: NDArray[np.uint8]) -> Floats:
    """Average pictures down to the colours of 8x8 cells.

    Where 8 does not divide a side, a cell also has the pixels that it shares with the next one.

    Shape: uint8 (N, H, W, 3) -> float64 (N, 192) in [0, 1].
    """
    n, height, width, _ = images.shape
    if height % CELLS or width % CELLS:
        pixels = torch.tensor(images, dtype=torch.float64).permute(0, 3, 1, 2)
        means = F.adaptive_avg_pool2d(pixels, CELLS).permute(0, 2, 3, 1)
        shared: Floats = means.reshape(n, 3 * CELLS**2).numpy() / 255.0
        return shared
    parts = images.reshape(n, CELLS, height // CELLS, CELLS, width // CELLS, 3)
    points: Floats = parts.mean((2, 4), dtype=np.float64).reshape(n, 3 * CELLS**2) / 255.0
    return points


def real_pictures(images: NDArray[np.uint8], labels: NDArray[np.int64], num: int) -> RealPictures:
    """Measure the real pictures.

    Classes of fewer than LEAST_PER_CLASS pictures do not count. Classes that ``num`` real pictures of each cannot tell
    apart safely in so coarse a measure - cars and lorries are no stripes of colour - are not asked of samples either:
    ``between`` is then NaN.

    Args:
        images: Pictures of the classes that are drawn, uint8 (N, H, W, 3).
        labels: Their classes, int64 (N,).
        num: Samples of each class that will be compared with them.
    """
    points = cells(images)
    members = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    members = [m for m in members if len(m) >= LEAST_PER_CLASS]
    if not members:
        return RealPictures(math.nan, math.nan)
    counted = np.concatenate(members)
    within, between = spread(points[counted], labels[counted])
    if not between > 0.0:  # less than what is taken off for means of few pictures, or one class
        return RealPictures(within, math.nan)
    rng = keyed_generator(0, "health")
    chosen = np.repeat(np.arange(len(members)), num)
    draws = (np.concatenate([rng.choice(m, num, replace=len(m) < num) for m in members]) for _ in range(TRIALS))
    trials = [spread(points[draw], chosen)[1] for draw in draws]
    return RealPictures(within, between if min(trials) > SAFE_SHARE * between else math.nan)


def variety(images: NDArray[np.uint8], labels: NDArray[np.int64], real: RealPictures) -> dict[str, float]:
    """Compare the spread of samples with that of the real pictures; 1 is as varied.

    Returns:
        "within" classes, and "between" classes if there are several and the real ones can be told apart.
    """
    within, between = spread(cells(images), labels)
    found = {"within": within / real.within} if real.within > 0.0 else {}  # nothing for NaN
    if math.isfinite(real.between):
        found["between"] = math.sqrt(max(0.0, between) / real.between)
    return found


def spread(points: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Measure how far points of a class lie apart, and how far classes do.

    Shape: points (N, d), labels (N,).

    Returns:
        The mean distance of two points of a class, averaged over classes of at least two points; and the mean squared
        distance of the means of two classes, less what their being means of few points adds: it is unbiased, so it can
        fall below 0, and NaN with fewer than two classes.
    """
    within, means, noise = [], [], []
    for k in np.unique(labels):
        own = points[labels == k]
        n = len(own)
        if n < 2:
            continue
        x = own - own[0]  # equal points are then 0 apart, however products are rounded
        squares = (x**2).sum(1)
        distances = np.sqrt((squares[:, None] + squares[None] - 2.0 * x @ x.T).clip(0.0))
        within.append(distances.sum() / (n * (n - 1)))
        means.append(own.mean(0))
        noise.append(((own - means[-1]) ** 2).sum() / (n - 1) / n)
    between = [((means[i] - means[j]) ** 2).sum() - noise[i] - noise[j] for i in range(len(means)) for j in range(i)]
    return float(np.mean(within)) if within else math.nan, float(np.mean(between)) if between else math.nan
