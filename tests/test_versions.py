"""Files of each version (tests/golden/versions) are read; what is of a newer one is refused with a sentence."""

import io
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sagan.evaluation.reference import read_statistics
from sagan.generators.pretrained import load
from sagan.generators.snapshot import read_snapshot
from sagan.generators.weights import load_weights
from sagan.metrics.report import report_from_json
from sagan.recipes.config import RunConfig, config_of_file, differences
from sagan.runs.log import read_log, truncate_log

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.name for path in (GOLDEN / "versions").iterdir() if path.is_dir())
CHECKPOINT = "run/checkpoints/step-00000002.pt"
NEWER = "and this program reads up to|this version reads up to|this program reads up to"


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_read(version: str) -> None:
    folder = GOLDEN / "versions" / version
    snapshot = read_snapshot(folder / CHECKPOINT)
    assert snapshot.contents["step"] == 2 and snapshot.contents["format_version"] == int(version)
    assert differences(snapshot.config, config_of_file(folder / "run" / "config.json")) == []
    assert snapshot.config.generator.z_dim == 4
    read = read_log(folder / "run" / "log.jsonl")
    assert [record["step"] for record in read.records if "loss_d" in record] == [1, 2] and not read.damaged
    images = load(folder / "run" / "generator.safetensors").sample(2, seed=1)
    assert images.shape == (2, 16, 16, 3)
    statistics = read_statistics(folder / "statistics.npz", {"network": "none"})
    assert statistics.collected.moments.count == 6
    assert len(report_from_json((folder / "evaluation.json").read_bytes()).values) == 6


def test_versions_differ_as_the_page_says() -> None:
    def form(version: str) -> dict[str, Any]:
        folder = GOLDEN / "versions" / version
        with safe_open(folder / "run" / "generator.safetensors", framework="pt") as file:
            weights = file.metadata()
        with np.load(folder / "statistics.npz") as statistics:
            number = int(statistics.get("sagan_statistics", 1))
        return {
            "weights": (weights["format_version"], "checksum" in weights),
            "configuration": json.loads((folder / "run" / "config.json").read_bytes()).get("sagan_config"),
            "log": json.loads((folder / "run" / "log.jsonl").read_text().splitlines()[0]).get("sagan_log"),
            "statistics": number,
        }

    assert form("1") == {"weights": ("1", False), "configuration": None, "log": None, "statistics": 1}
    assert form("2") == {"weights": ("2", True), "configuration": 2, "log": 2, "statistics": 2}


def test_both_versions_are_the_same_run() -> None:
    old, new = (load_file(GOLDEN / "versions" / version / "run" / "generator.safetensors") for version in VERSIONS)
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        torch.testing.assert_close(new[name], tensor, rtol=1e-3, atol=1e-4)


def newer_checkpoint(file: Path) -> None:
    torch.save(torch.load(file, weights_only=True) | {"format_version": 3}, file)


def newer_weights(file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata() | {"format_version": "3"}
    save_file(load_file(file), file, metadata)


def newer_json(key: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        file.write_text(json.dumps(json.loads(file.read_text()) | {key: 3}))

    return change


def newer_log(file: Path) -> None:
    file.write_text(file.read_text().replace('"sagan_log": 2', '"sagan_log": 3'))


def newer_statistics(file: Path) -> None:
    with np.load(file) as stored:
        arrays = dict(stored) | {"sagan_statistics": np.array(3)}
    np.savez(file, **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "change", "read"),
    [
        (CHECKPOINT, newer_checkpoint, read_snapshot),
        ("run/generator.safetensors", newer_weights, load_weights),
        ("run/config.json", newer_json("sagan_config"), config_of_file),
        ("run/log.jsonl", newer_log, read_log),
        ("run/log.jsonl", newer_log, lambda file: truncate_log(file, 2)),
        ("statistics.npz", newer_statistics, lambda file: read_statistics(file, {})),
        ("evaluation.json", newer_json("sagan_report"), lambda file: report_from_json(file.read_bytes(), str(file))),
    ],
)
def test_a_newer_version_is_refused(tmp_path: Path, name: str, change: Any, read: Any) -> None:
    file = Path(shutil.copy(GOLDEN / "versions" / "2" / name, tmp_path))
    change(file)
    with pytest.raises(ValueError, match=NEWER) as caught:
        read(file)
    assert str(file) in str(caught.value)


# ------------------------------------------------------------------------------------------------- any bytes whatever

READERS: dict[str, Any] = {
    CHECKPOINT: read_snapshot,
    "run/generator.safetensors": load_weights,
    "run/config.json": config_of_file,
    "run/log.jsonl": read_log,
    "statistics.npz": lambda file: read_statistics(file, {}),
    "evaluation.json": lambda file: report_from_json(file.read_bytes(), str(file)),
}
SAME_BITS = {CHECKPOINT, "run/generator.safetensors"}
"""Files whose content cannot change unnoticed."""


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Change some bytes, cut a part out, double one, or put something unlikely in."""
    content = bytearray(data)
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 40))
    match int(rng.integers(5)):
        case 0:
            content[start] ^= 1 << int(rng.integers(8))
        case 1:
            content[start : start + length] = rng.bytes(length)
        case 2:
            del content[start : start + length]
        case 3:
            content[start:start] = content[start : start + length]
        case 4:
            odd = (b"[" * 3000, b"\xff\xfe", b"1e999", b"9" * 5000, struct.pack("<q", -1), b"null", b'"', b"\x00")
            content[start : start + 8] = odd[int(rng.integers(len(odd)))]
    return bytes(content)


@pytest.mark.slow("hundreds of damaged files of each kind are read")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes_are_the_readers_own_error(tmp_path: Path, name: str, version: str) -> None:
    data = (GOLDEN / "versions" / version / name).read_bytes()
    file, rng = tmp_path / Path(name).name, np.random.default_rng(0)
    before = read_back(name, GOLDEN / "versions" / version / name)
    refused = 0
    for _ in range(60 if name == CHECKPOINT else 300):
        file.write_bytes(mutated(data, rng))
        try:
            found = read_back(name, file)
        except ValueError as error:
            refused += 1
            assert str(file) in str(error) and "\n" not in str(error).strip(), error
        else:
            if name in SAME_BITS and version == "2":
                assert found == before, "read as something else"
    assert refused or name == "run/log.jsonl"


def read_back(name: str, file: Path) -> Any:
    """Read a file, and give its tensors as bytes where it has some."""
    found = READERS[name](file)
    stream = io.BytesIO()
    if name == CHECKPOINT:
        networks = {key: found.contents[key] for key in ("G", "D", "optimizer_g", "optimizer_d", "step", "config")}
        torch.save(networks, stream)
    elif name in SAME_BITS:
        torch.save([found.generator.state_dict(), found.class_names, found.provenance], stream)
    return stream.getvalue()


def test_a_default_configuration_comes_back(tmp_path: Path) -> None:
    from sagan.recipes.config import from_json, to_json

    assert from_json(to_json(RunConfig())) == RunConfig()
    assert json.loads(to_json(RunConfig()))["sagan_config"] == 2
