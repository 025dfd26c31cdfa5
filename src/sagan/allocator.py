"""How this process asks the operating system for memory."""

import ctypes
import os
import platform

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 1 << 28


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next allocation, for good.

    On a CPU each training step allocates and frees the same large feature maps. By default glibc maps each of them anew
    and the operating system fills it with zeros again; ``benchmarks/allocator.py`` measures what keeping them gains.
    The process then holds its peak until it ends. Nothing is changed where the C library is another, or where the user
    set glibc's own variables (``MALLOC_...``, ``GLIBC_TUNABLES``).

    Returns:
        Whether the setting was made.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    return all(
        libc.mallopt(parameter, value) == 1
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, TOP_PAD_BYTES))
    )
