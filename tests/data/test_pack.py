"""Packing into one file: nothing is decoded twice, nothing existing is lost, and what cannot be read is named."""

import os

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataError, notes, open_dataset, pack_dataset
from sagan.data.pack import listed


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
    class_folder, tmp_path, config, decodes, everything
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
    image_set = open_dataset(config(class_folder, skip_unreadable=True, may_lose=("cat",)), 8, progress=False)
    assert image_set.class_names == ("dog",) and image_set.labels.tolist() == [0, 0]
    assert any("ONE class, dog" in note for note in notes(image_set))


def test_one_picture_is_not_enough(tmp_path, config, picture, everything):
    (tmp_path / "one").mkdir()
    picture().save(tmp_path / "one" / "a.png")
    with pytest.raises(DataError, match=r"holds 1 picture\(s\); training needs at least 2"):
        open_dataset(config(tmp_path / "one"), 8, progress=False)
    (tmp_path / "one" / "b.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"1 picture\(s\) can be read, but not 1 file\(s\) \(b.png"):
        open_dataset(config(tmp_path / "one", skip_unreadable=True), 8, progress=False)
    assert everything(tmp_path / "cache") == []


def test_progress_says_what_is_needed_and_free(class_folder, config, capfd):
    open_dataset(config(class_folder), 8, progress=True)
    said = capfd.readouterr()
    assert said.out == ""
    assert "packing 5 pictures of" in said.err and "960 bytes needed" in said.err and "free" in said.err
    open_dataset(config(class_folder), 8, progress=True)
    assert capfd.readouterr().err == ""


def test_arrays_of_somebody_else_are_not_replaced(class_folder, tmp_path, config):
    with (tmp_path / "mine.npy").open("wb") as stream:
        np.save(stream, np.zeros((5, 8, 8, 3), np.uint8))
        np.save(stream, np.arange(5))
    with pytest.raises(DataError, match=r"mine.npy exists and is not a packed file"):
        pack_dataset(config(class_folder), 6, tmp_path / "mine.npy", progress=False)
    assert np.load(tmp_path / "mine.npy").shape == (5, 8, 8, 3)


@pytest.mark.parametrize("damage", ["whole", "cut off", "labels", "end"])
def test_a_packed_file_is_replaced_also_a_damaged_one(class_folder, tmp_path, config, damage, flip_bit):
    pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    length = (tmp_path / "a.npy").stat().st_size
    if damage == "cut off":
        os.truncate(tmp_path / "a.npy", 500)
    elif damage != "whole":
        flip_bit(tmp_path / "a.npy", {"labels": 128 + 5 * 8 * 8 * 3 + 20, "end": length - 1}[damage])
    assert pack_dataset(config(class_folder), 6, tmp_path / "a.npy", progress=False).images.shape[1] == 6


def test_names_of_unreadable_pictures_are_printed_in_a_line():
    assert "1 file(s) (x\\x1b]0;a\\x07\\nb.png: no\\x1b)" in listed([("x\x1b]0;a\x07\nb.png", "no\x1b")])
