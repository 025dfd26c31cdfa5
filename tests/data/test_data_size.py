"""Counting a data set before it is decoded, opening and the named sets together: the numbers that opening it gives."""

import shutil
from dataclasses import replace
from functools import partial

import pytest

from sagan.data import DataError, DataSize, data_size, open_dataset, pack_dataset
from sagan.data.named import NAMED_SIZES, digits
from sagan.data.pack import Found


def test_a_folder_is_counted_without_decoding_or_writing(class_folder, config, tmp_path):
    (class_folder / "empty").mkdir()
    (class_folder / "cat" / "0.png").write_bytes(b"broken: whoever decodes it notices")
    before = sorted(tmp_path.rglob("*"))
    assert data_size(config(class_folder), 8) == DataSize(5, 2, 5 * 8 * 8 * 3)
    found = data_size(config(class_folder), 8, look_at=100)
    assert (found.num_images, found.looked_at, [name for name, _ in found.unreadable]) == (4, 5, ["cat/0.png"])
    assert data_size(config(class_folder / "dog"), 8, look_at=1).looked_at == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert data_size(config(class_folder / "dog"), 8) == DataSize(2, 0, 2 * 8 * 8 * 3)


def test_what_is_packed_already_takes_no_more_disk(class_folder, config, tmp_path):
    opened = open_dataset(config(class_folder), 8, progress=False)
    assert data_size(config(class_folder), 8) == DataSize(len(opened.labels), len(opened.class_names), 0)
    assert data_size(config(class_folder), 6).new_bytes == 5 * 6 * 6 * 3
    pack_dataset(config(class_folder), 8, tmp_path / "packed.npy", progress=False)
    shutil.rmtree(tmp_path / "cache")
    assert data_size(config(tmp_path / "packed.npy"), 8) == DataSize(5, 2, 0)
    assert data_size(config(tmp_path / "packed.npy"), 4) == DataSize(5, 2, 5 * 4 * 4 * 3)


def test_a_class_that_would_vanish_is_refused_when_it_is_looked_at(class_folder, config):
    for picture in (class_folder / "dog").iterdir():
        picture.write_bytes(b"broken")
    assert data_size(config(class_folder), 8).num_images == 5
    with pytest.raises(DataError, match="dog loses 2 of its 2 pictures"):
        data_size(config(class_folder), 8, look_at=100)
    assert data_size(replace(config(class_folder), may_lose=("dog",)), 8, look_at=100).num_images == 3


def test_what_packing_found_unreadable_is_known_without_another_look(class_folder, config):
    (class_folder / "dog" / "0.png").write_bytes(b"broken")
    open_dataset(replace(config(class_folder), skip_unreadable=True), 8, progress=False)
    found = data_size(config(class_folder), 8)
    assert (found.num_images, found.looked_at, [name for name, _ in found.unreadable]) == (4, 0, ["dog/0.png"])


@pytest.mark.parametrize("name", ["digits", "pairs", "fashion-mnist", "cifar10", "cifar100"])
def test_a_named_set_is_counted_without_downloading_it(config, tmp_path, name):
    num_images, num_classes = NAMED_SIZES[name]
    assert data_size(config(name), 32) == DataSize(num_images, num_classes, num_images * 32 * 32 * 3)
    assert not list(tmp_path.iterdir())


def test_the_numbers_of_the_embedded_set_are_those_of_its_pictures():
    pictures = digits()
    assert (len(pictures.names), len(pictures.class_names)) == NAMED_SIZES["digits"]


def test_what_is_not_there_is_explained(config):
    with pytest.raises(DataError, match="there is no nowhere"):
        data_size(config("nowhere"), 32)


def test_what_speaks_against_pictures_is_heard_before_any_is_decoded(class_folder, config, monkeypatch):
    def look(found):
        raise ValueError(f"{found.num_images} in {', '.join(found.class_names)}")

    monkeypatch.setattr("sagan.data.pack.decode_to_size", lambda *_: pytest.fail("a picture was decoded"))
    for opened in (partial(open_dataset, progress=False), partial(data_size, look_at=9)):
        with pytest.raises(ValueError, match="5 in cat, dog"):
            opened(config(class_folder), 8, look=look)


def test_readable_class_names_are_known_before_pictures_are_decoded(class_folder, config, tmp_path):
    (tmp_path / "names.txt").write_text("cat Katze\ndog Hund\n")
    found = []
    open_dataset(config(class_folder, class_names=str(tmp_path / "names.txt")), 8, progress=False, look=found.append)
    assert found == [Found(str(class_folder), 5, ("Katze", "Hund"))]
