"""The pictures of docs/studio.md: the studio's page with real weights, as a browser shows it.

    ./dev python benchmarks/studio_pictures.py

opens results/clothing-64-projected, chooses a sample, points at a place of it, walks, and writes docs/studio.webp,
docs/studio-walk.webp and docs/studio-phone.webp; docs/report.webp is the report of results/cifar10-32-projected.

    ./dev python benchmarks/studio_pictures.py --moving      # docs/attention.webp alone: the map follows the mouse
"""

import io
import sys
import tempfile
import threading
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from sagan.studio.app import Studio, make_app
from sagan.studio.config import StudioConfig
from sagan.studio.report import write_report
from sagan.studio.serve import address, listening

ROOT = Path(__file__).parents[1]
SHOWN = Path("results/clothing-64-projected")
SAMPLE, PLACE = 8, (0.69, 0.75)  # trousers, and a place of their right leg from the left and from the top
WAY = {
    8: ((0.50, 0.12), (0.28, 0.40), (0.22, 0.80), (0.48, 0.85), (0.72, 0.80), (0.66, 0.35), (0.92, 0.25)),
    18: ((0.50, 0.25), (0.14, 0.30), (0.10, 0.80), (0.45, 0.75), (0.70, 0.35), (0.92, 0.12)),
    1: ((0.50, 0.15), (0.35, 0.50), (0.25, 0.85), (0.60, 0.85), (0.88, 0.35)),
}
"""Samples, and the places that the mouse goes through in each of the moving picture."""
STEP, FRAME_MS = 0.045, 70
"""How far it goes from frame to frame, as a share of the picture's width, and how long a frame is shown."""


def serve() -> str:
    door = listening(0)
    app = make_app(Studio(StudioConfig(paths=(ROOT / SHOWN,), device="cpu")))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True).start()
    return address(door.getsockname()[1])


def opened(browser: Any, place: str, **options: Any) -> Page:
    page: Page = browser.new_page(bypass_csp=True, **options)
    page.set_default_timeout(120_000)
    page.goto(place)
    page.wait_for_function("document.querySelector('#readout').textContent.startsWith('From')")
    # The command below the samples would show where this checkout lies.
    page.evaluate("document.querySelectorAll('.command').forEach((one) => { one.style.display = 'none'; })")
    return page


def point(page: Page, item: int, place: tuple[float, float]) -> None:
    page.click(f".tile >> nth={item}")
    page.wait_for_function(f"document.querySelector('#looks-of').textContent.endsWith(' {item}')")
    box = page.locator("#subjects .point").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"])
    page.wait_for_timeout(500)


def keep(page: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(ROOT / "docs" / name, "WEBP", quality=82, method=6)
    print(f"docs/{name}: {picture.width} x {picture.height}, {(ROOT / 'docs' / name).stat().st_size // 1000} kB")


def between(places: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Fill a way with places that are a step apart."""
    found = []
    for (x, y), (to_x, to_y) in pairwise(places):
        count = max(1, round(hypot(to_x - x, to_y - y) / STEP))
        found += [(x + (to_x - x) * i / count, y + (to_y - y) * i / count) for i in range(count)]
    return [*found, places[-1]]


def moving(browser: Any, place: str) -> None:
    """Move the mouse over samples, and keep what the panel shows."""
    page = opened(browser, place, viewport={"width": 1400, "height": 860})
    frames = []
    for item, places in WAY.items():
        point(page, item, places[0])
        box = page.locator("#subjects .point").first.bounding_box()
        panel = page.locator("#subjects").bounding_box()
        assert box is not None and panel is not None
        for x, y in between(places):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.wait_for_timeout(40)
            shot = Image.open(io.BytesIO(page.screenshot(clip=panel))).convert("RGB")
            frames.append(shot.resize((shot.width * 4 // 5, shot.height * 4 // 5), Image.Resampling.LANCZOS))
    file = ROOT / "docs" / "attention.webp"
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=55, method=6)
    print(f"docs/attention.webp: {len(frames)} frames of {frames[0].size}, {file.stat().st_size // 1000} kB")


def main() -> None:
    place = serve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        if "--moving" in sys.argv:
            moving(browser, place)
            return
        page = opened(browser, place, viewport={"width": 1400, "height": 860})
        point(page, SAMPLE, PLACE)
        keep(page, "studio.webp")
        page = opened(browser, place, viewport={"width": 1400, "height": 700}, color_scheme="dark")
        page.click(f".tile >> nth={SAMPLE}")
        page.click("#tab-walk")
        page.select_option("#to", "18")
        page.wait_for_load_state("networkidle")
        page.fill("#step", "6")
        page.wait_for_function("document.querySelector('#looks-of').textContent.startsWith('picture 7')")
        keep(page, "studio-walk.webp")
        page = opened(browser, place, viewport={"width": 390, "height": 780}, device_scale_factor=1.5)
        page.click(f".tile >> nth={SAMPLE}")
        page.wait_for_function("document.querySelector('#looks-of').textContent.startsWith('pants')")
        page.evaluate("scrollTo(0, 0)")
        keep(page, "studio-phone.webp")
        with tempfile.TemporaryDirectory() as folder:
            write_report(ROOT / "results" / "cifar10-32-projected", Path(folder) / "report.html")
            page = browser.new_page(viewport={"width": 1120, "height": 1500})
            page.goto((Path(folder) / "report.html").as_uri())
            page.click(".tile.has-map >> nth=0")
            page.evaluate("() => { scrollTo(0, 0); document.getElementById('command').hidden = true; }")
            keep(page, "report.webp")
        browser.close()


if __name__ == "__main__":
    main()
