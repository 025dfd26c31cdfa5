"""Folders and zips of pictures, and what a user is told when they are not as expected."""

import io
import os
import zipfile
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataConfig, DataError, open_dataset
from sagan.data.decode import UnreadableError
from sagan.data.pack import decode_to_size
from sagan.data.sources import find_source


def found(path, cache):
    source = find_source(str(path), cache)
    pictures = source.load()
    return pictures.names, pictures.labels.tolist(), pictures.class_names


def zip_folder(folder, file, prefix=""):
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + str(path.relative_to(folder)))
    return file


def test_a_folder_of_class_folders(class_folder, tmp_path):
    names, labels, class_names = found(class_folder, tmp_path)
    assert names == ("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png")
    assert (labels, class_names) == ([0, 0, 0, 1, 1], ("cat", "dog"))


def test_a_flat_folder_has_no_classes(class_folder, tmp_path):
    assert found(class_folder / "cat", tmp_path) == (("0.png", "1.png", "2.png"), [0, 0, 0], ())


@pytest.mark.parametrize("prefix", ["", "wrapper/", "wrapper\\"])
def test_a_zip_is_like_its_folder_with_or_without_a_wrapper(class_folder, tmp_path, prefix):
    file = zip_folder(class_folder, tmp_path / "a.zip", prefix)
    assert found(file, tmp_path) == found(class_folder, tmp_path)
    flat = zip_folder(class_folder / "cat", tmp_path / "b.zip", prefix)
    assert found(flat, tmp_path) == found(class_folder / "cat", tmp_path)


def test_clutter_is_passed_over_and_other_files_are_listed(class_folder, tmp_path):
    for name in (".hidden.png", "cat/._0.png", "cat/Thumbs.db", "__MACOSX/cat/0.png", ".git/x.png"):
        (class_folder / name).parent.mkdir(exist_ok=True, parents=True)
        (class_folder / name).write_bytes(b"x")
    (class_folder / "readme.txt").write_text("x")
    (class_folder / "empty").mkdir()
    for path in (class_folder, zip_folder(class_folder, tmp_path / "a.zip")):
        pictures = find_source(str(path), tmp_path).load()
        assert len(pictures.names) == 5 and pictures.class_names == ("cat", "dog")
        assert pictures.ignored == (("readme.txt", "empty/") if path == class_folder else ("readme.txt",))


def test_class_folders_may_be_links_and_a_link_in_circles_ends(class_folder, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "chien").symlink_to(class_folder / "dog")
    assert found(tmp_path / "linked", tmp_path)[2] == ("chien",)
    (class_folder / "cat" / "again").symlink_to(class_folder)
    names, labels, class_names = found(class_folder, tmp_path)
    assert (len(names), labels, class_names) == (5, [0, 0, 0, 1, 1], ("cat", "dog"))
    (class_folder / "itself").symlink_to("itself")
    assert found(class_folder, tmp_path)[0] == names
    assert {"cat/again/", "itself"} <= set(find_source(str(class_folder), tmp_path).load().ignored)


def test_a_folder_around_everything_is_looked_through(class_folder, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    class_folder.rename(root / "train")
    names, labels, class_names = found(root, tmp_path)
    assert names[0] == "train/cat/0.png"
    assert (labels, class_names) == ([0, 0, 0, 1, 1], ("cat", "dog"))
    assert find_source(str(root), tmp_path).told() == ("everything lies in train/",)
    file = zip_folder(root, tmp_path / "deep.zip")
    assert found(file, tmp_path)[1:] == ([0, 0, 0, 1, 1], ("cat", "dog"))


def test_folders_in_folders_are_explained_with_what_chooses(class_folder, tmp_path):
    root = tmp_path / "root"
    (root / "other" / "cat").mkdir(parents=True)
    class_folder.rename(root / "animals")
    (root / "animals" / "cat" / "0.png").rename(root / "other" / "cat" / "0.png")
    with pytest.raises(DataError, match=r"--data\.classes first takes the outermost folders for classes, last the inn"):
        find_source(str(root), tmp_path)
    for choice, classes in (
        ("first", ("animals", "other")),
        ("last", ("cat", "dog")),
        ("path", ("animals/cat", "animals/dog", "other/cat")),
        ("none", ()),
    ):
        pictures = find_source(DataConfig(path=str(root), classes=choice), tmp_path).load()
        assert (len(pictures.names), pictures.class_names) == (5, classes)


def test_pictures_on_two_levels_are_explained(class_folder, tmp_path, picture):
    picture().save(class_folder / "stray.png")
    with pytest.raises(
        DataError, match=r"directly inside: 1 \(such as stray.png\).*move the pictures that lie outside"
    ):
        find_source(str(class_folder), tmp_path)


def test_an_empty_folder_and_one_without_pictures(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"holds no pictures .nothing found.; expected image files"):
        find_source(str(empty), tmp_path)
    (empty / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"1 other entries such as notes.txt"):
        find_source(str(empty), tmp_path)


@pytest.mark.parametrize("name", ["../evil.png", "cat/../../evil.png", "/evil.png", "..\\evil.png", "C:/evil.png"])
def test_a_zip_that_points_outside_itself_is_refused(tmp_path, name, picture):
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/0.png", buffer.getvalue())
        archive.writestr(name, buffer.getvalue())
    with pytest.raises(DataError, match="points outside the archive"):
        find_source(str(tmp_path / "a.zip"), tmp_path).load()


def test_a_cut_off_zip(class_folder, tmp_path):
    file = zip_folder(class_folder, tmp_path / "a.zip")
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a whole zip file"):
        find_source(str(file), tmp_path).load()


def test_a_zip_member_with_damaged_bytes_is_unreadable_by_name(class_folder, tmp_path, config):
    file = zip_folder(class_folder, tmp_path / "a.zip")
    data = bytearray(file.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"1 file.* .cat/0.png: cannot be unpacked .Bad CRC-32"):
        open_dataset(config(file), 8, progress=False)


def test_the_key_changes_with_the_files(class_folder, tmp_path, picture):
    def key():
        return find_source(str(class_folder), tmp_path).key

    before = key()
    assert key() == before
    (class_folder / "notes.txt").write_text("not a picture")
    assert key() == before
    status = (class_folder / "cat" / "0.png").stat()
    os.utime(class_folder / "cat" / "0.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    touched = key()
    picture().save(class_folder / "cat" / "9.png")
    added = key()
    (class_folder / "cat" / "9.png").rename(class_folder / "dog" / "9.png")
    assert len({before, touched, added, key()}) == 4


def test_formats_of_pictures_in_one_folder(tmp_path, config):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for suffix in ("png", "bmp", "gif", "tif", "ppm", "webp", "JPG"):
        Image.new("RGB", (8, 8), (250, 0, 0)).save(folder / f"a.{suffix}")
    images = open_dataset(config(folder), 8, progress=False).images[:]
    assert len(images) == 7 and np.abs(images.astype(int) - [250, 0, 0]).max() <= 12


def test_links_that_lead_nowhere_are_left_out_like_damaged_pictures(class_folder, config):
    (class_folder / "cat" / "dead.png").symlink_to("nowhere.png")
    (class_folder / "dog" / "itself.jpg").symlink_to("itself.jpg")
    with pytest.raises(DataError, match=r"2 file.* .cat/dead.png: a link that leads nowhere .No such file"):
        open_dataset(config(class_folder), 8, progress=False)
    found = open_dataset(config(class_folder, skip_unreadable=True), 8, progress=False)
    assert [name for name, _ in found.info.unreadable] == ["cat/dead.png", "dog/itself.jpg"]
    assert found.labels.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_reported_and_not_opened(class_folder, tmp_path):
    os.mkfifo(class_folder / "cat" / "pipe.png")
    assert find_source(str(class_folder), tmp_path).load().ignored == ("cat/pipe.png",)


def test_folders_without_pictures_are_told(class_folder, tmp_path):
    for name in ("emu/0.xcf", "emu/notes/1.txt", "cat/notes/1.txt", "raw/0.nef"):
        (class_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (class_folder / name).write_bytes(b"x")
    (class_folder / "fox").mkdir()
    told = find_source(DataConfig(path=str(class_folder), may_lose=("raw",)), tmp_path).told()
    assert told[-1] == "folders without pictures of their own: emu/, fox/, cat/notes/"
    assert told[0].startswith("1 file(s) left out: a RAW file")


@pytest.mark.parametrize("later", ["cat/0.png", "cat\\0.png"])
def test_of_files_of_the_same_name_in_a_zip_the_later_is_used_and_the_other_counted(class_folder, tmp_path, later):
    file = zip_folder(class_folder, tmp_path / "a.zip", "around/")
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning) if "/" in later else nullcontext():
        archive.writestr(f"around/{later}", (class_folder / "dog" / "0.png").read_bytes())
    source = find_source(str(file), tmp_path)
    pictures = source.load()
    assert (len(pictures.names), [name for name, _ in pictures.left_out]) == (5, ["cat/0.png"])
    assert (pictures.decode(0).pixels == pictures.decode(3).pixels).all()
    assert source.told() == ("1 file(s) left out: the archive holds another file of the same name further on, which is "
                             "used",)  # fmt: skip


class Unmarked(zipfile.ZipInfo):
    """A member whose name is stored as bytes without a word on what they mean."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("utf-8", "surrogateescape"), self.flag_bits


def test_names_in_a_zip_are_utf_8_where_they_can_be(tmp_path, picture):
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("\u00e9t\u00e9/1.png", "\u732b/caf\udce9.png", "\udce9/2.png"):
            archive.writestr(Unmarked(name), buffer.getvalue())
        archive.writestr("\u00e9t\u00e9/3.png", buffer.getvalue())  # with the mark
    assert found(tmp_path / "a.zip", tmp_path)[::2] == (
        ("\u00e9t\u00e9/1.png", "\u00e9t\u00e9/3.png", "\u0398/2.png", "\u732b/caf\u0398.png"),
        ("\u00e9t\u00e9", "\u0398", "\u732b"),
    )


@pytest.mark.parametrize(
    ("place", "value"), [(42, b"\xff\xff\xff\x7f"), (42, b"\x01\0\0\0"), (10, b"\x63\0"), (8, b"\x01\0")]
)
def test_a_damaged_directory_of_a_zip_costs_only_its_pictures(tmp_path, place, value):
    """Where a member lies, how it is packed, whether it is encrypted: read wrongly in the table of contents."""
    file = tmp_path / "set.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for index in range(6):
            stream = io.BytesIO()
            Image.new("RGB", (8, 8), (40 * index, 0, 0)).save(stream, "PNG")
            archive.writestr(f"{'ab'[index % 2]}/{index}.png", stream.getvalue())
    data = bytearray(file.read_bytes())
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[entry + place : entry + place + len(value)] = value
    file.write_bytes(data)
    settings = DataConfig(path=str(file), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"b/1\.png: cannot be unpacked"):
        open_dataset(settings, 8, progress=False)
    found = open_dataset(replace(settings, skip_unreadable=True, may_lose=("b",)), 8, progress=False)
    assert len(found.labels) == 5 and found.info.unreadable[0][0] == "b/1.png"


def test_a_folder_that_many_links_lead_to_is_read_once(tmp_path, picture):
    for number in range(9):
        (tmp_path / str(number)).mkdir()
    for number in range(8):
        for name in "ab":
            (tmp_path / str(number) / name).symlink_to(f"../{number + 1}")
    for name in ("x.png", "y.png"):
        picture().save(tmp_path / "8" / name)
    source = find_source(DataConfig(path=str(tmp_path / "0"), classes="none"), tmp_path / "cache")
    assert source.load().names == ("a/a/a/a/a/a/a/a/x.png", "a/a/a/a/a/a/a/a/y.png")


def test_a_picture_that_becomes_something_else_after_the_look_is_named(class_folder, tmp_path):
    source = find_source(str(class_folder), tmp_path)
    pictures = source.load()
    picture = class_folder / "cat" / "1.png"
    picture.unlink()
    picture.touch()
    os.truncate(picture, 2**40)
    with pytest.raises(UnreadableError, match="the file has 1,048,576 MiB, more than the 512 allowed"):
        pictures.decode(1)
    picture.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(picture)
        with pytest.raises(OSError, match="it is a pipe, a socket or a device, no file"):
            pictures.decode(1)
        with pytest.raises(DataError, match=r"cannot read cat/1.png \(it is a pipe"):
            decode_to_size(pictures, 1, (8, 8))
    assert pictures.decode(0).pixels.size
