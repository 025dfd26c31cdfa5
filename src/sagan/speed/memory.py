"""How much memory this process holds, held at most, and could still take."""

import os
import sys
from pathlib import Path

import torch


def resident_bytes() -> int | None:
    """Give the memory that this process holds now; None where the system does not tell."""
    kilobytes = _proc(Path("/proc/self/status")).get("VmRSS")
    return None if kilobytes is None else kilobytes * 1024


def peak_resident_bytes() -> int | None:
    """Give the most memory that this process has held since it started; None where the system does not tell.

    On Linux this is VmHWM. ``getrusage`` is worse there: a new process inherits the peak of the one that started it.
    """
    kilobytes = _proc(Path("/proc/self/status")).get("VmHWM")
    if kilobytes is not None:
        return kilobytes * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def available_bytes(device: torch.device) -> int | None:
    """Give the memory that processes can still take on a device without pushing others out; None if unknown.

    For a GPU this is what is free, or less where this process may take a share of it only
    (``torch.cuda.set_per_process_memory_fraction``). For a CPU it is what Linux calls available, or less where a
    control group (a container) sets a limit; elsewhere all the memory of the machine.
    """
    if device.type == "cuda":
        free, all_of_it = torch.cuda.mem_get_info(device)
        allowed = int(cuda_share(device) * all_of_it) - torch.cuda.memory_reserved(device)
        return min(free, max(0, allowed))
    kilobytes = _proc(Path("/proc/meminfo")).get("MemAvailable")
    if kilobytes is not None:
        return min(kilobytes * 1024, control_group_room(Path("/sys/fs/cgroup")))
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def cuda_share(device: torch.device | None = None) -> float:
    """Give the share of a GPU's memory that this process may take, 1 where it was not limited or uses no GPU."""
    used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.cuda.get_per_process_memory_fraction(device) if used else 1.0


def control_group_room(root: Path) -> int:
    """Give the bytes that are left below the memory limit of a control group; very many where there is no limit.

    Pages of files that the system can drop at once count as free.
    """
    for folder, limit, used, inactive in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            allowed = (folder / limit).read_text().strip()
            held = int((folder / used).read_text())
            droppable = _proc(folder / "memory.stat").get(inactive, 0)
        except (OSError, ValueError):
            continue
        return sys.maxsize if allowed == "max" else max(0, int(allowed) - held + droppable)
    return sys.maxsize


def _proc(file: Path) -> dict[str, int]:
    """Read lines such as ``MemAvailable:  123 kB``; {} where there is no such file."""
    try:
        lines = [line.replace(":", " ").split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
