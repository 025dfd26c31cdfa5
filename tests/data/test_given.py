"""Pictures that are given in Python: read as they are meant or refused, known again by their content."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from sagan.data import DataConfig, DataError, GivenData, check, hand_over, open_dataset
from sagan.data.given import as_given, given_source
from sagan.data.pack_folder import pack

RGB = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


class Pairs(Dataset):
    """A map-style data set of given items."""

    def __init__(self, items, classes=None):
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.fixture
def opened(tmp_path):
    """Hand pictures over and open them at 8 px."""
    config = DataConfig(cache_dir=str(tmp_path / "cache"))

    def call(data, size_px=8):
        return open_dataset(hand_over(data, config, size_px, progress=False), size_px, progress=False)

    return call


TENSOR = torch.from_numpy(RGB)
SAME = {
    "array": (RGB, LABELS),
    "array of labels": (RGB, np.array(LABELS)),
    "a column of labels": (RGB, np.array(LABELS)[:, None]),
    "tensors": (TENSOR, torch.tensor(LABELS)),
    "channels first": (TENSOR.permute(0, 3, 1, 2), torch.tensor(LABELS)),
    "named": (RGB, LABELS, ("0", "1", "2")),
    "strings": (RGB, [str(label) for label in LABELS]),
    "pictures of Pillow": ([Image.fromarray(pixels) for pixels in RGB], LABELS),
    "floats": GivenData(TENSOR.permute(0, 3, 1, 2) / 255, LABELS, values="0..1"),
    "networks' floats": GivenData(RGB / 127.5 - 1.0, LABELS, values="-1..1"),
    "half floats": GivenData((TENSOR / 255).double(), LABELS, values="0..1"),
    "a data set": Pairs(list(zip(RGB, LABELS, strict=True))),
    "a data set with names": Pairs([(Image.fromarray(RGB[i]), np.int64(LABELS[i])) for i in range(10)], list("012")),
    "of tensors": TensorDataset(TENSOR, torch.tensor(LABELS)),
    "a part": Subset(Pairs([(RGB[i % 10], LABELS[i % 10]) for i in range(12)], list("012")), range(10)),
    "two in a row": ConcatDataset([
        Pairs([(RGB[i], LABELS[i]) for i in range(4)], list("012")),
        Pairs([(RGB[i], LABELS[i]) for i in range(4, 10)], list("012")),
    ]),
    "labels beside a data set": GivenData(Pairs(list(RGB)), LABELS),
}  # fmt: skip


@pytest.mark.parametrize("form", SAME)
def test_the_same_pictures_in_any_form_are_the_same_data(opened, form):
    found = opened(SAME[form])
    assert (found.images[:] == RGB).all() and found.labels.tolist() == LABELS and found.class_names == ("0", "1", "2")
    assert found.fingerprint == opened(SAME["array"]).fingerprint


def test_they_are_those_of_an_npz(opened, tmp_path, config):
    np.savez(tmp_path / "a.npz", images=RGB, labels=LABELS)
    assert open_dataset(config(tmp_path / "a.npz"), 8, progress=False).fingerprint == opened((RGB, LABELS)).fingerprint


def test_no_labels_are_no_classes(opened):
    for data in (RGB, TENSOR, list(RGB), Pairs(list(RGB)), Pairs([(pixels, None) for pixels in RGB])):
        found = opened(data)
        assert found.class_names == () and not found.labels.any() and (found.images[:] == RGB).all()


def test_named_classes_keep_the_order_of_their_names(opened):
    words = [("zebra", "ape", "cat")[label] for label in LABELS]
    found = opened(GivenData(RGB, words, class_names=["zebra", "ape", "cat"]))
    assert found.class_names == ("zebra", "ape", "cat") and found.labels.tolist() == LABELS


def test_grey_and_transparent_pictures(opened):
    grey = RGB[..., 0]
    for data in (grey, grey[..., None], grey[:, None], [Image.fromarray(pixels) for pixels in grey]):
        assert (opened(data).images[:] == grey[..., None]).all()
    clear = np.concatenate([RGB, np.zeros((10, 8, 8, 1), np.uint8)], 3)
    for data in (clear, torch.from_numpy(clear).permute(0, 3, 1, 2), [Image.fromarray(pixels) for pixels in clear]):
        assert (opened(data).images[:] == 255).all()
    palette = [Image.fromarray(pixels).quantize(4) for pixels in RGB]
    assert (opened(palette).images[3] == np.asarray(palette[3].convert("RGB"))).all()


def test_pictures_of_any_size_are_cut_like_files(opened, picture, tmp_path, config):
    pictures = [picture(9 + i, 12, seed=i) for i in range(3)]
    for i, image in enumerate(pictures):
        (tmp_path / "folder").mkdir(exist_ok=True)
        image.save(tmp_path / "folder" / f"{i}.png")
    assert opened(pictures).fingerprint == open_dataset(config(tmp_path / "folder"), 8, progress=False).fingerprint


def test_they_are_packed_once_and_found_by_their_name(opened, tmp_path):
    config = DataConfig(cache_dir=str(tmp_path / "cache"), balanced=True)
    named = hand_over((RGB, LABELS), config, 8, progress=False)
    assert named.path.startswith("given:array-10:") and named.balanced
    (file,) = (tmp_path / "cache" / "packed").iterdir()
    before = file.stat().st_mtime_ns
    assert hand_over((RGB.copy(), LABELS), config, 8, progress=False) == named
    assert file.stat().st_mtime_ns == before
    assert hand_over((RGB, LABELS[::-1]), config, 8, progress=False) != named
    file.unlink()
    with pytest.raises(
        DataError, match=r"the pictures given:array-10:\w+ were given in Python, and are no longer in the"
    ):
        open_dataset(named, 8, progress=False)
    with pytest.raises(DataError, match=r"no longer in the cache folder; give them again \(data=...\ of sagan.train"):
        check(named, progress=False)


def test_the_only_copy_is_not_set_aside_when_a_picture_in_it_is_damaged(tmp_path, flip_bit):
    config = DataConfig(cache_dir=str(tmp_path / "cache"))
    named = hand_over((RGB, LABELS), config, 8, progress=False)
    (file,) = (tmp_path / "cache" / "packed").iterdir()
    flip_bit(file, 128 + 7)
    with pytest.raises(DataError, match=r"picture 0 .* is not what was written; bring a good copy"):
        open_dataset(named, 8, progress=False).images[:]
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_path_is_a_path(tmp_path):
    assert hand_over("digits", DataConfig(flip=True), 8) == DataConfig(flip=True, path="digits")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((RGB / 255, LABELS), r"item 0 of array-10 is float64 with values .* to .*; say what they mean with sagan"),
        (GivenData(RGB / 255, LABELS, values="-1..1"), None),
        (GivenData(RGB / 1.0, LABELS, values="0..1"), r"with values [\d.]+ to \d+, and not 0..1 as was said"),
        (GivenData(RGB * np.nan, values="0..1"), r"with values nan to nan, and not 0..1"),
        (GivenData(RGB, LABELS, values="0..1"), r"is uint8 with values .*; expected float, with values 0..1"),
        (RGB.astype(np.int64), r"item 0 of array-10 is int64 with values .*; expected uint8"),
        (np.zeros((10, 3, 8, 3), np.uint8), r"\(3, 8, 3\), which has channels first or last; expected"),
        (np.zeros((10, 8, 8, 2), np.uint8), r"has the shape \(8, 8, 2\); expected \(H, W\), \(H, W, C\)"),
        (RGB[0], r"shape \(8, 8, 3\); one picture alone is no set"),
        (np.zeros((10, 1, 8), np.uint8), r"item 0 of array-10 has 8x1 pixels; at least 2 are needed"),
        (RGB[:0], r"the pictures have the shape \(0, 8, 8, 3\)"),
        ((RGB, LABELS[:-1]), "there are 9 labels for 10 pictures"),
        ((RGB, np.eye(10)[:, :4]), r"picture 0 has several labels \(\[1. 0. 0. 0.\]\); .* choose one, .*argmax"),
        ((RGB, torch.ones(10, 3)), "picture 0 has several labels"),
        ((RGB, [[0], [1, 2], *LABELS[2:]]), "picture 0 has several labels"),
        ((RGB, [0.5] * 10), r"picture 0 has the label 0.5 \(float\); expected one integer or one string"),
        ((RGB, [True] * 10), r"picture 0 has the label True \(bool\)"),
        ((RGB, [None, *LABELS[1:]]), r"are of several kinds \(.*1 NoneType.*\); expected integers or strings for all"),
        ((RGB, LABELS, ("a", "b")), r"the labels of array-10 holds 0 to 2; expected 0 to 1 as named"),
        ((RGB, list("abcabcabca"), ("a", "b")), "labels that are not among its class names: c"),
        (Pairs([(pixels, 1, "caption") for pixels in RGB]), r"item 0 of Pairs-10 has 3 parts; expected \(picture"),
        (Pairs([{"image": pixels, "label": 1} for pixels in RGB]), "item 0 of Pairs-10 is a dict with image, label"),
        (Pairs([(pixels, torch.tensor([0, 1])) for pixels in RGB]), "item 0 of Pairs-10 has several labels"),
        (GivenData(Pairs([(pixels, 1) for pixels in RGB]), LABELS), "has 2 parts beside the labels given"),
        (Pairs([(pixels, 7) for pixels in RGB], list("ab")), "holds 7 to 7; expected 0 to 1 as named"),
        (ConcatDataset([Pairs([(p, 0) for p in RGB], list("ab")), Pairs([(p, 0) for p in RGB], list("xy"))]),
         r"do not have the same classes, so their labels mean different things; .*GivenData\(dataset, class_names="),
        (DataLoader(Pairs(list(RGB))), "its data set: loader.dataset"),
        ("pictures", "pictures in Python are .*; found str"),
        ({"images": RGB}, "found dict"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_a_sentence(data, message):
    if message is None:  # numbers from 0 to 1 may be meant from -1 to 1: that is why they are said
        assert given_source(data).load().labels.tolist() == LABELS
        return
    with pytest.raises(DataError, match=message):
        given_source(data)


def test_a_stream_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(RGB, LABELS, strict=True))

    with pytest.raises(
        DataError, match="Stream gives its pictures in a stream, which can be neither shuffled, split nor"
    ):
        as_given(Stream())


def test_other_words_for_values_are_refused():
    with pytest.raises(ValueError, match=r"values must be one of 0..255, 0..1, -1..1, found 'float'"):
        GivenData(RGB, values="float")


class Restless(Pairs):
    """A data set with a random transform."""

    def __getitem__(self, index):
        pixels, label = self.items[index]
        return np.random.permutation(pixels.reshape(-1)).reshape(pixels.shape), label  # noqa: NPY002


def test_random_transforms_are_noticed(opened, everything, tmp_path):
    with pytest.raises(
        DataError, match=r"picture 0 of Restless-10 is another one each time it is read, perhaps by random"
    ):
        opened(Restless(list(zip(RGB, LABELS, strict=True))))
    assert everything(tmp_path) == []


def test_a_picture_that_changes_later_is_noticed_when_it_is_packed(tmp_path):
    items = [[pixels.copy(), label] for pixels, label in zip(RGB, LABELS, strict=True)]
    pictures = given_source(Pairs([tuple(item) for item in items])).load()
    items[4][0] ^= 1
    assert (pictures.decode(3).pixels == RGB[3]).all()
    with pytest.raises(DataError, match=r"picture 4 of Pairs-10 is another one each time"):
        pictures.decode(4)


def test_an_item_that_cannot_be_read_is_named():
    class Broken(Pairs):
        def __getitem__(self, index):
            if index == 3:
                raise OSError("no such file")
            return super().__getitem__(index)

    with pytest.raises(
        DataError, match=r"item 3 of Broken-10 cannot be read \(OSError: no such file\); repair it, or leave"
    ):
        given_source(Broken(list(RGB)))


def test_they_are_checked_and_packed_like_others(tmp_path, monkeypatch, opened):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "unused"))
    report = check((RGB, LABELS), 16, progress=False)
    assert report.class_counts == {"0": 4, "1": 3, "2": 3} and report.traits == {"enlarged": 10}
    one = pack((RGB, LABELS), 8, tmp_path / "a.npy", progress=False)
    many = pack((RGB, LABELS), 8, tmp_path / "many", shard_gb=5e-6, progress=False)
    assert one.fingerprint == many.fingerprint == opened((RGB, LABELS)).fingerprint
    assert len(list((tmp_path / "many").glob("*.npy"))) > 1 and not (tmp_path / "unused").exists()


def test_they_are_fitted_as_the_configuration_says(picture, tmp_path):
    pictures = [picture(12, 9, seed=i) for i in range(3)]
    found = {}
    for fit in ("crop", "squeeze"):
        config = DataConfig(cache_dir=str(tmp_path / "cache"), fit=fit)
        found[fit] = open_dataset(hand_over(pictures, config, 8, progress=False), 8, progress=False).images[0]
    assert (found["squeeze"] == np.asarray(pictures[0].resize((8, 8), Image.Resampling.BILINEAR))).all()
    assert (found["squeeze"] != found["crop"]).any()
