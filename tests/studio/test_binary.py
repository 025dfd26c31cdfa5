"""Arrays as one message."""

import numpy as np

from sagan.studio.binary import packed, unpacked


def test_arrays_come_back_and_lie_at_multiples_of_eight():
    arrays = {
        "a": np.arange(5, dtype=np.uint8),
        "b": np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1],
        "c": np.zeros((0, 3), np.uint16),
    }
    message = packed({"say": "ä"}, arrays)
    length = int.from_bytes(message[:4], "little")
    assert (4 + length) % 8 == 0
    header, found = unpacked(message)
    assert header == {"say": "ä"}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
