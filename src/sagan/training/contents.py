"""What a checkpoint or a weights file holds, looked at as a whole: its checksum, and whether its numbers are finite."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sagan.bombs import MAX_OBJECTS

FINITE = ("G", "D", "ema", "optimizer_g", "optimizer_d", "controls")
"""Parts of a checkpoint whose tensors hold numbers to train or sample with."""
SCALARS = (bool, int, float, str, bytes, type(None))


def checksum(value: object) -> str:
    """Compute the CRC-32 of containers, numbers, strings and tensors with their types and shapes, in hexadecimal.

    It finds damage, not forgery, and is the fastest sum that Python has. Tensors are copied to the CPU one by one.

    Raises:
        TypeError: If there is something else inside.
    """
    crc = 0
    for part in _parts(value):
        crc = zlib.crc32(part, crc)
    return f"{crc:08x}"


def _parts(value: object) -> Iterator[Any]:
    if isinstance(value, Tensor):
        yield f"tensor {value.dtype} {tuple(value.shape)}\n".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(value, dict):
        yield f"dict {len(value)}\n".encode()
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, (list, tuple)):
        yield f"{'list' if isinstance(value, list) else 'tuple'} {len(value)}\n".encode()
        for item in value:
            yield from _parts(item)
    elif type(value) is float:
        yield b"float" + struct.pack("<d", value)
    elif type(value) in SCALARS:
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        yield f"{type(value).__name__} {len(text)} ".encode() + text
    else:
        raise TypeError(f"a checkpoint holds no {type(value).__name__}")


def not_finite(value: object, name: str = "") -> str | None:
    """Name the first tensor in containers that holds NaN or infinity, as ``G/norm.running_var``; None if none does.

    What is finite with 64 bits and not with 32, as networks have, counts as infinite.
    """
    if isinstance(value, Tensor):
        return None if _is_finite(value) else name
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    found = (not_finite(item, f"{name}/{key}" if name else str(key)) for key, item in items)
    return next((one for one in found if one is not None), None)


def _is_finite(tensor: Tensor) -> bool:
    if tensor.is_complex():
        return bool(torch.isfinite(tensor.to(torch.complex64)).all())
    if not tensor.is_floating_point():
        return True
    plain = tensor if tensor.dtype in (torch.float32, torch.bfloat16, torch.float16) else tensor.to(torch.float32)
    return bool(torch.isfinite(plain).all())


def check_stored(value: object) -> None:
    """Check that containers can be walked through, and that each tensor is as large as what is stored of it.

    A file can say of four bytes that they are a tensor of terabytes, each number the same; a copy would have them all.
    And a container can hold another twice, which holds another twice, and so on.

    Raises:
        ValueError: If a tensor is larger, or there are more than ``MAX_OBJECTS`` objects.
        RecursionError: If containers hold themselves.
    """
    _check_stored(value, iter(range(MAX_OBJECTS)))


def _check_stored(value: object, left: Iterator[int]) -> None:
    if next(left, None) is None:
        raise ValueError(f"it holds more than {MAX_OBJECTS:,} objects")
    if isinstance(value, Tensor):
        if value.layout is not torch.strided or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(f"a tensor {tuple(value.shape)} is larger than what is stored of it")
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_stored(item, left)


def num_bytes(value: object) -> int:
    """Add up the sizes of all tensors in containers, in bytes."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(num_bytes, value.values()))
    return sum(map(num_bytes, value)) if isinstance(value, (list, tuple)) else 0
