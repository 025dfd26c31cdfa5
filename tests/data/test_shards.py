"""A folder of shards is the same set as one file, is packed by several machines, and says what is wrong with it."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagan.data import Batches, DataError, check, open_dataset, pack_dataset, pack_folder, pack_shards, read_packed
from sagan.data import files as files_module
from sagan.data import pack as pack_module
from sagan.data.shards import ShardedPixels

PICTURE_BYTES = 6 * 6 * 3 + 8


def gigabytes(count, class_names=()):
    """The size of a shard that holds just so many pictures of 6 px."""
    return (4096 + len(json.dumps(class_names)) + count * PICTURE_BYTES) / 1e9


@pytest.fixture
def pictures(tmp_path, picture):
    """Three classes of 5, 3 and 4 pictures; all of the middle one cannot be read."""
    folder = tmp_path / "pictures"
    for name, count in (("a", 5), ("b", 3), ("c", 4)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture(seed=hash((name == "a", index)) % 1000).save(folder / name / f"{index}.png")
            if name == "b":
                (folder / name / f"{index}.png").write_bytes(b"no")
    return folder


@pytest.fixture
def sharded(class_folder, tmp_path, config):
    """Five pictures in shards of 2, 2 and 1."""
    pack_shards(config(class_folder), 6, tmp_path / "set", gigabytes(2, ("cat", "dog")), progress=False)
    return tmp_path / "set"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_content_fingerprint_and_batches_are_those_of_one_file(pictures, tmp_path, config, count):
    settings = config(pictures, skip_unreadable=True)
    one = pack_dataset(settings, 6, tmp_path / "one.npy", progress=False)
    many = pack_shards(settings, 6, tmp_path / "many", gigabytes(count, ("a", "b", "c")), progress=False)
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


@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), data=st.data(), seed=st.integers(0, 9))
@settings(deadline=None)
def test_pixels_of_shards_are_indexed_as_those_of_one_array(lengths, data, seed):
    whole = np.random.default_rng(seed).integers(0, 256, (sum(lengths), 2, 2, 3), dtype=np.uint8)
    shards = ShardedPixels(np.split(whole, np.cumsum(lengths)[:-1]))
    index = st.integers(-len(whole), len(whole) - 1)
    chosen = data.draw(st.lists(index, max_size=9))
    assert shards.shape == whole.shape and len(shards) == len(whole)
    assert (shards[np.array(chosen, np.int64)] == whole[np.array(chosen, np.int64)]).all()
    one = data.draw(index)
    assert (shards[one] == whole[one]).all()
    cut = slice(data.draw(index), data.draw(index), data.draw(st.sampled_from([None, 2, -1])))
    assert (shards[cut] == whole[cut]).all() and shards[cut].shape == whole[cut].shape
    mask = np.arange(len(whole)) % 2 == 0
    assert (shards[mask] == whole[mask]).all()
    for wrong in (len(whole), -len(whole) - 1, [0, len(whole)], [[0]], 0.5, np.ones(len(whole) + 1, bool)):
        with pytest.raises(IndexError):
            shards[wrong]


def test_no_shard_is_larger_than_wished(tmp_path, config, class_folder):
    limit = 5000
    pack_shards(config(class_folder), 6, tmp_path / "set", limit / 1e9, progress=False)
    assert all(path.stat().st_size <= limit for path in (tmp_path / "set").glob("*.npy"))


def test_a_shard_is_a_packed_file_of_its_own(sharded, config):
    image_set = open_dataset(config(sharded / "shard-00001-of-00003.npy"), 6, progress=False)
    assert image_set.class_names == ("cat", "dog") and image_set.labels.tolist() == [0, 1]
    assert (image_set.images == read_packed(sharded).images[2:4]).all()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_share_the_work_and_the_last_one_completes_the_folder(
    class_folder, tmp_path, config, monkeypatch, order, sharded
):
    seen = []
    original = files_module.decode_picture
    monkeypatch.setattr(files_module, "decode_picture", lambda data: seen.append(data) or original(data))
    # Every machine has a copy of the pictures in another place, with their times.
    results = []
    for part in order:
        copy = tmp_path / f"copy {part}" / "animals"
        shutil.copytree(class_folder, copy)
        out = tmp_path / "shared"
        size = gigabytes(2, ("cat", "dog"))
        results.append(pack_shards(config(copy), 6, out, size, part=(part, 3), progress=False))
        if results[-1] is None:
            with pytest.raises(DataError, match=rf"not packed to the end \({len(results)} of 3 shards are there\)"):
                open_dataset(config(out), 6, progress=False)
    assert [result is None for result in results] == [True, True, False]
    assert len(seen) == 5
    assert {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()} == {
        path.name: path.read_bytes() for path in sharded.iterdir()
    }


def test_parts_from_several_folders_are_completed_without_decoding(class_folder, tmp_path, config, monkeypatch):
    size = gigabytes(2, ("cat", "dog"))
    for part in (1, 2):
        pack_shards(config(class_folder), 6, tmp_path / f"out {part}", size, part=(part, 2), progress=False)
    for path in (tmp_path / "out 2").glob("*.npy"):
        path.rename(tmp_path / "out 1" / path.name)
    monkeypatch.setattr(pack_module, "decode_square", None)
    assert len(pack_shards(config(class_folder), 6, tmp_path / "out 1", size, progress=False).images) == 5


def test_the_same_command_on_a_whole_folder_decodes_nothing(class_folder, config, sharded, monkeypatch):
    monkeypatch.setattr(pack_module, "decode_square", None)
    size = gigabytes(2, ("cat", "dog"))
    assert len(pack_shards(config(class_folder), 6, sharded, size, progress=False).images) == 5


def test_other_pictures_or_another_size_do_not_mix(class_folder, config, sharded, picture):
    for change in ({"size": 5}, {"gigabytes": 9.0}, {"file": True}):
        if "file" in change:
            picture(seed=77).save(class_folder / "cat" / "0.png")
        with pytest.raises(DataError, match=r"was packed from other pictures than .*choose another folder"):
            size = change.get("gigabytes", gigabytes(2, ("cat", "dog")))
            pack_shards(config(class_folder), change.get("size", 6), sharded, size, progress=False)


def test_unreadable_pictures_end_it_and_skipping_them_goes_on(pictures, tmp_path, config, monkeypatch):
    size = gigabytes(2, ("a", "b", "c"))
    with pytest.raises(DataError, match=r"3 file\(s\) \(b/0.png.*--skip-unreadable"):
        pack_shards(config(pictures), 6, tmp_path / "set", size, progress=False)
    assert not (tmp_path / "set" / "index.json").exists()
    monkeypatch.setattr(pack_module, "decode_square", None)
    image_set = pack_shards(config(pictures, skip_unreadable=True), 6, tmp_path / "set", size, progress=False)
    assert len(image_set.images) == 9 and [name for name, _ in image_set.info.unreadable] == [
        "b/0.png",
        "b/1.png",
        "b/2.png",
    ]


def test_readable_class_names_are_those_of_the_index_and_of_every_shard(class_folder, tmp_path, config):
    (tmp_path / "names").write_text("cat Katze\ndog Hund\n")
    settings = config(class_folder, class_names=str(tmp_path / "names"))
    image_set = pack_shards(settings, 6, tmp_path / "set", gigabytes(2, ("Katze", "Hund")), progress=False)
    assert image_set.class_names == ("Katze", "Hund")
    assert read_packed(tmp_path / "set" / "shard-00000-of-00003.npy").class_names == ("Katze", "Hund")


def test_another_size_is_made_from_the_shards(sharded, config):
    image_set = open_dataset(config(sharded), 3, progress=False)
    assert image_set.images.shape == (5, 3, 3, 3) and image_set.class_names == ("cat", "dog")


def test_places_that_hold_something_else_are_left_alone(class_folder, tmp_path, config, sharded):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("dear")
    with pytest.raises(DataError, match="is not empty and no packed folder; choose another name"):
        pack_shards(config(class_folder), 6, tmp_path / "other", 1.0, progress=False)
    with pytest.raises(DataError, match="is a file; shards go into a folder"):
        pack_shards(config(class_folder), 6, tmp_path / "other" / "letter", 1.0, progress=False)
    with pytest.raises(DataError, match=r"is a folder; name a file, or ask for shards \(--shard-gb\)"):
        pack_dataset(config(class_folder), 6, sharded, progress=False)
    assert names(tmp_path / "other") == ["letter"]


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_does_not_exist(class_folder, tmp_path, config, part):
    with pytest.raises(DataError, match=f"found {part[0]} of {part[1]}"):
        pack_shards(config(class_folder), 6, tmp_path / "set", 1.0, part=part, progress=False)


def test_more_shards_than_files_may_be_open(class_folder, tmp_path, config, monkeypatch):
    monkeypatch.setattr(pack_folder, "MAX_SHARDS", 2)
    size = gigabytes(2, ("cat", "dog"))
    with pytest.raises(DataError, match=r"makes 3 of them, and each is an open file while training; allow 6.6e-06 GB"):
        pack_shards(config(class_folder), 6, tmp_path / "set", size, progress=False)
    assert len(pack_shards(config(class_folder), 6, tmp_path / "set", 6.6e-6, progress=False).images) == 5


def test_a_shard_too_small_for_a_picture(class_folder, tmp_path, config):
    with pytest.raises(DataError, match="holds no picture of 6 px"):
        pack_shards(config(class_folder), 6, tmp_path / "set", 1e-6, progress=False)


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
    with pytest.raises(DataError, match="labels or class names are not those"):
        open_dataset(config(sharded), 6, progress=False)


def test_a_changed_pixel_is_found_by_check_and_named(sharded, tmp_path, config, class_folder):
    pack_dataset(config(class_folder), 6, tmp_path / "one.npy", progress=False)
    for place, file in ((sharded, sharded / "shard-00002-of-00003.npy"), (tmp_path / "one.npy", tmp_path / "one.npy")):
        assert check(config(place), progress=False).num_images == 5
        data = bytearray(file.read_bytes())
        data[150] ^= 1
        file.write_bytes(data)
        with pytest.raises(DataError, match=f"the pixels in .*{file.name} are not those that were written"):
            check(config(place), progress=False)


def test_a_damaged_shard_is_found_before_the_index_is_written(class_folder, tmp_path, config):
    size = gigabytes(2, ("cat", "dog"))
    pack_shards(config(class_folder), 6, tmp_path / "set", size, part=(1, 2), progress=False)
    shard = tmp_path / "set" / "shard-00000-of-00003.npy"
    data = bytearray(shard.read_bytes())
    data[150] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"shard-00000-of-00003.npy are not those that were written; delete this file"):
        pack_shards(config(class_folder), 6, tmp_path / "set", size, progress=False)
    shard.unlink()
    assert len(pack_shards(config(class_folder), 6, tmp_path / "set", size, progress=False).images) == 5


def test_an_index_of_another_version_or_cut_off(sharded, config):
    index = sharded / "index.json"
    whole = index.read_text()
    index.write_text(whole.replace('"sagan_shards": 1', '"sagan_shards": 7'))
    with pytest.raises(DataError, match=r"index.json is of version 7, expected 1; use the version of sagan"):
        open_dataset(config(sharded), 6, progress=False)
    for broken in (whole[:-40], whole.replace("fingerprint", "finger"), "[]"):
        index.write_text(broken)
        with pytest.raises(DataError, match="has no whole index"):
            open_dataset(config(sharded), 6, progress=False)


def test_a_disk_that_is_too_small_is_said_before_the_work(class_folder, tmp_path, config, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 500}))
    with pytest.raises(DataError, match=r"packing needs 540 bytes in .*, where 500 bytes are free"):
        pack_shards(config(class_folder), 6, tmp_path / "set", 1.0, progress=False)


def test_one_progress_bar_counts_all_shards_of_the_part(class_folder, tmp_path, config, capfd):
    pack_shards(config(class_folder), 6, tmp_path / "set", gigabytes(2, ("cat", "dog")), part=(1, 2))
    said = capfd.readouterr().err
    assert "3 shards, part 1 of 2: 2 shards" in said and "3/3" in said
