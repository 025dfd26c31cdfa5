"""Files as pictures, end to end: what was decided is the same at every opening, written down, and part of the key."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from made import deep_png, drawing, ramp, stored
from PIL import Image

from sagan.cli import main
from sagan.data import DataError, check, notes, open_dataset, pack_dataset, read_packed
from sagan.data.sources import find_source


@pytest.fixture
def twelve(tmp_path):
    """Two classes of four pictures with 12 bits in 16."""
    for name in "ab":
        (tmp_path / "twelve" / name).mkdir(parents=True)
        for index in range(4):
            values = np.rint(np.roll(ramp(20, 20), index + 7 * (name == "b"), axis=1) * 4095).astype(np.uint16)
            (tmp_path / "twelve" / name / f"{index}.png").write_bytes(deep_png(values))
    return tmp_path / "twelve"


@pytest.fixture
def moving(tmp_path):
    """A GIF of three frames and a still picture."""
    folder = tmp_path / "moving"
    folder.mkdir()
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (12, 12), "white").save(folder / "b.png")
    return folder


def test_twelve_bits_do_not_turn_black(twelve, config):
    image_set = open_dataset(config(twelve), 16, progress=False)
    assert image_set.images[:].max() > 240 and image_set.images[:].mean() > 100
    assert image_set.info.decoding["range"] == {"16-bit": [0, 4095]}
    assert any("4095 white" in note for note in notes(image_set))
    again = open_dataset(config(twelve), 16, progress=False)
    assert again.fingerprint == image_set.fingerprint and notes(again) == notes(image_set)


def test_options_are_part_of_the_key_only_where_they_are_given(twelve, config, tmp_path):
    plain = find_source(config(twelve), tmp_path).key
    assert find_source(config(twelve, background="auto", range="auto", frames="first"), tmp_path).key == plain
    others = [
        find_source(config(twelve, **fields), tmp_path).key
        for fields in ({"range": "type"}, {"background": "black"}, {"frames": "all"}, {"max_megapixels": 5.0})
    ]
    assert len({plain, *others}) == 5
    dark = open_dataset(config(twelve, range="type"), 16, progress=False)
    assert dark.images[:].max() == 16 and dark.info.decoding == {"range": "type"}
    assert dark.fingerprint != open_dataset(config(twelve), 16, progress=False).fingerprint


def test_what_was_decided_goes_into_a_packed_file(twelve, config, tmp_path):
    pack_dataset(config(twelve, background="#102030"), 16, tmp_path / "packed.npy", progress=False)
    decoding = read_packed(tmp_path / "packed.npy").info.decoding
    assert decoding["background"] == "#102030" and decoding["range"] == {"16-bit": [0, 4095]}


def test_a_zip_and_tars_are_decoded_as_their_folder(twelve, config, tmp_path):
    expected = open_dataset(config(twelve), 16, progress=False)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for file in sorted(twelve.rglob("*.png")):
            archive.write(file, file.relative_to(twelve))
    assert open_dataset(config(tmp_path / "t.zip"), 16, progress=False).fingerprint == expected.fingerprint
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for file in sorted(twelve.rglob("*.png")):
            archive.add(file, f"{file.parent.name}{file.stem}.png")
            label = tarfile.TarInfo(f"{file.parent.name}{file.stem}.cls")
            label.size = 1
            archive.addfile(label, io.BytesIO(file.parent.name.encode()))
    tars = open_dataset(config(tmp_path / "t.tar"), 16, progress=False)
    assert (tars.images[:] == expected.images[:]).all() and tars.info.decoding == expected.info.decoding
    assert open_dataset(config(tmp_path / "t.tar", range="type"), 16, progress=False).images[:].max() == 16


def test_frames_become_pictures_with_a_name_of_their_own(moving, config, tmp_path):
    assert open_dataset(config(moving), 8, progress=False).images.shape[0] == 2
    pictures = find_source(config(moving, frames="all"), tmp_path).load()
    assert pictures.names == ("a.gif#1", "a.gif#2", "a.gif#3", "b.png")
    image_set = open_dataset(config(moving, frames="all"), 8, progress=False)
    assert [tuple(image) for image in image_set.images[:][:, 4, 4]] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255,) * 3,
    ]
    assert image_set.info.decoding == {"frames": "all"}


def test_a_frame_that_cannot_be_read_is_reported_by_its_name(moving, config, tmp_path):
    data = (moving / "a.gif").read_bytes()
    pages = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 20), dtype=np.uint8)) for i in range(3)]
    stack = stored(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    (moving / "c.tif").write_bytes(stack[:-30])
    (moving / "d.gif").write_bytes(data[:9])
    report = check(config(moving, frames="all"), progress=False)
    found = find_source(config(moving, frames="all"), tmp_path).load().names
    assert report.num_images + len(report.unreadable) == len(found)
    assert {name.partition("#")[0] for name, _ in report.unreadable} == {"c.tif", "d.gif"}


def test_cut_off_files_are_kept_and_counted(tmp_path, config, picture):
    folder = tmp_path / "cut"
    folder.mkdir()
    for index in range(3):
        data = stored(picture(64, 64, index), "JPEG")
        (folder / f"{index}.jpg").write_bytes(data if index else data[: len(data) // 2])
    with pytest.raises(DataError, match=r"0.jpg: damaged or cut off .*--data.truncated keep takes what is there"):
        open_dataset(config(folder), 16, progress=False)
    kept = open_dataset(config(folder, truncated="keep"), 16, progress=False)
    assert len(kept.labels) == 3 and any(note.startswith("1 of 3 pictures: cut off") for note in notes(kept))


def test_the_check_says_what_was_chosen_and_what_is_blank(tmp_path, config, capsys):
    folder = tmp_path / "rings"
    folder.mkdir()
    for index in range(5):
        drawing((255, 255, 255), 40 + index).save(folder / f"{index}.png")
    text = check(config(folder), progress=False).text()
    assert "transparent parts are laid on black, as 5 of 5 looked at would be blank on white" in text
    assert "one colour" not in text
    wrong = check(config(folder, background="white"), progress=False)
    assert "one colour: 5 (all pixels are equal" in wrong.text()
    (folder / "page.jpg").write_text("<html></html>")
    (folder / "half.png").write_bytes((folder / "0.png").read_bytes()[:80])
    assert "unreadable: 2 (1 damaged or not usable, 1 no pictures)" in check(config(folder), progress=False).text()


def test_the_flags_are_there_for_every_verb_that_reads_pictures(twelve, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    sheet = ["--sheet", str(tmp_path / "sheet.png")]
    assert main(["data", "check", str(twelve), *sheet, "--data.range=-5:4095", "--data.background", "black"]) == 3
    assert "8 pictures" in capsys.readouterr().out
    assert main(["data", "check", str(twelve), *sheet, "--data.range", "bits"]) == 2
    assert "range must be one of auto, type, file, set, percentile" in capsys.readouterr().err
    out = str(tmp_path / "p.npy")
    assert main(["data", "pack", str(twelve), "--size", "8", "--out", out, "--data.range", "0:8190"]) == 0
    assert read_packed(tmp_path / "p.npy").images[:].max() < 129
