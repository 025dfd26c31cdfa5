"""Every measured number on a page is computed again, from the files of what was measured.

A mark says which function of this file computes the numbers of a block (a table, a paragraph or a point of a list), and
from which files: `<!-- numbers: NAME from FILES -->` on the line before, or around a part of a sentence, with
`<!-- end -->` behind it. The function gives pieces of text. Each must stand there, and no other number may. It also
asserts what the words around the numbers claim. `<!-- no measured numbers -->` stands before a table of other numbers.
"""

import gzip
import hashlib
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

import sagan
from sagan.data.config import DataConfig
from sagan.experiments import published
from sagan.experiments.catalogue import LONGER
from sagan.experiments.effects import LEVEL, effects, effects_table, shares_beyond, welch_interval
from sagan.experiments.render import render
from sagan.experiments.sweep import read_sweep
from sagan.ops.resample import CUDA_KERNEL_POSITIONS
from sagan.recipes.build import build
from sagan.recipes.config import differences as fields_that_differ
from sagan.recipes.config import from_json
from sagan.recipes.presets import PRESETS

ROOT = Path(__file__).parents[1]
DRAWN = {
    "results/gpu/README.md",
    "results/reliability/determinism.md",  # drawn again by tests/test_determinism.py
    "results/reliability/fuzz.md",  # drawn again by tests/test_fuzz.py
    "results/reliability/kills.md",  # drawn again by tests/test_kills_command.py
    "results/reliability/versions.md",
    *(str(p.relative_to(ROOT)) for p in ROOT.glob("results/quality/[cfm]*.md")),
    *(str(file.relative_to(ROOT)) for file in ROOT.glob("results/paper/**/table.md")),
}
PAGES = ["README.md", "ARCHITECTURE.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/*.md")))]
PAGES += [name for p in sorted(ROOT.glob("results/**/*.md")) if (name := str(p.relative_to(ROOT))) not in DRAWN]
MARK = re.compile(r"<!-- numbers: (\w+) from ([^>]+?) -->")
INSIDE = re.compile(MARK.pattern + r"(?!\n)(.*?)<!-- end -->", re.DOTALL)
NONE = "<!-- no measured numbers -->"
NUMBER = re.compile(r"(?<![\w.-])[+-]?\d")
# Numbers that are names, and what is code or a place.
NAMES = re.compile(
    r"`[^`]*`|\]\([^)]*\)|<!--.*?-->|\b(?:figure|table|seed)s? \d+(?:(?:,| and| to) \d+)*|\b\d(?:\.\d+)*\. (?=[A-Z])"
    r"|\bPyTorch \d[\d.]*|\bEfficientNet-Lite0|\(?\b(?:19|20)\d\d\b\)?|\b(?:fp32|bf16)\b|\d+x\d+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Block:
    """A table, a paragraph or a point of a list."""

    page: str
    line: int
    text: str
    mark: str
    """The line before it, if that is a mark."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_table(self) -> bool:
        return self.text.startswith("|")


def blocks(page: str) -> Iterator[Block]:
    """Cut a page up; headings, pictures and code are left out."""
    mark, found, start, fenced = "", [], 0, False
    for number, line in enumerate([*(ROOT / page).read_text(encoding="utf-8").splitlines(), ""], 1):
        fence = line.startswith("```")
        is_mark = bool(MARK.fullmatch(line.strip())) or line.strip() == NONE
        ends = not line.strip() or fence or fenced or is_mark or line.startswith(("#", "![", "- ", "* "))
        if found and ends:
            yield Block(page, start, "\n".join(found), mark)
            mark, found = "", []
        if fence:
            fenced = not fenced
        elif is_mark:
            mark = line.strip()
        elif line.strip() and not fenced and not line.startswith(("#", "![")):
            start = start if found else number
            found.append(line)


def plain(text: str) -> str:
    """Put a text into one line, without bold type, marks and the line below the head of a table."""
    if text.startswith("|"):
        text = "\n".join(line for line in text.splitlines() if line.strip("|-: "))
    return " ".join(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).replace("**", "").split())


def unexplained(text: str, pieces: Sequence[str]) -> list[str]:
    """List what is wrong with a block: pieces that are not in it, and numbers that no piece has."""
    left, wrong = plain(text), []
    for piece in sorted(map(plain, pieces), key=len, reverse=True):
        if piece not in left:
            wrong.append(f"computed, but not there: {piece}")
        left = left.replace(piece, " ... ", 1)
    left = NAMES.sub(" ", left)
    return wrong + [
        f"there, but not computed: {left[max(0, m.start() - 30) : m.end() + 30]}" for m in NUMBER.finditer(left)
    ]


def has_numbers(block: Block) -> bool:
    return bool(NUMBER.search(NAMES.sub(" ", plain(block.text))))


def marked() -> list[Any]:
    found = []
    for page in PAGES:
        for block in blocks(page):
            if match := MARK.fullmatch(block.mark):
                found.append(pytest.param(match[1], match[2], block.text, id=f"{block}-{match[1]}"))
        for match in INSIDE.finditer((ROOT / page).read_text(encoding="utf-8")):
            found.append(pytest.param(*match.groups(), id=f"{page}-{match[1]}"))
    return found


def files_of(names: str) -> list[Path]:
    """Find the files that a mark names; each of its words must find some."""
    found: list[Path] = []
    for name in names.split():
        files = sorted(ROOT.glob(name))
        assert files, f"there is no {name}"
        assert all(file.name.endswith((".json", ".jsonl", ".jsonl.gz")) for file in files), (
            f"{name} is no file of what was measured"
        )
        found += files
    return found


@pytest.mark.parametrize(("name", "files", "text"), marked())
def test_numbers_are_those_of_the_files(name: str, files: str, text: str) -> None:
    wrong = unexplained(text, COMPUTED[name](files_of(files)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_every_table_with_numbers_is_marked(page: str) -> None:
    """On pages of results and of the reproduction, every paragraph, too."""
    report = page.startswith("results/") or page == "docs/reproduction.md"
    for block in blocks(page):
        if (block.is_table or report) and has_numbers(block):
            assert block.mark or INSIDE.search(block.text), f"{block}: numbers without the files that they come from"


def test_every_function_is_used() -> None:
    used = {param.values[0] for param in marked()}
    assert used == set(COMPUTED), used ^ set(COMPUTED)


@pytest.mark.parametrize("text", ["| a | 3.14 |", "it took 58 minutes", "91 % of them", "(12 to 13)", "a loss of -0.5"])
def test_a_number_without_a_source_is_found(text: str) -> None:
    assert unexplained(text, ["3.15", "59 minutes"])
    assert has_numbers(Block("", 1, text, ""))


@pytest.mark.parametrize("text", ["| feat8 | `32` |", "see figure 4 and table 2", "SN on G/D", "[there](page-2.md)"])
def test_names_are_no_numbers(text: str) -> None:
    assert unexplained(text, []) == []
    assert not has_numbers(Block("", 1, text, ""))


def test_a_wrong_digit_is_found() -> None:
    head = "| | of 100 |\n|---|---|\n"
    assert (
        unexplained(f"{head}| a | **0.55 ± 0.08** |\n| b | 3 |", ["of 100", "| a | 0.55 ± 0.08 |", "| b | 3 |"]) == []
    )
    assert unexplained(f"{head}| a | 0.56 ± 0.08 |", ["of 100", "| a | 0.55 ± 0.08 |"])
    assert unexplained(f"{head}| a | 0.55 ± 0.08 |\n| b | 3 |", ["of 100", "| a | 0.55 ± 0.08 |"])
    assert unexplained(head, ["of 101"])


# Pages that are drawn from the files.


@pytest.mark.parametrize(
    "sweep", sorted(ROOT.glob("results/paper/**/sweep.json")), ids=lambda file: "/".join(file.parts[-3:-1])
)
def test_tables_of_the_paper_are_drawn_again(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr("sagan.experiments.render.write_text", lambda file, text: written.update({file.name: text}))
    monkeypatch.setattr("sagan.experiments.render.save_image", lambda _, file: file)
    monkeypatch.setattr("sagan.experiments.render.table_picture", lambda *_, **__: None)
    monkeypatch.setattr("sagan.experiments.render._pictures", lambda *_: [])
    render(read_sweep(sweep.parent))
    assert set(written) == {"table.md", "table.csv"}
    for name, text in written.items():
        assert (sweep.parent / name).read_text(encoding="utf-8") == text, f"`sagan paper render` gives another {name}"


def test_the_page_of_the_gpu_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu_report import report

    assert report(ROOT / "results" / "gpu") == (ROOT / "results" / "gpu" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("sample", sorted(ROOT.glob("results/quality/*-sample.json")), ids=lambda file: file.stem)
def test_pages_of_mutants_are_drawn_again(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from mutants import page, read_verdicts

    drawn = read(sample)
    file = sample.with_name(f"{sample.stem.removesuffix('-sample')}.jsonl")
    text, _ = page(drawn, read_verdicts(drawn["seed"]), f"{file.name}.gz")
    assert file.with_suffix(".md").read_text(encoding="utf-8") == text


def test_the_page_of_chance_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import chance

    rows = chance.read_rows()
    monkeypatch.setattr(chance, "QUALITY", tmp_path)
    chance.report([rows[key] for key in sorted(rows)])
    stored = ROOT / "results" / "quality" / "chance.md"
    assert (tmp_path / "chance.md").read_text(encoding="utf-8") == stored.read_text(encoding="utf-8")


@pytest.mark.parametrize("rows", sorted(ROOT.glob("results/quality/contest-*.jsonl")), ids=lambda file: file.stem)
def test_pages_of_contests_are_drawn_again(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from quality_report import write_report

    write_report(rows.stem.removeprefix("contest-"), read_lines(rows), tmp_path)
    page = f"{rows.stem}.md"
    assert (tmp_path / page).read_text(encoding="utf-8") == rows.with_name(page).read_text(encoding="utf-8")


# What the functions have in common.

Compute = Callable[[list[Path]], list[str]]
COMPUTED: dict[str, Compute] = {}


def computes(function: Compute) -> Compute:
    COMPUTED[function.__name__] = function
    return function


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


@cache
def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def read_lines(file: Path) -> list[dict[str, Any]]:
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()]


def spread(values: Sequence[float], digits: int = 0, scale: float = 1.0) -> str:
    mean, deviation = statistics.fmean(values) * scale, statistics.stdev(values) * scale
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def span(values: Sequence[float], digits: int = 0) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def only(values: Any) -> Any:
    """Give the one value that all of them are."""
    (value,) = set(values)
    return value


# docs/reproduction.md

FD, SCORE = "FD(efficientnet-lite0)", "IS(efficientnet-lite0)"
ROWS = ["no attention", "attention feat8", "attention feat16", "residual feat8", "residual feat16"]
STAGES = ["SN on D", "SN on G/D", "SN on G/D + TTUR"]
SAME = {"SN on G/D + TTUR": "no attention", "SAGAN": "attention feat16"}
"""Rows that two experiments call differently."""
MODELS = ["AC-GAN", "SNGAN-projection", "SAGAN"]
RATES = ["equal rates, high", "equal rates, low", "TTUR"]
"""The rows of `ttur`, which are four times as long as the others."""
SMALL_SHAPES = ("same-shape", "parallel", "mirrored", "twins")
Runs = dict[str, list[dict[str, Any]]]


def runs_on(files: Sequence[Path], data: str) -> Runs:
    """Sort the runs on some pictures by their row, those of a row by their seed; each has its log."""
    mine = [file for file in files if file.name == "result.json"]
    results = [read(file) | {"log": read_lines(file.with_name("log.jsonl"))} for file in mine]
    found: Runs = {}
    for result in sorted(results, key=lambda result: result["config"]["seed"]):
        assert result["status"] == "finished"
        if result["data"]["source"] == data:
            found.setdefault(SAME.get(result["name"], result["name"]), []).append(result)
    assert {tuple(one["config"]["seed"] for one in runs) for runs in found.values()} == {(0, 1, 2)}
    return found


def structure(files: Sequence[Path]) -> Runs:
    return runs_on(files, "pairs")


def photos(files: Sequence[Path]) -> Runs:
    """Give the rows on photos but the long ones, also by the names that other experiments call them."""
    found = {name: runs for name, runs in runs_on(files, "cifar10-15k.zip").items() if name not in RATES}
    return found | {name: found[other] for name, other in SAME.items()}


def classes_of(run: dict[str, Any], kind: str = "structured") -> dict[str, dict[str, Any]]:
    return run["pairs"]["final"][kind]


def above_chance(run: dict[str, Any]) -> float:
    """Over all classes, each readable picture counting once."""
    pooled = []
    for name in ("consistent", "chance"):
        parts = [(one["readable"] * one["pictures"], one[name]) for one in classes_of(run).values()]
        parts = [(count, share) for count, share in parts if share is not None]
        pooled.append(sum(count * share for count, share in parts) / sum(count for count, _ in parts))
    consistent, chance = pooled
    return (consistent - chance) / (1 - chance)


def textures(run: dict[str, Any]) -> float:
    return statistics.fmean(one["recognised"] for one in classes_of(run, "textures").values())


def block_weights(run: dict[str, Any]) -> int:
    return run["parameters"]["attention"] + run["parameters"]["residual"]


def final(run: dict[str, Any], metric: str) -> float:
    return next(v["value"] for v in run["reports"]["final"]["values"] if v["metric"] == metric)


def finals(runs: Sequence[dict[str, Any]], metric: str = FD) -> list[float]:
    return [final(run, metric) for run in runs]


def watched(run: dict[str, Any]) -> dict[int, float]:
    """Give the distances that the monitor found, by step."""
    return {line["step"]: line[f"score/{FD}"] for line in run["log"] if f"score/{FD}" in line}


def seen_of(run: dict[str, Any]) -> set[str]:
    return {line["health"] for line in run["health"]}


def listed(values: Sequence[float], digits: int = 0) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def during(runs: Sequence[dict[str, Any]], steps: Sequence[int]) -> list[str]:
    """Give the cells of a row: the distances at some steps, each seed's last one, and what was seen of collapse."""
    seen = {name: sum(name in seen_of(run) for run in runs) for run in runs for name in seen_of(run)}
    said = "; ".join(f"{name}: {count} of {len(runs)} seeds" for name, count in sorted(seen.items()))
    return [*(spread([watched(run)[step] for run in runs]) for step in steps), listed(finals(runs)), said or "nothing"]


def steps_head(steps: Sequence[int]) -> str:
    return f"distance at step {' | '.join(f'{step:,}' for step in steps)} |"


def apart(a: Sequence[float], b: Sequence[float]) -> bool:
    return max(a) < min(b) or max(b) < min(a)


@computes
def scale(files: list[Path]) -> list[str]:
    every = [run for found in (structure(files), photos(files)) for runs in found.values() for run in runs]
    minutes = [run["training_s"] / 60 for run in every if run["device"] == "cpu"]
    weights = {run["parameters"]["generator"] + run["parameters"]["discriminator"] for run in every}
    assert {round(count, -5) for count in weights} == {100_000}
    assert only(run["threads"] for run in every) == 1
    published_config = PRESETS["slides"]()
    assert published_config.train.total_steps == 1_000_000
    return [
        f"ImageNet at {published_config.generator.size_px} px",
        f"one million steps of {published_config.train.batch_size}",
        "networks of 100 thousand weights",
        f"at {only(run['config']['generator']['size_px'] for run in every)} px",
        f"{span(minutes)} minutes of one processor core a row",
    ]


QUANTITIES = ("above chance (0 to 1)", f"{FD}, last step", f"{SCORE}, last step", f"intra-{FD}, last step")
"""Of which pages show differences."""


def differences(files: Sequence[Path], *quantities: str) -> list[str]:
    """Give the lines of the differences in some quantities."""
    found = [one for one in effects(read_sweep(only(files).parent)) if one.quantity.column in quantities]
    return [f"{100 * LEVEL:.0f} % interval", *(row(*cells) for cells in effects_table(found).rows)]


def says(files: Sequence[Path], quantity: str) -> dict[tuple[str, str], str]:
    """Give what the interval of each difference says."""
    found = [one for one in effects(read_sweep(only(files).parent)) if one.quantity.column == quantity]
    return {(one.row, one.against): one.in_words.partition(":")[0] for one in found}


@computes
def shares(files: list[Path]) -> list[str]:
    """Count the intervals of the differences that are shown, each experiment's once."""
    return [
        shares_beyond(
            [one for file in files for one in effects(read_sweep(file.parent)) if one.quantity.column in QUANTITIES]
        )
    ]


@computes
def structure_differences(files: list[Path]) -> list[str]:
    return differences(files, QUANTITIES[0])


@computes
def structure_carried(files: list[Path]) -> list[str]:
    found = says(files, QUANTITIES[0])
    for height in (8, 16):
        assert found[f"attention feat{height}", f"residual feat{height}"] == "higher"
        assert found[f"residual feat{height}", "no attention"] == "holds 0"
    assert (found["attention feat8", "no attention"], found["attention feat16", "no attention"]) == (
        "higher",
        "holds 0",
    )
    return []


@computes
def structure_table(files: list[Path]) -> list[str]:
    def cells(runs: list[dict[str, Any]]) -> list[object]:
        colour = [classes_of(run)["same-colour"] for run in runs]
        return [
            spread([above_chance(run) for run in runs], 2),
            spread([one["above_chance"] for one in colour], 2),
            f"{spread([one['readable'] for one in colour], 0, 100)} %",
            f"{spread([textures(run) for run in runs], 0, 100)} %",
            f"{only(map(block_weights, runs)):,}",
        ]

    return [row(name.replace("residual", "residual block"), *cells(structure(files)[name])) for name in ROWS]


@computes
def structure_budget(files: list[Path]) -> list[str]:
    every = [run for runs in structure(files).values() for run in runs]
    train = [run["config"]["train"] for run in every]
    steps, batch = only(one["total_steps"] for one in train), only(one["batch_size"] for one in train)
    samples = only(run["pairs"]["final"]["protocol"]["samples"] for run in every)
    return [f"{steps:,} steps of {batch}", f"{samples:,} samples of the last weights"]


@computes
def structure_order(files: list[Path]) -> list[str]:
    found = structure(files)
    having = [above_chance(run) for name in found if name.startswith("attention") for run in found[name]]
    others = [above_chance(run) for name in found if not name.startswith("attention") for run in found[name]]
    assert (len(having), len(others)) == (6, 9)
    assert min(having) > max(others)
    low, high = welch_interval(having, others) or (math.nan, math.nan)
    assert low > 0
    more = statistics.fmean(having) - statistics.fmean(others)
    return [
        f"({span(having, 2)} against {span(others, 2)})",
        f"1 in {math.comb(15, 6):,}",
        f"{more:.2f} more ({100 * LEVEL:.0f} % interval {low:.2f} to {high:.2f})",
    ]


@computes
def structure_weights(files: list[Path]) -> list[str]:
    found = structure(files)
    assert 1.15 < block_weights(found["residual feat8"][0]) / block_weights(found["attention feat8"][0]) < 1.25
    none = statistics.fmean(map(above_chance, found["no attention"]))
    assert all(statistics.fmean(map(above_chance, found[f"residual feat{height}"])) < none for height in (8, 16))
    return []


@computes
def structure_textures(files: list[Path]) -> list[str]:
    means = {name: statistics.fmean(map(textures, runs)) for name, runs in structure(files).items()}
    assert means["attention feat16"] < means["no attention"]
    assert max(means, key=means.__getitem__) == "residual feat16"
    none = list(map(textures, structure(files)["no attention"]))
    sides = [welch_interval(list(map(textures, structure(files)[f"attention feat{k}"])), none) for k in (8, 16)]
    assert all(side is not None and side[0] < 0 < side[1] for side in sides)
    return []


@computes
def structure_others(files: list[Path]) -> list[str]:
    found = structure(files)
    readable = [classes_of(run)[name]["readable"] for runs in found.values() for run in runs for name in SMALL_SHAPES]
    sizes = [[classes_of(run)["same-size"]["above_chance"] for run in runs] for runs in found.values()]
    assert all(statistics.fmean(values) < statistics.stdev(values) for values in sizes)
    return [f"at most {100 * max(readable):.1f} %", f"at most {spread(max(sizes, key=statistics.fmean), 2)}"]


@computes
def photos_made(files: list[Path]) -> list[str]:
    """Say how the rows on photos were made."""
    runs = [run for runs in photos(files).values() for run in runs]
    train = [run["config"]["train"] for run in runs]
    on_gpu = {
        (name, run["config"]["seed"]) for name, some in photos(files).items() for run in some if run["device"] == "cuda"
    }
    assert on_gpu >= {(name, seed) for name in (*ROWS, "AC-GAN") for seed in (0, 1)}
    last = [run["reports"]["final"]["values"][0]["protocol"] for run in runs]
    during = [run["monitor"]["values"][0]["protocol"] for run in runs]
    counts = [only(one["generated"] for one in some) for some in (last, during)]
    width, real = (only(one[name] for one in last + during) for name in ("feature_width", "reference_count"))
    assert only(one["ema"] for one in last + during) is True
    return [
        f"{only(run['step'] for run in runs):,} steps of {only(one['batch_size'] for one in train)}",
        f"{width} features, {counts[0]:,} samples of the moving average ({counts[1]} during training) "
        f"against {real:,} pictures",
        f"{only(run['data']['images'] for run in runs):,} pictures",
    ]


@computes
def stages_table(files: list[Path]) -> list[str]:
    def cells(runs: list[dict[str, Any]]) -> list[str]:
        assert all(seen_of(run) <= {"discriminator fooled"} for run in runs)
        return during(runs, steps)

    found = photos(files)
    steps = sorted(watched(found[STAGES[0]][0]))
    return [steps_head(steps), *(row(name, *cells(found[name])) for name in STAGES)]


@computes
def stages_differences(files: list[Path]) -> list[str]:
    return differences(files, QUANTITIES[1])


@computes
def table1(files: list[Path]) -> list[str]:
    found = photos(files)
    theirs = {"no attention": published.NO_ATTENTION}
    theirs |= {f"attention feat{height}": published.ATTENTION[height] for height in (8, 16)}
    theirs |= {f"residual feat{height}": published.RESIDUAL[height] for height in (8, 16)}
    return [
        f"(ImageNet, {PRESETS['slides']().generator.size_px} px)",
        *(
            row(
                name,
                spread(finals(found[name])),
                listed(finals(found[name])),
                spread(finals(found[name], SCORE), 2),
                f"{theirs[name]['fd'].value}, {theirs[name]['score'].value}",
                f"{only(map(block_weights, found[name])):,}",
            )
            for name in ROWS
        ),
    ]


@computes
def table1_differences(files: list[Path]) -> list[str]:
    return differences(files, QUANTITIES[1])


@computes
def table2(files: list[Path]) -> list[str]:
    found = photos(files)
    return [
        row(
            name,
            spread(finals(found[name])),
            listed(finals(found[name])),
            spread(finals(found[name], SCORE), 2),
            spread(finals(found[name], f"intra-{FD}")),
            f"{only(run['config']['train']['d_steps'] for run in found[name])}",
        )
        for name in MODELS
    ]


@computes
def table2_says(files: list[Path]) -> list[str]:
    within = says(files, QUANTITIES[3])
    assert {within["SNGAN-projection", "AC-GAN"], within["SAGAN", "AC-GAN"]} == {"lower"}
    assert within["SAGAN", "SNGAN-projection"] == "holds 0"
    assert {answer for quantity in QUANTITIES[1:3] for answer in says(files, quantity).values()} == {"holds 0"}
    scores = [model["score"].value for model in (published.ACGAN, published.SNGAN, published.SAGAN)]
    assert scores == sorted(scores)
    return [f"({', '.join(map(str, scores))} on ImageNet)"]


@computes
def table2_differences(files: list[Path]) -> list[str]:
    return differences(files, *QUANTITIES[1:])


@computes
def stages_order(files: list[Path]) -> list[str]:
    d, both, two = (finals(photos(files)[name]) for name in STAGES)
    assert max(two) < min(both)
    assert min(d) < min(two) < max(two) < sorted(d)[1]
    steps = [sorted(watched(photos(files)[name][0]))[-2:] for name in STAGES[:2]]
    assert steps[0] == steps[1]
    return [
        f"below each of SN on G/D ({span(two)} against {span(both)}), by chance 1 in {math.comb(6, 3)}",
        f"({listed(sorted(d))})",
    ]


@computes
def stages_fooled(files: list[Path]) -> list[str]:
    found = photos(files)
    equal = [run for name in STAGES[:2] for run in found[name]]
    two = [run for name in ROWS for run in found[name]]
    assert all(map(seen_of, equal)) and not any(map(seen_of, two))
    return [
        f"all {len(equal)} runs with equal rates, and in none of the {len(two)} of table 1, which have TTUR: "
        f"by chance 1 in {math.comb(len(equal) + len(two), len(equal)):,}"
    ]


@computes
def stages_pooled(files: list[Path]) -> list[str]:
    found = photos(files)
    equal = [value for name in STAGES[:2] for value in finals(found[name])]
    two = [value for name in ROWS for value in finals(found[name])]
    for name, rates in ((STAGES, 1.0), (ROWS, 0.25)):
        runs = [run for one in (name[:2] if name is STAGES else name) for run in found[one]]
        assert {run["config"]["train"]["lr_g"] / run["config"]["train"]["lr_d"] for run in runs} == {rates}
    assert (len(equal), len(two)) == (6, 15)
    above = sum(value > max(two) for value in equal)
    assert above == 5 and min(equal) < min(two)
    low, high = welch_interval(equal, two) or (math.nan, math.nan)
    assert low > 0
    more = statistics.fmean(equal) - statistics.fmean(two)
    return [
        f"five of the six lie above all fifteen ({span(two)}), one below ({min(equal):.0f})",
        f"{more:.0f} more ({100 * LEVEL:.0f} % interval {low:.0f} to {high:.0f})",
    ]


@computes
def stages_stable(files: list[Path]) -> list[str]:
    found = photos(files)
    assert {frozenset(seen_of(run)) for name in STAGES[:2] for run in found[name]} == {
        frozenset({"discriminator fooled"})
    }
    rising = [
        [values for run in found[name] if (values := sorted(watched(run).items())) and values[-1][1] > values[-2][1]]
        for name in STAGES
    ]
    first = [line["step"] for name in STAGES[:2] for run in found[name] for line in run["health"][:1]]
    assert published.SN_ON_BOTH[160] < published.SN_ON_BOTH[260]
    assert len(rising[2]) == 0
    before, last = (sorted(watched(found[STAGES[0]][0]))[k] for k in (-2, -1))
    return [
        f"in all six runs, first at step {min(first)} to {max(first)}",
        f"from step {before:,} to {last:,} the distance rose in {len(rising[0])} of 3 runs with SN on D and in "
        f"{len(rising[1])} of 3 with SN on G/D",
        "(33.39 at 160,000 steps, 72.41 at 260,000)",
    ]


@computes
def ttur(files: list[Path]) -> list[str]:
    means = {
        name: [statistics.fmean(watched(run)[step] for run in photos(files)[name]) for step in (600, 2400)]
        for name in STAGES
    }
    assert max(means, key=lambda name: means[name][0]) == STAGES[2] == min(means, key=lambda name: means[name][1])
    assert published.SN_AND_TTUR[10] > published.SN_ON_BOTH[10]
    return [
        f"at step 600 it is last ({means[STAGES[2]][0]:.0f} against {means[STAGES[0]][0]:.0f} and "
        f"{means[STAGES[1]][0]:.0f})",
        f"(10,000 steps: {published.SN_AND_TTUR[10]} with TTUR, {published.SN_ON_BOTH[10]} without)",
    ]


def long_rows(files: Sequence[Path]) -> Runs:
    """Give the long rows, whose learning rates alone differ."""
    found = runs_on(files, "cifar10-15k.zip")
    return {name: found[name] for name in RATES}


@computes
def rates_made(files: list[Path]) -> list[str]:
    runs = [run for some in long_rows(files).values() for run in some]
    steps, batch = (only(run["config"]["train"][name] for run in runs) for name in ("total_steps", "batch_size"))
    others = only(run["config"]["train"]["total_steps"] for name in STAGES for run in photos(files)[name])
    assert steps == LONGER * others
    assert only(run["device"] for run in runs) == "cpu"
    values = [(run["monitor"]["values"][0], run["reports"]["final"]["values"][0]) for run in runs]
    watching, last = (only(value[k]["protocol"]["generated"] for value in values) for k in (0, 1))
    return [
        f"{steps:,} steps of {batch} pictures",
        f"{span([run['training_s'] / 60 for run in runs])} minutes of one processor core a row",
        f"{watching} samples during training; the last step is measured by {last:,}",
    ]


@computes
def rates_table(files: list[Path]) -> list[str]:
    found = long_rows(files)
    every = sorted(watched(found["TTUR"][0]))
    steps = [step for step in every if step % (every[-1] // LONGER) == 0]
    assert len(steps) == LONGER and all(sorted(watched(run)) == every for runs in found.values() for run in runs)

    def cells(runs: list[dict[str, Any]]) -> list[str]:
        both = only((run["config"]["train"]["lr_g"], run["config"]["train"]["lr_d"]) for run in runs)
        return [f"{both[0]:g}, {both[1]:g}", *during(runs, steps)]

    return [steps_head(steps), *(row(name, *cells(found[name])) for name in RATES)]


@computes
def rates_differences(files: list[Path]) -> list[str]:
    return differences(files, QUANTITIES[1])


@computes
def rates_carried(files: list[Path]) -> list[str]:
    found = says(files, QUANTITIES[1])
    assert set(found) == {(RATES[1], RATES[0]), (RATES[2], RATES[0]), (RATES[2], RATES[1])}
    assert set(found.values()) == {"lower"}
    return []


@computes
def rates_order(files: list[Path]) -> list[str]:
    found = long_rows(files)
    low, two = (finals(found[name]) for name in RATES[1:])
    assert max(two) < min(low)
    return [f"({span(two)} against {span(low)}), by chance 1 in {math.comb(6, 3)}"]


@computes
def rates_high(files: list[Path]) -> list[str]:
    """Both rates at D's: D is fooled in every run, and from some step on nothing changes any more."""
    runs = long_rows(files)["equal rates, high"]
    assert all("discriminator fooled" in seen_of(run) for run in runs)
    first = [min(line["step"] for line in run["health"] if line["health"] == "discriminator fooled") for run in runs]
    still = [[value for step, value in watched(run).items() if step >= 7200] for run in runs]
    moved = max(max(values) - min(values) for values in still)
    lowest = [min(watched(run).items(), key=lambda item: item[1]) for run in runs]
    assert max(step for step, _ in lowest) <= 2400
    return [
        f"first at step {min(first):,} to {max(first):,}",
        f"from step 7,200 to the end the distance moves by at most {moved:.1f}",
        f"the lowest ({span([value for _, value in lowest])}) was measured at step {min(step for step, _ in lowest):,} "
        f"to {max(step for step, _ in lowest):,}",
    ]


@computes
def rates_others(files: list[Path]) -> list[str]:
    """Both rates at G's, and two rates: nothing is seen of collapse, and how far the end is above the lowest."""
    found = long_rows(files)
    assert not any(seen_of(run) for name in RATES[1:] for run in found[name])
    above = [
        [100 * (watched(run)[run["step"]] / min(watched(run).values()) - 1) for run in found[name]]
        for name in RATES[1:]
    ]
    watching = only(run["monitor"]["values"][0]["protocol"]["generated"] for runs in found.values() for run in runs)
    assert published.SN_ON_BOTH[260] > published.SN_ON_BOTH[160]
    return [
        f"by {watching} samples",
        f"{span(above[0])} % above its lowest with equal low rates, {span(above[1])} % with TTUR",
        "sees it after 160,000 steps",
    ]


@computes
def stages_carried(files: list[Path]) -> list[str]:
    assert set(says(files, QUANTITIES[1]).values()) == {"holds 0"}
    return []


@computes
def table1_order(files: list[Path]) -> list[str]:
    found = photos(files)
    paper = {"no attention": published.NO_ATTENTION["fd"].value}
    paper |= {f"attention feat{height}": published.ATTENTION[height]["fd"].value for height in (8, 16)}
    paper |= {f"residual feat{height}": published.RESIDUAL[height]["fd"].value for height in (8, 16)}
    here = sorted(ROWS, key=lambda name: statistics.fmean(finals(found[name])))
    there = sorted(ROWS, key=paper.__getitem__)
    assert here[0] == "no attention" and here[-1] == there[0] == "attention feat16"
    assert not any(
        apart(finals(found[a]), finals(found[b])) for a, b in combinations(ROWS, 2) if {a, b} != {here[0], here[-1]}
    )
    assert apart(finals(found[here[0]]), finals(found[here[-1]]))
    none, last = span(finals(found[here[0]])), span(finals(found[here[-1]]))
    return [
        f"Here: {', '.join(here)}.",
        f"In the paper: {', '.join(f'{name} ({paper[name]:.2f})' for name in there)}.",
        f"no attention ({none}) and attention feat16 ({last})",
    ]


@computes
def no_position(files: list[Path]) -> list[str]:
    return [f"at {only(run['config']['generator']['size_px'] for runs in photos(files).values() for run in runs)} px"]


@computes
def long_run(files: list[Path]) -> list[str]:
    train = [run["config"]["train"] for name in STAGES for run in photos(files)[name]]
    steps, batch = only(one["total_steps"] for one in train), only(one["batch_size"] for one in train)
    first = min(published.SN_ON_BOTH)
    assert published.SN_ON_BOTH[260] > published.SN_ON_BOTH[160]
    assert published.SN_AND_TTUR[260] < published.SN_AND_TTUR[160]
    return [
        "gets worse after 160,000 steps",
        f"{steps:,} steps of {batch} pictures are {steps * batch:,} pictures",
        f"at {first * 1000 * 256 / 1e6:.1f} million",
    ]


# One seed, longer.


def longer(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Give the rows of one seed by name, with their logs."""
    found = {read(file)["name"]: read(file) | {"log": read_lines(file.with_name("log.jsonl"))} for file in files}
    assert {(one["config"]["seed"], one["status"], tuple(one["health"])) for one in found.values()} == {
        (0, "finished", ())
    }
    return found


@computes
def longer_table(files: list[Path]) -> list[str]:
    found = longer(files)
    steps = sorted(watched(found["no attention"]))
    cells = {
        name: [*(f"{watched(run)[step]:.0f}" for step in steps), f"{final(run, FD):.0f}", f"{final(run, SCORE):.2f}"]
        for name, run in found.items()
    }
    drawn = only(run["reports"]["final"]["values"][0]["protocol"]["generated"] for run in found.values())
    head = " | ".join(f"{step:,}" for step in steps)
    return [
        f"distance at step {head} | last step, {drawn:,} samples | score, last step |",
        *(row(name, *cells[name]) for name in (*ROWS, "AC-GAN")),
    ]


@computes
def longer_budget(files: list[Path]) -> list[str]:
    found = longer(files)
    train = [run["config"]["train"] for run in found.values()]
    watching = only(run["monitor"]["values"][0]["protocol"]["generated"] for run in found.values())
    real = only(run["reports"]["final"]["values"][0]["protocol"]["reference_count"] for run in found.values())
    return [
        f"{only(one['total_steps'] for one in train):,} steps of {only(one['batch_size'] for one in train)}",
        f"{watching} samples during training, against {real:,} pictures",
        f"{span([run['training_s'] / 60 for run in found.values()])} minutes a row, {len(found)} side by side",
    ]


@computes
def longer_fall(files: list[Path]) -> list[str]:
    found = longer(files)
    for run in found.values():
        values = [value for _, value in sorted(watched(run).items())]
        assert values == sorted(values, reverse=True)
    last = {name: sorted(watched(run).items())[-2:] for name, run in found.items()}
    falls = [1.0 - points[1][1] / points[0][1] for points in last.values()]
    steps = only((points[0][0], points[1][0]) for points in last.values())
    ends = only(run["step"] for run in found.values())
    return [
        f"{ends:,} steps are far",
        f"from step {steps[0]:,} to {steps[1]:,} by {100 * min(falls):.0f} to {100 * max(falls):.0f} %",
    ]


@computes
def longer_within(files: list[Path]) -> list[str]:
    found = longer(files)
    acgan, ours = (final(found[name], f"intra-{FD}") for name in ("AC-GAN", "attention feat16"))
    assert acgan > ours
    assert final(found["AC-GAN"], SCORE) == max(final(run, SCORE) for run in found.values())
    assert final(found["AC-GAN"], FD) == max(final(run, FD) for run in found.values())
    values = found["AC-GAN"]["reports"]["final"]["values"]
    each = only(v["protocol"]["generated_per_class"] for v in values if v["metric"].startswith("intra"))
    return [f"{acgan:.0f} and {ours:.0f}", f"{each} samples of each class"]


# Runs that are kept.


def first(files: Sequence[Path], name: str) -> Path:
    return next(file for file in files if file.name == name)


def values_of(file: Path) -> dict[str, dict[str, Any]]:
    """Give the values of a report by name, without the network's."""
    return {value["metric"].replace("(efficientnet-lite0)", ""): value for value in read(file)["values"]}


def lines_with(file: Path, key: str) -> dict[int, Any]:
    return {line["step"]: line[key] for line in read_lines(file) if key in line}


def elapsed(files: Sequence[Path]) -> float:
    return max(lines_with(first(files, "log.jsonl"), "elapsed_s").values())


def run_cells(files: list[Path]) -> list[str]:
    """Say what stands in the table of every run: sizes of the networks, and how they were trained."""
    config = from_json(first(files, "config.json").read_text(encoding="utf-8"))
    parts = build(config)
    counts = [sum(p.numel() for p in network.parameters()) for network in (parts.state.G, parts.state.D)]
    train = config.train
    assert max(lines_with(first(files, "log.jsonl"), "loss_d")) == train.total_steps
    position = config.generator.attention[0]
    return [
        f"generator {counts[0]:,} weights, discriminator {counts[1]:,}, attention at feat{position}",
        f"{train.total_steps:,} steps of {train.batch_size}",
        f"learning rates {scientific(train.lr_g)} and {scientific(train.lr_d)}",
        f"moving average of decay {train.ema_decay}",
        "standing statistics of 100 batches of 100 (the sheets while training: 8 of 64)",
    ]


def scientific(rate: float) -> str:
    digits, power = f"{rate:e}".split("e")
    return f"{float(digits):g}e{int(power)}"


@computes
def digits_run(files: list[Path]) -> list[str]:
    config = read(first(files, "config.json"))
    assert config["train"]["d_steps"] == 2
    return [
        *run_cells(files),
        f"noise {config['generator']['z_dim']} wide",
        f"{elapsed(files):.0f} s of training",
    ]


@computes
def digits_report(files: list[Path]) -> list[str]:
    report = read(files[0])
    return [
        f"{report['accuracy']:.1%} of {report['samples']:,} samples".replace("%", " %"),
        f"{report['accuracy_real']:.1%}".replace("%", " %"),
        f"{report['variety']:.2f} of the real set's",
    ]


@computes
def cifar_run(files: list[Path]) -> list[str]:
    held = only(
        v["protocol"]["reference_count"]
        for v in read(first(files, "evaluation.json"))["values"]
        if "reference_count" in v["protocol"]
    )
    within = read(first(files, "within-classes.json"))
    trained = only(value["protocol"]["reference_count"] for value in within["values"])
    a_class = (trained + held) // len(within["classes"])
    assert len(lines_with(first(files, "log.jsonl"), f"score/{FD}")) == 12
    return [
        *run_cells(files),
        f"{trained + held:,} pictures of CIFAR-10 ({a_class:,} a class)",
        f"{trained:,} to train on, {held} held out",
        f"{elapsed(files) / 60:.0f} minutes with twelve measurements",
    ]


@computes
def cifar_protocol(files: list[Path]) -> list[str]:
    protocols = [value["protocol"] for value in read(files[0])["values"]]
    drawn = only(one["generated"] for one in protocols if "generated" in one)
    held = only(one["reference_count"] for one in protocols if "reference_count" in one)
    width = only(one["feature_width"] for one in protocols)
    return [f"{drawn:,} samples", f"against the {held} pictures held out, {width} features"]


@computes
def cifar_end(files: list[Path]) -> list[str]:
    found = values_of(files[0])
    value = {name: one["value"] for name, one in found.items()}
    splits = found["IS"]["protocol"]["splits"]
    classes = 10
    return [
        row(FD, f"{value['FD']:.1f}"),
        row(f"{SCORE}, {splits} splits", f"{value['IS']:.2f} +- {found['IS']['spread']:.2f}"),
        row("KD(efficientnet-lite0)", f"{value['KD']:.2f} +- {found['KD']['spread']:.2f}"),
        row("precision, recall", f"{value['precision']:.3f}, {value['recall']:.3f}"),
        row("density, coverage", f"{value['density']:.3f}, {value['coverage']:.3f}"),
        f"| class accuracy | {value['class accuracy']:.2f} (of the real pictures held out: "
        f"{value['class accuracy of the real pictures']:.2f}; by chance: {1 / classes:.2f}) |",
    ]


@computes
def cifar_recall(files: list[Path]) -> list[str]:
    return [f"{values_of(files[0])['recall']['value']:.3f} of the real pictures"]


@computes
def cifar_within(files: list[Path]) -> list[str]:
    found = read(files[0])
    classes = sorted(found["classes"].items(), key=lambda item: item[1]["value"])
    drawn, real = (only(one[name] for _, one in classes) for name in ("generated", "real"))
    protocol = found["values"][0]["protocol"]
    return [
        f"{drawn} samples of each (seed {protocol['seed']}) against its {real:,} training pictures",
        f"{protocol['feature_width']} features",
        f"intra-{FD} {found['values'][0]['value']:.1f}; " + ", ".join(f"{n} {one['value']:.1f}" for n, one in classes),
    ]


@computes
def cifar_monitor(files: list[Path]) -> list[str]:
    protocol = values_of(files[0])["FD"]["protocol"]
    train = read(files[1])["train"]
    return [
        f"{protocol['generated']:,} samples",
        f"against {protocol['reference_count']:,} training pictures, every {train['evaluate_every']} steps",
        protocol["batch_norm"].split(", seed")[0].replace("standing statistics,", "standing statistics of"),
    ]


MEASURES = {"FD": 1, "IS": 2, "KD": 2, "precision": 3, "recall": 3, "density": 3, "coverage": 3}


def scores(file: Path) -> dict[str, dict[int, float]]:
    return {name: lines_with(file, f"score/{name}(efficientnet-lite0)") for name in MEASURES}


@computes
def cifar_during(files: list[Path]) -> list[str]:
    found = scores(files[0])
    return [
        row(f"{step:,}", *(f"{found[name][step]:.{digits}f}" for name, digits in MEASURES.items()))
        for step in (500, 1000, 2000, 3000, 4000, 5000, 6000)
    ]


@computes
def cifar_trend(files: list[Path]) -> list[str]:
    found = scores(files[0])
    assert found["FD"][6000] < found["FD"][5500] < found["FD"][5000]
    assert found["recall"][6000] > found["recall"][5000]
    return []


@computes
def soak(files: list[Path]) -> list[str]:
    told, options = read(first(files, "soak.json")), read(first(files, "soak.json"))["options"]
    assert told["flat_and_ended_well"]
    assert sum("memory_mib" in line for line in read_lines(first(files, "soak.jsonl.gz"))) == told["samples"]
    often = [told["steps"] // options[f"train.{name}_every"] for name in ("evaluate", "sample", "save")]
    held = told["held"]
    assert all(held[name]["second_tenth"] == held[name]["last_tenth"] for name in ("files", "threads"))
    return [
        f"{told['steps']:,} steps in {told['hours']:g} hours",
        "{} measurements, {} looks at samples and {} checkpoints".format(*often),
        f"{held['memory_mib']['second_tenth']} MiB in the second tenth",
        f"and {held['memory_mib']['last_tenth']} in the last",
        f"at {held['files']['last_tenth']:g} and {held['threads']['last_tenth']:g}",
    ]


def whole(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def pairs_share(files: list[Path], name: str) -> list[str]:
    shares = read(first(files, "pairs-attention.json"))["shares"]["feat8"][name]
    return [whole(shares[key]) for key in ("places", "attention", "attention_of_parts")]


@computes
def pairs_shares(files: list[Path]) -> list[str]:
    rows = {"the two parts of `same-colour`": "same-colour", "of `same-size`, which are smaller": "same-size"}
    rows |= {f"of `{name}`": name for name in ("same-shape", "parallel", "mirrored", "twins")}
    return [row(said, *pairs_share(files, name)) for said, name in rows.items()]


@computes
def pairs_shares_protocol(files: list[Path]) -> list[str]:
    told = read(files[0])
    return [f"{told['num_of_each_class']} samples of each class, seed {told['seed']}"]


@computes
def pairs_run(files: list[Path]) -> list[str]:
    config = read(first(files, "config.json"))
    assert config["data"]["path"] == "pairs"
    return [
        *run_cells(files),
        f"noise {config['generator']['z_dim']} wide",
        f"fall to 0 from step {config['train']['lr_decay_start']:,} on",
        f"{elapsed(files) / 60:.0f} minutes",
    ]


@computes
def pairs_read(files: list[Path]) -> list[str]:
    cells = []
    for name, one in read(files[0])["structured"].items():
        consistent = f"{100 * one['consistent']:.1f} ± {100 * one['standard_error']:.1f} %"
        shares = f"{100 * one['readable']:.1f} %", consistent, f"{100 * one['chance']:.1f} %"
        cells.append(row(f"`{name}`", *shares, f"{one['above_chance']:.2f}"))
    return cells


@computes
def pairs_read_protocol(files: list[Path]) -> list[str]:
    found = read(files[0])
    kinds = [*found["structured"].values(), *found["textures"].values()]
    return [f"{sum(one['pictures'] for one in kinds):,} samples"]


@computes
def pairs_faults(files: list[Path]) -> list[str]:
    variety = lines_with(files[0], "variety/within")
    steps = sorted(variety)
    assert steps[0] == 500
    assert all(variety[b] < variety[a] + 0.01 for a, b in pairwise(steps))
    return [f"from {variety[500]:.2f} of the real set's at step 500 to {variety[steps[-1]]:.2f} at the end"]


@computes
def pairs_looks(files: list[Path]) -> list[str]:
    assert round(elapsed(files) / 60) == 30
    places, attention, of_parts = pairs_share(files, "same-colour")
    return [f"are {places}", f"get {attention} of the attention", f"and {of_parts} of that"]


@computes
def clothing_run(files: list[Path]) -> list[str]:
    config, pictures = read(first(files, "config.json")), read(first(files, "pictures.json"))
    count = pictures["pictures"]
    assert sum(pictures["classes"].values()) == count
    held = int(config["data"]["holdout_fraction"] * count)
    return [
        *run_cells(files),
        f"noise {config['generator']['z_dim']} wide",
        f"{count:,} photos of clothes (CC0) in {len(pictures['classes'])} classes",
        "128 px",
        f"{count - held:,} to train on, {held} held out",
        f"{elapsed(files) / 60:.0f} minutes",
    ]


def of_folder(files: Sequence[Path], folder: str) -> list[Path]:
    return [file for file in files if file.parent.name == folder]


def projected_cells(files: list[Path], preset: str, told: set[str]) -> list[str]:
    """Say how a run through a frozen network was trained; what differs from its preset is told in its command."""
    log, config = first(files, "log.jsonl"), from_json(first(files, "config.json").read_text(encoding="utf-8"))
    parts, train = build(config), config.train
    counts = [sum(p.numel() for p in network.parameters()) for network in (parts.state.G, parts.state.D)]
    assert max(lines_with(log, "loss_d")) == train.total_steps
    assert (train.lr_g, config.discriminator.features) == (train.lr_d, "efficientnet-lite0")
    own = {"data.path", "generator.num_classes", "discriminator.num_classes"}
    assert {*fields_that_differ(config, sagan.preset(preset, steps=train.total_steps))} == told | own
    return [
        f"--preset {preset} ",
        f"--steps {train.total_steps} --train.sample-every {train.sample_every} "
        f"--train.evaluate-every {train.evaluate_every} --train.save-every {train.save_every}",
        f"generator {counts[0]:,} weights, discriminator {counts[1]:,} beside",
        f"noise {config.generator.z_dim} wide in each block",
        f"{train.total_steps:,} steps of {train.batch_size}",
        f"learning rates {scientific(train.lr_g)} that fall to 0 from step {train.lr_decay_start:,} on",
        f"{elapsed([log]) / 3600:.1f} hours by the clock",
        f"moving average of decay {train.ema_decay}",
        "standing statistics of 100 batches of 100",
    ]


CADENCES = {"train.sample_every", "train.evaluate_every", "train.save_every"}


@computes
def projected_run(files: list[Path]) -> list[str]:
    mine, pictures = of_folder(files, "clothing-64-projected"), read(first(files, "pictures.json"))
    data = from_json(first(mine, "config.json").read_text(encoding="utf-8")).data
    held = int(data.holdout_fraction * pictures["pictures"])
    return [
        *projected_cells(mine, "sagan-64-projected", CADENCES | {"data.flip", "data.balanced"}),
        f"{pictures['pictures']:,} photos of clothes (CC0) in {len(pictures['classes'])} classes",
        f"of unequal size, {data.path.removeprefix('clothing-').removesuffix('.zip')} px",
        f"{pictures['pictures'] - held:,} to train on, {held} held out",
    ]


@computes
def cifar_projected_run(files: list[Path]) -> list[str]:
    mine = of_folder(files, "cifar10-32-projected")
    data = from_json(first(mine, "config.json").read_text(encoding="utf-8")).data
    held, trained = cifar_counts(files)
    assert held == int(data.holdout_fraction * (held + trained))
    return [
        *projected_cells(mine, "sagan-32-projected", CADENCES | {"data.flip"}),
        f"{held + trained:,} pictures of CIFAR-10",
        f"{trained:,} to train on, {held} held out",
    ]


def cifar_counts(files: Sequence[Path]) -> tuple[int, int]:
    """Count the pictures of CIFAR-10 that are held out, and those to train on, as results/cifar10-32 has them."""
    mine = of_folder(files, "cifar10-32")
    held = values_of(first(mine, "evaluation.json"))["FD"]["protocol"]["reference_count"]
    return held, read(first(mine, "within-classes.json"))["values"][0]["protocol"]["reference_count"]


@computes
def projected_values(files: list[Path]) -> list[str]:
    scores = ("precision", "recall", "coverage")
    return [
        row(one["protocol"]["network"], f"{one['fd']:.0f}", *(f"{one[name]:.2f}" for name in scores))
        for one in read(files[0])["judges"]
    ]


def judged_once(files: list[Path], contest: str) -> dict[str, Any]:
    """Give what the second judge of a contest said, which was asked about these weights in the same way."""
    ours, told = read(first(files, "generator-judged.json")), read(first(files, f"{contest}-second-judge.json"))
    weights = first(files, "generator-judged.json").with_name("generator.safetensors").read_bytes()
    assert ours["sha256"] == hashlib.sha256(weights).hexdigest()
    assert ours["judges"][1]["protocol"] == told["protocol"]
    return told


def judged_with(told: dict[str, Any], arm: str, pictures: str) -> list[str]:
    """Say how the second judge measures, and what it said of an arm after the whole budget, and of other weights."""
    short = [told["values"][f"{arm} seed {seed}"] for seed in (0, 1)]
    samples, reference = (told["protocol"][name].split() for name in ("samples", "reference"))
    return [
        f"{samples[0]} samples of the same classes, sample seed {samples[-1]}",
        f"fixed half of the {pictures} ({reference[0]}, split seed {reference[-1]})",
        f"{told['point_s']:,.0f} processor seconds had {short[0]['fd']:.0f} and {short[1]['fd']:.0f} "
        f"(recall {short[0]['recall']:.2f} and {short[1]['recall']:.2f})",
        f"has {told['values']['stored']['fd']:.0f}",
        f"other half of the {pictures} {told['values']['floor']['fd']:.0f}",
    ]


@computes
def projected_judged(files: list[Path]) -> list[str]:
    return judged_with(judged_once(files, "contest-clothes"), FEATURES, "photos")


@computes
def cifar_projected_judged(files: list[Path]) -> list[str]:
    return judged_with(judged_once(files, "contest-cifar"), CIFAR_WINNER, "pictures")


def named_rightly(naming: Path, name: str) -> int:
    """Count the samples of a set that were named rightly by who knew that there are ten of each class."""
    one = read(naming)["sets"][name]
    right = sum(a == b for a, b in zip(one["true"], one["said"], strict=True))
    assert right == one["named_rightly"]
    assert {one["true"].count(name) for name in one["true"]} == {10}
    assert len(one["true"]) == 100
    assert "ten of each class" in one["told"]
    return right


@computes
def cifar_long_run(files: list[Path]) -> list[str]:
    log, second = first(files, "log.jsonl"), read(first(files, "generator-judged.json"))["judges"][1]
    weights = first(files, "generator-judged.json").with_name("generator.safetensors").read_bytes()
    assert read(first(files, "generator-judged.json"))["sha256"] == hashlib.sha256(weights).hexdigest()
    assert second["protocol"]["network"] == "mobilenet-v1"
    ours, real = (
        named_rightly(first(files, "naming.json"), name)
        for name in ("results/cifar10-32-projected, 22,000 steps", "real pictures of cifar10-15k.zip")
    )
    return [
        f"for {max(lines_with(log, 'loss_d')):,} steps, {elapsed([log]) / 3600:.1f} hours of one core",
        f"has {second['fd']:.0f} (precision {second['precision']:.2f}, recall {second['recall']:.2f})",
        f"{ours} of a hundred samples",
        f"at that size {real}",
    ]


@computes
def cifar_long_pace(files: list[Path]) -> list[str]:
    batch = from_json(files[0].with_name("config.json").read_text(encoding="utf-8")).train.batch_size
    seconds = [batch / rate for rate in lines_with(files[0], "images_per_s").values()]
    return [
        f"took {statistics.median(seconds):.2f} s",
        f"median of {len(seconds)} lines",
        f"line it took {min(seconds):.2f} s",
    ]


@computes
def cifar_projected_named(files: list[Path]) -> list[str]:
    ours, real = "results/cifar10-32-projected, 22,000 steps", "real pictures of cifar10-15k.zip"
    one = read(files[0])["sets"][ours]
    right = Counter(a for a, b in zip(one["true"], one["said"], strict=True) if a == b)
    assert {name for name, count in right.items() if count >= 8} == {"truck", "automobile"}
    assert {name for name, count in right.items() if count <= 5} == {"bird", "cat", "dog"}
    count = "{truck} trucks and {automobile} automobiles, but for {bird} birds, {cat} cats and {dog} dogs"
    goal = 80
    assert named_rightly(files[0], ours) < goal
    return [
        f"none before: {named_rightly(files[0], ours)} rightly",
        f"goal, {goal}, is missed",
        f"another one named {named_rightly(files[0], real)} rightly",
        count.format(**right),
    ]


@computes
def projected_named(files: list[Path]) -> list[str]:
    return [f"none before: {named_rightly(files[0], 'results/clothing-64-projected, 27,000 steps')} rightly"]


@computes
def projected_late(files: list[Path]) -> list[str]:
    lines = read_lines(files[0])
    monitor = {line["step"]: line["score/FD(pixels 8x8)"] for line in lines if "score/FD(pixels 8x8)" in line}
    best, last = min(monitor, key=monitor.__getitem__), max(monitor)
    hearts = [line["overfitting/logits"] for line in lines if "overfitting/logits" in line]
    assert not any("health" in line for line in lines)
    return [
        "FD(pixels 8x8)",
        f"at step {best:,} ({monitor[best]:.2f}) and is {monitor[last]:.2f} at the end",
        f"({hearts[-1]:.2f} at the end, where 0 is not at all and 1 all of them)",
    ]


@computes
def long_run_named(files: list[Path]) -> list[str]:
    """The long run of the contest's winner: its hours, its steps, and what was said of it."""
    said = read(first(files, "naming.json"))["sets"]["results/clothing-64-projected, 27,000 steps"]["named_rightly"]
    hours = elapsed([file for file in files if file.parent.name == "clothing-64-projected"]) / 3600
    second = read(first(files, "generator-judged.json"))["judges"][1]
    assert second["protocol"]["network"] == "mobilenet-v1"
    steps = max(lines_with(first(files, "log.jsonl"), "loss_d"))
    weights = first(files, "generator-judged.json").with_name("generator.safetensors").read_bytes()
    assert read(first(files, "generator-judged.json"))["sha256"] == hashlib.sha256(weights).hexdigest()
    return [
        f"for {steps:,} steps, {hours:.1f} hours of one core",
        f"{second['fd']:.0f} (precision {second['precision']:.2f}, recall {second['recall']:.2f})",
        f"{said} of a hundred",
    ]


@computes
def clothing_monitor(files: list[Path]) -> list[str]:
    found = lines_with(files[0], "score/FD(pixels 8x8)")
    return [f"FD(pixels 8x8) is {found[max(found)]:.2f} ({found[5000]:.2f} at step 5,000)"]


@computes
def clothing_hats(files: list[Path]) -> list[str]:
    return [f"hats ({read(files[0])['classes']['hat']} pictures)"]


@computes
def paper_pictures(files: list[Path]) -> list[str]:
    run = photos(files)["no attention"][0]
    a_class = run["data"]["images"] // len(run["class_names"])
    return [f"{a_class:,} pictures of each class of CIFAR-10"]


# results/gpu/notes.md; the rest of that page is drawn from its files.


def of_goal(file: Path, name: str) -> str:
    return f"{next(one for one in read(file)['rows'] if one['name'] == name)['of_goal']:.2f}"


@computes
def gpu_goal(files: list[Path]) -> list[str]:
    searched = of_goal(first(files, "graphs-searched.json"), "bf16, CUDA graphs, cuDNN's search")
    compiled = of_goal(first(files, "compiled.json"), "bf16, compiled")
    graphs = of_goal(first(files, "graphs.json"), "bf16, CUDA graphs")
    assert float(searched) >= 1
    return [
        f"{searched} of {1_000_000 * 256 / 86_400:,.0f} images/s",
        f"the compiled step does {compiled} of it, CUDA graphs {graphs}",
    ]


@computes
def gpu_first_step(files: list[Path]) -> list[str]:
    return [f"took {max(one['first_step_s'] for one in read(files[0])['rows']):.0f} s"]


@computes
def gpu_folds(files: list[Path]) -> list[str]:
    resampling = [one for one in read(first(files, "layers.json"))["rows"] if one["operation"] != "conv"]
    assert len(resampling) == 10
    assert {one["fastest"] for one in resampling} == {"kernel"}
    ms = {one["name"]: one["ms"] for one in read(first(files, "step.json"))["rows"]}
    assert ms["bf16, folds as measured"] == pytest.approx(ms["bf16"], rel=0.01)

    return ["one 4x4 convolution of stride 2", f"from {CUDA_KERNEL_POSITIONS:,} positions on"]


@computes
def gpu_step_graph(files: list[Path]) -> list[str]:
    found = read(files[0])
    assert found["card"] == "NVIDIA H200"
    lines = []
    for row in found["rows"]:
        assert (row["precision"], row["batch"]) == ("fp32", 32)
        plain, graph = row["sides"]["as it is"], row["sides"]["step graph"]
        lines.append(
            f"| `{row['preset']}` | {plain['ms']:.1f} ({plain['ms_low']:.1f} to {plain['ms_high']:.1f}, "
            f"{plain['rounds']} rounds) | {graph['ms']:.1f} ({graph['ms_low']:.1f} to {graph['ms_high']:.1f}) | "
            f"{row['times_as_fast']:.1f} |"
        )
    return lines


@computes
def gpu_tests(files: list[Path]) -> list[str]:
    failed = json.dumps(read(files[0])["tests"])
    assert failed.count("FileNotFoundError") == 3
    return []


@computes
def gpu_twice(files: list[Path]) -> list[str]:
    steps = {(one["what"], one["precision"]): one["repeated"] for one in read(files[0])["steps"]}
    (trained,) = {what for what, _ in steps if "as trained" in what}
    assert steps[trained, "fp32"] > 0
    assert {difference for (what, kind), difference in steps.items() if (what, kind) != (trained, "fp32")} == {0.0}
    return []


def promises(files: list[Path]) -> dict[str, dict[str, Any]]:
    found = read(files[0])
    assert found["card"] == "NVIDIA H200"
    assert found["torch"].startswith("2.11.")
    return {one["what"]: one for one in found["rows"]}


def pixels_apart(row: dict[str, Any]) -> tuple[str, str]:
    match = re.search(r"at most (\d+ of 255) \(limit (\d+)\)", row["found"])
    assert match is not None
    return match[1], match[2]


@computes
def gpu_reliability(files: list[Path]) -> list[str]:
    rows = promises(files)
    samples, before = (what for what, one in rows.items() if not one["passes"])
    assert (before, rows[before]["found"]) == ("a product of matrices before the switch", "nothing was refused")
    most, limit = pixels_apart(rows[samples])
    assert samples.endswith(" samples in another process, fp32")
    return [
        f"of the {len(rows)} promises",
        f"{samples.split()[0]} samples that another process drew again in fp32 differed by {most}",
        f"The limit was {limit}",
    ]


@computes
def gpu_bits(files: list[Path]) -> list[str]:
    rows = promises(files)
    for precision in ("fp32", "bf16"):
        assert rows[f"trained twice, {precision}"]["found"] == "the same bits"
        for how in ("SIGTERM", "kill in a step", "kill in a save"):
            one = rows[f"{how}, resumed, {precision}"]
            assert one["passes"]
            assert one["found"].endswith(": the same bits")
    return []


@computes
def gpu_samples(files: list[Path]) -> list[str]:
    rows = promises(files)
    assert rows["64 samples in another process, TF32 as it comes"]["found"] == "the same bits"
    most, _ = pixels_apart(rows["64 samples in another process, fp32"])
    return [f"64 samples that another process drew again differed by at most {most}"]


@computes
def gpu_memory(files: list[Path]) -> list[str]:
    (what,) = (what for what in promises(files) if what.startswith("batch of "))
    one = promises(files)[what]
    assert one["passes"]
    images, gigabytes = what.removeprefix("batch of ").split(" in ")
    return [
        f"{images} images a step that might take {gigabytes}",
        f"told {one['found'].split(' at a time advised')[0]} at a time",
    ]


@computes
def gpu_gradients(files: list[Path]) -> list[str]:
    rows = promises(files)
    found = {one["found"] for what, one in rows.items() if what.startswith("gradient of ")}
    assert found == {"weights, moments and counts untouched, the other network updated, named, nothing waits"}
    for precision in ("fp32", "bf16"):
        assert sum(what.startswith("gradient of ") and what.endswith(precision) for what in rows) == 4
        assert rows[f"the step after refused ones, {precision}"]["passes"]
    return []


@computes
def gpu_trainings(files: list[Path]) -> list[str]:
    small, large = (read(first(files, f"train-{size}.json")) for size in (64, 128))
    assert {round(one["elapsed_s"] / 60) for one in (small, large)} == {3}
    return [
        "16 cores",  # of the machine, which no file has
        f"{small['steps']:,} and {large['steps']:,} steps",
        f"{elapsed(files) / 60:.0f} core-minutes",
    ]


# README.md and docs/.


@computes
def readme_picture(files: list[Path]) -> list[str]:
    steps = max(lines_with(first(files, "log.jsonl"), "loss_d"))
    hours = elapsed(files) / 3600
    assert (round(hours), steps) == (5, 3 * PRESETS["sagan-64-projected"]().train.total_steps)  # as other sentences say
    photos = read(first(files, "pictures.json"))["pictures"]
    learnt = photos - int(DataConfig(path="x").holdout_fraction * photos)
    return [f"{learnt:,} photos in {hours:.1f} hours, {steps:,} steps"]


@computes
def install_sizes(files: list[Path]) -> list[str]:
    """In MiB, and how much of all: each dependency with what it alone brings."""
    record = read(first(files, "sizes.json"))
    rows = []
    for part, names in record["brought_by"].items():
        taken = sum(record["packages"][name]["bytes"] for name in names)
        rows.append(f"| {part} | {taken / 2**20:.0f} | {taken / record['bytes']:.0%} |".replace("%", " %"))
    return [*rows, f"| all | {record['bytes'] / 2**20:,.0f} | 100 % |"]


RUNS = ("digits-demo", "cifar10-32", "clothing-64", "pairs-32")


@computes
def readme_runs(files: list[Path]) -> list[str]:
    of = partial(of_folder, files)
    report = read(first(of("digits-demo"), "report.json"))
    held, trained = cifar_counts(files)
    assert len(scores(first(of("cifar10-32"), "log.jsonl"))) == 7
    assert {round(read(file)["elapsed_s"] / 60) for file in files if file.name.startswith("train-")} == {3}
    assert {len(runs) for found in (structure(files), photos(files)) for runs in found.values()} == {3}
    minutes = {name: f"{elapsed(of(name)) / 60:.0f} minutes" for name in RUNS}
    return [
        f"{report['accuracy']:.1%} of {report['samples']:,} digits".replace("%", " %"),
        f"with {report['variety']:.2f} of the real variety",
        f"{minutes['digits-demo']} on two cores",
        f"{held + trained:,} pictures of CIFAR-10",
        f"{minutes['cifar10-32']} on one core",
        f"{max(lines_with(first(of('cifar10-32-projected'), 'log.jsonl'), 'loss_d')):,} steps, "
        f"{elapsed(of('cifar10-32-projected')) / 3600:.1f} hours on one core",
        f"{read(first(of('clothing-64'), 'pictures.json'))['pictures']:,} photos of clothes",
        f"{minutes['clothing-64']} on one core",
        "they are {} of the places and get {} of the attention; {} on one core".format(
            *pairs_share(of("pairs-32"), "same-colour")[:2], minutes["pairs-32"]
        ),
        "one H200",
    ]


@computes
def preset_times(files: list[Path]) -> list[str]:
    of = partial(of_folder, files)

    def minutes(folder: str) -> str:
        return f"{elapsed(of(folder)) / 60:.0f} minutes"

    held, trained = cifar_counts(files)
    step = read(first(of("gpu"), "step.json"))
    assert step["preset"] == "sagan-128" and step["card"] == "NVIDIA H200"
    for folder in ("cifar10-32", "clothing-64"):
        size = read(first(of(folder), "config.json"))["generator"]["size_px"]
        base = PRESETS[f"sagan-{size}-cpu"]()
        assert read(first(of(folder), "config.json"))["train"]["total_steps"] == base.train.total_steps
    long = read(first(of("clothing-64-projected"), "config.json"))["train"]["total_steps"]
    assert long == 3 * PRESETS["sagan-64-projected"]().train.total_steps
    small = from_json(first(of("cifar10-32-projected"), "config.json").read_text(encoding="utf-8")).train
    own = PRESETS["sagan-32-projected"]().train.total_steps
    photos = f"{read(first(of('clothing-64'), 'pictures.json'))['pictures']:,} photos of clothes"
    return [
        row("`demo`", "digits", "two processor cores", minutes("digits-demo")),
        row("`sagan-32-cpu`", f"{held + trained:,} of CIFAR-10", "one processor core", minutes("cifar10-32")),
        row("`sagan-64-cpu`", photos, "one processor core", minutes("clothing-64")),
        row(
            f"`sagan-32-projected`, {small.total_steps:,} steps, {small.total_steps / own:.1f} times its own",
            f"{held + trained:,} of CIFAR-10",
            "one processor core, shared",
            f"{elapsed(of('cifar10-32-projected')) / 3600:.1f} hours",
        ),
        row(
            f"`sagan-64-projected`, {long:,} steps, three times its own",
            photos,
            "one processor core",
            f"{elapsed(of('clothing-64-projected')) / 3600:.1f} hours",
        ),
        row(
            "`sagan-128`",
            "steps alone, 1,000 classes",
            "one NVIDIA H200, bf16",
            f"{bf16_rate(step):,.0f} images a second",
        ),
    ]


def bf16_rate(step: dict[str, Any]) -> float:
    return float(only(each["images_per_s"] for each in step["rows"] if each["name"] == "bf16"))


@computes
def preset_hours(files: list[Path]) -> list[str]:
    step = read(files[0])
    train = PRESETS[step["preset"]]().train
    assert train.batch_size == step["batch"] and train.total_steps == 1_000_000
    return [f"{train.total_steps * train.batch_size / bf16_rate(step) / 3600:.0f} hours"]


@computes
def healthy(files: list[Path]) -> list[str]:
    logs = [read_lines(file) for file in files]
    every = [line for log in logs for line in log if "loss_d" in line]
    guessing = 2  # the hinge loss of D
    losses = [[line["loss_d"] / guessing for line in log if "loss_d" in line] for log in logs]
    low = [(place, loss) for one in losses for place, loss in enumerate(one) if loss < 0.25]
    assert len(low) == 3
    assert max(place for place, _ in low) < 5
    started = max(loss for _, loss in low)
    later = min(loss for one in losses for loss in one if loss >= 0.25)
    looks = {name: [(line["step"], line[name]) for log in logs for line in log if name in line] for name in VARIETY}
    between = [(step, value) for step, value in looks["variety/between"] if step > 500]
    norms = [line[name] for line in every for name in ("sigma/G", "sigma/D") if name in line]
    saturated = f"below {math.ceil(100 * started) / 100:.2f} for 3 lines at the start, else {later:.2f} and more"
    by_heart = [[by_heart_in(line) for line in log if "loss_d" in line and "heldout_logits" in line] for log in logs]
    in_a_row = max(min(one[i : i + 5]) for one in by_heart for i in range(len(one) - 4))
    return [
        f"over the loss D of guessing (hinge {guessing}, non-saturating 2 ln 2, relativistic ln 2) | above 10, 3 lines "
        f"| at most {max(max(line['loss_d'], abs(line['loss_g'])) / guessing for line in every):.1f} |",
        f"below 0.05, 10 lines | {saturated} |",
        f"below 0.02, 3 lines | {min(line['real_logits'] - line['fake_logits'] for line in every):.2f} and more |",
        f"above 2, 3 lines | at most {max(norms):.2f} |",
        f"below 0.25, 3 looks | {min(value for _, value in looks['variety/within']):.2f} and more |",
        f"below 0.25, 3 looks | {min(value for _, value in between):.2f} and more from step {min(between)[0]} on |",
        f"(0) and generated ones (1) | above 0.5, 5 lines | at most {in_a_row:.2f} in each of 5 lines in a row |",
        "above 0.25, 3 looks | the logs do not have it |",
    ]


def by_heart_in(line: Any) -> float:
    """Say how far D knew its pictures by heart, from a line that has no errors; 0 where it told nothing apart."""
    trained, heldout, fake = (line[f"{name}_logits"] for name in ("trained", "heldout", "fake"))
    return max(0.0, (trained - heldout) / (trained - fake)) if trained > fake else 0.0


VARIETY = ("variety/within", "variety/between")


@computes
def healthy_lines(files: list[Path]) -> list[str]:
    logs = [read_lines(file) for file in files]
    counts = [sum("loss_d" in line for line in log) for log in logs]
    assert [any("sigma/G" in line for line in log) for log in logs] == [True, False, False]
    assert [any(name in line for line in log for name in VARIETY) for log in logs] == [True, False, False]
    return [f"{counts[0]}, {counts[1]} and {counts[2]} lines"]


@computes
def real_pairs(files: list[Path]) -> list[str]:
    found = sorted(map(read, files), key=lambda one: one["size_px"])
    counts = [
        sum(part["pictures"] for kind in ("structured", "textures") for part in one[kind].values()) for one in found
    ]

    def percent(share: float) -> str:
        return "100 %" if share == 1 else f"{100 * share:.1f} %"

    def readable(*names: str) -> list[str]:
        shares = [[percent(one["structured"][name]["readable"]) for name in names] for one in found]
        return [", ".join(shown if len(set(shown)) > 1 else shown[:1]) for shown in shares]

    consistent = [percent(only(part["consistent"] for part in one["structured"].values())) for one in found]
    lowest = [percent(min(part["recognised"] for part in one["textures"].values())) for one in found]
    return [
        row(f"{only(counts):,} real pictures", *(f"{one['size_px']} px" for one in found)),
        row("readable: `same-colour`, `parallel`, `mirrored`", *readable("same-colour", "parallel", "mirrored")),
        row("readable: `same-size`", *readable("same-size")),
        row("readable: `same-shape`, `twins`", *readable("same-shape", "twins")),
        row("consistent among the readable, every structured class", *consistent),
        row("textures recognised, the lowest", *lowest),
    ]


# results/speed and results/metrics


def rates(file: Path) -> dict[str, dict[str, float]]:
    """Give pictures in a CPU-second by the kind of picture and the work: medians over the rounds."""
    found = read(file)["wall_and_processor_rates"]
    return {
        kind: {work: statistics.median(rate for _, rate in rounds) for work, rounds in works.items()}
        for kind, works in found.items()
    }


@computes
def decoding(files: list[Path]) -> list[str]:
    rate = rates(files[0])["500x375"]["decoded, one core"]
    minutes = 1_281_167 / rate / 60
    return [f"some {round(rate, -1):.0f} JPEGs", f"{round(minutes, -1):.0f} minutes of one core"]


@computes
def fewer_operations(files: list[Path]) -> list[str]:
    counts = [read(file)["operations"] for file in files]
    fewer = [100 * (1 - one["at once"] / one["layer by layer"]) for one in counts]
    return [f"{span(fewer)} % fewer operations"]


def medians(measured: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in measured.items()}


def round_ratios(measured: dict[str, list[float]], above: str, below: str) -> float:
    """Give the median of each round's ratio: the sides take turns."""
    pairs = zip(measured[above], measured[below], strict=True)
    return statistics.median(a / b for a, b in pairs)


@computes
def speed_reading(files: list[Path]) -> list[str]:
    found = rates(files[0])
    works = [work for work in found["32x32"] if work != "cores"]
    sizes = re.findall(r"\((\d+), (\d+), (\d+)\)", (ROOT / "benchmarks" / "data.py").read_text(encoding="utf-8"))
    head = row("pictures in a CPU-second", *(f"JPEG {wide}x{high} to {px} px" for wide, high, px in sizes))
    return [head, *(row(work, *(f"{found[kind][work]:,.0f}" for kind in ("32x32", "500x375"))) for work in works)]


def batch_times(file: Path) -> dict[str, dict[str, float]]:
    return {size: medians(ways) for size, ways in read(file)["microseconds"].items()}


@computes
def speed_places(files: list[Path]) -> list[str]:
    ways = ("mapped", "unchecked", "read")
    rows = [row(f"{size} px", *(f"{t[way]:,.0f}" for way in ways)) for size, t in batch_times(files[0]).items()]
    return [f"microseconds for a batch of {read(files[0])['batch_size']}", *rows]


@computes
def speed_places_more(files: list[Path]) -> list[str]:
    times, size = batch_times(files[0]), read(files[0])["batch_size"]
    a_second = {px: 1e6 * size / times[px]["read"] for px in ("32", "128")}
    return [f"{a_second['32']:,.0f} pictures of 32 px", f"{a_second['128']:,.0f} of 128 px"]


@computes
def speed_reading_rounds(files: list[Path]) -> list[str]:
    found = read(files[0])
    rounds = only(len(v) for works in found["wall_and_processor_rates"].values() for v in works.values())
    match = re.search(r"--images (\d+)", found["command"])
    assert match
    return [f"medians of {rounds} rounds", f"{match[1]} generated pictures"]


@computes
def speed_reading_share(files: list[Path]) -> list[str]:
    logs = {
        file.parent.name: max(lines_with(file, "images_per_s").values()) for file in files if file.suffix == ".jsonl"
    }
    found = rates(first(files, "data.json"))
    fastest = {"32x32": logs["cifar10-32"], "500x375": logs["clothing-64"]}
    demo = logs["digits-demo"]
    for kind, rate in fastest.items():
        assert rate < found[kind]["batches of 64 from one file"] / 100
    assert demo < found["32x32"]["batches of 64 from one file"] / 100
    return [f"up to {max(fastest.values()):.1f} images a second", f"on up to {demo:.0f} with two"]


@computes
def speed_packing_rounds(files: list[Path]) -> list[str]:
    found = read(files[0])
    commits = found["commits"]
    return [
        f"{found['images']:,} JPEG",
        f"by commit {commits['after']} and by {commits['before']}",
        f"medians of {len(found['seconds'])} rounds",
    ]


@computes
def speed_packing(files: list[Path]) -> list[str]:
    found, rows = read(files[0]), []
    for work in ("check", "pack"):
        sides = {side: [one[side][work][1] for one in found["seconds"]] for side in ("before", "after")}
        ratio = round_ratios(sides, "after", "before")
        assert ratio <= 1.3
        times = (statistics.median(sides[side]) / found["images"] * 1e6 for side in ("before", "after"))
        rows.append(row(work, *(f"{time:.0f}" for time in times), f"{ratio:.2f}"))
    return rows


@computes
def speed_packing_goal(files: list[Path]) -> list[str]:
    found = read(files[0])
    assert found["images"] == 100_000 and len(found["seconds"]) == 1
    (one,) = found["seconds"]
    wall, cpu = ({work: one["after"][work][i] / one["before"][work][i] for work in ("check", "pack")} for i in (0, 1))
    assert max(wall.values()) <= 1.3 < cpu["check"]
    return [
        f"Of {found['images']:,} JPEG (1,000 different ones under 100 names each, one round",
        "at most 1.3 times as long",
        f"checking takes {wall['check']:.2f} times as long and packing {wall['pack']:.2f} times",
        f"{cpu['check']:.2f} and {cpu['pack']:.2f} of processor time",
    ]


@computes
def speed_step(files: list[Path]) -> list[str]:
    rows = []
    for found in sorted(map(read, files), key=lambda one: one["size_px"]):
        assert found["clock"] == "cpu"
        ms = {side: 1000 * value for side, value in medians(found["seconds"]).items()}
        ratios = [round_ratios(found["seconds"], side, "ours") for side in ("plain", "studiogan")]
        cells = [f"{ms[side]:,.0f}" for side in ("ours", "plain", "studiogan")] + [f"{ratio:.2f}" for ratio in ratios]
        rows.append(row(f"{found['size_px']} px, batch {found['batch']}", len(found["seconds"]["ours"]), *cells))
    return rows


@computes
def speed_step_goal(files: list[Path]) -> list[str]:
    assert all(round_ratios(read(file)["seconds"], "studiogan", "ours") >= 1.5 for file in files)
    return ["The goal was 1.5 times"]


def clicks(files: list[Path]) -> list[dict[str, Any]]:
    """Give the two measurements of the studio: the one that counts, and the one beside which more was done."""
    found = [read(first(files, name)) for name in ("studio.json", "studio-busy.json")]
    assert all(one["threads"] == one["cores"] == 2 for one in found)
    return found


POINTS = (220.0, 440.0, 880.0)


def contest_arms(files: list[Path]) -> dict[str, dict[float, float]]:
    """Give the distances of each arm of the screening at its points, of seed 0."""
    found: dict[str, dict[float, float]] = {}
    for line in read_lines(first(files, "contest-clothes.jsonl")):
        if line.get("seed") == 0 and line["point_s"] in POINTS and "fd" in line and "computed_by" not in line:
            found.setdefault(line["arm"], {})[line["point_s"]] = line["fd"]
    return found


@computes
def contest_points(files: list[Path]) -> list[str]:
    arms = contest_arms(files)
    base = arms["base"]
    grown = arms["grow-16-32+batch-16+narrow-d"]
    assert grown[880.0] < base[880.0]
    better = {name for name, at in arms.items() if at[220.0] < base[220.0] and "grow" not in name}
    assert better == {"batch-16", "narrow-d"}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_arms import chosen

        why = {name: chosen(name).why for name in arms}
    order = sorted(arms, key=lambda name: (-max(arms[name]), arms[name][max(arms[name])]))
    cells = {name: [f"{at[point]:,.0f}" if point in at else "" for point in POINTS] for name, at in arms.items()}
    late = {line["arm"] for line in contest_not_begun(files)}
    said = {name: f"`{name}`{', not begun' if name in late else ''}" for name in arms}
    return ["220 s | 440 s | 880 s", *(row(said[name], why[name], *cells[name]) for name in order)]


def contest_not_begun(files: list[Path]) -> list[dict[str, Any]]:
    """Give the judgements of the screening, each arm's latest, of changes that had not begun."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_report import not_begun

    latest: dict[str, dict[str, Any]] = {}
    for line in read_lines(first(files, "contest-clothes.jsonl")):
        if line.get("seed") == 0 and line["point_s"] in POINTS and "fd" in line and "computed_by" not in line:
            latest[line["arm"]] = max(line, latest.get(line["arm"], line), key=lambda one: one["point_s"])
    return [line for line in latest.values() if not_begun(line)]


@computes
def contest_points_made(files: list[Path]) -> list[str]:
    late = {line["arm"]: line for line in contest_not_begun(files)}
    assert {line["point_s"] for line in late.values()} == {POINTS[0]}
    assert {line["budget_s"] for line in late.values()} == {POINTS[-1]}
    lines = read_lines(first(files, "contest-clothes.jsonl"))
    base = only(
        (line["fd"], line["step"])
        for line in lines
        if line.get("arm") == "base" and line["point_s"] == POINTS[0] and "computed_by" not in line
    )
    lecam, decay = late["lecam-0.1"], late["decay"]
    assert {*late} == {"lecam-0.1", "decay"}
    return [
        "at 64 px",
        f"up to {POINTS[0]:.0f} s that arm",
        f"LeCam begins at step {contest_change('lecam-0.1', 'train.lecam_start')}",
        f"fall from {contest_decay('decay') * POINTS[-1]:.0f} s on",
        f"{lecam['fd']:,.0f} and {decay['fd']:,.0f} beside {base[0]:,.0f}",
        f"{lecam['step']} and {decay['step']} steps in place of {base[1]}",
    ]


def contest_change(arm: str, field: str) -> Any:
    """Give what an arm of the contest sets a field to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_arms import chosen

        return chosen(arm).changes[field]


def contest_decay(arm: str) -> float:
    """Give the share of its budget from which the rates of an arm of the contest fall."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_arms import chosen

        share = chosen(arm).decay_from
        assert share is not None
        return share


LONG_POINTS = (1320.0, 2640.0, 5280.0)


def counted_arms(files: list[Path]) -> dict[str, dict[float, float]]:
    """Give the distances of the arms of which steps were counted, of seed 0."""
    found: dict[str, dict[float, float]] = {}
    for line in read_lines(first(files, "contest-clothes.jsonl")):
        if "computed_by" in line and line["seed"] == 0 and "fd" in line:
            assert (line["computed_by"], line["computed_in"], line["budget_s"]) == ("NVIDIA H200", "fp32", 5280.0)
            found.setdefault(line["arm"], {})[line["point_s"]] = line["fd"]
    return found


@computes
def contest_counted(files: list[Path]) -> list[str]:
    arms = counted_arms(files)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_arms import chosen

        why = {name: chosen(name).why for name in arms}
    order = sorted(arms, key=lambda name: (-max(arms[name]), arms[name][max(arms[name])]))
    cells = {name: [f"{at[point]:,.0f}" if point in at else "" for point in LONG_POINTS] for name, at in arms.items()}
    return ["1,320 s | 2,640 s | 5,280 s", *(row(f"`{name}`", why[name], *cells[name]) for name in order)]


@computes
def contest_counted_made(files: list[Path]) -> list[str]:
    falls = {contest_decay(arm) * LONG_POINTS[-1] for arm in counted_arms(files) if "decay" in arm}
    assert falls == {LONG_POINTS[1]}  # and no column before the last is beyond that
    return ["at 64 px", f"whole {LONG_POINTS[-1]:,.0f} s", f"fall at {only(falls):,.0f} s"]


FEATURES = "features+noise-whole+attention-pooled+decay"


@computes
def contest_features(files: list[Path]) -> list[str]:
    lines = [line for line in read_lines(first(files, "contest-clothes.jsonl")) if "fd" in line and "arm" in line]

    def cells(arm: str, seed: int, computed: bool) -> list[str]:
        at = {
            line["point_s"]: f"{line['fd']:.0f}"
            + (f" ({line['precision']:.2f}, {line['recall']:.2f})" if "precision" in line else "")
            for line in lines
            if (line["arm"], line["seed"], line["budget_s"]) == (arm, seed, LONG_POINTS[-1])
            and ("computed_by" in line) == computed
        }
        return [at.get(point, "") for point in LONG_POINTS]

    looked = [line for line in lines if line["arm"] == FEATURES]
    assert all(line["judge_in_training"] for line in looked)
    best = min((line for line in lines if not line.get("judge_in_training")), key=lambda line: line["fd"])
    assert best["arm"] == "equal-width+decay"
    return [
        "1,320 s | 2,640 s | 5,280 s",
        *(row(f"`{FEATURES}`, D looked", str(seed), *cells(FEATURES, seed, False)) for seed in (0, 1)),
        row("`equal-width+decay` †, the best of all others", "0", *cells("equal-width+decay", 0, True)),
    ]


@computes
def contest_features_made(files: list[Path]) -> list[str]:
    lines = read_lines(first(files, "contest-clothes.jsonl"))
    other = [line for line in lines if line.get("arm") == "equal-width+decay"]
    assert {(line["computed_by"], line["computed_in"], line["seed"]) for line in other} == {("NVIDIA H200", "fp32", 0)}
    assert not any("computed_by" in line for line in lines if line.get("arm") == FEATURES)
    assert contest_decay(FEATURES) == contest_decay("equal-width+decay")
    return ["at 64 px", f"fall at {contest_decay(FEATURES) * LONG_POINTS[-1]:,.0f} s"]


CIFAR_POINTS = (880.0, 1760.0, 3520.0, 5280.0)
CIFAR_WINNER = "features-2x+noise-whole+decay"


def cifar_counted(files: list[Path]) -> dict[tuple[str, int], dict[float, dict[str, Any]]]:
    """Give the judgements of the arms that had the whole budget, by arm and seed, then by their point."""
    found: dict[tuple[str, int], dict[float, dict[str, Any]]] = {}
    for line in read_lines(first(files, "contest-cifar.jsonl")):
        if "fd" in line and "computed_by" in line and (line["arm"] == "base" or line["budget_s"] == CIFAR_POINTS[-1]):
            found.setdefault((line["arm"], line["seed"]), {})[line["point_s"]] = line
    return found


@computes
def contest_cifar(files: list[Path]) -> list[str]:
    found = cifar_counted(files)
    assert {arm for arm, _ in found} == {CIFAR_WINNER, "base"}
    assert all(
        bool(line.get("judge_in_training")) == (arm != "base") for (arm, _), at in found.items() for line in at.values()
    )

    def cells(arm: str, seed: int) -> list[str]:
        at = found[arm, seed]
        said = {
            point: f"{at[point]['fd']:.0f} ({at[point]['precision']:.2f}, {at[point]['recall']:.2f})" for point in at
        }
        return [said.get(point, "") for point in CIFAR_POINTS]

    return [
        "880 s | 1,760 s | 3,520 s | 5,280 s",
        *(row(f"`{CIFAR_WINNER}`, D looked", seed, *cells(CIFAR_WINNER, seed)) for seed in (0, 1)),
        *(row("`base`", seed, *cells("base", seed)) for seed in (0, 1)),
    ]


@computes
def contest_cifar_made(files: list[Path]) -> list[str]:
    lines = [line for at in cifar_counted(files).values() for line in at.values()]
    assert {line["protocol"]["samples"] for line in lines} == {"5,000 of the same classes, seed 0"}
    assert all(line["protocol"]["reference"].startswith("5,000 pictures") for line in lines)
    assert CIFAR_POINTS[-1] not in cifar_counted(files)["base", 1]
    features = only(line["protocol"]["features"] for line in lines)
    return [
        f"{features} features, less is better, of 5,000 samples against 5,000 pictures of",
        "(1,500 of each class",
        "CIFAR-10",
        f"({only(line['computed_by'] for line in lines)}, {only(line['computed_in'] for line in lines)})",
        "base with seed 1",
    ]


@computes
def contest_cifar_bounds(files: list[Path]) -> list[str]:
    lines = read_lines(first(files, "contest-cifar.jsonl"))
    floor, stored = (only(line["fd"] for line in lines if name in line) for name in ("floor", "stored"))
    half = cifar_half(files)
    assert all(cifar_counted(files)[CIFAR_WINNER, seed][CIFAR_POINTS[-1]]["fd"] < half for seed in (0, 1))
    minutes = elapsed([file for file in files if file.parent.name == "cifar10-32"]) / 60
    return [f"has {floor:.1f}", f"base is {half:.0f}", f"{minutes:.0f} minutes of training", f"have {stored:.1f}"]


def cifar_half(files: list[Path]) -> float:
    """Give the distance half-way between the floor and the base that had the whole budget."""
    floor = only(line["fd"] for line in read_lines(first(files, "contest-cifar.jsonl")) if "floor" in line)
    base = cifar_counted(files)["base", 0][CIFAR_POINTS[-1]]["fd"]
    assert base == min(
        line["fd"] for (arm, _), at in cifar_counted(files).items() if arm == "base" for line in at.values()
    )
    return float(floor + (base - floor) / 2)


@computes
def contest_cifar_second(files: list[Path]) -> list[str]:
    told = read(first(files, "contest-cifar-second-judge.json"))
    at = told["values"]
    assert (told["winner"], told["point_s"]) == (CIFAR_WINNER, CIFAR_POINTS[-1])
    assert "base seed 1" not in at
    late = [at[f"{CIFAR_WINNER} seed {seed}"] for seed in (0, 1)]
    early = [at[f"{CIFAR_WINNER} seed {seed} after 1760 s"] for seed in (0, 1)]
    early_base = [at[f"base seed {seed} after 1760 s"] for seed in (0, 1)]
    base, floor, stored = at["base seed 0"], at["floor"], at["stored"]
    half = floor["fd"] + (base["fd"] - floor["fd"]) / 2
    assert max(one["fd"] for one in late) < half

    def pair(two: list[dict[str, float]], name: str, digits: int = 2) -> str:
        return f"{two[0][name]:.{digits}f} and {two[1][name]:.{digits}f}"

    def against(name: str) -> str:
        return f"{name} {pair(early, name)} against {pair(early_base, name)}"

    return [
        "After 1,760 s",
        f"is {pair(early, 'fd', 0)} where the base, with two seeds too, has {pair(early_base, 'fd', 0)}",
        f"({against('recall')}, {against('precision')})",
        f"After 5,280 s it is {pair(late, 'fd', 0)} (precision {pair(late, 'precision')}, "
        f"recall {pair(late, 'recall')})",
        f"has {base['fd']:.0f} ({base['precision']:.2f}, {base['recall']:.2f})",
        f"has {stored['fd']:.0f}",
        f"other half of the pictures {floor['fd']:.0f}",
        f"base is {half:.0f}",
    ]


@computes
def contest_cifar_dearer(files: list[Path]) -> list[str]:
    costs = read(first(files, "step-costs-cifar.json"))["costs"]
    lines = [line for line in read_lines(first(files, "contest-cifar.jsonl")) if "fd" in line and "arm" in line]
    taken = {
        line["arm"]: line["cost_s"] / line["step"]
        for line in lines
        if "computed_by" not in line and line["point_s"] == 220.0
    }
    at = [cifar_counted(files)[CIFAR_WINNER, seed][CIFAR_POINTS[2]] for seed in (0, 1)]
    assert max(line["fd"] for line in at) < cifar_half(files)
    assert 1.15 < taken[CIFAR_WINNER] / costs[CIFAR_WINNER]["run"] < 1.25
    return [
        f"counted as {costs[CIFAR_WINNER]['run']:.2f} s",
        "in the 220 s",
        f"it took {taken[CIFAR_WINNER]:.2f} s",
        f"(of the base {costs['base']['run']:.2f} counted, {taken['base']:.2f} taken)",
        f"below {cifar_half(files):.0f} at 3,520 s already",
        f"is {only(line['step'] for line in at) * taken[CIFAR_WINNER]:,.0f} s then",
    ]


@computes
def contest_cifar_enlarged(files: list[Path]) -> list[str]:
    lines = [line for line in read_lines(files[0]) if "computed_by" in line and line["seed"] == 0]
    at = {(line["arm"], line["budget_s"], line["point_s"]): line for line in lines}
    plain, enlarged = (
        [at[arm, 880.0, point]["fd"] for point in (440.0, 880.0)]
        for arm in ("features+noise-whole+decay", CIFAR_WINNER)
    )
    other = at[CIFAR_WINNER, 5280.0, 440.0]
    assert other["step"] == at[CIFAR_WINNER, 880.0, 440.0]["step"]
    return [
        "16 px",
        f"{plain[0]:.0f} at 440 s and {plain[1]:.0f} at 880 s",
        f"had {enlarged[0]:.0f} and {enlarged[1]:.0f}",
        f"step {other['step']}",
        f"had {enlarged[0]:.0f} and {other['fd']:.0f} there",
    ]


FEW_SETS = ("five-100", "one-100", "five-500", "one-500")
FEW_WAYS = {
    "projected": "`sagan-64-projected` at constant rates",
    "projected-all": "`sagan-64-projected`, with `color translation cutout`",
    "narrow": "narrower networks",
    "adaptive": "`color translation cutout`, adaptive",
    "all": "`color translation cutout`",
    "transfer": "150 s on CIFAR-10, then 150 s",
    "preset": "`sagan-64-cpu` as it is (`translation`)",
    "freeze": "150 s on CIFAR-10, then 150 s with `--train.freeze-d 2`",
    "none": "no augmentation",
    "lecam": "LeCam from step 100 on",
}


def few_at(files: list[Path], point: float) -> dict[str, list[dict[str, Any]]]:
    """Give the judgements of each arm at a point that was counted, one for each set."""
    lines = [line for line in read_lines(first(files, "few-pictures.jsonl.gz")) if "computed_by" in line]
    at = {(line["arm"], line["few"]): line for line in lines if line["point_s"] == point}
    return {arm: [at[arm, few] for few in FEW_SETS] for arm in FEW_WAYS}


def few_at_cost(files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Give the judgements of each arm where it has cost 300 s in all, with what it starts from."""
    half, whole = few_at(files, 150.0), few_at(files, 300.0)
    found = {arm: half[arm] if half[arm][0]["before_s"] else whole[arm] for arm in FEW_WAYS}
    assert {line["point_s"] + line["before_s"] for lines in found.values() for line in lines} == {300.0}
    return found


@computes
def few_pictures(files: list[Path]) -> list[str]:
    at = few_at_cost(files)
    floors = {line["few"]: line["fd"] for line in read_lines(files[0]) if line.get("floor")}
    totals = [sum(line["fd"] for line in at[arm]) for arm in FEW_WAYS]
    assert totals == sorted(totals)
    assert only(line["before_s"] for arm in ("transfer", "freeze") for line in at[arm]) == 150
    said_sets = {
        "five-100": "5 classes, 100",
        "one-100": "1 class, 100",
        "five-500": "5 classes, 500",
        "one-500": "1 class, 500",
    }
    assert [*said_sets] == [*FEW_SETS]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from few import ARMS, FEW

        assert {name: (len(FEW[name].classes), FEW[name].pictures) for name in FEW_SETS} == {
            name: (int(said.split()[0]), int(said.split()[-1])) for name, said in said_sets.items()
        }
        assert FEW_WAYS["lecam"].endswith(f"from step {ARMS['lecam'].changes['train.lecam_start']} on")
    return [
        "5 classes, 100 pictures | 1 class, 100 | 5 classes, 500 | 1 class, 500",
        *(row(FEW_WAYS[arm], *(f"{line['fd']:,.0f}" for line in at[arm])) for arm in FEW_WAYS),
        row("(the training pictures themselves)", *(f"{floors[few]:.0f}" for few in FEW_SETS)),
    ]


@computes
def few_made(files: list[Path]) -> list[str]:
    lines = [line for arm in few_at_cost(files).values() for line in arm]
    assert {line["seed"] for line in lines} == {0}
    started = [line for line in lines if line["before_s"]]
    assert {line["arm"] for line in started} == {"transfer", "freeze"}
    more = only(line["point_s"] + line["before_s"] for line in few_at(files, 300.0)["freeze"])
    assert {line["arm"] for line in lines if line.get("judge_in_training")} == {"projected", "projected-all"}
    judges = [line["protocol"]["samples"].split()[0] for line in lines[:2]]
    return [
        f"{only(line['protocol']['features'] for line in lines)} features",
        f"({judges[0]} or {judges[1]})",
        f"{only(line['point_s'] + line['before_s'] for line in lines):.0f} processor seconds",
        f"two ways had {only(line['before_s'] for line in started):.0f} of them",
        f"have {more - 300.0:.0f} s more",
        only(line["computed_by"] for line in lines),
        "`sagan-64-projected`",
    ]


@computes
def few_others(files: list[Path]) -> list[str]:
    half, whole = few_at(files, 150.0), few_at(files, 300.0)

    def less(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> str:
        return f"{sum(a['fd'] < b['fd'] for a, b in zip(one, other, strict=True))} of {len(FEW_SETS)}"

    return [
        f"`translation` alone in {less(whole['all'], whole['preset'])} sets",
        f"than the preset in {less(half['transfer'], whole['preset'])}",
        f"all of D in {less(half['freeze'], half['transfer'])}",
        f"after 150 s more, FreezeD had less in {less(whole['freeze'], whole['transfer'])}",
        "CIFAR-10",
    ]


@computes
def few_ahead(files: list[Path]) -> list[str]:
    at = few_at_cost(files)
    others = [arm for arm in FEW_WAYS if not arm.startswith("projected")]
    best = [min(at[arm][i]["fd"] for arm in others) for i in range(len(FEW_SETS))]
    shares = [at[arm][i]["fd"] / best[i] for arm in ("projected", "projected-all") for i in range(len(FEW_SETS))]
    return [
        "`sagan-64-projected`",
        f"is {min(shares):.2f} to {max(shares):.2f} of the best other",
        "`sagan-64-cpu` or `sagan-32-cpu`",
    ]


@computes
def few_recall(files: list[Path]) -> list[str]:
    lines = [line for arm in few_at_cost(files).values() for line in arm]
    recall = only(f"{line['recall']:.2f}" for line in lines)
    return [f"recall is {recall} of"]


@computes
def few_looking(files: list[Path]) -> list[str]:
    at = few_at(files, 300.0)
    more = sum(a["fd"] > b["fd"] for a, b in zip(at["projected-all"], at["projected"], strict=True))
    lines = [line for line in read_lines(files[0]) if "computed_by" not in line and line.get("point_s") == 450.0]
    by = {line["arm"]: line for line in lines if line["few"] == "five-100"}
    one, three = by["projected"], by["projected-all"]
    return [
        f"had more in {more} of {len(FEW_SETS)} sets",
        "on 100 pictures of 5 classes",
        f"had {three['fd']:.0f} and {one['fd']:.0f} after {only(line['point_s'] for line in lines):.0f} s",
        f"{one['by_heart']:.2f} against {three['by_heart']:.2f} (0 is not at all, 1 all of them)",
    ]


@computes
def few_hearts(files: list[Path]) -> list[str]:
    at = few_at(files, 300.0)
    steps = [line["step"] for arm in ("projected", "projected-all", "none") for line in at[arm]]
    largest = max((line for arm in at.values() for line in arm), key=lambda line: line["by_heart"] or 0.0)
    assert all(line["by_heart"] is None for arm in ("projected", "projected-all") for line in at[arm])
    assert (largest["arm"], largest["point_s"] + largest["before_s"]) == ("transfer", 450.0)
    said = f"{largest['by_heart']:.2f}"
    return [
        f"those of {min(steps)} to {max(steps)} steps",
        f"is {said}, of the start from CIFAR-10 after 150 s more",
    ]


@computes
def contest_cheaper(files: list[Path]) -> list[str]:
    lines = [line for line in read_lines(first(files, "contest-clothes.jsonl")) if line.get("point_s") == 1320.0]
    at = {line["arm"]: line for line in lines if "computed_by" not in line}
    cheap, dear = at["noise-whole+attention-pooled+thin-d+cheap-last+decay"], at["noise-whole+attention-pooled+decay"]
    return [
        f"do {cheap['step'] / dear['step']:.1f} times the steps",
        f"have {cheap['fd']:.0f} at 1,320 s instead of {dear['fd']:.0f}",
    ]


@computes
def contest_named(files: list[Path]) -> list[str]:
    sets = read(first(files, "naming.json"))["sets"]
    for one in sets.values():
        assert one["named_rightly"] == sum(a == b for a, b in zip(one["true"], one["said"], strict=True))
        assert {one["true"].count(name) for name in one["true"]} == {10}
    right = {name: one["named_rightly"] for name, one in sets.items()}
    whole, half = f"{FEATURES}, 5,280 s", f"{FEATURES}, 2,640 s"
    assert [(sets[name]["seed"], round(sets[name]["cost_s"])) for name in (whole, half)] == [(0, 5280), (1, 2640)]
    return [
        f"right for {right[whole]} of seed 0 after 5,280 s, for {right[half]} of seed 1 after 2,640 s",
        f"for {right['results/clothing-64 before the contest']} of",
        f"for {right['real pictures']} of a hundred real",
    ]


@computes
def contest_second(files: list[Path]) -> list[str]:
    told = read(first(files, "contest-clothes-second-judge.json"))
    at = told["values"]
    assert (told["winner"], told["point_s"]) == (FEATURES, LONG_POINTS[-1])
    late, early = ([at[f"{FEATURES} seed {seed}{when}"] for seed in (0, 1)] for when in ("", " after 1320 s"))
    before, floor = at["stored"], at["floor"]
    half = floor["fd"] + (before["fd"] - floor["fd"]) / 2
    minutes = elapsed(files) / 60
    assert max(one["fd"] for one in late) < half
    assert max(one["fd"] for one in early) < before["fd"]

    def pair(name: str, places: int) -> str:
        return f"{late[0][name]:.{places}f} and {late[1][name]:.{places}f}"

    return [
        f"{pair('fd', 0)} after 5,280 s (precision {pair('precision', 2)}, recall {pair('recall', 2)})",
        f"and {early[0]['fd']:.0f} and {early[1]['fd']:.0f} after 1,320 s",
        f"without the frozen network in {minutes:.0f} minutes by the clock, has {before['fd']:.0f} "
        f"(precision {before['precision']:.2f}, "
        f"recall {before['recall']:.2f}), the other half of the photos {floor['fd']:.0f} against",
        f"between the two is {half:.0f}",
    ]


def halfway(files: list[Path], arm: str) -> float:
    """Give the distance of an arm half-way, in whole numbers as the page has it."""
    return float(f"{counted_arms(files)[arm][2640.0]:.0f}")


@computes
def contest_ahead(files: list[Path]) -> list[str]:
    noise, wide, pooled, base = (
        halfway(files, arm) for arm in ("noise-whole+decay", "wide-g+decay", "attention-pooled+decay", "base")
    )
    assert max(noise, wide, pooled) < base
    return [f"at 2,640 s: {noise:.0f} and {wide:.0f} against {base:.0f}", f"pooled keys ({pooled:.0f})"]


@computes
def contest_behind(files: list[Path]) -> list[str]:
    said = {
        "wide-d+decay": "discriminator",
        "d-steps-2+decay": "updates of it",
        "batch-64+decay": "the batch",
        "bilinear+decay": "bilinear upsampling",
        "rates-double+decay": "rates",
    }
    found = {words: halfway(files, arm) for arm, words in said.items()}
    assert min(found.values()) > halfway(files, "base") + 90
    return [f"{words} ({value:.0f})" for words, value in found.items()]


@computes
def contest_near(files: list[Path]) -> list[str]:
    said = {
        "augment-none+decay": "No augmentation",
        "base+decay+ema-ramp": "short at first",
        "relativistic+r1-r2-lazy+decay": "R1 and R2",
    }
    found = {words: halfway(files, arm) for arm, words in said.items()}
    assert all(abs(value - halfway(files, "base")) < 40 for value in found.values())
    return [f"{words} ({value:.0f})" for words, value in found.items()]


@computes
def contest_whole(files: list[Path]) -> list[str]:
    equal, wide = (counted_arms(files)[arm][5280.0] for arm in ("equal-width+decay", "wide-g+decay"))
    return [f"At 5,280 s a generator and a discriminator of width 12 have {equal:.0f}", f"a wider generator {wide:.0f}"]


@computes
def contest_joined(files: list[Path]) -> list[str]:
    name = "noise-whole+attention-pooled+decay"
    lines = [line for line in read_lines(first(files, "contest-clothes.jsonl")) if "computed_by" not in line]
    at = {(line["arm"], line["point_s"]): line["fd"] for line in lines if line.get("budget_s") == 2640.0}
    assert abs(at[name, 2640.0] - halfway(files, "noise-whole+decay")) < 10
    wide = at[f"wide-g+{name}", 1320.0]
    return [
        f"by 2,640 s and trained by seconds on a core, have {at[name, 2640.0]:.0f} there",
        f"at 1,320 s ({wide:.0f} against {at[name, 1320.0]:.0f})",
    ]


@computes
def contest_grown(files: list[Path]) -> list[str]:
    arms, lines = contest_arms(files), read_lines(first(files, "contest-clothes.jsonl"))
    name = "grow-16-32+batch-16+narrow-d"
    ramped = [line for line in lines if line.get("arm") == f"{name}+ema-ramp" and "computed_by" not in line]
    at = {line["point_s"]: line["fd"] for line in ramped}
    stored = only(line["fd"] for line in lines if "stored" in line)
    own = counted_arms(files)["grow-16-32-short+ema-ramp+decay"]
    assert own[2640.0] > own[1320.0]
    return [
        f"at 880 s ({arms[name][880.0]:.0f} against {arms['base'][880.0]:,.0f}",
        f"at 32 px ({at[2640.0]:.0f} at 2,640 s",
        f"at 64 px it ends at {at[5280.0]:.0f} at 5,280 s",
        f"{stored:.1f}",
    ]


@computes
def contest_grow_command(files: list[Path]) -> list[str]:
    """What the page's command that grows is, by what a step costs: about the arm, whose flags it has."""
    page = (ROOT / "docs" / "small-machines.md").read_text(encoding="utf-8")
    words = re.findall(r"^sagan train .*--grow .*$", page, re.MULTILINE)[0].split()
    told = {flag: value for flag, value in pairwise(words) if flag.startswith("--")}
    arm = "grow-16-32+batch-16+narrow-d"
    fields = {
        "--batch-size": "train.batch_size",
        "--discriminator.base-width": "discriminator.base_width",
        "--train.fade-steps": "train.fade_steps",
    }
    assert {field: int(told[flag]) for flag, field in fields.items()} == {
        field: contest_change(arm, field) for field in fields.values()
    }
    steps, share = int(told["--steps"]), float(told["--grow-share"])
    costs = read(first(files, "step-costs-clothes.json"))["costs"][f"{arm}+ema-ramp"]
    small = round(share * steps)
    seconds = [small * costs["stage-1"], small * costs["stage-2"], (steps - 2 * small) * costs["run"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_arms import SETS, chosen

        shares = [stage.share for stage in chosen(arm).stages]
        assert SETS["clothes"].flip and SETS["clothes"].balanced
    assert {"--data.flip", "--data.balanced"} <= {*words}
    arms = [one * POINTS[-1] for one in (*shares, 1.0 - sum(shares))]
    assert abs(sum(seconds) / POINTS[-1] - 1.0) < 0.01 and abs(seconds[2] / sum(seconds) - arms[2] / sum(arms)) < 0.02
    return [
        f"{share} of them at 16 px and as many at 32",
        f"it is {sum(seconds):.0f} s",
        f"{seconds[0]:.0f} are at 16 px, {seconds[1]:.0f} at 32 and {seconds[2]:.0f} at 64",
        f"the arm had {arms[0]:.0f}, {arms[1]:.0f} and {arms[2]:.0f}",
    ]


@computes
def contest_hold(files: list[Path]) -> list[str]:
    """What the command that names no arms comes to, where the best three plan with their whole budget."""
    with pytest.MonkeyPatch.context() as patch:
        args = contest_call("quality.py clothes --data clothing-128.zip", patch)
        from quality import BEST, FINAL_SEEDS
    assert not {line["arm"] for line in read_lines(files[0]) if "+" in line.get("arm", "")} & {*args.arms}
    assert {"base", "features"} <= {*args.arms}  # which go on from the screening, and the best of each kind does
    long = ((BEST + 2) * len(FINAL_SEEDS) * args.final - 2 * args.screen) / 3600
    return [
        f"has {len(args.arms)} arms, which are {len(args.arms) * args.screen / 3600:.1f} hours",
        f"at {args.screen:.0f} s each",
        f"up to {long:.1f} hours",
    ]


def contest_call(command: str, patch: pytest.MonkeyPatch) -> Any:
    """Read the flags of a call of a contest, as its program does."""
    import importlib

    program, *words = command.split()
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    patch.chdir(ROOT)
    patch.setattr("sys.argv", [program, *words])
    return importlib.import_module(program.removesuffix(".py")).read_args()


def contest_lines_of(args: Any, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the lines that a call makes."""
    import few
    import quality
    from quality_arms import chosen

    lines = [line for line in lines if "arm" in line and ("computed_by" in line) == bool(args.costs)]
    if not hasattr(args, "set"):
        wanted = {*few.pieces(args.sets or [*FEW_SETS], args.arms, args.seeds, args.budget)}
        return [line for line in lines if (line["few"], line["arm"], line["seed"], line["point_s"]) in wanted]
    slices = quality.screening(args.arms, args.screen, args.seeds)
    slices += [] if args.only_screen else quality.finals(args.arms, args.screen, args.final)
    known = {piece if chosen(piece[0]).plans else (piece[0], piece[1], None, piece[3]) for piece in slices}
    return [
        line
        for line in lines
        if {(line["arm"], line["seed"], budget, line["point_s"]) for budget in (line["budget_s"], None)} & known
    ]


@computes
def contest_commands(files: list[Path]) -> list[str]:
    """Each line was made by one of the calls that the page has; how long its lines trained, in hours."""
    page = (ROOT / "results" / "quality" / "README.md").read_text(encoding="utf-8")
    calls = re.findall(r"^\| (.*) \| `(\./dev python benchmarks/(?:quality|few)\.py .*)` \| .* \|$", page, re.MULTILINE)
    left = {file.name.partition(".")[0]: [line for line in read_lines(file) if "arm" in line] for file in files}
    assert sum(map(len, left.values())) > 150
    told = []
    for label, command in calls:
        with pytest.MonkeyPatch.context() as patch:
            args = contest_call(command.removeprefix("./dev python benchmarks/"), patch)
            kind = f"contest-{args.set}" if hasattr(args, "set") else "few-pictures"
            mine = contest_lines_of(args, left[kind])
        assert mine, command
        left[kind] = [line for line in left[kind] if line not in mine]
        ends: dict[tuple[Any, ...], float] = {}
        for line in mine:
            run = line.get("few"), line["arm"], line["seed"], "decay" in line["arm"] and line["budget_s"]
            ends[run] = max(line["point_s"], ends.get(run, 0.0))
        hours = (sum(ends.values()) + max(line.get("before_s", 0.0) for line in mine)) / 3600
        told.append(row(label, f"`{command}`", f"{hours:.1f}"))
    (other,) = {line["arm"] for lines in left.values() for line in lines}
    hours = max(line["point_s"] for lines in left.values() for line in lines) / 3600
    costs = read(ROOT / "results" / "quality" / "step-costs-clothes.json")["costs"]
    assert other == "rates-double+decay" and other not in costs
    return [*told, f"adds it | {hours:.1f} |"]


@computes
def contest_pictures(files: list[Path]) -> list[str]:
    classes = read(first(files, "pictures.json"))["classes"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from quality_pictures import EACH, QUALITY, SIDE_PX
    made = only(line["protocol"]["reference"] for line in read_lines(first(files, "contest-cifar.jsonl")))
    assert made.startswith("5,000 pictures") and SIDE_PX == 128
    return [
        f"all {sum(classes.values()):,} photos",
        f"in {len(classes)} classes of {min(classes.values())} to {max(classes.values())}",
        f"square at {SIDE_PX} px, as JPEG of quality {QUALITY}",
        f"first {EACH:,} training pictures of each of 10 classes",
    ]


@computes
def contest_costs(files: list[Path]) -> list[str]:
    costs = read(first(files, "step-costs-clothes.json"))["costs"]
    lines = [line for line in read_lines(first(files, "contest-clothes.jsonl")) if "computed_by" in line]
    half = {line["arm"]: line["step"] for line in lines if line.get("step") and line["point_s"] == 2640.0}
    off = {arm: costs[arm]["run"] * half[arm] / 2640.0 - 1.0 for arm in half if set(costs.get(arm, ())) == {"run"}}
    fewer = off.pop("augment-none+decay")
    assert {round(100 * one) for one in off.values()} == {3}
    assert sum("kept" in line for line in lines if line["point_s"] == 1320.0) > len(half)
    return [f"are {100 * off['base']:.0f} % above", f"{-100 * fewer:.0f} % below", "at 1,320 s"]


@computes
def contest_bounds(files: list[Path]) -> list[str]:
    lines = read_lines(first(files, "contest-clothes.jsonl"))
    floor, stored = (only(line["fd"] for line in lines if name in line) for name in ("floor", "stored"))
    minutes = elapsed([file for file in files if file.parent.name == "clothing-64"]) / 60
    return [f"have {floor:.1f}", f"{stored:.1f}", f"{minutes:.0f} minutes"]


@computes
def studio_rounds(files: list[Path]) -> list[str]:
    count = only(len(pairs) for one in clicks(files) for pairs in one["rounds"].values())
    return [f"--rounds {count}", f"of {count} clicks"]


@computes
def studio_clicks(files: list[Path]) -> list[str]:
    goals = {"32 px, 16 samples": (", narrow", 300), "64 px, 16 samples": (", narrow", 600)}
    goals["128 px, 1 sample"] = (", published width", 1500)
    rows = []
    for name, (kind, goal) in goals.items():
        now, before = (
            {key: [pair[key] for pair in one["rounds"][name]] for key in ("click_ms", "network_ms")}
            for one in clicks(files)
        )
        waited, alone = (statistics.median(now[key]) for key in ("click_ms", "network_ms"))
        assert waited < goal
        least, greatest = min(now["click_ms"]), max(now["click_ms"])
        busy = [f"{statistics.median(before[key]):,.0f}" for key in ("click_ms", "network_ms")]
        rows.append(
            row(
                f"{name}{kind}",
                goal,
                f"{waited:,.0f} ({least:,.0f} to {greatest:,.0f})",
                f"{alone:,.0f}",
                ", ".join(busy),
            )
        )
    return rows


@computes
def studio_load(files: list[Path]) -> list[str]:
    now, before = clicks(files)
    late, early = ([pair["load"] for pairs in one["rounds"].values() for pair in pairs] for one in (now, before))
    assert statistics.median(pair["click_ms"] for pair in before["rounds"]["128 px, 1 sample"]) > 1500
    assert early[0] > 3 * late[0]
    return [f"{now['cores']} cores", f"a load of {int(min(early))} to {int(max(early))}", "at 128 px was missed"]


@computes
def studio_first_look(files: list[Path]) -> list[str]:
    seconds = [value for one in clicks(files) for value in one["first_look_s"]]
    assert max(seconds) < 5
    return [f"{min(seconds):.1f} to {max(seconds):.1f} s", f"({len(seconds)} times)"]


@computes
def speed_spectral(files: list[Path]) -> list[str]:
    found = []
    for name in ("32", "sagan-32-cpu", "demo"):
        one = read(first(files, f"spectral-{name}.json"))
        ratios = [turn["layer by layer"][1] / turn["at once"][1] for turn in one["wall_and_processor_s"]]
        counts = [one["operations"][side] for side in ("layer by layer", "at once")]
        label = "32 px, batch 16" if name == "32" else f"`{name}`"
        found.append(
            row(
                label,
                f"{counts[0]:,}, {counts[1]:,}",
                f"{statistics.median(ratios):.3f} ({span(ratios, 3)})",
                len(ratios),
            )
        )
    return found


@computes
def speed_attention(files: list[Path]) -> list[str]:
    found = {(one["form"], one["implementation"]): one for one in read(files[0])["rows"]}
    rows = []
    for form in ("slides", "official"):
        each = [found[form, name] for name in ("explicit", "fused", "tiled")]
        ms = [statistics.median(one["ms"]) for one in each]
        mib = [one["mib"] for one in each]
        cells = [f"{a:,.0f}, {b:,.0f}" for a, b in zip(ms, mib, strict=True)]
        rows.append(
            row(form, f"{each[0]['size']}x{each[0]['size']}", *cells, f"{ms[0] / ms[2]:.2f}, {mib[0] / mib[2]:.1f}")
        )
    return rows


@computes
def speed_frechet(files: list[Path]) -> list[str]:
    seconds = medians(read(files[0])["seconds"])
    names = {"sagan": "sagan", "torch-fidelity": "torch-fidelity 0.4.0", "scipy": "scipy.linalg.sqrtm"}
    return [row(names[name], f"{value:.2f}", f"{value / seconds['sagan']:.1f}") for name, value in seconds.items()]


@computes
def mutants_fresh(files: list[Path]) -> list[str]:
    rows, known = read_lines(files[0]), read(files[1])
    names = ("file", "function", "operator", "diff")
    same = [
        all(one[name] == row[name] for name in names) for row in rows for one in known if row["outcome"] == "survived"
    ]
    killed, other = sum(row["outcome"] != "survived" for row in rows), len(rows) - sum(same)
    kills = f"killed {killed} of {other} mutants that are other programs ({100 * killed / other:.1f} %)"
    return [f"of {len(rows)} mutants", kills]


@computes
def library_images(files: list[Path]) -> list[str]:
    kinds = ("same", "close", "different", "refused", "unread")
    found = [read(file) for file in files]
    source = (ROOT / "benchmarks" / "library_images.py").read_text(encoding="utf-8")
    (levels,) = re.findall(r"SAME_LEVELS, CLOSE_MEAN = (\d), (\d)\.0", source)
    head = "the same within {} levels | close ({} levels on average)".format(*levels)
    return [head, *(row(each["folder"], each["files"], *(each["counts"][kind] for kind in kinds)) for each in found)]


@computes
def awkward(files: list[Path]) -> list[str]:
    fates = ("used", "reported", "used or reported", "used as far as it is there")
    rows = []
    for name, found in zip(("the first time", "now", "other seeds"), map(read, files), strict=True):
        trees, wrong = found["next"] - found["from"], len(found["wrong"])
        counts = (found["fates"][fate] for fate in fates)
        rows.append(row(name, trees, *(f"{count:,}" for count in (found["pictures"], *counts)), wrong))
    return rows


@computes
def mutants_before(files: list[Path]) -> list[str]:
    before, after = ({row["key"]: row for row in read_lines(file)} for file in files[:2])
    assert before.keys() == after.keys()
    other = sum(row["outcome"] != "survived" for row in after.values())  # the rest is no other program
    killed = sum(row["outcome"] != "survived" for row in before.values())
    return [f"killed {killed} of its {other} mutants that are other programs ({100 * killed / other:.1f} %)"]


@computes
def speed_frechet_few(files: list[Path]) -> list[str]:
    seconds = medians(read(files[0])["seconds"])
    theirs = seconds["torch-fidelity"]
    names = {"sagan": "sagan", "sagan stored": "sagan, stored", "torch-fidelity": "torch-fidelity 0.4.0"}
    return [row(names[name], f"{value:.2f}", f"{theirs / value:.1f}") for name, value in seconds.items()]


@computes
def speed_frechet_agrees(files: list[Path]) -> list[str]:
    values = read(files[0])["values"]
    difference = max(abs(value - values["sagan"]) / values["sagan"] for value in values.values())
    seconds = medians(read(files[0])["seconds"])
    assert seconds["torch-fidelity"] < 15 * seconds["sagan"]
    assert seconds["scipy"] < 40 * seconds["sagan"]
    digits, power = f"{difference:.1e}".split("e")
    return [f"at most {digits}e{int(power)}", "goals of 15 and 40 times are not reached"]


@computes
def speed_features(files: list[Path]) -> list[str]:
    found = read(files[0])
    seconds = medians(found["seconds"])
    digits, power = f"{found['difference']:.1e}".split("e")
    names = {
        "torch-fidelity": "torch-fidelity 0.4.0",
        "sagan": f"sagan, the same network (largest difference {digits}e{int(power)} of the largest feature)",
        "sagan, EfficientNet-Lite0": "sagan, EfficientNet-Lite0 (another network)",
    }
    first_one = seconds["torch-fidelity"]
    size = re.search(r'"--size-px", type=int, default=(\d+)', (ROOT / "benchmarks" / "features.py").read_text("utf-8"))
    assert size and "--size-px" not in found["command"]
    head = f"batches of {found['batch']} pictures of {size[1]} px"
    return [head] + [
        row(names[name], f"{found['batch'] / value:.1f}", f"{first_one / value:.2f}") for name, value in seconds.items()
    ]


def planned(file: Path) -> list[tuple[str, float, float]]:
    found = read(file)
    ((_, rounds),) = found["presets"].items()
    sides = [[statistics.median(r[side][i] for r in rounds) for side in ("predicted", "measured")] for i in range(4)]
    return [(name, *values) for name, values in zip(found["quantities"], sides, strict=True)]


@computes
def speed_plan(files: list[Path]) -> list[str]:
    return [
        row(name, f"{predicted:.3f}", f"{measured:.3f}", f"{100 * (predicted / measured - 1):+.0f} %")
        for name, predicted, measured in planned(files[0])
    ]


@computes
def distortions(files: list[Path]) -> list[str]:
    found = read(files[0])
    values = list(found["distances"].values())
    assert values == sorted(values)
    return [row(name, f"{value:.1f}") for name, value in found["distances"].items()]


@computes
def distortions_protocol(files: list[Path]) -> list[str]:
    found = read(files[0])
    count = f"{found['pictures']:,}"
    return [
        f"{count} pictures of CIFAR-10",
        f"{count} others",
        f"{found['size_px']} px",
        f"{found['features']} features",
    ]


@computes
def speed_plan_says(files: list[Path]) -> list[str]:
    off = {name: 100 * (predicted / measured - 1) for name, predicted, measured in planned(files[0])}
    near = math.ceil(max(abs(value) for name, value in off.items() if name != "s in all"))
    return [f"within {near} %", f"{-off['s in all']:.0f} % too low"]
