"""The training pictures nearest to a sample."""

import numpy as np
import pytest

from sagan.data import DataConfig
from sagan.generators.pretrained import load


@pytest.fixture
def pictures(tmp_path, weights, monkeypatch):
    """An .npz of noise, with the sample that is asked for among it, a little changed."""
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3)).astype(np.uint8)
    sample = load(weights()).sample(1, "green", seed=3)[0]
    images[17] = np.clip(sample.astype(int) + 2, 0, 255)
    np.savez(tmp_path / "pictures.npz", images=images, labels=np.arange(40) % 2)
    return tmp_path / "pictures.npz", images


def test_the_nearest_picture_is_found(client, weights, pictures):
    path, images = pictures
    studio = client(weights(), data=DataConfig(path=str(path)))
    assert studio.state()[0]["data"] is True
    asked = {"pictures": {"source": "0", "classes": [1], "seed": 3}, "item": 0}
    header, arrays = studio.arrays("nearest", asked)
    assert np.array_equal(arrays["images"][0], images[17])
    assert arrays["images"].shape == (6, 16, 16, 3)
    assert arrays["distances"][0] < 0.3 < arrays["distances"][1]
    assert (np.diff(arrays["distances"]) >= 0).all()
    assert (header["count"], header["classes"][0], header["others"]) == (40, "1", True)


def test_without_pictures_the_flag_is_named(client, weights):
    studio = client(weights())
    assert studio.state()[0]["data"] is False
    status, error = studio.error("nearest", {"pictures": {"source": "0", "classes": [1]}, "item": 0})
    assert (status, "--data PICTURES" in error) == (400, True)
