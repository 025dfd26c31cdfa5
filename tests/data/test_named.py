"""Named sets, from archives made here in the published formats; nothing is downloaded."""

import gzip
import hashlib
import io
import os
import tarfile
import urllib.request

import numpy as np
import pytest

from sagan.data import DataError, open_dataset
from sagan.data import named as named_module
from sagan.data.named import Download, cifar_pictures, fetch
from sagan.data.sources import find_source


def write_archive(file, members):
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def cifar10(file):
    """An archive of ten pictures: picture i has the label 9 - i and a red plane of i, green i + 100, blue i + 200."""
    records = [
        bytes([9 - i]) + bytes([i]) * 1024 + bytes([i + 100]) * 1024 + bytes([i + 200]) * 1024 for i in range(10)
    ]
    folder = "cifar-10-batches-bin"
    members = {f"{folder}/data_batch_{i + 1}.bin": records[2 * i] + records[2 * i + 1] for i in (4, 3, 2, 1, 0)}
    members[f"{folder}/test_batch.bin"] = bytes(3073 * 2)
    members[f"{folder}/batches.meta.txt"] = "\n".join(f"name{i}" for i in range(10)).encode() + b"\n\n"
    return write_archive(file, members)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError(f"no network for {url}")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def offline_address(monkeypatch):
    """Let the official address of a set be a local file."""

    def point(name, *files):
        downloads = tuple(
            Download(url=file.as_uri(), md5=hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest())
            for file in files
        )
        monkeypatch.setitem(named_module.DOWNLOADS, name, downloads)

    return point


def cells_of(images):
    return images[:, ::2, ::2]


def test_digits(config):
    image_set = open_dataset(config("digits"), 16, progress=False)
    assert image_set.images.shape == (1797, 16, 16, 3) and image_set.class_names == tuple("0123456789")
    assert sorted(set(image_set.images[:].ravel().tolist())) == [round(level * 255 / 16) for level in range(17)]
    assert (image_set.images[:][..., 0] == image_set.images[:][..., 2]).all()
    # The first digit of the set is a 0: bright ring, dark centre.
    cells = image_set.images[:][0, ::2, ::2, 0]
    assert image_set.labels[0] == 0 and cells[3:5, 3:5].max() == 0 and cells[1, 3] == 239
    # Each pixel of the set is four equal ones.
    assert (image_set.images[:] == cells_of(image_set.images[:]).repeat(2, axis=1).repeat(2, axis=2)).all()


def test_the_published_checksums_and_addresses():
    sums = {download.url: download.md5 for downloads in named_module.DOWNLOADS.values() for download in downloads}
    assert sums["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"] == "c32a1d4ab5d03f1284b67883e8d87530"
    assert sums["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"] == "03b5dce01913d631647c71ecec9e9cb8"
    assert "8d4fb7e6c68d591d4c3dfef9ec88bf0d" in sums.values() and "25c81989df183df01b3e8a0aad5dffbe" in sums.values()


def test_cifar10_is_downloaded_once_and_decoded_once(tmp_path, config, offline_address, no_network_after):
    offline_address("cifar10", cifar10(tmp_path / "cifar-10-binary.tar.gz"))
    image_set = open_dataset(config("cifar10"), 32, progress=False)
    assert image_set.images[:][:, 5, 7].tolist() == [[i, i + 100, i + 200] for i in range(10)]
    assert image_set.labels.tolist() == list(range(9, -1, -1)) and image_set.class_names[3] == "name3"
    no_network_after()
    assert open_dataset(config("cifar10"), 32, progress=False).file == image_set.file
    assert open_dataset(config("cifar10"), 16, progress=False).images[3][8, 8].tolist() == [3, 103, 203]
    (tmp_path / "cache" / "downloads" / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    assert open_dataset(config("cifar10"), 32, progress=False).file == image_set.file


@pytest.fixture
def no_network_after(monkeypatch):
    def cut():
        def refuse(url, timeout):
            raise AssertionError("downloaded again")

        monkeypatch.setattr(urllib.request, "urlopen", refuse)

    return cut


def test_a_local_cifar_archive_is_taken(tmp_path, config):
    image_set = open_dataset(config(cifar10(tmp_path / "mine.tar.gz")), 32, progress=False)
    assert image_set.images[:][4, 0, 0].tolist() == [4, 104, 204]


def test_cifar100_uses_fine_labels(tmp_path):
    records = [bytes([0, label]) + bytes([label]) * 3072 for label in (7, 99, 0)]
    members = {
        "cifar-100-binary/train.bin": b"".join(records),
        "cifar-100-binary/test.bin": bytes(3074),
        "cifar-100-binary/coarse_label_names.txt": b"coarse\n" * 20,
        "cifar-100-binary/fine_label_names.txt": "\n".join(f"fine{i}" for i in range(100)).encode(),
    }
    pictures = cifar_pictures(write_archive(tmp_path / "c.tar.gz", members))
    assert pictures.labels.tolist() == [7, 99, 0] and pictures.class_names[99] == "fine99"
    assert (pictures.decode(1).pixels == 99).all()


def test_the_pickled_cifar_archive_is_refused_without_unpickling(tmp_path):
    file = write_archive(tmp_path / "cifar-10-python.tar.gz", {"cifar-10-batches-py/data_batch_1": b"\x80\x02}q\x01"})
    with pytest.raises(DataError, match=r"holds no .bin file; expected CIFAR's binary version: cifar-10-binary.tar.gz"):
        find_source(str(file), tmp_path).load()


def test_a_cut_off_archive(tmp_path):
    file = cifar10(tmp_path / "a.tar.gz")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"is not a whole \.tar\.gz archive"):
        find_source(str(file), tmp_path).load()


def test_a_failed_download_says_what_to_put_where(tmp_path, config, no_network):
    with pytest.raises(DataError) as error:
        open_dataset(config("cifar100"), 32, progress=False)
    target = tmp_path / "cache" / "downloads" / "cifar100" / "cifar-100-binary.tar.gz"
    address = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    assert str(error.value).startswith(f"could not download {address} (")
    assert str(error.value).endswith(f"get {address} by other means and put it at {target}")
    assert list(target.parent.iterdir()) == []


def test_a_download_with_a_wrong_checksum_is_not_kept(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"with the MD5 sum [0-9a-f]{32} in place of 0123; try again later, or get"):
        fetch(Download(url=file.as_uri(), md5="0123"), tmp_path / "kept", progress=False)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_damaged_earlier_download_is_said_not_used_nor_deleted(tmp_path):
    (tmp_path / "data.bin").write_bytes(b"half")
    with pytest.raises(DataError, match="does not have the published MD5 sum 0123, it may be cut off; delete it"):
        fetch(Download(url="https://nowhere.invalid/data.bin", md5="0123"), tmp_path, progress=False)
    assert (tmp_path / "data.bin").read_bytes() == b"half"


def idx(folder, zipped):
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    labels = np.arange(20, dtype=np.uint8) % 10
    for name, head, array in (
        ("train-images-idx3-ubyte", [0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 28, 0, 0, 0, 28], pixels),
        ("train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 20], labels),
    ):
        data = bytes(head) + array.tobytes()
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
    return pixels


@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_from_a_local_folder(tmp_path, config, zipped):
    pixels = idx(tmp_path / "fashion", zipped)
    image_set = open_dataset(config(tmp_path / "fashion"), 28, progress=False)
    assert (image_set.images[:] == pixels[..., None]).all()
    assert image_set.labels.tolist() == [*range(10)] * 2 and image_set.class_names[9] == "Ankle boot"


def test_idx_files_that_are_written_over_are_read_again(tmp_path, config):
    idx(tmp_path / "fashion", False)
    before = open_dataset(config(tmp_path / "fashion"), 28, progress=False)
    file, folder = tmp_path / "fashion" / "train-labels-idx1-ubyte", (tmp_path / "fashion").stat()
    file.write_bytes(file.read_bytes()[:8] + bytes(range(5)) * 4)
    os.utime(tmp_path / "fashion", ns=(folder.st_atime_ns, folder.st_mtime_ns))
    again = open_dataset(config(tmp_path / "fashion"), 28, progress=False)
    assert again.labels.tolist() == [*range(5)] * 4
    assert again.fingerprint != before.fingerprint


def test_fashion_mnist_from_its_address_and_from_the_system(tmp_path, config, offline_address, monkeypatch):
    idx(tmp_path / "fashion-mnist", True)
    files = sorted((tmp_path / "fashion-mnist").iterdir())
    offline_address("fashion-mnist", *files)
    monkeypatch.setattr(named_module, "FASHION_FOLDER", tmp_path / "absent")
    assert open_dataset(config("fashion-mnist"), 28, progress=False).class_names[0] == "T-shirt/top"
    (tmp_path / "cache" / "downloads").rename(tmp_path / "gone")
    monkeypatch.setattr(named_module, "FASHION_FOLDER", tmp_path / "fashion-mnist")
    assert len(open_dataset(config("fashion-mnist"), 14, progress=False).images) == 20
    assert not (tmp_path / "cache" / "downloads").exists()


def test_a_damaged_idx_file(tmp_path):
    idx(tmp_path / "fashion", False)
    file = tmp_path / "fashion" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"is not a whole IDX file of 3 dimension"):
        find_source(str(tmp_path / "fashion"), tmp_path).load()
    (tmp_path / "fashion" / "train-labels-idx1-ubyte").unlink()
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(DataError, match="cannot read train-labels-idx1-ubyte"):
        find_source(str(tmp_path / "fashion"), tmp_path).load()


def test_a_pipe_called_like_an_idx_file_is_not_waited_for(class_folder, tmp_path):
    os.mkfifo(class_folder / named_module.IDX_IMAGES)
    assert len(find_source(str(class_folder), tmp_path).load().names) == 5
    (class_folder / f"{named_module.IDX_IMAGES}.gz").write_bytes(b"")
    os.mkfifo(class_folder / f"{named_module.IDX_LABELS}.gz")
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        named_module.idx_pictures(class_folder)
    with pytest.raises(DataError, match="cannot read train-labels-idx1-ubyte"):
        named_module._read_idx(class_folder, named_module.IDX_LABELS, 1)
