"""Pictures read from files: like those of an array, checked whenever they are read, from any thread."""

import os
import pickle
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagan.data import DataError
from sagan.data import stored as stored_module
from sagan.data.stored import PixelFile, StoredPixels

LEAD = b"a header"


def written(place, pictures, checksums=True):
    """Write pictures into a file behind something else, and open them."""
    place.write_bytes(LEAD + pictures.tobytes())
    sums = np.array([zlib.crc32(picture) for picture in pictures], np.uint32) if checksums else None
    return PixelFile(place, os.open(place, os.O_RDONLY), len(LEAD), pictures.shape, sums)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (9, 2, 3, 3), dtype=np.uint8)


@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), data=st.data(), seed=st.integers(0, 9))
@settings(deadline=None)
def test_pictures_of_files_are_indexed_as_those_of_one_array(lengths, data, seed, tmp_path_factory):
    whole = np.random.default_rng(seed).integers(0, 256, (sum(lengths), 2, 3, 3), dtype=np.uint8)
    folder = tmp_path_factory.mktemp("files")
    parts = np.split(whole, np.cumsum(lengths)[:-1])
    found = StoredPixels([written(folder / str(number), part) for number, part in enumerate(parts)])
    index = st.integers(-len(whole), len(whole) - 1)
    chosen = data.draw(st.lists(index, max_size=9))
    assert found.shape == whole.shape and len(found) == len(whole)
    assert (found[np.array(chosen, np.int64)] == whole[np.array(chosen, np.int64)]).all()
    assert (found[chosen] == whole[np.array(chosen, np.int64)]).all()
    one = data.draw(index)
    assert (found[one] == whole[one]).all()
    cut = slice(data.draw(index), data.draw(index), data.draw(st.sampled_from([None, 2, -1])))
    assert (found[cut] == whole[cut]).all() and found[cut].shape == whole[cut].shape
    mask = np.arange(len(whole)) % 2 == 0
    assert (found[mask] == whole[mask]).all() and (np.asarray(found) == whole).all()
    for wrong in (len(whole), -len(whole) - 1, [0, len(whole)], [[0]], 0.5, np.ones(len(whole) + 1, bool)):
        with pytest.raises(IndexError):
            found[wrong]


def test_a_damaged_picture_is_named_and_the_others_are_read(tmp_path, pictures):
    file = written(tmp_path / "a", pictures)
    with (tmp_path / "a").open("r+b") as stream:
        stream.seek(len(LEAD) + 4 * 18 + 7)
        stream.write(bytes([pictures[4].flat[7] ^ 16]))
    found = StoredPixels([file])
    assert (found[[3, 5]] == pictures[[3, 5]]).all()
    for _ in range(2):  # it stays damaged
        with pytest.raises(DataError, match=r"a is damaged: picture 4 \(bytes 80 to 97\) is not what was written"):
            found[[3, 4]]


def test_a_picture_that_is_damaged_after_it_was_read_is_found_the_next_time(tmp_path, pictures):
    found = StoredPixels([written(tmp_path / "a", pictures)])
    assert (found[:] == pictures).all()
    with (tmp_path / "a").open("r+b") as stream:
        stream.write(bytes(len(LEAD) + 18))
    with pytest.raises(DataError, match="a is damaged: picture 0 "):
        found[[0, 1]]
    assert (found[1:] == pictures[1:]).all()


def test_a_file_without_checksums_is_read_as_it_is(tmp_path, pictures):
    assert (StoredPixels([written(tmp_path / "a", pictures, checksums=False)])[:] == pictures).all()


@pytest.mark.parametrize("length", [0, len(LEAD) + 18 * 4 + 5])
def test_a_file_that_is_cut_off_while_it_is_read_is_an_error_with_a_name(tmp_path, pictures, length):
    found = StoredPixels([written(tmp_path / "a", pictures)])
    assert (found[8] == pictures[8]).all()
    os.truncate(tmp_path / "a", length)
    for index in (4, 8):
        with pytest.raises(DataError, match=f"a was cut off: it ends before picture {index} does; bring a good copy"):
            found[index]


def test_a_disk_that_fails_is_an_error_with_a_name(tmp_path, pictures, monkeypatch):
    def fails(*_):
        raise OSError(5, "Input/output error")

    found = StoredPixels([written(tmp_path / "a", pictures)])
    monkeypatch.setattr(stored_module, "read_at", fails)
    with pytest.raises(DataError, match=r"cannot read .*a \(Input/output error\); check the disk"):
        found[0]


@pytest.mark.parametrize("places", [True, False])
def test_threads_read_at_once(tmp_path, monkeypatch, places):
    if not places:  # as on systems that cannot read at a place
        monkeypatch.delattr(os, "preadv", raising=False)
    many = np.random.default_rng(1).integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
    found, wrong = StoredPixels([written(tmp_path / "a", many)]), []

    def read(seed):
        for index in np.random.default_rng(seed).permutation(300):
            if not (found[index] == many[index]).all():
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_reads_that_stop_half_way_go_on(tmp_path, pictures, monkeypatch):
    if not hasattr(os, "preadv"):
        pytest.skip("no preadv here")
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda descriptor, views, offset: whole(descriptor, [views[0][:5]], offset))
    assert (StoredPixels([written(tmp_path / "a", pictures)])[:] == pictures).all()


def test_the_file_is_closed_with_its_pictures_and_is_not_sent_elsewhere(tmp_path, pictures):
    file = written(tmp_path / "a", pictures)
    descriptor = file._descriptor
    with pytest.raises(TypeError, match="cannot be sent to another process; have it call read_packed itself"):
        pickle.dumps(StoredPixels([file]))
    del file
    with pytest.raises(OSError):
        os.fstat(descriptor)
