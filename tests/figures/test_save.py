import os
import stat

import numpy as np
import pytest
from PIL import Image, ImageSequence

from sagan.figures import save as save_module
from sagan.figures import save_animation, save_image

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
METADATA = {"command": "sagan sample runs/a --seed 3", "gamma": "γ = 0.42", "lines": "one\ntwo"}


def frames(count):
    """Flat frames of different colours, which a palette keeps nearly as they are."""
    shades = np.linspace(0, 250, count).astype(np.uint8)
    return np.stack([np.full((12, 16, 3), (shade, 255 - shade, 90), np.uint8) for shade in shades])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read(path):
    with Image.open(path) as file:
        played = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(file)]
        times = []
        for number in range(getattr(file, "n_frames", 1)):
            file.seek(number)
            file.load()
            times.append(file.info.get("duration"))
        return played, times, file.info


@pytest.mark.parametrize("suffix", [".png", ".webp", ".PNG"])
def test_png_and_webp_hold_the_pixels_bit_for_bit(tmp_path, suffix):
    path = save_image(PICTURE, tmp_path / f"a{suffix}")
    with Image.open(path) as file:
        assert np.array_equal(np.asarray(file.convert("RGB")), PIXELS)


def test_jpeg_holds_nearly_the_pixels(tmp_path):
    smooth = Image.fromarray(np.repeat(np.linspace(0, 255, 64).astype(np.uint8), 64 * 3).reshape(64, 64, 3))
    for suffix in (".jpg", ".jpeg"):
        with Image.open(save_image(smooth, tmp_path / f"a{suffix}")) as file:
            assert file.format == "JPEG"
            assert np.abs(np.asarray(file).astype(int) - np.asarray(smooth)).max() <= 4


def test_png_metadata_reads_back(tmp_path):
    with Image.open(save_image(PICTURE, str(tmp_path / "a.png"), metadata=METADATA)) as file:
        assert file.text == METADATA


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_metadata_of_other_formats_is_the_image_description(tmp_path, suffix):
    with Image.open(save_image(PICTURE, tmp_path / f"a{suffix}", metadata={"seed": "3", "layer": "feat32"})) as file:
        assert file.getexif()[0x010E] == "seed: 3\nlayer: feat32"


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_other_letters_stand_in_the_user_comment_of_other_formats(tmp_path, suffix):
    told = {"command": "sagan sample läufe/日本 --out a.webp", "seed": "3"}
    with Image.open(save_image(PICTURE, tmp_path / f"a{suffix}", metadata=told)) as file:
        exif = file.getexif()
    assert exif[0x010E].startswith("command: sagan sample l?ufe/??")
    comment = exif.get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0" and exif.endian == ">"
    assert comment[8:].decode("utf-16-be") == "command: sagan sample läufe/日本 --out a.webp\nseed: 3"


@pytest.mark.parametrize("key", ["", "k" * 80, "γ", "a\nb"])
def test_keys_that_a_png_cannot_hold_are_refused(tmp_path, key):
    with pytest.raises(ValueError, match="metadata key"):
        save_image(PICTURE, tmp_path / "a.png", metadata={key: "1"})
    assert not list(tmp_path.iterdir())


def test_transparency_is_dropped(tmp_path):
    with Image.open(save_image(PICTURE.convert("RGBA"), tmp_path / "a.jpg")) as file:
        assert file.mode == "RGB"


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.gif", "a.png.txt"])
def test_an_unknown_suffix_is_refused_by_name(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
        save_image(PICTURE, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_pictures_too_large_for_a_format_are_refused(tmp_path):
    wide = Image.new("RGB", (20_000, 1))
    with pytest.raises(ValueError, match="at most 16383 px a side"):
        save_image(wide, tmp_path / "a.webp")
    assert save_image(wide, tmp_path / "a.png").exists()


def test_missing_folders_are_made_and_an_older_file_replaced(tmp_path):
    path = tmp_path / "results" / "deep" / "a.png"
    save_image(Image.new("RGB", (3, 3)), path)
    save_image(PICTURE, path)
    assert names(path.parent) == ["a.png"]
    with Image.open(path) as file:
        assert file.size == PICTURE.size


def test_others_may_read_the_file_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        path = save_image(PICTURE, tmp_path / "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failed_rename_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(self, target):
        assert self.parent == target.parent, "the temporary file lies in the same folder"
        assert self.stat().st_size > 100, "it is complete before it gets its name"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(save_module.Path, "replace", full)
    with pytest.raises(OSError, match=r"a\.png could not be written: the disk is full") as caught:
        save_image(PICTURE, path)
    assert caught.value.errno == 28
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.png"]


def test_places_that_cannot_be_written_are_explained(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"there is no folder .*file; make it, or choose another place"):
        save_image(PICTURE, tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match=r"folder\.png could not be written \(Is a directory"):
        save_image(PICTURE, tmp_path / "folder.png")
    assert names(tmp_path) == ["file", "folder.png"]


@pytest.mark.parametrize(("suffix", "tolerance"), [(".gif", 4), (".png", 0), (".webp", 0)])
def test_the_frames_of_an_animation_read_back(tmp_path, suffix, tolerance):
    shown = frames(6)
    played, times, _ = read(save_animation(shown, tmp_path / f"a{suffix}", fps=10, scale=1))
    assert len(played) == 6
    assert np.abs(np.array(played) - shown).max() <= tolerance
    assert times == [100] * 6


def test_detailed_frames_are_exact_in_apng_and_webp(tmp_path):
    shown = np.random.default_rng(0).integers(0, 256, (4, 9, 7, 3), dtype=np.uint8)
    for suffix in (".png", ".webp"):
        assert np.array_equal(read(save_animation(shown, tmp_path / f"a{suffix}", scale=1))[0], shown)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_loop_is_for_ever_or_once(tmp_path, suffix):
    _, _, forever = read(save_animation(frames(3), tmp_path / f"a{suffix}"))
    _, _, once = read(save_animation(frames(3), tmp_path / f"b{suffix}", loop=False))
    assert forever["loop"] == 0
    assert once.get("loop", 1) == 1


def test_boomerang_plays_the_inner_frames_back(tmp_path):
    shown = frames(4)
    played, _, _ = read(save_animation(shown, tmp_path / "a.png", boomerang=True, scale=1))
    assert np.array_equal(played, shown[[0, 1, 2, 3, 2, 1]])


@pytest.mark.parametrize("count", [1, 2])
def test_boomerang_of_one_or_two_frames_adds_none(tmp_path, count):
    assert len(read(save_animation(frames(count), tmp_path / "a.png", boomerang=True))[0]) == count


def test_frames_are_enlarged_by_whole_factors(tmp_path):
    shown = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    played, _, _ = read(save_animation(shown, tmp_path / "a.webp", scale=3))
    assert np.array_equal(played, np.kron(shown, np.ones((1, 3, 3, 1), np.uint8)))


@pytest.mark.parametrize(("size", "expected"), [((16, 16), 256), ((100, 50), 200), ((300, 8), 300)])
def test_small_frames_are_enlarged_to_be_seen_and_large_ones_stay(tmp_path, size, expected):
    path = save_animation(np.zeros((2, *size, 3), np.uint8), tmp_path / "a.gif")
    with Image.open(path) as file:
        assert max(file.size) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fps": 0}, "fps"), ({"fps": 51}, "fps"), ({"fps": float("nan")}, "fps"), ({"scale": 0}, "scale")],
)
def test_animations_refuse_options_out_of_range(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        save_animation(frames(2), tmp_path / "a.gif", **options)


def test_animations_refuse_other_arrays_and_suffixes(tmp_path):
    with pytest.raises(ValueError, match=r"\(N, H, W, 3\)"):
        save_animation(frames(2)[0], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="no image"):
        save_animation(frames(2)[:0], tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"\.gif, \.png, \.webp"):
        save_animation(frames(2), tmp_path / "a.avi")
