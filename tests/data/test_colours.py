"""Colours as screens show them: profiles, inks, Lab, and transparent parts."""

import io

import numpy as np
import pytest
from made import drawing, stored, tiff
from PIL import Image, ImageCms

from sagan.data.colours import colour_of, with_profile, written
from sagan.data.decode import Plan, decode_picture
from sagan.data.pixel_traits import SHOWN

PATCHES = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128], [250, 180, 20], [10, 60, 90]], np.uint8)


def patches(size=8):
    return Image.fromarray(np.repeat(np.repeat(PATCHES[None], size, 0), size, 1))


def matrix_profile(red, green, blue, name="made"):
    """Write an ICC profile by its specification: three primaries as XYZ (D50) and one gamma of 2.2."""

    def fixed(value):
        return round(value * 65536).to_bytes(4, "big", signed=True)

    def xyz(*values):
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    text = name.encode()
    tags = {
        b"desc": b"desc\0\0\0\0" + (len(text) + 1).to_bytes(4, "big") + text + b"\0" + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(*red),
        b"gXYZ": xyz(*green),
        b"bXYZ": xyz(*blue),
        b"rTRC": (curve := b"curv\0\0\0\0\0\0\0\1" + round(2.2 * 256).to_bytes(2, "big") + bytes(2)),
        b"gTRC": curve,
        b"bTRC": curve,
        b"cprt": b"text\0\0\0\0none\0",
    }
    table, body, at = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        value += bytes(-len(value) % 4)
        table += key + (at + len(body)).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        body += value
    head = bytearray(128)
    head[8:12], head[12:24] = b"\x02\x10\0\0", b"mntrRGB XYZ "
    head[36:40], head[68:80] = b"acsp", b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    head[0:4] = (128 + len(table) + len(body)).to_bytes(4, "big")
    return bytes(head) + table + body


DISPLAY_P3 = matrix_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))


def p3_to_srgb(pixels):
    """The same by hand: to linear light, from P3's primaries to sRGB's (both adapted to D50), and back."""
    p3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
    srgb = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    linear = np.linalg.inv(srgb) @ p3 @ ((pixels / 255.0) ** 2.2).T
    linear = np.clip(linear.T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_display_p3_becomes_srgb(form):
    options = {"lossless": True} if form == "WEBP" else {}
    data = stored(patches(), form, icc_profile=DISPLAY_P3, **options)
    decoded = decode_picture(data)
    found = decoded.pixels[4, 4::8].astype(int)
    assert np.abs(found - p3_to_srgb(PATCHES)).max() <= 4
    assert np.abs(found - PATCHES).max() > 15 and "profile" in decoded.traits
    ignored = decode_picture(data, Plan(profiles=False))
    assert (ignored.pixels[4, 4::8] == PATCHES).all() and "profile" not in ignored.traits


def test_srgb_is_kept_to_the_bit():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = decode_picture(stored(patches(), icc_profile=profile))
    assert (decoded.pixels == np.asarray(patches())).all() and "profile" not in decoded.traits


@pytest.mark.parametrize("profile", [b"nonsense", DISPLAY_P3[:200], b""])
def test_a_damaged_profile_is_passed_over(profile):
    assert (decode_picture(stored(patches(), icc_profile=profile)).pixels == np.asarray(patches())).all()


def test_a_profile_of_other_colours_is_passed_over():
    grey = patches().convert("L")
    grey.info["icc_profile"] = DISPLAY_P3
    assert with_profile(grey) == (grey, False)


def test_alpha_stays_beside_a_profile():
    rgba = patches().convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    rgba.info["icc_profile"] = DISPLAY_P3
    made, converted = with_profile(rgba)
    assert converted and made.mode == "RGBA" and (np.asarray(made)[..., 3] == np.asarray(rgba)[..., 3]).all()


def test_lab_is_read_as_lab():
    """CIE Lab (D50) of the sRGB primaries, as colour books print them."""
    known = {
        (54.29, 80.81, 69.89): (255, 0, 0),
        (87.82, -79.27, 80.99): (0, 255, 0),
        (100.0, 0.0, 0.0): (255, 255, 255),
    }
    for (light, a, b), expected in known.items():
        lab = np.zeros((8, 8, 3), np.uint8)
        lab[:] = [round(light * 2.55), round(a) % 256, round(b) % 256]
        found = decode_picture(tiff(lab, photometric="cielab")).pixels[4, 4]
        assert np.abs(found.astype(int) - expected).max() <= 15


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_without_a_profile(form):
    """Adobe's JPEG holds inks inverted; both forms show the same."""
    inks = {
        (0, 255, 255, 0): (255, 0, 0),
        (255, 0, 255, 0): (0, 255, 0),
        (0, 0, 0, 255): (0, 0, 0),
        (0, 0, 0, 0): (255,) * 3,
    }
    for ink, expected in inks.items():
        decoded = decode_picture(
            stored(Image.new("CMYK", (16, 16), ink), form, **({"quality": 95} if form == "JPEG" else {}))
        )
        assert np.abs(decoded.pixels[8, 8].astype(int) - expected).max() <= 3
        assert decoded.traits - SHOWN == {"CMYK"}


def test_backgrounds():
    ring = drawing((200, 30, 40))
    for name, colour in {"white": (255, 255, 255), "black": (0, 0, 0), "#1080ff": (16, 128, 255)}.items():
        assert colour_of(name) == colour and written(colour) == name
        pixels = decode_picture(stored(ring), Plan(background=colour)).pixels
        assert tuple(pixels[0, 0]) == colour and tuple(pixels[24, 8]) == (200, 30, 40)


def test_a_palette_with_transparency_and_grey_with_alpha_are_laid_on_it():
    half = np.zeros((4, 4, 2), np.uint8)
    half[:2] = (100, 255)
    pixels = decode_picture(stored(Image.fromarray(half)), Plan(background=(1, 2, 3))).pixels
    assert pixels[0, 0].tolist() == [100] * 3 and pixels[3, 3].tolist() == [1, 2, 3]
    image = Image.fromarray((np.arange(16).reshape(4, 4) % 2).astype(np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 200, 100, 50])
    pixels = decode_picture(stored(image, transparency=0), Plan(background=(1, 2, 3))).pixels
    assert pixels[0, :2].tolist() == [[1, 2, 3], [200, 100, 50]]


def test_a_picture_that_is_all_transparent_shows_its_colours_if_it_has_any():
    colours = patches().convert("RGBA")
    colours.putalpha(0)
    decoded = decode_picture(stored(colours))
    assert (decoded.pixels == np.asarray(patches())).all() and "empty alpha" in decoded.traits
    empty = decode_picture(stored(Image.new("RGBA", (6, 6), (9, 9, 9, 0))))
    assert (empty.pixels == 255).all() and "alpha" in empty.traits


def test_opaque_pictures_are_not_said_to_be_transparent():
    assert "alpha" not in decode_picture(stored(patches().convert("RGBA"))).traits


def test_premultiplied_alpha_of_eight_bits():
    values = np.zeros((6, 6, 4), np.uint8)
    values[:] = (64, 32, 0, 128)  # half of (128, 64, 0)
    pixels = decode_picture(tiff(values, extrasamples=["assocalpha"]), Plan(background=(0, 0, 0))).pixels
    assert np.abs(pixels[3, 3].astype(int) - (64, 32, 0)).max() <= 1


def test_a_cmyk_profile_is_used_where_there_is_one():
    """A made profile of inks: a table that maps all inks to one Lab colour shows that it is asked."""
    profile = lut_profile()
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    decoded = decode_picture(stored(ink, "TIFF", icc_profile=profile))
    assert {"CMYK", "profile"} <= decoded.traits
    assert np.abs(decoded.pixels[4, 4].astype(int) - 119).max() <= 4  # L = 50 is this grey
    buffer = io.BytesIO()
    ink.save(buffer, "JPEG", icc_profile=profile)
    assert np.abs(decode_picture(buffer.getvalue()).pixels[4, 4].astype(int) - 119).max() <= 4


def lut_profile():
    """Write a CMYK profile by its specification whose table gives L = 50, a = b = 0 everywhere."""
    table8 = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    table8 += b"".join((65536 if row == column else 0).to_bytes(4, "big") for row in range(3) for column in range(3))
    identity = bytes(range(256))
    table8 += identity * 4 + bytes([128, 128, 128]) * 16 + identity * 3
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\5inks\0" + bytes(78 + 3),
        b"A2B0": table8,
        b"A2B1": table8,
        b"wtpt": b"XYZ \0\0\0\0\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d",
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
    }
    listed, body, at = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        value += bytes(-len(value) % 4)
        listed += key + (at + len(body)).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        body += value
    head = bytearray(128)
    head[8:12], head[12:24] = b"\x02\x10\0\0", b"prtrCMYKLab "
    head[36:40], head[68:80] = b"acsp", b"\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d"
    head[0:4] = (128 + len(listed) + len(body)).to_bytes(4, "big")
    return bytes(head) + listed + body
