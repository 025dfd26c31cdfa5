"""The command line: each verb parses, calls one function and prints. No logic lives here."""

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sagan.allocator import keep_freed_memory
from sagan.cli.parse import UsageError, parse

if TYPE_CHECKING:
    from sagan.cli.flags import ConfigFlags
    from sagan.recipes.config import RunConfig

HELP = """\
usage: sagan VERB [OPTIONS]          sagan VERB --help explains one

  demo          train on the embedded digits, three minutes on two cores, and look at the result
  train         train on your pictures, or go on with a run
  sample        pictures by class from a run or a weights file; interpolations
  attention     where the network looks
  evaluate      IS, FID and other measures, each with the way it was made
  export        one weights file to share
  data check    what is in a folder of pictures, before you train on it
  data pack     decode pictures once into one file, or into shards on several machines
  paper list    the paper's tables and figures as experiments: paper show, paper run, paper render
  plan          memory, hours and disk of a run on this machine, before anything starts
  benchmark     how fast this machine trains, samples, reads and makes features
  info          versions, devices, folders, what is missing for what

first steps:
  sagan demo
  sagan data check PICTURES            (a folder with one folder per class)
  sagan train --data PICTURES --out runs/mine
  sagan sample runs/mine --out samples.png
"""


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
        from sagan.training.health import DivergedError
        from sagan.training.processes import ProcessLostError

        if isinstance(error, (DivergedError, ProcessLostError)):
            print(f"sagan: {error}", file=sys.stderr)
            return 1
        if "out of memory" in str(error) or "can't allocate memory" in str(error):
            return out_of_memory(arguments)
        raise
    except MemoryError:
        return out_of_memory(arguments)


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
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        from importlib import metadata

        print(f"sagan-torch {metadata.version('sagan-torch')}")
        return 0
    words = 2 if arguments[0] in ("data", "paper") else 1
    verb = " ".join(arguments[:words])
    if verb in ("data", "data -h", "data --help"):
        print(
            "usage: sagan data check PATH                       what is in a folder of pictures\n"
            "       sagan data pack PATH --size PX --out FILE   decode once into one file (--shard-gb: into a folder)"
        )
        return 0 if verb != "data" else 2
    if verb in ("paper", "paper -h", "paper --help"):
        print(
            "usage: sagan paper list                      the experiments\n"
            "       sagan paper show NAME [--scale S]     its rows, what differs between them, the published numbers\n"
            "       sagan paper run NAME --data X         train and measure its rows, then draw its table\n"
            "       sagan paper render                    draw all tables and pictures again from what was measured"
        )
        return 0 if verb != "paper" else 2
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        raise UsageError(f"unknown verb {verb!r}; {f'did you mean {near[0]}?' if near else 'see `sagan --help`'}")
    return VERBS[verb](arguments[words:])


# ---------------------------------------------------------------------------------------------------------------- train


def train(arguments: list[str]) -> int:
    """Train a run, or go on with one."""
    from sagan.cli.flags import ConfigFlags
    from sagan.runs.folder import next_folder, stored_config
    from sagan.runs.launch import launch
    from sagan.runs.train import train as run_train
    from sagan.training.processes import current_process

    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset")
    early.add_argument("--resume")
    given, _ = early.parse_known_args(arguments)
    if given.resume is not None and given.preset is not None:
        raise UsageError("--resume goes on with the run's own configuration: leave --preset away")
    if given.resume is not None:
        chosen, base = "the run's own configuration", stored_config(Path(given.resume))
    else:
        chosen, base = chosen_preset(arguments)

    @dataclass(frozen=True, kw_only=True)
    class Arguments(ConfigFlags):
        out: Path | None = None
        """The new run folder; unset is runs/NAME-NUMBER."""
        resume: Path | None = None
        """Go on with the run in this folder (only --steps and cadences may change)."""
        init_from: Path | None = None
        """Start from the weights of another run or a weights file; classes are matched by name."""
        devices: str = "1"
        """Processes on this machine that share each batch, each with a GPU of its own or a part of the cores: a number,
        or `auto` for one per GPU. For several machines start `sagan train` with torchrun or srun instead."""

    description = described("Train a class-conditional self-attention GAN on your pictures.", chosen)
    parsed = parse(Arguments, arguments, "train", Arguments(config=base), description)
    config = combined(parsed)
    if parsed.resume is None and parsed.data is None and config.data.path == base.data.path and given.preset != "demo":
        raise UsageError(
            "which pictures? --data takes a folder, zip, .npz or packed file, or a name: digits, pairs, "
            "fashion-mnist, cifar10, cifar100"
        )
    processes = number_of_processes(parsed.devices, config)
    if processes > 1 and current_process().world_size == 1:
        config.train.check_division(processes)
        folder = parsed.resume or parsed.out or next_folder(f"{Path(config.data.path).stem}-{config.generator.size_px}")
        named = [] if parsed.resume or parsed.out else ["--out", str(folder)]
        return launch(["train", *arguments, *named], processes, folder)
    result = run_train(config, out=parsed.out, resume=parsed.resume, init_from=parsed.init_from)
    return exit_code(result.signal)


def chosen_preset(arguments: list[str]) -> tuple[str, "RunConfig"]:
    """Find the preset that the arguments name, else the one that fits this machine; give what to call it, too."""
    from sagan.recipes.presets import PRESETS

    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset")
    early.add_argument("--size", type=int)
    given, _ = early.parse_known_args(arguments)
    name = given.preset or default_preset(given.size)
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 1)
        raise UsageError(
            f"unknown preset {name!r}; {f'did you mean {near[0]}? ' if near else ''}known: {', '.join(PRESETS)}"
        )
    return f"preset {name}", PRESETS[name]()


def described(what: str, chosen: str) -> str:
    """Write the description of a verb that starts from a preset: what it does, and the list of presets."""
    from sagan.recipes.presets import PRESETS

    lines = [
        f"  {name:<16} {(build.__doc__ or '').removeprefix('Build ').splitlines()[0]}"
        for name, build in PRESETS.items()
    ]
    return "\n".join([what, "", "Presets:", *lines, "", f"Defaults shown are those of {chosen}."])


def number_of_processes(devices: str, config: "RunConfig") -> int:
    """Read --devices."""
    import torch

    gpus = torch.cuda.device_count() if config.engine.device in ("auto", "cuda") else 0
    if devices == "auto":
        return max(1, gpus)
    if not devices.isdecimal() or int(devices) < 1:
        raise UsageError(f"--devices takes a number of processes from 1 on, or auto; found {devices!r}")
    if gpus and int(devices) > gpus:
        raise UsageError(
            f"--devices {devices}: this machine has {gpus} GPUs, and each process needs its own; "
            "take fewer, or --engine.device cpu"
        )
    return int(devices)


def default_preset(size: int | None) -> str:
    """Choose the preset of a machine when none is named: by the GPU and the size."""
    import torch

    size = size or (64 if torch.cuda.is_available() else 32)
    if size <= 16:
        return "demo"
    if torch.cuda.is_available():
        return f"sagan-{min(size, 128)}" if size in (32, 64, 128, 256) else "sagan-64"
    if size >= 128:
        raise UsageError(
            f"no preset trains {size} px without a GPU in reasonable time; take --size 64, or insist with --preset "
            "sagan-128 and a small --base-width, --train.batch-size and --steps"
        )
    return f"sagan-{size}-cpu" if size in (32, 64) else "sagan-32-cpu"


def combined(flags: "ConfigFlags") -> "RunConfig":
    """Apply the flags that are short for fields, and make paths absolute."""
    from sagan.data import NAMES, is_pattern

    config = flags.config
    changes: dict[str, Any] = {}
    if flags.size is not None and flags.size != config.generator.size_px:
        # Positions of another size need not exist here: back to the default of the new size.
        changes |= {"size_px": flags.size, "attention": None, "residual": ()}
    if flags.base_width is not None:
        changes["base_width"] = flags.base_width
    if flags.attention is not None:
        changes["attention"] = flags.attention
    config = replace(
        config,
        generator=replace(config.generator, **changes),
        discriminator=replace(config.discriminator, **changes),
    )
    if flags.data is not None:
        config = replace(config, data=replace(config.data, path=flags.data))
    # Absolute, so that the run can be resumed from another folder; a known name stays a name.
    places = {"cache_dir": config.data.cache_dir, "class_names": config.data.class_names}
    places |= {} if config.data.path in NAMES else {"path": config.data.path}
    found: dict[str, Any] = {
        key: str(Path(place).expanduser().resolve()) for key, place in places.items() if place is not None
    }
    config = replace(
        config, data=replace(config.data, **{k: v for k, v in found.items() if Path(v).exists() or is_pattern(v)})
    )
    weights = config.monitor.feature_weights
    if weights is not None:
        absolute = str(Path(weights).expanduser().resolve())
        config = replace(config, monitor=replace(config.monitor, feature_weights=absolute))
    short = {
        "total_steps": flags.steps,
        "batch_size": flags.batch_size,
        "evaluate_every": flags.evaluate_every,
    }
    given: dict[str, Any] = {name: value for name, value in short.items() if value is not None}
    return replace(config, train=replace(config.train, **given))


def exit_code(number: int | None) -> int:
    """Give the exit code after training: 0, or 128 + the signal that stopped it."""
    return 0 if number is None else 128 + number


def demo(arguments: list[str]) -> int:
    """Train on the embedded digits and measure the result."""
    from sagan.cli.flags import ConfigFlags
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


# ------------------------------------------------------------------------------------------ looking at a generator


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


# -------------------------------------------------------------------------------------------------------- data and info


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


def plan(arguments: list[str]) -> int:
    """Predict what a run takes on this machine."""
    from rich.console import Console

    from sagan.cli.flags import ConfigFlags
    from sagan.speed.plan import make_plan, train_command

    chosen, base = chosen_preset(arguments)

    @dataclass(frozen=True, kw_only=True)
    class Arguments(ConfigFlags):
        memory_limit: float | None = None
        """Memory that the run may take, in GB; unset is what is available."""

    description = described(
        "What a run takes on this machine - memory, hours, disk - and how to cut its batches to fit, before it starts. "
        "A few steps are really done; nothing is written. All flags are those of `sagan train`.",
        chosen,
    )
    a = parse(Arguments, arguments, "plan", Arguments(config=base), description)
    if a.memory_limit is not None and not a.memory_limit > 0.0:
        raise UsageError(f"--memory-limit must be above 0, found {a.memory_limit}")
    result = make_plan(
        combined(a),
        with_data=a.data is not None or a.preset == "demo",
        limit_bytes=None if a.memory_limit is None else int(a.memory_limit * 1e9),
        console=Console(stderr=True, soft_wrap=True, markup=False, highlight=False),
    )
    print(f"{chosen}\n{result.text(train_command(arguments, result.config.train.accumulate))}")
    return 0


def benchmark(arguments: list[str]) -> int:
    """Measure how fast this machine is."""
    from rich.console import Console

    from sagan.cli.flags import ConfigFlags
    from sagan.runs.folder import write_text
    from sagan.speed.benchmark import ALL, What
    from sagan.speed.benchmark import benchmark as run_benchmark

    chosen, base = chosen_preset(arguments)

    @dataclass(frozen=True, kw_only=True)
    class Arguments(ConfigFlags):
        what: tuple[What, ...] = ALL
        """step trains on random pictures, sampling draws, data reads batches of --data or of generated pictures,
        features runs the feature networks whose weights are here."""
        rounds: int = 20
        """Rounds of each measurement; the number shown is the median."""
        out: Path | None = None
        """A .json file for the numbers and how they were made."""

    description = described(
        "How fast this machine trains, samples, reads pictures and makes features. All flags of `sagan train` that "
        "say what to compute are taken.",
        chosen,
    )
    a = parse(Arguments, arguments, "benchmark", Arguments(config=base), description)
    if a.out is not None and a.out.suffix != ".json":
        raise UsageError(f"--out must end in .json, found {a.out}")
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    result = run_benchmark(
        combined(a), chosen, what=a.what, rounds=a.rounds, with_data=a.data is not None, console=console
    )
    Console(markup=False, highlight=False).print(result.table())
    print(result.notes())
    if a.out is not None:
        write_text(a.out, result.to_json())
        print(f"numbers and how they were made: {a.out}")
    return 0


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
    from sagan.experiments.render import render
    from sagan.experiments.scales import ScaleName
    from sagan.experiments.sweep import (
        Settings,
        check_network,
        command_of,
        make_ready,
        prepare,
        read_sweep,
        remember,
        run,
        with_defaults,
    )

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


VERBS: dict[str, Callable[[list[str]], int]] = {
    "demo": demo,
    "train": train,
    "sample": sample,
    "attention": attention,
    "evaluate": evaluate,
    "export": export,
    "data check": data_check,
    "data pack": data_pack,
    "plan": plan,
    "benchmark": benchmark,
    "paper list": paper_list,
    "paper show": paper_show,
    "paper run": paper_run,
    "paper render": paper_render,
    "info": info,
}


if __name__ == "__main__":
    sys.exit(main())
