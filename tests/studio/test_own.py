"""A picture of one's own is read as the pictures were that the discriminator learnt from."""

import io

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataConfig
from sagan.studio.nearest import TrainingPictures
from sagan.studio.own import opened


@pytest.fixture
def twelve_bits():
    """A 16-bit picture with a bright left and a dark right half, whose white is 4095."""
    values = np.zeros((16, 32), np.uint16)
    values[:, :16] = 4095
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def test_range_and_fit_are_the_runs(twelve_bits):
    assert opened(twelve_bits, 16, None).max() == 16
    read = {"decoding": {"range": {"16-bit": [0.0, 4095.0]}, "fit": "pad", "border": "#0000ff"}}
    image = opened(twelve_bits, 16, read)
    assert image.shape == (16, 16, 3) and image[8, 2].tolist() == [255] * 3 and image[8, 13].tolist() == [0] * 3
    assert image[0, 0].tolist() == image[15, 15].tolist() == [0, 0, 255]


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="this picture cannot be used"):
        opened(b"no", 16, None)


def test_nearest_training_pictures_are_read_alike(twelve_bits, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
    for index in range(8):
        values = np.full((16, 16), 16383 - index, np.uint16)
        values[:8] = 2000
        Image.fromarray(values).save(tmp_path / f"{index}.png")
    read = {"decoding": {"range": {"16-bit": [0.0, 4095.0]}}}
    sample = np.zeros((16, 16, 3), np.uint8)
    found = TrainingPictures(DataConfig(path=str(tmp_path)), 16, read).near(sample)
    assert found.images[0][0, 0].tolist() == [125] * 3 and found.images[0].max() == 255
    by_itself = TrainingPictures(DataConfig(path=str(tmp_path)), 16).near(sample)
    assert by_itself.images[0][0, 0].tolist() == [31] * 3
