"""Arrays as one message to the page: a header that a person can read, then the numbers as they lie in memory.

Four bytes say how long the header is, little-endian. The header is JSON, padded with blanks; its field ``arrays`` has
the type of each array, its shape and where it begins behind the header. Each begins at a multiple of 8.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 8
MEDIA_TYPE = "application/octet-stream"


def packed(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Put a header and arrays of uint8, uint16, int32 or float32 into one message."""
    told, pieces, begin = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        told[name] = {"dtype": array.dtype.name, "shape": array.shape, "begin": begin}
        pieces.append(data + b"\0" * (-len(data) % ALIGNED))
        begin += len(pieces[-1])
    text = json.dumps({**header, "arrays": told}).encode()
    text += b" " * (-(len(text) + 4) % ALIGNED)
    return struct.pack("<I", len(text)) + text + b"".join(pieces)


def unpacked(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read such a message, as the page does."""
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    arrays = {}
    for name, told in header.pop("arrays").items():
        kind = np.dtype(told["dtype"]).newbyteorder("<")
        count = int(np.prod(told["shape"]))
        arrays[name] = np.frombuffer(message, kind, count, 4 + length + told["begin"]).reshape(told["shape"])
    return header, arrays
