"""What can be said about weights that are brought in or taken out. Without PyTorch."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sagan.places import check_name, check_writable
from sagan.reading import read_bytes, value_of

SourceName = Literal["auto", "biggan-pytorch", "studiogan", "mmgeneration", "mimicry"]
Which = Literal["auto", "average", "trained"]
Statistics = Literal["stored", "standing"]
Colours = Literal["auto", "rgb", "bgr"]
ClassGains = Literal["auto", "plain", "offset"]


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """How foreign weights are read, where their file does not say it.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    source: SourceName = "auto"
    """Whose file it is; `auto` goes by the names of its tensors."""
    discriminator: str | None = None
    """The file with the discriminator, where it has one of its own."""
    class_names: str | None = None
    """A text file with a class name a line, or a JSON list, in the order of the class numbers; unset is the numbers."""
    which: Which = "auto"
    """Of a file with both: the moving `average` of the generator (`auto`, where there is one) or the `trained` one."""
    statistics: Statistics = "stored"
    """What batch normalisation samples with: the statistics `stored` in the file, as the source's evaluation mode does,
    or `standing` ones, computed anew."""
    bn_eps: float | None = None
    """Added to the variance in batch normalisation; unset is the source's own."""
    inplace_relu: bool | None = None
    """Whether shortcuts of the discriminator see activated inputs, as after a ReLU in place; unset is the source's."""
    colours: Colours = "auto"
    """Order of the colour channels in the file: MMGeneration trains on blue, green, red; all others on `rgb`."""
    class_gains: ClassGains = "auto"
    """Whether class tables of MMGeneration hold gains (`plain`) or gains - 1 (`offset`); `auto` goes by their mean."""

    def __post_init__(self) -> None:
        for field, kind in (
            ("source", SourceName),
            ("which", Which),
            ("statistics", Statistics),
            ("colours", Colours),
            ("class_gains", ClassGains),
        ):
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
        if self.bn_eps is not None and not (math.isfinite(self.bn_eps) and self.bn_eps > 0.0):
            raise ValueError(f"bn_eps must be above 0, found {self.bn_eps}")


def read_names(file: str | Path, num_classes: int) -> tuple[str, ...]:
    """Read a class name a line, or a JSON list of them, in the order of the class numbers.

    Raises:
        ValueError: If the file has another form, another number of names, or a name twice.
        OSError: If it cannot be read.
    """
    try:
        text = read_bytes(Path(file)).decode("utf-8")
        names = value_of(text) if text.lstrip().startswith("[") else text.splitlines()
    except ValueError as error:  # no UTF-8, or no JSON
        raise ValueError(f"--class-names {file}: neither text with a name a line nor a JSON list ({error})") from error
    names = [str(name).strip() for name in names if str(name).strip()]
    if len(names) != num_classes:
        raise ValueError(f"--class-names {file} has {len(names)} names, and the weights have {num_classes} classes")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"--class-names {file} has {twice[0]!r} twice; give each class a name of its own")
    return tuple(names)


def check_out(out: Path) -> None:
    """Check that imported weights can be written there.

    Raises:
        ValueError: If it is neither a ``.safetensors`` file nor a name for a folder.
        OSError: If it is a folder that holds something, or nothing can be written there.
    """
    check_name("OUT", out)
    check_writable("OUT", out, file=out.suffix == ".safetensors")
    if out.suffix == ".safetensors":
        return
    if out.suffix in (".pth", ".pt", ".pkl", ".ckpt", ".bin"):
        raise ValueError(f"{out}: name a folder for what is written, or a .safetensors file for the generator alone")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OSError(f"{out} exists and is not an empty folder; choose another OUT")


GRAPHS = (".onnx", ".pt2")
"""Files that draw without this project."""


def check_export(out: Path, push: str | None = None) -> None:
    """Check that weights can be written under this name.

    Args:
        out: The name.
        push: The repository that a folder is to be pushed to, if it is.

    Raises:
        ValueError: If it is no file that is known, or a file is to be pushed.
        OSError: If it is a folder that holds something, or nothing can be written there.
    """
    check_name("--out", out)
    check_writable("--out", out, file=out.suffix in (".safetensors", *GRAPHS))
    if out.suffix in (".safetensors", *GRAPHS):
        if push is not None:
            raise ValueError(f"--push takes a folder with a card: name one with --out, found {out}")
        return
    if out.suffix and len(out.suffix) <= 5 and not out.suffix[1:].isdecimal():
        raise ValueError(
            f"a weights file must end in .safetensors, found {out}; a graph ends in .onnx or .pt2, and a name without "
            "an ending is a folder to share"
        )
    if push is not None and push.count("/") != 1:
        raise ValueError(f"--push takes OWNER/NAME, found {push}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OSError(f"{out} exists and is not an empty folder; choose another --out")
