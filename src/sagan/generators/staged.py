"""Runs in stages of growing sizes (`sagan train --grow`): which of their folders is meant. Without PyTorch."""

import re
from pathlib import Path

SIZE = re.compile(r"([1-9]\d*)px")


def newest_stage(path: str | Path) -> Path:
    """Give the run folder of the largest size that has saved, where a path is a folder of stages; else the path itself.

    Args:
        path: A run folder, a folder of stages, a checkpoint, a weights file, or nothing that is there.
    """
    path = Path(path)
    if not path.is_dir() or (path / "config.json").exists():
        return path
    inside = [folder for folder in path.iterdir() if not folder.is_symlink()]
    found = {int(match[1]): folder for folder in inside if (match := SIZE.fullmatch(folder.name))}
    saved = [size for size in sorted(found) if any((found[size] / "checkpoints").glob("step-*.pt"))]
    return found[saved[-1]] if saved else path


def run_name(path: str | Path) -> str:
    """Name a run, a checkpoint or a weights file by the last part of its path; a stage also by what it is a stage of.

    Args:
        path: As in :func:`newest_stage`.
    """
    path = Path(path).resolve()
    stage = newest_stage(path)
    return path.name if stage == path else f"{path.name}/{stage.name}"
