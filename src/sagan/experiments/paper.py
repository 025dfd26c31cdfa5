"""Run an experiment of the paper from start to end: refuse, say what it costs, train and measure, draw."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sagan.experiments.config import PaperConfig
from sagan.experiments.cost import cost
from sagan.experiments.jobs import run
from sagan.experiments.render import render
from sagan.experiments.settings import settings_of, with_defaults
from sagan.experiments.sweep import check_network, command_of, make_ready, prepare, read_sweep, remember


def run_paper(config: PaperConfig, command: Sequence[str], console: Console) -> tuple[int, list[Path]]:
    """Train and measure the rows of an experiment that are not done yet, then draw its tables and pictures.

    Args:
        config: What to run.
        command: The arguments of `sagan paper run` that do the same, to be kept with the results.
        console: Where to say what it takes and what is being done.

    Returns:
        The exit code of the rows, and the files that were drawn (of a dry run none).

    Raises:
        SweepError: If the experiment cannot start as asked.
    """
    settings = with_defaults(settings_of(config))
    weights = None if config.feature_weights is None else str(config.feature_weights.expanduser().resolve())
    sweep = prepare(settings, config.out, feature_weights=weights)
    orders, rows = sweep.orders(config.rows), sweep.chosen(config.rows)
    if not config.dry_run:
        check_network(sweep)
    measured = config.dry_run or config.scale == "paper"
    console.print(cost(sweep, orders, rows, measured=measured, jobs=config.jobs))
    if config.dry_run:
        return 0, []
    if orders:
        make_ready(sweep)
    remember(sweep, command_of(command))
    code = run(sweep, orders, console, jobs=config.jobs)
    return code, list(render(read_sweep(sweep.folder)))  # with the seeds of earlier calls, too
