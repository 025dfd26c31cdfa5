"""Decodes the test images of other libraries and compares them with what ImageMagick makes of them.

Every file of a folder that the package would take for a picture, or that is called one, is decoded by the package and,
independently, by ImageMagick (Debian's package ``imagemagick``): upright, on white, its profile brought to sRGB, 16-bit
values by their type, and deeper ones by what the package finds to be black and white. Each then is

- ``same``: no value differs by more than 2 levels;
- ``close``: on average by no more than 4 (chroma and inks are rounded in several right ways);
- ``different``: by more, or in size: to be looked at, one by one;
- ``refused``: not decoded, with the reason;
- ``unread``: decoded, but ImageMagick does not read it.

    python benchmarks/library_images.py DIR [--json results/quality/library-images.json]

DIR is for example Tests/images of Pillow's source distribution.
"""

import argparse
import json
import subprocess
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from sagan.data.choosing import choose
from sagan.data.config import DataError, Decoding
from sagan.data.decode import CLEAR_KINDS, Decoded, Plan, UnreadableError, decode_picture
from sagan.data.files import IMAGE_SUFFIXES
from sagan.data.sniff import HEAD_BYTES, kind_of

SAME_LEVELS, CLOSE_MEAN = 2, 4.0
SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        profile = Path(place) / "srgb.icc"
        profile.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        found = {
            str(file.relative_to(given.folder)): verdict(file, profile)
            for file in sorted(given.folder.rglob("*"))
            if file.is_file() and is_taken(file)
        }
    counts = Counter(kind for kind, _ in found.values())
    for name, (kind, why) in found.items():
        if kind != "same":
            print(f"{kind:10} {name}: {why}")
    print(", ".join(f"{kind} {count}" for kind, count in counts.most_common()), f"of {len(found)}")
    if given.json:
        rest = {name: [kind, why] for name, (kind, why) in found.items() if kind != "same"}
        record = {"folder": given.folder.name, "files": len(found), "counts": dict(counts), "not the same": rest}
        given.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def is_taken(file: Path) -> bool:
    """Tell whether the package would decode a file of a folder."""
    with file.open("rb") as stream:
        kind = kind_of(file.name, stream.read(HEAD_BYTES))
    return file.suffix.lower() in IMAGE_SUFFIXES or kind is not None


def verdict(file: Path, profile: Path) -> tuple[str, str]:
    """Compare what the package makes of a file with what ImageMagick does."""
    data = file.read_bytes()
    try:
        ours = decode_picture(data, plan_for(data))
    except UnreadableError as error:
        return "refused", str(error)
    theirs = by_imagemagick(file, profile)
    if theirs is None:
        return "unread", described(ours)
    if theirs.shape != ours.pixels.shape:
        return "different", f"{described(ours)}: {ours.pixels.shape} and {theirs.shape}"
    off = np.abs(ours.pixels.astype(int) - theirs)
    if off.max() <= SAME_LEVELS:
        return "same", ""
    said = f"{described(ours)}: mean {off.mean():.2f}, {(off > SAME_LEVELS).mean():.1%} of values differ"
    return ("close" if off.mean() <= CLOSE_MEAN else "different"), said


def plan_for(data: bytes) -> Plan:
    """Find out what is black and white in a deep picture whose type does not say it."""
    try:
        plan, _ = choose("", [""], lambda _: data, Decoding())
    except DataError:
        return Plan(others="type")
    return Plan(ranges={kind: bounds for kind, bounds in plan.ranges.items() if kind not in CLEAR_KINDS})


def described(ours: Decoded) -> str:
    return f"{ours.format} {sorted(ours.traits)}"


def by_imagemagick(file: Path, profile: Path) -> np.ndarray | None:
    """Have ImageMagick decode the first picture of a file; None if it does not."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "made.png"
        command = [
            *("/usr/bin/convert", f"{file}[0]", "-auto-orient", "-profile", str(profile)),
            *("-background", "white", "-flatten", "-alpha", "off", "-colorspace", "sRGB"),
            *("-type", "TrueColor", "-depth", "8", f"PNG24:{made}"),
        ]
        try:
            subprocess.run(command, check=False, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None
        if not made.exists():
            return None
        with Image.open(made) as image:
            return np.asarray(image.convert("RGB")).astype(int)


if __name__ == "__main__":
    main()
