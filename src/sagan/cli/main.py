"""The command line: finds the verb, runs it, and turns what it raises into a sentence and an exit code."""

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from sagan.allocator import keep_freed_memory
from sagan.cli import benchmark, plan, train
from sagan.cli.parse import HELP, HELP_ALL, UsageError, parse, wrapped

FIRST_STEPS = """\
first steps:
  sagan demo
  sagan data check PICTURES    (a folder with one folder per class)
  sagan train --data PICTURES --out runs/mine
  sagan sample runs/mine --out samples.png
"""


class Verb(NamedTuple):
    """A verb of the command line."""

    run: Callable[[list[str]], int]
    """Takes what stands behind the verb and gives the exit code."""
    summary: str
    """What it does, in a line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code: 0, 2 for a user's mistake, 1 for a failure, 130 after Ctrl-C."""
    if argv is None:
        keep_freed_memory()  # only where the process is ours
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return dispatch(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        print("sagan: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        if os.environ.get("SAGAN_TRACEBACK"):
            raise
        print(f"sagan: {sentence(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        return failed(error, arguments)
    except MemoryError:
        return out_of_memory(arguments)


def failed(error: RuntimeError, arguments: list[str]) -> int:
    """Give the exit code of a failure that has a sentence; any other is raised again."""
    from sagan.runs.train import DivergedError, ProcessLostError

    if isinstance(error, (DivergedError, ProcessLostError)):
        print(f"sagan: {error}", file=sys.stderr)
        return 1
    if "out of memory" in str(error) or "can't allocate memory" in str(error):
        return out_of_memory(arguments)
    raise error


def sentence(error: ValueError | OSError) -> str:
    """Give the message of a mistake; one of the operating system's own gets what to do."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if not error.filename:
        return error.strerror  # a sentence of our own
    return f"{error.filename}: {error.strerror}; check the path and its permissions, or choose another place"


def out_of_memory(arguments: list[str]) -> int:
    """Say what helps against too little memory, and give the exit code."""
    training = arguments[0] in ("train", "plan", "benchmark")
    advice = (
        "lower --train.batch-size, or cut batches with --train.accumulate" if training else "ask for less at a time"
    )
    print(f"sagan: out of memory; {advice}", file=sys.stderr)
    return 1


def dispatch(arguments: list[str]) -> int:
    """Find the verb and run it with the rest."""
    asked = not arguments or arguments[0] in (*HELP, HELP_ALL, "help")
    if asked:
        print(help_text(), end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        from importlib import metadata

        print(f"sagan-torch {metadata.version('sagan-torch')}")
        return 0
    group = f"{arguments[0]} "
    members = [name for name in VERBS if name.startswith(group)]
    if members and (len(arguments) == 1 or arguments[1] in (*HELP, HELP_ALL)):
        print(wrapped(f"usage: sagan {arguments[0]} VERB [OPTIONS]\n\n{listed(members)}"))
        return 0 if len(arguments) > 1 else 2
    words = 2 if members else 1
    verb = " ".join(arguments[:words])
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        raise UsageError(f"unknown verb {verb!r}; {f'did you mean {near[0]}?' if near else 'see `sagan --help`'}")
    return VERBS[verb].run(arguments[words:])


def help_text() -> str:
    """Write what `sagan --help` says, as wide as the terminal."""
    top = "usage: sagan VERB [OPTIONS]\n\n`sagan VERB --help` explains one."
    return f"{wrapped(top)}\n\n{wrapped(listed(list(VERBS)))}\n\n{wrapped(FIRST_STEPS)}"


def listed(names: Sequence[str]) -> str:
    """Write a line for each of some verbs."""
    width = max(map(len, names))
    return "\n".join(f"  {name:<{width}}  {VERBS[name].summary}" for name in names)


def exit_code(number: int | None) -> int:
    """Give the exit code after training: 0, or 128 + the signal that stopped it."""
    return 0 if number is None else 128 + number


def demo(arguments: list[str]) -> int:
    """Train on the embedded digits and measure the result."""
    from sagan.cli.flags import ConfigFlags, combined
    from sagan.experiments.digits import run_demo
    from sagan.recipes.presets import PRESETS
    from sagan.runs.folder import next_folder

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        out: Path | None = None
        """The run folder; unset is runs/demo-NUMBER."""
        steps: int | None = None
        """Generator updates; unset is the preset's."""
        seed: int = 0
        """Seed of everything."""

    parsed = parse(
        Arguments, arguments, "demo", description="Train on scikit-learn's 8x8 digits and look at the result."
    )
    config = replace(combined(ConfigFlags(config=PRESETS["demo"](), steps=parsed.steps)), seed=parsed.seed)
    result, report = run_demo(parsed.out or next_folder("demo"), config)
    if report is not None:
        last = sorted((result.out / "samples").glob("*.png"))[-1]
        print(
            f"{report}\nsamples:   {last}\nattention: {result.out / 'attention.png'}\n"
            f"curves:    {result.out / 'curves.png'}"
        )
    return exit_code(result.signal)


def sample(arguments: list[str]) -> int:
    """Write samples or an interpolation."""
    import tyro

    from sagan.generators.outputs import write_interpolation, write_samples
    from sagan.generators.pretrained import load

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        run: tyro.conf.Positional[Path]
        """A run folder, a checkpoint, or a .safetensors weights file; no data set is needed."""
        out: Path
        """A picture (.png, .jpg, .webp: grid by class), .npz, or a folder of single images; .gif with --interpolate."""
        classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class")] = ()
        """Class names or numbers; unset is all."""
        num: int = 10
        """Images of each class (in all, if the generator is unconditional)."""
        seed: int = 0
        """Same seed, same samples."""
        truncation: float | None = None
        """Redraw noise beyond this absolute value, e.g. 1.0: less varied, often cleaner."""
        interpolate: int | None = None
        """Instead of samples, walk between two latents (and two --class) in so many images."""
        end_seed: int | None = None
        """Seed of the last latent of an interpolation; unset is seed + 1, the same as --seed keeps the latent."""

    a = parse(Arguments, arguments, "sample", description="Write samples by class, or an interpolation.")
    if a.interpolate is None and a.end_seed is not None:
        raise UsageError("--end-seed goes with --interpolate N")
    generator = load(a.run, preview=True, progress=True)
    if a.interpolate is None:
        said = write_samples(generator, a.out, classes=a.classes, num=a.num, seed=a.seed, truncation=a.truncation)
    else:
        said = write_interpolation(
            generator,
            a.out,
            frames=a.interpolate,
            classes=a.classes,
            seed=a.seed,
            end_seed=a.end_seed,
            truncation=a.truncation,
        )
    print(said)
    return 0


def attention(arguments: list[str]) -> int:
    """Draw where a network looks."""
    import tyro

    from sagan.data import DataConfig, open_dataset
    from sagan.generators.outputs import write_attention, write_discriminator_attention
    from sagan.generators.pretrained import load, load_discriminator

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        run: tyro.conf.Positional[Path]
        """A run folder, a checkpoint, or a .safetensors weights file."""
        out: Path
        """A picture (.png, .jpg, .webp), or .npz for the arrays."""
        classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class")] = ()
        """Class names or numbers; unset is the first four."""
        num: int = 1
        """Images of each class."""
        query: tuple[str, ...] = ()
        """Query points ROW,COLUMN in pixels, e.g. `16,16 8,24`; unset is centre and quarters."""
        layer: int | None = None
        """Height of the feature map of the layer to draw; unset is the one closest to the pixels."""
        data: str | None = None
        """Real pictures: draws the discriminator's attention over them instead of the generator's over samples."""
        seed: int = 0
        """Chooses the samples, or the real pictures."""
        truncation: float | None = None
        """As in `sagan sample`."""
        style: Literal["heat", "grey"] = "heat"
        """Heat colours over the image, or plain grey maps."""

    a = parse(
        Arguments,
        arguments,
        "attention",
        description="Draw where the network looks, from query points (SAGAN, figure 5).",
    )
    queries = [query_point(text) for text in a.query] or None
    if a.data is not None and a.truncation is not None:
        raise UsageError("--truncation is for samples: leave it away with --data")
    if a.data is None:
        said = write_attention(
            load(a.run, preview=True, progress=True),
            a.out,
            classes=a.classes,
            num=a.num,
            seed=a.seed,
            queries_px=queries,
            position=a.layer,
            style=a.style,
            truncation=a.truncation,
        )
    else:
        D, _ = load_discriminator(a.run)
        said = write_discriminator_attention(
            D,
            open_dataset(DataConfig(path=a.data), D.config.size_px),
            a.out,
            classes=a.classes,
            num=a.num,
            seed=a.seed,
            queries_px=queries,
            position=a.layer,
            style=a.style,
        )
    print(said)
    return 0


def query_point(text: str) -> tuple[int, int]:
    """Read a query point written as ROW,COLUMN."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--query takes points as ROW,COLUMN in pixels, e.g. 16,16; found {text!r}")
    return int(parts[0]), int(parts[1])


def evaluate(arguments: list[str]) -> int:
    """Judge a generator, or pictures of any other one."""
    import torch
    import tyro

    from sagan.data import DataConfig, notes, open_dataset, picture_size
    from sagan.evaluation import (
        FeatureName,
        Metric,
        Split,
        comparison,
        load_network,
        read_statistics,
        reference_of,
        reference_statistics,
        write_statistics,
    )
    from sagan.evaluation import evaluate as run_evaluate
    from sagan.figures import save_image
    from sagan.generators.pretrained import load
    from sagan.metrics.class_accuracy import read_class_labels
    from sagan.metrics.features import network_protocol
    from sagan.metrics.report import report_from_json
    from sagan.runs.folder import check_trained_on, holdout_of, write_text

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        run: tyro.conf.Positional[Path | None] = None
        """A run folder, a checkpoint, or a .safetensors weights file."""
        generated: str | None = None
        """Instead of a run: pictures that any generator made (folder, zip or .npz), all of one square size."""
        data: str | None = None
        """The real pictures to judge by, as in `sagan train`."""
        metrics: tuple[Metric, ...] | None = None
        """fd Frechet distance, is Inception Score, kd kernel distance, prdc precision, recall, density and coverage,
        accuracy how many samples the network's classes name as asked, intra the Frechet distance within each class.
        Unset is fd, kd, prdc, and is where the network has classes."""
        features: FeatureName = "inception"
        """Feature network. With inception values are FID, IS and KID (weights: downloaded once, 91 MiB); with
        efficientnet-lite0, a Python package, they are FD(efficientnet-lite0) and so on and need no network; DINOv2
        comes through torch-fidelity and torch.hub."""
        feature_weights: Path | None = None
        """A local file of the feature network's weights."""
        feature_width: Literal[320, 1280] | None = None
        """Features of efficientnet-lite0; unset is 320 below 10,000 pictures (with intra: of a class), else 1280."""
        num: int = 50_000
        """Samples to draw; the published number is 50,000. All --generated pictures are taken."""
        intra_num: int = 5_000
        """Samples of each class for intra. Time and memory are told first; an interrupted call goes on."""
        class_labels: Path | None = None
        """For accuracy: a .json file {"class": [labels of the network], ...}; ImageNet's 1,000 folders need none."""
        splits: int = 10
        """Splits of the Inception Score."""
        size: int | None = None
        """With --export-statistics alone: the size in pixels of the generated pictures to be judged."""
        split: Split = "all"
        """Judge by all of --data, by what the run trained on, or by what it held out."""
        holdout_fraction: float | None = None
        """Share held out; unset is the run's, 0.05 where there is no run."""
        holdout_max: int | None = None
        """At most so many are held out; unset is the run's, else 1000."""
        split_seed: int | None = None
        """Seed of the split; unset is the run's, else 0."""
        seed: int = 0
        """Seed of the samples."""
        truncation: float | None = None
        """As in `sagan sample`; the protocol says it."""
        neighbours: Path | None = None
        """A picture to draw: eight samples beside the real pictures nearest to them (is it copying?)."""
        statistics: Path | None = None
        """Instead of --data: statistics of real pictures that --export-statistics wrote, here or elsewhere."""
        export_statistics: Path | None = None
        """A .npz file for the statistics of the real pictures; a run is then optional."""
        out: Path | None = None
        """A .json file for the values and their protocols."""
        compare: tuple[Path, Path] | None = None
        """Instead of all that: two such files, side by side; values made in different ways are refused."""

    a = parse(Arguments, arguments, "evaluate", description="How good are generated pictures? IS, FID and more.")
    if a.compare is not None:
        first, second = (report_from_json(path.read_bytes(), str(path)) for path in a.compare)
        print(comparison(first, second, [path.name for path in a.compare]))
        return 0
    if a.run is not None and a.generated is not None:
        raise UsageError("judge a run or weights file, or pictures with --generated: one of them")
    if a.run is None and a.generated is None and a.export_statistics is None:
        raise UsageError("name a run folder or weights file, or pictures with --generated: one of them")
    if (a.data is None) == (a.statistics is None):
        raise UsageError(
            "which real pictures? --data takes what `sagan train --data` takes, --statistics what --export-statistics "
            "wrote: one of them"
        )
    picture = (".png", ".jpg", ".jpeg", ".webp")
    for flag, path, suffixes in (
        ("out", a.out, (".json",)),
        ("export-statistics", a.export_statistics, (".npz",)),
        ("neighbours", a.neighbours, picture),
    ):
        if path is not None and path.suffix.lower() not in suffixes:
            raise UsageError(f"--{flag} must end in {' or '.join(suffixes)}, found {path}")
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"--{flag} {path}: there is no folder {path.parent}; make it, or choose another place")
    for flag, number, least in (("num", a.num, 2), ("intra-num", a.intra_num, 2), ("splits", a.splits, 1)):
        if number < least:
            raise UsageError(f"--{flag} must be at least {least}, found {number}")
    if a.statistics is not None:
        idle = {"split": a.split != "all", "holdout-fraction": a.holdout_fraction is not None}
        idle |= {"holdout-max": a.holdout_max is not None, "split-seed": a.split_seed is not None}
        idle |= {"feature-width": a.feature_width is not None, "neighbours": a.neighbours is not None}
    else:
        idle = {}
    if a.generated is not None:
        idle |= {"truncation": a.truncation is not None, "seed": a.seed != 0}
    if any(idle.values()):
        names = ", ".join(f"--{name}" for name, given in idle.items() if given)
        raise UsageError(f"{names} would do nothing beside {'--statistics' if a.statistics else '--generated'}")
    labels = None if a.class_labels is None else read_class_labels(a.class_labels)
    subject: dict[str, str | int | float | bool | None] = {}
    judged: Any = None
    count = a.num
    if a.run is not None:
        judged = load(a.run, progress=True)
        size = judged.config.size_px
        step = judged.provenance.get("step")
        subject = {"run": a.run.name, "step": step if isinstance(step, int) else None}
    elif a.generated is not None:
        size = picture_size(DataConfig(path=a.generated))
        judged = open_dataset(DataConfig(path=a.generated), size)
        count = len(judged.labels)
        subject = {"pictures": Path(a.generated).name}
        for note in notes(judged):
            print(f"note: generated pictures: {note}", file=sys.stderr)
    elif a.size is None:
        raise UsageError("at which size? --export-statistics without a run needs --size PX, that of the generated ones")
    else:
        size = a.size
    reference: Any
    if a.statistics is not None:
        reference = read_statistics(a.statistics, {"size_px": size})
        width, fewest = reference.protocol.get("feature_width"), count
        width = width if (a.features, reference.protocol.get("network")) == ("efficientnet-lite0",) * 2 else None
    else:
        assert a.data is not None
        held = DataConfig()
        seed = 0
        if a.run is not None:
            held, seed = holdout_of(a.run, judged.provenance, a.split)
        held = replace(
            held,
            holdout_fraction=held.holdout_fraction if a.holdout_fraction is None else a.holdout_fraction,
            holdout_max=held.holdout_max if a.holdout_max is None else a.holdout_max,
        )
        images = open_dataset(DataConfig(path=a.data), size)
        for note in notes(images):
            print(f"note: {note}", file=sys.stderr)
        if a.split != "all" and judged is not None and a.run is not None:
            check_trained_on(judged.provenance, images)
        reference = reference_of(
            images,
            a.split,
            held.holdout_fraction,
            held.holdout_max,
            seed if a.split_seed is None else a.split_seed,
        )
        width, fewest = a.feature_width, min(count, len(reference.indices))
        if a.metrics is not None and "intra" in a.metrics:
            fewest = min(a.intra_num, *reference.class_counts)
    network = load_network(a.features, a.feature_weights, num_images=fewest, width=width)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if a.statistics is not None:
        reference = read_statistics(a.statistics, network_protocol(network))
    if a.export_statistics is not None:
        if a.statistics is not None:
            raise UsageError("--statistics are statistics already; --export-statistics goes with --data")
        write_statistics(a.export_statistics, reference_statistics(network, reference, device=device))
        print(f"statistics of {len(reference.indices):,} real pictures ({network.name}): {a.export_statistics}")
        if judged is None:
            return 0
    defaults: tuple[Metric, ...] = ("fd", "is", "kd", "prdc") if network.num_classes else ("fd", "kd", "prdc")
    result = run_evaluate(
        judged,
        reference,
        network,
        metrics=a.metrics or defaults,
        num=a.num,
        intra_num=a.intra_num,
        score_splits=a.splits,
        class_labels=labels,
        seed=a.seed,
        truncation=a.truncation,
        neighbours=8 if a.neighbours is not None else 0,
        subject=subject,
        device=device,
    )
    print(result.text())
    if a.out is not None:
        write_text(a.out, result.report.to_json())
        print(f"values and protocols: {a.out}")
    if a.neighbours is not None and result.neighbours is not None:
        print(f"nearest real pictures: {save_image(result.neighbours.picture, a.neighbours)}")
    return 0


def export(arguments: list[str]) -> int:
    """Write a weights file."""
    import tyro

    from sagan.generators.pretrained import load
    from sagan.generators.weights import save_weights

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        run: tyro.conf.Positional[Path]
        """A run folder or a checkpoint, e.g. RUN/checkpoints/best.pt."""
        out: Path
        """The .safetensors file."""

    a = parse(
        Arguments, arguments, "export", description="Write one file to share: weights, configuration, class names."
    )
    if a.out.suffix != ".safetensors":
        raise UsageError(f"--out must end in .safetensors, found {a.out}")
    generator = load(a.run, progress=True)
    save_weights(generator.network, a.out, generator.class_names, generator.provenance)
    print(f"{a.out}: {a.out.stat().st_size / 1e6:.1f} MB; load it with sagan.load({str(a.out)!r})")
    return 0


def data_check(arguments: list[str]) -> int:
    """Report on a folder of pictures."""
    import tyro

    from sagan.data import DataConfig, check
    from sagan.figures import save_image

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        path: tyro.conf.Positional[str]
        """What `sagan train --data` takes; of a packed file or folder the hashes are checked, too."""
        size: int | None = None
        """The size in pixels that you want to train at: counts the pictures that would be enlarged."""
        class_names: str | None = None
        """A file that maps folder names to readable class names."""
        sheet: Path = Path("contact-sheet.png")
        """Where the contact sheet goes."""

    a = parse(Arguments, arguments, "data check", description="What is in a set of pictures, before you train on it.")
    report = check(DataConfig(path=a.path, class_names=a.class_names), a.size)
    print(report.text())
    print(f"contact sheet: {save_image(report.contact_sheet, a.sheet)}")
    return 2 if report.unreadable else 0


def data_pack(arguments: list[str]) -> int:
    """Decode pictures into one file or a folder of shards."""
    import tyro

    from sagan.data import DataConfig, notes, pack_dataset, pack_shards

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        path: tyro.conf.Positional[str]
        """What `sagan train --data` takes: a folder, zip, .npz, tar files, hf:NAME, the name of a data set."""
        size: int
        """Height and width in pixels to decode to."""
        out: Path
        """The packed file, or with --shard-gb the folder; --data takes it, here or on another machine."""
        shard_gb: float | None = None
        """Pack into a folder of files that are at most so large, in 10^9 bytes, e.g. 1."""
        part: str | None = None
        """I/N: pack only the I-th of N parts of the shards, so that N machines can share the work; the one that
        finishes last completes the folder."""
        workers: int | None = None
        """Threads that decode; unset is one for each core."""
        class_names: str | None = None
        """A file that maps folder names to readable class names."""
        skip_unreadable: bool = False
        """Leave unreadable pictures out instead of stopping."""

    a = parse(
        Arguments,
        arguments,
        "data pack",
        description="Decode pictures once, to be memory-mapped. After an interruption the same command goes on.",
    )
    config = DataConfig(path=a.path, class_names=a.class_names, skip_unreadable=a.skip_unreadable)
    if a.part is not None and a.shard_gb is None:
        raise UsageError("--part goes with --shard-gb: parts are shards of a folder")
    if a.shard_gb is None:
        packed = pack_dataset(config, a.size, a.out, workers=a.workers)
    else:
        whole = pack_shards(config, a.size, a.out, a.shard_gb, part=part_of(a.part), workers=a.workers)
        if whole is None:
            print(
                f"{a.out}: part {a.part} is done, others are not yet; the last one completes the folder, or this "
                "command without --part once their shards are here"
            )
            return 0
        packed = whole
    for note in notes(packed):
        print(note)
    print(
        f"{a.out}: {len(packed.labels):,} pictures, {len(packed.class_names)} classes, "
        f"content {packed.fingerprint[:16]}"
    )
    return 0


def part_of(text: str | None) -> tuple[int, int]:
    """Read a part written as I/N; none is the whole, 1/1."""
    parts = (text or "1/1").split("/")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--part takes I/N, e.g. 1/4 for the first of four; found {text!r}")
    return int(parts[0]), int(parts[1])


def paper_list(arguments: list[str]) -> int:
    """List the experiments."""
    from sagan.experiments.describe import listing

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        pass

    parse(Arguments, arguments, "paper list", description="The paper's tables and figures as experiments.")
    print(listing())
    return 0


def paper_show(arguments: list[str]) -> int:
    """Show what an experiment compares."""
    import tyro

    from sagan.experiments.describe import description
    from sagan.experiments.scales import ScaleName

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        name: tyro.conf.Positional[str]
        """The experiment; `sagan paper list` has them."""
        scale: ScaleName = "paper"
        """paper: as published; small: narrow networks, minutes a row; smoke: a few steps."""
        size: int | None = None
        """Image size in pixels, where the scale has several."""

    a = parse(Arguments, arguments, "paper show", description="What an experiment compares, row by row.")
    print(description(a.name, a.scale, a.size))
    return 0


def paper_run(arguments: list[str]) -> int:
    """Run an experiment and draw what came out."""
    import tyro
    from rich.console import Console

    from sagan.evaluation import FeatureName
    from sagan.experiments.describe import cost
    from sagan.experiments.jobs import run
    from sagan.experiments.render import render
    from sagan.experiments.scales import ScaleName
    from sagan.experiments.settings import Settings, with_defaults
    from sagan.experiments.sweep import check_network, command_of, make_ready, prepare, read_sweep, remember

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        name: tyro.conf.Positional[str]
        """The experiment; `sagan paper list` has them."""
        data: str | None = None
        """Pictures, as in `sagan train`; the experiment `structure` has its own, and scale smoke takes the digits."""
        scale: ScaleName = "small"
        """paper: as published; small: narrow networks, minutes a row; smoke: a few steps."""
        seeds: int | None = None
        """Seeds 0 to N - 1 of each row; unset is the scale's."""
        rows: tuple[str, ...] = ()
        """Only these rows, by their names."""
        out: Path = Path("results/paper")
        """Folder of all results; runs with their checkpoints lie in its folder `runs`."""
        size: int | None = None
        """Image size in pixels, where the scale has several (small: 32, 64)."""
        steps: int | None = None
        """Steps of every row; unset is the scale's."""
        batch_size: int | None = None
        """Images in a batch; unset is the scale's."""
        base_width: int | None = None
        """Base width of both networks; unset is the scale's."""
        features: FeatureName | None = None
        """Feature network; unset is the scale's. Only with inception the distance is called FID."""
        feature_weights: Path | None = None
        """A local file of the feature network's weights."""
        num: int | None = None
        """Samples that rows are judged by; unset is the scale's."""
        jobs: int | None = None
        """Rows at a time; unset is one for each GPU, else for each core."""
        dry_run: bool = False
        """Say what would run and what it takes, and stop."""

    a = parse(
        Arguments,
        arguments,
        "paper run",
        description="Train and measure the rows of an experiment side by side, then draw its table and pictures. The "
        "same command goes on after an interruption, also elsewhere with the folder of results; what is done is not "
        "done again.",
    )
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    settings = with_defaults(
        Settings(
            experiment=a.name,
            scale=a.scale,
            data=a.data or "",
            seeds=a.seeds or 0,
            size=a.size,
            steps=a.steps,
            batch_size=a.batch_size,
            base_width=a.base_width,
            num=a.num,
            features=a.features,
        )
    )
    for flag, number in (("seeds", a.seeds), ("steps", a.steps), ("num", a.num), ("jobs", a.jobs)):
        if number is not None and number < 1:
            raise UsageError(f"--{flag} must be at least 1, found {number}")
    if a.out.exists() and not a.out.is_dir():
        raise UsageError(f"--out {a.out} is a file; choose a folder")
    weights = None if a.feature_weights is None else str(a.feature_weights.expanduser().resolve())
    sweep = prepare(settings, a.out, feature_weights=weights)
    orders, rows = sweep.orders(a.rows), sweep.chosen(a.rows)
    if not a.dry_run:
        check_network(sweep)
    console.print(cost(sweep, orders, rows, measured=a.dry_run or a.scale == "paper", jobs=a.jobs))
    if a.dry_run:
        return 0
    if orders:
        make_ready(sweep)
    remember(sweep, command_of(arguments))
    code = run(sweep, orders, console, jobs=a.jobs)
    for path in render(read_sweep(sweep.folder)):  # with the seeds of earlier calls, too
        print(path)
    return code


def paper_render(arguments: list[str]) -> int:
    """Draw tables and pictures again."""
    from sagan.experiments.render import render_all

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        out: Path = Path("results/paper")
        """Folder of all results."""

    a = parse(
        Arguments, arguments, "paper render", description="Draw all tables and pictures again from what was measured."
    )
    for path in render_all(a.out):
        print(path)
    return 0


def info(arguments: list[str]) -> int:
    """Print what this installation is."""
    from sagan.cli.info import describe

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        pass

    parse(
        Arguments, arguments, "info", description="Versions, devices, threads, folders, and what is missing for what."
    )
    print(describe())
    return 0


VERBS: dict[str, Verb] = {
    "demo": Verb(demo, "train on the embedded digits, three minutes on two cores, and look at the result"),
    "train": Verb(train.run, "train on your pictures, or go on with a run"),
    "sample": Verb(sample, "pictures by class from a run or a weights file; interpolations"),
    "attention": Verb(attention, "where the network looks"),
    "evaluate": Verb(evaluate, "IS, FID and other measures, each with the way it was made"),
    "export": Verb(export, "one weights file to share"),
    "data check": Verb(data_check, "what is in a folder of pictures, before you train on it"),
    "data pack": Verb(data_pack, "decode pictures once into one file, or into shards on several machines"),
    "plan": Verb(plan.run, "memory, hours and disk of a run on this machine, before anything starts"),
    "benchmark": Verb(benchmark.run, "how fast this machine trains, samples, reads and makes features"),
    "paper list": Verb(paper_list, "the paper's tables and figures as experiments"),
    "paper show": Verb(paper_show, "the rows of one, what differs between them, the published numbers"),
    "paper run": Verb(paper_run, "train and measure its rows, then draw its table"),
    "paper render": Verb(paper_render, "draw all tables and pictures again from what was measured"),
    "info": Verb(info, "versions, devices, folders, what is missing for what"),
}


if __name__ == "__main__":
    sys.exit(main())
