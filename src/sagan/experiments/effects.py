"""How large the differences between rows are: each with an interval over the seeds, whether or not it holds zero.

A row is compared with those that :attr:`~sagan.experiments.catalogue.Row.against` names, by the values of its seeds.
The interval is Welch's: it takes the spreads of both sides as they are. Seeds are not paired, for two rows that start
from the same seed part within a few steps, and then have no more in common than two others.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from sagan.experiments.collect import DASH, Quantity, Table, quantities
from sagan.experiments.sweep import Sweep

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The difference of two means, with its interval."""

    row: str
    """The row."""
    against: str
    """The one that it is compared with."""
    quantity: Quantity
    """Of what."""
    difference: float
    """Mean of the row less mean of the other."""
    interval: tuple[float, float] | None
    """Welch's t-interval at :data:`LEVEL`; None where a side has fewer than two seeds, or no spread at all."""

    seeds: tuple[int, int] = (0, 0)
    """Values on both sides."""

    @property
    def in_words(self) -> str:
        """What the interval carries."""
        if self.interval is None:
            return "no interval: too few seeds" if min(self.seeds) < 2 else "no interval: no spread"
        low, high = self.interval
        if low <= 0.0 <= high:
            return "holds 0: no difference is shown"
        return "higher" if low > 0.0 else "lower"


def welch_interval(values: Sequence[float], others: Sequence[float]) -> tuple[float, float] | None:
    """Give the interval of the difference of two means, values less others, at :data:`LEVEL` (Welch 1947).

    None where a side has fewer than two values, or neither has a spread.
    """
    if min(len(values), len(others)) < 2 or not any(len({*some}) > 1 for some in (values, others)):
        return None
    interval = stats.ttest_ind(values, others, equal_var=False).confidence_interval(LEVEL)
    return float(interval.low), float(interval.high)


def effects(sweep: Sweep) -> list[Effect]:
    """Compare the rows of an experiment as they are meant to be, where both sides have finite values."""
    results = {row.name: list(sweep.results(row).values()) for row in sweep.rows}
    shown = [q for q in quantities(sweep, [one for some in results.values() for one in some]) if q.drawn]
    found = []
    for row in sweep.rows:
        for other in row.against:
            for quantity in shown:
                sides = [
                    [value for one in results.get(name, []) if (value := quantity.of(one)) is not None]
                    for name in (row.name, other)
                ]
                if not all(sides) or not all(map(math.isfinite, (*sides[0], *sides[1]))):
                    continue
                difference = statistics.fmean(sides[0]) - statistics.fmean(sides[1])
                interval = welch_interval(sides[0], sides[1])
                one = Effect(
                    row=row.name,
                    against=other,
                    quantity=quantity,
                    difference=difference,
                    interval=interval,
                    seeds=(len(sides[0]), len(sides[1])),
                )
                found.append(one)
    return found


def left_out(sweep: Sweep) -> list[str]:
    """Name the seeds without a finite value of what is compared: those of runs that diverged, above all.

    Differences are then between the seeds that went well; a value that is not finite takes the whole difference out.
    """
    results = {row.name: sweep.results(row) for row in sweep.rows}
    found = []
    for quantity in quantities(sweep, [one for some in results.values() for one in some.values()]):
        for name, seeds in results.items() if quantity.drawn else ():
            values = {seed: quantity.of(one) for seed, one in seeds.items()}
            without = [str(seed) for seed, value in values.items() if value is None or not math.isfinite(value)]
            if without:
                found.append(f"{name}, {quantity.column}: seed {', '.join(without)} of {len(seeds)} seeds")
    return found


def effects_table(found: Sequence[Effect]) -> Table:
    """Write differences as a table, each with the mark of its interval."""
    rows = tuple((one.row, one.against, one.quantity.column, *_cells(one), one.in_words) for one in found)
    numbers = tuple(
        {
            "row": one.row,
            "seed": "",
            "quantity": f"{one.quantity.column}: less {one.against}{edge}",
            "value": float(f"{value:.6g}"),  # the last digits may differ between versions of SciPy
            "source": "measured here",
        }
        for one in found
        for edge, value in _edges(one)
    )
    columns = ("", "less", "of", "difference", f"{100 * LEVEL:.0f} % interval", "which says")
    return Table(columns=columns, rows=rows, numbers=numbers)


def shares_beyond(found: Sequence[Effect]) -> str:
    """Say how many of the intervals hold zero, and what chance alone would leave."""
    made = [one for one in found if one.interval is not None]
    if not made:
        few = all(min(one.seeds) < 2 for one in found)
        return f"No difference has an interval: {'there are too few seeds' if few else 'nothing has a spread'}."
    without = [one for one in made if one.in_words in ("higher", "lower")]
    return (
        f"{len(without)} of {len(made)} intervals do not hold 0; were there no differences at all, about "
        f"{(1 - LEVEL) * len(made):.1f} of {len(made)} would not."
    )


def _cells(one: Effect) -> tuple[str, str]:
    factor, unit = (100.0, " points") if one.quantity.percent else (1.0, "")
    digits = 1 if factor * max(map(abs, (one.difference, *(one.interval or ())))) >= 10.0 else 2
    difference = f"{factor * one.difference:+.{digits}f}{unit}"
    if one.interval is None:
        return difference, DASH
    low, high = (f"{factor * edge:+.{digits}f}" for edge in one.interval)
    return difference, f"{low} to {high}{unit}"


def _edges(one: Effect) -> list[tuple[str, float]]:
    edges = [] if one.interval is None else [(", from", one.interval[0]), (", to", one.interval[1])]
    return [("", one.difference), *edges]
