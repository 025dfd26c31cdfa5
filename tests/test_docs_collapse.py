"""docs/collapse.md shows runs that were broken on purpose, as benchmarks/failures.py left them."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from sagan.training.health import NO_CURE_BACK, NOT_FINITE, RAN_AWAY, SYMPTOMS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "collapse.md").read_text(encoding="utf-8")
KEPT = sorted((ROOT / "results" / "failures").glob("*.json"))


@pytest.fixture(scope="module")
def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("failures", ROOT / "benchmarks" / "failures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(page: str, file: Path) -> bool:
    """Tell whether a page has the picture of a failure and the sentence with which the run said it."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    said = next(line for line in kept["said"] if line.startswith(f"health: {kept['health']} at"))
    return f"(failure-{file.stem}.webp)" in page and said.partition(". What usually")[0] in page


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_what_is_shown_was_said_by_a_run_that_was_broken_so(file: Path, benchmark: Any) -> None:
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert shown(PAGE, file)
    assert not shown(PAGE.replace(f"failure-{file.stem}", "failure"), file)
    assert kept["changes"] == benchmark.FAILURES[file.stem].changes
    assert kept["health"] == benchmark.FAILURES[file.stem].what
    assert kept["health"] in [line["health"] for line in kept["found"] if not line["over"]]


def test_pictures_of_failures_are_small_and_each_has_its_file(benchmark: Any) -> None:
    pictures = sorted((ROOT / "docs").glob("failure-*.webp"))
    kept = {file.stem for file in KEPT}
    assert kept == set(benchmark.FAILURES)
    assert {picture.stem.removeprefix("failure-") for picture in pictures} == {benchmark.HEALTHY, *kept}
    assert sum(picture.stat().st_size for picture in pictures) <= 160 * 1024
    for failure in benchmark.FAILURES.values():
        assert benchmark.broken(failure).train.batch_size <= 32


def test_each_symptom_of_a_collapse_has_a_run_that_showed_it() -> None:
    found = [line["health"] for file in KEPT for line in json.loads(file.read_text(encoding="utf-8"))["found"]]
    collapses = {symptom.name for symptom in SYMPTOMS} - {*NO_CURE_BACK}  # over-fitting is no collapse
    assert set(found) >= {NOT_FINITE, RAN_AWAY, *collapses}
    for name in NO_CURE_BACK:
        assert f"| `{name}` |" in PAGE


def test_what_is_shown_beside_them_is_the_last_line_of_a_run_that_nothing_was_said_of(benchmark: Any) -> None:
    log = (ROOT / "results" / "digits-demo" / "log.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    assert not [line for line in lines if "health" in line]
    last = [line for line in lines if "loss_d" in line][-1]
    losses = f"step {last['step']}/900 | loss D {last['loss_d']:.3f} G {last['loss_g']:+.3f}"
    assert f"{losses} | logits real {last['real_logits']:+.2f} fake {last['fake_logits']:+.2f}\n" in PAGE
    assert f"(failure-{benchmark.HEALTHY}.webp)" in PAGE
