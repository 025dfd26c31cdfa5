"""Arrays of pictures, and what a user is told when they are not as expected."""

import os
from dataclasses import replace

import numpy as np
import pytest

from sagan.data import DataConfig, DataError, open_dataset
from sagan.data.given import given_source
from sagan.data.sources import find_source


def test_npz_layouts_agree(tmp_path, config):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    labels = np.array([3, 1, 3, 7, 1])
    opened = {}
    for name, arrays in {
        "nhwc": {"images": rgb, "labels": labels},
        "nchw": {"x": rgb.transpose(0, 3, 1, 2), "y": labels[:, None].astype(np.uint8)},
        "unnamed": {"arr_0": rgb, "arr_1": labels},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        opened[name] = open_dataset(config(tmp_path / f"{name}.npz"), 8, progress=False)
        assert (opened[name].images[:] == rgb).all()
        assert opened[name].labels.tolist() == [1, 0, 1, 2, 0] and opened[name].class_names == ("1", "3", "7")
    assert len({image_set.fingerprint for image_set in opened.values()}) == 1


def test_npz_of_grey_and_alpha_and_without_labels(tmp_path, config):
    grey = np.random.default_rng(0).integers(0, 256, (4, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "grey.npz", images=grey)
    image_set = open_dataset(config(tmp_path / "grey.npz"), 6, progress=False)
    assert (image_set.images[:] == grey[..., None]).all() and image_set.class_names == ()
    np.savez_compressed(tmp_path / "alpha.npz", images=np.zeros((4, 6, 6, 4), np.uint8))
    assert (open_dataset(config(tmp_path / "alpha.npz"), 6, progress=False).images[:] == 255).all()
    np.save(tmp_path / "plain.npy", grey)
    assert (open_dataset(config(tmp_path / "plain.npy"), 6, progress=False).images[:] == grey[..., None]).all()


def test_npz_with_class_names_and_another_size(tmp_path, config):
    images = np.zeros((3, 20, 10, 3), np.uint8)
    images[:, 5:15] = 255
    names = np.array(["ant", "bee", "cow"])
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([2, 0, 2]), class_names=names)
    image_set = open_dataset(config(tmp_path / "a.npz"), 5, progress=False)
    assert (image_set.images[:] == 255).all()  # The crop took the middle.
    assert image_set.class_names == ("ant", "cow") and image_set.labels.tolist() == [1, 0, 1]
    np.savez(tmp_path / "b.npz", images=images, labels=np.array(["bee", "ant", "bee"]))
    assert open_dataset(config(tmp_path / "b.npz"), 5, progress=False).class_names == ("ant", "bee")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((3, 4, 4, 3), np.float32)}, "float32 with values 0 to 0; expected uint8"),
        ({"images": np.zeros((3, 5, 5, 5), np.uint8)}, r"has the shape \(3, 5, 5, 5\); expected uint8"),
        ({"images": np.zeros((0, 4, 4, 3), np.uint8)}, r"has the shape \(0, 4, 4, 3\)"),
        ({"pixels": np.zeros((3, 4, 4, 3), np.uint8)}, "holds pixels; expected pictures under the key images"),
        (
            {"images": np.zeros((3, 4, 4), np.uint8), "labels": np.zeros(2, int)},
            "one integer or string for each of the 3",
        ),
        ({"images": np.zeros((3, 4, 4), np.uint8), "labels": np.zeros(3)}, "labels in .* is float64"),
        (
            {"images": np.zeros((3, 4, 4), np.uint8), "labels": np.arange(3), "class_names": ["a", "b"]},
            "0 to 1 as named",
        ),
        ({"images": np.array([None, {}, 3])}, "holds Python objects, which would have to be unpickled"),
    ],
)
def test_what_an_npz_may_not_hold_is_explained(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        find_source(str(tmp_path / "a.npz"), tmp_path).load()


def test_a_damaged_npz(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 4, 4, 3), np.uint8))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cannot be read as an \.npz"):
        find_source(str(tmp_path / "a.npz"), tmp_path).load()


def test_several_labels_of_a_picture_are_refused(tmp_path, config):
    labels = np.eye(4, dtype=np.int64)[[0, 1, 2, 3, 0]]
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 4, 4, 3), np.uint8), labels=labels)
    with pytest.raises(
        DataError, match=r"has the shape \(5, 4\): several labels a picture, or one marked .*argmax\(axis=1"
    ):
        open_dataset(config(tmp_path / "a.npz"), 4, progress=False)


def test_what_stands_behind_an_array_is_not_left_away_in_silence(tmp_path, config):
    with (tmp_path / "two.npy").open("wb") as stream:
        np.save(stream, np.zeros((5, 4, 4), np.uint8))
        np.save(stream, np.zeros(5, np.int64))
    with pytest.raises(
        DataError, match=r"two.npy goes on after its array, for 168 bytes: a packed file that is damaged"
    ):
        open_dataset(config(tmp_path / "two.npy"), 4, progress=False)


def strokes(value, count=6):
    """Drawings of one grey level on a transparent ground: RGBA (count, 16, 16, 4)."""
    images = np.zeros((count, 16, 16, 4), np.uint8)
    images[..., :3] = value
    for index, image in enumerate(images):
        image[4:9, 2 + index : 8 + index, 3] = 255
    return images


@pytest.mark.parametrize(("value", "ground", "name"), [(0, 255, "white"), (255, 0, "black")])
def test_drawings_in_an_array_do_not_vanish(tmp_path, value, ground, name):
    np.save(tmp_path / "drawings.npy", strokes(value))
    np.savez(tmp_path / "drawings.npz", images=strokes(value))
    for file in ("drawings.npy", "drawings.npz"):
        config = DataConfig(path=str(tmp_path / file), cache_dir=str(tmp_path / "cache"))
        found = open_dataset(config, 16, progress=False)
        expected = np.where(strokes(value)[..., 3:] > 0, value, ground)
        assert (found.images[:] == expected).all()
        assert found.info.decoding["background"] == name


def test_the_background_of_an_array_can_be_chosen(tmp_path):
    np.save(tmp_path / "drawings.npy", strokes(0))
    config = DataConfig(path=str(tmp_path / "drawings.npy"), cache_dir=str(tmp_path / "cache"))
    white = open_dataset(config, 16, progress=False)
    red = open_dataset(replace(config, background="#ff0000"), 16, progress=False)
    assert (white.images[0][0, 0] == 255).all() and red.images[0][0, 0].tolist() == [255, 0, 0]
    assert red.info.decoding == {"background": "#ff0000"}
    assert not any("changes nothing" in said for said in red.told)


def test_drawings_that_are_given_do_not_vanish(tmp_path):
    source = given_source((strokes(255), np.array([0, 1] * 3)), progress=False)
    pictures = source.load()
    assert pictures.decode(0).pixels[0, 0].tolist() == [0, 0, 0]
    assert pictures.decoding["background"] == "black"


def test_an_array_that_is_cut_off_while_it_is_read_is_an_error(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(600 * 64, dtype=np.uint32).astype(np.uint8).reshape(600, 8, 8))
    pictures = find_source(str(tmp_path / "a.npy"), tmp_path).load()
    assert pictures.decode(7).pixels[0, 0, 0] == 7 * 64 % 256
    os.truncate(tmp_path / "a.npy", 1000)
    with pytest.raises(DataError, match=r"a.npy was cut off: it ends before picture 599 does; bring a good copy$"):
        pictures.decode(599)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 1), (5, 6, 7, 3), (5, 6, 7, 4), (5, 3, 6, 7), (5, 1, 6, 7)])
def test_arrays_of_every_layout_are_read(tmp_path, order, shape):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if shape[-1] == 4:
        values[..., 3] = 255
    np.save(tmp_path / "a.npy", np.asarray(values, order=order))
    pictures = find_source(str(tmp_path / "a.npy"), tmp_path).load()
    expected = values.transpose(0, 2, 3, 1) if shape[1] < 6 else values
    expected = expected[..., :3] if expected.ndim == 4 else expected[..., None]
    for index in range(5):
        assert (pictures.decode(index).pixels == np.broadcast_to(expected[index], (6, 7, 3))).all()


def test_what_an_array_holds_that_is_no_pictures_is_told(tmp_path):
    for values, said in (
        (np.linspace(-1, 2, 600 * 64).reshape(600, 8, 8), r"is float64 with values -1 to 2; expected"),
        (np.zeros((5, 8), np.uint8), r"has the shape \(5, 8\)"),
        (np.array([{}] * 4), "Python objects"),
    ):
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
        with pytest.raises(DataError, match=said):
            find_source(str(tmp_path / "a.npy"), tmp_path).load()


@pytest.mark.parametrize("code", [0xFFFFFFFF, 0x110000, 0xD800])
def test_labels_that_are_no_characters_are_refused(tmp_path, code):
    strange = np.array([97, code, 97, code], "<u4").view("<U1")
    for more in ({"labels": strange}, {"labels": np.array([0, 1, 0, 1]), "class_names": strange[:2]}):
        np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), **more)
        with pytest.raises(DataError, match="hold what is no character, or half of one; give text"):
            find_source(str(tmp_path / "a.npz"), tmp_path).load()


def test_class_names_of_an_array_can_be_shown(tmp_path):
    labels = np.array(["a\x1b]0;x\x07", "b"] * 2)
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), labels=labels)
    assert find_source(str(tmp_path / "a.npz"), tmp_path).load().class_names == ("a\\x1b]0;x\\x07", "b")
