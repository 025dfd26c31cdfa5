"""Trainings of `benchmarks/gpu_day.py`: SAGAN on photos of clothes for some minutes, and the pictures they leave."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from gpu_setting import Setting, facts
from PIL import Image
from rich.console import Console

import sagan
from sagan.data import DataConfig, open_dataset
from sagan.generators.outputs import write_attention, write_discriminator_attention, write_samples
from sagan.generators.pretrained import exported_step, load_discriminator
from sagan.recipes.config import RunConfig, from_json, to_json
from sagan.recipes.presets import PRESETS
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints
from sagan.training.config import EngineConfig

ASK_AGAIN_S = 1.0
CLOSING_S = 30.0
"""What standing statistics and pictures after the training may take."""
SHEET_QUALITY = 90
BATCHES = {64: 128, 128: 64}


def recipe(setting: Setting, size_px: int) -> RunConfig:
    """Give the recipe for some thousand photos: the published widths and rates, translations, balanced classes."""
    config = PRESETS[f"sagan-{size_px}"]()
    often = 4 if setting.toy else 500
    config = replace(
        config,
        data=DataConfig(
            path=str(setting.data), flip=True, balanced=True, keep="device", cache_dir=str(setting.out / "cache")
        ),
        train=replace(
            config.train,
            total_steps=6 if setting.toy else 100_000,
            batch_size=8 if setting.toy else BATCHES[size_px],
            lr_g=1e-4,
            lr_d=4e-4,
            ema_decay=0.999,
            ema_start=1 if setting.toy else 500,
            augment=("translation",),
            log_every=2 if setting.toy else 50,
            sample_every=often,
            evaluate_every=often,
            save_every=2500,
            keep_last=1,
        ),
        engine=EngineConfig(
            device=setting.device,  # type: ignore[arg-type]
            precision=setting.precisions[-1],  # type: ignore[arg-type]
            compile=setting.compile,  # type: ignore[arg-type]
        ),
    )
    if setting.toy:
        narrow = {"size_px": 16, "base_width": 4, "attention": (8,)}
        G, D = replace(config.generator, z_dim=8, **narrow), replace(config.discriminator, **narrow)
        config = replace(config, generator=G, discriminator=replace(D, base_width=8))
    return config


def training(setting: Setting, size_px: int) -> dict[str, object]:
    """Train for the time that there is, or go on; then write weights and pictures from the latest state."""
    folder = setting.out / f"run-{size_px}"
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    started = bool(checkpoints(folder / "checkpoints"))
    with stopped_after(setting.seconds - (0.0 if setting.toy else CLOSING_S)):
        if started:
            config = from_json((folder / "config.json").read_text())
            total = recipe(setting, size_px).train.total_steps
            result = train(
                replace(config, train=replace(config.train, total_steps=total)), resume=folder, console=console
            )
        else:
            config = recipe(setting, size_px)
            result = train(config, out=folder, console=console)
    if not result.finished:
        # All steps that there was time for: the run closes as one that was asked for so many does.
        config = from_json((folder / "config.json").read_text())
        train(replace(config, train=replace(config.train, total_steps=result.step)), resume=folder, console=console)
    written = pictures(setting, folder)
    return facts(setting) | facts_of_run(folder) | {"files": written}


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Inside the context ask this process, as Ctrl-C would, to save and stop once so many seconds have passed.

    A request from before the training begins, while pictures are read, is lost: it is made again until it is heard.
    """
    over = threading.Event()

    def ask() -> None:
        if over.wait(seconds):
            return
        while not over.wait(ASK_AGAIN_S):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)


def facts_of_run(folder: Path) -> dict[str, object]:
    """Read from the log what a table says of a run."""
    config = from_json((folder / "config.json").read_text())
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "images_per_s" in line]
    scores = [(line["step"], key, line[key]) for line in lines for key in line if key.startswith("score/")]
    rates = sorted(line["images_per_s"] for line in logged)
    return {
        "size_px": config.generator.size_px,
        "batch": config.train.batch_size,
        "steps": exported_step(folder),
        "elapsed_s": logged[-1]["elapsed_s"],
        "images_per_s": rates[len(rates) // 2],
        "precision": config.engine.precision,
        "compile": config.engine.compile,
        "data": Path(config.data.path).name,
        "augment": list(config.train.augment),
        "lr": [config.train.lr_g, config.train.lr_d],
        "ema_decay": config.train.ema_decay,
        "seed": config.seed,
        "last": logged[-1],
        "scores": scores,
        "health": [line for line in lines if "health" in line],
    }


def pictures(setting: Setting, folder: Path) -> list[str]:
    """Leave a small folder beside the run: sheets, attention, curves, log and configuration."""
    small = setting.out / f"clothing-{folder.name.removeprefix('run-')}"
    small.mkdir(exist_ok=True)
    start = time.monotonic()
    generator = sagan.load(folder)
    config = from_json((folder / "config.json").read_text())
    write_samples(generator, folder / "samples.png", num=8 if setting.toy else 10)
    write_attention(generator, folder / "attention.png")
    D, _ = load_discriminator(folder)
    dataset = open_dataset(config.data, config.generator.size_px, progress=False)
    write_discriminator_attention(D, dataset, folder / "attention-discriminator.png")
    for name in ("samples", "attention", "attention-discriminator", "timeline"):
        if (folder / f"{name}.png").exists():  # a run that stops before its first sheet has no timeline
            sheet(folder / f"{name}.png", small / f"{name}.webp")
    with Image.open(folder / "curves.png") as curves:
        curves.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(small / "curves.png", optimize=True)
    (small / "log.jsonl").write_text((folder / "log.jsonl").read_text())
    named = replace(config.data, path=Path(config.data.path).name, cache_dir=None)
    (small / "config.json").write_text(to_json(replace(config, data=named)))
    print(f"pictures of {folder.name} took {time.monotonic() - start:.1f} s")
    return sorted(file.name for file in small.iterdir())


def sheet(source: Path, target: Path) -> None:
    """Write a picture again as a small file."""
    with Image.open(source) as image:
        image.save(target, "WEBP", quality=SHEET_QUALITY)


PARTS: dict[str, Callable[[Setting], dict[str, object]]] = {
    "train-64": partial(training, size_px=64),
    "train-128": partial(training, size_px=128),
}
