"""A disk that is full, at any file of an export or an import, leaves what was there before and nothing half."""

from pathlib import Path

import numpy as np
import pytest

import sagan
from sagan.exchange.folder import write_folder
from sagan.exchange.hub import HubGenerator
from sagan.exchange.take_out import export
from sagan.generators.weights import save_weights

FOLDER = {"README.md", "config.json", "generator.safetensors", "samples.png"}


@pytest.fixture
def full_after(monkeypatch):
    """Let a number of files be written in this folder, and of the next one half: as many bytes as a full disk takes."""
    write = Path.write_bytes

    def limit(count):
        left = [count]

        def write_some(self, data):
            left[0] -= 1
            if left[0] < 0:
                write(self, data[: len(data) // 2])
                raise OSError(28, "No space left on device")
            return write(self, data)

        def write_text(self, text, encoding=None):
            return write_some(self, text.encode(encoding or "utf-8"))

        monkeypatch.setattr(Path, "write_bytes", write_some)
        monkeypatch.setattr(Path, "write_text", write_text)
        return left

    return limit


def found(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("count", range(4))
def test_a_folder_to_share(small, tmp_path, full_after, count):
    full_after(count)
    with pytest.raises(OSError, match=r"disk full|disk is full|No space left"):
        write_folder(small(), tmp_path / "shared" / "pets")
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.parametrize("count", range(4))
def test_a_folder_that_is_there_keeps_what_it_had(small, tmp_path, full_after, count):
    HubGenerator.of(small()).save_pretrained(tmp_path / "shared" / "pets")
    before = {name: (tmp_path / "shared" / "pets" / name).read_bytes() for name in FOLDER}
    full_after(count)
    with pytest.raises(OSError, match=r"disk full|disk is full|No space left"):
        HubGenerator.of(small(num_classes=0)).save_pretrained(tmp_path / "shared" / "pets")
    assert {name: (tmp_path / "shared" / "pets" / name).read_bytes() for name in FOLDER} == before
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["pets"]


@pytest.mark.long("the exporter of ONNX takes seconds")
@pytest.mark.parametrize(("name", "files"), [("g.safetensors", 1), ("g.pt2", 1), ("g.onnx", 2)])
def test_weights_graphs_and_their_scripts(small, tmp_path, full_after, name, files):
    """Of a graph with its script the script comes last."""
    source = tmp_path / "source" / "generator.safetensors"
    save_weights(small().network, source, small().class_names, {})
    (tmp_path / "out").mkdir()
    for count in range(files):
        full_after(count)
        with pytest.raises(OSError, match=r"disk full|disk is full|No space left"):
            export(source, tmp_path / "out" / name)
        left = found(tmp_path / "out")
        assert left == ({"g.onnx"} if count else set())
    full_after(10)
    export(source, tmp_path / "out" / name)
    assert name in found(tmp_path / "out")
    assert not [path for path in found(tmp_path / "out") if path.startswith(".")]


def test_an_older_file_stays_as_it_was(small, tmp_path, full_after):
    source = tmp_path / "source" / "generator.safetensors"
    save_weights(small().network, source, small().class_names, {})
    export(source, tmp_path / "g.safetensors")
    images = sagan.load(tmp_path / "g.safetensors").sample(2)
    full_after(0)
    with pytest.raises(OSError, match="the disk is full"):
        export(source, tmp_path / "g.safetensors")
    assert np.array_equal(sagan.load(tmp_path / "g.safetensors").sample(2), images)
