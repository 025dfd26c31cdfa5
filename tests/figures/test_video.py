"""MP4 and WebM: the frames that were given, nearly, in their order and time."""

import importlib

import av
import numpy as np
import pytest

from sagan.figures import save_animation, video


def moving(height, width, count=6):
    """A light bar that moves down over a slope of colour."""
    rows, columns = np.mgrid[:height, :width]
    frames = []
    for i in range(count):
        frame = np.stack([columns * 255 // width, rows * 255 // height, np.full_like(rows, 90)], -1)
        frame[i * height // count : (i + 1) * height // count] = 240
        frames.append(frame)
    return np.stack(frames).astype(np.uint8)


def read(path):
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        return np.stack(frames), float(stream.average_rate), file.metadata


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_frames_come_back(tmp_path, suffix):
    frames = moving(64, 48)
    path = save_animation(frames, tmp_path / f"a{suffix}", fps=10, scale=2, metadata={"seed": "3"})
    found, rate, metadata = read(path)
    expected = frames.repeat(2, 1).repeat(2, 2)
    assert found.shape == expected.shape
    assert rate == pytest.approx(10)
    assert np.abs(found.astype(int) - expected).mean() < 4
    nearest = [int(np.abs(expected.astype(int) - frame).mean((1, 2, 3)).argmin()) for frame in found]
    assert nearest == list(range(6))
    assert "seed: 3" in {key.lower(): value for key, value in metadata.items()}["comment"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_odd_sides_get_one_more_and_there_and_back_is_longer(tmp_path):
    found, _, _ = read(save_animation(moving(33, 21), tmp_path / "a.mp4", scale=1, boomerang=True))
    assert found.shape == (10, 34, 22, 3)


def test_too_large_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds at most 4096 px a side"):
        save_animation(np.zeros((2, 8, 5000, 3), np.uint8), tmp_path / "a.mp4", scale=1)


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    real = importlib.import_module("builtins").__import__

    def without(name, *rest):
        if name == "av":
            raise ImportError("no av")
        return real(name, *rest)

    monkeypatch.setattr("builtins.__import__", without)
    with pytest.raises(ValueError, match=r'need the package av: pip install "sagan-torch\[video\]"'):
        video.encode(moving(8, 8), ".webm", 12, {})
