"""Before a run starts: what memory, time and disk it will take on this machine, and how to cut its batches to fit.

A few steps are really done, at one or two sizes of micro-batch. Memory is a straight line in the micro-batch (networks,
optimisers and the program itself, and activations for each image), and so is time; where the micro-batch that is chosen
was itself measured, its own numbers are taken.
"""

import math
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from rich.console import Console

from sagan.data import DataSize, data_size
from sagan.data.batches import refuse_too_few
from sagan.data.heldout import count_held_out
from sagan.data.pack import Found, listed
from sagan.generators.pretrained import PREVIEW_BATCH_SIZE, PREVIEW_BATCHES, STANDING_BATCH_SIZE, STANDING_BATCHES
from sagan.recipes.build import with_classes
from sagan.recipes.config import RunConfig
from sagan.runs.folder import size
from sagan.runs.means import LOOK_BATCH
from sagan.runs.samples import GRID_CLASSES, GRID_COLUMNS
from sagan.speed.step import StepCost, measure_step
from sagan.training.config import TrainConfig

# What a prediction may take of the memory: it can be a little wrong, and other programs grow.
USABLE = 0.9
# Steps to time at each size, and after how many seconds there are fewer.
ROUNDS, LIMIT_S = 20, 8.0
# A further size is measured where its first steps are expected to take at most so long.
FIRST_STEPS, AFFORDABLE_S = 4, 20.0
# Below this share of the processor time that its threads could have had, a step was kept waiting by others.
BUSY = 0.7
DAY_S = 86_400.0
LONG_S = 14 * DAY_S
EVALUATED_SAMPLES = 50_000
# At most so many pictures are decoded to see whether they can be.
LOOKED_AT = 10_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will take."""

    config: RunConfig
    """The run, its batches cut to fit."""
    data: DataSize | None
    """Its pictures, if they were named."""
    costs: dict[int, StepCost]
    """What was measured: {images in a micro-batch: cost of a step of that one micro-batch}."""
    step_s: float
    """Seconds a step."""
    peak_bytes: int | None
    """Memory at the peak; None if this system does not tell."""
    limit_bytes: int | None
    """Memory that there is, or that was allowed; None if unknown."""

    @property
    def micro_batch(self) -> int:
        """Images in a micro-batch."""
        return self.config.train.batch_size // self.config.train.accumulate

    @property
    def training_s(self) -> float:
        """Seconds of all steps."""
        return self.config.train.total_steps * self.step_s

    @property
    def reports_s(self) -> float:
        """Seconds of what happens between the steps: pictures, the monitor, logits on real pictures."""
        train, steps = self.config.train, self.config.train.total_steps
        draws, measures = due(steps, train.sample_every), due(steps, train.evaluate_every)
        samples = len(draws | measures) * PREVIEW_BATCHES * PREVIEW_BATCH_SIZE if self._standing else 0
        samples += len(draws) * GRID_CLASSES * GRID_COLUMNS + len(measures) * self.config.monitor.num
        judged = len(due(steps, train.log_every)) * 2 * LOOK_BATCH
        return samples * self._cost.sample_s + judged * self._cost.judge_s

    @property
    def closing_s(self) -> float:
        """Seconds after the last step: standing statistics for the weights file."""
        return STANDING_BATCHES * STANDING_BATCH_SIZE * self._cost.sample_s if self._standing else 0.0

    @property
    def total_s(self) -> float:
        """Seconds from the first step to the end."""
        return self.training_s + self.reports_s + self.closing_s

    @property
    def _standing(self) -> bool:
        return self.config.generator.sampling_norm == "standing"

    @property
    def _cost(self) -> StepCost:
        """What the largest measured micro-batch cost: the nearest to the one that is chosen."""
        return self.costs[max(self.costs)]

    def text(self, command: str) -> str:
        """Give the plan as lines of text.

        Args:
            command: What starts the run, see :func:`train_command`.
        """
        train, first = self.config.train, self.costs[min(self.costs)]
        how = "measured" if self.micro_batch in self.costs else "extrapolated"
        images = " and ".join(f"{m:,}" for m in self.costs)
        pieces = f" in {train.accumulate} micro-batches of {self.micro_batch:,}" if train.accumulate > 1 else " at once"
        more = f"; {train.generator_batch:,} generated in a generator update" if train.g_batch_size is not None else ""
        memory = "unknown, this system does not tell"
        if self.peak_bytes is not None and self.limit_bytes is not None:
            memory = f"{size(self.peak_bytes)} at the peak ({how}), {size(self.limit_bytes)} to use"
        lines = [
            f"machine:  {first.device}; {first.threads} thread(s); steps of {images} images were done here",
            f"batch:    {train.batch_size:,}{pieces}{more}",
            f"memory:   {memory}",
            f"time:     {self.step_s:.3g} s a step ({how}), {train.batch_size / self.step_s:,.3g} images/s; "
            f"{train.total_steps:,} steps take {long_time(self.training_s)}",
            f"          log, samples and monitor{self._uncounted()} {long_time(self.reports_s)}, the weights file "
            f"at the end {long_time(self.closing_s)}: {long_time(self.total_s)} in all",
            f"disk:     {size(first.checkpoint_bytes)} a checkpoint, up to "
            f"{size(first.checkpoint_bytes * train.most_checkpoints)} in all",
            f"pictures: {self._pictures()}",
            f"judging:  `sagan evaluate` draws {EVALUATED_SAMPLES:,} samples in "
            f"{long_time(EVALUATED_SAMPLES * self._cost.sample_s)}; `sagan benchmark --what features` tells the rest",
        ]
        if self.busy:
            lines.append(
                "note:     other programs kept this machine busy meanwhile; on a quiet one these times are shorter"
            )
        if self.total_s > LONG_S:
            lines.append(self._instead())
        return "\n".join([*lines, f"start:    {command}"])

    @property
    def busy(self) -> bool:
        """Whether other programs took the processor while it was measured."""
        cost = self._cost
        on_gpu = cost.device.startswith(("cuda", "mps"))
        return not on_gpu and cost.processor_s < BUSY * cost.threads * cost.seconds.median

    def _uncounted(self) -> str:
        network = self.config.monitor.features
        unknown = network != "pixels" and self.config.train.evaluate_every
        return f" (without the time of {network}, which `sagan benchmark` tells)" if unknown else ""

    def _pictures(self) -> str:
        num_classes = self.config.generator.num_classes
        classes = f"{num_classes:,} classes" if num_classes else "no classes"
        if self.data is None:
            return f"none named with --data; {classes} assumed"
        packed = f"{size(self.data.new_bytes)} on disk once decoded" if self.data.new_bytes else "decoded already"
        said = f"{self.data.num_images:,} in {classes}; {packed}"
        if self.data.unreadable:
            done = "are left out" if self.config.data.skip_unreadable else "need --data.skip-unreadable, as below"
            said += f"\n          not readable, so that they {done}: {listed(self.data.unreadable)}"
        if 0 < self.data.looked_at < self.data.num_images + len(self.data.unreadable):
            said += f"\n          {self.data.looked_at:,} of them were looked at, `sagan data check` looks at all"
        return said

    @property
    def must_skip(self) -> bool:
        """Whether the run needs ``--data.skip-unreadable`` beside what was asked for."""
        return self.data is not None and bool(self.data.unreadable) and not self.config.data.skip_unreadable

    def _instead(self) -> str:
        in_a_day = int(DAY_S * 0.95 / self.step_s)
        advice = f"WARNING:  {long_time(self.total_s)} is too long to be of use; "
        if self._cost.device.startswith("cuda"):
            advice += "take a smaller --size or --base-width, or several GPUs"
        else:
            advice += (
                "take a machine with a GPU, or a preset made for processors (--preset sagan-32-cpu or sagan-64-cpu), "
                "or a smaller --size or --base-width"
            )
        return f"{advice}. In a day this machine does {in_a_day:,} such steps (--steps {in_a_day})"


def make_plan(
    config: RunConfig,
    *,
    with_data: bool = True,
    limit_bytes: int | None = None,
    processes: int = 1,
    console: Console | None = None,
) -> Plan:
    """Do a few steps of a run and predict what all of it takes; nothing is left behind.

    Args:
        config: The run. ``accumulate`` is the least number of micro-batches; more are taken if they are needed.
        with_data: Count the pictures and classes of ``config.data``; else the networks' own number of classes counts.
        limit_bytes: Memory that the run may take; unset is what is available.
        processes: How many must be able to share each micro-batch equally.
        console: Where to say what is being done.

    Returns:
        Memory in bytes, time in seconds, disk in bytes, and the configuration with as many micro-batches as it needs.

    Raises:
        ValueError: If there is no configuration, not even the smallest micro-batch fits, there are fewer pictures than
            a batch has, or the device that is asked for is not there.
        DataError: If the data cannot be used.
    """
    if not isinstance(config, RunConfig):
        raise ValueError(f"plan takes a configuration, as sagan.preset(data=PICTURES) makes one, found {config!r}")
    data = None
    if with_data:
        size_px = config.generator.image_size
        show = console is not None
        data = data_size(config.data, size_px, look_at=LOOKED_AT, progress=show, look=partial(_check_found, config))
        config = with_classes(config, data.num_classes)
        check_enough(config, data)
    costs, limit, micro_batch = _chosen(config, micro_batches(config.train, processes), limit_bytes, console)
    accumulate = config.train.batch_size // micro_batch
    return Plan(
        config=replace(config, train=replace(config.train, accumulate=accumulate)),
        data=data,
        costs=costs,
        step_s=step_seconds(costs, micro_batch, accumulate),
        peak_bytes=peak_bytes(costs, micro_batch),
        limit_bytes=limit,
    )


def _chosen(
    config: RunConfig, sizes: list[int], limit_bytes: int | None, console: Console | None
) -> tuple[dict[int, StepCost], int | None, int]:
    """Measure steps at one or two of the sizes or more, until the micro-batch to take is known.

    Returns:
        What the steps cost by size, the memory that there is, and the micro-batch.
    """

    def measured(micro_batch: int) -> StepCost:
        if console is not None:
            console.print(f"doing steps of {micro_batch:,} images in a process of their own ...")
        train = config.train.one_micro_batch(config.train.batch_size // micro_batch)
        return measure_step(replace(config, train=train), rounds=ROUNDS, limit_s=LIMIT_S)

    try:
        costs = {sizes[0]: measured(sizes[0])}
    except MemoryError as error:
        raise ValueError(f"{error}; {TOO_LARGE}") from error
    first = costs[sizes[0]]
    limit = limit_bytes if limit_bytes is not None else first.available_bytes
    micro_batch = second_size(sizes, first, limit)
    # A line needs two points; from then on a size is measured because it may be the one to take.
    while micro_batch not in costs:
        try:
            costs[micro_batch] = measured(micro_batch)
        except MemoryError:
            sizes = [m for m in sizes if m < micro_batch]
        micro_batch = largest_fitting(sizes, costs, limit)
        if FIRST_STEPS * step_seconds(costs, micro_batch, 1) > AFFORDABLE_S:
            break
    return costs, limit, largest_fitting(sizes, costs, limit)


TOO_LARGE = "take a smaller --size or --base-width, or a machine with more memory"


def _check_found(config: RunConfig, found: Found) -> None:
    check_enough(config, DataSize(found.num_images, len(found.class_names), 0))


def check_enough(config: RunConfig, data: DataSize) -> None:
    """Refuse a batch that has more pictures than there are to train on.

    Raises:
        DataError: If it has; the message says what helps.
    """
    train, (fraction, most) = config.train, (config.data.holdout_fraction, config.data.holdout_max)
    held_out = count_held_out(data.num_images, max(1, data.num_classes), fraction, most)
    to_train = data.num_images - held_out
    refuse_too_few(config.data.path, data.num_images, to_train, train.batch_size, train.accumulate)


def micro_batches(train: TrainConfig, processes: int = 1) -> list[int]:
    """List the sizes of equal micro-batches, ascending, that leave at least ``accumulate`` of them.

    Each is one that so many processes can share equally.
    """
    sizes = []
    for size_ in range(1, train.batch_size // train.accumulate + 1):
        if train.batch_size % size_ == 0:
            with suppress(ValueError):  # too small for batch normalisation, or no cut for the generator's batch
                cut = replace(train, accumulate=train.batch_size // size_)
                if processes > 1:
                    cut.check_division(processes)
                sizes.append(size_)
    return sizes


def second_size(sizes: Sequence[int], first: StepCost, limit: int | None) -> int:
    """Choose the second micro-batch to measure: the largest that is quickly done and surely fits, else the next one.

    Args:
        sizes: All that are possible; the first one was measured.
        first: What it cost.
        limit: Bytes that there are.
    """

    def affordable(micro_batch: int) -> bool:
        # As if all of the time, and all of the memory but the program's, grew with the batch: too much, so it is safe.
        ratio = micro_batch / sizes[0]
        if FIRST_STEPS * ratio * first.seconds.low > AFFORDABLE_S:
            return False
        if first.run_bytes is None or first.base_bytes is None or limit is None:
            return True
        return first.base_bytes + ratio * (first.run_bytes - first.base_bytes) <= USABLE * limit

    return max((m for m in sizes[1:] if affordable(m)), default=sizes[min(1, len(sizes) - 1)])


def largest_fitting(sizes: Sequence[int], costs: dict[int, StepCost], limit: int | None) -> int:
    """Choose the largest micro-batch whose predicted peak fits into the memory.

    Raises:
        ValueError: If none does.
    """
    if limit is None or peak_bytes(costs, sizes[0]) is None:
        return sizes[-1]
    needs = {m: peak_bytes(costs, m) or 0 for m in sizes}
    fitting = [m for m, need in needs.items() if need <= USABLE * limit]
    if not fitting:
        raise ValueError(
            f"a step in micro-batches of {sizes[0]}, the smallest that the batch can be cut into, takes "
            f"{size(needs[sizes[0]])} and {size(limit)} are to use, of which a tenth stays free; {TOO_LARGE}"
        )
    return max(fitting)


def peak_bytes(costs: dict[int, StepCost], micro_batch: int) -> int | None:
    """Predict the peak memory of a run: of its steps or of the sampling between them, on a CPU of both together.

    There the memory that the steps give back lies in pieces, too small for the large batches of the sampling.
    """
    points = {m: float(cost.peak_bytes) for m, cost in costs.items() if cost.peak_bytes is not None}
    first = costs[min(costs)]
    if not points or first.run_bytes is None or first.base_bytes is None or first.state_bytes is None:
        return None
    steps = round(on_line(points, micro_batch))
    if first.device.startswith("cuda"):
        return max(steps, first.run_bytes)
    return steps + first.run_bytes - first.base_bytes - first.state_bytes


def step_seconds(costs: dict[int, StepCost], micro_batch: int, accumulate: int) -> float:
    """Predict the seconds of a step of several micro-batches; optimisers and moving average run once in it."""
    once = on_line({m: cost.seconds.median for m, cost in costs.items()}, micro_batch)
    update = min(once, min(cost.update_s for cost in costs.values()))
    return update + accumulate * (once - update)


def on_line(points: dict[int, float], x: int) -> float:
    """Read a value off the straight line through one or two points; what was measured is given as it is."""
    if x in points:
        return points[x]
    (x0, y0), (x1, y1) = (min(points.items()), max(points.items()))
    return y0 if x0 == x1 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def due(steps: int, every: int) -> set[int]:
    """Give the steps at which something happens that is done every so many steps and after the last one."""
    return {*range(every, steps + 1, every), steps} if every else set()


def train_command(arguments: Sequence[str], accumulate: int, *, skip_unreadable: bool = False) -> str:
    """Write the ``sagan train`` command that does what was planned, from the arguments of ``sagan plan``."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        name = argument.split("=")[0].replace("_", "-")
        if skip:
            skip = False
        elif name in ("--memory-limit", "--train.accumulate"):
            skip = "=" not in argument
        else:
            kept.append(argument)
    if not any(argument.split("=")[0] == "--data" for argument in kept) and "demo" not in kept:
        kept += ["--data", "PICTURES"]
    if accumulate > 1:
        kept += ["--train.accumulate", str(accumulate)]
    if skip_unreadable:
        kept.append("--data.skip-unreadable")
    return shlex.join(["sagan", "train", *kept])


def long_time(seconds: float) -> str:
    """Write a time from seconds to years for people."""
    for unit, length in (("years", 365.25 * DAY_S), ("days", DAY_S), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            count = seconds / length
            return f"{count:.1f} {unit}" if count < 10 else f"{math.floor(count + 0.5):,} {unit}"
    return f"{seconds:.0f} s"
