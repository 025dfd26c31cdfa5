"""What running an experiment takes here, in words."""

from collections.abc import Sequence

import torch
from rich.console import Console

from sagan.experiments.catalogue import Row
from sagan.experiments.jobs import default_jobs, threads_each, updates
from sagan.experiments.row import Order
from sagan.experiments.sweep import Sweep
from sagan.recipes.config import RunConfig
from sagan.runs.folder import size
from sagan.speed.plan import Plan, long_time, make_plan


def cost(sweep: Sweep, orders: Sequence[Order], rows: Sequence[Row]) -> str:
    """Say what an experiment is and what of it is still to run."""
    total = len(rows) * sweep.settings.seeds
    dashes = [row.name for row in sweep.rows if row.config is None]
    lines = [
        f"{sweep.experiment.title}",
        f"scale {sweep.scale}",
        f"data: {sweep.data['source']}, {sweep.data['images']:,} pictures",
        f"rows: {len(rows)} with {sweep.settings.seeds} seed(s) each; {len(orders)} of {total} are still to run",
    ]
    if dashes:
        lines.append(f"not at this size: {', '.join(dashes)}")
    return "\n".join(lines)


def time_needed(orders: Sequence[Order], jobs: int | None = None) -> str:
    """Measure the first row with a few real steps, and say what all of them take on this machine.

    The steps have the threads that each row will have; other rows are taken to be as quick, update for update.
    """
    jobs = min(jobs or default_jobs(orders[0].config.engine.device), len(orders))
    threads = threads_each(jobs)
    plan = _plan(orders[0].config, threads)
    seconds = plan.total_s * sum(map(updates, orders)) / updates(orders[0])
    lines = [
        f"the first row ({orders[0].name}): {long_time(plan.total_s)} of training, "
        f"{size(plan.peak_bytes) if plan.peak_bytes is not None else 'unknown'} memory, measured here with "
        f"{threads} thread(s); measuring it comes on top",
        f"all of them, {jobs} at a time: about {long_time(seconds / jobs)}, more with attention, and more where rows "
        "side by side slow each other",
    ]
    accumulate = plan.config.train.accumulate
    if accumulate > 1:
        lines.append(
            f"note: a whole batch of {plan.config.train.batch_size} does not fit this memory; that is for "
            f"{accumulate} micro-batches of {plan.micro_batch}, which rows do not make: they need a larger machine"
        )
    if plan.busy:
        lines.append("note: other programs kept this machine busy meanwhile; on a quiet one this is quicker")
    return "\n".join(lines)


def _plan(config: RunConfig, threads: int) -> Plan:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return make_plan(config, with_data=True, limit_bytes=None, console=Console(quiet=True))
    finally:
        torch.set_num_threads(before)
