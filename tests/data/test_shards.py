"""A folder of shards is the same set as one file, and says what is wrong with it."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagan.data import Batches, DataError, check, open_dataset, pack_dataset, pack_shards, read_packed
from sagan.data.packed import packed_writer
from sagan.data.shards import checked_index


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_content_fingerprint_and_batches_are_those_of_one_file(
    three_classes, tmp_path, config, count, gigabytes, names
):
    chosen = config(three_classes, skip_unreadable=True, may_lose=("b",))
    one = pack_dataset(chosen, 6, tmp_path / "one.npy", progress=False)
    many = pack_shards(chosen, 6, tmp_path / "many", gigabytes(count, ("a", "b", "c")), progress=False)
    assert len(names(tmp_path / "many")) == 1 + -(-12 // count)
    assert many.fingerprint == one.fingerprint
    assert many.class_names == one.class_names == ("a", "c")
    assert (many.labels == one.labels).all() and (many.images[:] == one.images[:]).all()
    assert many.info == one.info
    opened = open_dataset(config(tmp_path / "many"), 6, progress=False)
    for position in range(8):
        left, right = (Batches(s, np.arange(9), 4, 3, balanced=True, flip=True)(position) for s in (one, opened))
        assert all((a == b).all() for a, b in zip(left, right, strict=True))
    assert all((a == b).all() for a, b in zip(one.split(0.3, 9, 0), opened.split(0.3, 9, 0), strict=True))


def test_a_shard_is_a_packed_file_of_its_own(sharded, config):
    image_set = open_dataset(config(sharded / "shard-00001-of-00003.npy"), 6, progress=False)
    assert image_set.class_names == ("cat", "dog") and image_set.labels.tolist() == [0, 1]
    assert (image_set.images[:] == read_packed(sharded).images[2:4]).all()


def test_another_size_is_made_from_the_shards(sharded, config):
    image_set = open_dataset(config(sharded), 3, progress=False)
    assert image_set.images.shape == (5, 3, 3, 3) and image_set.class_names == ("cat", "dog")


def test_a_missing_shard(sharded, config):
    (sharded / "shard-00001-of-00003.npy").unlink()
    with pytest.raises(DataError, match=r"set lacks the shard shard-00001-of-00003.npy; bring it back"):
        open_dataset(config(sharded), 6, progress=False)


def test_a_shard_of_another_length(sharded, config):
    shard = sharded / "shard-00002-of-00003.npy"
    length = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"00002-of-00003.npy has {length - 1:,} bytes, the index says {length:,}"):
        open_dataset(config(sharded), 6, progress=False)


def test_a_shard_that_took_the_place_of_another(sharded, config):
    shutil.copy(sharded / "shard-00000-of-00003.npy", sharded / "shard-00001-of-00003.npy")
    with pytest.raises(DataError, match=r"00001-of-00003.npy holds other pictures than the index says"):
        open_dataset(config(sharded), 6, progress=False)


def test_a_shard_whose_labels_changed(sharded, config):
    shard = sharded / "shard-00000-of-00003.npy"
    data = bytearray(shard.read_bytes())
    offset = 128 + 2 * 6 * 6 * 3 + 128  # behind the pixels and the second array's header
    assert data[offset] == 0
    data[offset] = 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match="header, labels, description or checksums are damaged"):
        open_dataset(config(sharded), 6, progress=False)


def test_a_shard_of_other_labels_that_is_whole(sharded, config):
    shard = sharded / "shard-00000-of-00003.npy"
    pictures = read_packed(shard)
    with packed_writer(shard, (6, 6), 2, "key") as writer:
        writer.add([(pixels, frozenset()) for pixels in pictures.images[:]])
        writer.finish(np.array([0, 1]), pictures.class_names, "animals", [])
    with pytest.raises(DataError, match="labels or class names are not those"):
        open_dataset(config(sharded), 6, progress=False)


def test_a_changed_pixel_is_found_by_check_and_named(sharded, tmp_path, config, class_folder):
    pack_dataset(config(class_folder), 6, tmp_path / "one.npy", progress=False)
    for place, file in ((sharded, sharded / "shard-00002-of-00003.npy"), (tmp_path / "one.npy", tmp_path / "one.npy")):
        assert check(config(place), progress=False).num_images == 5
        data = bytearray(file.read_bytes())
        data[150] ^= 1
        file.write_bytes(data)
        with pytest.raises(
            DataError, match=rf"{file.name} is damaged: picture 0 \(bytes 128 to 235\) is not what was written"
        ):
            check(config(place), progress=False)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_change_of_any_byte_is_found_or_changes_nothing(sharded, config, data):
    good = sharded.with_name("good")
    if not good.exists():
        shutil.copytree(sharded, good)
    name = data.draw(st.sampled_from(sorted(file.name for file in good.iterdir())))
    changed = bytearray((good / name).read_bytes())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    (sharded / name).write_bytes(changed)
    try:
        check(config(sharded), progress=False)
        found = read_packed(sharded)
    except DataError:
        found = None
    finally:
        shutil.copy(good / name, sharded / name)
    if found is not None:  # white space of the index, or a letter written in another way
        whole = read_packed(sharded)
        assert name == "index.json" and found.info == whole.info and found.fingerprint == whole.fingerprint


def test_an_index_of_another_version_or_cut_off(sharded, config):
    index = sharded / "index.json"
    whole = index.read_text()
    index.write_text(whole.replace('"sagan_shards": 2', '"sagan_shards": 7'))
    with pytest.raises(
        DataError, match=r"index.json is of version 7, this program reads up to 2; use the version of sagan"
    ):
        open_dataset(config(sharded), 6, progress=False)
    for broken in (whole[:-40], whole.replace("fingerprint", "finger"), "[]"):
        index.write_text(broken)
        with pytest.raises(DataError, match="has no whole index"):
            open_dataset(config(sharded), 6, progress=False)


def test_an_index_of_other_types_is_one_sentence(sharded):
    record = json.loads((sharded / "index.json").read_text())
    del record["checksum"]
    strange = ({"traits": 5}, {"traits": {"alpha": [1]}}, {"traits": {"alpha": "x"}}, {"decoding": {"why": 7}})
    strange += ({"decoding": {"range": {"16-bit": ["a", 1]}}}, {"unreadable": [[1, 2]]}, {"class_names": [["a"]]})
    for change in (*strange, {"source": 3}):
        (sharded / "index.json").write_text(json.dumps(checked_index(record | change)))
        with pytest.raises(DataError, match=f"has no whole index .its {next(iter(change))} cannot be"):
            read_packed(sharded)
    fine = {"decoding": {"why": ["so"], "range": {"16-bit": [0, 4095.0]}, "frames": "all", "max_megapixels": 9.5}}
    (sharded / "index.json").write_text(json.dumps(checked_index(record | fine)))
    assert read_packed(sharded).info.decoding == fine["decoding"]


def test_a_pipe_in_place_of_a_shard_or_an_index_is_not_waited_for(sharded):
    shard = next(sharded.glob("shard-*"))
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(DataError, match="lacks the shard"):
        read_packed(sharded)
