"""Random numbers as functions of what they are for: no state to save, so resuming and splitting over devices are exact.

Every draw is keyed by (seed, stream, counters...), for instance (seed, LATENTS, step, D update). The generator is
counter-based (Philox), so the same key gives the same numbers on every machine, device and PyTorch version, and
different keys give independent ones.
"""

import zlib

import numpy as np


def keyed_generator(seed: int, stream: str, *counters: int) -> np.random.Generator:
    """Give the random generator that belongs to a key.

    Args:
        seed: The run's seed, 0 to 2**64 - 1.
        stream: What the numbers are for, e.g. ``"latents"``; streams are independent of each other.
        counters: Up to three integers from 0 to 2**64 - 1, e.g. the step and the D update within the step.

    Raises:
        ValueError: If the seed is out of range, or there are more than three counters.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, found {seed}")
    if len(counters) > 3:
        raise ValueError(f"at most 3 counters make a key, found {len(counters)}")
    # The lowest counter word is Philox's own: it counts the blocks drawn, so it starts at 0 for every key.
    words = np.array([0, *counters, *([0] * (3 - len(counters)))], np.uint64)  # a list would pass through float64
    key = np.array([seed, zlib.crc32(stream.encode())], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=words))
