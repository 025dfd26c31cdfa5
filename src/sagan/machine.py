"""The machine: what numbers depend on besides code and configuration (versions, device, threads), and its GPUs."""

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sagan.version import __version__

if TYPE_CHECKING:
    import torch


NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",
)


def versions() -> dict[str, str]:
    """Give the versions that a run's numbers depend on."""
    names = ("torch", "numpy", "lightning-fabric", "pillow")
    found = {"sagan-torch": __version__}  # of this code, whatever an older installation of it says
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return {"python": platform.python_version(), **found}


def machine(device: "torch.device", processes: int) -> dict[str, object]:
    """Give what a bit-for-bit continuation depends on besides versions."""
    import torch

    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine()
    return {
        "device": device.type,
        "name": name,
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def usable_device(device: "str | torch.device") -> str:
    """Give the name of a device that computes here; ``auto`` is a CUDA GPU where there is one.

    Raises:
        ValueError: If there is none of that name.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        asked = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device {device}: PyTorch knows no such device; use auto, cpu or cuda") from None
    if asked.type == "cuda" and (asked.index or 0) >= torch.cuda.device_count():
        few = f"only {torch.cuda.device_count()} of them" if torch.cuda.is_available() else "no CUDA device"
        raise ValueError(f"device {device}: PyTorch sees {few} here; use cpu, or see `sagan info`")
    if asked.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"device {device}: PyTorch sees no Apple GPU here; use cpu, or see `sagan info`")
    return str(device)


def has_cuda_driver() -> bool:
    """Guess, without importing PyTorch, whether it will find a CUDA GPU: by the driver and what it may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return False
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is that of a processor or GPU without memory left."""
    return isinstance(error, MemoryError) or tells_of_no_memory(str(error))


def tells_of_no_memory(said: str) -> bool:
    """Tell whether words are those of PyTorch, or of a library below it, that found no memory left.

    cuDNN says that it has no engine where none of its kernels gets the memory that it works in.
    """
    return any(words in said for words in NO_MEMORY)
