"""Opening pictures of every format, frames, files that were cut off, limits, and what is no picture."""

import io
import os
import threading

import numpy as np
import pytest
from made import chunk, deep_png, ramp, stored, tiff
from PIL import Image, ImageFile, features

from sagan.data import extras, formats
from sagan.data.decode import Plan, UnreadableError, decode_picture
from sagan.data.formats import frames_of, jxl_size, pillow_allows

SCENE = Image.fromarray(
    np.dstack([ramp(48, 64) * 255, ramp(48, 64)[::-1] * 255, ramp(48, 64)[:, ::-1] * 255]).astype(np.uint8)
)
NOISE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def off(data, expected):
    return np.abs(decode_picture(data).pixels.astype(int) - np.asarray(expected)).mean()


def test_heic_is_read():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(SCENE).save(buffer, quality=95)
    assert off(buffer.getvalue(), SCENE) < 3
    assert decode_picture(buffer.getvalue()).format == "HEIF"


def test_of_several_pictures_in_a_heic_the_one_that_it_shows_is_taken():
    pillow_heif = pytest.importorskip("pillow_heif")
    container = pillow_heif.HeifFile()
    for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200)):
        container.add_from_pillow(Image.new("RGB", (64, 64), colour))
    buffer = io.BytesIO()
    container.save(buffer, quality=90, primary_index=1)
    assert decode_picture(buffer.getvalue()).pixels[9, 9].argmax() == 1
    each = [decode_picture(buffer.getvalue(), Plan(all_frames=True), frame).pixels[9, 9].argmax() for frame in range(3)]
    assert sorted(each) == [0, 1, 2] and frames_of(buffer.getvalue()) == [0, 1, 2]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read():
    assert off(stored(SCENE, "AVIF", quality=95), SCENE) < 3


def test_jpeg_xl_is_read():
    pytest.importorskip("pillow_jxl")
    data = stored(SCENE, "JXL", lossless=True)
    assert (decode_picture(data).pixels == np.asarray(SCENE)).all()


@pytest.mark.parametrize("size", [(2, 2), (8, 16), (16, 8), (256, 256), (300, 200), (7, 513), (640, 360), (9000, 3)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size, monkeypatch):
    pytest.importorskip("pillow_jxl")
    data = stored(Image.new("RGB", size, "red"), "JXL", lossless=True)
    exif = Image.Exif()
    exif[0x010E] = "\xff\n" * 9  # looks like the beginning of a picture
    assert jxl_size(data) == size == jxl_size(stored(Image.new("RGB", size), "JXL", lossless=True, exif=exif.tobytes()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", size[0] * size[1] // 2 - 1)
    opened = []
    monkeypatch.setattr(Image, "open", lambda *given: opened.append(given))
    with pytest.raises(UnreadableError, match="too many pixels"):
        decode_picture(data, Plan(max_pixels=1))
    assert not opened


@pytest.mark.parametrize(
    ("start", "package"),
    [(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pillow-heif"), (b"\xff\x0a" + bytes(40), "pillow-jxl-plugin")],
)
def test_a_missing_reader_is_named_with_its_extra(start, package, monkeypatch):
    def missing(module):
        raise ImportError(f"No module named {module!r}")

    formats._load_reader.cache_clear()
    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(UnreadableError, match=rf'need the library {package} .*pip install "sagan-torch\[formats\]"'):
        decode_picture(start)
    formats._load_reader.cache_clear()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.4 and so on", "not a picture: a PDF file"),
        (b"8BPS\0\1", "not a picture: a PSD file"),
        (b"\0\0\0\x20ftypisom" + bytes(30), "not a picture: a video"),
        (b"<!DOCTYPE html><html>", "not a picture: it is a web page"),
        (b"hello", "not a picture in a known format"),
        (bytes(5000), "damaged or cut off .it holds nothing but zeros"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), r"damaged or cut off \(nothing of this PNG picture can be read"),
        (stored(SCENE, "JPEG")[:40], r"damaged or cut off"),
    ],
)
def test_what_is_no_picture_and_what_is_a_damaged_one_are_told_apart(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        decode_picture(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_cut_off_at_any_length_is_refused_or_kept_as_asked(form):
    data = stored(NOISE, form)
    kept = 0
    for length in range(60, len(data) - 40, len(data) // 23):
        with pytest.raises(UnreadableError):
            decode_picture(data[:length])
        try:
            decoded = decode_picture(data[:length], Plan(keep_truncated=True))
        except UnreadableError:
            continue
        assert decoded.traits >= {"cut off"} and decoded.pixels.shape == (64, 64, 3)
        kept += 1
    assert kept or form == "WEBP"
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_what_is_kept_of_a_cut_off_picture_is_what_was_there():
    pixels = decode_picture(stored(NOISE, "BMP")[:6000], Plan(keep_truncated=True)).pixels
    whole = np.asarray(NOISE)
    assert (pixels[-20:] == whole[-20:]).all() and not (pixels[:20] == whole[:20]).all()  # BMP starts at the bottom
    assert (decode_picture(stored(NOISE, "BMP"), Plan(keep_truncated=True)).pixels == whole).all()


def test_cut_off_files_are_refused_while_another_thread_keeps_them():
    data = stored(NOISE, "JPEG")[:3000]
    wrong, stop = [], threading.Event()

    def keep():
        while not stop.is_set():
            decode_picture(data, Plan(keep_truncated=True))

    threads = [threading.Thread(target=keep) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(150):
        try:
            decode_picture(data)
            wrong.append("taken")
        except UnreadableError:
            pass
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_limit_of_pixels_can_be_raised_and_is_set_back():
    before = Image.MAX_IMAGE_PIXELS
    data = stored(SCENE)
    with pytest.raises(
        UnreadableError, match=r"too many pixels \(64x48\), more than 0.002 million .* raise --data.max-meg"
    ):
        decode_picture(data, Plan(max_pixels=2000))
    Image.MAX_IMAGE_PIXELS = 1000  # so that Pillow itself refuses twice as many
    try:
        assert decode_picture(data, Plan(max_pixels=4000)).pixels.shape == (48, 64, 3)
        assert Image.MAX_IMAGE_PIXELS == 1000
        with pillow_allows(5000), pillow_allows(70_000):
            assert Image.MAX_IMAGE_PIXELS == 70_000
        assert Image.MAX_IMAGE_PIXELS == 1000
    finally:
        Image.MAX_IMAGE_PIXELS = before


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
FLAT = [Image.new("RGB", (16, 12), colour) for colour in COLOURS]


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_every_frame_is_a_picture(form):
    options = {"WEBP": {"lossless": True}, "MPO": {"quality": 95, "subsampling": 0}}.get(form, {})
    data = stored(FLAT[0], form, save_all=True, append_images=FLAT[1:], **options)
    assert frames_of(data) == [0, 1, 2]
    for frame, colour in enumerate(COLOURS):
        decoded = decode_picture(data, Plan(all_frames=True), frame)
        assert np.abs(decoded.pixels[5, 5].astype(int) - colour).max() <= 3
        assert "animated" not in decoded.traits
    first = decode_picture(data)
    assert np.abs(first.pixels[5, 5].astype(int) - COLOURS[0]).max() <= 3 and "animated" in first.traits


@pytest.mark.parametrize(("disposal", "left"), [(1, (0, 0, 255)), (2, (9, 9, 9)), (3, (0, 0, 255))])
def test_what_a_frame_of_a_gif_leaves_behind(disposal, left):
    """A blue ground; a green square, which stays, is cleared with all of its frame, or gives way to the ground; red."""
    ground = Image.new("RGBA", (20, 20), (0, 0, 255, 255))
    square, corner = (Image.new("RGBA", (20, 20), (0, 0, 0, 0)) for _ in range(2))
    square.paste((0, 255, 0, 255), (4, 4, 10, 10))
    corner.paste((255, 0, 0, 255), (15, 15, 20, 20))
    data = stored(
        ground, "GIF", save_all=True, append_images=[square, corner], disposal=[1, disposal, 1], optimize=False
    )
    plan = Plan(all_frames=True, background=(9, 9, 9))
    second, third = (decode_picture(data, plan, frame).pixels for frame in (1, 2))
    reference = Image.open(io.BytesIO(data))
    reference.seek(2)
    expected = Image.new("RGBA", (20, 20), (9, 9, 9, 255))
    expected.alpha_composite(reference.convert("RGBA"))
    assert (third == np.asarray(expected.convert("RGB"))).all()
    assert second[6, 6].tolist() == [0, 255, 0] and third[17, 17].tolist() == [255, 0, 0]
    inside = (0, 255, 0) if disposal == 1 else left
    assert tuple(third[6, 6]) == inside and tuple(third[0, 0]) == left


def test_small_copies_among_the_pages_of_a_tiff_are_no_pictures():
    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for colour, kind in ((10, 0), (20, 1), (30, 0)):
            writer.write(np.full((12, 16, 3), colour, np.uint8), photometric="rgb", subfiletype=kind)
    assert frames_of(buffer.getvalue()) == [0, 2]
    assert decode_picture(buffer.getvalue(), frame=2).pixels[0, 0].tolist() == [30] * 3


def test_a_stack_of_deep_pages():
    values = np.stack([np.rint(ramp() * top) for top in (1000, 4000)]).astype(np.uint16)
    data = tiff(values)
    assert frames_of(data) == [0, 1]
    plan = Plan(ranges={"16-bit": (0.0, 4000.0)}, all_frames=True)
    assert decode_picture(data, plan, 0).pixels.max() == 64 and decode_picture(data, plan, 1).pixels.max() == 255


def test_pages_of_two_sizes_have_their_own():
    data = stored(FLAT[0], "TIFF", save_all=True, append_images=[Image.new("RGB", (30, 8), "blue")])
    assert decode_picture(data, frame=1).pixels.shape == (8, 30, 3)


def test_a_text_that_unpacks_to_much_is_refused():
    data = deep_png(np.zeros((4, 4), np.uint16))
    bomb = chunk(b"iTXt", b"x\0\1\0\0\0" + __import__("zlib").compress(bytes(80_000_000)))
    with pytest.raises(UnreadableError, match="damaged"):
        decode_picture(data[:33] + bomb + data[33:])


def test_no_file_is_handed_to_another_program(tmp_path, monkeypatch):
    stand_in = tmp_path / "gs"
    stand_in.write_text(f"#!/bin/sh\necho ran >> {tmp_path}/ran\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{} loop\n"
    with pytest.raises(UnreadableError, match="not a picture in a known format"):
        decode_picture(drawing)
    assert not (tmp_path / "ran").exists()
