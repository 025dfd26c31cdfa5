"""What numbers depend on besides code and configuration: versions, device, threads, processes."""

import platform
from importlib import metadata

import torch


def versions() -> dict[str, str]:
    """Give the versions that a run's numbers depend on."""
    names = ("sagan-torch", "torch", "numpy", "lightning-fabric", "pillow")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return {"python": platform.python_version(), **found}


def machine(device: torch.device, processes: int) -> dict[str, object]:
    """Give what a bit-for-bit continuation depends on besides versions."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine()
    return {
        "device": device.type,
        "name": name,
        "threads": torch.get_num_threads(),
        "processes": processes,
    }
