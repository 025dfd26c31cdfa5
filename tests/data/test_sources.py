"""What a path means, and what a user is told when it means nothing."""

import tarfile

import numpy as np
import pytest

from sagan.data import DataConfig, DataError, open_dataset
from sagan.data.pack import pack_dataset
from sagan.data.sources import find_source


def test_a_path_that_does_not_exist_suggests_a_name(tmp_path):
    with pytest.raises(DataError, match=r"there is no CIFAR-10 .did you mean cifar10"):
        find_source("CIFAR-10", tmp_path)
    with pytest.raises(DataError, match="there is no /nowhere/at/all; give a folder of class folders"):
        find_source("/nowhere/at/all", tmp_path)


@pytest.mark.parametrize("kind", ["a.npz", "a.npy", "packed.npy", "digits", "a.tar"])
def test_classes_are_not_asked_for_where_no_folders_are(tmp_path, picture, kind):
    images = np.zeros((4, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1, 0, 1])
    np.save(tmp_path / "a.npy", images)
    tarfile.open(tmp_path / "a.tar", "w").close()
    path = kind if kind == "digits" else str(tmp_path / kind)
    if kind == "packed.npy":
        pack_dataset(DataConfig(path=str(tmp_path / "a.npz")), 8, path, progress=False)
    for flag, choice in (("split", "train"), ("classes", "none"), ("class-pattern", "(.)"), ("labels", "x.csv")):
        config = DataConfig(path=path, cache_dir=str(tmp_path), **{flag.replace("-", "_"): choice})
        with pytest.raises(DataError, match=f"--data.{flag} .*leave it away|leave --data.{flag} away"):
            open_dataset(config, 8, progress=False)


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
    message = as_nobody(lambda: open_dataset(config(class_folder), 8, progress=False))
    assert "cannot read dog/1.png (Permission denied)" in message
    file = tmp_path / "a.zip"
    file.write_bytes(b"PK")
    file.chmod(0)
    assert "Permission denied" in as_nobody(lambda: find_source(str(file), tmp_path))
