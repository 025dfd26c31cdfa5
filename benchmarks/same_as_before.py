"""Does this tree do what an earlier commit did, bit for bit? Every verb runs in both; all that they leave is compared.

    ./dev python benchmarks/same_as_before.py                      # against the commit before the outer layers moved
    ./dev python benchmarks/same_as_before.py --before HEAD~1

The earlier commit is checked out into a temporary folder (``git worktree add``, removed at the end). Both trees are run
by this interpreter with the same tiny inputs, one thread each, side by side: the commands of :func:`first_commands`,
one after the other in one process. Then what the earlier tree made - a run to resume, weights, packed pictures,
statistics, rows of experiments - is given to both, with :func:`later_commands`. Compared are exit codes, both streams,
and every file: weights and optimisers bit for bit, pictures and arrays byte for byte, logs and reports value by value.

Prints a table, and what differs; exits with 1 where something differs that no pattern of :data:`CHANGED` matches. Takes
four to five minutes on two cores. What no two calls share - times, free memory, the folder - is taken out by the rules
of :data:`RULES` and :data:`MEASURED` alone.
"""

import argparse
import difflib
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "57d55e0"
SHOWN_LINES = 12

LATER = "|".join(
    (
        *("split", "classes", "class_pattern", "labels", "may_lose", "width_plan", "sn_eps_linear", "bias_start"),
        *("class_start", "upsampling", "attention_repeat", "thin_first", "adam_eps", "d_vectors", "g_vectors"),
        *("bn_tracking", "ema_running", "cudnn_benchmark", "deterministic", "best_by"),
        *("adaptive_augment", "adaptive_images", "consistency", "lecam", "lecam_decay", "lecam_start", "freeze_d"),
        *("background", "range", "frames", "truncated", "profiles", "max_megapixels", "fit", "border"),
        *("start_grid", "class_vectors", "d_order", "narrow_largest", "single_largest"),
        *("noise_entry", "r1", "r2", "penalty_every", "inside", "fades", "fade_steps"),
    )
)
CHANGED: dict[str, str] = {
    r"^(help|nothing)\b": "help has a short and a long form, and fits the terminal",
    r"preset \S+ \(": "a preset that was not named says why it was chosen",
    r"metrics: .* by default|features: [\d,]+ of|: with \S+ .*this is": "an evaluation says what it decided",
    r"the best, the (best before it, the )?latest healthy": "a rollback can need the best one before",
    r"^mistake: batch of one: (-[╭│╰]|\+sagan: --train.batch-size must be at least 2, found 1$)": "no box",
    r"^mistake: no samples: [-+]sagan: (--)?num must be at least 1, found 0$": "names the flag",
    r"^mistake: one frame: [-+]sagan: an interpolation (has|needs) at least 2 frames, found 1$": "other words",
    r"^mistake: export to a picture: [-+]sagan: (--out|a weights file) must end in .safetensors": "other words",
    r"^mistake: unknown class: [-+]sagan: no class 'zebra'; known: [\d, ]+\.? A number from 0 to 9": "a full stop",
    r"^mistake: unknown experiment: [-+]sagan: unknown experiment 'table9'; did you mean table\d": "another near word",
    r"^mistake: no such score: -note: 1,797 of 1,797 pictures: grey": "refused before the pictures are opened",
    r"'(-?\d+\.\d{9})\d*' before, '\1\d*' now": "the Frechet distance is rounded otherwise",
    rf"\.({LATER}): 'None' before": "fields that came since, at rest",
    r"^paper show \w+: [-+]  (generator|discriminator|train): (size_px|total_steps) \d+, ": "as above",
    r"^paper show table2: [-+]  SNGAN-projection ": "the recipe samples with running averages, as its source",
    r"^mistake: impossible size: [-+]sagan: (size_px|--size) must be one of": "names the flag",
    r"^data pack, unreadable left out: (exit code 0 before, 2 now|-|\+sagan: .* a loses 1 of its 1)": "a lost class",
    r"^files: \.?some\.npy": "as above",
    r"^data check, \w+: exit code (0 before, 3|2 before, 4) now": "the verdict on the pictures is the exit code",
    r"^data check, \w+: \+(verdict: |near copies, |  .+ ~ |fit: |what each way )": "more is looked at",
    r"^data check, \w+: \+WARNING: .*(near copies|held-out pictures|loses 1 of its 1 )": "as above",
    r"^files: sheet-fit\.png: .*only now": "as above",
    r"^data check, \w+: [-+](target: |unreadable: 1|WARNING: classes are very unequal)": "other words",
    r": -(alpha: \d|(note: )?\d+ of \d+ pictures: alpha) |\.traits\.alpha: ": "opaque alpha is none",
    r": \+note: .* held-out pictures have near copies in training": "copies are looked for when a run starts",
    r"/index\.json\.(sagan_shards|checksum|decoding|shards\[\d+\]\.bytes): ": "packed files have checksums",
    r"cache/statistics/\w+\.npz\.[\w/]+: numbers differ by \d\.\de-1[1-9] of": "sums in another order",
}
"""What is meant to differ: a pattern that is looked for in ``ITEM: DIFFERENCE`` as they are printed, and why. It holds
for the differences that it matches alone; others of the same item count."""

RULES = {
    "folder of the work": (r"<work>/", "<work>/"),  # put in by `plain_text`
    "progress bars": (r"^.*━.*$\n?", ""),
    "progress in lines": (r"^[\w ]+: [\d,]+ of [\d,]+(, [\d:]+ left)?$\n?", ""),
    "rates": (r"\d[\d.,]* images/s", "N images/s"),
    "time left": (r"\d+(\.\d)? (s|min|h) left", "N left"),
    "duration of a row": (r", [\d.]+ min(?=:|$)", ", N min"),
    "time of distances within classes": (r"at [\d.,]+ a second and .*? beside the networks", "at N"),
    "free space": (r"[\d.]+ [GM]B free", "N free"),
    "temporary names": (r"\.\d+\.tmp", ".N.tmp"),
    "keys by the place of the pictures": (r"-[0-9a-f]{16}\.npy", "-KEY.npy"),
    "lines of source in warnings": (r"\.py:\d+:", ".py:N:"),
}
MEASURED = {
    *("images_per_s", "elapsed_s", "training_s", "job", "seconds", "model_flops_per_s", "matmul_flops_per_s"),
    *("share_of_matmul", "memory_before_bytes", "memory_peak_bytes"),
}
"""Keys of JSON whose values are times, memory, or (`job`) a hash of where the pictures lie."""
SPEED_PANEL = "Images per second"
"""The panel of curves.png that :func:`draw_speed_flat` draws without what was measured."""
DRAWN_ELSEWHERE = re.compile(r"both/curves\.png|paper/runs/.*/curves\.png")
"""Curves of runs in processes of their own, which draw what they measured: not compared."""
OTHER_CODES = {"train, stop at collapse", "data check, broken", "data check, unfinished", "evaluate, refuse to compare"}
"""Items that end with 1 or 2, as mistakes do."""
SEEN = ("sums", "count", "best", "monitor", "healthy_step", "healthy", "active", "against", "seen_right")
"""What a checkpoint holds of what a run has seen."""
MEASURING = ("plan", "benchmark")
"""Verbs whose output is measured numbers: compared without any number."""

# -------------------------------------------------------------------------------------------------------------- inputs


def make_inputs(folder: Path) -> None:
    """Make all pictures: class folders, a zip, arrays with and without classes, tar files, and broken ones."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number, name in enumerate(("bars", "discs", "slopes")):
        for i in range(12):
            height, width = (20, 26) if i % 2 else (32, 32)
            rows, columns = np.mgrid[0:height, 0:width]
            inside = (columns // 4 % 2 == i % 2, (rows - 9) ** 2 + (columns - 9) ** 2 < 60 + i, rows + columns > 20 + i)
            noise = rng.integers(0, 20, (height, width, 3))
            pixels = np.where(inside[number][..., None], np.roll([220, 90 + 9 * i, 40], number), 30) + noise
            save_picture(pixels.clip(0, 255).astype(np.uint8), folder / "pictures" / name, i)
    (folder / "pictures" / "notes.txt").write_text("no picture")
    (folder / "names.txt").write_text("bars iron bars\ndiscs round discs\nslopes gentle slopes\n")
    (folder / "labels.json").write_text(json.dumps({"bars": [1, 2], "discs": [3], "slopes": [4, 5, 6]}))
    images = rng.integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    np.save(folder / "flat.npy", images)
    np.savez(folder / "arrays.npz", images=images, labels=np.arange(20) % 2, class_names=np.array(["even", "odd"]))
    (folder / "broken" / "a").mkdir(parents=True)
    (folder / "broken" / "a" / "1.png").write_bytes(b"hello")
    shutil.copytree(folder / "pictures" / "bars", folder / "broken" / "b")
    (folder / "empty").mkdir()
    (folder / "text.json").write_text("{}")
    (folder / "text.pt").write_bytes(b"no checkpoint")
    (folder / "text.safetensors").write_bytes(b"no weights")
    archive(folder)


def save_picture(pixels: np.ndarray, folder: Path, number: int) -> None:
    """Save a picture in one of several forms: JPEG, grey, with alpha, plain."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    if number == 3:
        picture.save(folder / f"{number}.jpg", quality=90)
    else:
        picture.convert({4: "L", 5: "RGBA"}.get(number, "RGB")).save(folder / f"{number}.png")


def archive(folder: Path) -> None:
    """Put the pictures into a zip and into two tar files in the WebDataset layout."""
    files = sorted(path for path in (folder / "pictures").rglob("*") if path.suffix in (".png", ".jpg"))
    with zipfile.ZipFile(folder / "pictures.zip", "w") as packed:
        for path in files:
            packed.writestr(zipfile.ZipInfo(str(path.relative_to(folder / "pictures"))), path.read_bytes())
    for number in range(2):
        with tarfile.open(folder / f"train-{number}.tar", "w") as tar:
            for i, path in enumerate(files[number::2]):
                for name, data in ((f"{i}{path.suffix}", path.read_bytes()), (f"{i}.cls", path.parent.name.encode())):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


# ------------------------------------------------------------------------------------------------------------ commands

Commands = dict[str, list[str]]
NARROW = "--generator.base-width 2 --discriminator.base-width 4 --batch-size 8"
FEW = f"{NARROW} --train.log-every 1 --train.save-every 2 --train.sample-every 2 --evaluate-every 2 --monitor.num 20"
RUNNING = "--generator.sampling-norm running"
TRAIN = f"train --preset demo {FEW} --monitor.real 20"
P = "{i}/pictures"
COLLAPSING = "--train.d-steps 1 --train.lr-g 0.5 --train.lr-d 0.5 --train.log-every 3 --train.save-every 50"
COLLAPSING += " --train.sample-every 25 --evaluate-every 25"
LITE = "--features efficientnet-lite0"
SMOKE = "--scale smoke --seeds 1 --jobs 1 --out paper"


def first_commands() -> Commands:
    """Name the commands that each tree starts with; `{i}` is the folder of inputs."""
    texts = information() | packing() | training() | looking() | measuring() | experiments()
    texts |= {f"mistake: {name}": command for name, command in MISTAKES.items()}
    return {name: command.split() if isinstance(command, str) else command for name, command in texts.items()}


def information() -> dict[str, str]:
    """Name the commands that explain: general help, that of each verb, versions."""
    verbs = ["demo", "train", "sample", "attention", "evaluate", "export", "plan", "benchmark", "info"]
    pairs = ["data check", "data pack", "paper list", "paper show", "paper run", "paper render"]
    explained = {f"help: {verb}": f"{verb} --help" for verb in (*verbs, *pairs, "data", "paper")}
    shown = {f"paper show {name}": f"paper show {name} --scale small" for name in ("table1", "figure4", "structure")}
    shown["paper show table2"] = "paper show table2"
    told = {"help": "--help", "nothing": "", "version": "--version", "info": "info", "paper list": "paper list"}
    return told | explained | shown


def packing() -> dict[str, str]:
    """Name the commands about data: what is in it, packing into a file, into shards, by parts."""
    pack = "data pack {i}/pictures --size 16 --out"
    return {
        "data check, folder": "data check {i}/pictures --size 32 --sheet sheet.png",
        "data check, zip": "data check {i}/pictures.zip --class-names {i}/names.txt --sheet sheet-zip.png",
        "data check, broken": "data check {i}/broken --sheet sheet-broken.png",
        "data pack, file": f"{pack} packed.npy --class-names {{i}}/names.txt",
        "data check, packed": "data check packed.npy --sheet sheet-packed.png",
        "data pack, shards": f"{pack} shards --shard-gb 1.2e-5 --workers 1",
        "data pack, part 2": f"{pack} parts --shard-gb 1.2e-5 --part 2/2",
        "data check, unfinished": "data check parts",
        "data pack, part 1": f"{pack} parts --shard-gb 1.2e-5 --part 1/2",
        "data pack, tar files": "data pack {i}/train-{0..1}.tar --size 16 --out tar.npy",
        "data pack, unreadable left out": "data pack {i}/broken --size 16 --out some.npy --skip-unreadable",
    }


def training() -> dict[str, str]:
    """Name runs that turn many switches, and what goes on from them."""
    official = "--generator.attention-form official --discriminator.attention-form official --generator.init orthogonal"
    switches = "--train.batch-norm ghost --train.ghost-size 2 --train.accumulate 2 --train.augment color translation"
    drawn = "--data.flip --data.balanced --data.keep memory --discriminator.head auxiliary --train.loss non-saturating"
    rollback = "--train.on-collapse rollback --train.rollback-lr-factor 0.002 --train.keep-last 1"
    return {
        "train, digits": f"{TRAIN} --steps 4 --out first --seed 5 {RUNNING}",
        "train, switches": f"{TRAIN} --steps 3 --out switches {official} {switches} {drawn} {RUNNING} --data {P}",
        "train, packed shards": f"{TRAIN} --steps 2 --out sharded --data shards {RUNNING} --data.holdout-fraction 0.2",
        "train, no classes": f"{TRAIN} --steps 2 --data {{i}}/flat.npy {RUNNING} --train.ema-decay 0 --attention",
        "train, its own preset": f"train --data {{i}}/pictures --size 32 --out own {FEW} --steps 1 {RUNNING}",
        "train, collapse": f"{TRAIN} --steps 50 --out collapsed {COLLAPSING} {RUNNING} --attention {rollback}",
        "train, stop at collapse": f"{TRAIN} --steps 60 --out stopped {COLLAPSING} {RUNNING} --train.on-collapse stop",
        "train, resume": "train --resume first --steps 6",
        "train, done already": "train --resume first --steps 6",
        "train, from a run": f"{TRAIN} --steps 1 --out other --data {{i}}/arrays.npz --init-from first",
        "train, from weights": f"{TRAIN} --steps 1 --out third --init-from first/generator.safetensors {RUNNING}",
        "train, two processes": f"{TRAIN} --steps 2 --out both --devices 2 --train.batch-norm sync {RUNNING}",
        "demo": "demo --steps 2 --out demo",
    }


def looking() -> dict[str, str]:
    """Name the commands that draw: samples, walks, attention; and the export."""
    return {
        "export": "export first --out first.safetensors",
        "export, best checkpoint": "export switches/checkpoints/best.pt --out best.safetensors",
        "sample, grid": "sample first --class 3 7 --num 4 --out samples/grid.png",
        "sample, arrays": "sample first.safetensors --num 2 --seed 9 --out samples/some.npz",
        "sample, truncated": "sample best.safetensors --num 3 --truncation 0.7 --out samples/truncated.webp",
        "sample, checkpoint": "sample first/checkpoints/step-00000004.pt --num 1 --out samples/checkpoint.npz",
        "sample, single pictures": "sample first --num 1 --out samples/single",
        "sample, no classes": "sample runs/flat-16-001 --num 3 --out samples/flat.png",
        "sample, walk": "sample first --interpolate 5 --class 1 8 --out samples/walk.gif",
        "sample, strip": "sample first --interpolate 4 --seed 2 --end-seed 2 --out samples/strip.png",
        "attention": "attention first --class 4 --query 8,8 2,3 --out looks/points.png --style grey",
        "attention, arrays": "attention first.safetensors --num 2 --out looks/arrays.npz",
        "attention, discriminator": "attention first --data digits --num 2 --out looks/real.npz --layer 8",
    }


def measuring() -> dict[str, str]:
    """Name the commands that measure: evaluations of each kind, statistics, plans, speed."""
    pictures = f"best.safetensors --data {{i}}/pictures {LITE} --num 24 --splits 2"
    all_of = "--metrics fd is kd prdc accuracy intra --intra-num 4 --class-labels {i}/labels.json"
    pixels = "--features pixels --num 40"
    return {
        "evaluate, pixels": f"evaluate first --data digits {pixels} --split heldout --out values/pixels.json",
        "evaluate, all metrics": f"evaluate {pictures} {all_of} --neighbours near.png --out values-lite.json",
        "evaluate, pictures": "evaluate --generated {i}/flat.npy --data {i}/arrays.npz --features pixels --out g.json",
        "evaluate, to statistics": "evaluate --data {i}/pictures --features pixels --size 16 --export-statistics s.npz",
        "evaluate, by statistics": f"evaluate best.safetensors --statistics s.npz {pixels} --out by.json",
        "evaluate, values": f"evaluate first --data digits {pixels} --out values.json --truncation 1.5 --seed 2",
        "evaluate, compare": "evaluate --compare by.json by.json",
        "evaluate, refuse to compare": "evaluate --compare by.json values.json",
        "plan": f"plan --preset demo {NARROW} --steps 10 --train.accumulate 2",
        "benchmark": f"benchmark --preset demo {NARROW} --rounds 2 --what step sampling data features --out speed.json",
    }


def experiments() -> dict[str, list[str] | str]:
    """Name the commands of the paper's experiments."""
    return {
        "paper run, figure6": f"paper run figure6 {SMOKE} --rows SAGAN",
        "paper run, structure": ["paper", "run", "structure", *SMOKE.split(), "--rows", "no attention"],
        "paper render": "paper render --out paper",
    }


MISTAKES = {
    "unknown verb": "trian",
    "unknown verb of data": "data chek",
    "unknown preset": "train --preset sagan-33 --data digits",
    "unknown flag": "train --data digits --train.lrd 1",
    "no data": "train --out r",
    "data that is not there": "train --data nowhere --out r",
    "folder without pictures": "train --data {i}/empty --out r",
    "broken picture": f"{TRAIN} --data {{i}}/broken --out r",
    "batch of one": "train --preset demo --train.batch-size 1",
    "impossible size": "train --data digits --size 48",
    "too large without a GPU": "train --data digits --size 128",
    "attention where none can be": "train --preset demo --attention 64",
    "run that is there already": f"{TRAIN} --out first",
    "resume of nothing": "train --resume nowhere",
    "resume with a preset": "train --resume first --preset demo",
    "resume with another field": "train --resume first --train.lr-g 0.1 --steps 9",
    "number of processes": "train --preset demo --devices none",
    "start from another shape": "train --preset demo --init-from first --base-width 8 --out r",
    "unknown class": "sample first --class zebra --out x.png",
    "no samples": "sample first --num 0 --out x.png",
    "no run": "sample nowhere --out x.png",
    "form of a picture": "sample first --out x.tiff",
    "one frame": "sample first --interpolate 1 --out x.png",
    "end without a walk": "sample first --end-seed 1 --out x.png",
    "missing argument": "sample",
    "no checkpoint": "sample {i}/text.pt --out x.png",
    "no weights": "sample {i}/text.safetensors --out x.png",
    "class without classes": "sample runs/flat-16-001 --class dark --out x.png",
    "query outside": "attention first --query 16,0 --out x.png",
    "query that is none": "attention first --query abc --out x.png",
    "layer without attention": "attention first --layer 4 --out x.png",
    "attention of none": "attention runs/flat-16-001 --out x.png",
    "export to a picture": "export first --out x.png",
    "nothing to judge": "evaluate --data digits",
    "nothing to judge by": "evaluate first",
    "too few": "evaluate first --data digits --features pixels --num 1",
    "no such score": "evaluate first --data digits --features pixels --metrics is",
    "not what was trained on": "evaluate first --data {i}/arrays.npz --features pixels --split train",
    "no report": "evaluate --compare {i}/text.json {i}/text.json",
    "statistics of another network": f"evaluate first --statistics s.npz {LITE}",
    "part without shards": "data pack {i}/pictures --size 16 --out x.npy --part 1/2",
    "part of none": "data pack {i}/pictures --size 16 --out x --shard-gb 1 --part one",
    "check of nothing": "data check nowhere",
    "memory below nothing": "plan --preset demo --memory-limit -1",
    "rounds": "benchmark --preset demo --rounds 0",
    "unknown experiment": "paper show table9",
    "experiment without data": "paper run table1 --scale small",
    "unknown row": "paper run table1 --scale smoke --rows nothing --out paper",
    "no rows": "paper run table1 --scale smoke --seeds 0 --jobs 0 --out paper",
}
"""What users do wrong."""


HANDED = ("first", "best.safetensors", "packed.npy", "shards", "s.npz", "by.json", "paper", "cache", "collapsed")
"""What the earlier tree made and both then go on with."""


def later_commands() -> Commands:
    """Name the commands on what the earlier tree made."""
    texts = {
        "earlier run, resumed": "train --resume first --steps 8",
        "earlier run that went back, resumed": "train --resume collapsed --steps 52 --train.log-every 1",
        "earlier run, sampled": "sample first/checkpoints/step-00000006.pt --num 1 --out earlier.npz",
        "earlier weights, sampled": "sample best.safetensors --num 3 --out weights.npz",
        "earlier packed file, checked": "data check packed.npy --sheet a.png",
        "earlier shards, trained on": f"{TRAIN} --steps 2 --out on-shards --data shards {RUNNING}",
        "earlier statistics": "evaluate best.safetensors --statistics s.npz --features pixels --num 40 --out now.json",
        "earlier values, compared": "evaluate --compare by.json now.json",
        "earlier rows, found": f"paper run figure6 {SMOKE} --rows SAGAN",
        "earlier tables, drawn": "paper render --out paper",
    }
    return {name: command.split() for name, command in texts.items()}


# ------------------------------------------------------------------------------------------------------- running a tree

ALIKE = {
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "120",
    "TERM": "dumb",
    "NO_COLOR": "1",
}
"""The environment of both."""


def drive(src: Path, work: Path) -> None:
    """Run the commands of ``work/commands.json`` in this process and write what each left to ``work/said.json``."""
    import sagan
    from sagan.cli import main

    assert Path(str(sagan.__file__)).is_relative_to(src), f"{sagan.__file__} is not of the tree {src}"
    commands = json.loads((work / "commands.json").read_text())
    os.chdir(work / "here")
    draw_speed_flat()
    said: dict[str, Any] = {}
    for name, words in commands.items():
        began = time.monotonic()
        with redirected(work / "out.txt", work / "err.txt"):
            try:
                code: object = main(words)
            except Exception as error:  # whatever it is, it is compared
                code = f"raised {type(error).__name__}: {error}"
        said[name] = {"code": code} | {s: (work / f"{s}.txt").read_text(errors="replace") for s in ("out", "err")}
        print(f"  {work.name}: {name}: {code} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
    (work / "said.json").write_text(json.dumps(said))


def draw_speed_flat() -> None:
    """Have this process draw the panel of images a second in curves.png, which is measured, as a flat line."""
    from matplotlib.figure import Figure

    draw = Figure.draw

    def flat(figure: Figure, renderer: object) -> None:
        for axes in figure.axes:
            if axes.get_title(loc="left") == SPEED_PANEL:
                for line in axes.lines:
                    if line.get_transform() == axes.transData:  # else a mark
                        line.set_ydata(np.ones(len(line.get_xdata())))
                axes.set_ylim(0.0, 2.0)
        draw(figure, renderer)

    Figure.draw = flat  # type: ignore[method-assign]


@contextmanager
def redirected(out: Path, err: Path) -> Iterator[None]:
    """Send both streams of this process, and of those that it starts, to files."""
    streams = ((sys.stdout, out), (sys.stderr, err))
    kept = []
    for stream, file in streams:
        stream.flush()
        kept.append(os.dup(stream.fileno()))
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), stream.fileno())
    try:
        yield
    finally:
        for (stream, _), old in zip(streams, kept, strict=True):
            stream.flush()
            os.dup2(old, stream.fileno())
            os.close(old)


def start(tree: Path, work: Path, commands: Commands) -> "subprocess.Popen[bytes]":
    """Start the process that runs commands by one tree in ``work/here``."""
    inputs = str(work / "inputs")
    placed = {name: [word.replace("{i}", inputs) for word in words] for name, words in commands.items()}
    (work / "commands.json").write_text(json.dumps(placed))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SAGAN_")} | ALIKE
    environment |= {"PYTHONPATH": str(tree / "src"), "SAGAN_CACHE": str(work / "here" / "cache")}
    words = [sys.executable, "-P", str(Path(__file__).resolve()), "--drive", str(tree / "src"), str(work)]
    return subprocess.Popen(words, env=environment)


def run_both(trees: Sequence[Path], works: Sequence[Path], commands: Commands) -> list[dict[str, Any]]:
    """Run commands by both trees side by side, and give what each said."""
    processes = [start(tree, work, commands) for tree, work in zip(trees, works, strict=True)]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"a tree could not be run to its end (exit codes {codes})")
    return [json.loads((work / "said.json").read_text()) for work in works]


# ------------------------------------------------------------------------------------------------------------ comparing


def plain_text(text: str, work: Path) -> str:
    """Take out of a text what no two calls share."""
    text = text.replace(str(work), "<work>")
    for pattern, instead in RULES.values():
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


def without_numbers(text: str) -> str:
    """Take the numbers, and the widths that depend on them, out of what a measuring verb says."""
    text = re.sub(r"\d[\d.,]*", "N", text)
    return re.sub(r"[ ─━┃│]+", " ", re.sub(r"\b(s|min|h|kB|MB|GB)\b", "unit", text))


def compare_said(name: str, said: Sequence[dict[str, Any]], works: Sequence[Path]) -> list[str]:
    """List the differences in exit code and output of a command."""
    codes = [one["code"] for one in said]
    if name.startswith("mistake") != (codes[0] == 2) and name not in OTHER_CODES:
        raise SystemExit(f"{name}: ended with {codes[0]} before: nothing would be compared\n{said[0]['err']}")
    found = [] if codes[0] == codes[1] else [f"exit code {codes[0]} before, {codes[1]} now"]
    for stream in ("out", "err"):
        texts = [plain_text(one[stream], work) for one, work in zip(said, works, strict=True)]
        if name in MEASURING:
            texts = [without_numbers(text) for text in texts]
        found += differing_lines(*texts)
    return found


def differing_lines(before: str, now: str) -> list[str]:
    """List lines that two texts do not share."""
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "before", "now", lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def compare_values(before: Any, now: Any, where: str) -> list[str]:
    """List the places in which two trees of values differ; tensors count bit for bit."""
    if isinstance(before, torch.Tensor) and isinstance(now, torch.Tensor):
        same = before.dtype == now.dtype and before.shape == now.shape and before.equal(now)
        return [] if same else [f"{where}: tensors differ"]
    if isinstance(before, np.ndarray) and isinstance(now, np.ndarray):
        return compare_arrays(before, now, where)
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if key not in MEASURED]
        found = [compare_values(before.get(key), now.get(key), f"{where}.{key}") for key in keys]
        return list(itertools.chain(*found))
    if isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
        found = [compare_values(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(before, now, strict=True))]
        return list(itertools.chain(*found))
    return [] if before == now else [f"{where}: {str(before)[:80]!r} before, {str(now)[:80]!r} now"]


def compare_arrays(before: NDArray[Any], now: NDArray[Any], where: str) -> list[str]:
    """Say how far two arrays are apart, as a share of the largest number; [] if they are the same bit for bit."""
    if before.dtype != now.dtype or before.shape != now.shape:
        return [f"{where}: {before.dtype} {before.shape} before, {now.dtype} {now.shape} now"]
    if before.tobytes() == now.tobytes():
        return []
    if before.dtype.kind != "f":
        return [f"{where}: {str(before)[:80]!r} before, {str(now)[:80]!r} now"]
    return [f"{where}: numbers differ by {np.abs(now - before).max() / np.abs(before).max():.1e} of the largest"]


def read_statistics(file: Path, _: Path) -> Any:
    """Read a file of arrays by name."""
    with np.load(file) as arrays:
        return dict(arrays)


def read_checkpoint(file: Path, work: Path) -> Any:
    """Read a checkpoint; its configuration is text with the place of the pictures.

    What a run has seen so far - sums for the log, health, the best score - is compared by name, wherever it lies.
    """
    contents = torch.load(file, weights_only=True)
    seen = {name: value for place in ("reporter", "hooks") for name, value in named(contents.pop(place, {})).items()}
    if seen.get("best") is None:  # then there need not be a monitor
        seen = {name: value for name, value in seen.items() if name not in ("best", "monitor")}
    return contents | {"config": json.loads(plain_text(contents["config"], work)), "seen": seen}


def named(values: dict[str, Any]) -> dict[str, Any]:
    """Take the values of :data:`SEEN` out of nested dictionaries."""
    found = {name: value for name, value in values.items() if name in SEEN}
    for name, value in values.items():
        if name not in SEEN and isinstance(value, dict):
            found |= named(value)
    return found


def read_weights(file: Path, _: Path) -> Any:
    """Read a weights file: tensors and metadata, whose order in the file is arbitrary."""
    with safe_open(file, framework="pt") as opened:
        metadata = {key: json.loads(text) if text[:1] in "[{" else text for key, text in opened.metadata().items()}
        return {"metadata": metadata} | {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def read_json(file: Path, work: Path) -> Any:
    """Read one JSON value, or one for each line."""
    text = plain_text(file.read_text(encoding="utf-8"), work)
    return [json.loads(line) for line in text.splitlines() if line] if file.suffix == ".jsonl" else json.loads(text)


def read_board(folder: Path, _: Path) -> Any:
    """Read what a run wrote for TensorBoard: steps, names and values, without times; a step's own order is nobody's."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    events = itertools.chain(*(LegacyEventFileLoader(str(file)).Load() for file in sorted(folder.iterdir())))
    values = ((event.step, value) for event in events for value in event.summary.value)
    kept = [[step, value.tag, value.SerializeToString()] for step, value in values if value.tag not in MEASURED]
    return sorted(kept, key=lambda entry: entry[:2])


def file_is_of_statistics(name: str) -> bool:
    """Tell whether it is one of the cache's statistics, whose sums may have been made in another order."""
    return name.startswith("cache/statistics/") and name.endswith(".npz")


def read_arrays(file: Path, _: Path) -> Any:
    """Read a file of one array, or a packed file: pictures, labels, description, without what its version decides."""
    arrays: list[Any] = []
    with file.open("rb") as stream:
        while len(arrays) < 3 and stream.peek(1):
            arrays.append(np.load(stream))
    if len(arrays) == 3:
        arrays[2] = json.loads(arrays[2].tobytes())
        del arrays[2]["sagan_packed"]
        arrays[2].pop("decoding", None)  # what had to be chosen besides; the pictures say whether it changed anything
    return arrays


READERS: dict[str, Callable[[Path, Path], Any]] = {
    ".pt": read_checkpoint,
    ".safetensors": read_weights,
    ".json": read_json,
    ".jsonl": read_json,
    ".npy": read_arrays,
}
"""How a file of values is read to be compared."""
TEXTS = (".txt", ".md", ".csv", ".log")
"""Files that are compared line by line. All others are compared byte for byte."""


def files_of(here: Path) -> dict[str, Path]:
    """Find all that lies in a work folder by its name, without what a machine put into it; a board is one thing."""
    found = {}
    for path in sorted(here.rglob("*")):
        name = plain_text(str(path.relative_to(here)), here)
        if path.name == "tensorboard" or (path.is_file() and path.parent.name != "tensorboard"):
            while name in found:
                name += "+"
            found[name] = path
    return {name: path for name, path in found.items() if path.name != ".lock" and not DRAWN_ELSEWHERE.fullmatch(name)}


def compare_files(works: Sequence[Path]) -> dict[str, list[str]]:
    """Compare all files of both work folders; gives the differences of each place at the top."""
    here = [work / "here" for work in works]
    before, now = (files_of(folder) for folder in here)
    found: dict[str, list[str]] = {}
    for name in sorted({*before, *now}):
        differences = found.setdefault(f"files: {name.split('/')[0]}", [])
        if name not in before or name not in now:
            differences.append(f"{name}: only {'before' if name in before else 'now'}")
        else:
            differences += compare_file(name, (before[name], now[name]), works)
    return found


def compare_file(name: str, files: Sequence[Path], works: Sequence[Path]) -> list[str]:
    """List the differences of one file."""
    if files[0].suffix in TEXTS:
        texts = [plain_text(file.read_text(errors="replace"), work) for file, work in zip(files, works, strict=True)]
        return [f"{name}: {line}" for line in differing_lines(*texts)]
    read = read_board if files[0].is_dir() else READERS.get(files[0].suffix)
    if read is None and file_is_of_statistics(name):
        read = read_statistics
    if read is None:
        return [] if files[0].read_bytes() == files[1].read_bytes() else [f"{name}: other bytes"]
    before, now = (read(file, work) for file, work in zip(files, works, strict=True))
    return compare_values(before, now, name)


# ---------------------------------------------------------------------------------------------------------------- table


def reason_of(name: str, difference: str) -> str | None:
    """Say why a difference is meant; None if nobody said so."""
    return next((why for pattern, why in CHANGED.items() if re.search(pattern, f"{name}: {difference}")), None)


def tell(found: dict[str, list[str]]) -> int:
    """Print the table and what differs; gives how many items differ in what is not meant to."""
    width = max(map(len, found))
    counts = {"same": 0, "changed on purpose": 0, "DIFFERS": 0}
    for name, differences in found.items():
        reasons = [reason_of(name, line) for line in differences]
        unmeant = [line for line, why in zip(differences, reasons, strict=True) if why is None]
        verdict = "DIFFERS" if unmeant else "changed on purpose" if differences else "same"
        counts[verdict] += 1
        told = "; ".join(dict.fromkeys(why for why in reasons if why is not None))
        print(f"{name:<{width}}  {verdict}{f' ({told})' if told else ''}")
        for line in unmeant[:SHOWN_LINES]:
            print(f"    {line}")
        if len(unmeant) > SHOWN_LINES:
            print(f"    ... and {len(unmeant) - SHOWN_LINES} more")
    print(f"{len(found)} items: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    everything = [f"{name}: {line}" for name, lines in found.items() for line in lines]
    for pattern in CHANGED:
        if not any(re.search(pattern, line) for line in everything):
            print(f"note: nothing differs as {pattern!r} says")
    return counts["DIFFERS"]


def compare_trees(trees: Sequence[Path], folder: Path) -> dict[str, list[str]]:
    """Run everything in both trees and give the differences by item."""
    works = [folder / "before", folder / "now"]
    make_inputs(folder / "inputs")
    for work in works:
        (work / "here" / "values").mkdir(parents=True)
        shutil.copytree(folder / "inputs", work / "inputs")  # with the times of the files
    said = run_both(trees, works, first_commands())
    found = {name: compare_said(name, [one[name] for one in said], works) for name in said[0]}
    found |= compare_files(works)
    later = [folder / "later" / work.name for work in works]
    for work in later:
        (work / "here").mkdir(parents=True)
        for name in HANDED:
            source = works[0] / "here" / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, work / "here" / name)
    said = run_both(trees, later, later_commands())
    found |= {name: compare_said(name, [one[name] for one in said], later) for name in said[0]}
    return found | {name.replace("files", "later files", 1): some for name, some in compare_files(later).items()}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def main() -> int:
    """Compare, print, and give the exit code."""
    if sys.argv[1:2] == ["--drive"]:
        drive(Path(sys.argv[2]), Path(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", default=BEFORE, help="the commit to compare with")
    parser.add_argument("--now", type=Path, default=ROOT, help="the tree to look at; default this one")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps all that both trees left")
    args = parser.parse_args()
    began = time.monotonic()
    with checked_out(args.before) as tree, tempfile.TemporaryDirectory() as folder:
        work = Path(folder) if args.keep is None else args.keep.resolve()
        work.mkdir(parents=True, exist_ok=args.keep is None)
        found = compare_trees((tree, args.now.resolve()), work)
    unlisted = tell(found)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
