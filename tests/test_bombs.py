"""Bombs in each container, and files that claim more than they hold: refused before memory or time is spent on them."""

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sagan import bombs
from sagan.bombs import Bounded, check_directory, check_old_torch_file, check_pickle, check_torch_zip, read_up_to
from sagan.data import named
from sagan.data.config import DataConfig, DataError
from sagan.data.decode import UnreadableError, decode_picture
from sagan.data.sources import find_source
from sagan.exchange.foreign import ForeignError, read_foreign
from sagan.generators.pretrained import load
from sagan.generators.weights import WeightsError, _checksum, load_weights, save_weights
from sagan.metrics.weights import read_state_dict
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.npy import read_npy, read_npz
from sagan.reading import BytesError, value_of
from sagan.recipes.config import to_json
from sagan.recipes.written import read_config
from sagan.training.checkpoint import CheckpointError, load_checkpoint

CANARY = "canary"


class Runs:
    def __reduce__(self):
        return os.mkdir, (CANARY,)


def pictures_of(file, **options):
    return find_source(DataConfig(path=str(file), **options), file.parent / "cache").load()


def directory(count, claims=None, name="%07d.png"):
    """Write a zip file that is nothing but a directory of so many members."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, len(name % 0), 0, 0, 0, 0, 0, 0)
    entries = b"".join(entry + (name % i).encode() for i in range(count))
    claimed = min(65535, count if claims is None else claims)
    return entries + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, claimed, claimed, len(entries), 0, 0)


def tarred(members, compression=""):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def saved(contents, **options):
    buffer = io.BytesIO()
    torch.save(contents, buffer, **options)
    return buffer.getvalue()


def rezipped(data, changes, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for info in old.infolist():
            new.writestr(info.filename, changes.get(info.filename, old.read(info)))
    return buffer.getvalue()


def key_bomb(levels):
    """Write a pickle of {((((), ()), ((), ())), ...): 1}, whose hash is never done."""
    return b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(levels)) + b"K\x01s."


def list_bomb(levels):
    found = []
    for _ in range(levels):
        found = [found, found]
    return found


# ---- zip files


def test_a_zip_says_how_many_members_are_read(tmp_path, monkeypatch):
    file = tmp_path / "a.zip"
    file.write_bytes(directory(100))
    check_directory(file)
    monkeypatch.setattr(bombs, "MAX_DIRECTORY_BYTES", 1000)
    with pytest.raises(BytesError, match="its directory has"):
        check_directory(file)
    with pytest.raises(DataError, match=r"a.zip is not a whole zip file \(its directory has"):
        pictures_of(file)


def test_a_directory_of_64_bits_counts_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(bombs, "MAX_DIRECTORY_BYTES", 1000)
    plain = directory(100)
    length = len(plain) - 22
    wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 100, 100, length, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, length, 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    file = tmp_path / "a.zip"
    file.write_bytes(plain[:length] + wide + locator + end)
    with zipfile.ZipFile(file) as archive:
        assert len(archive.infolist()) == 100
    with pytest.raises(BytesError, match="its directory has"):
        check_directory(file)


def test_members_that_are_only_claimed_cost_nothing(tmp_path):
    file = tmp_path / "a.zip"
    data = bytearray(directory(3))
    data[-14:-10] = struct.pack("<HH", 0xFFFF, 0xFFFF)  # of entries, in the last record
    file.write_bytes(data)
    assert len(pictures_of(file).names) == 3
    data[-10:-6] = struct.pack("<I", 500_000_000)  # a directory of the length that ten million would have
    file.write_bytes(data)
    with pytest.raises(DataError, match="not a whole zip file"):
        pictures_of(file)


@pytest.mark.slow("reads a directory of 200,000 members")
def test_two_hundred_thousand_members_are_read(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(directory(200_000))
    assert len(pictures_of(file).names) == 200_000


def test_archives_in_archives_stay_packed(tmp_path):
    inner = directory(3)
    for _ in range(3):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("inner.zip", inner)
        inner = buffer.getvalue()
    (tmp_path / "a.zip").write_bytes(inner)
    with pytest.raises(DataError, match="unpack archives first"):
        pictures_of(tmp_path / "a.zip")


# ---- NumPy's files


def test_an_npz_that_would_come_to_much_more_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, images=np.zeros((500, 32, 32, 3), np.uint8))
    assert len(pictures_of(file).names) == 500
    monkeypatch.setattr(bombs, "UNPACKED_BYTES", 2**20)
    with pytest.raises(DataError, match=r"a.npz cannot be read .* \(it would come to 1 MiB"):
        pictures_of(file)
    np.savez_compressed(file, images=np.zeros((3, 4, 4, 3), np.uint8), more=np.zeros((500, 32, 32, 3), np.uint8))
    assert len(pictures_of(file).names) == 3, "what is not read is not counted"


def test_a_header_may_not_claim_more_than_there_is(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 4, 4, 3), np.uint8))
    data = buffer.getvalue().replace(b"(3, 4, 4, 3)", b"(3, 4, 4, 3000000000)").replace(b" " * 9, b"", 1)
    with pytest.raises(BytesError, match="its header claims 144,000,000,000 bytes where 144 follow"):
        read_npy(io.BytesIO(data), len(data))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", data)
    with pytest.raises(DataError, match="its header claims"):
        pictures_of(tmp_path / "a.npz")


@pytest.mark.parametrize("version", [2, 3])
def test_a_header_may_not_claim_to_be_longer_than_the_file(tmp_path, version):
    data = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<I", 662_372_470) + b"{'descr': '|u1'}"
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"a.npy cannot .* claims to be 662,372,470 bytes long where there are 28"):
        pictures_of(tmp_path / "a.npy")
    with pytest.raises(BytesError, match="its header claims to be 662,372,470 bytes long"):
        read_npy(io.BytesIO(data), len(data))


def test_names_in_an_archive_that_are_no_text_are_written_out(tmp_path):
    np.savez(tmp_path / "a.npz", **{"x\ny": np.arange(3), "\x1b[2J": np.arange(2)})
    with pytest.raises(DataError, match=r"holds x\\ny, \\x1b\[2J; expected pictures under the key images$"):
        pictures_of(tmp_path / "a.npz")


def test_long_names_of_columns_are_cut(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    (folder / "metadata.csv").write_text(",".join(["9" * 5000, *map(str, range(50))]) + "\n" + ",".join(["1"] * 51))
    with pytest.raises(DataError, match=r"no heading \(9{100}\.\.\., 0, 1, .* and 41 more\); write one") as said:
        pictures_of(folder, labels="metadata.csv")
    assert len(str(said.value)) < 500


def test_names_of_members_that_are_no_text_are_written_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.pn\n\x1b[2Jg", b"no picture")
    with pytest.raises(DataError, match=r"1 other entries such as b.pn\\n\\x1b\[2Jg found"):
        pictures_of(tmp_path / "a.zip")


def test_arrays_are_read_as_numpy_does(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(["x", "yz"]), "c": np.array(3)}
    np.savez(tmp_path / "a.npz", **arrays)
    found, names = read_npz(tmp_path / "a.npz", ("a", "b"))
    assert names == ["a", "b", "c"] and list(found) == ["a", "b"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, arrays[name])


# ---- streams and tar files


def test_a_bounded_stream_ends_with_an_error():
    stream = Bounded(io.BytesIO(b"x" * 100), 50)
    assert (stream.read(50), stream.tell()) == (b"x" * 50, 50)
    with pytest.raises(BytesError, match="more than 0 MiB"):
        stream.read(1)
    with pytest.raises(BytesError):
        stream.seek(51)
    assert (stream.seek(10), stream.read(2)) == (10, b"xx")
    with pytest.raises(BytesError):
        Bounded(io.BytesIO(b"x" * 100), 50).read()
    assert Bounded(io.BytesIO(b"x" * 50), 50).read() == b"x" * 50
    assert read_up_to(io.BytesIO(b"abc"), 2) == b"ab"


def test_a_gzip_that_comes_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "MAX_IDX_BYTES", 2**20)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0" * 2**21))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\0")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*comes to more than 1 MiB"):
        pictures_of(tmp_path)


def cifar(**more):
    return {"c/batches.meta.txt": b"cat\ndog\n", "c/data_batch_1.bin": (b"\1" + b"\7" * 3072) * 2, **more}


def test_a_cifar_archive_that_comes_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    file = tmp_path / "a.tar.gz"
    file.write_bytes(tarred(cifar(), "gz"))
    assert pictures_of(file).class_names == ("cat", "dog")
    monkeypatch.setattr(named, "MAX_CIFAR_BYTES", 2**20)
    file.write_bytes(tarred(cifar(more=b"\0" * 2**21), "gz"))
    with pytest.raises(DataError, match=r"a.tar.gz is not a whole .tar.gz archive \(.*more than 1 MiB"):
        pictures_of(file)
    header = tarfile.TarInfo("name")  # an extended header, which the library reads as a whole
    header.type, header.size = tarfile.XHDTYPE, 2**21
    file.write_bytes(gzip.compress(header.tobuf() + b"\0" * 2**21))
    with pytest.raises(DataError, match="more than 1 MiB"):
        pictures_of(file)


def test_pickles_in_a_cifar_archive_stay_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar.gz").write_bytes(tarred({"c/data_batch_1": pickle.dumps(Runs())}, "gz"))
    with pytest.raises(DataError, match="expected CIFAR's binary version"):
        pictures_of(tmp_path / "a.tar.gz")
    assert not Path(CANARY).exists()


@pytest.mark.parametrize(
    ("label", "message"),
    [(b"9" * 30, None), (b"9" * 5000, None), (b"-" + b"9" * 18, None), (b"x" * 2**21, "has 2,097,152 bytes")],
)
def test_labels_of_any_length(label, message, tmp_path, picture_bytes):
    pytest.importorskip("webdataset")
    members = {"a.png": picture_bytes, "a.cls": label, "b.png": picture_bytes, "b.cls": label}
    (tmp_path / "a.tar").write_bytes(tarred(members))
    if message is None:
        assert pictures_of(tmp_path / "a.tar").class_names == (label.decode(),)
        return
    with pytest.raises(DataError, match=message):
        pictures_of(tmp_path / "a.tar")


@pytest.fixture
def picture_bytes():
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_of_more_pixels_than_may_be_is_not_decoded(picture_bytes):
    huge = picture_bytes.replace(struct.pack(">II", 4, 4), struct.pack(">II", 60_000, 60_000), 1)
    with pytest.raises(UnreadableError, match=r"too many pixels|damaged"):
        decode_picture(huge)


# ---- tables and texts


@pytest.mark.parametrize(
    "row",
    [
        b"0.png," + b"9" * 5000,
        b"/a" * 60_000 + b"/0.png,x",
        b'0.png,"[' + b"," * 100_000 + b'"',
        b"0.png," + b"\xc2\xb2" * 20,
    ],
)
def test_rows_of_a_table_cost_what_they_hold(row, tmp_path, picture_bytes):
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(picture_bytes)
    (tmp_path / "labels.csv").write_bytes(b"file,label\n" + row + b"\n1.png,dog\n")
    found = pictures_of(tmp_path, labels="labels.csv")
    assert len(found.names) == 2


YAML = {
    "laughs": "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
    "itself": "train: &t {a: *t}\n",
    "merged": "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
    "deep": "train: " + "[" * 300 + "]" * 300,
    "digits": "seed: " + "9" * 5000,
    "long": "#" * 2**21,
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML)
def test_yaml_comes_to_what_it_says(text, tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"--config .*a\.yaml") as raised:
        read_config(tmp_path / "a.yaml")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600


def test_yaml_with_a_few_aliases_is_read(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text("preset: demo\ntrain: &t {lr_g: 0.5}\n")
    assert read_config(tmp_path / "a.yaml").config.train.lr_g == 0.5


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\uDFFF": 1}', '["\\ud83d"]'])
def test_half_a_character_is_no_text(text):
    with pytest.raises(BytesError, match="half of a character"):
        value_of(text)
    assert value_of('"\\ud83d\\ude00 \\u00e4"') == "\U0001f600 ä"


# ---- pickles and weights


def test_the_weight_of_a_pickle_is_told_without_making_it():
    fine = {"a": [1, (2, 3)], "b": {"c": [torch.float32] * 3}, ("x", 1): None}
    check_pickle(io.BytesIO(pickle.dumps(fine)))
    for protocol in (0, 2, 4):
        with pytest.raises(BytesError, match="more than 4,000,000 objects"):
            check_pickle(io.BytesIO(pickle.dumps(list_bomb(60), protocol)))
    with pytest.raises(BytesError, match="more than 4,000,000 objects"):
        check_pickle(io.BytesIO(key_bomb(60)))
    with pytest.raises(BytesError, match="no pickle"):
        check_pickle(io.BytesIO(b"nothing"))


def test_a_network_of_many_tensors_is_no_bomb():
    layers = {f"layer{i}.weight": torch.zeros(1) for i in range(1000)}
    with zipfile.ZipFile(io.BytesIO(saved(layers))) as archive:
        check_pickle(archive.open("archive/data.pkl"))


def grown():
    """Make lists that hold each other twice so that no pickle shows it: the outer ones are filled first."""
    levels = [[] for _ in range(60)]
    for inner, outer in pairwise(levels):
        outer += [inner, inner]
    return levels


def renamed(data, names, more=()):
    """Give members of an archive other names, and add some."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name, body in more:
            new.writestr(name, body)
        for info in old.infolist():
            new.writestr(names.get(info.filename, info.filename), old.read(info))
    return buffer.getvalue()


def in_capitals(contents):
    """Write a bomb where PyTorch finds it, and a name that ends in no .pkl."""
    return renamed(
        rezipped(saved(contents), {"archive/data.pkl": key_bomb(60)}), {"archive/data.pkl": "archive/data.PKL"}
    )


HOSTILE = {
    "code": lambda c: saved({**c, "G": Runs()}),
    "plain pickle": lambda c: pickle.dumps(Runs(), protocol=0),
    "lists": lambda c: saved({**c, "more": list_bomb(60)}),
    "lists, outer first": lambda c: saved({**c, "all": grown()}),
    "keys": lambda c: rezipped(saved(c), {"archive/data.pkl": key_bomb(60)}),
    "old form": lambda c: saved({**c, "more": list_bomb(60)}, _use_new_zipfile_serialization=False),
    "capitals": in_capitals,
    "one name in two ways": lambda c: renamed(saved(c), {}, [("archive/DATA.pkl", key_bomb(60))]),
    "old form, a small zip behind": lambda c: (
        saved({**c, "more": list_bomb(60)}, _use_new_zipfile_serialization=False) + saved(c)
    ),
    "a zip behind something": lambda c: b"PK\x03\x04" + saved(c),
    "64 GiB in four bytes": lambda c: saved({**c, "w": torch.zeros(1).expand(1 << 34)}),
    "compressed": lambda c: rezipped(saved(c), {}, zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused_by_whoever_reads_them(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "step-00000001.pt"
    file.write_bytes(make({"format": "sagan checkpoint", "format_version": 1, "step": 1}))
    with pytest.raises(CheckpointError, match=r"step-00000001\.pt"):
        load_checkpoint(file)
    with pytest.raises(ForeignError, match=r"step-00000001\.pt"):
        read_foreign(file)
    with pytest.raises(ValueError, match=r"step-00000001\.pt"):
        read_state_dict(file)
    assert not Path(CANARY).exists()


def test_members_of_a_torch_file_are_what_pytorch_reads(tmp_path):
    contents = {"format": "sagan checkpoint", "format_version": 1, "step": 1}
    file = tmp_path / "a.pt"
    for data, why in (
        (renamed(saved(contents), {"archive/data.pkl": "archive/data.PKL"}), None),
        (renamed(saved(contents), {"archive/data.pkl": "archive/data.pk"}), "no data.pkl, or several"),
        (renamed(saved(contents), {}, [("other/data.pkl", pickle.dumps(1))]), "no data.pkl, or several"),
        (renamed(saved(contents), {}, [("archive/VERSION", b"3")]), "the same name"),
        (saved(contents, _use_new_zipfile_serialization=False) + saved(contents), "from its first byte"),
    ):
        file.write_bytes(data)
        with zipfile.ZipFile(file) as archive:
            if why is None:
                check_torch_zip(archive, len(data))
                continue
            with pytest.raises(BytesError, match=why):
                check_torch_zip(archive, len(data))
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(BytesError, match="starts as a zip file"):
        check_old_torch_file(file)


def test_weights_are_not_allocated_where_the_file_has_others(tmp_path):
    from safetensors.torch import load as load_bytes
    from safetensors.torch import save

    config = GeneratorConfig(size_px=16, num_classes=2, z_dim=2, base_width=1, attention=())
    file = tmp_path / "g.safetensors"
    save_weights(Generator(config).eval(), file, ["a", "b"], {})
    data = file.read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = load_bytes(data)
    metadata["config"] = metadata["config"].replace('"base_width": 1', '"base_width": 1000000')
    file.write_bytes(save(tensors, {**metadata, "checksum": _checksum(tensors, metadata)}))
    with pytest.raises(WeightsError, match=r"g\.safetensors does not fit .* asks for a generator of"):
        load_weights(file)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_checkpoint_holds_the_weights_that_its_configuration_asks_for(network, tiny_config, tiny_state, tmp_path):
    import dataclasses

    state, _ = tiny_state()
    config = tiny_config()
    wide = dataclasses.replace(getattr(config, network), base_width=1_000_000)
    file = tmp_path / "step-00000001.pt"
    contents = {"format": "sagan checkpoint", "format_version": 1, "class_names": ["a", "b", "c"]}
    contents |= {**state.state_dict(), "config": to_json(dataclasses.replace(config, **{network: wide}))}
    file.write_bytes(saved(contents))
    with pytest.raises(CheckpointError, match=rf"step-00000001\.pt is whole .* asks for a {network} of"):
        load(file, device="cpu")
    contents["config"] = to_json(config)
    contents["G"] = {f"{name}x": tensor for name, tensor in contents["G"].items()}
    file.write_bytes(saved(contents))
    with pytest.raises(CheckpointError, match=r"step-00000001\.pt is whole but cannot be right"):
        load(file, device="cpu")


# ---- what benchmarks/fuzz.py found beside them


@pytest.mark.parametrize("count", range(1, 16))
def test_an_idx_file_that_ends_in_its_header_is_refused(count, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1])[:count])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 0]))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte in .* is not a whole IDX file"):
        pictures_of(tmp_path)


def test_a_table_in_a_damaged_zip_is_named(tmp_path, picture_bytes):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.csv", "file_name,label\na.png,cat\nb.png,dog\n")
        archive.writestr("a.png", picture_bytes)
        archive.writestr("b.png", picture_bytes)
    file.write_bytes(file.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05", 1))
    with pytest.raises(DataError, match=r"a\.zip: metadata\.csv cannot be read: cannot be unpacked"):
        pictures_of(file)


def test_a_wrong_value_of_a_configuration_is_cut(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"seed": "9" * 5000, "x" * 10: 1}))
    with pytest.raises(ValueError, match=r"a\.json: .*9\.\.\. is not of the type|unknown") as raised:
        read_config(tmp_path / "a.json")
    assert len(str(raised.value)) < 500


def test_a_long_line_of_class_names_is_cut(tmp_path):
    from sagan.data.names import read_class_names

    (tmp_path / "names.txt").write_text("9" * 5000)
    with pytest.raises(DataError, match=r"names\.txt holds ") as raised:
        read_class_names(tmp_path / "names.txt")
    assert len(str(raised.value)) < 500


def test_a_key_of_a_million_letters_is_compared_with_nothing():
    from sagan.words import nearest

    assert nearest("x" * 1_000_000, ["seed", "train"]) == []
    assert nearest("trian", ["seed", "train"]) == ["train"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_unpack_without_a_bound_are_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.png", bytes(100))
        archive.writestr("b.png", b"", zipfile.ZIP_STORED)
    with pytest.raises(UnreadableError, match=rf"packed by method {method} .*again with the usual deflate"):
        pictures_of(tmp_path / "a.zip").decode(0)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("images.npy", bytes(100))
    with pytest.raises(BytesError, match=f"packed by method {method}"):
        read_npz(tmp_path / "a.npz")


def test_members_that_claim_what_cannot_be_are_refused():
    member = zipfile.ZipInfo("a.png")
    member.compress_type, member.compress_size, member.file_size = zipfile.ZIP_DEFLATED, 1000, 1_032_000
    bombs.check_member(member)
    member.file_size += 1
    with pytest.raises(BytesError, match="claims 1,032,001 bytes, which cannot come out of the 1,000"):
        bombs.check_member(member)


def test_a_member_is_read_in_pieces_and_its_checksum_is_looked_at(tmp_path):
    for data in (b"", b"abc", os.urandom(3 << 20), bytes(3 << 20)):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", data)
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            assert bombs.read_member(archive, archive.getinfo("a")) == data
            archive.getinfo("a").CRC ^= 1
            with pytest.raises(zipfile.BadZipFile, match="CRC"):
                bombs.read_member(archive, archive.getinfo("a"))


@pytest.mark.parametrize("start", [0, 0x06054B50])
@pytest.mark.parametrize("beside", [b"", b"PK\x06\x06" + bytes(72)], ids=["alone", "beside"])
def test_a_long_directory_is_seen_whatever_stands_in_and_beside_its_end(tmp_path, monkeypatch, start, beside):
    monkeypatch.setattr(bombs, "MAX_DIRECTORY_BYTES", 1000)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 2000, start, 0)
    (tmp_path / "a.zip").write_bytes(bytes(3000) + beside + end)
    with pytest.raises(BytesError, match="its directory has 0 MiB"):
        check_directory(tmp_path / "a.zip")


def test_a_long_directory_of_a_large_zip_file_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(bombs, "MAX_DIRECTORY_BYTES", 1000)
    for size in (999, 2000):
        wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, 0)
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 3000, 1)
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 3)
        (tmp_path / "a.zip").write_bytes(bytes(3000) + wide + locator + end + b"say")
        if size == 999:
            check_directory(tmp_path / "a.zip")
            continue
        with pytest.raises(BytesError, match="its directory has 0 MiB"):
            check_directory(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_a_name_in_a_tar_file_has_a_bound(tmp_path, kind):
    name, member = tarfile.TarInfo("././@LongLink"), tarfile.TarInfo("a.png")
    name.type, name.size, member.size = kind, 400 << 20, 3
    with (tmp_path / "a.tar").open("wb") as stream:
        stream.write(name.tobuf(tarfile.GNU_FORMAT))
        stream.seek(512 + name.size)
        stream.write(member.tobuf() + b"abc".ljust(512, b"\0") + bytes(1024))
    with pytest.raises(DataError, match="a header in it has 419,430,400 bytes"):
        pictures_of(tmp_path / "a.tar")


def test_a_length_that_a_pickle_claims_is_not_asked_for() -> None:
    class Watched(io.BytesIO):
        asked = 0

        def read(self, count: int | None = -1, /) -> bytes:
            Watched.asked = max(Watched.asked, count or 0)
            return super().read(count)

    claims = b"\x80\x04B\xff\xff\xff\x7f" + b"few bytes"  # BINBYTES of 2 GiB
    with pytest.raises(BytesError, match="no pickle"):
        check_pickle(Watched(claims))
    assert 0 < Watched.asked <= 1 << 20
