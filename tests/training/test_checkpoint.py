import errno
import io
import os
import pickle
import resource

import pytest
import torch

from sagan.training import checkpoint
from sagan.training.checkpoint import (
    CheckpointError,
    checkpoint_path,
    checkpoints,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from sagan.training.contents import checksum
from sagan.training.step import train_step


@pytest.fixture
def contents():
    return {
        "step": 7,
        "name": "x",
        "nothing": None,
        "nested": {"list": [1, 2.5, torch.arange(3)]},
        "big": torch.randn(999),
    }


def test_what_is_saved_comes_back(tmp_path, contents, assert_same, snapshot_of):
    path = tmp_path / "new folder" / "step-7.pt"
    save_checkpoint(path, contents)
    found = load_checkpoint(path)
    assert found.pop("format") == "sagan checkpoint"
    assert found.pop("format_version") == 2
    assert_same(snapshot_of(contents), snapshot_of(found))
    assert [file.name for file in path.parent.iterdir()] == ["step-7.pt"]


@pytest.mark.parametrize("head", ["projection", "auxiliary"])
def test_trap_24_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, tiny_state, pictures, engine, snapshot_of, assert_same, head
):
    options = {"discriminator": {"head": head}, "ema_decay": 0.9, "ema_start": 1, "d_steps": 2, "lr_decay_start": 1}

    whole, config = tiny_state(**options, augment=("color", "translation", "cutout"), beta1=0.5)
    log = [train_step(whole, config, pictures, engine, seed=4) for _ in range(5)]

    first, _ = tiny_state(**options, beta1=0.5)
    for _ in range(2):
        train_step(first, config, pictures, engine, seed=4)
    save_checkpoint(tmp_path / "a.pt", first.state_dict())
    second, _ = tiny_state(**options, beta1=0.5, seed=99)  # another start, all of which has to be overwritten
    torch.manual_seed(1234)
    second.load_state_dict(load_checkpoint(tmp_path / "a.pt"))
    assert second.step == 2
    later = [train_step(second, config, pictures, engine, seed=4) for _ in range(3)]

    assert_same(snapshot_of(whole.state_dict()), snapshot_of(second.state_dict()))
    assert_same(snapshot_of(log[2:]), snapshot_of(later))


def test_a_state_of_another_shape_is_refused(tmp_path, tiny_state):
    state, _ = tiny_state()
    other, _ = tiny_state({"base_width": 4})
    save_checkpoint(tmp_path / "a.pt", state.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(load_checkpoint(tmp_path / "a.pt"))


def test_the_size_on_disk_is_foreseen(tmp_path, tiny_state, pictures, engine):
    for decay in (0.0, 0.9):
        state, config = tiny_state({"base_width": 16}, {"base_width": 16}, ema_decay=decay)
        train_step(state, config, pictures, engine, seed=0)  # Adam's moments exist after the first step
        save_checkpoint(tmp_path / "a.pt", state.state_dict())
        assert (tmp_path / "a.pt").stat().st_size == pytest.approx(state.num_bytes(), rel=0.1)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("zipped", [True, False])
def test_loading_executes_nothing(tmp_path, zipped):
    path, proof = tmp_path / "bomb.pt", tmp_path / "executed"
    torch.save(
        {"format": "sagan checkpoint", "format_version": 1, "x": Bomb(proof)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(CheckpointError, match=r"bomb\.pt cannot be read as a checkpoint"):
        load_checkpoint(path)
    assert not proof.exists()
    pickle.loads(pickle.dumps(Bomb(proof)))  # the bomb is a real one
    assert proof.exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, contents, share):
    path = tmp_path / "a.pt"
    save_checkpoint(path, contents)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match="damaged, truncated, or of another program"):
        load_checkpoint(path)


def test_a_flipped_bit_in_a_weight_is_noticed(tmp_path, contents):
    path = tmp_path / "a.pt"
    save_checkpoint(path, contents)
    data = bytearray(path.read_bytes())
    data[data.index(contents["big"].numpy().tobytes()) + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"epoch 3\n", pickle.dumps({"format": 1}), b"\x80\x02u", b"PK\x03\x04" + bytes(80), bytes(range(256))],
)
def test_files_of_other_programs_are_refused(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("thing", [[1, 2], torch.zeros(3), {"state_dict": {}}, {"format": "other"}])
def test_checkpoints_of_other_programs_are_refused(tmp_path, thing):
    torch.save(thing, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="is no sagan checkpoint; give a run folder"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("version", [3, None, "x", True, 0])
def test_a_newer_or_unknown_format_asks_for_an_update(tmp_path, version):
    torch.save({"format": "sagan checkpoint", "format_version": version}, tmp_path / "a.pt")
    newer = "is of version 3, and this program reads up to 2; update sagan-torch"
    with pytest.raises(CheckpointError, match=newer if version == 3 else "has no version that can be"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_a_write_that_fails_midway_leaves_the_old_file(tmp_path, contents, monkeypatch):
    path = tmp_path / "a.pt"
    save_checkpoint(path, contents)
    before = path.read_bytes()

    def failing(_, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", failing)
    with pytest.raises(OSError, match=r"a\.pt could not be written: the disk is full \(4.* needed, .* free in "):
        save_checkpoint(path, contents)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_midway_leaves_the_old_file(tmp_path, contents, monkeypatch):
    path = tmp_path / "a.pt"
    save_checkpoint(path, contents)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, contents)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_really_full_leaves_the_old_file(tmp_path, contents):
    """The system's limit on the size of files stands for a full disk: torch's own writer meets it."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, contents)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"a\.pt could not be written: the file is larger than is allowed here \(2.0 MB"
        ):
            save_checkpoint(path, contents | {"big": torch.randn(500_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_data_is_on_the_disk_before_the_name_is(tmp_path, contents, monkeypatch):
    """A crash of the machine must not leave the name on an empty file: flush, sync, and only then rename."""
    path = tmp_path / "a.pt"
    order = []
    fsync = os.fsync

    def spy(descriptor):
        order.append((os.fstat(descriptor).st_size > 4000, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    save_checkpoint(path, contents)
    assert order[0] == (True, False)


def test_an_older_file_is_replaced_in_one_move(tmp_path, contents):
    """Whoever has the older file open goes on reading it whole."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, contents)
    before = path.read_bytes()
    with path.open("rb") as reader:
        save_checkpoint(path, contents | {"step": 8})
        assert reader.read() == before
    assert load_checkpoint(path)["step"] == 8


def test_numbered_checkpoints_are_listed_by_step(tmp_path):
    for name in ("step-00000010.pt", "step-00000002.pt", "step-123456789.pt", "best.pt", "step-x.pt", "step-5.pt.bak"):
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints(tmp_path)] == [
        "step-00000002.pt",
        "step-00000010.pt",
        "step-123456789.pt",
    ]
    assert checkpoints(tmp_path / "none") == []
    assert checkpoint_path(tmp_path, 42) == tmp_path / "step-00000042.pt"
    assert checkpoints(tmp_path)[0] == checkpoint_path(tmp_path, 2)


def test_pruning_keeps_the_latest_and_the_best(tmp_path):
    for step in (1, 2, 30, 4):
        checkpoint_path(tmp_path, step).touch()
    for name in ("best.pt", ".step-00000005.pt.abc.tmp", "notes.txt"):
        (tmp_path / name).touch()
    prune_checkpoints(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {
        "step-00000004.pt",
        "step-00000030.pt",
        "best.pt",
        "notes.txt",
    }
    prune_checkpoints(tmp_path, 5)
    assert len(checkpoints(tmp_path)) == 2


def test_an_error_while_pickling_is_not_called_a_full_disk(tmp_path):
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_checkpoint(tmp_path / "a.pt", {"f": lambda: 0})
    assert list(tmp_path.iterdir()) == []


def test_format_is_written_as_documented(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {})
    raw = torch.load(io.BytesIO((tmp_path / "a.pt").read_bytes()), weights_only=True)
    form = {"format": checkpoint.FORMAT, "format_version": checkpoint.FORMAT_VERSION}
    assert raw == form | {"checksum": checksum({})}
