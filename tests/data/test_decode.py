import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from sagan.data.decode import UnreadableError, decode_picture, square
from sagan.data.pixel_traits import SHOWN
from sagan.ops.pixels import uint8_to_images


def stored(image, format_name="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def make_png(width, height, bit_depth, colour_type, raw):
    """Write a PNG by its specification, for kinds that Pillow cannot write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def test_rgb_is_kept_to_the_bit(picture):
    decoded = decode_picture(stored(picture()))
    assert (decoded.pixels == np.asarray(picture())).all()
    assert (decoded.format, decoded.traits) == ("PNG", frozenset())


def test_grey_is_repeated():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pixels, _, traits = decode_picture(stored(Image.fromarray(grey)))
    assert (pixels == grey[:, :, None]).all() and pixels.shape == (3, 4, 3)
    assert traits - SHOWN == {"grey"}


def test_one_bit_is_black_and_white():
    pixels, _, traits = decode_picture(stored(Image.fromarray(np.array([[True, False], [False, True]]))))
    assert pixels[:, :, 1].tolist() == [[255, 0], [0, 255]]
    assert traits - SHOWN == {"grey"}


def test_16_bit_grey_is_scaled_not_clipped():
    deep = np.array([[0, 128, 129], [257, 32768, 65535]], dtype=np.uint16)
    pixels, _, traits = decode_picture(stored(Image.fromarray(deep)))
    assert pixels[:, :, 0].tolist() == np.rint(deep / 257).astype(int).tolist() == [[0, 0, 1], [1, 128, 255]]
    assert traits - SHOWN == {"16-bit", "grey"}


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_16_bit_grey_tiff_of_either_byte_order(byte_order):
    deep = np.array([[0, 257], [25700, 65535]])
    mode = {"<u2": "I;16", ">u2": "I;16B"}[byte_order]
    image = Image.frombytes(mode, (2, 2), deep.astype(byte_order).tobytes())
    assert decode_picture(stored(image, "TIFF")).pixels[:, :, 2].tolist() == [[0, 1], [100, 255]]


def test_16_bit_colour_png():
    samples = np.array([[[0, 257 * 100, 65535], [257 * 7, 0, 257]]], dtype=">u2")
    data = make_png(2, 2, 16, 2, (b"\0" + samples.tobytes()) * 2)
    pixels, _, traits = decode_picture(data)
    assert pixels[0].tolist() == [[0, 100, 255], [7, 0, 1]]
    assert traits - SHOWN == {"16-bit"}


def test_alpha_is_laid_on_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 100, 0, 255)
    rgba[0, 1] = (200, 100, 0, 0)
    rgba[1, 0] = (200, 100, 0, 51)  # A fifth opaque: 0.2 * colour + 0.8 * 255.
    pixels, _, traits = decode_picture(stored(Image.fromarray(rgba)))
    assert pixels[0].tolist() == [[200, 100, 0], [255, 255, 255]]
    assert np.abs(pixels[1, 0].astype(int) - [244, 224, 204]).max() <= 1
    assert traits - SHOWN == {"alpha"}


def test_grey_with_alpha_is_laid_on_white():
    pixels, _, traits = decode_picture(stored(Image.fromarray(np.zeros((2, 2, 2), np.uint8))))
    assert (pixels == 255).all()
    assert traits - SHOWN == {"alpha", "grey"}


def test_palette_and_its_transparent_colour():
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert decode_picture(stored(image)).pixels[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    pixels, _, traits = decode_picture(stored(image, transparency=0))
    assert pixels[0].tolist() == [[255, 255, 255], [200, 100, 50]]
    assert traits - SHOWN == {"palette", "alpha"}


def test_cmyk_becomes_rgb():
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels, _, traits = decode_picture(stored(ink, "TIFF"))
    assert pixels[4, 4].tolist() == [255, 0, 0]
    assert traits - SHOWN == {"CMYK"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_upright(orientation):
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[:2, :3] = (255, 0, 0)
    upright[:2, 3:] = (0, 255, 0)
    upright[2:, :3] = (0, 0, 255)
    # What a camera stores, by the EXIF standard: (row 0, column 0) of the stored picture are these sides of the scene.
    stored_as = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, _, traits = decode_picture(stored(Image.fromarray(np.ascontiguousarray(stored_as)), exif=exif))
    assert (pixels == upright).all()
    assert ("EXIF-rotated" in traits) == (orientation != 1)


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_of_an_animation(format_name):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = stored(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    pixels, _, traits = decode_picture(data)
    assert pixels[2, 2].tolist() == [255, 0, 0]
    assert "animated" in traits


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, I am a text", r"not a picture in a known format \(it starts with b'hello"),
        (stored(Image.new("RGB", (1, 1))), "only 1x1 pixels, at least 2x2 needed"),
        (stored(Image.new("RGB", (300, 1))), "only 300x1 pixels"),
        (stored(Image.fromarray(np.full((2, 2), 0.5, np.float32)), "TIFF"), "floating-point"),
        (stored(Image.fromarray(np.full((2, 2), 70000, np.int32)), "TIFF"), "32-bit"),
        (make_png(20_000, 20_000, 8, 2, b"\0"), r"too many pixels.*decompression bomb"),
        (make_png(10_000, 10_000, 8, 2, b"\0"), r"too many pixels \(10000x10000\)"),
    ],
    ids=["empty", "text", "one pixel", "one row", "float", "int32", "huge bomb", "bomb"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_usable_picture_has_a_reason(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        decode_picture(data)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_cut_off_files_have_a_reason_and_never_crash(format_name, picture):
    data = stored(picture(64, 64), format_name)
    for length in range(1, len(data) // 2, max(1, len(data) // 40)):
        with pytest.raises(UnreadableError, match=r"damaged or cut off|not a picture"):
            decode_picture(data[:length])


def test_damaged_bytes_never_crash(picture):
    data = bytearray(stored(picture(32, 32), "JPEG"))
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        for where in rng.integers(0, len(data), 8):
            damaged[where] = rng.integers(256)
        try:
            pixels = decode_picture(bytes(damaged)).pixels
        except UnreadableError:
            continue
        assert pixels.dtype == np.uint8 and pixels.ndim == 3


def test_square_crops_before_it_resizes():
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    assert (square(wide, 8) == 255).all() and (square(wide, 4) == 255).all() and (square(wide, 32) == 255).all()
    assert (square(wide.swapaxes(0, 1), 4) == 255).all()


def test_square_keeps_the_pixels_of_a_fitting_picture(picture):
    pixels = np.asarray(picture(9, 9))
    assert (square(pixels, 9) == pixels).all()


def test_square_antialiases():
    """Halving a fine checkerboard gives its mean; picking pixels would keep black or white."""
    board = np.indices((32, 32)).sum(0) % 2 * 255
    half = square(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8), 16)
    assert np.abs(half[2:-2, 2:-2].astype(int) - 127).max() <= 2


def test_square_equals_the_triangle_filter():
    """Oracle: bilinear reduction by 2 weighs source pixels by a triangle of width 4, i.e. (1, 3, 3, 1) / 8."""
    row = np.random.default_rng(0).integers(0, 256, 16)
    pixels = np.repeat(np.repeat(row[None, :, None], 16, 0), 3, 2).astype(np.uint8)
    expected = [np.dot(row[2 * i - 1 : 2 * i + 3], [1, 3, 3, 1]) / 8 for i in range(1, 7)]
    assert np.abs(square(pixels, 8)[3, 1:7, 0] - np.array(expected)).max() <= 1


def test_trap_26_data_range():
    """0 -> -1 and 255 -> 1, nothing outside; aspect ratio kept; grey, CMYK and alpha become RGB."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    images = {
        "L": Image.fromarray(ramp),
        "CMYK": Image.fromarray(ramp).convert("RGB").convert("CMYK"),
        "RGBA": Image.fromarray(ramp).convert("RGBA"),
        "RGB": Image.fromarray(ramp).convert("RGB"),
    }
    for mode, image in images.items():
        assert image.mode == mode
        pixels = square(decode_picture(stored(image, "TIFF")).pixels, 256)
        assert pixels.shape == (256, 256, 3) and pixels.dtype == np.uint8
        scaled = uint8_to_images(torch.from_numpy(pixels.copy()))
        assert scaled.min() == -1.0 and scaled.max() == 1.0
        assert torch.equal(scaled[0, [0, 255], 0], torch.tensor([-1.0, 1.0]))
    # A circle stays a circle when a wide picture is made square.
    y, x = np.indices((60, 100))
    disc = (((y - 29.5) ** 2 + (x - 49.5) ** 2 < 20**2) * 255).astype(np.uint8)
    shrunk = square(decode_picture(stored(Image.fromarray(disc))).pixels, 30)[:, :, 0] > 127
    assert abs(int(shrunk.any(0).sum()) - int(shrunk.any(1).sum())) <= 1
