"""Run experiments of the paper from start to end: refuse, say what they cost, train and measure, draw."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from sagan.experiments.config import PaperConfig
from sagan.experiments.cost import cost, time_needed
from sagan.experiments.jobs import run
from sagan.experiments.render import render
from sagan.experiments.settings import groups_of, settings_of, with_defaults
from sagan.experiments.sweep import (
    RUNS,
    Sweep,
    check_network,
    command_of,
    make_ready,
    prepare,
    read_sweep,
    remember,
    together,
)


def run_paper(config: PaperConfig, command: Sequence[str], console: Console) -> tuple[int, list[Path]]:
    """Train and measure the rows of experiments that are not done yet, then draw their tables and pictures.

    Args:
        config: What to run.
        command: The arguments of `sagan paper run` that do the same, to be kept with the results.
        console: Where to say what it takes and what is being done.

    Returns:
        The exit code of the rows, and the files that were drawn (of a dry run none).

    Raises:
        SweepError: If an experiment cannot start as asked.
    """
    code, sweeps = run_rows(config, command, console)
    if config.dry_run:
        return code, []
    return code, [path for sweep in sweeps for path in render(read_sweep(sweep.folder))]  # with earlier seeds, too


def run_rows(config: PaperConfig, command: Sequence[str], console: Console) -> tuple[int, list[Sweep]]:
    """Train and measure as :func:`run_paper`, and draw nothing; gives the exit code, and the experiments.

    Raises:
        SweepError: If an experiment cannot start as asked.
    """
    begun = time.monotonic()
    groups = [[_prepared(config, name) for name in group] for group in groups_of(config.name)]
    sweeps = [sweep for group in groups for sweep in group]
    for sweep in sweeps:
        console.print(cost(sweep, sweep.orders(config.rows), sweep.chosen(config.rows)))
    if not config.dry_run:
        for sweep in sweeps:
            check_network(sweep)
    orders = [order for group in groups for order in together(group, config.rows)]
    if len(sweeps) > 1:
        console.print(f"in all {len(orders)} different rows are still to run")
    if orders and (config.dry_run or config.scale == "paper"):
        console.print(time_needed(orders, config.jobs))
    if config.dry_run:
        return 0, sweeps
    for sweep in sweeps:
        if orders:
            make_ready(sweep)
        remember(sweep, command_of(command))
    left = None if config.stop_after_s is None else config.stop_after_s - (time.monotonic() - begun)
    return run(orders, config.out / RUNS, console, jobs=config.jobs, stop_after_s=left), sweeps


def _prepared(config: PaperConfig, name: str) -> Sweep:
    settings = with_defaults(settings_of(config, name))
    weights = None if config.feature_weights is None else str(config.feature_weights.expanduser().resolve())
    sweep = prepare(settings, config.out, feature_weights=weights)
    return replace(sweep, keep=config.keep, engine=config.engine)
