"""Every page of docs/ ends by saying what it covers, and what it does not."""

import json
import re
from pathlib import Path

import pytest

from sagan.runs.display import in_words

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LAST = "## What this page covers"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_at_its_end_what_it_covers(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings.count(LAST) == 1, f"{page.name} has no heading `{LAST}`"
    assert headings[-1] == LAST, f"after `{LAST}` {page.name} goes on with `{headings[-1]}`"
    said = re.sub(r"<!--.*?-->", "", text[text.index(LAST) + len(LAST) :])
    lines = [line for line in said.splitlines() if line.strip()]
    assert 2 <= len(lines) <= 4, f"{page.name}: {len(lines)} lines"
    assert re.search(r"\b(?:not|no|nobody)\b", said), f"{page.name} does not say what it leaves out"


def test_the_line_of_the_tutorial_is_one_of_its_run() -> None:
    text = " ".join((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8").split())
    log = (ROOT / "results" / "clothing-64" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [line for line in map(json.loads, log) if "loss_d" in line]
    shown = [line["step"] for line in lines if in_words(line) in text]
    assert len(shown) == 1
    assert f"here of step {shown[0]:,}" in text
