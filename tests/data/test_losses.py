"""A class that vanishes stops the run, unless the user names it."""

import numpy as np
import pytest

from sagan.data import DataConfig, DataError, check, notes, open_dataset
from sagan.data.sources import find_source


@pytest.fixture
def animals(tmp_path, picture):
    folder = tmp_path / "animals"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            picture().save(folder / name / f"{i}.png")
    return folder


def config(folder, tmp_path, **choices):
    return DataConfig(path=str(folder), cache_dir=str(tmp_path / "cache"), skip_unreadable=True, **choices)


def test_pictures_of_any_name_are_found(animals, tmp_path):
    for i, new in enumerate(("0", "1.MPO", "2.dat", "3.PNG", "4.jfif", "5.backup")):
        (animals / "dog" / f"{i}.png").rename(animals / "dog" / new)
    pictures = find_source(str(animals), tmp_path).load()
    assert np.bincount(pictures.labels).tolist() == [6, 6]
    assert len(open_dataset(config(animals, tmp_path), 8, progress=False).labels) == 12


@pytest.mark.parametrize("damaged", [3, 6])
def test_a_class_that_loses_much_stops_the_run(animals, tmp_path, damaged):
    for i in range(damaged):
        (animals / "dog" / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=rf"dog loses {damaged} of its 6 pictures.*--data.may-lose"):
        open_dataset(config(animals, tmp_path), 8, progress=False)
    # The same answer where the pictures are in the cache already.
    with pytest.raises(DataError, match=rf"dog loses {damaged} of its 6"):
        open_dataset(config(animals, tmp_path), 8, progress=False)
    found = open_dataset(config(animals, tmp_path, may_lose=("dog",)), 8, progress=False)
    assert len(found.labels) == 12 - damaged
    assert f"{damaged:,} unreadable files were left out" in notes(found)


def test_a_few_damaged_ones_are_counted_only(animals, tmp_path):
    (animals / "dog" / "0.png").write_bytes(b"no picture")
    found = open_dataset(config(animals, tmp_path), 8, progress=False)
    assert np.bincount(found.labels).tolist() == [6, 5]


def test_a_folder_of_what_is_no_picture_yet_stops_the_run(animals, tmp_path):
    (animals / "emu").mkdir()
    for i in range(3):
        (animals / "emu" / f"{i}.NEF").write_bytes(b"MM\x00*raw")
    with pytest.raises(DataError, match=r"emu has 3 file\(s\) that are not used and 0 that are: .*develop it"):
        find_source(str(animals), tmp_path)
    source = find_source(DataConfig(path=str(animals), may_lose=("emu",)), tmp_path)
    assert source.load().class_names == ("cat", "dog")
    assert source.told() == (
        "3 file(s) left out: a RAW file is no picture to train on as it is: develop it to JPEG or PNG first, e.g. with "
        "darktable-cli or dcraw",
    )


def test_what_a_tree_means_is_said_when_a_run_starts(animals, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    animals.rename(outer / "set")
    found = open_dataset(config(outer, tmp_path), 8, progress=False)
    assert notes(found)[0] == "everything lies in set/"


def test_a_check_says_how_a_tree_was_read_and_what_was_left_out(animals, tmp_path):
    (animals / "emu").mkdir()
    (animals / "emu" / "a.xyz").write_bytes(b"\x01\x02")
    (animals / "dog" / "scan.dcm").write_bytes(b"\x08")
    outer = tmp_path / "outer"
    outer.mkdir()
    animals.rename(outer / "set")
    lines = check(DataConfig(path=str(outer)), progress=False).text().splitlines()
    assert "everything lies in set/" in lines and "folders without pictures of their own: set/emu/" in lines
    assert lines[lines.index("left out: 1") + 1].startswith("  dog: 1 a DICOM file is no picture")
