"""A sweep: an experiment made ready for a data set, what it has still to do, and the folder that remembers it."""

import json
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sagan.data import open_dataset
from sagan.data.config import Keep
from sagan.evaluation import load_network, reference_of, reference_statistics
from sagan.experiments.catalogue import EXPERIMENTS, Experiment, Row, SweepError, experiment_of
from sagan.experiments.row import (
    JUDGED_BY,
    NOT_COMPUTED,
    Order,
    is_done,
    measured_on,
    missing_measures,
    possible,
    published_config,
    read_result,
    row_key,
    row_log,
)
from sagan.experiments.scales import Scale, scale_of
from sagan.experiments.settings import Settings, changed
from sagan.models.config import default_attention
from sagan.reading import BytesError, check_version, object_of, read_bytes, whatever_happens
from sagan.recipes.config import RunConfig, differences, from_json
from sagan.runs.folder import write_text
from sagan.training.config import EngineConfig

SWEEP = "sweep.json"
ROWS, RUNS = "rows", "runs"
FORMAT = 1
KINDS: dict[str, Any] = {"settings": dict, "data": dict, "base": dict, "commands": list}
"""What the parts of a stored sweep are."""
NOT_SAID: dict[str, Any] = {"device": "not known", "threads": "?", "monitor": None, "class_names": [], "by_class": []}
"""What stands for facts about a row that are shown beside its numbers, where its result lacks them."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """An experiment made ready for a data set: what each row trains and where its results are."""

    settings: Settings
    """What was asked for."""
    experiment: Experiment
    """The experiment."""
    scale: Scale
    """The scale, with what was changed."""
    data: dict[str, Any]
    """Name, fingerprint and size of the data set."""
    folder: Path
    """Where its tables and pictures are."""
    out: Path
    """The folder of all results."""
    keep: Keep = "disk"
    """Where rows keep their pictures while they train."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """What rows compute on."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the experiment at this scale."""
        return self.experiment.rows(self.scale)

    def config(self, row: Row, seed: int) -> RunConfig:
        """Give what a row trains with a seed."""
        assert row.config is not None
        data = replace(row.config.data, path=self.settings.data, keep=self.keep)
        return replace(row.config, data=data, engine=self.engine, seed=seed)

    def result_folder(self, row: Row, seed: int) -> Path:
        """Give the folder of a row's results; it need not exist."""
        return self._place(ROWS, row, seed)

    def run_folder(self, row: Row, seed: int) -> Path:
        """Give the folder of a row's run."""
        return self._place(RUNS, row, seed)

    def _place(self, kind: str, row: Row, seed: int) -> Path:
        keys = [key[:10] for key in (self.key(row, seed), self._key_before(row, seed))]
        # The same row of another experiment may have another name there; its key is what counts.
        known = [path for key in keys for path in sorted((self.out / kind).glob(f"*-{key}"))]
        return known[0] if known else self.out / kind / f"{slug(row.name)}-seed{seed}-{keys[0]}"

    def key(self, row: Row, seed: int) -> str:
        """Give the key of a row with a seed."""
        return row_key(self.config(row, seed), self.data["fingerprint"])

    def _key_before(self, row: Row, seed: int) -> str:
        """Give the key that the row had where attention at its usual place went without saying, as SAGAN's once did."""
        config = self.config(row, seed)
        usual = default_attention(config.generator.size_px)
        if (config.generator.attention, config.discriminator.attention) != (usual, usual):
            return self.key(row, seed)
        G, D = replace(config.generator, attention=None), replace(config.discriminator, attention=None)
        return row_key(replace(config, generator=G, discriminator=D), self.data["fingerprint"])

    def results(self, row: Row) -> dict[int, dict[str, Any]]:
        """Read what there is of a row by seed."""
        if row.config is None:
            return {}
        found = {}
        for seed in range(self.settings.seeds):
            folder = self.result_folder(row, seed)
            result = read_result(folder)
            # What was measured in another way does not belong into the same mean.
            if result is not None and not missing_measures(result, self.experiment.measures, self.scale.judging):
                found[seed] = NOT_SAID | result | {"log": row_log(folder)}
        return found

    def chosen(self, names: Sequence[str] = ()) -> list[Row]:
        """Give the rows of these names, or all that exist at this size.

        Raises:
            SweepError: If a name is no row of the experiment, or one that does not exist at this size.
        """
        known = {row.name: row for row in self.rows}
        for name in names:
            if name not in known:
                raise SweepError(f"{self.experiment.name} has no row {name!r}; its rows: {', '.join(known)}")
            if known[name].config is None:
                size = self.scale.base.generator.size_px
                raise SweepError(f"{name} does not exist at {size} px: both networks need a feature map of that height")
        return [row for row in self.rows if row.config is not None and (not names or row.name in names)]

    def orders(self, names: Sequence[str] = ()) -> list[Order]:
        """List what is still to do, seed by seed, so that an interrupted sweep has compared rows for the first ones.

        Raises:
            SweepError: If a name is no row of the experiment.
        """
        orders: dict[str, Order] = {}
        for seed in range(self.settings.seeds):
            for row in self.chosen(names):
                order = self._order(row, seed)
                if not is_done(order):
                    orders.setdefault(order.key, order)
        return list(orders.values())

    def _shown_at(self, row: Row) -> tuple[int, ...]:
        """Give the steps whose samples are shown; pictures are of the first seed alone."""
        assert row.config is not None
        return stage_steps(self.scale) if "stages" in self.experiment.pictures else (row.config.train.total_steps,)

    def _order(self, row: Row, seed: int) -> Order:
        return Order(
            name=row.name,
            config=self.config(row, seed),
            key=self.key(row, seed),
            measures=tuple(possible(self.experiment.measures, self.scale.judging)),
            judging=self.scale.judging,
            samples_at=() if seed else self._shown_at(row),
            attention=not seed and "attention" in self.experiment.pictures,
            by_class=not seed and "classes" in self.experiment.pictures,
            run=self.run_folder(row, seed),
            result=self.result_folder(row, seed),
        )


def together(sweeps: Sequence[Sweep], names: Sequence[str] = ()) -> list[Order]:
    """List what experiments have still to do, seed by seed; a row that several ask for once, with all that they ask.

    Raises:
        SweepError: If a name is no row of one of them.
    """
    orders: dict[str, Order] = {}
    for order in (order for sweep in sweeps for order in sweep.orders(names)):
        old = orders.get(order.key, order)
        orders[order.key] = replace(
            old,
            measures=tuple(dict.fromkeys((*old.measures, *order.measures))),
            samples_at=tuple(sorted({*old.samples_at, *order.samples_at})),
            attention=old.attention or order.attention,
            by_class=old.by_class or order.by_class,
        )
    return sorted(orders.values(), key=lambda order: order.config.seed)


def slug(text: str) -> str:
    """Write a name so that it can be part of a file's: small letters, digits and single hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def stage_steps(scale: Scale) -> tuple[int, ...]:
    """Give the steps of figure 4: 10k, 160k, 260k and 1M at the paper's scale, else a sixth, a third, a half, all.

    They are steps whose samples are drawn: the nearest ones.
    """
    if scale.name == "paper":
        return 10_000, 160_000, 260_000, 1_000_000
    every, total = scale.base.train.sample_every, scale.base.train.total_steps
    drawn = sorted({*range(every, total + 1, every), total})
    return tuple(sorted({min(drawn, key=lambda s: abs(s - total * part)) for part in (1 / 6, 1 / 3, 1 / 2, 1.0)}))


def prepare(settings: Settings, out: Path, *, feature_weights: str | None = None, progress: bool = True) -> Sweep:
    """Make an experiment ready: its scale with what was changed, its data opened.

    Args:
        settings: What to run.
        out: The folder of all results.
        feature_weights: A local file of the feature network's weights.
        progress: Show a bar while pictures are decoded.

    Raises:
        SweepError: If the experiment is unknown, or needs classes that the pictures have not.
        ValueError: If a changed field is impossible.
        DataError: If the pictures cannot be used.
    """
    experiment = experiment_of(settings.experiment)
    scale = changed(scale_of(settings.scale, settings.size), settings, feature_weights)
    dataset = open_dataset(replace(scale.base.data, path=settings.data), scale.base.generator.size_px)
    if "intra" in experiment.measures and not dataset.class_names:
        raise SweepError(
            f"{experiment.name} measures distances within classes, and {settings.data} has none: give a folder with "
            "one folder per class"
        )
    source = Path(dataset.source).name
    data = {"source": source, "fingerprint": dataset.fingerprint, "images": len(dataset.labels)}
    folder = out / f"{experiment.name}-{scale.name}-{scale.base.generator.size_px}-{Path(source).stem}"
    return Sweep(settings=settings, experiment=experiment, scale=scale, data=data, folder=folder, out=out)


def check_network(sweep: Sweep) -> None:
    """Load the feature network once, before anything takes long.

    Raises:
        WeightsError: If its weights are not to be had.
    """
    if sweep.experiment.measures != ("pairs",):
        judging = sweep.scale.judging
        load_network(judging.features, judging.feature_weights, num_images=judging.num)


def make_ready(sweep: Sweep, *, progress: bool = True) -> None:
    """Find the statistics of the real pictures: rows that start side by side would each compute them."""
    judging, base = sweep.scale.judging, sweep.scale.base
    if "fd" in sweep.experiment.measures:
        network = load_network(judging.features, judging.feature_weights, num_images=judging.num)
        dataset = open_dataset(replace(base.data, path=sweep.settings.data), base.generator.size_px)
        reference = reference_of(dataset, "all", at_most=judging.real)
        device = measured_on(sweep.engine)
        reference_statistics(network, reference, device=device, cache_dir=base.data.cache_dir, progress=progress)


def remember(sweep: Sweep, command: str) -> None:
    """Write down what the sweep is, so that another machine goes on with it and ``render`` finds it.

    Raises:
        SweepError: If its folder holds one with other settings.
    """
    file = sweep.folder / SWEEP
    contents = {"sagan_sweep": FORMAT, "settings": asdict(sweep.settings) | {"data": sweep.data["source"]}}
    contents |= {"judging": asdict(replace(sweep.scale.judging, feature_weights=None))}
    contents |= {"data": sweep.data, "base": published_config(sweep.scale.base, sweep.data["source"])}
    commands = [command]
    if file.exists():
        old = _read(file)
        with _naming(file):
            found = _changes(old, sweep.experiment, sweep.scale, file)
            if old["data"]["fingerprint"] != sweep.data["fingerprint"]:
                found.insert(0, "pictures")
        if found:
            raise SweepError(
                f"{sweep.folder} holds this experiment with other settings of: {', '.join(found)}; give the same flags "
                "as then, or another --out"
            )
        contents["settings"]["seeds"] = max(old["settings"]["seeds"], sweep.settings.seeds)  # type: ignore[index]
        commands = [*old["commands"], *([] if command in old["commands"] else [command])]
    sweep.folder.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(contents | {"commands": commands}, indent=1) + "\n")


def _naming(file: Path) -> AbstractContextManager[None]:
    """Inside the context whatever a stored sweep holds ends in an error that names its file."""
    return whatever_happens(lambda why: SweepError(f"{file} is damaged ({why}); remove it and give its command again"))


def _changes(contents: dict[str, Any], experiment: Experiment, scale: Scale, file: Path) -> list[str]:
    """Name the fields in which the rows of a stored sweep, and how they are judged, differ from those of today."""
    stored = from_json(json.dumps(contents["base"]), f"the configuration in {file}")
    rows = zip(experiment.rows(replace(scale, base=stored)), experiment.rows(scale), strict=True)
    pairs = [(old.config, new.config) for old, new in rows if old.config is not None and new.config is not None]
    fields = list(dict.fromkeys(name for old, new in pairs for name in differences(old, new)))
    judged = {name: value for name, value in contents.get("judging", {}).items() if name in judged_by(experiment)}
    today = asdict(scale.judging)
    return [name for name in fields if name not in NOT_COMPUTED] + [
        f"judging.{name}" for name, value in judged.items() if today.get(name) != value
    ]


def judged_by(experiment: Experiment) -> set[str]:
    """Name the fields of how rows are judged that count for an experiment's measures."""
    return {name for measure in experiment.measures for name in JUDGED_BY[measure]}


def _read(file: Path) -> dict[str, Any]:
    damaged = "remove it and give the same command again"
    try:
        contents = object_of(read_bytes(file))
        wrong = [name for name, kind in KINDS.items() if not isinstance(contents.get(name), kind)]
        if wrong:
            raise BytesError(f"its {wrong[0]} is none")
        check_version(contents.get("sagan_sweep"), FORMAT, f"the sweep {file}")
        _check_parts(contents)
    except BytesError as error:
        raise SweepError(f"{file} is damaged ({error}); {damaged}") from error
    except ValueError as error:
        raise SweepError(str(error)) from error
    return contents


def _check_parts(contents: dict[str, Any]) -> None:
    """Check what is inside the parts of a stored sweep.

    Raises:
        BytesError: If something is missing, or of another kind.
    """
    kinds = {
        "data": {"source": str, "fingerprint": str, "images": int},
        "settings": {"experiment": str, "data": str, "seeds": int},
    }
    for part, fields in kinds.items():
        for name, kind in fields.items():
            if type(contents[part].get(name)) is not kind:
                raise BytesError(f"the {name} of its {part} is none")
    if not all(isinstance(command, str) for command in contents["commands"]):
        raise BytesError("one of its commands is no text")
    if not isinstance(contents.get("judging", {}), dict):
        raise BytesError("its judging is none")


def command_of(arguments: Sequence[str]) -> str:
    """Write the command of ``sagan paper run`` without the folders of this machine."""
    words, skip = ["sagan", "paper", "run"], False
    for word in arguments:
        flag, _, value = word.partition("=")
        if skip or flag in ("--out", "--feature-weights"):
            skip = not skip and not value
            continue
        place = value or word
        words.append(word.replace(place, Path(place).name) if "/" in place and Path(place).exists() else word)
    return shlex.join(words)


def read_sweep(folder: Path) -> Sweep:
    """Read a sweep back from its folder; the data set need not be there.

    Raises:
        SweepError: If there is none.
    """
    file = folder / SWEEP
    if not file.is_file():
        raise SweepError(f"{folder} has no {SWEEP}: `sagan paper run` makes one")
    contents = _read(file)
    with _naming(file):
        settings = Settings(**contents["settings"])
        scale = changed(scale_of(settings.scale, settings.size), settings, None)
        experiment = EXPERIMENTS[settings.experiment]
        differing = _changes(contents, experiment, scale, file)
    if differing:
        raise SweepError(
            f"{folder} was made when the scale {scale.name} had others of: {', '.join(differing)}; its rows cannot be "
            "found, so its tables stay as they are"
        )
    return Sweep(
        settings=settings,
        experiment=experiment,
        scale=scale,
        data=contents["data"],
        folder=folder,
        out=folder.parent,
    )
