"""What would fit into the memory, said where a run has too little of it."""

import gc
import sys
from contextlib import suppress
from pathlib import Path

import torch

from sagan.places import in_bytes
from sagan.recipes.config import RunConfig
from sagan.speed.memory import control_group_room
from sagan.speed.plan import make_plan

CONTROL_GROUP = Path("/sys/fs/cgroup")
PROGRAM_BYTES = 1_000_000_000
BYTES_A_PLACE = 800
"""What a step takes at most for one image, one place of it and one channel of the base width: about twice as much as
was measured at 128 px (results/speed)."""


def advice(config: RunConfig, error: BaseException) -> str:
    """Say which micro-batch would fit, found by doing steps in processes of their own; this takes up to a minute.

    Args:
        config: What was trained.
        error: Where the memory ended; what it holds is let go of first.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    print("sagan: out of memory; looking for what would fit (about a minute) ...", file=sys.stderr, flush=True)
    batch = config.train.batch_size
    try:
        plan = make_plan(config, with_data=False)
    except (ValueError, RuntimeError, MemoryError) as failed:
        return f"out of memory: {failed}"
    accumulate = plan.config.train.accumulate
    if accumulate == config.train.accumulate:
        return (
            f"out of memory, though steps of {batch:,} images fit when they are tried alone: other programs, or what "
            "happens between the steps, took the rest; free some, or lower --batch-size"
        )
    return (
        f"out of memory: steps of {batch // config.train.accumulate:,} images at a time do not fit here, "
        f"{plan.micro_batch:,} do. A new run with --train.accumulate {accumulate} takes its batches of {batch:,} in "
        f"such parts, one with --batch-size {plan.micro_batch} has smaller ones"
    )


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
