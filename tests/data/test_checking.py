import io
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataConfig, DataError, check
from sagan.data.checking import LABEL_PX, SHEET_COLUMNS, SHEET_ROWS, THUMBNAIL_PX
from sagan.data.packed import packed_writer
from sagan.data.pixel_traits import SHOWN


def test_counts_sizes_and_formats(class_folder, config, picture):
    picture(30, 20).save(class_folder / "dog" / "big.jpg")
    picture(4, 5).save(class_folder / "dog" / "small.bmp")
    report = check(config(class_folder), 10, progress=False)
    assert report.num_images == 7 and report.class_counts == {"cat": 3, "dog": 4}
    assert report.imbalance == pytest.approx(4 / 3)
    assert report.widths_px == (4, 12, 30) and report.heights_px == (5, 10, 20)
    assert report.formats == {"PNG": 5, "JPEG": 1, "BMP": 1} and report.traits == {"enlarged": 1}
    assert (report.unreadable, report.duplicates, report.ignored) == ((), (), ())


def test_peculiar_pictures_are_counted_with_what_will_be_done(tmp_path, config):
    folder = tmp_path / "mixed"
    folder.mkdir()
    Image.new("L", (8, 8), 1).save(folder / "grey.png")
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(folder / "alpha.png")
    Image.new("CMYK", (8, 8), (9, 9, 9, 9)).save(folder / "cmyk.jpg")
    Image.fromarray(np.full((8, 8), 999, np.uint16)).save(folder / "deep.png")
    Image.new("P", (8, 8), 3).save(folder / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6), "red").save(folder / "turned.jpg", exif=exif)
    Image.new("RGB", (8, 8), "red").save(
        folder / "moving.png", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")]
    )
    report = check(config(folder), 8, progress=False)
    assert {trait: count for trait, count in report.traits.items() if trait not in SHOWN} == {
        "grey": 2,
        "alpha": 1,
        "CMYK": 1,
        "16-bit": 1,
        "palette": 1,
        "EXIF-rotated": 1,
        "animated": 1,
        "enlarged": 1,
    }
    assert report.heights_px[2] == 8 and report.widths_px[0] == 6  # The turned one is 6 wide and 8 high.
    text = report.text()
    assert "alpha: 1 (transparent parts are laid on a background)" in text and "16-bit: 1 (scaled to 8 bits)" in text


def test_bad_files_are_named_and_never_end_the_check(class_folder, config):
    (class_folder / "cat" / "text.png").write_text("I am a text")
    (class_folder / "cat" / "cut.jpg").write_bytes(jpeg()[:400])
    (class_folder / "dog" / "empty.gif").touch()
    (class_folder / "dog" / "link.png").symlink_to("nowhere.png")
    Image.new("RGB", (1, 1)).save(class_folder / "dog" / "dot.png")
    (class_folder / "readme.md").touch()
    report = check(config(class_folder), progress=False)
    reasons = dict(report.unreadable)
    assert set(reasons) == {"cat/text.png", "cat/cut.jpg", "dog/empty.gif", "dog/link.png", "dog/dot.png"}
    assert reasons["dog/link.png"] == "a link that leads nowhere (No such file or directory)"
    assert report.class_counts == {"cat": 3, "dog": 2} and report.ignored == ("readme.md",)
    assert any("5 file(s) cannot be read" in warning for warning in report.warnings)
    assert "  cat/text.png: not a picture in a known format" in report.text()


def jpeg():
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG")
    return buffer.getvalue()


def test_nothing_readable_is_still_a_report(tmp_path, config):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").touch()
    report = check(config(tmp_path / "bad"), 8, progress=False)
    assert report.num_images == 0 and report.widths_px == (0, 0, 0) and report.imbalance == float("inf")
    assert "bad: 0 pictures" in report.text()


def test_copies_are_found_by_their_pixels_not_their_bytes(class_folder, config):
    original = Image.open(class_folder / "cat" / "0.png")
    original.save(class_folder / "dog" / "copy.bmp")
    shutil.copy(class_folder / "cat" / "1.png", class_folder / "cat" / "1 (copy).png")
    report = check(config(class_folder), progress=False)
    assert {frozenset(group) for group in report.duplicates} == {
        frozenset({"cat/0.png", "dog/copy.bmp"}),
        frozenset({"cat/1.png", "cat/1 (copy).png"}),
    }
    assert report.num_copies == 2
    assert any("2 of 7 pictures are exact copies" in warning for warning in report.warnings)


def test_equal_bytes_in_another_shape_are_no_copies(tmp_path, config):
    (tmp_path / "plain").mkdir()
    for width, height in ((4, 6), (6, 4)):
        Image.new("RGB", (width, height), "red").save(tmp_path / "plain" / f"{width}.png")
    assert check(config(tmp_path / "plain"), progress=False).duplicates == ()


def test_one_class_where_many_were_meant_is_said_loudly(class_folder, tmp_path, config):
    parent = tmp_path / "parent"
    (parent / "animals").mkdir(parents=True)
    for path in (class_folder / "cat").iterdir():
        shutil.copy(path, parent / "animals")
    report = check(config(parent), progress=False)
    assert "only ONE CLASS, animals" in report.warnings[0]
    assert report.text().splitlines()[1].startswith("WARNING: there is only ONE CLASS")
    flat = check(config(parent / "animals"), progress=False)
    assert "NO CLASSES" in flat.warnings[0] and "classes: none" in flat.text()


def test_imbalance_small_classes_and_small_pictures_are_warned_of(tmp_path, config):
    images = np.random.default_rng(0).integers(0, 256, (1300, 4, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=[0] * 1200 + [1] * 100)
    assert check(config(tmp_path / "a.npz"), 4, progress=False).imbalance == 12.0
    assert "the largest has 1,200 pictures, the smallest 100" in check(config(tmp_path / "a.npz")).warnings[0]
    np.savez(tmp_path / "b.npz", images=images, labels=[0] * 1201 + [1] * 99)
    said = check(config(tmp_path / "b.npz"), 8, progress=False).warnings
    assert len(said) == 3 and "1 class(es) have fewer than 100 pictures, too few to learn from: 1 99" in said[1]
    assert "most pictures are smaller than 8 px" in said[2]
    np.savez(tmp_path / "c.npz", images=images, labels=[0] * 650 + [1] * 650)
    assert check(config(tmp_path / "c.npz"), 4, progress=False).warnings == ()


def test_the_contact_sheet_shows_a_row_for_each_class(tmp_path, config):
    colours = {"blue": (0, 0, 255), "green": (0, 128, 0), "red": (255, 0, 0)}
    for name, colour in colours.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (9, 9), colour).save(tmp_path / "set" / name / f"{index:02}.png")
    (tmp_path / "set" / "red" / "00.png").write_bytes(b"no")
    sheet = np.asarray(check(config(tmp_path / "set"), progress=False).contact_sheet)
    pitch = THUMBNAIL_PX + 2
    assert sheet.shape == (3 * pitch, LABEL_PX + SHEET_COLUMNS * pitch, 3)
    for row, colour in enumerate(colours.values()):
        line = sheet[row * pitch + 10]
        for column in range(SHEET_COLUMNS):
            expected = (211, 211, 211) if (row, column) == (2, 0) else colour
            assert tuple(line[LABEL_PX + column * pitch + 10]) == expected
        assert (sheet[row * pitch : (row + 1) * pitch, :LABEL_PX] < 100).any()  # Its name is written there.


def test_a_sheet_of_many_classes_says_how_many_are_not_shown(tmp_path, config):
    count = SHEET_ROWS + 7
    names = np.array([f"a very long class name that does not fit into its column, {index}" for index in range(count)])
    images = np.zeros((count, 2, 2, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(count), class_names=names)
    sheet = check(config(tmp_path / "a.npz"), progress=False).contact_sheet
    assert sheet.height == SHEET_ROWS * (THUMBNAIL_PX + 2) + 20
    assert (np.asarray(sheet)[-20:, :LABEL_PX] < 100).any()


def test_a_class_that_has_a_name_but_no_picture_is_shown_as_zero(tmp_path, config):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4), np.uint8), labels=[0, 2], class_names=["a", "b", "c"])
    report = check(config(tmp_path / "a.npz"), progress=False)
    assert report.class_counts == {"a": 1, "b": 0, "c": 1} and report.imbalance == float("inf")


def test_a_path_alone_is_enough_and_wrong_places_are_explained(class_folder, tmp_path):
    assert check(str(class_folder), progress=False).num_images == 5
    with pytest.raises(DataError, match="there is no"):
        check(str(tmp_path / "nowhere"), progress=False)


def test_what_is_left_out_is_counted_by_class_wherever_that_lies(class_folder, tmp_path, config):
    around = tmp_path / "around" / "set"
    around.parent.mkdir()
    class_folder.rename(around)
    (around / "cat" / "a.nef").write_bytes(b"raw")
    (around / "cat" / "text.png").write_text("I am a text")
    (around / "raw").mkdir()
    (around / "raw" / "b.nef").write_bytes(b"raw")
    record = check(config(tmp_path / "around", may_lose=("raw",)), progress=False).record()
    assert [(one["name"], one["pictures"], one["left_out"]) for one in record["classes"]] == [
        ("cat", 3, 2),
        ("dog", 2, 0),
    ]
    assert {(one["where"], one["files"]) for one in record["left_out"]} == {("cat", 1), ("set/raw", 1)}


def test_names_of_classes_are_printed_without_codes_of_terminals(tmp_path, numbered_set):
    named = numbered_set([0, 1, 0, 1])
    names = ("a\x1b]0;x\x07", "b")
    with packed_writer(tmp_path / "a.npy", (2, 2), 4, "key") as writer:
        writer.add([(picture, frozenset()) for picture in named.images])
        writer.finish(named.labels, names, "made", [str(index) for index in range(4)])
    text = check(DataConfig(path=str(tmp_path / "a.npy")), progress=False).text()
    assert "a\\x1b]0;x\\x07" in text and all(line.isprintable() for line in text.split("\n"))


def test_the_text_names_what_is_to_be_looked_at_and_what_is_in_two_classes(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (260, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    images[:12] //= 24
    images[100:107] = images[100]  # six of one class, and the last of another
    images[200:202] = images[200]
    labels = np.zeros(260, int)
    labels[106] = 1
    labels[210:] = 1
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    lines = check(str(tmp_path / "set.npz"), progress=False).text().splitlines()
    dark = next(place for place, line in enumerate(lines) if line.startswith("look at 12 dark: "))
    assert lines[dark].endswith("(--page shows them)")
    assert all(line.startswith("  picture ") for line in lines[dark + 1 : dark + 11])
    assert lines[dark + 11] == "  ... and 2 more"
    copies = lines.index("copies of other pictures: 7")
    assert lines[copies + 1 : copies + 3] == [
        "  picture 100 = picture 106 = picture 101 = picture 102 and 3 more",
        "  picture 200 = picture 201",
    ]


def test_the_text_names_near_copies_of_different_classes_first_and_says_how_many_follow(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 200, (120, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    for index in range(41, 46):
        images[index] = images[40] + np.uint8(index - 40)  # a little brighter
    np.savez(tmp_path / "set.npz", images=images, labels=(np.arange(120) >= 45).astype(int))
    lines = check(str(tmp_path / "set.npz"), progress=False).text().splitlines()
    assert "  picture 40 ~ picture 45 ~ picture 41 ~ picture 42 and 2 more" in lines


def test_the_text_says_what_to_do(class_folder):
    report = check(str(class_folder), progress=False)
    lines = report.text().splitlines()
    start = lines.index("advice (--page gives the reasons):")
    assert lines[start + 1 : -1] == [f"  {one.text}" for one in report.advice]
    assert lines[-1] == f"  {[one.command for one in report.advice if one.command][-1]}"
