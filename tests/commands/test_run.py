"""Every command of every page runs, in order, in a folder of the page; page_changes.py says what is changed."""

import pytest
from page_playing import Page
from page_reading import Found, pages, read


@pytest.mark.slow("runs every command of a page, with fewer steps")
@pytest.mark.parametrize("page", pages(), ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = Page(tmp_path)
    for item in read(page):
        if is_run(item):
            folder.run(item)


def is_run(item: Found) -> bool:
    return item.can_run and item.not_run is None
