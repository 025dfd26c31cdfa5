"""One row of an experiment with one seed: trained, measured, and left as a small folder of results.

A row is found by what it computes - its configuration, the content of its pictures, its seed - not by the experiment
that asked for it: experiments share rows. The process that works on a row is started with
``python -m sagan.experiments.row ORDER.json``.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sagan.allocator import keep_freed_memory
from sagan.data import ImageSet, open_dataset
from sagan.evaluation import EvaluateConfig, Metric, evaluate, load_network, reference_of
from sagan.experiments.catalogue import Measure
from sagan.experiments.pairs import measure_pairs
from sagan.experiments.published import FIGURE6_CLASSES
from sagan.experiments.scales import Judging
from sagan.figures import save_image
from sagan.generators.pretrained import TrainedGenerator, load, read_snapshot
from sagan.interrupts import INTERRUPTED, remember_interrupts
from sagan.reading import NOT_FINITE, BytesError, check_version, object_of, read_bytes, whatever_happens
from sagan.recipes.build import build_networks, with_classes
from sagan.recipes.config import RunConfig, differences, from_json, to_json
from sagan.runs.folder import copied, write_text
from sagan.runs.log import LOG, read_log
from sagan.runs.samples import read_samples
from sagan.runs.signals import end_with_parent
from sagan.runs.train import DivergedError, train
from sagan.streams import own_streams
from sagan.training.checkpoint import checkpoints
from sagan.training.config import EngineConfig

FORMAT = 1
RESULT = "result.json"
SAMPLES = "samples.png"
ATTENTION = "attention.png"
BY_CLASS = "by-class.png"
KINDS: dict[str, Any] = {
    "status": str,
    "step": int,
    "judging": dict,
    "reports": dict,
    "pairs": dict,
    "health": list,
    "samples_at": list,
    "parameters": dict,
}
"""What the parts of a result are that tables are made of."""
SHOWN = 100
"""Of what a message says of something wrong, at most."""
PER_CLASS = 10
SEED = 1
"""Seed of the samples that rows are measured by."""


class RowError(ValueError):
    """The result of a row that cannot be used."""


# What changes no computed number, besides what computes.
NOT_COMPUTED = {
    "data.path",
    "data.keep",
    "data.skip_unreadable",
    "data.class_names",
    "data.cache_dir",
    "monitor.feature_weights",
    "train.save_every",
    "train.keep_last",
}

METRICS: dict[Measure, Metric] = {"fd": "fd", "score": "is", "intra": "intra"}
JUDGED_BY: dict[Measure, tuple[str, ...]] = {
    "fd": ("features", "num", "real"),
    "score": ("features", "num"),
    "intra": ("features", "intra_num"),
    "pairs": ("pairs_num",),
}
"""The fields of :class:`~sagan.experiments.scales.Judging` that a measure depends on."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process is to do for one row and one seed."""

    name: str
    """What the row is called where it was first asked for."""
    config: RunConfig
    """What to train, with data and seed."""
    key: str
    """See :func:`row_key`."""
    measures: tuple[Measure, ...]
    """What to measure."""
    judging: Judging
    """How to measure it."""
    samples_at: tuple[int, ...]
    """Steps whose samples are kept."""
    attention: bool
    """Whether the attention figure is kept."""
    by_class: bool
    """Whether samples by class are kept."""
    run: Path
    """The run folder, with its checkpoints."""
    result: Path
    """The small folder of results."""


def row_key(config: RunConfig, fingerprint: str) -> str:
    """Name what a row computes: a hash of its configuration, the content of its pictures, and its seed.

    Where the pictures lie, what computes, and how they are kept does not count; nor does a field at its default, so
    that a switch which is added later leaves the keys of what was run before it.
    """
    plain: dict[str, Any] = asdict(config)
    changed = {}
    for name in differences(RunConfig(), config):
        owner, _, field = name.partition(".")
        if field and owner != "engine" and name not in NOT_COMPUTED:
            changed[name] = plain[owner][field]
    contents = {"fingerprint": fingerprint, "seed": config.seed, "config": changed}
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def read_result(folder: Path) -> dict[str, Any] | None:
    """Read the result of a row; None if there is none yet.

    Raises:
        ValueError: If the file is damaged, or of a newer version.
    """
    file = folder / RESULT
    if not file.is_file():
        return None
    try:
        result = object_of(read_bytes(file))
    except BytesError as error:
        raise RowError(f"{file} is damaged ({error}); remove it to measure the row again") from error
    check_version(result.get("sagan_row"), FORMAT, f"the result {file}")
    with whatever_happens(lambda why: RowError(f"{file} is damaged ({why}); remove it to measure the row again")):
        _check_parts(result)
    return result


def _check_parts(result: dict[str, Any]) -> None:
    """Check that what tables are made of is there, and of the kind that they take.

    Raises:
        TypeError: If something is of another kind.
        KeyError: If something is missing.
    """
    for name, kind in KINDS.items():
        _require(isinstance(result.get(name), kind), f"its {name} is none")
    _require_whole("step", result["step"], *result["samples_at"])
    for report in result["reports"].values():
        _check_report(report)
    for name, found in result["pairs"].items():
        _require(isinstance(found, dict), f"its pairs of {name} are none")
        _check_pairs(found)
    for record in result["health"]:
        _require(isinstance(record["health"], str), "a name of its health is no text")
        _require_whole("a step of its health", record["step"])
    for name in ("generator", "discriminator", "attention", "residual"):
        _require_whole(f"number of weights ({name})", result["parameters"][name])
    for made in result["judging"].values():
        _require(isinstance(made, dict), "its judging is none")
    _check_shown(result)


def _check_report(report: dict[str, Any]) -> None:
    """Check the values of a report, and the distances within classes, if any."""
    for value in report["values"]:
        _require(isinstance(value["metric"], str), "the name of a value is no text")
        require_number(value["metric"], value["value"])
        _require(isinstance(value["protocol"], dict), f"the protocol of {value['metric']} is none")
    _require(isinstance(report.get("classes", {}), dict), "its distances within classes are none")
    for name, found in report.get("classes", {}).items():
        require_number(f"the distance within {name}", found["value"])


def _check_pairs(found: dict[str, Any]) -> None:
    """Check what was read of pairs: what has no pictures has no shares."""
    for part in found["structured"].values():
        for name in ("readable", "pictures"):
            require_number(name, part[name])
        for name in ("consistent", "chance", "above_chance"):
            if part[name] is not None:
                require_number(name, part[name])
    for part in found["textures"].values():
        require_number("recognised", part["recognised"])
    _require(isinstance(found["protocol"], dict), "the protocol of its pairs is none")


def _check_shown(result: dict[str, Any]) -> None:
    """Check what is shown beside numbers, as far as it is there."""
    require_number("training_s", result.get("training_s", 0.0))
    names = result.get("class_names", [])
    _require(isinstance(names, list) and all(isinstance(name, str) for name in names), "its names of classes are none")
    shown = result.get("by_class", [])
    texts = isinstance(shown, list) and all(isinstance(one[key], str) for one in shown for key in ("shown", "class"))
    _require(texts, "its pictures by class are none")
    monitor = result.get("monitor") or {"values": []}
    for value in monitor["values"]:
        fine = isinstance(value["metric"], str) and isinstance(value["protocol"], dict)
        _require(fine, "a value of its monitor is none")


def require_number(name: str, value: object) -> None:
    """Check that something is a number, or one of the texts that stand for those that JSON has not.

    Raises:
        TypeError: If it is neither.
    """
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    _require(plain or (isinstance(value, str) and value in NOT_FINITE), f"{name} is no number: {value!r}"[:SHOWN])


def _require_whole(name: str, *values: object) -> None:
    for value in values:
        _require(type(value) is int, f"{name} is no whole number: {value!r}"[:SHOWN])


def _require(fine: bool, otherwise: str) -> None:
    if not fine:
        raise TypeError(otherwise)


def row_log(folder: Path) -> list[dict[str, Any]]:
    """Read the log that a row left; empty if there is none.

    Raises:
        ValueError: If it is damaged, a score in it is no number, or it is of a newer version.
    """
    file = folder / LOG
    read = read_log(file)
    with whatever_happens(
        lambda why: RowError(f"{file} is damaged ({why}); remove its folder to measure the row again")
    ):
        _require(not read.damaged, f"line {read.damaged[0]:,} is no record" if read.damaged else "")
        for record in read.records:
            for name in record:
                if name.startswith("score/"):
                    require_number(f"{name} at step {record['step']:,}", record[name])
    return read.records


def published_config(config: RunConfig, data: str) -> dict[str, Any]:
    """Give a configuration as plain objects without the folders of this machine."""
    plain: dict[str, Any] = json.loads(to_json(config))
    plain["data"] |= {"path": data, "cache_dir": None}
    plain["monitor"]["feature_weights"] = None
    return plain


def is_done(order: Order) -> bool:
    """Tell whether a row's result has all that an order asks for; what diverged at once has nothing more to give."""
    result = read_result(order.result)
    if result is None or missing_measures(result, order.measures, order.judging):
        return False
    if result["status"] == "diverged":
        return True
    kept = {*order.samples_at} <= {*result["samples_at"]} and (result.get("attention") or not _wants_attention(order))
    return bool(kept and (result.get("by_class") or not order.by_class))


def _wants_attention(order: Order) -> bool:
    return order.attention and bool(order.config.generator.attention_positions)


def missing_measures(result: dict[str, Any] | None, measures: Sequence[Measure], judging: Judging) -> list[Measure]:
    """List what a row's result lacks of the measures that are asked for, made in the way that is asked for."""
    wanted = possible(measures, judging)
    if result is None:
        return wanted
    if result["status"] == "diverged" and not result["step"]:
        return []
    made = result["judging"]
    asked = json.loads(json.dumps(asdict(judging)))
    return [m for m in wanted if any(made.get(m, {}).get(field) != asked[field] for field in JUDGED_BY[m])]


def possible(measures: Sequence[Measure], judging: Judging) -> list[Measure]:
    """Leave out the score where the feature network has no classes."""
    return [m for m in measures if m != "score" or judging.features in ("inception", "efficientnet-lite0")]


def work(order: Order) -> int:
    """Train a row, or go on with it, and measure what is missing; gives the exit code of the process.

    A run that diverges is a result: it is written down with the step and the reason, and whatever its last checkpoint
    still gives is measured.
    """
    # A run that was killed before its first checkpoint starts again.
    going_on = bool(checkpoints(order.run / "checkpoints"))
    # What was measured of weights that are gone says nothing of new ones.
    old = read_result(order.result) if going_on else None
    status, reason = "finished", None
    try:
        trained = train(_as_begun(order), resume=order.run) if going_on else train(order.config, out=order.run)
        if not trained.finished:
            return 128 + (trained.signal or 0)
    except DivergedError as error:
        status, reason = "diverged", str(error)

    order.result.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(order.config.data, order.config.generator.size_px)
    result: dict[str, Any] = {
        "sagan_row": FORMAT,
        "name": order.name,
        "key": order.key,
        "status": status,
        "reason": reason,
        "config": published_config(order.config, Path(dataset.source).name),
    }
    result |= _seen(order, dataset)
    result |= {"judging": {}, "reports": {}, "pairs": {}} | {
        name: old[name] for name in ("judging", "reports", "pairs") if old is not None
    }
    missing = missing_measures(old, order.measures, order.judging)
    # Where the weights of the feature network lie on this machine is nobody else's business.
    how = asdict(replace(order.judging, feature_weights=None))
    result["judging"] |= dict.fromkeys(missing, how)
    _measure(order, dataset, result, missing)
    _keep_pictures(order, result)
    write_text(order.result / RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return 0


def _as_begun(order: Order) -> RunConfig:
    """Give what a row goes on with: what computes does not name a row, so it stays as the run began."""
    return replace(order.config, engine=read_snapshot(order.run).config.engine)


def _seen(order: Order, dataset: ImageSet) -> dict[str, Any]:
    """Read from the run folder what training left: steps, curve, health, cost; and count the weights."""
    records = read_log(order.run / LOG).records
    copied(order.run / LOG, order.result / LOG)
    G, D = build_networks(with_classes(order.config, len(dataset.class_names)))
    machine: dict[str, Any] = read_snapshot(order.run).contents["machine"]  # type: ignore[assignment]
    return {
        "step": max((int(record["step"]) for record in records), default=0),
        "data": {
            "source": Path(dataset.source).name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset.labels),
        },
        "class_names": list(dataset.class_names),
        "parameters": {
            "generator": _count(G),
            "discriminator": _count(D),
            "attention": _count(G.attention) + _count(D.attention),
            "residual": _count(G.residual) + _count(D.residual),
        },
        "health": [record for record in records if "health" in record],
        "monitor": _last_evaluation(order.run),
        "training_s": max((float(record.get("elapsed_s", 0.0)) for record in records), default=0.0),
        "device": machine["device"],
        "threads": machine["threads"],
    }


def _last_evaluation(run: Path) -> dict[str, Any] | None:
    """Read what the monitor measured last; None if it measured nothing.

    Raises:
        ValueError: If the file is damaged or too long.
    """
    files = sorted((run / "evaluations").glob("step-*.json"))
    if not files:
        return None
    with whatever_happens(lambda why: RowError(f"{files[-1]} is damaged ({why}); remove it to go on without it")):
        return object_of(read_bytes(files[-1]))


def _measure(order: Order, dataset: ImageSet, result: dict[str, Any], wanted: Sequence[Measure]) -> None:
    """Measure the last weights, and the best ones by the monitor, into ``result``."""
    if not wanted:
        return
    for which, path in _weights(order).items():
        generator = load(path, progress=False)
        step = generator.provenance.get("step")
        if which == "best" and step == result["reports"].get("final", {}).get("step"):
            result["reports"]["best"] = result["reports"]["final"]
            continue
        report = result["reports"].get(which, {})
        # Within classes the last weights alone are shown: it takes longest.
        metrics = [METRICS[m] for m in wanted if m in METRICS and (m != "intra" or which == "final")]
        if metrics:
            values = _values(order, dataset, generator, metrics)
            kept = {v["metric"]: v for v in report.get("values", [])} if report.get("step") == step else {}
            report = {"step": step, "values": list((kept | {v["metric"]: v for v in values["values"]}).values())}
            report |= {"versions": values["versions"], "subject": values["subject"]}
            report |= {"classes": values["classes"] or report.get("classes", {})}
            result["reports"][which] = report
        if "pairs" in wanted:
            found = measure_pairs(generator, samples=order.judging.pairs_num, seed=SEED).to_json()
            made = {"samples": order.judging.pairs_num, "seed": SEED, "step": step}
            made |= {name: generator.provenance[name] for name in ("weights", "batch_norm")}
            result["pairs"][which] = found | {"protocol": made}


def _weights(order: Order) -> dict[str, Path]:
    """Name the weights to measure: the last ones, and the best checkpoint if the monitor kept one."""
    best = order.run / "checkpoints" / "best.pt"
    return {"final": order.run} | ({"best": best} if best.exists() and order.config.train.evaluate_every else {})


def measured_on(engine: EngineConfig) -> str:
    """Give the device that rows are measured on: a GPU of NVIDIA where they may use one, else the processor."""
    return "cuda" if engine.device in ("auto", "cuda") and torch.cuda.is_available() else "cpu"


def _values(order: Order, dataset: ImageSet, generator: TrainedGenerator, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Measure all that is drawn together, then within classes: how many pictures there are decides the features."""
    together = [metric for metric in metrics if metric != "intra"]
    within = [metric for metric in metrics if metric == "intra"]
    parts = [_judged(order, dataset, generator, part) for part in (together, within) if part]
    values = [value for part in parts for value in part["values"]]
    return parts[0] | {"values": values, "classes": parts[-1]["classes"]}


def _judged(order: Order, dataset: ImageSet, generator: TrainedGenerator, metrics: Sequence[Metric]) -> dict[str, Any]:
    judging = order.judging
    reference = reference_of(dataset, "all", at_most=judging.real)
    count = judging.intra_num if "intra" in metrics else min(judging.num, len(reference.indices))
    network = load_network(judging.features, judging.feature_weights, num_images=count)
    config = EvaluateConfig(
        metrics=tuple(metrics),
        num=judging.num,
        intra_num=judging.intra_num,
        seed=SEED,
        device=measured_on(order.config.engine),
        cache_dir=order.config.data.cache_dir,
    )
    found = evaluate(generator, reference, config, network=network, progress=False)
    return dict(json.loads(found.report.to_json()))


def _keep_pictures(order: Order, result: dict[str, Any]) -> None:
    """Keep the samples of the steps that are asked for as a strip of small pictures, those by class, and attention."""
    folder = order.run / "samples"
    files = {int(file.stem.removeprefix("step-")): file for file in folder.glob("step-*.npy")}
    old = read_result(order.result) or {}
    steps = [step for step in sorted({*order.samples_at, *old.get("samples_at", ())}) if step in files]
    if steps:
        _save_strip([read_samples(files[step]) for step in steps], order.result / SAMPLES)
    result["samples_at"] = steps
    result["attention"] = old.get("attention", False)
    if order.attention and (order.run / ATTENTION).exists():
        copied(order.run / ATTENTION, order.result / ATTENTION)
        result["attention"] = True
    result["by_class"] = old.get("by_class", [])
    if order.by_class and result["class_names"]:
        shown = figure6_classes(result["class_names"])
        generator = load(order.run, progress=False)
        pictures = [generator.sample(PER_CLASS, classes=label, seed=SEED) for label in shown.values()]
        _save_strip(pictures, order.result / BY_CLASS)
        result["by_class"] = [{"shown": name, "class": result["class_names"][k]} for name, k in shown.items()]


def figure6_classes(class_names: Sequence[str]) -> dict[str, int]:
    """Find the ten classes of figure 6 among class names, as folders of ImageNet or readable; else the first ten."""
    first = {name.split(",")[0].strip().lower(): k for k, name in enumerate(class_names)}
    found = {name: first.get(name, first.get(folder)) for name, folder in FIGURE6_CLASSES.items()}
    known = {name: k for name, k in found.items() if k is not None}
    return known if len(known) == len(found) else {name: k for k, name in enumerate(class_names[:PER_CLASS])}


def _save_strip(rows: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Save rows of pictures (N, H, W, 3) side by side and under each other, pixel by pixel."""
    save_image(Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])), path)


def _count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def write_order(order: Order, file: Path) -> None:
    """Write an order for another process."""
    plain = asdict(order) | {"config": json.loads(to_json(order.config)), "run": str(order.run)}
    write_text(file, json.dumps(plain | {"result": str(order.result)}, indent=1) + "\n")


def read_order(file: Path) -> Order:
    """Read what :func:`write_order` wrote.

    Raises:
        ValueError: If the file is none of those.
    """
    with whatever_happens(lambda why: RowError(f"{file} is no order of a row ({why}); give the sweep's command again")):
        plain = object_of(read_bytes(file))
        return Order(
            name=plain["name"],
            config=from_json(json.dumps(plain["config"]), f"the configuration in {file}"),
            key=plain["key"],
            measures=tuple(plain["measures"]),
            judging=Judging(**plain["judging"]),
            samples_at=tuple(plain["samples_at"]),
            attention=plain["attention"],
            by_class=plain["by_class"],
            run=Path(plain["run"]),
            result=Path(plain["result"]),
        )


def main() -> int:
    """Do what the order says that the command line names."""
    keep_freed_memory()
    own_streams()
    end_with_parent()
    came = remember_interrupts()
    try:
        return work(read_order(Path(sys.argv[1])))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if came():
            return INTERRUPTED
        if not isinstance(error, (ValueError, OSError)):
            raise
        print(f"sagan: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
