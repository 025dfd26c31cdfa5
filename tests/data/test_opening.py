"""Opening a data set: decoded once into the cache, by one process, and from then on as it was."""

import threading

import numpy as np
import pytest
from PIL import Image, features

from sagan.data import DataConfig, DataError, notes, open_dataset, pack_dataset, read_packed


def test_pixels_labels_and_names_are_those_of_the_files(class_folder, config):
    image_set = open_dataset(config(class_folder), 10, progress=False)
    for index, name in enumerate(["cat/0", "cat/1", "cat/2", "dog/0", "dog/1"]):
        pixels = np.asarray(Image.open(class_folder / f"{name}.png"))
        assert (image_set.images[index] == pixels[:, 1:11]).all()  # 12 wide, 10 high: the centre is 10 columns.
    assert image_set.labels.tolist() == [0, 0, 0, 1, 1] and image_set.class_names == ("cat", "dog")


def test_the_second_opening_decodes_nothing(class_folder, config, decodes):
    first = open_dataset(config(class_folder), 8, progress=False)
    assert len(decodes) == 5
    second = open_dataset(config(class_folder), 8, progress=False)
    assert len(decodes) == 5
    assert second.file == first.file and (second.images[:] == first.images[:]).all()
    assert second.fingerprint == first.fingerprint
    open_dataset(config(class_folder), 6, progress=False)
    assert len(decodes) == 10


def test_a_changed_file_is_decoded_anew(class_folder, config, decodes):
    before = open_dataset(config(class_folder), 8, progress=False)
    Image.new("RGB", (9, 9)).save(class_folder / "cat" / "1.png")
    after = open_dataset(config(class_folder), 8, progress=False)
    assert len(decodes) == 10 and after.fingerprint != before.fingerprint
    assert not after.images[1].any() and before.images[1].any()


def test_a_damaged_cache_file_is_made_again(class_folder, config, decodes):
    image_set = open_dataset(config(class_folder), 8, progress=False)
    expected = image_set.images[:].copy()
    for length in (0, 60, 500, image_set.file.stat().st_size - 1):
        image_set.file.write_bytes(image_set.file.read_bytes()[:length])
        assert (open_dataset(config(class_folder), 8, progress=False).images[:] == expected).all()
    assert len(decodes) == 25


def test_a_cached_file_with_a_damaged_picture_is_set_aside_and_made_again(class_folder, config, decodes, flip_bit):
    image_set = open_dataset(config(class_folder), 8, progress=False)
    expected, file = image_set.images[:].copy(), image_set.file
    flip_bit(file, 128 + 2 * 192 + 7)
    late = open_dataset(config(class_folder), 8, progress=False)  # another process
    said = rf"picture 2 .* is called {file.name}.damaged now, and the same command packs the pictures again$"
    with pytest.raises(DataError, match=said):
        image_set.images[:]
    assert not file.exists() and file.with_name(f"{file.name}.damaged").exists()
    assert (open_dataset(config(class_folder), 8, progress=False).images[:] == expected).all()
    assert len(decodes) == 10
    assert not file.with_name(f"{file.name}.damaged").exists()  # it is as large
    with pytest.raises(DataError, match=said):
        late.images[2]
    assert file.exists()  # the one that was made meanwhile


def test_a_damaged_packed_file_elsewhere_stays(class_folder, config, tmp_path, flip_bit):
    file = pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False).file
    flip_bit(file, 128 + 7)
    with pytest.raises(DataError, match=r"bring a good copy, or delete it and pack the data again$"):
        open_dataset(config(file), 8, progress=False).images[0]
    assert file.exists()


def test_a_packed_file_of_another_size_is_resized(class_folder, tmp_path, config):
    pack_dataset(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    image_set = open_dataset(config(tmp_path / "a.npy"), 4, progress=False)
    assert image_set.images.shape == (5, 4, 4, 3) and image_set.class_names == ("cat", "dog")
    source = Image.fromarray(read_packed(tmp_path / "a.npy").images[2])
    assert (image_set.images[2] == np.asarray(source.resize((4, 4), Image.Resampling.BILINEAR))).all()


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_what_a_reader_was_missing_for_is_read_when_it_is_there(class_folder, config, tmp_path, monkeypatch):
    with Image.open(class_folder / "cat" / "0.png") as picture:
        picture.save(class_folder / "cat" / "a.avif")
    with monkeypatch.context() as patch:
        patch.setattr("sagan.data.formats.features.check", lambda name: name != "avif")
        for refused in (open_dataset, lambda *how, **more: pack_dataset(*how, tmp_path / "p.npy", **more)):
            with pytest.raises(DataError, match="AVIF pictures need a newer Pillow"):
                refused(config(class_folder), 16, progress=False)
        without = open_dataset(config(class_folder, skip_unreadable=True), 16, progress=False)
    again = open_dataset(config(class_folder, skip_unreadable=True), 16, progress=False)
    assert again.fingerprint == without.fingerprint  # a run that left them out goes on without them
    count = len(open_dataset(config(class_folder), 16, progress=False).labels)
    assert count == len(without.labels) + 1
    assert len(pack_dataset(config(class_folder), 16, tmp_path / "p.npy", progress=False).labels) == count


def test_pictures_that_are_enlarged_or_changed_are_counted(class_folder, config):
    Image.linear_gradient("L").resize((40, 40)).save(class_folder / "dog" / "grey.png")
    image_set = open_dataset(config(class_folder), 11, progress=False)
    assert image_set.info.traits == {"enlarged": 5, "grey": 1}
    assert notes(image_set)[1].startswith("5 of 6 pictures: enlarged (smaller than the target")


def test_of_openers_at_the_same_time_one_decodes_and_the_others_wait(class_folder, config, decodes, everything):
    together = threading.Barrier(4)
    opened = []

    def work():
        together.wait()
        opened.append(open_dataset(config(class_folder), 8, progress=False))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decodes) == 5 and len({image_set.fingerprint for image_set in opened}) == 1
    assert everything(opened[0].file.parent) == [opened[0].file.name]


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused(class_folder, config, size):
    with pytest.raises(DataError, match=f"at least 1, found {size}"):
        open_dataset(config(class_folder), size, progress=False)


def test_real_pictures(shared_data, config):
    image_set = open_dataset(config(shared_data / "clothing-128.zip"), 32, progress=False)
    assert len(image_set.images) == 3781 and len(image_set.class_names) == 10
    assert np.bincount(image_set.labels).tolist() == [288, 149, 576, 246, 559, 345, 297, 257, 136, 928]
    assert image_set.info.traits == {} and 100 < image_set.images[:].mean() < 200


def test_arrays_that_are_packed_already_are_not_read_again(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", images=rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8), labels=np.arange(6) % 2)
    config = DataConfig(path=str(tmp_path / "a.npz"), cache_dir=str(tmp_path / "cache"))
    before = open_dataset(config, 8, progress=False)

    def read(_):
        raise AssertionError("arrays were read")

    monkeypatch.setattr("sagan.data.sources.npz_pictures", read)
    assert open_dataset(config, 8, progress=False).fingerprint == before.fingerprint
