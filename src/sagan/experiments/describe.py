"""What the experiments are, in words: the list, and the rows of one. Without PyTorch."""

import json
from dataclasses import asdict

from sagan.experiments.catalogue import EXPERIMENTS, Row, experiment_of
from sagan.experiments.scales import ScaleName, paper, scale_of, small, smoke
from sagan.recipes.config import RunConfig, differences, to_json


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
