"""Packing into a folder of shards: by several machines, in parts, and with nothing existing lost."""

import shutil

import pytest

from sagan.data import DataError, open_dataset, pack_dataset, pack_folder, pack_shards, read_packed
from sagan.data import encoded as encoded_module
from sagan.data import pack as pack_module
from sagan.data.pack_folder import pack


def test_one_function_packs_a_file_or_a_folder(class_folder, config, tmp_path):
    whole = pack(config(class_folder), 8, tmp_path / "a.npy", progress=False)
    assert whole is not None
    assert (tmp_path / "a.npy").is_file()
    by_path = pack(str(class_folder), 8, tmp_path / "b.npy", progress=False)
    assert by_path is not None and by_path.fingerprint == whole.fingerprint
    shards = {"shard_gb": 4.6e-6, "progress": False}
    assert pack(config(class_folder), 8, tmp_path / "folder", part="2/2", **shards) is None
    together = pack(config(class_folder), 8, tmp_path / "folder", part=(1, 2), **shards)
    assert together is not None and together.fingerprint == whole.fingerprint
    assert len(list((tmp_path / "folder").glob("shard-*.npy"))) > 1


@pytest.mark.parametrize("part", ["one", "1", "1/2/3", "-1/2", "1/"])
def test_parts_are_written_as_one_of_how_many(class_folder, config, tmp_path, part):
    with pytest.raises(DataError, match=r"--part takes I/N"):
        pack(config(class_folder), 8, tmp_path / "folder", shard_gb=1.0, part=part, progress=False)
    with pytest.raises(DataError, match="--part goes with --shard-gb"):
        pack(config(class_folder), 8, tmp_path / "a.npy", part="1/2", progress=False)
    assert not (tmp_path / "folder").exists()


def test_no_shard_is_larger_than_wished(tmp_path, config, class_folder):
    limit = 5000
    pack_shards(config(class_folder), 6, tmp_path / "set", limit / 1e9, progress=False)
    assert all(path.stat().st_size <= limit for path in (tmp_path / "set").glob("*.npy"))


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_share_the_work_and_the_last_one_completes_the_folder(
    class_folder, tmp_path, config, monkeypatch, order, sharded, gigabytes
):
    seen = []
    original = encoded_module.decode_picture
    monkeypatch.setattr(encoded_module, "decode_picture", lambda data, *how: seen.append(data) or original(data, *how))
    # Every machine has a copy of the pictures in another place, with their times.
    results = []
    for part in order:
        copy = tmp_path / f"copy {part}" / "animals"
        shutil.copytree(class_folder, copy)
        out = tmp_path / "shared"
        size = gigabytes(2, ("cat", "dog"))
        results.append(pack_shards(config(copy), 6, out, size, part=(part, 3), progress=False))
        if results[-1] is None:
            with pytest.raises(DataError, match=rf"not packed to the end \({len(results)} of 3 shards are there\)"):
                open_dataset(config(out), 6, progress=False)
    assert [result is None for result in results] == [True, True, False]
    assert len(seen) == 5
    assert {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()} == {
        path.name: path.read_bytes() for path in sharded.iterdir()
    }


def test_parts_from_several_folders_are_completed_without_decoding(
    class_folder, tmp_path, config, monkeypatch, gigabytes
):
    size = gigabytes(2, ("cat", "dog"))
    for part in (1, 2):
        pack_shards(config(class_folder), 6, tmp_path / f"out {part}", size, part=(part, 2), progress=False)
    for path in (tmp_path / "out 2").glob("*.npy"):
        path.rename(tmp_path / "out 1" / path.name)
    monkeypatch.setattr(pack_module, "decode_to_size", None)
    assert len(pack_shards(config(class_folder), 6, tmp_path / "out 1", size, progress=False).images) == 5


def test_the_same_command_on_a_whole_folder_decodes_nothing(class_folder, config, sharded, monkeypatch, gigabytes):
    monkeypatch.setattr(pack_module, "decode_to_size", None)
    size = gigabytes(2, ("cat", "dog"))
    assert len(pack_shards(config(class_folder), 6, sharded, size, progress=False).images) == 5


def test_other_pictures_or_another_size_do_not_mix(class_folder, config, sharded, picture, gigabytes):
    for change in ({"size": 5}, {"gigabytes": 9.0}, {"file": True}):
        if "file" in change:
            picture(seed=77).save(class_folder / "cat" / "0.png")
        with pytest.raises(DataError, match=r"was packed from other pictures than .*choose another folder"):
            size = change.get("gigabytes", gigabytes(2, ("cat", "dog")))
            pack_shards(config(class_folder), change.get("size", 6), sharded, size, progress=False)


def test_unreadable_pictures_end_it_and_skipping_them_goes_on(three_classes, tmp_path, config, monkeypatch, gigabytes):
    size = gigabytes(2, ("a", "b", "c"))
    with pytest.raises(DataError, match=r"3 file\(s\) \(b/0.png.*--data.skip-unreadable"):
        pack_shards(config(three_classes), 6, tmp_path / "set", size, progress=False)
    assert not (tmp_path / "set" / "index.json").exists()
    monkeypatch.setattr(pack_module, "decode_to_size", None)
    image_set = pack_shards(
        config(three_classes, skip_unreadable=True, may_lose=("b",)), 6, tmp_path / "set", size, progress=False
    )
    assert len(image_set.images) == 9 and [name for name, _ in image_set.info.unreadable] == [
        "b/0.png",
        "b/1.png",
        "b/2.png",
    ]


def test_readable_class_names_are_those_of_the_index_and_of_every_shard(class_folder, tmp_path, config, gigabytes):
    (tmp_path / "names").write_text("cat Katze\ndog Hund\n")
    settings = config(class_folder, class_names=str(tmp_path / "names"))
    image_set = pack_shards(settings, 6, tmp_path / "set", gigabytes(2, ("Katze", "Hund")), progress=False)
    assert image_set.class_names == ("Katze", "Hund")
    assert read_packed(tmp_path / "set" / "shard-00000-of-00003.npy").class_names == ("Katze", "Hund")


def test_places_that_hold_something_else_are_left_alone(class_folder, tmp_path, config, sharded, names):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("dear")
    with pytest.raises(DataError, match="is not empty and no packed folder; choose another name"):
        pack_shards(config(class_folder), 6, tmp_path / "other", 1.0, progress=False)
    with pytest.raises(DataError, match="is a file; shards go into a folder"):
        pack_shards(config(class_folder), 6, tmp_path / "other" / "letter", 1.0, progress=False)
    with pytest.raises(DataError, match=r"is a folder; name a file, or ask for shards \(--shard-gb\)"):
        pack_dataset(config(class_folder), 6, sharded, progress=False)
    assert names(tmp_path / "other") == ["letter"]


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_does_not_exist(class_folder, tmp_path, config, part):
    with pytest.raises(DataError, match=f"found {part[0]} of {part[1]}"):
        pack_shards(config(class_folder), 6, tmp_path / "set", 1.0, part=part, progress=False)


def test_more_shards_than_files_may_be_open(class_folder, tmp_path, config, monkeypatch, gigabytes):
    monkeypatch.setattr(pack_folder, "MAX_SHARDS", 2)
    size = gigabytes(2, ("cat", "dog"))
    with pytest.raises(DataError, match=r"makes 3 of them, and each is an open file while training; allow 6.6e-06 GB"):
        pack_shards(config(class_folder), 6, tmp_path / "set", size, progress=False)
    assert len(pack_shards(config(class_folder), 6, tmp_path / "set", 6.7e-6, progress=False).images) == 5


def test_a_shard_too_small_for_a_picture(class_folder, tmp_path, config):
    with pytest.raises(DataError, match="holds no picture of 6 px"):
        pack_shards(config(class_folder), 6, tmp_path / "set", 1e-6, progress=False)


def test_a_damaged_shard_is_found_before_the_index_is_written(class_folder, tmp_path, config, gigabytes):
    size = gigabytes(2, ("cat", "dog"))
    pack_shards(config(class_folder), 6, tmp_path / "set", size, part=(1, 2), progress=False)
    shard = tmp_path / "set" / "shard-00000-of-00003.npy"
    data = bytearray(shard.read_bytes())
    data[150] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"shard-00000-of-00003.npy is damaged: picture 0 .* delete it and pack"):
        pack_shards(config(class_folder), 6, tmp_path / "set", size, progress=False)
    shard.unlink()
    assert len(pack_shards(config(class_folder), 6, tmp_path / "set", size, progress=False).images) == 5


def test_a_disk_that_is_too_small_is_said_before_the_work(class_folder, tmp_path, config, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 500}))
    with pytest.raises(DataError, match=r"packing needs 540 bytes in .*, where 500 bytes are free"):
        pack_shards(config(class_folder), 6, tmp_path / "set", 1.0, progress=False)


def test_one_progress_bar_counts_all_shards_of_the_part(class_folder, tmp_path, config, capfd, monkeypatch, gigabytes):
    monkeypatch.setattr("sagan.data.progress_lines.EVERY_S", 0.0)
    pack_shards(config(class_folder), 6, tmp_path / "set", gigabytes(2, ("cat", "dog")), part=(1, 2))
    said = capfd.readouterr().err
    assert "3 shards, part 1 of 2: 2 shards" in said and "decoding: 3 of 3" in said
