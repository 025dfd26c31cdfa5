import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataConfig, DataError

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
def as_nobody(tmp_path):
    """Run a function in a child process that is not root; give the message of the DataError that it raises."""
    if not hasattr(os, "fork"):
        pytest.skip("needs processes that can give up their rights")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)

    def run(function):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setgid(65534)
                    os.setuid(65534)
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
