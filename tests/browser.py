"""A real browser for tests of pages: Chromium, driven by Playwright; fixtures that conftest.py gives to all tests.

Chromium is the system's own: $SAGAN_CHROMIUM names it, else the usual names are looked for. Without one, tests that
need it are skipped, except in continuous integration (CI set), where they fail.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PHONE = {"width": 375, "height": 800}
DESK = {"width": 1200, "height": 900}


def find_chromium() -> str | None:
    """Give the path of the browser, or None."""
    if named := os.environ.get("SAGAN_CHROMIUM"):
        return shutil.which(named)
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def missing(why: str) -> None:
    """Skip a test that needs what is missing; in continuous integration it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{why}; continuous integration must not skip tests of pages", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, started once for each process of the tests."""
    path = find_chromium()
    if path is None:
        where = os.environ.get("SAGAN_CHROMIUM", ", ".join(NAMES))
        missing(f"no browser found ({where}); install chromium, or set SAGAN_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        # The sandbox needs rights that containers and root do not have; pages of tests are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file or an address in a fresh window.

    ``open_page(place, dark=False, phone=False, **options)`` gives Playwright's page. ``page.asked`` lists the addresses
    that it asked for after its own, ``page.said`` errors and messages of its console: tests of pages that shall keep to
    themselves find both empty.
    """
    contexts = []

    def open_(place: str | Path, *, dark: bool = False, phone: bool = False, **options: Any) -> Any:
        scheme, size = "dark" if dark else "light", PHONE if phone else DESK
        # Tests look at pixels, and axe is put into pages whose policy forbids scripts of others.
        options = {"color_scheme": scheme, "viewport": size, "reduced_motion": "reduce", "bypass_csp": True} | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        address = place.absolute().as_uri() if isinstance(place, Path) else place
        page.goto(address)
        page.asked = [url for url in page.asked if url != address and not url.startswith("data:")]
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def accessibility_faults() -> Callable[[Any], list[str]]:
    """Give what axe-core finds serious or critical on a page, a line for each."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("axe-playwright-python is not installed")

    def find(page: Any) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [
            f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    return find


CANVAS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, Array.from(data)];
}"""
ONCE = """what => {
  window.drawnOnce = new Promise((done) => document.addEventListener("studio:drawn", function listen(event) {
    if (event.detail.what !== what) return;
    document.removeEventListener("studio:drawn", listen);
    done(true);
  }));
}"""


def pixels(page: Any, selector: str, nth: int = 0) -> np.ndarray:
    """Read what a canvas shows, uint8 (H, W, 3)."""
    height, width, values = page.locator(selector).nth(nth).evaluate(CANVAS)
    return np.array(values, np.uint8).reshape(height, width, 4)[:, :, :3]


def tiles(page: Any) -> np.ndarray:
    """Read all samples that the studio shows, uint8 (N, H, W, 3)."""
    return np.stack([pixels(page, "#grids .tile canvas", i) for i in range(page.locator("#grids .tile").count())])


def settled(page: Any, action: Callable[[], object], what: str) -> None:
    """Do something on the studio's page and wait until what belongs to it was drawn."""
    page.evaluate(ONCE, what)
    action()
    page.evaluate("window.drawnOnce")
