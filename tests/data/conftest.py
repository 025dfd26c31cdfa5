"""What tests of data share: pictures, sets of them on disk and in shards, and looks at what was written."""

import ctypes
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sagan.data import Batches, DataConfig, DataError, ImageSet, pack_dataset, pack_shards
from sagan.data import encoded as encoded_module
from sagan.data.packed import PackedInfo

sys.path.insert(0, str(Path(__file__).parent))  # so that awkward.py is found by its name

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def shared_data():
    """The folder of real pictures beside the project, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("no shared data beside the project")
    return SHARED


@pytest.fixture
def config(tmp_path):
    """Make a configuration whose cache lies in the test's own folder."""

    def make(path, **fields):
        return DataConfig(path=str(path), cache_dir=str(tmp_path / "cache"), **fields)

    return make


@pytest.fixture
def picture():
    """Make a random RGB picture of a width and height, another one for each seed."""

    def make(width=12, height=10, seed=0):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return make


@pytest.fixture
def class_folder(tmp_path, picture):
    """A folder with the classes cat (3 pictures) and dog (2)."""
    root = tmp_path / "animals"
    for name, count in (("cat", 3), ("dog", 2)):
        (root / name).mkdir(parents=True)
        for index in range(count):
            picture(seed=10 * count + index).save(root / name / f"{index}.png")
    return root


@pytest.fixture
def as_nobody():
    """Run a function in a child process that permissions bind, also root; give the message of its DataError."""
    if not hasattr(os, "fork") or (os.geteuid() == 0 and sys.platform != "linux"):
        pytest.skip("needs processes that can give up their rights")

    def run(function):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    _give_up_capabilities()
                function()
                message = "no error"
            except DataError as error:
                message = str(error)
            except BaseException as error:
                message = f"wrong error {error!r}"
            os.write(writer, message.encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            message = stream.read().decode()
        os.waitpid(child, 0)
        return message

    return run


def _give_up_capabilities():
    """Have permissions bind this process as they bind any owner of files.

    Another user could not go into pytest's folder: each other session of pytest closes it again when it starts.
    """
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3, this thread; capset(2)
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


@pytest.fixture
def everything():
    """Give the files below a folder by their names."""
    return lambda folder: sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def names():
    """Give the names in a folder."""
    return lambda folder: sorted(path.name for path in folder.iterdir())


@pytest.fixture
def decodes(monkeypatch):
    """A list that grows with each image file that is decoded."""
    seen = []
    original = encoded_module.decode_picture
    monkeypatch.setattr(encoded_module, "decode_picture", lambda data, *how: seen.append(data) or original(data, *how))
    return seen


@pytest.fixture
def gigabytes():
    """Give the size of a shard that holds just so many pictures of 6 px."""
    picture_bytes = 6 * 6 * 3 + 8 + 4
    return lambda count, class_names=(): (4096 + len(json.dumps([class_names, {}])) + count * picture_bytes) / 1e9


@pytest.fixture
def three_classes(tmp_path, picture):
    """Three classes of 5, 3 and 4 pictures; all of the middle one cannot be read."""
    folder = tmp_path / "pictures"
    for name, count in (("a", 5), ("b", 3), ("c", 4)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture(seed=hash((name == "a", index)) % 1000).save(folder / name / f"{index}.png")
            if name == "b":
                (folder / name / f"{index}.png").write_bytes(b"no")
    return folder


@pytest.fixture
def sharded(class_folder, tmp_path, config, gigabytes):
    """Five pictures in shards of 2, 2 and 1."""
    pack_shards(config(class_folder), 6, tmp_path / "set", gigabytes(2, ("cat", "dog")), progress=False)
    return tmp_path / "set"


@pytest.fixture(params=["file", "shards"])
def image_set(request, tmp_path, config):
    """1,797 digits of 8 px, in one file or in shards of 100 kB."""
    if request.param == "file":
        return pack_dataset(config("digits"), 8, tmp_path / "a.npy", progress=False)
    return pack_shards(config("digits"), 8, tmp_path / "set", 1e-4, progress=False)


@pytest.fixture
def batches_of():
    """Make batches of most of a set of digits."""
    return lambda image_set: Batches(image_set, np.arange(1700), 64, seed=5, balanced=True, flip=True)


@pytest.fixture
def same():
    """Say whether two batches are the same."""
    return lambda one, other: all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="session")
def numbered_set():
    """Make a set of given labels whose i-th picture holds the number i."""

    def make(labels):
        labels = np.asarray(labels, np.int64)
        images = np.zeros((len(labels), 2, 2, 3), np.uint8)
        images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
        names = tuple(f"class {index}" for index in range(labels.max() + 1))
        info = PackedInfo(class_names=names, source="test", pixels_sha256="")
        return ImageSet(
            images=images,
            labels=labels,
            class_names=names,
            fingerprint="",
            source="test",
            file=Path("none"),
            info=info,
        )

    return make


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def flip_bit():
    """Change a bit of a file at a place."""

    def flip(file, place):
        with file.open("r+b") as stream:
            stream.seek(place)
            (byte,) = stream.read(1)
            stream.seek(-1, 1)
            stream.write(bytes([byte ^ 1]))

    return flip
