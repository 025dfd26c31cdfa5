"""Pictures with more than 8 bits: every value is read as it was written, and becomes the level that follows from it."""

import io

import numpy as np
import pytest
from made import deep_png, ramp, stored, tiff
from PIL import Image

from sagan.data.decode import Plan, UnreadableError, decode_picture
from sagan.data.deep import deep_kind, read_deep, to_8_bits

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 65536, (9, 11), dtype=np.uint16)
COLOUR = RNG.integers(0, 65536, (9, 11, 3), dtype=np.uint16)
CLEAR = RNG.integers(0, 65536, (9, 11, 4), dtype=np.uint16)


def values_of(data):
    def again():
        return Image.open(io.BytesIO(data))

    return read_deep(again(), again)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("values", [GREY, COLOUR], ids=["grey", "colour"])
def test_sixteen_bits_of_a_tiff_are_all_read(order, compression, values):
    deep = values_of(tiff(values.astype(f"{order}u2"), byteorder=order, compression=compression))
    assert (deep.values == values).all() and deep.kind == "16-bit"


@pytest.mark.parametrize("values", [GREY, COLOUR, CLEAR], ids=["grey", "colour", "alpha"])
def test_sixteen_bits_of_a_png_are_all_read(values):
    deep = values_of(deep_png(values))
    assert (deep.values == values[..., :3]).all() if values.ndim == 3 else (deep.values == values).all()
    assert (deep.alpha is None) == (values.shape[-1] != 4)
    if deep.alpha is not None:
        assert (deep.alpha == values[..., 3] >> 8).all()


def test_sixteen_bit_grey_with_alpha_is_read_whole():
    deep = values_of(deep_png(CLEAR[..., :2]))
    assert (deep.values == CLEAR[..., 0]).all() and (deep.alpha == CLEAR[..., 1] >> 8).all()


def test_a_transparent_colour_of_sixteen_bits_is_just_that_colour():
    """One of two colours that differ in their lower bits alone is transparent."""
    values = np.full((4, 4, 3), 0x1234, np.uint16)
    values[:2] = 0x1235
    deep = values_of(deep_png(values, transparent=b"\x12\x35" * 3))
    assert (deep.alpha == [[0] * 4] * 2 + [[255] * 4] * 2).all()
    grey = values_of(deep_png(values[..., 0], transparent=b"\x12\x35"))
    assert (grey.alpha == deep.alpha).all()


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("form", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_range_of_fewer_bits_uses_all_levels(bits, form, channels):
    top = 2**bits - 1
    values = np.rint(ramp() * top).astype(np.uint16)
    values = values if channels == 1 else np.stack([values, values[::-1], values[:, ::-1]], axis=2)
    data = deep_png(values) if form == "png" else tiff(values)
    pixels = decode_picture(data, Plan(ranges={"16-bit": (0.0, float(top))})).pixels
    expected = np.rint(values / top * 255) if bits < 16 or channels == 1 else values >> 8
    assert np.abs(
        pixels.reshape(expected.shape if channels == 3 else pixels.shape) - expected.reshape(*values.shape[:2], -1)
    ).max() <= (bits == 16)
    assert pixels.min() == 0 and pixels.max() == 255


def test_eight_bits_are_left_alone():
    assert deep_kind(Image.open(io.BytesIO(stored(Image.fromarray((ramp() * 255).astype(np.uint8)))))) is None


def test_sixteen_bits_a_pixel_are_no_sixteen_bits_a_value():
    """BMP has pixels of 5, 6 and 5 bits: 16 together."""
    head = b"BM" + (66 + 16).to_bytes(4, "little") + bytes(4) + (66).to_bytes(4, "little")
    info = (
        (40).to_bytes(4, "little")
        + (2).to_bytes(4, "little") * 2
        + (1).to_bytes(2, "little")
        + (16).to_bytes(2, "little")
    )
    info += (3).to_bytes(4, "little") + (8).to_bytes(4, "little") + bytes(16)
    masks = b"".join(mask.to_bytes(4, "little") for mask in (0xF800, 0x07E0, 0x001F))
    pixels = b"".join(value.to_bytes(2, "little") for value in (0xF800, 0x07E0, 0x001F, 0xFFFF))
    decoded = decode_picture(head + info + masks + pixels)
    assert decoded.pixels.tolist() == [[[0, 0, 255], [255, 255, 255]], [[255, 0, 0], [0, 255, 0]]]
    assert "16-bit" not in decoded.traits


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32", "float32"])
def test_other_types_need_a_range_and_have_every_value_with_one(dtype):
    values = np.rint(ramp() * 3000).astype(dtype) + np.array(70000 if "32" in dtype else 0, dtype)
    values = values - np.array(1000, dtype) if dtype == "int16" else values
    data = tiff(values)
    with pytest.raises(UnreadableError, match=r"nothing tells which are black and white; say it with --data.range"):
        decode_picture(data)
    low, high = float(values.min()), float(values.max())
    expected = np.rint((values.astype(float) - low) / (high - low) * 255)
    for plan in (Plan(others="file"), Plan(others=(low, high))):
        assert (decode_picture(data, plan).pixels == expected[..., None]).all()


def test_large_unsigned_values_do_not_wrap():
    values = (ramp() * (2**32 - 1)).astype(np.uint32)
    pixels = decode_picture(tiff(values), Plan(others="type")).pixels[..., 0]
    assert (np.diff(pixels.reshape(-1).astype(int)) >= 0).all() and pixels.max() == 255


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_values(top):
    data = tiff((ramp() * top).astype(np.float32))
    pixels = decode_picture(data, Plan(ranges={"floating-point": (0.0, top)})).pixels
    assert np.abs(pixels[..., 0] - ramp() * 255).max() <= 0.51


def test_what_is_no_number_is_black_and_what_is_endless_clipped():
    values = ramp().astype(np.float32)
    values[3, 4:7] = (np.nan, np.inf, -np.inf)
    decoded = decode_picture(tiff(values), Plan(others="file"))
    assert decoded.pixels[3, 4:7, 0].tolist() == [0, 255, 0]
    assert decoded.pixels[0, 0, 0] == 0 and decoded.pixels[-1, -1, 0] == 255
    assert "no numbers" in decoded.traits
    with pytest.raises(UnreadableError, match="none of its values is a number"):
        decode_picture(tiff(np.full((4, 4), np.nan, np.float32)), Plan(others="file"))


def test_where_the_lowest_value_is_white_the_picture_is_no_negative():
    data = bytearray(tiff((ramp() * 65535).astype(np.uint16)))
    where = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01")  # PhotometricInterpretation, one short
    data[where + 8] = 0
    pixels = decode_picture(bytes(data)).pixels[..., 0]
    assert pixels[0, 0] == 255 and pixels[-1, -1] == 0


def test_premultiplied_colours_are_divided():
    alpha = np.full((6, 6), 32768, np.uint16)
    values = np.dstack([np.full((6, 6, 3), 16384, np.uint16), alpha])
    deep = values_of(tiff(values, extrasamples=["assocalpha"]))
    assert np.abs(deep.values.astype(int) - 32768).max() <= 1 and (deep.alpha == 128).all()


def test_bounds_that_are_one_value_give_black():
    deep = values_of(deep_png(np.full((4, 4), 77, np.uint16)))
    assert (to_8_bits(deep, (77.0, 77.0)) == 0).all()


def test_a_deep_picture_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 3
    values = np.rint(ramp() * 65535).astype(np.uint16)
    data = deep_png(values[::-1, ::-1])
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "PNG", exif=exif)
    pixels = decode_picture(buffer.getvalue()).pixels[..., 0]
    assert (pixels == np.rint(values / 257).astype(int)).all()
