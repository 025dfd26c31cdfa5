"""From a click to pixels in the studio: how long does a person wait, and how much of that is the network?

    ./dev python benchmarks/studio.py --rounds 9 --threads 2 --raw FILE.json

Three exported weights: the narrow ones of results/cifar10-32 and results/clothing-64 with 16 samples, and untrained
ones of the published width at 128 px with one. A real browser clicks `New seed`; the clock starts at the time stamp of
the click and stops when the frame with the new samples has been given to the screen. As many samples go through the
network alone right after each click, in the same process: a pair. Cases take turns, the first round is not counted.
With `--training RUN`, the folder of a run that trains meanwhile, also: the time from the start of a studio, with
PyTorch imported already, to samples of that run on the screen.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
import uvicorn
from playwright.sync_api import Page, sync_playwright
from raw import add_raw, write_raw

from sagan.generators.config import SampleConfig
from sagan.generators.weights import save_weights
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.sampling import generate, sampling_copy
from sagan.studio.app import Studio, make_app
from sagan.studio.config import StudioConfig
from sagan.studio.serve import address, listening

ROOT = Path(__file__).parents[1]
GOALS_MS = {"32 px, 16 samples": 300, "64 px, 16 samples": 600, "128 px, 1 sample": 1500}
CLOCK = """
() => {
  window.waited = [];
  let begun = 0;
  document.getElementById('reroll').addEventListener('click', (event) => { begun = event.timeStamp; }, true);
  document.addEventListener('studio:drawn', (event) => {
    if (event.detail.what !== 'samples' || !begun) return;
    const from = begun;
    begun = 0;
    requestAnimationFrame(() => { window.waited.push(performance.now() - from); });
  });
}
"""


def published(folder: Path) -> Path:
    """Export untrained weights of the published width at 128 px."""
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(size_px=128, num_classes=10))
    names = tuple(f"class {i}" for i in range(10))
    out = folder / "published-128.safetensors"
    save_weights(sampling_copy(G, batches=1, batch_size=8, seed=0), out, names, {"step": 0})
    return out


def serve(studio: Studio) -> str:
    """Serve a studio in a thread and give its address."""
    door = listening(0)
    server = uvicorn.Server(uvicorn.Config(make_app(studio), log_level="error", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True).start()
    return address(door.getsockname()[1])


def opened(browser: Any, place: str, num: int) -> Page:
    """Open the page and choose the first class, so many samples of it."""
    page: Page = browser.new_page(viewport={"width": 1440, "height": 900}, bypass_csp=True)
    page.set_default_timeout(120_000)
    page.goto(place)
    page.wait_for_function("document.querySelector('#readout').textContent.startsWith('From')")
    page.check("#classes input >> nth=0")
    page.fill("#num", str(num))
    page.wait_for_function(f"document.querySelectorAll('.tile').length === {num}")
    page.wait_for_load_state("networkidle")
    page.evaluate(CLOCK)
    return page


def click(page: Page) -> float:
    """Click and give the milliseconds until the samples are drawn."""
    count = page.evaluate("window.waited.length")
    page.click("#reroll")
    page.wait_for_function(f"window.waited.length > {count}")
    page.wait_for_load_state("networkidle")
    return float(page.evaluate("window.waited.at(-1)"))


def alone(studio: Studio, num: int, seed: int) -> float:
    """Give the milliseconds that the network alone takes for as many samples."""
    generator = next(iter(studio.sources.values())).generator().generator
    inputs = generator.inputs(SampleConfig(classes=("0",), num=num, seed=seed))
    start = time.perf_counter()
    generate(*inputs, batch_size=16)
    return (time.perf_counter() - start) * 1e3


def first_look_s(browser: Any, run: Path) -> float:
    """Give the seconds from the start of a studio to samples of a run that trains."""
    start = time.perf_counter()
    page = browser.new_page(bypass_csp=True)
    page.goto(serve(Studio(StudioConfig(paths=(run,), device="cpu"))))
    page.wait_for_selector(".tile canvas")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--training", type=Path, help="the folder of a run that trains meanwhile")
    add_raw(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = [ROOT / "results" / name / "generator.safetensors" for name in ("cifar10-32", "clothing-64")]
        files.append(published(Path(folder)))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        studios = [Studio(StudioConfig(paths=(file,), device="cpu")) for file in files]
        pages = [opened(browser, serve(studio), num) for studio, num in zip(studios, (16, 16, 1), strict=True)]
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in GOALS_MS}
        for k in range(args.rounds + 1):
            for name, studio, page in zip(GOALS_MS, studios, pages, strict=True):
                load = os.getloadavg()[0]
                pair = {"click_ms": click(page), "network_ms": alone(studio, 1 if "128" in name else 16, k)}
                if k:
                    rounds[name].append(pair | {"load": load})
        looks = [] if args.training is None else [first_look_s(browser, args.training) for _ in range(3)]
        browser.close()
    for name, goal in GOALS_MS.items():
        clicks, network = ([pair[key] for pair in rounds[name]] for key in ("click_ms", "network_ms"))
        rest = statistics.median(a - b for a, b in zip(clicks, network, strict=True))
        print(
            f"{name}: {statistics.median(clicks):.0f} ms from click to pixels ({min(clicks):.0f} to {max(clicks):.0f}; "
            f"goal {goal}), network alone {statistics.median(network):.0f}, the rest {rest:.0f}"
        )
    if looks:
        print(f"a run that trains: {statistics.median(looks):.1f} s from the start of the studio to its samples")
    write_raw(args, rounds=rounds, first_look_s=looks, threads=args.threads, cores=os.cpu_count())


if __name__ == "__main__":
    main()
