"""Pack, pack_folder, packed and opening together: an interrupted packing goes on to the same bytes."""

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataError, open_dataset, pack_dataset, pack_shards
from sagan.data import encoded as encoded_module
from sagan.data import packed as packed_module
from sagan.data import parallel as parallel_module
from sagan.data.packed import PackedWriter

SHARD_GB = (4096 + 8 + 10 * (8 * 8 * 3 + 8 + 4)) / 1e9  # ten pictures of 8 px without classes
DECODES_AND_DIES = """
import os, signal, sys
from sagan.data import DataConfig, encoded, pack_dataset, pack_shards, packed, parallel
parallel.CHUNK, packed.JOURNAL_EVERY, left = 2, 4, int(sys.argv[3])
decode = encoded.decode_picture
def counted(data, *how):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(data, *how)
encoded.decode_picture = counted
config = DataConfig(path=sys.argv[1])
if sys.argv[4]:
    pack_shards(config, 8, sys.argv[2], float(sys.argv[4]), workers=1, progress=False)
else:
    pack_dataset(config, 8, sys.argv[2], workers=1, progress=False)
"""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    """Hand over pictures two by two and note what is done after every four."""
    monkeypatch.setattr(parallel_module, "CHUNK", 2)
    monkeypatch.setattr(packed_module, "JOURNAL_EVERY", 4)


@pytest.fixture
def pictures(tmp_path, picture):
    """A flat folder of 35 pictures: one grey, one that cannot be read."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(35):
        picture(seed=index).save(folder / f"{index:02}.png")
    Image.new("L", (12, 12), 77).save(folder / "03.png")
    (folder / "05.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """What was decoded, and after how many pictures that is interrupted (never at first)."""
    original = encoded_module.decode_picture

    class Decoded(list):
        limit = 10**9
        error: BaseException = KeyboardInterrupt()

    seen = Decoded()

    def decode(data, *how):
        if len(seen) >= seen.limit:
            raise seen.error
        seen.append(data)
        return original(data, *how)

    monkeypatch.setattr(encoded_module, "decode_picture", decode)
    return seen


def content(place):
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return {file.name if place.is_dir() else "": file.read_bytes() for file in files}


def pack(config, pictures, out, shards, **options):
    settings = config(pictures, skip_unreadable=True)
    if shards:
        return pack_shards(settings, 8, out, SHARD_GB, workers=1, progress=False, **options)
    return pack_dataset(settings, 8, out, workers=1, progress=False)


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("after", [1, 3, 8, 21, 34])
def test_an_interrupted_packing_goes_on_to_the_same_bytes(pictures, tmp_path, config, decoded, shards, after):
    pack(config, pictures, tmp_path / "whole", shards)
    decoded.clear()
    decoded.limit = after
    with pytest.raises(KeyboardInterrupt):
        pack(config, pictures, tmp_path / "again", shards)
    assert not (tmp_path / "again").is_file() and not (tmp_path / "again" / "index.json").exists()
    decoded.limit = 10**9
    pack(config, pictures, tmp_path / "again", shards)
    # One thread may be up to three lists of two pictures ahead of what was written.
    assert 35 <= len(decoded) <= 35 + 6
    assert content(tmp_path / "again") == content(tmp_path / "whole")


@pytest.mark.parametrize("shards", [False, True])
def test_many_interruptions_in_a_row(pictures, tmp_path, config, decoded, shards):
    pack(config, pictures, tmp_path / "whole", shards)
    rounds = 0
    while not (tmp_path / "again").is_file() and not (tmp_path / "again" / "index.json").exists():
        decoded.clear()
        decoded.limit = 9
        try:
            pack(config, pictures, tmp_path / "again", shards)
        except KeyboardInterrupt:
            rounds += 1
            assert rounds < 35
    assert rounds >= 3
    assert content(tmp_path / "again") == content(tmp_path / "whole")


@pytest.mark.long("a process of its own that is killed")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("shards", [False, True])
def test_a_killed_packing_goes_on_to_the_same_bytes(pictures, tmp_path, config, decoded, shards):
    (pictures / "05.png").unlink()
    pack(config, pictures, tmp_path / "whole", shards)
    decoded.clear()
    out, shard_gb = tmp_path / "again", str(SHARD_GB) if shards else ""
    done = subprocess.run([sys.executable, "-c", DECODES_AND_DIES, pictures, out, "18", shard_gb], check=False)
    assert done.returncode == -signal.SIGKILL
    pack(config, pictures, out, shards)
    # 18 pictures had been decoded; at least 8 of them had been noted or were in whole shards.
    assert len(decoded) <= 34 - 8
    assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize("shards", [False, True])
def test_a_full_disk_keeps_what_is_done_and_says_so(pictures, tmp_path, config, decoded, shards, monkeypatch):
    pack(config, pictures, tmp_path / "whole", shards)
    decoded.clear()
    original = PackedWriter._write
    left = [15]

    def write(self, data):
        if len(data) == 8 * 8 * 3:
            left[0] -= 1
            if left[0] < 0:
                original(self, data[:100])  # A full disk takes a part of what it is given.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, data)

    monkeypatch.setattr(PackedWriter, "_write", write)
    with pytest.raises(DataError, match=r"No space left on device.*what is done is kept, the same command goes on"):
        pack(config, pictures, tmp_path / "again", shards)
    monkeypatch.setattr(PackedWriter, "_write", original)
    before = len(decoded)
    pack(config, pictures, tmp_path / "again", shards)
    assert len(decoded) - before <= 35 - 14
    assert content(tmp_path / "again") == content(tmp_path / "whole")


def test_the_cache_goes_on_too(pictures, config, decoded):
    settings = config(pictures, skip_unreadable=True)
    decoded.limit = 20
    with pytest.raises(KeyboardInterrupt):
        open_dataset(settings, 8, progress=False)
    decoded.limit = 10**9
    image_set = open_dataset(settings, 8, progress=False)
    assert len(decoded) < 35 + 20 and len(image_set.images) == 34
    assert [path.name for path in image_set.file.parent.iterdir()] == [image_set.file.name]


def test_other_pictures_start_anew(pictures, tmp_path, config, decoded, picture):
    decoded.limit = 20
    with pytest.raises(KeyboardInterrupt):
        pack(config, pictures, tmp_path / "a", False)
    picture(seed=99).save(pictures / "00.png")
    decoded.clear()
    decoded.limit = 10**9
    image_set = pack(config, pictures, tmp_path / "a", False)
    assert len(decoded) == 35
    assert (image_set.images[0] == np.asarray(picture(seed=99).crop((1, 0, 11, 10)).resize((8, 8), 2))).all()


@pytest.mark.parametrize("damage", ["journal", "pixels", "both gone"])
def test_a_journal_that_does_not_fit_starts_anew(pictures, tmp_path, config, decoded, damage):
    pack(config, pictures, tmp_path / "whole", False)
    decoded.limit = 35 + 20
    with pytest.raises(KeyboardInterrupt):
        pack(config, pictures, tmp_path / "again", False)
    partial, journal = tmp_path / ".again.partial", tmp_path / ".again.partial.json"
    assert json.loads(journal.read_text())["done"] > 0
    if damage == "journal":
        journal.write_text(journal.read_text()[:-5])
    else:
        partial.write_bytes(partial.read_bytes()[:500])
        if damage == "both gone":
            partial.unlink()
    decoded.clear()
    decoded.limit = 10**9
    pack(config, pictures, tmp_path / "again", False)
    assert len(decoded) == 35
    assert content(tmp_path / "again") == content(tmp_path / "whole")


def test_what_killed_processes_leave_is_cleared_away(pictures, tmp_path, config):
    """Half a journal, half a plan, and the lock of a shard that became whole just before."""
    folder = tmp_path / "set"
    folder.mkdir()
    pack_shards(config(pictures, skip_unreadable=True), 8, tmp_path / "other", SHARD_GB, progress=False)
    with pytest.raises(DataError, match="cannot be read as pictures"):
        pack(lambda path, **_: config(path), pictures, folder, True)
    for name in (".shard-00001-of-00004.npy.lock", "packing.json.77.tmp"):
        (folder / name).touch()
    (folder / "shard-00002-of-00004.npy").unlink()
    (folder / ".shard-00002-of-00004.npy.partial.json.77.tmp").touch()
    pack(config, pictures, folder, True)
    assert content(folder) == content(tmp_path / "other")


LEFT_OF_A_SHARD = [f".shard-00001-of-00004.npy.{what}" for what in ("lock", "partial", "partial.json")]


def test_what_a_process_leaves_that_is_killed_behind_its_index_is_cleared_away(pictures, tmp_path, config):
    pack(config, pictures, tmp_path / "set", True)
    whole = content(tmp_path / "set")
    for name in ("packing.json", "packing.json.77.tmp", "index.json.77.tmp", ".index.json.lock", *LEFT_OF_A_SHARD):
        (tmp_path / "set" / name).touch()
    pack(config, pictures, tmp_path / "set", True)
    assert content(tmp_path / "set") == whole


def test_progress_counts_from_where_it_goes_on(pictures, tmp_path, config, decoded, capfd, monkeypatch):
    monkeypatch.setattr("sagan.data.progress_lines.EVERY_S", 0.0)
    decoded.limit = 20
    with pytest.raises(KeyboardInterrupt):
        pack(config, pictures, tmp_path / "a", False)
    decoded.limit = 10**9
    pack_dataset(config(pictures, skip_unreadable=True), 8, tmp_path / "a", workers=1)
    said = capfd.readouterr().err
    assert "(going on after 20 pictures)" in said and "decoding: 35 of 35" in said
