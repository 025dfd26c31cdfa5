"""Scripts that stand beside an exported graph and draw samples with it, without this project."""

import re
import zlib
from pathlib import Path

from sagan.whole import write_whole

ONNX = '''\
"""Draw samples of {file}: python {script} {usage}

Needs onnxruntime, numpy and pillow; the noise is that of `sagan sample {same}--num NUM --seed SEED`."""
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(__file__.removesuffix("-onnx.py") + ".onnx")
about = json.loads(session.get_modelmeta().custom_metadata_map["sagan"])
names, words = about["class_names"], sys.argv[1:]
{read}streams = [np.random.Philox(key={stream} << 64 | seed, counter=i << 64) for i in range(num)]
z = np.stack([np.random.Generator(stream).standard_normal(about["z_dim"], np.float32) for stream in streams])
images = session.run(None, {{"z": z, "y": np.full(num, label, np.int64)}} if names else {{"z": z}})[0]
for i, pixels in enumerate((images * 127.5 + 128.0).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)):
    Image.fromarray(pixels).save(f"class{{label}}-seed{{seed}}-{{i:03d}}.png")
'''

TORCH = '''\
"""Draw samples of {file}: python {script} {usage}

Needs torch and pillow. Same class and SEED, same samples; the noise is PyTorch's own, not that of `sagan sample`."""
import json
import sys

import torch
from PIL import Image

files = {{"sagan.json": ""}}
draw = torch.export.load(__file__.removesuffix("-pt2.py") + ".pt2", extra_files=files).module()
about = json.loads(files["sagan.json"])
names, z_dim, words = about["class_names"], about["z_dim"], sys.argv[1:]
{read}generators = [torch.Generator().manual_seed((seed << 32) + i) for i in range(num)]
z = torch.stack([torch.randn(z_dim, generator=generator) for generator in generators])
images = draw(z, torch.full((num,), label)) if names else draw(z)
for i, pixels in enumerate((images.permute(0, 2, 3, 1) * 127.5 + 128.0).clamp(0, 255).byte()):
    picture = Image.frombytes("RGB", pixels.shape[1::-1], bytes(pixels.flatten().tolist()))
    picture.save(f"class{{label}}-seed{{seed}}-{{i:03d}}.png")
'''
READ = """\
usage = "usage: {script} {usage}" + f"; classes, by name or number: {{', '.join(names)}}" * bool(names)
numbers = {{str(number): number for number in range(len(names))}} | {{name: names.index(name) for name in names}}
if names and words[:1] not in [[word] for word in numbers]:
    sys.exit(f"no class {{words[0] if words else 'named'}}; {{usage}}")
label = numbers[words.pop(0)] if names else 0
counts = [int(word) if word.isdecimal() else -1 for word in words + ["8", "0"][len(words) :]]
if len(counts) > 2 or counts[0] < 1 or not 0 <= counts[1] < 2**{bits}:
    sys.exit(f"NUM is a whole number from 1 on, SEED one below 2**{bits}: found {{' '.join(words)}}; {{usage}}")
num, seed = counts
"""
"""How both read their words: a class by its name, else by its number, and two numbers."""
STREAM = zlib.crc32(b"sample z")
"""Half of the key of the noise of samples, see :func:`sagan.randomness.keyed_generator`."""


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
    text, bits = (ONNX, 63) if graph.suffix == ".onnx" else (TORCH, 32)  # of a seed, of PyTorch's less its counter
    usage = "CLASS [NUM] [SEED]" if classes else "[NUM] [SEED]"
    same = "--class CLASS " if classes else ""
    read = READ.format(script=_shown(out), usage=usage, bits=bits)
    shown = {"file": _shown(graph), "script": _shown(out), "usage": usage, "same": same}
    write_whole(out, text.format(**shown, read=read, stream=STREAM))
    return out


def _shown(path: Path) -> str:
    """Write a name so that it can stand in any text of a script."""
    return re.sub(r"[^\w .,+-]", "_", path.name)
