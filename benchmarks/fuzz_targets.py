"""What is fuzzed: every reader, small files that are right for it, and how its answers are judged.

A target takes bytes, lays them where a user would have the file, and reads them as the package does. Some of its seeds
are the inner part of a file (the pickle of a checkpoint, a member of an archive) with what packs it again, check sums
and all: else nearly every change would end at the first sum.
"""

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

CANARY = "sagan-fuzz-canary"
"""A folder that code in a hostile file would make in the working folder."""
MOST_DECODED = 4


class Seed(NamedTuple):
    """Bytes that are changed, and what makes a file of them."""

    body: bytes
    pack: Callable[[bytes], bytes] | None = None
    """Makes the file; None where the bytes are the file."""
    file: str | None = None
    """Another name of the file than the target's."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader."""

    name: str
    file: str
    """What the file is called; with folders, of which the first is what the reader is given."""
    seeds: Callable[[], list[Seed]]
    read: Callable[[Path], object]
    """Reads the file, or the folder that it lies in; what it gives tells contents apart."""
    beside: Callable[[], dict[str, bytes]] = dict
    """Other files that lie beside it."""
    checked: bool = False
    """Whether check sums cover all that it gives: it must then be what a seed holds."""
    older: bytes | None = None
    """What stands in a file of a version that had none: two seeds in one file can make such."""
    memory_mib: int = 512
    """What may be asked for beyond what the process has after its imports."""
    seconds: float = 10.0
    """Time of the processor for one file."""


class Runs:
    """Touches the canary when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (CANARY,)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def inner_seeds(data: bytes, pack: Callable[[dict[str, bytes]], bytes], chosen: Sequence[str] = ()) -> list[Seed]:
    """Make a seed of each member of a zip file, or of those whose names end as chosen."""
    members = members_of(data)
    return [
        Seed(body, lambda changed, name=name: pack({**members, name: changed}))  # type: ignore[misc]
        for name, body in members.items()
        if not chosen or name.endswith(tuple(chosen))
    ]


def array(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def picture(kind: str = "PNG", mode: str = "RGB", side: int = 6, **options: Any) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (side, side, 4), dtype=np.uint8)
    image = Image.fromarray(values).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# ---- networks


@cache
def tiny() -> Any:
    """Make a tiny run: its configuration and its state at step 0."""
    from sagan.models.config import DiscriminatorConfig, GeneratorConfig
    from sagan.recipes.build import build_networks
    from sagan.recipes.config import RunConfig
    from sagan.training.config import TrainConfig
    from sagan.training.state import new_state

    both = {"size_px": 16, "num_classes": 2, "base_width": 1, "attention": ()}
    config = RunConfig(
        generator=GeneratorConfig(**both, z_dim=2, sampling_norm="running"),  # type: ignore[arg-type]
        discriminator=DiscriminatorConfig(**both),  # type: ignore[arg-type]
        train=TrainConfig(total_steps=10, batch_size=2),
    )
    return config, new_state(*build_networks(config), config.train)


def checkpoint_contents() -> dict[str, Any]:
    from sagan.recipes.config import to_json

    config, state = tiny()
    return {**state.state_dict(), "config": to_json(config), "class_names": ["cat", "dog"], "hooks": {}}


def saved(contents: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(contents, buffer, **options)
    return buffer.getvalue()


def stored_checkpoint(contents: dict[str, Any], version: int = 2) -> bytes:
    from sagan.training.contents import checksum

    about: dict[str, Any] = {"format": "sagan checkpoint", "format_version": version}
    if version > 1:
        about["checksum"] = checksum(contents)
    return saved({**about, **contents})


def bomb(levels: int) -> list[Any]:
    """Nest lists so that each holds the one before twice: few bytes in a pickle, and endless to walk through."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found, found]
    return found


def key_bomb(levels: int) -> bytes:
    """Write a pickle of a dictionary whose key is such tuples: whoever makes it computes a hash without end."""
    tuples = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(levels))  # put, get, make a pair of both
    return b"\x80\x02}" + tuples + b"K\x01s."


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def hostile_pickles(contents: dict[str, Any], save: Callable[[dict[str, Any]], bytes]) -> list[bytes]:
    itself: list[Any] = []
    itself.append(itself)
    wide = torch.zeros(1).expand(1 << 34)  # four bytes that say that they are 64 GiB
    return [
        saved({**contents, "G": Runs()}),
        pickle.dumps(Runs(), protocol=0),
        save({**contents, "more": bomb(60)}),
        zipped({**members_of(save(contents)), "archive/data.pkl": key_bomb(60)}),
        save({**contents, "more": nested(400)}),
        save({**contents, "more": itself}),
        save({**contents, "G": {**contents["G"], "linear.bias": wide}}),
        save({**contents, "step": -1}),
        save({**contents, "config": contents["config"].replace('"base_width": 1', '"base_width": 1000000000')}),
    ]


def checkpoint_seeds() -> list[Seed]:
    contents = checkpoint_contents()
    data = stored_checkpoint(contents)
    old = stored_checkpoint(contents, 1)
    # Of version 1, as the sum of version 2 would refuse every change of the pickle.
    hostile = hostile_pickles(contents, lambda held: saved({"format": "sagan checkpoint", "format_version": 1, **held}))
    packed = members_of(old)
    deflated = zipped(packed, zipfile.ZIP_DEFLATED)
    return [Seed(data), Seed(deflated), *inner_seeds(old, zipped, ("data.pkl", "data/0")), *map(Seed, hostile)]


def read_checkpoint(path: Path) -> object:
    from sagan.generators.pretrained import load, load_judge
    from sagan.generators.snapshot import read_snapshot
    from sagan.training.contents import checksum

    found = read_snapshot(path)
    load(path, device="cpu", standing=(1, 2))
    load_judge(path)
    return checksum({key: value for key, value in found.contents.items() if not key.startswith("format")})


@cache
def weights_file(scale: float = 1.0) -> bytes:
    import tempfile

    from sagan.generators.weights import save_weights

    _, state = tiny()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "g.safetensors"
        save_weights(state.G.eval(), file, ["cat", "dog"], {"step": 3, "data": {"source": "x"}, "weights": "w"})
        return file.read_bytes()


def safetensors_parts() -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    from safetensors.torch import load

    data = weights_file()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header["__metadata__"], load(data)


def with_metadata(name: str) -> Seed:
    """Make a seed of one text beside the tensors; the sum is made again."""
    from safetensors.torch import save

    from sagan.generators.weights import _checksum

    metadata, tensors = safetensors_parts()

    def pack(body: bytes) -> bytes:
        held = {**metadata, name: body.decode("utf-8", "replace")}
        return save(tensors, {**held, "checksum": _checksum(tensors, held)})

    return Seed(metadata[name].encode(), pack)


def weights_seeds() -> list[Seed]:
    data = weights_file()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length]

    def framed(body: bytes) -> bytes:
        return struct.pack("<Q", len(body)) + body + data[8 + length :]

    wide = with_metadata("config")
    huge = wide.body.replace(b'"base_width": 1', b'"base_width": 1000000')
    texts = [with_metadata(name) for name in ("config", "class_names", "provenance")]
    assert huge != wide.body and wide.pack is not None
    return [Seed(data), Seed(header, framed), *texts, Seed(wide.pack(huge))]


def read_weights(path: Path) -> object:
    from sagan.generators.pretrained import load

    found = load(path, device="cpu")
    found.sample(1, seed=0)
    # Not the texts: an unknown name beside the three is no part of what is given.
    return [found.class_names, found.provenance, [t.numpy().tobytes() for t in found.network.state_dict().values()]]


def onnx_seeds() -> list[Seed]:
    """Give weights whose numbers are changed, under a sum that is right."""
    from safetensors.torch import save

    from sagan.generators.weights import _checksum

    metadata, tensors = safetensors_parts()
    sizes = {name: tensor.numel() * 4 for name, tensor in tensors.items()}
    body = b"".join(tensor.numpy().tobytes() for tensor in tensors.values())

    def pack(changed: bytes) -> bytes:
        held, at = {}, 0
        padded = changed[: len(body)].ljust(len(body), b"\0")
        for name, size in sizes.items():
            values = np.frombuffer(padded[at : at + size], np.float32).copy()
            held[name] = torch.from_numpy(values).reshape(tensors[name].shape)
            at += size
        return save(held, {**metadata, "checksum": _checksum(held, metadata)})

    huge = np.full(len(body) // 4, 3e38, np.float32).tobytes()
    return [Seed(body, pack), Seed(huge, pack)]


def read_and_export(path: Path) -> object:
    from sagan.exchange.take_out import export

    return export(path, path.with_name("g.onnx"))


# ---- pictures


def cache_of(path: Path) -> Path:
    return path.parent / "cache"


def read_pictures(path: Path, **options: Any) -> object:
    """Find what a user would give as `--data`, and decode some of it."""
    from sagan.data.config import DataConfig
    from sagan.data.decode import UnreadableError
    from sagan.data.sources import find_source

    pictures = find_source(DataConfig(path=str(path), **options), cache_of(path)).load()
    decoded = []
    for index in range(min(len(pictures.names), MOST_DECODED)):
        try:
            decoded.append(pictures.decode(index).pixels.tobytes())
        except UnreadableError as error:  # of one picture: the packer names it
            decoded.append(str(error).encode())
    return [pictures.class_names, pictures.labels.tolist(), decoded]


def packed_bytes() -> bytes:
    import tempfile

    from sagan.data.packed import packed_writer

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "p.npy"
        with packed_writer(file, (4, 4), 3, "key") as writer:
            writer.add([(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), frozenset()) for _ in range(3)])
            writer.finish(np.array([0, 1, 0]), ("cat", "dog"), "here", ["a", "b", "c"])
        return file.read_bytes()


def packed_seeds() -> list[Seed]:
    data = packed_bytes()
    stream = io.BytesIO(data)
    images, labels, text, sums = (np.lib.format.read_array(stream) for _ in range(4))

    def pack(body: bytes) -> bytes:
        parts = [array(part) for part in (images, labels, np.frombuffer(body, np.uint8))]
        start = parts[0][: -images.nbytes]
        rest = parts[1] + parts[2] + array(sums.astype("<u4"))[:-4]
        return parts[0] + rest + zlib.crc32(start + rest).to_bytes(4, "little")

    version_1 = (
        array(images) + array(labels) + array(np.frombuffer(text.tobytes().replace(b": 2", b": 1", 1), np.uint8))
    )
    return [Seed(data), Seed(text.tobytes(), pack), Seed(version_1, lambda changed: changed)]


def read_packed_pictures(path: Path) -> object:
    from sagan.data.shards import read_packed

    found = read_packed(path)
    return [found.fingerprint, found.class_names, found.source, np.asarray(found.images).tobytes()]


def index_seeds() -> list[Seed]:
    from sagan.data.packed import fingerprint
    from sagan.data.shards import checked_index

    data = packed_bytes()
    found = read_info(data)
    digest = found["pixels_sha256"]
    labels = np.array([0, 1, 0])
    record = {"sagan_shards": 2, **found, "fingerprint": fingerprint(digest, labels, ("cat", "dog"), (4, 4))}
    record["shards"] = [{"file": "shard-0.npy", "bytes": len(data), "pictures": 3, "pixels_sha256": digest}]
    text = json.dumps(checked_index(record)).encode()

    def pack(body: bytes) -> bytes:
        try:
            held = json.loads(body)
            held.pop("checksum", None)
            return json.dumps(checked_index(held)).encode()
        except (ValueError, AttributeError, RecursionError, TypeError):
            return body

    return [Seed(text), Seed(text, pack)]


def read_info(data: bytes) -> dict[str, Any]:
    stream = io.BytesIO(data)
    text = [np.lib.format.read_array(stream) for _ in range(3)][2]
    return {key: value for key, value in json.loads(text.tobytes()).items() if key != "sagan_packed"}


def npz(compressed: bool, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def some_images() -> Any:
    return np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)


def npz_seeds() -> list[Seed]:
    data = npz(False, images=some_images(), labels=np.arange(4) % 2, class_names=np.array(["cat", "dog"]))
    deflated = npz(True, x=some_images(), y=np.array(["a", "b", "a", "b"]))
    objects = npz(False, images=np.array([Runs()], object))
    zeros = npz(True, images=np.zeros((1 << 14, 128, 128, 3), np.uint8)) if os.environ.get("SAGAN_FUZZ_BOMBS") else b""
    return [Seed(data), Seed(deflated), Seed(objects), *inner_seeds(data, zipped), *([Seed(zeros)] if zeros else [])]


def npy_seeds() -> list[Seed]:
    more = [np.array([Runs()], object), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 4), np.float32)]
    return [Seed(array(values)) for values in (some_images(), *more)]


def samples_of(path: Path) -> object:
    from sagan.runs.samples import read_samples

    return read_samples(path).tobytes()


def cifar_members() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    records = b"".join(bytes([label]) + rng.integers(0, 256, 3072, dtype=np.uint8).tobytes() for label in (0, 1))
    return {"c/batches.meta.txt": b"cat\ndog\n", "c/data_batch_1.bin": records}


def cifar_seeds() -> list[Seed]:
    members = cifar_members()
    plain = tarred(members)
    of_python = tarred({"c/data_batch_1": pickle.dumps(Runs()), "c/batches.meta": pickle.dumps({"label_names": ["a"]})})
    names = Seed(members["c/batches.meta.txt"], lambda b: gzipped(tarred({**members, "c/batches.meta.txt": b})))
    return [Seed(gzipped(plain)), Seed(plain, gzipped), names, Seed(gzipped(of_python))]


def idx(values: Any) -> bytes:
    return struct.pack(f">HBB{values.ndim}i", 0, 8, values.ndim, *values.shape) + values.tobytes()


def idx_seeds() -> list[Seed]:
    images, labels = idx(some_images()[..., 0]), idx(np.array([0, 1, 0, 1], np.uint8))
    other = "set/train-labels-idx1-ubyte"
    return [
        *(Seed(images), Seed(labels, file=other)),
        *(Seed(images, gzipped, "set/train-images-idx3-ubyte.gz"), Seed(labels, gzipped, f"{other}.gz")),
        Seed(gzipped(images), file="set/train-images-idx3-ubyte.gz"),
    ]


def tree_members() -> dict[str, bytes]:
    small = picture()
    return {f"{name}/{i}.png": small for name in ("cat", "dog") for i in range(2)}


def zip_seeds() -> list[Seed]:
    members = tree_members()
    table = {"metadata.csv": b"file_name,label\na.png,cat\nb.png,dog\n", "a.png": picture(), "b.png": picture("WEBP")}
    stored, deflated = zipped(members), zipped(members, zipfile.ZIP_DEFLATED)
    more = [zipped({"inner.zip": stored}), zipped({"../out.png": picture()}), zipped(table, zipfile.ZIP_LZMA)]
    return [Seed(stored), Seed(deflated), *map(Seed, more), *inner_seeds(zipped(table), zipped, (".csv", "a.png"))]


def tar_seeds() -> list[Seed]:
    members = {"a.png": picture(), "a.cls": b"0", "b.jpg": picture("JPEG"), "b.cls": b"1"}
    texts = {"a.png": picture(), "a.json": b'{"label": 1}', "b.png": picture(), "b.txt": b"1"}
    of_json = Seed(texts["a.json"], lambda body: tarred({**texts, "a.json": body}))
    of_class = Seed(members["a.cls"], lambda body: tarred({**members, "a.cls": body}))
    hostile = [
        *(tarred({**members, "a.cls": text}) for text in (b"9" * 30, b"9" * 5000, b"\xff")),
        tarred({**texts, "a.json": b'{"label": 1e999}'}),
    ]
    return [Seed(tarred(members)), of_json, of_class, *map(Seed, hostile)]


KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(("PNG", "RGB", {}), ("PNG", "P", {}), ("PNG", "LA", {}), ("JPEG", "RGB", {}), ("JPEG", "CMYK", {})),
    *(("WEBP", "RGB", {}), ("GIF", "P", {}), ("BMP", "RGB", {}), ("TIFF", "RGB", {}), ("TIFF", "F", {})),
    *(("TIFF", "I", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}), ("PPM", "L", {}), ("TGA", "RGBA", {})),
    *(("JPEG2000", "RGB", {}), ("AVIF", "RGB", {}), ("HEIF", "RGB", {}), ("JXL", "RGB", {})),
)


def png_chunks(body: bytes) -> bytes:
    """Give a PNG the check sums of its chunks, as far as they can be told apart."""
    found, at = body[:8], 8
    while at + 8 <= len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        part = body[at + 4 : at + 8 + length]
        found += body[at : at + 4] + part + zlib.crc32(part).to_bytes(4, "big")
        at += 12 + length
    return found


def deep_tiffs() -> list[bytes]:
    import tifffile

    found = []
    for values, options in (
        (np.arange(48, dtype=np.uint16).reshape(4, 4, 3), {"photometric": "rgb"}),
        (np.arange(48, dtype=np.uint16).reshape(3, 4, 4), {"photometric": "rgb", "planarconfig": "separate"}),
        (np.arange(16, dtype=np.int16).reshape(4, 4), {}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, **options)
        found.append(buffer.getvalue())
    return found


def image_seeds() -> list[Seed]:
    import contextlib

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    with contextlib.suppress(ImportError):
        import pillow_jxl  # noqa: F401
    found = []
    for kind, mode, options in KINDS:
        with contextlib.suppress(KeyError, OSError):  # a format that this Pillow does not write
            side = 16 if kind in ("AVIF", "HEIF", "JXL") else 6
            found.append(Seed(picture(kind, mode, side, **options)))
    with contextlib.suppress(ImportError):
        found += map(Seed, deep_tiffs())
    return [*found, Seed(picture(), png_chunks), Seed(picture("PNG", "P"), png_chunks)]


# ---- texts


def config_seeds() -> list[Seed]:
    from sagan.recipes.config import RunConfig, to_json

    return [Seed(to_json(RunConfig()).encode()), Seed(to_json(tiny()[0]).encode())]


def yaml_seeds() -> list[Seed]:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    texts = [
        "preset: demo\ntrain: {batch_size: 32, lr_g: 1e-4}\ngenerator:\n  attention: [8]\n",
        "defaults: &d {lr_g: 0.1}\ntrain:\n  <<: *d\n  batch_size: 8\n",
        laughs,
        "train: &t {a: *t}\n",
        "train: " + "[" * 1200,
        "!!python/object/apply:os.mkdir [" + CANARY + "]\n",
        "seed: " + "9" * 5000,
        "seed: 2020-13-45\n? [a]\n: 1\n",
    ]
    return [Seed(text.encode()) for text in texts]


def values_seeds() -> list[Seed]:
    from sagan.metrics.report import Report, Value

    value = Value(metric="FID", value=1.5, higher_is_better=False, protocol={"network": "n", "count": 3})
    report = Report(subject={"step": 3}, values=(value,), versions={"torch": "2"}, classes={"cat": {"value": 1.0}})
    return [Seed(report.to_json().encode())]


def read_values(path: Path) -> object:
    from sagan.metrics.report import report_from_json

    return report_from_json(path.read_bytes(), str(path)).to_json()


def row_seeds() -> list[Seed]:
    values = json.loads(values_seeds()[0].body)
    parts = {"generator": 1, "discriminator": 1, "attention": 0, "residual": 0}
    row = {"sagan_row": 1, "name": "a", "key": "k", "status": "finished", "reason": None, "config": {}, "step": 3}
    row |= {"data": {"source": "x", "fingerprint": "f", "images": 3}, "class_names": ["a"], "parameters": parts}
    row |= {"health": [{"step": 1, "health": "x"}], "monitor": None, "training_s": 1.0, "device": "cpu", "threads": 1}
    row |= {"judging": {"fd": {"features": "inception", "num": 3, "real": None}}, "reports": {"final": values}}
    row |= {"pairs": {}, "samples_at": [], "attention": False, "by_class": []}
    return [Seed(json.dumps(row).encode())]


def read_row(path: Path) -> object:
    from sagan.experiments.row import read_result

    return json.dumps(read_result(path.parent))


def sweep_seeds() -> list[Seed]:
    from dataclasses import asdict

    from sagan.experiments.row import published_config
    from sagan.experiments.scales import scale_of
    from sagan.experiments.settings import Settings

    settings = Settings(experiment="table1", scale="smoke", data="x", seeds=1)
    base = published_config(scale_of(settings.scale, settings.size).base, "x")
    data = {"source": "x", "fingerprint": "f", "images": 3, "size": 32}
    sweep = {"sagan_sweep": 1, "settings": asdict(settings), "judging": {}, "data": data, "base": base, "commands": []}
    return [Seed(json.dumps(sweep).encode())]


def read_whole_sweep(path: Path) -> object:
    from sagan.experiments.sweep import read_sweep

    return str(read_sweep(path.parent).settings)


def log_seeds() -> list[Seed]:
    lines = [{"step": 0, "sagan_log": 2}, *({"step": i, "loss_d": 0.5, "images_per_s": 3.0} for i in range(1, 4))]
    lines += [{"step": 3, "health": "losses diverge", "over": False, "quantity": "loss", "value": 1.0, "limit": 2.0}]
    return [Seed("".join(json.dumps(line) + "\n" for line in lines).encode())]


def read_logs(path: Path) -> object:
    from sagan.figures.curves import training_curves
    from sagan.studio.live import log_lines, run_told

    found = run_told(path.parent), log_lines(path.parent)
    json.dumps(found[0], allow_nan=False)
    assert training_curves is not None
    return str(found)


def class_names_seeds() -> list[Seed]:
    return [Seed(b"n01 tench, Tinca\nn02 dog\n"), Seed(b'{"n01": "tench", "0": ["n02", "dog"]}')]


def read_names_file(path: Path) -> object:
    from sagan.data.names import read_class_names

    return read_class_names(path)


def table_seeds() -> list[Seed]:
    csv = b"file_name,label\n" + b"".join(f"{i}.png,{'cat' if i % 2 else 'dog'}\n".encode() for i in range(4))
    stylegan = json.dumps({"labels": [[f"{i}.png", i % 2] for i in range(4)]}).encode()
    lines = b"".join(json.dumps({"file_name": f"{i}.png", "label": i % 2}).encode() + b"\n" for i in range(4))
    absolute = b"path;class\n" + b"/a/b" * 20 + b"/0.png;x\nC:/1.png;y\n"
    return [
        *(Seed(csv), Seed(csv.replace(b",", b"\t")), Seed(csv.decode().encode("utf-16")), Seed(b"0.png 1\n1.png 2\n")),
        *(Seed(absolute), Seed(b"file,label\n0.png," + b"9" * 5000 + b"\n"), Seed(b'"' + b"a" * 200_000)),
        *(Seed(stylegan, file="set/dataset.json"), Seed(lines, file="set/metadata.jsonl")),
        Seed(csv.replace(b"\n", b'\n"[', 1).replace(b"dog", b"," * 100_000, 1)),
        Seed(b"file,label\n" + b"/a" * 60_000 + b",x\n"),
    ]


def read_table(path: Path) -> object:
    labels = path / "labels.csv"
    return read_pictures(path, **({"labels": "labels.csv"} if labels.exists() else {}))


# ---- others


def statistics_seeds() -> list[Seed]:
    import tempfile

    from sagan.evaluation.passes import KEPT, Collected
    from sagan.evaluation.reference import ReferenceStatistics, write_statistics
    from sagan.metrics.statistics import KeptFeatures, Moments

    features = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    moments, kept = Moments(3), KeptFeatures(KEPT)
    moments.update(features)
    kept.update(features, np.arange(6))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "s.npz"
        collected = Collected(moments, kept)  # type: ignore[call-arg]
        write_statistics(file, ReferenceStatistics(collected, {"network": "n", "reference_count": 6}))
        data = file.read_bytes()
    objects = zipped({**members_of(data), "protocol.npy": array(np.array([Runs()], object))})
    return [Seed(data), Seed(objects), *inner_seeds(data, zipped)]


def read_stored_statistics(path: Path) -> object:
    from sagan.evaluation.reference import read_statistics

    found = read_statistics(path, {})
    return [str(found.protocol), found.collected.moments.count, found.collected.moments.gaussian().mean.tobytes()]


OF_NORM = ("weight", "bias", "running_mean", "running_var")


@cache
def foreign_state() -> dict[str, Any]:
    """Give the tensors of a StudioGAN generator of 32 px, as narrow as there is."""
    block = {"conv2d1": (4, 4, 3, 3), "conv2d2": (4, 4, 3, 3), "conv2d0": (4, 4, 1, 1)}
    state: dict[str, Any] = {"linear0.weight": (64, 2), "linear0.bias": (64,)}
    for i in range(3):
        for name, shape in block.items():
            state |= {f"blocks.{i}.0.{name}.weight": shape, f"blocks.{i}.0.{name}.bias": shape[:1]}
        for norm in ("bn1", "bn2"):
            state |= dict.fromkeys((f"blocks.{i}.0.{norm}.{name}" for name in OF_NORM), (4,))
    state |= {"bn4.weight": (4,), "bn4.bias": (4,), "bn4.running_mean": (4,), "bn4.running_var": (4,)}
    state |= {"conv2d5.weight": (3, 4, 3, 3), "conv2d5.bias": (3,)}
    return {name: torch.zeros(shape) for name, shape in state.items()}


def import_seeds() -> list[Seed]:
    from safetensors.torch import save

    contents = {"state_dict": foreign_state(), "step": 98, "best_fid": np.float64(12.5), "meta": {"config": "x"}}
    data = saved(contents)
    old = saved(contents, _use_new_zipfile_serialization=False)
    hostile = hostile_pickles({"G": foreign_state(), "config": ""}, saved)
    wide = {**foreign_state(), "linear0.weight": torch.zeros(1).expand(1 << 20, 1 << 14)}
    return [
        *(Seed(data), Seed(old), Seed(save(foreign_state()), file="G.safetensors"), Seed(saved({"state_dict": wide}))),
        *inner_seeds(data, zipped, ("data.pkl",)),
        *map(Seed, hostile),
    ]


def read_import(path: Path) -> object:
    from sagan.exchange.bring_in import read_networks

    return str(read_networks(path).generator.config)


def feature_seeds() -> list[Seed]:
    data = saved({"a.weight": torch.zeros(2, 2), "a.bias": torch.zeros(2)})
    return [Seed(data), *inner_seeds(data, zipped, ("data.pkl",)), Seed(saved({"a": Runs()})), Seed(saved(bomb(60)))]


def read_feature_weights(path: Path) -> object:
    from sagan.metrics.weights import read_state_dict

    return sorted(read_state_dict(path)[0])


def read_config_file(path: Path) -> object:
    from sagan.recipes.config import config_of_file, to_json

    return to_json(config_of_file(path))


def read_written(path: Path) -> object:
    from sagan.recipes.config import to_json
    from sagan.recipes.written import read_config

    return to_json(read_config(path).config)


def four_pictures() -> dict[str, bytes]:
    return {f"{i}.png": picture() for i in range(4)}


def idx_beside() -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte": idx(some_images()[..., 0]),
        "train-labels-idx1-ubyte": idx(np.array([0, 1, 0, 1], np.uint8)),
    }


def shard_beside() -> dict[str, bytes]:
    return {"shard-0.npy": packed_bytes()}


def run_beside() -> dict[str, bytes]:
    return {"config.json": config_seeds()[1].body}


_TARGETS = (
    Target(name="checkpoint", file="step-00000001.pt", seeds=checkpoint_seeds, read=read_checkpoint, checked=True),
    Target(name="weights", file="g.safetensors", seeds=weights_seeds, read=read_weights, checked=True),
    Target(
        name="packed",
        file="packed.npy",
        seeds=packed_seeds,
        read=read_packed_pictures,
        checked=True,
        older=b'"sagan_packed": 1',
    ),
    Target(name="shards", file="set/index.json", seeds=index_seeds, read=read_packed_pictures, beside=shard_beside),
    Target(name="statistics", file="s.npz", seeds=statistics_seeds, read=read_stored_statistics),
    Target(name="npz", file="set.npz", seeds=npz_seeds, read=read_pictures),
    Target(name="npy", file="set.npy", seeds=npy_seeds, read=read_pictures),
    Target(name="samples", file="step-00000001.npy", seeds=npy_seeds, read=samples_of),
    Target(name="cifar", file="set.tar.gz", seeds=cifar_seeds, read=read_pictures),
    Target(name="idx", file="set/train-images-idx3-ubyte", seeds=idx_seeds, read=read_pictures, beside=idx_beside),
    Target(name="zip", file="set.zip", seeds=zip_seeds, read=read_pictures, memory_mib=1024),
    Target(name="tar", file="set.tar", seeds=tar_seeds, read=read_pictures, memory_mib=1024),
    Target(name="images", file="set/a.bin", seeds=image_seeds, read=read_pictures, memory_mib=2048),
    Target(name="config", file="config.json", seeds=config_seeds, read=read_config_file),
    Target(name="yaml", file="my.yaml", seeds=yaml_seeds, read=read_written),
    Target(name="values", file="values.json", seeds=values_seeds, read=read_values),
    Target(name="row", file="row/result.json", seeds=row_seeds, read=read_row),
    Target(name="sweep", file="table/sweep.json", seeds=sweep_seeds, read=read_whole_sweep),
    Target(name="log", file="run/log.jsonl", seeds=log_seeds, read=read_logs, beside=run_beside),
    Target(name="class-names", file="names.txt", seeds=class_names_seeds, read=read_names_file),
    Target(name="table", file="set/labels.csv", seeds=table_seeds, read=read_table, beside=four_pictures),
    Target(name="import", file="G.pth", seeds=import_seeds, read=read_import),
    Target(name="feature-weights", file="f.pth", seeds=feature_seeds, read=read_feature_weights),
    Target(name="onnx", file="g.safetensors", seeds=onnx_seeds, read=read_and_export, memory_mib=4096, seconds=60.0),
)
WHOLE_FOLDER = frozenset(("shards", "idx", "images", "table"))
"""Targets whose reader is given the folder."""
TARGETS = {target.name: target for target in _TARGETS}
