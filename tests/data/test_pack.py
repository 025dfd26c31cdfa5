"""Decoding once into a packed file: nothing is decoded twice, nothing half-written stays, nothing existing is lost."""

import errno
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataConfig, DataError, cache_folder, notes, open_dataset, pack_dataset, read_packed
from sagan.data import files as files_module
from sagan.data.pack_folder import pack
from sagan.data.packed import packed_writer, readable_bytes


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def decodes(monkeypatch):
    """A list that grows with each image file that is decoded."""
    seen = []
    original = files_module.decode_picture
    monkeypatch.setattr(files_module, "decode_picture", lambda data: seen.append(data) or original(data))
    return seen


def test_pixels_labels_and_names_are_those_of_the_files(class_folder, config):
    image_set = open_dataset(config(class_folder), 10, progress=False)
    for index, name in enumerate(["cat/0", "cat/1", "cat/2", "dog/0", "dog/1"]):
        pixels = np.asarray(Image.open(class_folder / f"{name}.png"))
        assert (image_set.images[index] == pixels[:, 1:11]).all()  # 12 wide, 10 high: the centre is 10 columns.
    assert image_set.labels.tolist() == [0, 0, 0, 1, 1] and image_set.class_names == ("cat", "dog")
    assert isinstance(image_set.images, np.memmap) and not image_set.images.flags.writeable


def test_the_second_opening_decodes_nothing(class_folder, config, decodes):
    first = open_dataset(config(class_folder), 8, progress=False)
    assert len(decodes) == 5
    second = open_dataset(config(class_folder), 8, progress=False)
    assert len(decodes) == 5
    assert second.file == first.file and (second.images == first.images).all()
    assert second.fingerprint == first.fingerprint
    open_dataset(config(class_folder), 6, progress=False)
    assert len(decodes) == 10


def test_a_changed_file_is_decoded_anew(class_folder, config, decodes):
    before = open_dataset(config(class_folder), 8, progress=False)
    Image.new("RGB", (9, 9)).save(class_folder / "cat" / "1.png")
    after = open_dataset(config(class_folder), 8, progress=False)
    assert len(decodes) == 10 and after.fingerprint != before.fingerprint
    assert not after.images[1].any() and before.images[1].any()


def test_a_damaged_cache_file_is_made_again(class_folder, config, decodes):
    image_set = open_dataset(config(class_folder), 8, progress=False)
    expected = image_set.images.copy()
    for length in (0, 60, 500, image_set.file.stat().st_size - 1):
        image_set.file.write_bytes(image_set.file.read_bytes()[:length])
        assert (open_dataset(config(class_folder), 8, progress=False).images == expected).all()
    assert len(decodes) == 25


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
    assert (np.load(moved, mmap_mode="r") == images).all() and (images == opened.images).all()
    assert labels.tolist() == [0, 0, 0, 1, 1]
    described = json.loads(record.tobytes())
    assert described["sagan_packed"] == 1 and described["class_names"] == ["cat", "dog"]
    assert described["pixels_sha256"] == hashlib.sha256(images.tobytes()).hexdigest()
    assert str(tmp_path) not in record.tobytes().decode()


def test_a_packed_file_of_another_size_is_resized(class_folder, tmp_path, config):
    pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    image_set = open_dataset(config(tmp_path / "a.npy"), 4, progress=False)
    assert image_set.images.shape == (5, 4, 4, 3) and image_set.class_names == ("cat", "dog")
    source = Image.fromarray(read_packed(tmp_path / "a.npy").images[2])
    assert (image_set.images[2] == np.asarray(source.resize((4, 4), Image.Resampling.BILINEAR))).all()


def test_the_same_content_has_the_same_fingerprint_from_anywhere(class_folder, tmp_path, config):
    first = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    second = pack_dataset(config(class_folder), 8, tmp_path / "b.npy", progress=False)
    assert first.fingerprint == second.fingerprint
    (class_folder / "dog").rename(class_folder / "wolf")
    assert pack_dataset(config(class_folder), 8, tmp_path / "c.npy", progress=False).fingerprint != first.fingerprint


def test_packing_replaces_a_packed_file_but_nothing_else(class_folder, tmp_path, config):
    letter = tmp_path / "letter.txt"
    letter.write_text("dear")
    with pytest.raises(DataError, match=r"letter.txt exists and is not a packed file"):
        pack_dataset(config(class_folder), 8, letter, progress=False)
    assert letter.read_text() == "dear"
    with pytest.raises(DataError, match="/dev/null is not a regular file"):
        pack_dataset(config(class_folder), 8, "/dev/null", progress=False)
    pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    assert pack_dataset(config(class_folder), 6, tmp_path / "a.npy", progress=False).images.shape[1] == 6


def test_class_names_are_written_into_a_packed_file(class_folder, tmp_path, config):
    (tmp_path / "names").write_text("cat Katze\ndog Hund\n")
    pack_dataset(config(class_folder, class_names=str(tmp_path / "names")), 8, tmp_path / "a.npy", progress=False)
    assert open_dataset(config(tmp_path / "a.npy"), 8, progress=False).class_names == ("Katze", "Hund")


def spoil(folder):
    (folder / "cat" / "text.png").write_text("I am a text")
    data = (folder / "dog" / "0.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(data[: len(data) // 2])


def test_unreadable_files_stop_the_run_by_name_unless_skipped(class_folder, tmp_path, config, decodes):
    spoil(class_folder)
    for _ in range(2):
        with pytest.raises(DataError) as error:
            open_dataset(config(class_folder), 8, progress=False)
        assert "2 file(s) (cat/text.png: not a picture" in str(error.value)
        assert "dog/cut.png: damaged or cut off" in str(error.value) and "skip_unreadable" in str(error.value)
    image_set = open_dataset(config(class_folder, skip_unreadable=True), 8, progress=False)
    assert len(decodes) == 7  # Even then only once.
    assert image_set.labels.tolist() == [0, 0, 0, 1, 1] and len(image_set.images) == 5
    assert [name for name, _ in image_set.info.unreadable] == ["cat/text.png", "dog/cut.png"]
    assert "2 unreadable files were left out" in notes(image_set)
    good = open_dataset(config(class_folder, skip_unreadable=True), 10, progress=False).images
    assert (good[4] == np.asarray(Image.open(class_folder / "dog" / "1.png"))[:, 1:11]).all()


def test_pack_leaves_no_packed_file_when_something_is_unreadable_and_skipping_goes_on(
    class_folder, tmp_path, config, decodes
):
    spoil(class_folder)
    out = tmp_path / "out" / "a.npy"
    with pytest.raises(DataError, match="cannot be read as pictures"):
        pack_dataset(config(class_folder), 8, out, progress=False)
    assert not out.exists() and len(decodes) == 7
    skipping = config(class_folder, skip_unreadable=True)
    assert len(pack_dataset(skipping, 8, out, progress=False).images) == 5
    assert len(decodes) == 7 and everything(tmp_path / "out") == ["a.npy"]
    assert len(open_dataset(config(out), 8, progress=False).images) == 5


def test_many_unreadable_files_are_counted(class_folder, config):
    for index in range(9):
        (class_folder / "cat" / f"bad{index}.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match=r"9 file\(s\).*bad4.jpg.* and 4 more"):
        open_dataset(config(class_folder), 8, progress=False)


def test_a_class_without_readable_pictures_is_left_out(class_folder, config):
    for index in range(3):
        (class_folder / "cat" / f"{index}.png").write_bytes(b"no")
    image_set = open_dataset(config(class_folder, skip_unreadable=True), 8, progress=False)
    assert image_set.class_names == ("dog",) and image_set.labels.tolist() == [0, 0]
    assert any("ONE class, dog" in note for note in notes(image_set))


def test_one_picture_is_not_enough(tmp_path, config, picture):
    (tmp_path / "one").mkdir()
    picture().save(tmp_path / "one" / "a.png")
    with pytest.raises(DataError, match=r"holds 1 picture\(s\); training needs at least 2"):
        open_dataset(config(tmp_path / "one"), 8, progress=False)
    (tmp_path / "one" / "b.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"1 picture\(s\) can be read, but not 1 file\(s\) \(b.png"):
        open_dataset(config(tmp_path / "one", skip_unreadable=True), 8, progress=False)
    assert everything(tmp_path / "cache") == []


def test_pictures_that_are_enlarged_or_changed_are_counted(class_folder, config):
    Image.new("L", (40, 40)).save(class_folder / "dog" / "grey.png")
    image_set = open_dataset(config(class_folder), 11, progress=False)
    assert image_set.info.traits == {"enlarged": 5, "grey": 1}
    assert notes(image_set)[1].startswith("5 of 6 pictures: enlarged (smaller than the target")


@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_full_disk_while_writing_loses_nothing(class_folder, tmp_path, config, monkeypatch, where):
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


def test_a_disk_that_is_too_small_is_said_before_the_work(class_folder, tmp_path, config, monkeypatch, decodes):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 500}))
    with pytest.raises(DataError, match=r"packing needs 960 bytes in .*, where 500 bytes are free; free some space"):
        open_dataset(config(class_folder), 8, progress=False)
    assert decodes == [] and everything(tmp_path / "cache") == []


def test_an_interruption_leaves_nothing_half_written(class_folder, tmp_path, config, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sagan.data.packed.PackedWriter.add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_dataset(config(class_folder), 8, progress=False)
    assert everything(tmp_path / "cache") == []


def test_of_openers_at_the_same_time_one_decodes_and_the_others_wait(class_folder, config, decodes):
    together = threading.Barrier(4)
    opened = []

    def work():
        together.wait()
        opened.append(open_dataset(config(class_folder), 8, progress=False))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decodes) == 5 and len({image_set.fingerprint for image_set in opened}) == 1
    assert everything(opened[0].file.parent) == [opened[0].file.name]


def test_the_mapping_stays_whole_when_the_file_is_replaced(class_folder, tmp_path, config):
    image_set = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    expected = image_set.images.copy()
    pack_dataset(config(class_folder), 2, tmp_path / "a.npy", progress=False)
    assert (image_set.images == expected).all()


def test_fewer_pictures_than_announced_shrink_the_file_in_place(tmp_path):
    with packed_writer(tmp_path / "a.npy", 2, 10**9 // 12, "key") as writer:
        writer.add([(np.full((2, 2, 3), value, np.uint8), frozenset()) for value in range(3)])
        writer.finish(np.array([0, 1, 0]), ("a", "b"), "test", ["0", "1", "2"])
    assert read_packed(tmp_path / "a.npy").images[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_the_packed_file_of_an_unknown_version_is_refused(class_folder, tmp_path, config):
    file = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False).file
    file.write_bytes(file.read_bytes().replace(b'"sagan_packed": 1', b'"sagan_packed": 9'))
    with pytest.raises(DataError, match="version 9, expected 1"):
        open_dataset(config(file), 8, progress=False)


def test_a_cut_off_packed_file_is_refused(class_folder, tmp_path, config):
    file = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False).file
    whole = file.read_bytes()
    for length in (200, 128 + 5 * 192 + 30, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match="no whole packed file"):
            open_dataset(config(file), 8, progress=False)


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused(class_folder, config, size):
    with pytest.raises(DataError, match=f"at least 1 pixel, found {size}"):
        open_dataset(config(class_folder), size, progress=False)


def test_progress_says_what_is_needed_and_free(class_folder, config, capfd):
    open_dataset(config(class_folder), 8, progress=True)
    said = capfd.readouterr()
    assert said.out == ""
    assert "packing 5 pictures of" in said.err and "960 bytes needed" in said.err and "free" in said.err
    open_dataset(config(class_folder), 8, progress=True)
    assert capfd.readouterr().err == ""


def test_the_cache_folder_follows_the_configuration_then_the_variable(monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", "/from/variable")
    assert cache_folder("/from/field") == Path("/from/field")
    assert cache_folder() == Path("/from/variable")
    monkeypatch.delenv("SAGAN_CACHE")
    assert cache_folder().is_absolute() and "sagan" in cache_folder().parts


@pytest.mark.parametrize(
    ("field", "value"), [("holdout_fraction", 1.0), ("holdout_fraction", -0.1), ("holdout_max", -1), ("path", "")]
)
def test_a_bad_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        DataConfig(**{field: value})


def test_bytes_are_said_readably():
    assert [readable_bytes(count) for count in (0, 999, 46_080_000, 63 * 10**9, 2 * 10**15)] == [
        "0 bytes",
        "999 bytes",
        "46.1 MB",
        "63.0 GB",
        "2000.0 TB",
    ]


def test_real_pictures(shared_data, config):
    image_set = open_dataset(config(shared_data / "clothing-128.zip"), 32, progress=False)
    assert len(image_set.images) == 3781 and len(image_set.class_names) == 10
    assert np.bincount(image_set.labels).tolist() == [288, 149, 576, 246, 559, 345, 297, 257, 136, 928]
    assert image_set.info.traits == {} and 100 < image_set.images.mean() < 200


def test_one_function_packs_a_file_or_a_folder(class_folder, config, tmp_path):
    whole = pack(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    assert whole is not None
    assert (tmp_path / "a.npy").is_file()
    by_path = pack(str(class_folder), 8, tmp_path / "b.npy", progress=False)
    assert by_path is not None and by_path.fingerprint == whole.fingerprint
    shards = {"shard_gb": 4.6e-6, "progress": False}
    assert pack(config(class_folder), 8, tmp_path / "folder", part="2/2", **shards) is None
    together = pack(config(class_folder), 8, tmp_path / "folder", part=(1, 2), **shards)
    assert together is not None and together.fingerprint == whole.fingerprint
    assert len(list((tmp_path / "folder").glob("shard-*.npy"))) > 1


@pytest.mark.parametrize("part", ["one", "1", "1/2/3", "-1/2", "1/"])
def test_parts_are_written_as_one_of_how_many(class_folder, config, tmp_path, part):
    with pytest.raises(DataError, match=r"--part takes I/N"):
        pack(config(class_folder), 8, tmp_path / "folder", shard_gb=1.0, part=part, progress=False)
    with pytest.raises(DataError, match="--part goes with --shard-gb"):
        pack(config(class_folder), 8, tmp_path / "a.npy", part="1/2", progress=False)
    assert not (tmp_path / "folder").exists()
