"""What a file is, by its first bytes."""

import io

import pytest
from PIL import Image, features

from sagan.data.sniff import HEAD_BYTES, kind_of

FORMATS = [
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "TIFF",
    "WEBP",
    "PPM",
    "TGA",
    "QOI",
    "MPO",
    *(["JPEG2000"] if features.check("jpg_2000") else []),
]
OTHERS = {
    "RAW": ("IMG_1.CR2", b"II*\x00\x10\x00\x00\x00CR"),
    "video": ("clip.mp4", b"\x00\x00\x00\x20ftypisom"),
    "DICOM": ("scan", bytes(128) + b"DICM"),
    "volume": ("brain.nii.GZ", b"\x1f\x8b\x08"),
    "microscope": ("cells.czi", b"ZISRAWFILE"),
    "array": ("frames.npy", b"\x93NUMPY"),
    "SVG": ("logo.svg", b'<?xml version="1.0"?>\n<svg xmlns="x">'),
    "PDF": ("page.jpg.pdf", b"%PDF-1.7"),
    "PSD": ("art.psd", b"8BPS\x00\x01"),
    "OpenEXR": ("new.exr", b"v/1\x01\x02"),
}


@pytest.mark.parametrize("name", ["picture", "picture.dat", "picture.txt", "PICTURE.MPO"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_is_one_whatever_it_is_called(kind: str, name: str) -> None:
    stream = io.BytesIO()
    image = Image.linear_gradient("L").resize((9, 7)).convert("RGB")
    image.save(stream, kind)
    if kind == "TGA":  # has no mark at its start: the suffix must say it
        assert kind_of(name, stream.getvalue()[:HEAD_BYTES]) is None
        name = "picture.tga"
    found = kind_of(name, stream.getvalue()[:HEAD_BYTES])
    assert found is not None and found.is_picture
    assert found.name == ("JPEG" if kind == "MPO" else kind)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_shows_something_but_is_no_picture_says_what_to_do(kind: str) -> None:
    found = kind_of(*OTHERS[kind])
    assert found is not None and not found.is_picture
    assert found.name == kind
    assert " first" in found.why_not


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIF"),
        (b"\x00\x00\x00\x1cftypMiHE\x00\x00\x00\x00mif1miafheic", "HEIF"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf", "AVIF"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1", "AVIF"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n\x00\x00\x00\x14ftypjxl ", "JPEG XL"),
        (b"Pf\n3 2\n-1\n", "PPM"),
        (b"II+\x00\x08\x00", "TIFF"),
    ],
)
def test_pictures_of_new_formats_are_known_by_their_bytes(start: bytes, kind: str) -> None:
    found = kind_of("file", start)
    assert found is not None and found.is_picture and found.name == kind


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "RAW"), (b"\x00\x00\x00\x14ftypqt  ", "video")],
)
def test_the_same_container_holds_other_things(start: bytes, name: str) -> None:
    found = kind_of("file", start)
    assert found is not None and not found.is_picture and found.name == name


@pytest.mark.parametrize(
    "start", [b"", b"x", b"name,label\n", b"<html>", b"P5", b"PK\x03\x04", bytes(600), b"RIFF1234WAVE"]
)
def test_other_files_are_none(start: bytes) -> None:
    assert kind_of("file.jpg", start) is None


def test_a_dicom_file_without_its_mark_is_one_by_its_name() -> None:
    found = kind_of("scan.DCM", b"\x08\x00\x05\x00CS")
    assert found is not None and found.name == "DICOM" and not found.is_picture
