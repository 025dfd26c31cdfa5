"""What can be asked of a trained generator, checked before anything is computed. Without PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypedDict, get_args

from sagan.places import PICTURES, check_writable
from sagan.words import did_you_mean

VIDEOS = (".mp4", ".webm")
ANIMATIONS = (".gif", ".webp", *VIDEOS)

Style = Literal["heat", "grey"]


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Which samples are drawn, or which walk between two.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    classes: tuple[str, ...] = ()
    """Class names or numbers; unset is all."""
    num: int = 10
    """Images of each class (in all, if the generator is unconditional)."""
    seed: int = 0
    """Same seed, same samples: each depends on the seed, its class, and its place among all that are drawn, so on the
    classes before it and their number as well."""
    truncation: float | None = None
    """Redraw noise beyond this absolute value, e.g. 1.0: less varied, often cleaner."""
    interpolate: int | None = None
    """Instead of samples, walk between two latents (and two classes) in so many images."""
    end_seed: int | None = None
    """Seed of the last latent of an interpolation; unset is seed + 1, the same as seed keeps the latent."""
    index: int = 0
    """Which sample of its seed, from 0, an interpolation starts from."""
    end_index: int = 0
    """Which sample of its seed an interpolation ends at."""
    direction: int | None = None
    """Interpolate along a direction of the noise instead: 1 is the one that the first layer answers to most."""
    reach: float = 5.0
    """How far a walk along a direction goes to either side, in standard deviations of the noise."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _each(self.classes))
        if self.num < 1:
            raise ValueError(f"num must be at least 1, found {self.num}")
        _check_seed("seed", self.seed)
        _check_seed("end_seed", self.end_seed)
        if self.interpolate is None:
            self._check_no_walk()
        if min(self.index, self.end_index) < 0:
            raise ValueError(f"{'index' if self.index < 0 else 'end_index'} must be at least 0: samples count from 0")
        if self.direction is not None and self.direction < 1:
            raise ValueError(f"direction must be at least 1, found {self.direction}")
        if not 0 < self.reach < 1e6:
            raise ValueError(f"reach must be above 0, found {self.reach}")
        if self.direction is not None and len(self.classes) > 1:
            raise ValueError(f"a walk along a direction keeps its class, found {len(self.classes)} classes")
        if self.interpolate is not None and self.interpolate < 2:
            raise ValueError(f"an interpolation needs at least 2 frames, found {self.interpolate}")
        if self.interpolate is not None and len(self.classes) > 2:
            raise ValueError(f"an interpolation walks between at most two classes, found {len(self.classes)}")

    def _check_no_walk(self) -> None:
        """Refuse what only a walk has."""
        given = {"--end-seed": self.end_seed, "--direction": self.direction}
        given |= {"--index": self.index or None, "--end-index": self.end_index or None}
        for flag, value in given.items():
            if value is not None:
                raise ValueError(f"{flag} goes with --interpolate N")

    def check_file(self, out: Path) -> None:
        """Check that samples can be written under this name.

        Raises:
            ValueError: If the file's type is unknown.
            OSError: If ``out`` is a folder that holds files already, or nothing can be written there.
        """
        suffix = out.suffix.lower()
        if self.interpolate is not None:
            if suffix not in (*PICTURES, *ANIMATIONS, ".npz"):
                raise ValueError(
                    f"{out}: write an interpolation to {', '.join((*PICTURES, '.gif'))} (.gif and .webp move), to "
                    f"{' or '.join(VIDEOS)}, or .npz"
                )
            if suffix in VIDEOS and find_spec("av") is None:
                raise ValueError(f'{suffix} files need the package av: pip install "sagan-torch[video]"')
        elif suffix not in (*PICTURES, ".npz"):
            if suffix and len(suffix) <= 5:
                raise ValueError(
                    f"{out}: write samples to {', '.join(PICTURES)}, .npz, or a folder (a name without a suffix)"
                )
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise OSError(f"{out} exists and is not an empty folder; choose another --out")
        check_writable("--out", out, file=bool(suffix))


class AttentionFields(TypedDict, total=False):
    """Fields of :class:`AttentionConfig` that are given by themselves."""

    classes: Sequence[str]
    num: int
    seed: int
    queries_px: Sequence[tuple[int, int]] | None
    position: int | None
    style: Style
    truncation: float | None
    sample: int | None


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Over which images, and from which points, is shown where a network looks.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    classes: Sequence[str] = ()
    """Class names or numbers; unset is the first four."""
    num: int = 1
    """Images of each class."""
    seed: int = 0
    """Chooses the samples, or the real pictures."""
    queries_px: Sequence[tuple[int, int]] | None = None
    """Points (row, column) in pixels; unset is the centre and the centres of the four quarters."""
    position: int | None = None
    """Height of the feature map of the layer; unset is the one closest to the pixels."""
    style: Style = "heat"
    """Heat colours over the image, or plain grey maps."""
    truncation: float | None = None
    """Redraw the noise of samples beyond this absolute value."""
    sample: int | None = None
    """Only this one of all these samples, counted from 0 over all classes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _each(self.classes))
        if self.num < 1:
            raise ValueError(f"num must be at least 1, found {self.num}")
        _check_seed("seed", self.seed)
        if self.sample is not None and self.sample < 0:
            raise ValueError(f"sample must be at least 0: samples count from 0, found {self.sample}")
        if self.style not in get_args(Style):
            raise ValueError(f"style must be one of {', '.join(get_args(Style))}, found {self.style!r}")


def _check_seed(field: str, seed: int | None) -> None:
    if seed is not None and not 0 <= seed < 2**64:
        raise ValueError(f"{field} must be from 0 to 2**64 - 1, found {seed}")


def _each(classes: Sequence[str]) -> tuple[str, ...]:
    """Take a single class for one, not for its letters."""
    return (classes,) if isinstance(classes, str) else tuple(classes)


def check_attention_file(out: Path) -> None:
    """Check that an attention figure, or its arrays, can be written under this name.

    Raises:
        ValueError: If the file's type is unknown.
        OSError: If nothing can be written there.
    """
    if out.suffix.lower() not in (*PICTURES, ".npz"):
        raise ValueError(f"{out}: write attention to {', '.join(PICTURES)}, or .npz for the arrays")
    check_writable("--out", out, file=True)


def check_weights_file(out: Path) -> None:
    """Check that weights can be written under this name.

    Raises:
        ValueError: If it does not end in ``.safetensors``.
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"a weights file must end in .safetensors, found {out}")


def query_point(text: str) -> tuple[int, int]:
    """Read a query point written as ROW,COLUMN.

    Raises:
        ValueError: If it is written in another way.
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"--query takes points as ROW,COLUMN in pixels, e.g. 16,16; found {text!r}")
    return int(parts[0]), int(parts[1])


def class_index(name: str | int, class_names: Sequence[str]) -> int:
    """Find a class by its name or its number.

    Raises:
        ValueError: If there is no such class; the nearest names are told.
    """
    if not class_names:
        raise ValueError("this network is unconditional: it has no classes to choose from")
    if name in class_names:
        return list(class_names).index(str(name))
    number = int(name) if str(name).isdecimal() else -1
    if 0 <= number < len(class_names):
        return number
    hint = did_you_mean(str(name), class_names, 3) or f"known: {', '.join(class_names[:10])}."
    raise ValueError(f"no class {name!r}; {hint} A number from 0 to {len(class_names) - 1} works too")
