"""Classes that stand in a file: StyleGAN's dataset.json, Hugging Face's metadata, tables of one's own."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from sagan.data import DataConfig, DataError, open_dataset
from sagan.data.names import readable
from sagan.data.sources import find_source


@pytest.fixture
def flat(tmp_path, picture):
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(4):
        picture().save(folder / f"{i}.png")
    return folder


def read(folder, cache, **choices):
    pictures = find_source(DataConfig(path=str(folder), **choices), cache).load()
    return {name: pictures.class_names[label] for name, label in zip(pictures.names, pictures.labels, strict=True)}


TABLES = {
    "dataset.json": json.dumps({"labels": [["0.png", 1], ["1.png", 0], ["2.png", 10], ["3.png", 1]]}),
    "metadata.csv": "file_name,label\n0.png,1\n1.png,0\n2.png,10\n3.png,1\n",
    "metadata.jsonl": "".join(
        json.dumps({"file_name": f"{i}.png", "text": "a cat", "label": label}) + "\n"
        for i, label in enumerate((1, 0, 10, 1))
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_that_are_known_are_found(flat, tmp_path, table):
    (flat / table).write_text(TABLES[table])
    assert read(flat, tmp_path) == {"0.png": "1", "1.png": "0", "2.png": "10", "3.png": "1"}
    pictures = find_source(str(flat), tmp_path).load()
    assert pictures.class_names == ("0", "1", "10")
    assert pictures.said == (f"classes from {table}",)


def test_stylegans_without_labels_has_none(flat, tmp_path):
    (flat / "dataset.json").write_text('{"labels": null}')
    assert find_source(str(flat), tmp_path).load().class_names == ()


def test_a_table_of_ones_own(flat, tmp_path):
    table = tmp_path / "own.tsv"
    table.write_text("id\tbreed\tsex\n0\tpug\tm\n1\tcollie\tf\n2\tpug\tf\n7\tpug\tf\n")
    found = read(flat, tmp_path, labels=f"{table}:breed")
    assert found == {"0.png": "pug", "1.png": "collie", "2.png": "pug"}
    pictures = find_source(DataConfig(path=str(flat), labels=f"{table}:breed"), tmp_path).load()
    assert pictures.left_out == (("3.png", f"not in {table}"),)
    assert "1 of its names have no picture" in pictures.said
    assert read(flat, tmp_path, labels=f"{table}:sex")["0.png"] == "m"
    zipped = Path(shutil.make_archive(str(tmp_path / "set"), "zip", flat))
    asked = DataConfig(path=str(zipped), labels=f"{table}:breed")
    before, unused = (find_source(one, tmp_path).key for one in (asked, DataConfig(path=str(zipped))))
    assert read(zipped, tmp_path, labels=f"{table}:breed") == found
    table.write_text(table.read_text().replace("1\tcollie", "1\tbeagle"))
    assert find_source(asked, tmp_path).key != before  # else its old classes would come out of the cache folder
    assert find_source(DataConfig(path=str(zipped)), tmp_path).key == unused
    with pytest.raises(DataError, match="has no column 'colour'; its columns: id, breed, sex"):
        read(flat, tmp_path, labels=f"{table}:colour")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dataset.json", '{"labels": [["0.png", [1, 2]]]}', "several labels"),
        ("metadata.csv", "file_name,label\nzero.png,1\n", "names none of the pictures: it has zero.png"),
        ("metadata.csv", "file_name,a,b\n0.png,1,2\n", r"which column of metadata.csv is the class\? It has a, b"),
        ("metadata.jsonl", "{", "cannot be read as a table"),
        ("dataset.json", "[" * 100_000, "cannot be read as a table"),
        ("metadata.csv", b"\xff\xfe\x00", "no text in UTF-8; save it again"),
        ("metadata.csv", "file_name,label\n0.png,caf\xe9\n".encode("latin-1"), "no text in UTF-8; save it again"),
        ("metadata.csv", "", "is empty"),
    ],
)
def test_tables_that_do_not_serve_are_refused_by_name(flat, tmp_path, name, content, message):
    (flat / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as error:
        find_source(str(flat), tmp_path).load()
    assert name in str(error.value)


def test_another_table_is_other_data(flat, tmp_path):
    (flat / "metadata.csv").write_text(TABLES["metadata.csv"])
    config = DataConfig(path=str(flat), cache_dir=str(tmp_path / "cache"))
    before = open_dataset(config, 16, progress=False)
    (flat / "metadata.csv").write_text(TABLES["metadata.csv"].replace("3.png,1", "3.png,0"))
    after = open_dataset(config, 16, progress=False)
    assert before.labels.tolist() != after.labels.tolist()
    assert before.fingerprint != after.fingerprint


SEVERAL = {
    "lists in rows": ("a.jsonl", [{"file": "0.png", "label": ["cat", "dog"]}, {"file": "1.png", "label": ["cat"]}]),
    "boxes": ("metadata.jsonl", [{"file_name": "0.png", "label": {"id": [1, 2]}}]),
    "an object of lists": ("a.json", {"0.png": [1, 2], "1.png": [1]}),
    "StyleGAN's vectors": ("dataset.json", {"labels": [["0.png", [0.0, 1.0]], ["1.png", [1.0, 0.0]]]}),
    "StyleGAN's twice": ("dataset.json", {"labels": [["0.png", 1], ["0.png", 2]]}),
    "twice in a table": ("a.csv", "file_name,label\n0.png,cat\n1.png,cat\n0.png,dog\n"),
    "twice without a heading": ("a.csv", "0.png,cat\n1.png,cat\n0.png,dog\n"),
    "a list in a cell": ("a.csv", "file_name,label\n0.png,\"['cat', 'dog']\"\n1.png,cat\n"),
    "never alone": ("a.csv", "file_name,label\n0.png,cat|dog\n1.png,emu|dog\n"),
    "in one cell": ("a.csv", "file_name,label\n0.png,cat|dog\n1.png,cat\n2.png,dog\n"),
    "in one cell with commas": ("a.tsv", "file_name\tlabel\n0.png\tcat, dog\n1.png\tcat\n2.png\tdog\n"),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_labels_of_a_picture_are_refused(flat, tmp_path, case):
    name, content = SEVERAL[case]
    if isinstance(content, list):
        content = "".join(f"{json.dumps(row)}\n" for row in content)
    (flat / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=rf"{name} gives pictures several labels \(0.png: .*--data.labels FILE:COLUMN"):
        read(flat, tmp_path, labels=None if name in ("metadata.jsonl", "dataset.json") else name)


@pytest.mark.parametrize(
    "rows",
    [
        "0.png,cat,dog\n1.png,cat,bird\n",
        "0.png 1 0 1\n1.png 0 1 1\n".replace(" ", ","),
        "0.png,cat,3,x\n1.png,dog,4,y\n",
    ],
)
def test_more_columns_without_a_heading_are_asked_about(flat, tmp_path, rows):
    (flat / "a.csv").write_text(rows)
    with pytest.raises(
        DataError, match=r"which column of a.csv is the class\? It has several and no heading \(0.png, "
    ):
        read(flat, tmp_path, labels="a.csv")


def test_one_label_in_any_form_is_one(flat, tmp_path):
    rows = [{"file": f"{i}.png", "label": [label]} for i, label in enumerate(("cat", "dog", "cat"))]
    rows += [{"file": "3.png", "label": []}, rows[0]]  # none, and the same again
    (flat / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert read(flat, tmp_path, labels="a.jsonl") == {"0.png": "cat", "1.png": "dog", "2.png": "cat"}
    (flat / "b.csv").write_text("0.png,cat,1,2\n1.png,a|b,3,4\n")  # boxes behind the class; no class a or b
    assert read(flat, tmp_path, labels="b.csv") == {"0.png": "cat", "1.png": "a|b"}


def test_a_cell_of_blanks_is_no_label(flat, tmp_path):
    (flat / "metadata.csv").write_text("file_name,label\n0.png,cat\n1.png,dog\n2.png, \n3.png,cat\n")
    assert read(flat, tmp_path, labels="metadata.csv") == {"0.png": "cat", "1.png": "dog", "3.png": "cat"}


@pytest.mark.parametrize("name", ["two\nlines", "a\u2028b", "a\x85b", "\u202egpj"])
@pytest.mark.parametrize("table", ["metadata.jsonl", "metadata.csv", "dataset.json"])
def test_classes_are_shown_safely_and_line_ends_in_them_end_no_row(flat, tmp_path, table, name):
    rows = [(f"{i}.png", name if i % 2 else "cat") for i in range(4)]
    with (flat / table).open("w", encoding="utf-8", newline="") as stream:
        if table == "metadata.csv":
            csv.writer(stream).writerows([("file_name", "label"), *rows])
        elif table == "dataset.json":
            json.dump({"labels": rows}, stream)
        else:
            stream.writelines(json.dumps({"file_name": a, "label": b}, ensure_ascii=False) + "\n" for a, b in rows)
    assert read(flat, tmp_path) == {f"{i}.png": readable(name) if i % 2 else "cat" for i in range(4)}
    assert readable(name) != name


def test_a_table_above_folders_is_asked_about_where_it_says_other_classes(class_folder, tmp_path):
    def table(classes):
        names = ["cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png"]
        rows = [f"{name},{label}" for name, label in zip(names, classes, strict=True)]
        (class_folder / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))

    by_folder = {"cat/0.png": "cat", "cat/1.png": "cat", "cat/2.png": "cat", "dog/0.png": "dog", "dog/1.png": "dog"}
    for classes in ("00011", ["one", "another", "a third", "a fourth", "a fifth"]):  # the same classes; captions
        table(classes)
        assert read(class_folder, tmp_path) == by_folder
    table("01010")
    with pytest.raises(DataError, match=r"--data.labels metadata.csv takes those .*, --data.classes first those"):
        read(class_folder, tmp_path)
    assert read(class_folder, tmp_path, classes="first") == by_folder
    assert set(read(class_folder, tmp_path, labels="metadata.csv").values()) == {"0", "1"}
    (class_folder / "metadata.csv").write_text("file_name,width,height\ncat/0.png,1,2\n")
    assert read(class_folder, tmp_path) == by_folder


def test_a_folder_below_a_table_is_no_class(flat, tmp_path):
    (tmp_path / "around").mkdir()
    flat.rename(tmp_path / "around" / "00000")
    rows = [[f"00000/{i}.png", i % 2] for i in range(4)]
    (tmp_path / "around" / "dataset.json").write_text(json.dumps({"labels": rows}))
    assert read(tmp_path / "around", tmp_path) == {name: str(label) for name, label in rows}


FORMS = {
    "semicolons and a mark of the order": ("file_name;label\n{0};a\n{1};b\n{2};b\n{3};a\n", "utf-8-sig"),
    "bars": ("file_name|label\n{0}|a\n{1}|b\n{2}|b\n{3}|a\n", "utf-8"),
    "tabs in UTF-16": ("file_name\tlabel\n{0}\ta\n{1}\tb\n{2}\tb\n{3}\ta\n", "utf-16"),
    "a note of the mark": ("sep=;\r\nfile_name;label\r\n{0};a\r\n{1};b\r\n{2};b\r\n{3};a\r\n", "utf-8"),
    "spaces without a heading": ("{0} a\n{1} b\n{2} b\n{3} a\n", "utf-8"),
}
CALLED = {
    "as they are": "{}.png",
    "by a path of this folder": "./{}.png",
    "with the marks of Windows": ".\\{}.png",
    "by a path of another machine": "/home/someone/x/{}.png",
    "by one of Windows": "C:\\x\\{}.png",
    "by the suffix that they had": "{}.JPG",
    "without one": "{}",
}


@pytest.mark.parametrize("called", CALLED)
@pytest.mark.parametrize("form", FORMS)
def test_tables_are_read_as_programs_write_them(flat, tmp_path, form, called):
    text, encoding = FORMS[form]
    table = text.format(*(CALLED[called].format(i) for i in range(4)))
    (flat / "metadata.csv").write_bytes(table.encode(encoding))
    assert read(flat, tmp_path) == {"0.png": "a", "1.png": "b", "2.png": "b", "3.png": "a"}


def test_a_picture_that_a_table_may_mean_twice_gets_no_class(flat, tmp_path, picture):
    picture().save(flat / "0.bmp")
    rows = "0.jpg,a\n1.png,b\n/x/train/2.png,a\n/x/test/2.png,b\n3.png,a\n"
    (flat / "metadata.csv").write_text(f"file_name,label\n{rows}")
    pictures = find_source(str(flat), tmp_path).load()
    assert pictures.names == ("1.png", "3.png")
    assert dict(pictures.left_out) == dict.fromkeys(("0.bmp", "0.png", "2.png"), "not in metadata.csv")


def test_captions_are_no_classes_unless_they_are_said_to_be(flat, tmp_path, picture):
    for i in range(4, 12):
        picture().save(flat / f"{i}.png")
    (flat / "metadata.csv").write_text("file_name,text\n" + "".join(f"{i}.png,scene {i}\n" for i in range(12)))
    with pytest.raises(DataError, match=r"12 different values of text for 12 .*--data.labels metadata.csv:text"):
        find_source(str(flat), tmp_path).load()
    assert len(set(read(flat, tmp_path, labels="metadata.csv:text").values())) == 12
    assert find_source(DataConfig(path=str(flat), classes="none"), tmp_path).load().class_names == ()


def test_a_table_that_is_not_used_is_named(flat, tmp_path):
    (flat / "mine.csv").write_text("file_name,label\n0.png,a\n1.png,b\n")
    said = find_source(str(flat), tmp_path).load().said
    assert said == ("the table mine.csv is not used; --data.labels mine.csv takes the classes from it",)


def test_a_table_that_is_long_for_its_pictures_is_refused(tmp_path, picture, monkeypatch):
    monkeypatch.setattr("sagan.data.tables.MAX_BYTES", 300)
    monkeypatch.setattr("sagan.data.tables.MAX_BYTES_EACH", 100)
    rows = ["file_name,label", "a.png,1", "b.png,2", *["a.png,1"] * 30]
    for name in "ab":
        picture().save(tmp_path / f"{name}.png")
    (tmp_path / "metadata.csv").write_text("\n".join(rows[:30]))
    assert find_source(str(tmp_path), tmp_path / "cache").load().class_names == ("1", "2")
    (tmp_path / "metadata.csv").write_text("\n".join([*rows, *rows[1:]]))
    with pytest.raises(DataError, match=r"metadata.csv has 0 MiB, more than the 0 allowed beside 2 picture"):
        find_source(str(tmp_path), tmp_path / "cache")
    (tmp_path / "metadata.csv").rename(tmp_path.parent / "own.csv")
    own = DataConfig(path=str(tmp_path), labels=str(tmp_path.parent / "own.csv"))
    assert find_source(own, tmp_path / "cache").load().class_names == ("1", "2")


@pytest.mark.parametrize("name", ["own.csv", "own.json", "own.jsonl"])
def test_a_table_of_any_length_takes_bounded_memory(flat, tmp_path, monkeypatch, name):
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 2**40)
    with pytest.raises(DataError, match=rf"{name} cannot be read: it has more than 1 MiB"):
        read(flat, tmp_path, labels=str(tmp_path / name))
