"""What would fit into the memory, said where a run has too little of it."""

import gc
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from sagan.machine import is_out_of_memory
from sagan.places import in_bytes
from sagan.recipes.config import RunConfig
from sagan.speed.memory import control_group_room
from sagan.speed.plan import TOO_LARGE, make_plan, micro_batches

CONTROL_GROUP = Path("/sys/fs/cgroup")
PROGRAM_BYTES = 1_000_000_000
BYTES_A_PLACE = 800
"""What a step takes at most for one image, one place of it and one channel of the base width: about twice as much as
was measured at 128 px (results/speed)."""


@contextmanager
def saying_what_fits(config: RunConfig) -> Iterator[None]:
    """Warn of a limit before a training, and say what would fit if its memory ends.

    Raises:
        OutOfMemoryError: If it does; the message is for people.
    """
    warning = warn_of_limit(config)
    if warning is not None:
        print(warning, file=sys.stderr, flush=True)
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(advice(config, error)) from None


class OutOfMemoryError(RuntimeError):
    """A training has too little memory; the message says what would fit."""


def advice(config: RunConfig, error: BaseException) -> str:
    """Say which smaller micro-batch fits, found by doing steps in processes of their own; this takes up to a minute.

    Args:
        config: What was trained.
        error: Where the memory ended; what it holds is let go of first.
    """
    let_go(error)
    batch, now = config.train.batch_size, config.train.batch_size // config.train.accumulate
    smaller = [size for size in micro_batches(config.train) if size < now]
    said = f"out of memory: steps of {now:,} images at a time do not fit here{_unclear(error)}"
    if not smaller:
        return f"{said}, and the batch cannot be cut further; {TOO_LARGE}"
    print("sagan: out of memory; looking for what would fit (about a minute) ...", file=sys.stderr, flush=True)
    try:
        train = replace(config.train, accumulate=batch // smaller[-1])
        plan = make_plan(replace(config, train=train), with_data=False)
    except (ValueError, RuntimeError, MemoryError) as failed:
        return f"{said}: {failed}"
    fits = plan.config.train
    generated = "" if fits.g_batch_size is None else f" --train.g-batch-size {fits.g_batch_size // fits.accumulate}"
    return (
        f"{said}, {plan.micro_batch:,} do. A new run with --train.accumulate {fits.accumulate} takes its "
        f"batches of {batch:,} in such parts, one with --batch-size {plan.micro_batch}{generated} has smaller ones"
    )


def _unclear(error: BaseException) -> str:
    """Quote an error that may mean something else: cuDNN also finds no engine for what it cannot compute at all."""
    words = (str(error).strip().splitlines() or [""])[0]
    return f" (PyTorch said: {words[:150]})" if words and "memory" not in words.lower() else ""


def let_go(error: BaseException) -> None:
    """Free what the functions held that an error ended, the networks of a training above all.

    Whoever handles the error holds its traceback, and that their variables; so these are cleared, too.
    """
    last: BaseException | None = error
    while last is not None:
        traceback.clear_frames(last.__traceback__)
        before, last.__traceback__ = last.__cause__ or last.__context__, None
        last.__cause__ = last.__context__ = None
        last = before
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def warn_of_limit(config: RunConfig) -> str | None:
    """Say if a control group (a container, a batch system) would end a run for its memory, as it does without a word.

    Steps are tried only where little memory is allowed for so large a batch.

    Returns:
        What to tell, or None.
    """
    room = control_group_room(CONTROL_GROUP)
    if room == sys.maxsize or config.engine.device not in ("auto", "cpu"):
        return None
    height, width = config.generator.image_size
    micro_batch = config.train.batch_size // config.train.accumulate
    channels = max(config.generator.base_width, config.discriminator.base_width)
    if torch.cuda.is_available() or PROGRAM_BYTES + BYTES_A_PLACE * micro_batch * height * width * channels <= room:
        return None
    plan = None
    with suppress(ValueError, RuntimeError, MemoryError):
        plan = make_plan(config, with_data=False)
    if plan is not None and plan.config.train.accumulate == config.train.accumulate:
        return None
    what = (
        "not even the smallest part of a batch fits"
        if plan is None
        else (f"{plan.micro_batch:,} images at a time would fit: --train.accumulate {plan.config.train.accumulate}")
    )
    return (
        f"WARNING: {in_bytes(room)} of memory are left below the limit that is set for this process, too little for "
        f"steps of {micro_batch:,} images; the system may end the run without a word. {what}"
    )
