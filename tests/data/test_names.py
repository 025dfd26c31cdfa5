"""Readable names of classes."""

import os
import time

import pytest

from sagan.data import DataConfig, DataError, check, open_dataset
from sagan.data.names import shown_names


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


NAMES = {
    "cat": "cat",
    "Cat": "Cat",
    "caf\u00e9": "caf\u00e9",
    "cafe\u0301": "cafe\u0301",
    "caf\udce9": "caf\\xe9",  # one byte that is no text
    "two\nlines": "two\\nlines",
    "bell\x07": "bell\\x07",
    "\u05e9\u05dc\u05d5\u05dd": "\u05e9\u05dc\u05d5\u05dd",
    "a\u202eb": "a\\u202eb",
    "-x": "-x",
    "x" * 255: "x" * 255,
}


def test_names_are_kept_apart_and_shown_safely() -> None:
    assert shown_names(list(NAMES)) == NAMES
    assert len(set(shown_names([*NAMES, "two\\nlines"]).values())) == len(NAMES) + 1


def test_folders_of_any_name_train_and_are_chosen_by_number(tmp_path, picture):
    folder = tmp_path / "set"
    names = [name for name in NAMES if name != "Cat"]  # some file systems do not tell it from cat
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(2):
            picture().save(os.fsencode(folder / name / f"{i}.png").decode("utf-8", "surrogateescape"))
    config = DataConfig(path=str(folder), cache_dir=str(tmp_path / "cache"))
    found = open_dataset(config, 8, progress=False)
    assert sorted(found.class_names) == sorted(NAMES[name] for name in names)
    assert all("\n" not in name for name in found.class_names)
    "".join(found.class_names).encode("utf-8")
    again = open_dataset(config, 8, progress=False)
    assert again.class_names == found.class_names
    report = check(config, progress=False)
    assert "two\\nlines" in report.text()


def test_names_that_look_the_same_are_told_apart_in_no_time():
    names = ["".join(("\x01", "\\x01")[number >> bit & 1] for bit in range(13)) for number in range(2**13)]
    start = time.process_time()
    shown = shown_names(names)
    assert time.process_time() - start < 5
    assert len(set(shown.values())) == 2**13 and set(shown.values()) >= {names[-1], f"{names[-1]} (8192)"}
    assert shown_names(["\x01", "\\x01", "\\x01 (2)"]) == {
        "\x01": "\\x01",
        "\\x01": "\\x01 (2)",
        "\\x01 (2)": "\\x01 (2) (2)",
    }
