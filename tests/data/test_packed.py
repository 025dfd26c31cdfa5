"""Packed files: whole or not there, the same from anywhere, and split into parts to train on and to hold out."""

import errno
import hashlib
import json
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagan.data import DataConfig, DataError, check, open_dataset, pack_dataset, picture_size, read_packed
from sagan.data.packed import packed_writer
from sagan.places import in_bytes

GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_packed_file_is_taken_anywhere_and_by_numpy(class_folder, tmp_path, config, decodes):
    out = tmp_path / "out" / "animals.packed"
    packed = pack_dataset(config(class_folder), 8, out, progress=False)
    moved = out.rename(tmp_path / "moved")
    for path in class_folder.rglob("*.png"):
        path.unlink()
    opened = open_dataset(config(moved), 8, progress=False)
    assert opened.file == moved and opened.fingerprint == packed.fingerprint and len(decodes) == 5
    with moved.open("rb") as stream:
        images, labels, record = (np.load(stream, allow_pickle=False) for _ in range(3))
        checksums = np.load(stream, allow_pickle=False)
    assert (np.load(moved, mmap_mode="r") == images).all() and (images == opened.images[:]).all()
    assert labels.tolist() == [0, 0, 0, 1, 1]
    described = json.loads(record.tobytes())
    assert described["sagan_packed"] == 2 and described["class_names"] == ["cat", "dog"]
    assert described["pixels_sha256"] == hashlib.sha256(images.tobytes()).hexdigest()
    assert checksums[:-1].tolist() == [zlib.crc32(image) for image in images]
    whole = moved.read_bytes()
    assert checksums[-1] == zlib.crc32(whole[:128] + whole[128 + images.nbytes : -4])
    assert str(tmp_path) not in record.tobytes().decode()


def test_the_same_content_has_the_same_fingerprint_from_anywhere(class_folder, tmp_path, config):
    first = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    second = pack_dataset(config(class_folder), 8, tmp_path / "b.npy", progress=False)
    assert first.fingerprint == second.fingerprint
    (class_folder / "dog").rename(class_folder / "wolf")
    assert pack_dataset(config(class_folder), 8, tmp_path / "c.npy", progress=False).fingerprint != first.fingerprint


@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_full_disk_while_writing_loses_nothing(class_folder, tmp_path, config, monkeypatch, where, everything):
    out = tmp_path / "out" / "a.npy"
    pack_dataset(config(class_folder), 6, out, progress=False)
    before = out.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("sagan.data.packed.PackedWriter.add", full)
    with pytest.raises(
        DataError, match=r"cannot write .*a\.npy \(No space left on device; 960 bytes needed\); make room"
    ):
        pack_dataset(config(class_folder), 8, out, progress=False)
    assert out.read_bytes() == before and everything(tmp_path / "out") == ["a.npy"]


def test_a_disk_that_is_too_small_is_said_before_the_work(
    class_folder, tmp_path, config, monkeypatch, decodes, everything
):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 500}))
    with pytest.raises(DataError, match=r"packing needs 960 bytes in .*, where 500 bytes are free; free some space"):
        open_dataset(config(class_folder), 8, progress=False)
    assert decodes == [] and everything(tmp_path / "cache") == []


def test_an_interruption_leaves_nothing_half_written(class_folder, tmp_path, config, monkeypatch, everything):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sagan.data.packed.PackedWriter.add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_dataset(config(class_folder), 8, progress=False)
    assert everything(tmp_path / "cache") == []


def test_an_opened_file_stays_whole_when_the_file_is_replaced(class_folder, tmp_path, config):
    image_set = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    expected = np.array(image_set.images)
    pack_dataset(config(class_folder), 2, tmp_path / "a.npy", progress=False)
    assert (image_set.images[:] == expected).all()


def test_fewer_pictures_than_announced_shrink_the_file_in_place(tmp_path):
    with packed_writer(tmp_path / "a.npy", (2, 2), 10**9 // 12, "key") as writer:
        writer.add([(np.full((2, 2, 3), value, np.uint8), frozenset()) for value in range(3)])
        writer.finish(np.array([0, 1, 0]), ("a", "b"), "test", ["0", "1", "2"])
    assert read_packed(tmp_path / "a.npy").images[:][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_the_packed_file_of_an_unknown_version_is_refused(class_folder, tmp_path, config):
    file = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False).file
    file.write_bytes(file.read_bytes().replace(b'"sagan_packed": 2', b'"sagan_packed": 9'))
    with pytest.raises(DataError, match="no whole packed file"):  # its checksum says that this is damage
        open_dataset(config(file), 8, progress=False)
    content = file.read_bytes()[:-4]
    file.write_bytes(content + zlib.crc32(content[:128] + content[128 + 5 * 192 :]).to_bytes(4, "little"))
    with pytest.raises(DataError, match="version 9, this program reads up to 2"):
        open_dataset(config(file), 8, progress=False)


def test_a_cut_off_packed_file_is_refused(class_folder, tmp_path, config):
    file = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False).file
    whole = file.read_bytes()
    for length in (200, 128 + 5 * 192 + 30, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match="no whole packed file"):
            open_dataset(config(file), 8, progress=False)


def damage(place, whole, position, bits):
    changed = bytearray(whole)
    changed[position] ^= bits
    place.write_bytes(changed)


def regions(whole, pixels):
    """The stretches of a packed file by what stands there."""
    labels, record, checksums = [match.start() for match in re.finditer(b"\x93NUMPY", whole)][1:]
    return {
        "header": range(128),
        "pixels": range(128, 128 + pixels),
        "labels": range(labels, record),
        "description": range(record, checksums),
        "checksums": range(checksums, len(whole)),
    }


@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header parsing")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_change_of_any_byte_is_found(class_folder, tmp_path, config, data):
    file = tmp_path / "a.npy"
    if not (tmp_path / "whole").exists():
        pack_dataset(config(class_folder), 8, file, progress=False).file.rename(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    places = regions(whole, 5 * 8 * 8 * 3)
    assert sum(map(len, places.values())) == len(whole)
    where = data.draw(st.sampled_from(sorted(places)))
    damage(file, whole, data.draw(st.sampled_from(places[where])), data.draw(st.integers(1, 255)))
    with pytest.raises(DataError):
        check(config(file), progress=False)


def test_what_is_read_is_found_to_be_damaged_without_a_check(class_folder, tmp_path, config):
    file = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False).file
    whole = file.read_bytes()
    places = regions(whole, 5 * 8 * 8 * 3)
    for where in ("labels", "description", "checksums"):
        for position in places[where]:
            damage(file, whole, position, 1)
            with pytest.raises(DataError, match="no whole packed file"):
                read_packed(file)
    for position in places["pixels"][::7]:
        damage(file, whole, position, 128)
        with pytest.raises(DataError, match=f"damaged: picture {(position - 128) // 192} "):
            read_packed(file).images[:]


def test_a_damaged_file_in_the_cache_is_made_again(class_folder, config):
    first = open_dataset(config(class_folder), 8, progress=False)
    whole = first.file.read_bytes()
    for position in (5, 40, len(whole) - 300):
        damage(first.file, whole, position, 1)
        assert (open_dataset(config(class_folder), 8, progress=False).images[:] == first.images[:]).all()
        assert first.file.read_bytes() == whole


def test_pictures_need_not_be_square(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    found = []
    for shape in ((4, 6), (6, 4)):
        with packed_writer(tmp_path / "a.npy", shape, 3, "key") as writer:
            writer.add([(picture.reshape(*shape, 3), frozenset()) for picture in pictures])
            writer.finish(np.zeros(3, np.int64), (), "test", ["0", "1", "2"], {"fit": "crop"})
        found.append(read_packed(tmp_path / "a.npy"))
        assert found[-1].images.shape == (3, *shape, 3) and found[-1].info.decoding == {"fit": "crop"}
    assert (found[0].images[:] == pictures).all()
    assert found[0].fingerprint != found[1].fingerprint  # the bytes are the same
    assert picture_size(DataConfig(path=str(tmp_path / "a.npy"))) == "6x4"


@pytest.mark.parametrize("name", ["packed.npy", "shards"])
def test_version_1_is_read_as_before(tmp_path, config, name):
    old = read_packed(GOLDEN / name)
    with np.load(GOLDEN / "pictures.npz") as pictures:
        assert (old.images[:] == pictures["images"]).all() and (old.labels == pictures["labels"]).all()
        assert old.class_names == tuple(pictures["class_names"])
    assert (
        old.fingerprint == "a8e763ef135cfc15566eeef0910f3d26f5c137a9f0b99f926021674c500a2d34"
        and old.info.decoding == {}
    )
    check(config(GOLDEN / name), progress=False)
    assert pack_dataset(config(GOLDEN / name), 16, tmp_path / "new.npy", progress=False).fingerprint == old.fingerprint
    assert pack_dataset(config(GOLDEN / "pictures.npz"), 16, tmp_path / "n", progress=False).fingerprint == (
        old.fingerprint
    )


def test_bytes_are_said_readably():
    assert [in_bytes(count) for count in (0, 999, 46_080_000, 63 * 10**9, 2 * 10**15)] == [
        "0 bytes",
        "999 bytes",
        "46.1 MB",
        "63.0 GB",
        "2000.0 TB",
    ]


def test_a_cache_that_cannot_be_written_is_said(class_folder, tmp_path, config, as_nobody):
    (tmp_path / "cache").mkdir(mode=0o555)
    message = as_nobody(lambda: open_dataset(config(class_folder), 8, progress=False))
    assert f"cannot write {tmp_path}/cache/packed/animals-8px-" in message and "Permission denied" in message


# Slow machines are no failures.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
sets = st.lists(st.integers(0, 4), min_size=2, max_size=40)


@unhurried
@given(labels=sets, fraction=st.floats(0, 0.99), maximum=st.integers(0, 50), seed=st.integers(0, 9))
def test_split_is_a_partition_that_leaves_every_class_to_train_on(labels, fraction, maximum, seed, numbered_set):
    data = numbered_set(labels)
    train, held_out = data.split(fraction, maximum, seed)
    assert sorted([*train, *held_out]) == list(range(len(labels)))
    assert set(data.labels[train]) == set(labels)
    wanted = min(maximum, int(fraction * len(labels)))
    assert len(held_out) == min(wanted, len(labels) - len(set(labels)))
    for one, other in zip((train, held_out), data.split(fraction, maximum, seed), strict=True):
        assert (one == other).all() and (np.diff(one) > 0).all()


def test_split_takes_each_class_by_its_share(numbered_set):
    data = numbered_set([0] * 800 + [1] * 150 + [2] * 50)
    _, held_out = data.split(0.1, 1000, 0)
    assert np.bincount(data.labels[held_out]).tolist() == [80, 15, 5]
    _, capped = data.split(0.1, 20, 0)
    assert np.bincount(data.labels[capped]).tolist() == [16, 3, 1]
    _, other = data.split(0.1, 1000, 1)
    assert set(other) != set(held_out)
