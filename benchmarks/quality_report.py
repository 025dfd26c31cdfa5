"""The table and the curves of a contest of `benchmarks/quality.py`, from its lines alone."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quality_arms import chosen

from sagan.figures.curves import band_curves

Row = dict[str, Any]
CURVES = 8
"""So many arms are drawn: the best, and the base."""
MARK = " †"
"""Stands behind arms of which steps were counted, not seconds."""
SEEN = " ‡"
"""Stands behind arms whose discriminator looked through the network that judges them here."""
UNBEGUN = " §"
"""Stands behind arms at a point up to which one of their changes had not begun."""


def table(rows: Sequence[Row]) -> list[str]:
    """Write the judgements as a table in Markdown: each arm at the latest point that all its seeds have reached."""
    lines = [
        "| arm | what it changes | processor seconds | steps | seeds | FD(efficientnet-lite0) | precision | recall "
        "| coverage |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found = [summary(arm, mine) for arm, mine in by_arm(rows).items()]
    for row in sorted(found, key=lambda row: (-row["point_s"], row["fd"])):
        lines.append(
            f"| {row['arm']}{UNBEGUN if row['not_begun'] else ''} | {chosen(row['name']).why} | {row['cost_s']:,.0f} | "
            f"{row['step']:,.0f} | {row['seeds']} | "
            f"{row['fd']:.1f} | {row['precision']:.2f} | {row['recall']:.2f} | {row['coverage']:.2f} |"
        )
    return lines


def by_arm(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Give the judgements of each arm, in their order, runs that drew samples on the way apart.

    A mark tells those of which steps were counted, not seconds, another those whose D looked through the judge's
    network.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if "fd" in row and "arm" in row:
            alone = f", {row['budget_s']:,.0f} s" if row.get("pictures") else ""
            found.setdefault(row["arm"] + alone + marks(row), []).append(row)
    return found


def marks(row: Row) -> str:
    """Mark an arm of which steps were counted, and one whose D looked through the judge's network."""
    return (MARK if "computed_by" in row else "") + (SEEN if row.get("judge_in_training") else "")


def not_begun(row: Row) -> list[str]:
    """List the changes of an arm that had not begun where it was judged: up to there it is the arm without them."""
    arm, found = chosen(row["arm"]), []
    if arm.decay_from is not None and row["point_s"] <= arm.decay_from * row["budget_s"]:
        found.append("falling learning rates")
    if row.get("step", math.inf) <= arm.changes.get("train.lecam_start", 0):
        found.append("LeCam")
    return found


def note(rows: Sequence[Row]) -> list[str]:
    """Say what the marks mean, where they are used."""
    said = []
    how = {(row["computed_by"], row["computed_in"]) for row in rows if "computed_by" in row}
    if how:
        computed = ", ".join(f"{name} ({arithmetic})" for name, arithmetic in sorted(how))
        said += [
            f"{MARK.strip()} Computed by {computed}: as many steps as so many processor seconds are, by what a step "
            "was measured to cost on one core (`step-costs-*.json`).",
            "",
        ]
    if any(row.get("judge_in_training") for row in rows):
        said += [
            f"{SEEN.strip()} D looked through this very network while it trained, which makes these values better than "
            "the pictures are.",
            "",
        ]
    return said


def more_notes(rows: Sequence[Row]) -> list[str]:
    """Say what only a contest has: another judge, and changes that had not begun."""
    said = []
    if any(row.get("judge_in_training") for row in rows):
        said += ["Another network was asked about some of them: [what it found](../../docs/small-machines.md).", ""]
    if any(summary(arm, mine)["not_begun"] for arm, mine in by_arm(rows).items()):
        said += [
            f"{UNBEGUN.strip()} Learning rates had not begun to fall, or LeCam had not begun, at that point: up to "
            "there it is the arm without them.",
            "",
        ]
    return said


def summary(arm: str, rows: Sequence[Row]) -> Row:
    """Average an arm over its seeds, at the latest point that all of them have reached."""
    seeds = sorted({row["seed"] for row in rows if "fd" in row})
    points = set.intersection(
        *({row["point_s"] for row in rows if row["seed"] == seed and "fd" in row} for seed in seeds)
    )
    at = [max((row for row in rows if row["seed"] == s and row["point_s"] == max(points)), key=_budget) for s in seeds]
    keys = ("cost_s", "step", "fd", "precision", "recall", "density", "coverage")
    means = {key: sum(row[key] for row in at) / len(at) for key in keys}
    about = {"arm": arm, "name": rows[0]["arm"], "point_s": max(points), "seeds": len(seeds)}
    return about | means | {"not_begun": not_begun(at[0])}


def _budget(row: Row) -> float:
    return float(row["budget_s"])


def curves(rows: Sequence[Row], title: str, caption: str) -> Any:
    """Draw quality over cost: the best arms and the base."""
    arms = by_arm(rows)
    best = sorted((summary(arm, mine) for arm, mine in arms.items()), key=lambda row: row["fd"])
    names = [row["arm"] for row in best if row["name"] != "base"][: CURVES - 1]
    groups = {}
    for arm in [*names, *(name for name in ("base", f"base{MARK}") if name in arms)]:
        groups[arm] = [
            [{"step": round(row["point_s"]), "fd": row["fd"]} for row in arms[arm] if row["seed"] == seed]
            for seed in sorted({row["seed"] for row in arms[arm]})
        ]
    about = {"label": "FD(efficientnet-lite0)", "x_label": "processor seconds", "title": title, "caption": caption}
    return band_curves(groups, "fd", **about)


def write_report(name: str, rows: Sequence[Row], folder: Path) -> str:
    """Write the page and the curves of a set; gives a line that says so."""
    floors = [row for row in rows if row.get("floor")]
    judged = [row for row in rows if "fd" in row and "arm" in row]
    ended = [row for row in rows if "ended" in row]
    if not judged:
        return "nothing is judged yet"
    made = judged[-1]["protocol"]
    lines = [f"# Contest on {name}", ""]
    lines += [f"By `./dev python benchmarks/quality.py {name}`, in [several calls](README.md#the-contests).", ""]
    lines += [f"Made with: {', '.join(f'{key} {value}' for key, value in made.items())}.", ""]
    if floors:
        lines += [
            f"Floor (the other half of the pictures): FD(efficientnet-lite0) {floors[0]['fd']:.1f}, precision "
            f"{floors[0]['precision']:.2f}, recall {floors[0]['recall']:.2f}.",
            "",
        ]
    for row in rows:
        if "stored" in row:
            lines += [
                f"Weights of `{row['stored']}`, trained before the contest: FD(efficientnet-lite0) {row['fd']:.1f}, "
                f"precision {row['precision']:.2f}, recall {row['recall']:.2f}.",
                "",
            ]
    lines += [*table(rows), "", *note(rows), *more_notes(rows)]
    lines += [f"- {row['arm']} seed {row['seed']} not judged at {row['point_s']:g} s: {row['ended']}" for row in ended]
    lines += [
        "",
        f"![Quality over cost](contest-{name}.webp)",
        "",
        f"Samples of each arm: [contest-{name}](contest-{name}).",
    ]
    page = folder / f"contest-{name}.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture = curves(rows, f"Quality over cost: {name}", f"samples: {made['samples']}; reference: {made['reference']}")
    picture.save(folder / f"contest-{name}.webp", quality=72, method=6)
    return f"{page.name}: {len(judged)} judgements of {len(by_arm(rows))} arms"
