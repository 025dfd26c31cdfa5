"""Images a second of the training step, sampling, reading and features on this machine, each with its protocol."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from sagan.data import Batches, DataConfig, open_dataset
from sagan.machine import machine, versions
from sagan.metrics.efficientnet import load_efficientnet
from sagan.metrics.features import FeatureNetwork
from sagan.metrics.inception import DOWNLOADS, load_inception
from sagan.metrics.weights import WeightsError, weights_folder
from sagan.randomness import keyed_generator
from sagan.reading import check_version, object_of, whatever_happens
from sagan.recipes.build import build_generator, with_classes
from sagan.recipes.config import RunConfig
from sagan.runs.folder import size
from sagan.sampling import generate, sample_labels, sample_latents
from sagan.sizes import written
from sagan.speed.clock import Spread, matmul_dtype, matmul_rate, timed_rounds
from sagan.speed.config import ALL, What
from sagan.speed.flops import step_flops
from sagan.speed.step import LOOK_IMAGES, measure_step, random_batch
from sagan.training.engine import Engine
from sagan.training.kernels import kernels_as_before

FORMAT, FORMAT_VERSION = "sagan benchmark", 1


class BenchmarkError(ValueError):
    """Text that is no result of ``sagan benchmark``."""


WARM_UP = 3
FEATURE_IMAGES = 32
READ_BATCHES = 20
GENERATED_PICTURES = 2000

Value = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast one thing is."""

    name: str
    """What was measured."""
    images: int
    """Images in a round."""
    seconds: Spread
    """Of a round."""
    values: dict[str, Value]
    """What else was measured, and how; bytes, seconds and operations as numbers."""

    @property
    def images_per_s(self) -> float:
        """Images a second, by the median round."""
        return self.images / self.seconds.median


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What :func:`benchmark` found."""

    machine: dict[str, Value]
    """Versions, device, threads and precision: what every number here was measured with."""
    network: dict[str, Value]
    """Which networks."""
    rates: tuple[Rate, ...]
    """The measurements."""
    missing: tuple[str, ...] = ()
    """What could not be measured, and why."""

    def to_json(self) -> str:
        """Write it as readable JSON; ``images_per_s`` is there for readers that compute nothing."""
        rates = [asdict(rate) | {"images_per_s": rate.images_per_s} for rate in self.rates]
        contents = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self), "rates": rates}
        return json.dumps(contents, indent=2) + "\n"

    def table(self) -> Table:
        """Draw it as a table for the terminal."""
        table = Table(title=f"{self.network['preset']}, {self.machine['name']}, {self.machine['device']}")
        for heading in ("", "images/s", "ms a round", "quartiles", "rounds"):
            table.add_column(heading, justify="left" if not heading else "right")
        for rate in self.rates:
            s = rate.seconds
            table.add_row(
                f"{rate.name}, {rate.images:,} images",
                f"{rate.images_per_s:,.4g}",
                f"{s.median * 1e3:,.4g}",
                f"{s.low * 1e3:,.4g} to {s.high * 1e3:,.4g}",
                f"{s.rounds}",
            )
        return table

    def notes(self) -> str:
        """Give what the table has no room for, as lines of text."""
        lines = []
        for rate in self.rates:
            if rate.name == "step":
                lines += _step_notes(rate)
        lines += self.missing
        return "\n".join([*lines, ", ".join(f"{key} {value}" for key, value in self.machine.items())])


def benchmark_from_json(text: str) -> Benchmark:
    """Read what :meth:`Benchmark.to_json` wrote.

    Raises:
        ValueError: If the text is something else.
    """
    said = "this is no result of `sagan benchmark` ({}); write one with --out"
    with whatever_happens(lambda why: BenchmarkError(said.format(why))):
        values = object_of(text)
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}")
        check_version(values.get("format_version"), FORMAT_VERSION, "the result of `sagan benchmark`")
        rates = tuple(
            Rate(
                name=rate["name"],
                images=rate["images"],
                seconds=Spread(**rate["seconds"]),
                values=rate["values"],
            )
            for rate in values["rates"]
        )
        return Benchmark(
            machine=values["machine"], network=values["network"], rates=rates, missing=tuple(values["missing"])
        )


def benchmark(
    config: RunConfig,
    preset: str,
    *,
    what: Sequence[What] = ALL,
    rounds: int = 20,
    with_data: bool = False,
    console: Console | None = None,
) -> Benchmark:
    """Measure how fast this machine is with a configuration.

    Args:
        config: Networks, batch size, precision and device; ``config.data`` if ``with_data``.
        preset: What the configuration is called.
        what: Which measurements.
        rounds: Rounds of each, after a warm-up.
        with_data: Read the pictures of ``config.data``; else some are made in a temporary folder.
        console: Where to say what is being done.

    Returns:
        Images a second of each measurement, model FLOPs, peak memory in bytes, and how they were made.

    Raises:
        ValueError: If ``rounds`` is below 1, ``what`` is unknown, or the device that is asked for is not there.
        MemoryError: If a step does not fit into the memory.
        DataError: If the data cannot be used.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, found {rounds}")
    unknown = set(what) - set(ALL)
    if unknown:
        raise ValueError(f"what takes some of {', '.join(ALL)}, found {', '.join(sorted(unknown))}")
    console = console or Console(quiet=True)
    if with_data:
        config = with_classes(config, len(open_dataset(config.data, config.generator.image_size).class_names))
    with kernels_as_before():
        engine = Engine(config.engine)
        rates, missing = _rates(config, engine, what, rounds, with_data, console)
    return Benchmark(
        machine={
            **versions(),
            **_values(machine(engine.device, engine.process.world_size)),
            "precision": str(matmul_dtype(engine)).split(".")[-1],
        },
        network={
            "preset": preset,
            "size_px": written(config.generator.image_size),
            "num_classes": config.generator.num_classes,
            "generator_base_width": config.generator.base_width,
            "discriminator_base_width": config.discriminator.base_width,
        },
        rates=tuple(rates),
        missing=tuple(missing),
    )


def _rates(
    config: RunConfig, engine: Engine, what: Sequence[What], rounds: int, with_data: bool, console: Console
) -> tuple[list[Rate], list[str]]:
    """Measure what was asked for; give also what could not be measured, and why."""
    rates: list[Rate] = []
    missing: list[str] = []
    if "step" in what:
        console.print(f"training steps of {config.train.batch_size:,} images, in a process of their own ...")
        rates.append(step_rate(config, engine, rounds))
    if "sampling" in what:
        console.print("sampling ...")
        rates.append(sampling_rate(config, engine, rounds))
    if "data" in what:
        console.print("reading pictures ...")
        rates.append(reading_rate(config, rounds, with_data=with_data))
    if "features" in what:
        networks, missing = feature_networks()
        for network in networks:
            console.print(f"features of {network.name} ...")
            rates.append(features_rate(network, config, engine.device, rounds))
    return rates, missing


def step_rate(config: RunConfig, engine: Engine, rounds: int) -> Rate:
    """Measure the training step beside a large matrix product, whose rate is what the step's is a share of."""
    dtype = matmul_dtype(engine)
    flops = step_flops(config)
    # On both sides of the steps, the better one: a machine that slows down in between must not look busier than it is.
    before = matmul_rate(engine.device, dtype)
    cost = measure_step(config, rounds=rounds, warm_up=WARM_UP)
    peak = max(before, matmul_rate(engine.device, dtype))
    reached = flops * config.train.batch_size / cost.seconds.median
    return Rate(
        name="step",
        images=config.train.batch_size,
        seconds=cost.seconds,
        values={
            "warm_up_rounds": WARM_UP,
            "accumulate": config.train.accumulate,
            "d_steps": config.train.d_steps,
            "generated_in_generator_update": config.train.generator_batch,
            "model_flops_per_image": flops,
            "model_flops_per_s": reached,
            "matmul": f"{str(dtype).split('.')[-1]}, best of several",
            "matmul_flops_per_s": peak,
            "share_of_matmul": reached / peak,
            "memory": "PyTorch's tensors on the GPU" if engine.device.type == "cuda" else "of a fresh process",
            "memory_before_bytes": cost.base_bytes,
            "memory_peak_bytes": cost.peak_bytes,
        },
    )


def sampling_rate(config: RunConfig, engine: Engine, rounds: int) -> Rate:
    """Measure the generator in evaluation mode, from noise to pixels on the host."""
    G = engine.module(build_generator(config)).eval()
    z = sample_latents(0, range(LOOK_IMAGES), G.config.z_dim)
    y = sample_labels(0, range(LOOK_IMAGES), G.config.num_classes)
    seconds = timed_rounds(lambda: generate(G, z, y, LOOK_IMAGES), engine.device, rounds)
    return Rate(name="sampling", images=LOOK_IMAGES, seconds=seconds, values={"precision": "fp32"})


def reading_rate(config: RunConfig, rounds: int, *, with_data: bool) -> Rate:
    """Measure batches in training order from the packed file, without the way to a device."""
    batch_size, seed = config.train.batch_size, config.seed

    def measure(data: DataConfig) -> Rate:
        dataset = open_dataset(data, config.generator.image_size, progress=with_data)
        batches = Batches(dataset, np.arange(len(dataset.labels)), batch_size, seed, flip=True)
        position = iter(range(1_000_000_000))

        def read() -> None:
            for _ in range(READ_BATCHES):
                batches(next(position))

        seconds = timed_rounds(read, torch.device("cpu"), rounds)
        values: dict[str, Value] = {
            "batch_size": batch_size,
            "pictures": len(dataset.labels),
            "source": Path(dataset.source).name if with_data else "generated",
        }
        return Rate(name="data", images=READ_BATCHES * batch_size, seconds=seconds, values=values)

    if with_data:
        return measure(config.data)
    with tempfile.TemporaryDirectory() as name:
        count = max(GENERATED_PICTURES, batch_size)
        shape = (count, *config.generator.image_size, 3)
        images = keyed_generator(0, "pictures to read").integers(0, 256, shape, dtype="uint8")
        np.save(Path(name) / "generated.npy", images)
        return measure(DataConfig(path=str(Path(name) / "generated.npy"), cache_dir=name))


def feature_networks() -> tuple[list[FeatureNetwork], list[str]]:
    """Load the feature networks whose weights are on this machine; give them, and what is missing of the others."""
    found: list[FeatureNetwork] = []
    missing = []
    loaders: list[tuple[str, Callable[[], FeatureNetwork]]] = [("efficientnet-lite0", load_efficientnet)]
    files = [path for download in DOWNLOADS if (path := weights_folder() / download.file_name).exists()]
    if files:
        loaders.append(("inception", lambda: load_inception(files[0])))
    else:
        missing.append("features of inception: no weights here; the first `sagan evaluate` downloads them")
    for name, load in loaders:
        try:
            found.append(load())
        except WeightsError as error:
            missing.append(f"features of {name}: {error}")
    return found, missing


def features_rate(network: FeatureNetwork, config: RunConfig, device: torch.device, rounds: int) -> Rate:
    """Measure a feature network on pictures of the run's size."""
    network.to(device)
    images = random_batch(config, FEATURE_IMAGES).images.to(device)
    with torch.no_grad():
        seconds = timed_rounds(lambda: network(images), device, rounds)
    values: dict[str, Value] = {"weights_sha256": network.weights_sha256, "image_px": network.image_px}
    return Rate(name=f"features {network.name}", images=FEATURE_IMAGES, seconds=seconds, values=values)


def _values(facts: dict[str, object]) -> dict[str, Value]:
    return {key: value if isinstance(value, (int, float)) else str(value) for key, value in facts.items()}


def _step_notes(rate: Rate) -> list[str]:
    v = {key: value for key, value in rate.values.items() if isinstance(value, (int, float))}
    reached, most = v["model_flops_per_s"] / 1e9, v["matmul_flops_per_s"] / 1e9
    notes = [
        f"model work: {v['model_flops_per_image'] / 1e9:.4g} GFLOP an image, {reached:,.4g} GFLOP/s: "
        f"{100 * v['share_of_matmul']:.0f} % of the {most:,.4g} of a large matrix product ({rate.values['matmul']})"
    ]
    if "memory_peak_bytes" in v:
        notes.append(
            f"memory: {size(v['memory_peak_bytes'])} at the peak, {size(v.get('memory_before_bytes', 0))} of it before "
            f"the networks are made ({rate.values['memory']})"
        )
    return notes
