"""TIFF files that Pillow does not read, or would read as other pixels."""

import io
import lzma
import struct
import zlib

import numpy as np
import pytest
import tifffile
from made import ramp, tiff
from PIL import Image

from sagan.data import extras
from sagan.data.decode import Plan, UnreadableError, decode_picture
from sagan.data.tiffs import read_tiff

COLOURS = np.stack([ramp(), ramp()[::-1], ramp()[:, ::-1]], axis=2)
DEEP = np.rint(COLOURS * 65535).astype(np.uint16)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_of_sixteen_bits_are_not_misread(compression):
    planes = np.moveaxis(DEEP, 2, 0)
    data = tiff(planes, photometric="rgb", planarconfig="separate", compression=compression)
    if compression is None:  # Pillow takes the bytes for other pixels, without a word
        assert np.abs(np.asarray(Image.open(io.BytesIO(data))).astype(int) - (DEEP >> 8)).max() > 100
    decoded = decode_picture(data)
    assert (decoded.pixels == DEEP >> 8).all() and "16-bit" in decoded.traits
    tenth = decode_picture(data, Plan(ranges={"16-bit": (0.0, 6553.5)})).pixels
    assert np.abs(tenth - np.minimum(np.rint(DEEP / 6553.5 * 255), 255)).max() <= 0


def test_floating_point_colours_and_half_precision():
    for dtype in (np.float16, np.float32, np.float64):
        pixels = decode_picture(tiff(COLOURS.astype(dtype)), Plan(others=(0.0, 1.0))).pixels
        assert np.abs(pixels - COLOURS * 255).max() <= 0.7


def test_a_stack_of_other_axes_is_refused_by_name():
    with pytest.raises(UnreadableError, match=r"damaged or cut off|uncommon kind"):
        decode_picture(tiff(np.zeros((6, 6, 7), np.float32), photometric="minisblack", planarconfig="contig"))


def test_without_the_library_the_extra_is_named(monkeypatch):
    def missing(module):
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(UnreadableError, match=r'tifffile .*pip install "sagan-torch\[formats\]"'):
        decode_picture(tiff(COLOURS.astype(np.float32)), Plan(others="type"))


def test_too_many_pixels_are_refused_before_they_are_read():
    with pytest.raises(UnreadableError, match="too many pixels"):
        decode_picture(tiff(COLOURS.astype(np.float32)), Plan(others="type", max_pixels=100))


@pytest.mark.parametrize("packed", ["zlib", "lzma"])
def test_parts_that_come_to_more_than_they_show_are_refused(packed, monkeypatch):
    monkeypatch.setattr("sagan.data.tiffs.SMALL_BYTES", 0)
    body = {"zlib": zlib, "lzma": lzma}[packed].compress(bytes(1 << 20))
    planes = np.moveaxis(DEEP[:8, :8], 2, 0)
    for part, is_fine in ((body, False), ({"zlib": zlib, "lzma": lzma}[packed].compress(planes[0].tobytes()), True)):
        data = tiff(planes, photometric="rgb", planarconfig="separate", compression=packed)
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags = file.pages[0].tags
            places = [tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")]
            kinds = [int(tags[name].dtype) for name in ("StripOffsets", "StripByteCounts")]
        forged = bytearray(data + part)
        for place, kind, value in zip(places, kinds, (len(data), len(part)), strict=True):
            struct.pack_into(f"<3{'H' if kind == 3 else 'I'}", forged, place, *[value] * 3)
        if is_fine:
            assert (decode_picture(bytes(forged)).pixels[..., 0] == planes[0] >> 8).all()
            continue
        with pytest.raises(UnreadableError, match="comes to more than 64 KiB, far more than it shows"):
            decode_picture(bytes(forged))


def test_many_values_a_pixel_are_refused_before_they_are_read():
    with pytest.raises(UnreadableError, match=r"uncommon kind .*9 values a pixel"):
        read_tiff(tiff(np.zeros((6, 6, 9), np.float32), photometric="minisblack", planarconfig="contig"), 0, 100)


@pytest.mark.parametrize(("code", "name"), [(34712, "JPEG2000"), (50001, "WEBP"), (34887, "LERC"), (7, "JPEG")])
def test_parts_that_are_pictures_of_their_own_are_refused_before_they_are_read(code, name):
    data = bytearray(tiff(DEEP, photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<H", data, file.pages[0].tags["Compression"].valueoffset, code)
    with pytest.raises(UnreadableError, match=rf"uncommon kind \(compressed by {name}\); save it as PNG"):
        read_tiff(bytes(data), 0, DEEP.size)
