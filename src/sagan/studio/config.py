"""What the studio is opened with, checked before anything is loaded. Without PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sagan.data.config import DataConfig
from sagan.generators.hub import check_weights_there
from sagan.generators.staged import newest_stage

SUFFIXES = (".safetensors", ".pt")
RUN_FILES = ("config.json", "checkpoints", "generator.safetensors", ".lock")


@dataclass(frozen=True, kw_only=True)
class StudioConfig:
    """Which generators the studio shows, and where."""

    paths: tuple[Path, ...]
    """Run folders, checkpoints and weights files."""
    data: DataConfig | None = None
    """The training pictures, to find those nearest to a sample; unset takes those of a run, if they are here."""
    port: int = 0
    """Port on this machine; 0 takes a free one."""
    browser: bool = True
    """Open the page in a browser."""
    device: str = "auto"
    """Where networks run: auto, cpu, cuda, cuda:1 ..."""
    names: tuple[str, ...] = field(init=False)
    """What the page calls them: the last part of each path, more where that is not enough to tell them apart."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError(
                "nothing to show; name a run folder, a checkpoint or a weights file: sagan studio runs/mine"
            )
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, found {self.port}")
        for path in self.paths:
            check_source(path)
        object.__setattr__(self, "names", short_names(self.paths))


def check_source(path: Path) -> None:
    """Check that there is something to show.

    Raises:
        FileNotFoundError: If there is nothing there.
        ValueError: If it is neither a run folder, nor a checkpoint, nor a weights file.
    """
    check_weights_there(path, hub=False)
    path = newest_stage(path)
    if path.is_dir():
        if not any((path / name).exists() for name in RUN_FILES):
            raise ValueError(f"{path} is no run folder: it has none of {', '.join(RUN_FILES)}")
    elif path.suffix not in SUFFIXES:
        raise ValueError(f"{path} is neither a run folder nor a checkpoint (.pt) nor a weights file (.safetensors)")


def short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Name each path by its last parts, as many as it takes to tell them apart."""
    parts = [path.absolute().parts for path in paths]
    return tuple(
        next(
            (
                "/".join(own[-count:])
                for count in range(1, len(own) + 1)
                if sum(other[-count:] == own[-count:] for other in parts) == 1
            ),
            str(path),
        )
        for path, own in zip(paths, parts, strict=True)
    )
