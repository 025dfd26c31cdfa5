"""Scripts that stand beside an exported graph and draw samples with it, without this project."""

import re
from pathlib import Path

from sagan.whole import write_whole

ONNX = '''\
"""Draw samples of {file}: python {script} {usage}

Needs onnxruntime, numpy and pillow. The noise is that of `sagan sample {same}--num NUM --seed SEED`.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(Path(__file__).with_name({name!r}))
about = json.loads(session.get_modelmeta().custom_metadata_map["sagan"])
names, words = about["class_names"], sys.argv[1:]
if names and words[:1] not in [[name] for name in names]:
    sys.exit(f"usage: {script} {usage}; classes: {{', '.join(names)}}")
label = names.index(words.pop(0)) if names else 0
num, seed = map(int, words + ["8", "0"][len(words) :])
key = np.array([seed, zlib.crc32(b"sample z")], np.uint64)
streams = [np.random.Philox(key=key, counter=np.array([0, i, 0, 0], np.uint64)) for i in range(num)]
z = np.stack([np.random.Generator(s).standard_normal(about["z_dim"], np.float32) for s in streams])
images = session.run(None, {{"z": z, "y": np.full(num, label, np.int64)}} if names else {{"z": z}})[0]
pixels = ((images + 1.0) * 127.5 + 0.5).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
for i in range(num):
    Image.fromarray(pixels[i]).save(f"class{{label}}-seed{{seed}}-{{i:03d}}.png")
'''

TORCH = '''\
"""Draw samples of {file}: python {script} {usage}

Needs torch alone. Same class and SEED, same samples; the noise is PyTorch's own, not that of `sagan sample`.
"""

import json
import struct
import sys
import zlib
from pathlib import Path

import torch

files = {{"sagan.json": ""}}
draw = torch.export.load(Path(__file__).with_name({name!r}), extra_files=files).module()
about = json.loads(files["sagan.json"])
names, words = about["class_names"], sys.argv[1:]
if names and words[:1] not in [[name] for name in names]:
    sys.exit(f"usage: {script} {usage}; classes: {{', '.join(names)}}")
label = names.index(words.pop(0)) if names else 0
num, seed = map(int, words + ["8", "0"][len(words) :])
streams = [torch.Generator().manual_seed(seed * 2**32 + i) for i in range(num)]
z = torch.stack([torch.randn(about["z_dim"], generator=stream) for stream in streams])
images = draw(z, torch.full((num,), label)) if names else draw(z)
pixels = ((images + 1.0) * 127.5 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


for i in range(num):
    rows = b"".join(b"\\0" + bytes(row.flatten().tolist()) for row in pixels[i])
    head = struct.pack(">IIBBBBB", pixels.shape[2], pixels.shape[1], 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    Path(f"class{{label}}-seed{{seed}}-{{i:03d}}.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + parts)
'''


def script_for(graph: Path) -> Path:
    """Give the place of the script that draws with an exported graph: beside it, under a name of no module."""
    return graph.with_name(f"{graph.stem}-{graph.suffix[1:]}.py")


def write_script(graph: Path, *, classes: bool) -> Path:
    """Write the script that draws with an exported graph; give its place.

    Args:
        graph: An ``.onnx`` or ``.pt2`` file.
        classes: Whether the generator has classes.

    Raises:
        OSError: If it cannot be written.
    """
    out = script_for(graph)
    text = ONNX if graph.suffix == ".onnx" else TORCH
    usage = "CLASS [NUM] [SEED]" if classes else "[NUM] [SEED]"
    same = "--class CLASS " if classes else ""
    write_whole(out, text.format(name=graph.name, file=_shown(graph), script=_shown(out), usage=usage, same=same))
    return out


def _shown(path: Path) -> str:
    """Write a name so that it can stand in any text of a script."""
    return re.sub(r"[^\w .,+-]", "_", path.name)
