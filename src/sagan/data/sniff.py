"""What a file is, by its first bytes: a picture whatever it is called, something that could be made one, or neither."""

from pathlib import PurePosixPath
from typing import NamedTuple

HEAD_BYTES = 512
"""So many bytes from the start of a file are looked at."""

# Bytes at the start, or from an offset on, of formats that Pillow reads by itself.
_STARTS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"WEBP", "WEBP"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"qoif", "QOI"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
)
_NETPBM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")
# The brand of an ISO media file, from byte 8 on.
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"),
}
# fmt: off
_RAW = frozenset((
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".kdc", ".mrw", ".nef", ".nrw", ".orf",
    ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
))
# fmt: on
# Of files that bytes alone do not tell, or whose bytes say less.
_BY_SUFFIX = {
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "DICOM"),
    **dict.fromkeys((".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"), "volume"),
    **dict.fromkeys((".czi", ".nd2", ".lif", ".oib", ".oif", ".lsm", ".svs", ".ndpi", ".mrxs", ".vsi"), "microscope"),
    **dict.fromkeys((".npy", ".npz", ".mat", ".h5", ".hdf5", ".fits"), "array"),
}
_CONVERT = "{} is no picture to train on as it is: {}"
_UNKNOWN_BRANDS = (b"mif1", b"msf1")
"""Brands of any HEIF file; the list of compatible brands says which one."""
_HELP = {
    "RAW": "develop it to JPEG or PNG first, e.g. with darktable-cli or dcraw",
    "DICOM": "export its frames as PNG first, e.g. with dcm2img or pydicom",
    "volume": "export its slices as PNG first, e.g. with nibabel or med2image",
    "microscope": "export its pictures as PNG or TIFF first, e.g. with Fiji or bfconvert",
    "array": "save its pictures as PNG first; one .npz of all of them is read when it is named itself",
    "SVG": "draw it at the size you need first, e.g. with inkscape or rsvg-convert",
    "PDF": "draw its pages first, e.g. with pdftoppm -png",
    "PSD": "save it as PNG first",
    "video": "take frames out of it first, e.g. with ffmpeg -i FILE frames/%05d.png",
    "OpenEXR": "save it as 16-bit PNG or floating-point TIFF first",
}


class Kind(NamedTuple):
    """What a file is."""

    name: str
    """E.g. ``JPEG`` or ``video``."""
    is_picture: bool
    """Whether it is to be decoded."""
    why_not: str = ""
    """If it is none, but shows something: what to do."""


def kind_of(name: str, start: bytes) -> Kind | None:
    """Tell what a file is.

    Args:
        name: Its name, of which only the suffix counts, and only where bytes alone do not tell.
        start: Its first :data:`HEAD_BYTES` bytes, or all there are.

    Returns:
        None if it is neither a picture nor anything that shows something.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _RAW:  # many are TIFF files by their bytes, of which only a small preview would be seen
        return _other("RAW")
    for ending, found in _BY_SUFFIX.items():
        if name.lower().endswith(ending):
            return _other(found)
    if start[4:8] == b"ftyp":
        return _iso_media(start)
    for offset, magic, found in _STARTS:
        if start.startswith(magic, offset):
            return Kind(found, True)
    if start[:2] in _NETPBM and start[2:3].isspace():
        return Kind("PPM", True)
    if suffix == ".tga" and len(start) >= 18 and start[1] in (0, 1) and start[2] in (1, 2, 3, 9, 10, 11):
        return Kind("TGA", True)
    return _shows_something(start)


def _iso_media(start: bytes) -> Kind:
    """Tell pictures from videos by the brand, and by those it is compatible with."""
    length = int.from_bytes(start[:4], "big")
    brands = [start[8:12], *(start[at : at + 4] for at in range(16, min(length, len(start)) - 3, 4))]
    if brands[0] == b"crx ":
        return _other("RAW")
    if brands[0] in _UNKNOWN_BRANDS and b"avif" in brands:
        return Kind("AVIF", True)
    return next((Kind(_BRANDS[brand], True) for brand in brands if brand in _BRANDS), _other("video"))


def _shows_something(start: bytes) -> Kind | None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    found = {
        "OpenEXR": start.startswith(b"v/1\x01"),
        "DICOM": start[128:132] == b"DICM",
        "PDF": start.startswith(b"%PDF"),
        "PSD": start.startswith(b"8BPS"),
        "video": start.startswith((b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"FLV")) or start[8:12] == b"AVI ",
        "SVG": text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!DOCTYPE svg")) and b"<svg" in text),
    }
    return next((_other(name) for name, is_it in found.items() if is_it), None)


def _other(name: str) -> Kind:
    what = {"video": "a video", "array": "a file of arrays"}.get(name, f"a {name} file")
    return Kind(name, False, _CONVERT.format(what, _HELP[name]))
