"""Tar files in the WebDataset layout: what the library itself reads from them is what is packed."""

import io
import json
import os
import sys
import tarfile

import numpy as np
import pytest
import webdataset
from PIL import Image

from sagan.data import DataError, check, open_dataset, pack_shards
from sagan.data.decode import UnreadableError
from sagan.data.sources import find_source


@pytest.fixture
def png(picture):
    """Make the bytes of the picture of a seed."""

    def make(seed, size=12):
        buffer = io.BytesIO()
        picture(size, size, seed).save(buffer, "PNG")
        return buffer.getvalue()

    return make


def write_tar(file, members):
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


@pytest.fixture
def shards(tmp_path, png):
    """Three tar files of four samples, labels 0, 2 and 5, as the library's own writer makes them."""
    folder = tmp_path / "tars"
    folder.mkdir()
    for shard in range(3):
        with webdataset.TarWriter(str(folder / f"train-{shard:03}.tar")) as sink:
            for index in range(4):
                number = 4 * shard + index
                sink.write({"__key__": f"sample{number:04}", "png": png(number), "cls": (0, 2, 5)[number % 3]})
    return folder


def found(path, cache):
    pictures = find_source(str(path), cache).load()
    return pictures.names, pictures.labels.tolist(), pictures.class_names


def test_every_way_to_name_them_gives_what_the_library_reads(shards, tmp_path, config):
    pattern = f"{shards}/train-{{000..002}}.tar"
    expected = []
    for url in webdataset.shardlists.expand_urls(pattern):
        with open(url, "rb") as stream:  # noqa: PTH123 - opened by the library, it would stay open
            files = webdataset.tariterators.tar_file_expander([{"url": url, "stream": stream}])
            expected += webdataset.tariterators.group_by_keys(files)
    assert len(expected) == 12
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(sample["png"]))) for sample in expected])
    for path in (pattern, f"{shards}/train-*.tar", f"{shards}/train-00[012].tar", shards):
        image_set = open_dataset(config(path), 12, progress=False)
        assert (image_set.images[:] == decoded).all()
        names = [image_set.class_names[label] for label in image_set.labels]
        assert names == [sample["cls"].decode() for sample in expected]
        assert image_set.class_names == ("0", "2", "5")
    assert found(shards / "train-001.tar", tmp_path)[0][0] == "train-001.tar/sample0004.png"


@pytest.mark.parametrize(
    ("suffix", "written", "labels", "class_names"),
    [
        ("cls", [b"7", b"10\n", b"7", b"10"], [0, 1, 0, 1], ("7", "10")),
        ("cls", [b"dog", b"cat", b"dog", b"cat"], [1, 0, 1, 0], ("cat", "dog")),
        ("txt", [b"red bird", b"red bird", b"fish", b"fish"], [1, 1, 0, 0], ("fish", "red bird")),
        ("json", [b'{"label": 3}', b"3", b'{"class_name": "4", "x": []}', b'{"cls": 3}'], [0, 0, 1, 0], ("3", "4")),
        ("json", [b'{"label": "b"}', b'"a"', b'{"label": "a"}', b'"b"'], [1, 0, 0, 1], ("a", "b")),
    ],
)
def test_labels_of_every_form(tmp_path, png, suffix, written, labels, class_names):
    members = [
        (f"{i}.{end}", data) for i, text in enumerate(written) for end, data in ((suffix, text), ("png", png(i)))
    ]
    file = write_tar(tmp_path / "a.tar", members)
    assert found(file, tmp_path)[1:] == (labels, class_names)


def test_folders_in_a_tar_capitals_and_other_members(tmp_path, png):
    members = [("./x/a.PNG", png(0)), ("./x/a.CLS", b"1"), ("./x/a.depth.png", png(9)), ("./x/a.npy", b"?")]
    members += [("./y/b.jpeg", png(1)), ("./y/b.cls", b"0"), ("__meta__/c.png", png(2)), ("d.txt", b"no picture")]
    pictures = find_source(str(write_tar(tmp_path / "a.tar", members)), tmp_path).load()
    assert pictures.names == ("a.tar/./x/a.png", "a.tar/./y/b.jpeg") and pictures.labels.tolist() == [1, 0]
    assert pictures.ignored == ("a.tar/d",)


def test_without_any_label_there_are_no_classes(tmp_path, png):
    file = write_tar(tmp_path / "a.tar", [(f"{i}.png", png(i)) for i in range(3)])
    assert found(file, tmp_path)[1:] == ([0, 0, 0], ())


def test_readable_class_names(shards, tmp_path, config):
    (tmp_path / "names").write_text("0 zero\n2 two\n5 five\n")
    image_set = open_dataset(config(shards, class_names=str(tmp_path / "names")), 8, progress=False)
    assert image_set.class_names == ("zero", "two", "five")


def test_check_reports_on_tars(shards, config):
    report = check(config(shards), 32, progress=False)
    assert report.class_counts == {"0": 4, "2": 4, "5": 4} and report.formats == {"PNG": 12}


def test_tars_are_packed_in_parts(shards, tmp_path, config):
    one = open_dataset(config(shards), 12, progress=False)
    for part in (1, 2):
        many = pack_shards(config(shards), 12, tmp_path / "set", 6e-6, part=(part, 2), progress=False)
    assert many.fingerprint == one.fingerprint and len(list((tmp_path / "set").glob("*.npy"))) == 3


def test_a_missing_label_is_named(tmp_path, png):
    file = write_tar(tmp_path / "a.tar", [("0.png", png(0)), ("0.cls", b"1"), ("1.png", png(1)), ("2.png", png(2))])
    with pytest.raises(DataError, match=r"2 of 3 pictures have no label, such as a.tar/1.png; expected a label beside"):
        found(file, tmp_path)


@pytest.mark.parametrize("order", ["by kind", "twice"])
def test_files_of_a_sample_that_lie_apart_are_refused(tmp_path, png, order):
    pictures, labels = [(f"{i}.png", png(i)) for i in range(3)], [(f"{i}.cls", b"1") for i in range(3)]
    members = [*pictures, *labels] if order == "by kind" else [*pictures, pictures[0]]
    with pytest.raises(DataError, match=r"a.tar has files of 0 in several places.*tar --sort=name"):
        found(write_tar(tmp_path / "a.tar", members), tmp_path)


def test_tar_files_beside_pictures_are_asked_about(class_folder, tmp_path, png):
    with_labels = [(name, data) for i in range(2) for name, data in ((f"{i}.png", png(i)), (f"{i}.cls", b"1"))]
    write_tar(class_folder / "backup.tar", with_labels)
    with pytest.raises(
        DataError, match=r"holds tar files \(such as backup.tar\) beside pictures \(such as cat/0.png\)"
    ):
        found(class_folder, tmp_path)
    assert len(found(f"{class_folder}/*.tar", tmp_path)[0]) == 2


def test_captions_are_not_taken_for_classes(tmp_path, png):
    members = [(f"{i}.{end}", data) for i in range(4) for end, data in (("png", png(i)), ("txt", b"a photo %d" % i))]
    with pytest.raises(DataError, match="4 different labels for 4 pictures, such as 'a photo 0': these are captions"):
        found(write_tar(tmp_path / "a.tar", members), tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("0.json", b"{", "cannot be read"), ("0.cls", b"\xff\xfe", "cannot be read"), ("0.json", b"1.5", r"is 1\.5")],
)
def test_a_label_that_is_none(tmp_path, png, name, data, said):
    file = write_tar(tmp_path / "a.tar", [("0.png", png(0)), (name, data)])
    with pytest.raises(DataError, match=rf"the label of a.tar/0.png \(.{name[2:]}\) {said}"):
        found(file, tmp_path)


@pytest.mark.parametrize("cut", [700, 2000, -10240])
def test_a_broken_tar(shards, tmp_path, cut):
    file = shards / "train-001.tar"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(
        DataError, match=r"train-001.tar cannot be read as a whole, uncompressed tar .*; copy or download"
    ):
        found(shards, tmp_path)


def test_something_else_or_a_compressed_tar(tmp_path, png):
    (tmp_path / "text.tar").write_bytes(b"I am a text" * 100)
    with tarfile.open(tmp_path / "gz.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("empty.png"))
    for name in ("text.tar", "gz.tar"):
        with pytest.raises(DataError, match=rf"{name} cannot be read as a whole, uncompressed tar"):
            found(tmp_path / name, tmp_path)


def test_names_that_do_not_make_samples(tmp_path, png):
    twice = write_tar(tmp_path / "twice.tar", [("a.png", png(0)), ("a.png", png(1))])
    with pytest.raises(DataError, match="duplicate file name"):
        found(twice, tmp_path)
    dots = write_tar(tmp_path / "dots.tar", [("img.1.png", png(0)), ("img.2.png", png(1))])
    with pytest.raises(DataError, match=r"the sample img holds 2 pictures \(.1.png, .2.png\).*up to the first dot"):
        found(dots, tmp_path)
    none = write_tar(tmp_path / "none.tar", [("a.cls", b"1")])
    with pytest.raises(DataError, match=r"holds no pictures \(1 samples without one\)"):
        found(none, tmp_path)


def test_shards_that_are_not_there(shards, tmp_path):
    with pytest.raises(DataError, match=r"means 4 tar files, but there is no .*train-003.tar"):
        find_source(f"{shards}/train-{{000..003}}.tar", tmp_path)
    with pytest.raises(DataError, match="no file has a name like"):
        find_source(f"{shards}/test-*.tar", tmp_path)


def test_a_tar_that_shrinks_after_it_was_looked_through(shards, tmp_path):
    pictures = find_source(str(shards), tmp_path).load()
    assert isinstance(Image.fromarray(pictures.decode(4).pixels), Image.Image)
    (shards / "train-001.tar").write_bytes(b"")
    from sagan.data.decode import UnreadableError

    with pytest.raises(UnreadableError, match="the tar file ends within it"):
        pictures.decode(4)


def test_without_the_library_the_extra_is_named(shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(DataError, match=r'need the library webdataset .*pip install "sagan-torch\[webdataset\]"'):
        find_source(str(shards), tmp_path)


def test_json_numbers_that_are_no_classes(tmp_path, png):
    file = write_tar(tmp_path / "a.tar", [("0.png", png(0)), ("0.json", json.dumps({"label": 1.5}).encode())])
    with pytest.raises(DataError, match=r"is 1.5; expected one number or one name"):
        found(file, tmp_path)


@pytest.mark.parametrize(
    ("name", "data"), [("0.json", b"[1, 2]"), ("0.json", b'{"label": ["cat", "dog"]}'), ("0.cls", b"1\n2")]
)
def test_several_labels_are_refused(tmp_path, png, name, data):
    file = write_tar(tmp_path / "a.tar", [("0.png", png(0)), (name, data)])
    with pytest.raises(DataError, match=r"a.tar/0.png has several labels \(.*write one into KEY.cls"):
        find_source(str(file), tmp_path).load()


def test_a_list_of_one_label_is_one(tmp_path, png):
    members = [
        (f"{i}.{kind}", data)
        for i in range(4)
        for kind, data in (("png", png(i)), ("json", b'{"label": [%d]}' % (i % 2)))
    ]
    pictures = find_source(str(write_tar(tmp_path / "a.tar", members)), tmp_path).load()
    assert pictures.labels.tolist() == [0, 1, 0, 1]


def test_a_sparse_picture_is_not_read_as_other_pixels(tmp_path, picture):
    buffer = io.BytesIO()
    picture().save(buffer, "BMP")
    data = buffer.getvalue()
    sparse = tarfile.TarInfo("b.bmp")
    sparse.pax_headers = {"GNU.sparse.map": f"0,{len(data)}", "GNU.sparse.size": str(len(data))}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for member in (tarfile.TarInfo("a.bmp"), sparse):
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    pictures = find_source(str(tmp_path / "a.tar"), tmp_path).load()
    assert (pictures.decode(0).pixels == np.asarray(picture())).all()
    with pytest.raises(UnreadableError, match=r"stored as a sparse file; make the tar file again without -S"):
        pictures.decode(1)


def test_a_pipe_called_like_a_tar_file_is_not_waited_for(class_folder, tmp_path):
    os.mkfifo(class_folder / "a.tar")
    assert len(find_source(str(class_folder), tmp_path).load().names) == 5
    with pytest.raises(DataError, match=r"a\.tar is (no regular file|neither)"):
        find_source(str(class_folder / "*.tar"), tmp_path)
