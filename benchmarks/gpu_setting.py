"""What the parts of `benchmarks/gpu_day.py` share: where they compute, at which size, and what they say about it."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and at which size a part runs."""

    out: Path
    """Folder of the JSON files."""
    device: str = "cuda"
    """`cuda`, or `cpu` for a trial at toy size."""
    toy: bool = False
    """Tiny networks and few rounds: shows that everything runs, measures nothing."""
    studiogan: str | None = None
    """A copy of StudioGAN's sources."""
    data: str | None = None
    """Pictures to train on."""
    compile: str = "off"
    """`engine.compile` of the trainings."""
    seconds: float = 60.0
    """What the part may take."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions of whole networks: processors may take minutes for bf16 convolutions."""
        return ("fp32",) if self.toy else ("fp32", "bf16")


def facts(setting: Setting) -> dict[str, object]:
    """Say what a result was made with; every part's file has it."""
    cuda = setting.device == "cuda"
    return {
        "card": torch.cuda.get_device_name() if cuda else f"processor, {torch.get_num_threads()} threads",
        "memory_gib": torch.cuda.get_device_properties(0).total_memory / 2**30 if cuda else None,
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "python": platform.python_version(),
        "toy": setting.toy,
    }


def part_file(out: Path, part: str) -> Path:
    """Name the file that a finished part leaves."""
    return out / f"{part}.json"


def read_part(out: Path, part: str) -> dict[str, Any] | None:
    """Read what a part found; None if it is not finished."""
    file = part_file(out, part)
    found: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return found


def relative_error(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Give |found - reference| / |reference|, in float64."""
    found, reference = found.detach().double().flatten(), reference.detach().double().flatten()
    return float((found - reference).norm() / reference.norm())
