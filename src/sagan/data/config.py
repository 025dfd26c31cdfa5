"""What a run may choose about its data, and the error that tells a user what is wrong with it."""

import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

GIVEN = "given:"
"""How paths of pictures begin that were given in Python, see :mod:`sagan.data.given`."""
Keep = Literal["disk", "memory", "device"]
Fit = Literal["crop", "pad", "squeeze", "smart"]
Classes = Literal["auto", "first", "last", "path", "none"]
Frames = Literal["first", "all"]
Truncated = Literal["refuse", "keep"]
Profiles = Literal["convert", "ignore"]
BACKGROUNDS = ("auto", "white", "black")
RANGES = ("auto", "type", "file", "set", "percentile")


class DataError(ValueError):
    """A mistake in what the user gave: the message says what was found, what was expected and what to do."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the folders of a tree of pictures mean, where that is not clear."""

    split: str | None = None
    """Which of the folders train, val, test and so on: the name of one, `all` of them together, or `folders` where they
    are the classes. Unset takes what is clear, and asks where it is not."""

    classes: Classes = "auto"
    """Where classes stand: in the `first` (outermost) or the `last` (innermost) folder, in the whole `path`, or nowhere
    (`none`). `auto` takes what is clear, and asks where it is not."""

    class_pattern: str | None = None
    """A regular expression that finds the class in a picture's file name, e.g. "(.+)_[0-9]+" for Abyssinian_12.jpg."""

    labels: str | None = None
    """A table of file names and classes (.csv, .tsv, .json, .jsonl), among the pictures or elsewhere; FILE:COLUMN names
    the column. metadata.csv, metadata.jsonl and dataset.json among the pictures are found by themselves. Of a Hugging
    Face data set, the COLUMN of the classes."""

    skip_unreadable: bool = False
    """Leave out files that cannot be read as pictures, and count them, where the command would otherwise stop."""

    may_lose: tuple[str, ...] = ()
    """Classes that may lose many or all of their pictures because those cannot be read."""

    def __post_init__(self) -> None:
        if self.classes not in get_args(Classes):
            raise ValueError(f"classes must be one of {', '.join(get_args(Classes))}, found {self.classes!r}")
        if self.class_pattern is not None:
            try:
                re.compile(self.class_pattern)
            except re.error as error:
                raise ValueError(f"class_pattern is no regular expression ({error}): {self.class_pattern}") from None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """What the pixels of a file mean, where that is not clear."""

    background: str = "auto"
    """What transparent parts are laid on: `white`, `black`, or a colour such as "#808080". `auto` looks at some
    pictures of the set and takes for all of them the first of white, black and grey on which they do not vanish."""

    range: str = "auto"
    """Which values of 16-bit, 32-bit and floating-point pictures are black and white: those that the `type` can hold (0
    and 65535; 0 and 1), the darkest and brightest of each `file`, or of the `set`, the set's `percentile`s 0.5 and
    99.5, or two numbers such as 0:4095. `auto` looks at some pictures of the set, takes what is clear (12-bit values in
    16-bit files are 0:4095), and asks where it is not."""

    frames: Frames = "first"
    """Of animations and stacks (GIF, WebP, APNG, MPO, AVIF, HEIC, TIFF with several pages) take the `first` picture, or
    `all`: each is then a picture of its own, file#1, file#2, ..."""

    truncated: Truncated = "refuse"
    """What to do with a picture whose file was cut off: `refuse` it as damaged, or `keep` what is there; the missing
    part is mostly grey or black."""

    profiles: Profiles = "convert"
    """Colours with an embedded profile, such as a phone's Display P3 or the inks of CMYK: `convert` them to sRGB, what
    screens show, or `ignore` the profile and take the numbers as they are."""

    max_megapixels: float = 90.0
    """Pictures with more million pixels are refused, as a small file that unpacks to so many may be made to fill the
    memory; raise it for files that you trust."""

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS and not re.fullmatch(r"#[0-9a-fA-F]{6}", self.background):
            raise ValueError(f"background must be auto, white, black or #rrggbb, found {self.background!r}")
        if self.range not in RANGES and given_range(self.range) is None:
            raise ValueError(
                f"range must be one of {', '.join(RANGES)}, or two numbers such as 0:4095, found {self.range!r}"
            )
        for name, allowed in (("frames", Frames), ("truncated", Truncated), ("profiles", Profiles)):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}, found {getattr(self, name)!r}")
        if not 0 < self.max_megapixels < math.inf:
            raise ValueError(f"max_megapixels must be above 0, found {self.max_megapixels}")


def given_range(text: str) -> tuple[float, float] | None:
    """Read a range of values written as LOW:HIGH; None if it is not one."""
    low, _, high = text.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        return None
    return found if -math.inf < found[0] < found[1] < math.inf else None


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How pictures of any shape are brought to one size."""

    fit: Fit = "crop"
    """How a picture of another shape is brought to the size: the middle that has the shape (`crop`), the part as large
    with most to see (`smart`), the whole with borders (`pad`), or the whole distorted (`squeeze`)."""

    border: str = "auto"
    """Colour of the borders of `pad`: white, black or #rrggbb; `auto` is the median of the two edges that they touch,
    for each picture."""

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit must be one of {', '.join(get_args(Fit))}, found {self.fit!r}")
        if self.border not in BACKGROUNDS and not re.fullmatch(r"#[0-9a-fA-F]{6}", self.border):
            raise ValueError(f"border must be auto, white, black or #rrggbb, found {self.border!r}")
        if self.border != "auto" and self.fit != "pad":
            raise ValueError(f"border is the colour of what fit pad adds, found fit {self.fit}")

    @property
    def fitting(self) -> dict[str, str]:
        """These fields where they are not as usual: they are a part of what the pictures are."""
        if self.fit == "pad":
            return {"fit": self.fit, "border": self.border}
        return {} if self.fit == "crop" else {"fit": self.fit}


@dataclass(frozen=True, kw_only=True)
class Interpretation(Fitting, Decoding, Reading):
    """What folders and pixels mean, where that is not clear."""

    def __post_init__(self) -> None:
        Reading.__post_init__(self)
        Decoding.__post_init__(self)
        Fitting.__post_init__(self)


@dataclass(frozen=True, kw_only=True)
class DataConfig(Interpretation):
    """Where the pictures come from and how they are drawn.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    path: str = "digits"
    """Folder of class folders, flat folder, zip of either, .npz, packed file or folder, tar files in the WebDataset
    layout ("train-{000..146}.tar"), a Hugging Face data set (hf:NAME:SPLIT, or its folder), archive of a named set, or
    one of the names digits, pairs, fashion-mnist, cifar10, cifar100. Write ./digits for a folder that has a set's
    name."""

    keep: Keep = "disk"
    """Where the decoded pictures stay while training: on disk, read ahead; in memory; or in the
    memory of the training device, e.g. a GPU. The results are the same."""

    flip: bool = False
    """Mirror each picture left to right with probability 1/2, drawn anew each time it is shown."""

    balanced: bool = False
    """Show all classes equally often, however many pictures each has."""

    holdout_fraction: float = 0.05
    """Share of the pictures kept out of training, to see whether the discriminator memorises; 0 keeps none out."""

    holdout_max: int = 1000
    """At most this many pictures are kept out."""

    class_names: str | None = None
    """File with a readable name for each class folder: lines such as "n01440764 tench, Tinca tinca", or JSON."""

    cache_dir: str | None = None
    """Folder for decoded and downloaded data; default $SAGAN_CACHE, else the platform's cache folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ValueError("path is empty; give a folder, a file or the name of a data set")
        if self.keep not in get_args(Keep):
            raise ValueError(f"keep must be one of {', '.join(get_args(Keep))}, found {self.keep!r}")
        if not 0.0 <= self.holdout_fraction < 1.0:
            raise ValueError(f"holdout_fraction must be at least 0 and below 1, found {self.holdout_fraction}")
        if self.holdout_max < 0:
            raise ValueError(f"holdout_max must be at least 0, found {self.holdout_max}")


OTHER_CACHE = (
    "choose another folder for the cache with the environment variable SAGAN_CACHE, or --data.cache-dir if given"
)
"""What to do where the cache folder cannot take what is to be written."""


def cache_folder(cache_dir: str | None = None) -> Path:
    """Give the folder for decoded and downloaded data; it need not exist.

    The argument wins over the variable SAGAN_CACHE, which wins over the platform's own place for caches.
    """
    if chosen := cache_dir or os.environ.get("SAGAN_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sagan"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sagan" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sagan"
