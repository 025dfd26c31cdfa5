"""From the results of rows to the cells of a table: mean and spread over seeds, beside the published numbers."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sagan.data.pairs import AGREES_IN, TEXTURES
from sagan.evaluation import metric_name
from sagan.evaluation.config import FeatureName
from sagan.experiments.catalogue import Measure, Row
from sagan.experiments.row import METRICS
from sagan.experiments.sweep import Sweep, stage_steps
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.inception import OTHER_NAME as OTHER_INCEPTION
from sagan.metrics.pixels import NAME as PIXELS

Result = Mapping[str, Any]
DASH = "-"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table for people and programs."""

    columns: tuple[str, ...]
    """What stands above each column."""
    rows: tuple[tuple[str, ...], ...]
    """The cells as text."""
    numbers: tuple[dict[str, object], ...]
    """The same as single numbers: one record for each row, seed and quantity."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that a column shows."""

    column: str
    """What stands above it."""
    of: Callable[[Result], float | None]
    """Reads it from a row's result with one seed; None if it is not there."""
    percent: bool = False
    """Whether it is a share."""
    drawn: bool = False
    """Whether its single values are drawn, too."""


def mean_and_spread(values: Sequence[float], *, percent: bool = False) -> str:
    """Write a mean and, from two seeds on, the sample standard deviation over the seeds; a dash without values."""
    if not values:
        return DASH
    if not all(math.isfinite(value) for value in values):
        return "not finite"
    factor, unit = (100.0, " %") if percent else (1.0, "")
    mean = statistics.fmean(values) * factor
    if len(values) == 1:
        return f"{_short(mean, mean)}{unit}"
    spread = statistics.stdev(values) * factor
    return f"{_short(mean, mean)} ± {_short(spread, mean)}{unit}"


def quantities(sweep: Sweep, results: Sequence[Result]) -> list[Quantity]:
    """List what the columns of an experiment show."""
    found: list[Quantity] = []
    for measure in sweep.experiment.measures:
        if measure == "pairs":
            found += PAIRS
            continue
        name = called(sweep, measure, results)
        if not any(values_of(result, "final").get(name) is not None for result in results):
            continue
        found.append(Quantity(column=f"{name}, last step", of=_final(name), drawn=True))
        if measure != "intra":
            found.append(Quantity(column=f"{name}, best checkpoint", of=_best(name)))
            found.append(Quantity(column=f"{name}, best of training", of=_best_seen(name, measure == "score")))
    return found


NETWORKS: dict[FeatureName, tuple[str, ...]] = {"inception": (INCEPTION, OTHER_INCEPTION), "pixels": (PIXELS,)}
"""What feature networks call themselves where that is not as they are chosen; Inception's name goes by its weights."""


def called(sweep: Sweep, measure: Measure, results: Sequence[Result]) -> str:
    """Name a measure as the values of results do: FID only with the Inception network of 2015."""
    features = sweep.scale.judging.features
    networks = NETWORKS.get(features, (features,))
    names = [metric_name(METRICS[measure], SimpleNamespace(name=network)) for network in networks]
    return next((name for name in names if any(name in values_of(one, "final") for one in results)), names[0])


def values_of(result: Result, which: str) -> dict[str, float]:
    """Give the values of a report of a row's result, ``final`` or ``best``, by metric."""
    return {v["metric"]: float(v["value"]) for v in result["reports"].get(which, {}).get("values", [])}


def table(sweep: Sweep) -> Table:
    """Make the table of an experiment from the results that there are."""
    by_row = {row.name: sweep.results(row) for row in sweep.rows}
    shown = quantities(sweep, [result for results in by_row.values() for result in results.values()])
    published = [m for m in sweep.experiment.measures if any(m in row.published for row in sweep.rows)]
    columns = ("", *(q.column for q in shown), *(f"published {PUBLISHED_NAMES[m]}" for m in published))
    columns = (*columns, "weights of the block", "weights", "seeds", "seen")
    rows, numbers = [], []
    for row in sweep.rows:
        results = by_row[row.name]
        cells = [row.name]
        for quantity in shown:
            values = {seed: quantity.of(result) for seed, result in results.items()}
            kept = {seed: value for seed, value in values.items() if value is not None}
            of = f" ({len(kept)} of {len(results)} seeds)" if kept and len(kept) < len(results) else ""
            cells.append(mean_and_spread(list(kept.values()), percent=quantity.percent) + of)
            numbers += [
                {"row": row.name, "seed": seed, "quantity": quantity.column, "value": value, "source": "measured here"}
                for seed, value in kept.items()
            ]
        for measure in published:
            cell = row.published.get(measure)
            cells.append(DASH if cell is None else f"{cell.value:g}")
            if cell is not None:
                numbers.append(
                    {
                        "row": row.name,
                        "seed": "",
                        "quantity": f"published {PUBLISHED_NAMES[measure]}",
                        "value": cell.value,
                        "source": cell.source,
                    }
                )
        rows.append((*cells, *_counts(results), *_ending(sweep, row, results)))
    return Table(columns=columns, rows=tuple(rows), numbers=tuple(numbers))


def pairs_by_class(sweep: Sweep) -> Table:
    """Make the table of `pairs` by class: how far above chance, or which share of a texture is recognised."""
    rows = []
    for row in sweep.rows:
        found = [result["pairs"]["final"] for result in sweep.results(row).values() if "final" in result["pairs"]]
        cells = []
        for name in AGREES_IN:
            values = [one["structured"][name]["above_chance"] for one in found]
            readable = [one["structured"][name]["readable"] for one in found]
            known = [value for value in values if value is not None]
            cells.append(f"{mean_and_spread(known)} of {mean_and_spread(readable, percent=True)}" if found else DASH)
        cells += [
            mean_and_spread([one["textures"][name]["recognised"] for one in found], percent=True) for name in TEXTURES
        ]
        rows.append((row.name, *cells))
    return Table(columns=("", *AGREES_IN, *TEXTURES), rows=tuple(rows), numbers=())


def stages_table(sweep: Sweep) -> Table:
    """Make the table of figure 4: the distance at some steps of training, and the published ones at theirs."""
    steps = stage_steps(sweep.scale)
    rows, numbers = [], []
    for row in sweep.rows:
        found = stages(sweep, row)
        known = [f"{p.value:g} at {step:,}" for step, p in row.curve.items()]
        rows.append((row.name, *(mean_and_spread(found.get(step, [])) for step in steps), "; ".join(known) or DASH))
        numbers += [
            {"row": row.name, "seed": "", "quantity": f"published FID at {step}", "value": p.value, "source": p.source}
            for step, p in row.curve.items()
        ]
    columns = ("", *(f"distance at step {step:,}" for step in steps), "published FID at step")
    return Table(columns=columns, rows=tuple(rows), numbers=tuple(numbers))


def stages(sweep: Sweep, row: Row) -> dict[int, list[float]]:
    """Give the Frechet distances that a row had during training, by step, of all seeds."""
    found: dict[int, list[float]] = {}
    for result in sweep.results(row).values():
        for record in result["log"]:
            for key, value in record.items():
                if key.startswith(("score/FD", "score/FID")):
                    found.setdefault(int(record["step"]), []).append(float(value))
    return found


PUBLISHED_NAMES: dict[Measure, str] = {"fd": "FID", "score": "IS", "intra": "intra-FID", "pairs": "pairs"}


def _pooled(name: str) -> Callable[[Result], float | None]:
    """Average a share over the structured classes, each readable picture counting once."""

    def read(result: Result) -> float | None:
        classes = result["pairs"].get("final", {}).get("structured", {}).values()
        weighted = [(c["readable"] * c["pictures"], c[name]) for c in classes if c[name] is not None]
        total = sum(weight for weight, _ in weighted)
        return sum(weight * value for weight, value in weighted) / total if total else None

    return read


def _above_chance(result: Result) -> float | None:
    consistent, chance = _pooled("consistent")(result), _pooled("chance")(result)
    return None if consistent is None or chance is None or chance == 1.0 else (consistent - chance) / (1.0 - chance)


def _mean_of(kind: str, name: str) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        classes = result["pairs"].get("final", {}).get(kind, {}).values()
        return statistics.fmean(c[name] for c in classes) if classes else None

    return read


PAIRS = [
    Quantity(column="readable pairs", of=_mean_of("structured", "readable"), percent=True),
    Quantity(column="consistent (of the readable)", of=_pooled("consistent"), percent=True),
    Quantity(column="by chance", of=_pooled("chance"), percent=True),
    Quantity(column="above chance (0 to 1)", of=_above_chance, drawn=True),
    Quantity(column="textures recognised", of=_mean_of("textures", "recognised"), percent=True, drawn=True),
]


def _final(name: str) -> Callable[[Result], float | None]:
    # Of a run that diverged the last healthy checkpoint is no last step.
    return lambda result: values_of(result, "final").get(name) if result["status"] == "finished" else None


def _best(name: str) -> Callable[[Result], float | None]:
    return lambda result: values_of(result, "best").get(name)


def _best_seen(name: str, higher: bool) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        values = [float(record[f"score/{name}"]) for record in result["log"] if f"score/{name}" in record]
        return (max(values) if higher else min(values)) if values else None

    return read


def _counts(results: Mapping[int, Result]) -> tuple[str, str]:
    if not results:
        return DASH, DASH
    counts = next(iter(results.values()))["parameters"]
    block = counts["attention"] + counts["residual"]
    return f"{block:,}" if block else "0", f"{counts['generator'] + counts['discriminator']:,}"


def _ending(sweep: Sweep, row: Row, results: Mapping[int, Result]) -> tuple[str, str]:
    if row.config is None:
        return DASH, "no such position at this size"
    asked = sweep.settings.seeds
    count = f"{len(results)}" if len(results) == asked else f"{len(results)} of {asked}"
    said = [
        f"DIVERGED by step {result['step']:,} (seed {seed})"
        for seed, result in results.items()
        if result["status"] == "diverged"
    ]
    seen: dict[str, list[int]] = {}
    for seed, result in results.items():
        for record in result["health"]:
            if not record.get("over") and record["health"] != "rolled back":
                seen.setdefault(record["health"], []).append(seed)
    said += [f"{name} (seed {', '.join(str(s) for s in sorted({*seeds}))})" for name, seeds in seen.items()]
    return count, "; ".join(said) or ("nothing" if results else "not run")


def _short(value: float, scale: float) -> str:
    return f"{value:.1f}" if abs(scale) >= 10.0 else f"{value:.2f}"
