"""What the experiments are, in words: the list, the rows of one, and what running it takes here."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from sagan.data.parallel import cores
from sagan.experiments.catalogue import EXPERIMENTS, Row
from sagan.experiments.jobs import default_jobs
from sagan.experiments.row import Order
from sagan.experiments.scales import ScaleName, paper, scale_of, small, smoke
from sagan.experiments.settings import experiment_of
from sagan.experiments.sweep import Sweep
from sagan.recipes.config import RunConfig, differences, to_json
from sagan.runs.folder import size
from sagan.speed.plan import Plan, long_time, make_plan


def listing() -> str:
    """List the experiments and the scales."""
    width = max(len(name) for name in EXPERIMENTS)
    lines = ["experiments:"]
    lines += [f"  {e.name:<{width}}  {e.title}\n  {'':<{width}}  {e.question}" for e in EXPERIMENTS.values()]
    lines += ["", "scales:"]
    lines += [f"  {scale}" for scale in (paper(), small(), smoke())]
    lines += ["", "next: sagan paper show table1     sagan paper run table1 --data PICTURES --scale small"]
    return "\n".join(lines)


def description(name: str, scale_name: ScaleName, size_px: int | None) -> str:
    """Say what an experiment compares at a scale: each row, how it differs from the first, the published numbers.

    Raises:
        SweepError: If there is no such experiment.
        ValueError: If there is no such scale, or it has no such size.
    """
    experiment, scale = experiment_of(name), scale_of(scale_name, size_px)
    rows = experiment.rows(scale)
    first = next(row for row in rows if row.config is not None)
    assert first.config is not None
    lines = [experiment.title, experiment.question, "", f"scale {scale}"]
    lines += [f"first row, {first.name}:", _indented(_recipe(first.config))]
    lines += ["", "the others differ from it in:"]
    for row in rows:
        lines.append(f"  {row.name:<24} {_difference(first.config, row, first is row)}")
        published = [f"{_called(measure)} {cell.value:g} ({cell.source})" for measure, cell in row.published.items()]
        published += [f"FID {cell.value:g} at step {step:,} ({cell.source})" for step, cell in row.curve.items()]
        lines += [f"  {'':<24}   published: {text}" for text in published]
    return "\n".join(lines)


def cost(sweep: Sweep, orders: Sequence[Order], rows: Sequence[Row], *, measured: bool, jobs: int | None = None) -> str:
    """Say what is still to run and, if it is to be measured with a few real steps, what that takes on this machine."""
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
    if orders and measured:
        jobs = min(jobs or default_jobs(), len(orders))
        plan = _plan(orders[0].config)
        seconds = plan.total_s * sum(o.config.train.total_steps for o in orders) / orders[0].config.train.total_steps
        threads = max(1, cores() // jobs)
        lines += [
            f"the first row ({orders[0].name}): {long_time(plan.total_s)} of training, "
            f"{size(plan.peak_bytes) if plan.peak_bytes is not None else 'unknown'} memory, measured here with "
            f"{plan.costs[max(plan.costs)].threads} thread(s); measuring it comes on top",
            f"all of them, {jobs} at a time (with {threads} thread(s) each on a processor): about "
            f"{long_time(seconds / jobs)}, less where a row alone keeps several cores busy, more with attention",
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


def _plan(config: RunConfig) -> Plan:
    return make_plan(config, with_data=True, limit_bytes=None, console=Console(quiet=True))


def _recipe(config: RunConfig) -> str:
    plain = json.loads(to_json(config))
    return "\n".join(
        f"{owner}: {', '.join(f'{name} {value}' for name, value in plain[owner].items() if value is not None)}"
        for owner in ("generator", "discriminator", "train")
    )


def _difference(first: RunConfig, row: Row, same: bool) -> str:
    if row.config is None:
        return "- (no such position in both networks at this size)"
    if same:
        return "(this is it)"
    plain = asdict(row.config)
    found = []
    for name in differences(first, row.config):
        owner, key = name.split(".")
        found.append(f"{name} {plain[owner][key]}")
    return "; ".join(found) or "nothing at this scale"


def _called(measure: str) -> str:
    return {"fd": "FID", "score": "IS", "intra": "intra-FID"}[measure]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
