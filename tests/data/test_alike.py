"""Pictures opened as a run's were: what it chose and what its automatic choices came to, unless the user chooses."""

import json

import numpy as np
import pytest
from made import deep_png, drawing, ramp, stored, tiff

from sagan.data import (
    DataError,
    about_data,
    fitted_alike,
    notes,
    open_alike,
    open_dataset,
    pack_dataset,
)
from sagan.data.alike import plan_alike
from sagan.data.decode import decode_picture


@pytest.fixture
def deep(tmp_path):
    """Make a folder of 16-bit pictures whose values go up to a number."""

    def make(name, top, count=6):
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            values = np.rint(np.roll(ramp(20, 20), 3 * index, axis=1) * top).astype(np.uint16)
            (folder / f"{index}.png").write_bytes(deep_png(values))
        return folder

    return make


@pytest.fixture
def drawings(tmp_path):
    """Make a folder of drawings of one colour on a transparent ground."""

    def make(name, colour):
        (tmp_path / name).mkdir()
        for index in range(4):
            (tmp_path / name / f"{index}.png").write_bytes(stored(drawing(colour, 40 + index)))
        return tmp_path / name

    return make


@pytest.fixture
def run_of(tmp_path, config):
    """Give what a run on some pictures writes down, as it comes back from its checkpoint, without its cache."""

    def make(path, **fields):
        chosen = config(path, **fields)
        chosen = type(chosen)(**{**vars(chosen), "cache_dir": str(tmp_path / "elsewhere")})
        return json.loads(json.dumps(about_data(open_dataset(chosen, 16, progress=False), chosen)))

    return make


def test_values_of_another_range_are_read_with_the_runs_and_decoded_once(deep, config, run_of, decodes):
    run, other = run_of(deep("twelve", 4095)), deep("fourteen", 16383)
    decodes.clear()
    found = open_alike(config(other), 16, run, progress=False)
    assert len(decodes) == 6
    by_hand = open_dataset(config(other, range="0:4095"), 16, progress=False)
    assert found.fingerprint == by_hand.fingerprint and len(decodes) == 6
    assert found.fingerprint != open_dataset(config(other), 16, progress=False).fingerprint
    assert notes(found)[0] == "read as the run's pictures were, with --data.range=0:4095"
    again = open_alike(config(other), 16, run, progress=False)  # though those of the automatic choice are packed, too
    assert again.fingerprint == found.fingerprint


def test_what_comes_to_the_same_pixels_is_not_packed_again(deep, config, run_of, decodes):
    twelve, other = deep("twelve", 4095), deep("other", 4095)
    open_dataset(config(other), 16, progress=False)
    run = run_of(twelve, range="0:4095")
    decodes.clear()
    found = open_alike(config(other), 16, run, progress=False)
    assert decodes == [] and not any("run's" in note for note in notes(found))


def test_what_a_run_packed_by_its_choice_is_found_again(deep, config, run_of, decodes):
    twelve = deep("twelve", 4095)
    trained = open_dataset(config(twelve, range="type", background="black"), 16, progress=False)
    run = about_data(trained, config(twelve, range="type", background="black"))
    decodes.clear()
    found = open_alike(config(twelve), 16, run, progress=False)
    assert decodes == [] and found.fingerprint == trained.fingerprint


def test_what_the_user_chooses_wins(deep, config, run_of):
    run, other = run_of(deep("twelve", 4095), frames="all"), deep("fourteen", 16383)
    found = open_alike(config(other, range="type"), 16, run, progress=False)
    assert found.info.decoding["range"] == "type" and found.info.decoding["frames"] == "all"
    assert "read as the run's pictures were, with --data.frames=all" in notes(found)


def test_a_range_that_is_not_clear_is_with_the_runs(deep, config, run_of, tmp_path):
    run = run_of(deep("twelve", 4095))
    mixed = deep("mixed", 65535, count=3)
    for index in range(3, 6):
        (mixed / f"{index}.png").write_bytes(deep_png(np.rint(ramp(20, 20) * 900).astype(np.uint16)))
    with pytest.raises(DataError, match="not clear"):
        open_alike(config(mixed), 16, {}, progress=False)
    found = open_alike(config(mixed), 16, run, progress=False)
    assert found.info.decoding["range"] == "0:4095"


def test_ranges_of_several_kinds_that_no_flag_writes_are_told(deep, config):
    fourteen = deep("fourteen", 16383)
    one = {"decoding": {"range": {"16-bit": [0.0, 4095.0], "floating-point": [0.0, 1.0]}}}
    assert open_alike(config(fourteen), 16, one, progress=False).info.decoding["range"] == "0:4095"
    (fourteen / "signed.tif").write_bytes(tiff(np.rint(ramp(20, 20) * 99).astype(np.int16)))
    two = {"decoding": {"range": {"16-bit": [0.0, 4095.0], "signed 16-bit": [0.0, 9.0]}}}
    found = open_alike(config(fourteen), 16, two, progress=False)
    assert found.info.decoding["range"] == {"16-bit": [0, 16383], "signed 16-bit": [0, 255]}
    assert (
        "read with range 16-bit 0:16383, signed 16-bit 0:255, the run's pictures with range 16-bit 0:4095, signed "
        "16-bit 0:9, which no flag does at once; --data.range chooses"
    ) in notes(found)


def test_drawings_are_laid_on_the_runs_background(drawings, config, run_of):
    run = run_of(drawings("white", (255, 255, 255)))  # which vanishes on white
    assert run["decoding"]["background"] == "black"
    red = drawings("red", (255, 0, 0))
    assert open_dataset(config(red), 16, progress=False).images[0][0, 0].tolist() == [255, 255, 255]
    found = open_alike(config(red), 16, run, progress=False)
    assert found.images[0][0, 0].tolist() == [0, 0, 0]
    assert "read as the run's pictures were, with --data.background=black" in notes(found)


def test_everything_else_that_a_run_chose_is_taken(class_folder, config, run_of):
    chosen = {"fit": "pad", "border": "black", "profiles": "ignore", "truncated": "keep", "max_megapixels": 50.0}
    run = run_of(class_folder, **chosen)
    found = open_alike(config(class_folder), 16, run, progress=False)
    assert found.fingerprint == run["fingerprint"]
    assert {name: found.info.decoding[name] for name in chosen} == chosen
    assert notes(found)[0] == (
        "read as the run's pictures were, with --data.truncated=keep --data.profiles=ignore --data.fit=pad "
        "--data.border=black --data.max-megapixels=50.0"
    )
    mine = open_alike(config(class_folder, fit="squeeze"), 16, run, progress=False)
    assert mine.info.decoding["fit"] == "squeeze" and "border" not in mine.info.decoding
    assert fitted_alike(config(class_folder), run).border == "black"
    assert fitted_alike(config(class_folder, fit="smart"), run).fit == "smart"


@pytest.mark.parametrize("told", [None, {}, {"decoding": None}, {"fingerprint": "0"}])
def test_runs_that_say_nothing_change_nothing(class_folder, config, told):
    expected = open_dataset(config(class_folder), 16, progress=False)
    found = open_alike(config(class_folder), 16, told, progress=False)
    assert found.fingerprint == expected.fingerprint and found.told == expected.told


def test_folders_mean_what_they_meant_to_the_run_where_they_have_its_name(class_folder, config, run_of, tmp_path):
    run = run_of(class_folder, classes="none")
    assert run["reading"] == {"classes": "none"}
    assert open_alike(config(class_folder), 16, run, progress=False).class_names == ()
    assert open_alike(config(class_folder, classes="first"), 16, run, progress=False).class_names == ("cat", "dog")
    class_folder.rename(tmp_path / "others")
    assert open_alike(config(tmp_path / "others"), 16, run, progress=False).class_names == ("cat", "dog")


def test_classes_are_called_as_the_run_called_them(class_folder, config, run_of, tmp_path):
    (tmp_path / "names.txt").write_text("cat Felis catus\ndog Canis\nfox Vulpes\n")
    chosen = config(class_folder, class_names=str(tmp_path / "names.txt"))
    run = run_of(class_folder, class_names=str(tmp_path / "names.txt"))
    assert run["reading"] == {"class_names": {"cat": "Felis catus", "dog": "Canis"}}
    found = open_alike(config(class_folder), 16, run, progress=False)
    assert found.class_names == ("Felis catus", "Canis") and found.fingerprint == run["fingerprint"]
    assert "classes are called as the run called them" in notes(found)
    assert notes(open_alike(chosen, 16, run, progress=False)) == notes(open_dataset(chosen, 16, progress=False))
    class_folder.rename(tmp_path / "others")
    assert open_alike(config(tmp_path / "others"), 16, run, progress=False).class_names == ("cat", "dog")


def test_what_a_run_left_out_is_left_out_again_where_pictures_have_its_name(class_folder, config, run_of, tmp_path):
    for name in ("cat/0.png", "dog/0.png", "dog/1.png"):
        (class_folder / name).write_bytes(b"broken")
    run = run_of(class_folder, skip_unreadable=True, may_lose=("dog",))
    assert run["reading"] == {"skip_unreadable": True, "may_lose": ["dog"]}
    found = open_alike(config(class_folder), 16, run, progress=False)
    assert len(found.labels) == 2 and found.class_names == ("cat",)
    said = "read as the run's pictures were, with --data.skip-unreadable --data.may-lose dog"
    assert said in notes(found) and "3 unreadable files were left out" in notes(found)
    class_folder.rename(tmp_path / "others")
    with pytest.raises(DataError, match=r"3 file\(s\).*leave them out with --data.skip-unreadable"):
        open_alike(config(tmp_path / "others"), 16, run, progress=False)


@pytest.mark.parametrize("said", ["yes", 1, [True], None])
def test_only_a_plain_yes_of_a_run_leaves_pictures_out(class_folder, config, said):
    (class_folder / "dog" / "0.png").write_bytes(b"broken")
    run = {"source": class_folder.name, "reading": {"skip_unreadable": said, "may_lose": said}}
    with pytest.raises(DataError, match="cannot be read as pictures"):
        open_alike(config(class_folder), 16, run, progress=False)


def test_no_place_of_this_machine_stands_in_a_record(class_folder, config):
    (class_folder.parent / "table.csv").write_text("file,label\ncat/0.png,x\ncat/1.png,y\n")
    chosen = config(class_folder, labels=str(class_folder.parent / "table.csv"), split="all", skip_unreadable=True)
    record = about_data(open_dataset(config(class_folder), 16, progress=False), chosen)
    assert record["reading"] == {"split": "all", "skip_unreadable": True} and str(class_folder.parent) not in str(
        record
    )


def test_a_packed_file_stays_as_it_is_and_tells(deep, config, run_of, tmp_path):
    run = run_of(deep("twelve", 4095), fit="pad")
    pack_dataset(config(deep("fourteen", 16383)), 16, tmp_path / "packed.npy", progress=False)
    found = open_alike(config(tmp_path / "packed.npy"), 16, run, progress=False)
    assert found.info.decoding["range"] == {"16-bit": [0, 16383]}
    assert any(
        "is packed already, with range 16-bit 0:16383, fit crop" in note
        and "the run's pictures were read with range 16-bit 0:4095, fit pad" in note
        for note in notes(found)
    )
    same = open_alike(config(tmp_path / "packed.npy"), 16, {"decoding": {"range": "0:16383"}}, progress=False)
    assert not any("run's" in note for note in notes(same))


def test_flags_against_a_packed_file_are_refused_with_both(deep, config, tmp_path):
    twelve = deep("twelve", 4095)
    pack_dataset(config(twelve), 16, tmp_path / "packed.npy", progress=False)
    for size_px in (16, 8):
        with pytest.raises(DataError, match="with range 16-bit 0:4095, and range type is asked for"):
            open_dataset(config(tmp_path / "packed.npy", range="type"), size_px, progress=False)
    with pytest.raises(DataError, match="with frames first, fit crop, and frames all, fit pad is asked for"):
        open_dataset(config(tmp_path / "packed.npy", frames="all", fit="pad"), 16, progress=False)
    same = open_dataset(config(tmp_path / "packed.npy", range="0:4095"), 16, progress=False)
    assert same.told == ()


def test_flags_that_change_nothing_are_told(class_folder, config, tmp_path):
    pack_dataset(config(class_folder), 16, tmp_path / "packed.npy", progress=False)
    one = open_dataset(config(tmp_path / "packed.npy", background="black"), 16, progress=False)
    assert one.told[-1].startswith("--data.background changes nothing: the pixels of ")
    np.savez(tmp_path / "arrays.npz", images=np.zeros((4, 8, 8, 3), np.uint8))
    two = open_dataset(config(tmp_path / "arrays.npz", range="file", frames="all"), 8, progress=False)
    assert two.told[-1].startswith("--data.range and --data.frames change nothing: the pixels of ")
    assert not any(
        "nothing" in note for note in open_dataset(config(class_folder, range="file"), 16, progress=False).told
    )


def test_a_single_picture_is_decoded_with_a_runs_plan(run_of, deep):
    values = deep_png(np.rint(ramp(20, 20) * 4095).astype(np.uint16))
    plan = plan_alike(run_of(deep("twelve", 4095)))
    assert decode_picture(values, plan).pixels.max() == 255
    assert decode_picture(values, plan_alike({"decoding": {"range": "0:8190"}})).pixels.max() == 128
    assert decode_picture(values, plan_alike(None)).pixels.max() == 16
    on_black = plan_alike({"decoding": {"background": "black", "max_megapixels": 1.0}})
    assert decode_picture(stored(drawing((255, 0, 0))), on_black).pixels[0, 0].tolist() == [0, 0, 0]
    assert on_black.max_pixels == 1_000_000
