"""The pictures of docs/studio.md: the studio's page with real weights, as a browser shows it.

    ./dev python benchmarks/studio_pictures.py

opens results/clothing-64, chooses a sample, points at a place of it, walks, and writes docs/studio.webp,
docs/studio-walk.webp and docs/studio-phone.webp; docs/report.webp is the report of results/cifar10-32.
"""

import io
import tempfile
import threading
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
SHOWN = Path("results/clothing-64")
SAMPLE, PLACE = 14, (0.27, 0.70)  # shorts, and a place of them from the left and from the top


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


def main() -> None:
    place = serve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = opened(browser, place, viewport={"width": 1400, "height": 860})
        point(page, SAMPLE, PLACE)
        keep(page, "studio.webp")
        page = opened(browser, place, viewport={"width": 1400, "height": 700}, color_scheme="dark")
        page.click(".tile >> nth=14")
        page.click("#tab-walk")
        page.select_option("#to", "18")
        page.wait_for_load_state("networkidle")
        page.fill("#step", "6")
        page.wait_for_function("document.querySelector('#looks-of').textContent.startsWith('picture 7')")
        keep(page, "studio-walk.webp")
        page = opened(browser, place, viewport={"width": 390, "height": 780}, device_scale_factor=1.5)
        page.click(".tile >> nth=14")
        page.wait_for_function("document.querySelector('#looks-of').textContent.startsWith('shorts')")
        page.evaluate("scrollTo(0, 0)")
        keep(page, "studio-phone.webp")
        with tempfile.TemporaryDirectory() as folder:
            write_report(ROOT / "results" / "cifar10-32", Path(folder) / "report.html")
            page = browser.new_page(viewport={"width": 1120, "height": 1500})
            page.goto((Path(folder) / "report.html").as_uri())
            page.click(".tile.has-map >> nth=2")
            page.evaluate("() => { scrollTo(0, 0); document.getElementById('command').hidden = true; }")
            keep(page, "report.webp")
        browser.close()


if __name__ == "__main__":
    main()
