"""Data sets of the library datasets, from a folder, Parquet files and (without a network) by name."""

import json
import os
import sys
from dataclasses import replace

import datasets
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from sagan.data import DataConfig, DataError, check, open_dataset, pack_shards
from sagan.data.decode import UnreadableError
from sagan.data.sources import find_source


@pytest.fixture
def table(picture):
    """Make a table of seven pictures of 12 px; the columns besides can be chosen."""

    def make(features=None, **columns):
        features = features or {"label": datasets.ClassLabel(names=["dog", "cat"])}
        columns = columns or {"label": [0, 1, 0, 1, 1, 0, 1]}
        images = [picture(12, 12, seed) for seed in range(7)]
        types = datasets.Features({"image": datasets.Image(), **features})
        return datasets.Dataset.from_dict({"image": images, **columns}, features=types)

    return make


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()


@pytest.fixture
def pixels(picture):
    return np.stack([np.asarray(picture(12, 12, seed)) for seed in range(7)])


@pytest.fixture(params=["saved", "splits", "file", "folder", "by name"])
def place(request, table, tmp_path, monkeypatch):
    """The same table in every form that is taken."""
    root, kind = tmp_path / "here", request.param
    other = table().select([0, 1])
    if kind == "saved":
        table().save_to_disk(root)
    elif kind == "splits":
        datasets.DatasetDict({"test": other, "train": table()}).save_to_disk(root)
    elif kind == "by name":
        monkeypatch.setattr(datasets, "load_dataset", lambda name, config, split: {"train": table()}[split])
        return "hf:someone/animals"
    else:
        root.mkdir()
        table().to_parquet(root / "train-00000-of-00001.parquet")
        other.to_parquet(root / "test-00000-of-00001.parquet")
        if kind == "file":
            return root / "train-00000-of-00001.parquet"
    return root


def test_every_form_gives_the_pictures_and_classes(place, config, pixels):
    image_set = open_dataset(config(place), 12, progress=False)
    assert (image_set.images[:] == pixels).all()
    assert image_set.labels.tolist() == [0, 1, 0, 1, 1, 0, 1] and image_set.class_names == ("dog", "cat")


def test_a_folder_may_be_called_like_a_reader_of_the_library(table, tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parquet").mkdir()
    table().to_parquet(tmp_path / "parquet" / "train.parquet")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "picture.png").write_bytes(b"no table")  # what that reader would find here
    assert len(open_dataset(config("parquet"), 12, progress=False).images) == 7


def test_a_split_is_chosen_behind_a_colon(table, tmp_path, config):
    splits = {"train": table(), "validation": table().select([3, 4])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "here")
    assert len(open_dataset(config(f"hf:{tmp_path}/here:validation"), 12, progress=False).images) == 2
    with pytest.raises(DataError, match=r"has no split test; it has train, validation: hf:.*:SPLIT chooses one"):
        open_dataset(config(f"hf:{tmp_path}/here:test"), 12, progress=False)


def test_name_split_and_configuration_reach_the_library(table, config, monkeypatch):
    asked = []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, config, split: asked.append((name, config, split)) or table()
    )
    for path in ("hf:a/b", "hf:a/b:test", "hf:a/b:test:small"):
        open_dataset(config(path), 12, progress=False)
    assert asked == [("a/b", None, "train"), ("a/b", None, "test"), ("a/b", "small", "test")]


def test_a_name_that_cannot_be_loaded_is_one_sentence(config, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("Couldn't reach 'a/b' on the Hub\n(timed out). And more")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError) as error:
        open_dataset(config("hf:a/b"), 12, progress=False)
    assert str(error.value).startswith(
        "hf:a/b cannot be loaded from the Hugging Face hub (Couldn't reach 'a/b' on the Hub (timed out)); "
        "expected hf:NAME"
    )
    for path in ("hf:", "hf:a:b:c:d"):
        with pytest.raises(DataError, match="has another form than hf:NAME"):
            open_dataset(config(path), 12, progress=False)


def test_columns_are_chosen_by_type_and_usual_names(table, tmp_path):
    two = {"coarse_label": datasets.ClassLabel(names=["x"]), "fine_label": datasets.ClassLabel(names=["p", "q"])}
    fine = table(two, coarse_label=[0] * 7, fine_label=[0, 1] * 3 + [0])
    fine = fine.add_column("caption", [f"text {i}" for i in range(7)])
    fine.save_to_disk(tmp_path / "fine")
    assert find_source(str(tmp_path / "fine"), tmp_path).load().class_names == ("p", "q")
    table({"label": datasets.Value("int64")}, label=[3, 9, 3, 9, 9, 3, 9]).save_to_disk(tmp_path / "numbers")
    assert find_source(str(tmp_path / "numbers"), tmp_path).load().class_names == ("3", "9")
    table({"x": datasets.Value("string")}, x=["?"] * 7).save_to_disk(tmp_path / "none")
    assert find_source(str(tmp_path / "none"), tmp_path).load().class_names == ()


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint64", "large_string"])
def test_labels_of_every_width_are_labels(table, tmp_path, kind):
    values = ["p", "q"] if kind == "large_string" else [3, 9]
    table({"label": datasets.Value(kind)}, label=[values[i % 2] for i in range(7)]).save_to_disk(tmp_path / "a")
    assert find_source(str(tmp_path / "a"), tmp_path).load().class_names == tuple(map(str, values))


def test_a_table_without_pictures_or_with_a_missing_label(table, tmp_path):
    table().remove_columns(["image"]).save_to_disk(tmp_path / "bare")
    with pytest.raises(DataError, match="has no column of pictures, only label; expected one of type Image"):
        find_source(str(tmp_path / "bare"), tmp_path).load()
    table(label=[0, 1, -1, 0, 1, 0, 0], features={"label": datasets.ClassLabel(names=["a", "b"])}).save_to_disk(
        tmp_path / "secret"
    )
    with pytest.raises(DataError, match="1 of 7 pictures have no label, such as row 2"):
        find_source(str(tmp_path / "secret"), tmp_path).load()


def test_a_damaged_folder_is_one_sentence(table, tmp_path):
    table().save_to_disk(tmp_path / "here")
    next((tmp_path / "here").glob("*.arrow")).unlink()
    with pytest.raises(DataError, match=r"here cannot be read as a data set .*; save it again"):
        find_source(str(tmp_path / "here"), tmp_path).load()


@pytest.mark.parametrize("in_splits", [False, True])
def test_a_folder_that_names_tables_elsewhere_is_refused(table, tmp_path, in_splits):
    table().save_to_disk(tmp_path / "private")
    whole, root = (datasets.DatasetDict({"train": table()}), "here/train") if in_splits else (table(), "here")
    whole.save_to_disk(tmp_path / "here")
    assert len(find_source(str(tmp_path / "here"), tmp_path).load().labels) == 7
    state = json.loads((tmp_path / root / "state.json").read_text())
    secret = next((tmp_path / "private").glob("*.arrow"))
    for files, why in (
        ([{"filename": str(secret)}], "names a file outside of it, .*private"),
        ([{"filename": "../" * (1 + in_splits) + f"private/{secret.name}"}], "names a file outside of it"),
        ([secret.name], "names no files"),
    ):
        (tmp_path / root / "state.json").write_text(json.dumps(state | {"_data_files": files}))
        with pytest.raises(DataError, match=rf"here cannot be read as a data set .*{why}"):
            find_source(str(tmp_path / "here"), tmp_path).load()


def test_damaged_pictures_are_named_by_row(tmp_path, config, picture):
    picture(12, 12).save(tmp_path / "good.png")
    good = (tmp_path / "good.png").read_bytes()
    rows = [{"bytes": good, "path": None}, {"bytes": b"no", "path": None}, None]
    rows.append({"bytes": None, "path": str(tmp_path / "good.png")})
    features = datasets.Features({"image": datasets.Image(decode=False)})
    datasets.Dataset.from_dict({"image": rows}, features=features).save_to_disk(tmp_path / "here")
    with pytest.raises(DataError, match=r"2 file\(s\) \(row 1: not a picture.*row 2: "):
        open_dataset(config(tmp_path / "here"), 12, progress=False)
    image_set = open_dataset(config(tmp_path / "here", skip_unreadable=True), 12, progress=False)
    assert (image_set.images[:] == np.asarray(Image.open(tmp_path / "good.png"))).all() and len(image_set.images) == 2


def test_check_and_parts_work_on_tables(table, tmp_path, config):
    table().save_to_disk(tmp_path / "here")
    assert check(config(tmp_path / "here"), 12, progress=False).class_counts == {"dog": 3, "cat": 4}
    one = open_dataset(config(tmp_path / "here"), 12, progress=False)
    for part in (1, 2):
        many = pack_shards(config(tmp_path / "here"), 12, tmp_path / "set", 5e-6, part=(part, 2), progress=False)
    assert many.fingerprint == one.fingerprint


def test_a_table_saved_anew_is_packed_anew(table, tmp_path, config):
    table().save_to_disk(tmp_path / "here")
    first = open_dataset(config(tmp_path / "here"), 12, progress=False)
    table().select([1, 0]).save_to_disk(tmp_path / "here")
    assert len(open_dataset(config(tmp_path / "here"), 12, progress=False).images) == 2 != len(first.images)


def test_without_the_library_the_extra_is_named(table, tmp_path, monkeypatch):
    table().save_to_disk(tmp_path / "here")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for path in ("hf:a/b", str(tmp_path / "here")):
        with pytest.raises(DataError, match=r'need the library datasets .*pip install "sagan-torch\[huggingface\]"'):
            find_source(path, tmp_path)


def test_several_labels_of_a_picture_are_refused(table, tmp_path):
    for name, features in (
        ("labels", datasets.Sequence(datasets.ClassLabel(names=["a", "b"]))),
        ("tags", datasets.Sequence(datasets.ClassLabel(names=["a", "b"]))),
        ("label", datasets.Sequence(datasets.Value("int64"))),
    ):
        columns = {name: [[0, 1], [0], [1], [0], [1], [0], [1]], "kind": list("xyxyxyx")}
        kinds = {name: features, "kind": datasets.Value("string")}
        table(features=kinds, **columns).save_to_disk(tmp_path / name)
        several = (
            rf"column {name} of .* gives pictures several labels or none \(\[0, 1\]\); .*--data.labels COLUMN \(kind\)"
        )
        with pytest.raises(DataError, match=several):
            find_source(str(tmp_path / name), tmp_path).load()
        chosen = DataConfig(path=str(tmp_path / name), labels="kind")
        assert find_source(chosen, tmp_path).load().labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
        assert find_source(chosen, tmp_path).key != find_source(str(tmp_path / name), tmp_path).key


def test_lists_of_one_label_are_labels(table, tmp_path):
    kinds = {"labels": datasets.Sequence(datasets.ClassLabel(names=["a", "b"]))}
    table(features=kinds, labels=[[0], [1], [0], [1], [0], [1], [0]]).save_to_disk(tmp_path / "here")
    pictures = find_source(str(tmp_path / "here"), tmp_path).load()
    assert pictures.labels.tolist() == [0, 1, 0, 1, 0, 1, 0] and pictures.class_names == ("a", "b")


def test_of_several_columns_of_classes_one_is_chosen(table, tmp_path):
    kinds = {name: datasets.ClassLabel(names=["a", "b"]) for name in ("breed", "colour")}
    table(features=kinds, breed=[0, 1] * 3 + [0], colour=[1, 1, 0, 0, 1, 1, 0]).save_to_disk(tmp_path / "here")
    with pytest.raises(
        DataError, match=r"which column of .* is the class\? It has breed, colour; choose with --data.labels"
    ):
        find_source(str(tmp_path / "here"), tmp_path).load()
    for name, labels in (("breed", [0, 1, 0, 1, 0, 1, 0]), ("colour", [1, 1, 0, 0, 1, 1, 0])):
        chosen = DataConfig(path=str(tmp_path / "here"), labels=name)
        assert find_source(chosen, tmp_path).load().labels.tolist() == labels
    with pytest.raises(DataError, match=r"has no column 'race' \(--data.labels\); its columns: image, breed, colour"):
        find_source(DataConfig(path=str(tmp_path / "here"), labels="race"), tmp_path).load()


def test_what_is_said_of_folders_is_refused(place, config):
    for flag, choice in (("split", "train"), ("classes", "first"), ("class_pattern", "(.)")):
        with pytest.raises(DataError, match=f"leave --data.{flag.replace('_', '-')} away"):
            open_dataset(replace(config(place), **{flag: choice}), 12, progress=False)


def in_parquet(folder, row):
    """Write a Parquet file with two rows of a picture that is stored as a row says."""
    folder.mkdir(exist_ok=True)
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    parquet.write_table(pyarrow.table({"image": pyarrow.array([row] * 2, kind)}), folder / "a.parquet")
    return find_source(str(folder), folder.parent / "cache").load()


def test_a_row_names_no_file_outside_its_folder(tmp_path, picture):
    for place in ("outside.png", "set/inside.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        picture().save(tmp_path / place)
    os.mkfifo(tmp_path / "set" / "pipe.png")
    (tmp_path / "set" / "link.png").symlink_to("../outside.png")
    outside = (str(tmp_path / "outside.png"), "../outside.png", "link.png", "pipe.png", "/dev/zero", "a\nb")
    for path in outside:
        with pytest.raises(UnreadableError, match=r"holds no bytes, and there is no .* in the data set's own folder"):
            in_parquet(tmp_path / "set", {"bytes": None, "path": path}).decode(0)
    for path in ("inside.png", str(tmp_path / "set" / "inside.png")):
        found = in_parquet(tmp_path / "set", {"bytes": None, "path": path}).decode(0)
        assert (found.pixels == np.asarray(picture())).all()


def test_a_folder_of_parquet_files_asks_nobody_else(table, tmp_path):
    (tmp_path / "set" / "data").mkdir(parents=True)
    for split, rows in (("train", [0, 1, 2]), ("test", [3])):
        table().select(rows).to_parquet(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    elsewhere = "http://127.0.0.1:1/x.parquet"
    card = f"---\nconfigs:\n- config_name: default\n  data_files: {elsewhere}\n---\n"
    (tmp_path / "set" / "README.md").write_text(card)
    assert len(find_source(str(tmp_path / "set"), tmp_path / "cache").load().names) == 3
    assert len(find_source(f"hf:{tmp_path}/set:test", tmp_path / "cache").load().names) == 1
