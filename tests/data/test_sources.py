"""What is found where: folders, zips, arrays, and what a user is told when it is not as expected."""

import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataError, open_dataset
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
    with pytest.raises(DataError, match="deep"):
        find_source(str(class_folder), tmp_path)


def test_deeper_folders_are_explained_with_the_one_to_give(class_folder, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    class_folder.rename(root / "train")
    with pytest.raises(DataError) as error:
        find_source(str(root), tmp_path)
    assert "holds pictures 2 folder(s) deep: 5 (such as train/cat/0.png)" in str(error.value)
    assert str(error.value).endswith(f"give the folder that holds the class folders: {root}/train")
    (root / "other" / "cat").mkdir(parents=True)
    (root / "train" / "cat" / "0.png").rename(root / "other" / "cat" / "0.png")
    with pytest.raises(DataError, match="pack only what is inside one folder, such as other"):
        find_source(str(zip_folder(root, tmp_path / "deep.zip")), tmp_path).load()


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


def test_a_path_that_does_not_exist_suggests_a_name(tmp_path):
    with pytest.raises(DataError, match=r"there is no CIFAR-10 .did you mean cifar10"):
        find_source("CIFAR-10", tmp_path)
    with pytest.raises(DataError, match="there is no /nowhere/at/all; give a folder of class folders"):
        find_source("/nowhere/at/all", tmp_path)


def test_a_single_picture_and_other_files_are_explained(class_folder, tmp_path):
    with pytest.raises(DataError, match="is a single file; training needs many pictures"):
        find_source(str(class_folder / "cat" / "0.png"), tmp_path)
    (tmp_path / "a.csv").write_text("1,2,3")
    with pytest.raises(DataError, match=r"of no known kind .it starts with b'1,2,3'"):
        find_source(str(tmp_path / "a.csv"), tmp_path)
    with pytest.raises(DataError, match="neither a file nor a folder"):
        find_source("/dev/null", tmp_path)


def test_no_permission_is_said(class_folder, tmp_path, config, as_nobody):
    (class_folder / "dog").chmod(0)
    assert "cannot read the folder" in as_nobody(lambda: find_source(str(class_folder), tmp_path))
    (class_folder / "dog").chmod(0o755)
    (class_folder / "dog" / "1.png").chmod(0)
    tmp_path.chmod(0o777)
    message = as_nobody(lambda: open_dataset(config(class_folder), 8, progress=False))
    assert "cannot read dog/1.png (Permission denied)" in message
    file = tmp_path / "a.zip"
    file.write_bytes(b"PK")
    file.chmod(0)
    assert "Permission denied" in as_nobody(lambda: find_source(str(file), tmp_path))


def test_a_cache_that_cannot_be_written_is_said(class_folder, tmp_path, config, as_nobody):
    (tmp_path / "cache").mkdir(mode=0o555)
    message = as_nobody(lambda: open_dataset(config(class_folder), 8, progress=False))
    assert f"cannot write {tmp_path}/cache/packed/animals-8px-" in message and "Permission denied" in message


def test_npz_layouts_agree(tmp_path, config):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    labels = np.array([3, 1, 3, 7, 1])
    opened = {}
    for name, arrays in {
        "nhwc": {"images": rgb, "labels": labels},
        "nchw": {"x": rgb.transpose(0, 3, 1, 2), "y": labels[:, None].astype(np.uint8)},
        "unnamed": {"arr_0": rgb, "arr_1": labels},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        opened[name] = open_dataset(config(tmp_path / f"{name}.npz"), 8, progress=False)
        assert (opened[name].images == rgb).all()
        assert opened[name].labels.tolist() == [1, 0, 1, 2, 0] and opened[name].class_names == ("1", "3", "7")
    assert len({image_set.fingerprint for image_set in opened.values()}) == 1


def test_npz_of_grey_and_alpha_and_without_labels(tmp_path, config):
    grey = np.random.default_rng(0).integers(0, 256, (4, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "grey.npz", images=grey)
    image_set = open_dataset(config(tmp_path / "grey.npz"), 6, progress=False)
    assert (image_set.images == grey[..., None]).all() and image_set.class_names == ()
    np.savez_compressed(tmp_path / "alpha.npz", images=np.zeros((4, 6, 6, 4), np.uint8))
    assert (open_dataset(config(tmp_path / "alpha.npz"), 6, progress=False).images == 255).all()
    np.save(tmp_path / "plain.npy", grey)
    assert (open_dataset(config(tmp_path / "plain.npy"), 6, progress=False).images == grey[..., None]).all()


def test_npz_with_class_names_and_another_size(tmp_path, config):
    images = np.zeros((3, 20, 10, 3), np.uint8)
    images[:, 5:15] = 255
    names = np.array(["ant", "bee", "cow"])
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([2, 0, 2]), class_names=names)
    image_set = open_dataset(config(tmp_path / "a.npz"), 5, progress=False)
    assert (image_set.images == 255).all()  # The crop took the middle.
    assert image_set.class_names == ("ant", "cow") and image_set.labels.tolist() == [1, 0, 1]
    np.savez(tmp_path / "b.npz", images=images, labels=np.array(["bee", "ant", "bee"]))
    assert open_dataset(config(tmp_path / "b.npz"), 5, progress=False).class_names == ("ant", "bee")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((3, 4, 4, 3), np.float32)}, "float32 with values 0 to 0; expected uint8"),
        ({"images": np.zeros((3, 5, 5, 5), np.uint8)}, r"has the shape \(3, 5, 5, 5\); expected uint8"),
        ({"images": np.zeros((0, 4, 4, 3), np.uint8)}, r"has the shape \(0, 4, 4, 3\)"),
        ({"pixels": np.zeros((3, 4, 4, 3), np.uint8)}, "holds pixels; expected pictures under the key images"),
        (
            {"images": np.zeros((3, 4, 4), np.uint8), "labels": np.zeros(2, int)},
            "one integer or string for each of the 3",
        ),
        ({"images": np.zeros((3, 4, 4), np.uint8), "labels": np.zeros(3)}, "labels in .* is float64"),
        (
            {"images": np.zeros((3, 4, 4), np.uint8), "labels": np.arange(3), "class_names": ["a", "b"]},
            "0 to 1 as named",
        ),
        ({"images": np.array([None, {}, 3])}, "Object arrays cannot be loaded"),
    ],
)
def test_what_an_npz_may_not_hold_is_explained(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        find_source(str(tmp_path / "a.npz"), tmp_path).load()


def test_a_damaged_npz(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 4, 4, 3), np.uint8))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cannot be read as an \.npz"):
        find_source(str(tmp_path / "a.npz"), tmp_path).load()


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


def test_ilsvrc_layout_with_readable_names(tmp_path, config, picture):
    for synset in ("n01440764", "n02012849", "n03126707"):
        (tmp_path / "train" / synset).mkdir(parents=True)
        for index in range(2):
            picture(seed=index).save(tmp_path / "train" / synset / f"{synset}_{index}.JPEG")
    names = tmp_path / "LOC_synset_mapping.txt"
    names.write_text("n01440764 tench, Tinca tinca\nn02012849 crane\n\nn03126707 crane\nn9 unused\n")
    with_names = open_dataset(config(tmp_path / "train", class_names=str(names)), 8, progress=False)
    assert with_names.class_names == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    without = open_dataset(config(tmp_path / "train"), 8, progress=False)
    assert without.class_names == ("n01440764", "n02012849", "n03126707")
    assert without.file == with_names.file and without.fingerprint != with_names.fingerprint
    names.write_text('{"0": ["n01440764", "tench"], "n02012849": "crane", "n03126707": "other crane"}')
    again = open_dataset(config(tmp_path / "train", class_names=str(names)), 8, progress=False)
    assert again.class_names == ("tench", "crane", "other crane")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n1 a\n", "names 0 of 2 classes; missing cat, dog: add a line for each"),
        ("cat\n", r"holds \['cat'\]; expected a folder name and a readable name"),
        ("{", "is not valid JSON"),
        ('{"cat": 3}', r"holds \['cat', 3\]"),
    ],
)
def test_bad_class_names_are_explained(class_folder, tmp_path, config, text, message):
    (tmp_path / "names").write_text(text)
    with pytest.raises(DataError, match=message):
        open_dataset(config(class_folder, class_names=str(tmp_path / "names")), 8, progress=False)


def test_formats_of_pictures_in_one_folder(tmp_path, config):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for suffix in ("png", "bmp", "gif", "tif", "ppm", "webp", "JPG"):
        Image.new("RGB", (8, 8), (250, 0, 0)).save(folder / f"a.{suffix}")
    images = open_dataset(config(folder), 8, progress=False).images
    assert len(images) == 7 and np.abs(images.astype(int) - [250, 0, 0]).max() <= 12
