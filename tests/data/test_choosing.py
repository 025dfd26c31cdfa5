"""What pixels of a set mean: chosen where it is clear, asked where it is not, and the same every time."""

import json

import numpy as np
import pytest
from made import deep_png, drawing, ramp, stored, tiff
from PIL import Image

from sagan.data import DataConfig, DataError
from sagan.data.choosing import HEADERS, choose, chosen, in_words
from sagan.data.config import Decoding
from sagan.data.decode import decode_picture

SCENES = [np.random.default_rng(seed).permuted(ramp(), axis=0) for seed in range(6)]


def plan_of(files, suffix=".png", **fields):
    names = [f"{index:03}{suffix}" for index in range(len(files))]
    return choose("the set", names, lambda index: files[index], Decoding(**fields))


def deep(top, bottom=0.0, dtype=np.uint16, colour=False):
    made = [np.rint(scene * (top - bottom) + bottom).astype(dtype) for scene in SCENES]
    return [deep_png(np.dstack([one] * 3) if colour else one) if dtype == np.uint16 else tiff(one) for one in made]


def floats(top, bottom=0.0):
    return [tiff((scene * (top - bottom) + bottom).astype(np.float32)) for scene in SCENES]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    ("top", "white"), [(1, 1), (250, 255), (1000, 1023), (4090, 4095), (16000, 16383), (65000, 65535)]
)
def test_bits_that_are_used_are_found(top, white, colour):
    files = deep(top, colour=colour)
    plan, record = plan_of(files)
    assert plan.ranges == {"16-bit": (0.0, white)} and record["range"] == {"16-bit": [0.0, white]}
    assert decode_picture(files[0], plan).pixels.max() > 200
    assert bool(in_words(record)) == (white != 65535)  # as its type has it is not worth a word


@pytest.mark.parametrize(
    ("files", "kind", "bounds"),
    [
        (floats(1.0), "floating-point", (0, 1)),
        (floats(255.0), "floating-point", (0, 255)),
        (floats(0.02), "floating-point", (0, 0.02)),
        (floats(1.0, -1.0), "floating-point", (-1, 1)),
        (floats(2000.0, -1000.0), "floating-point", (-1000, 2000)),
        (deep(3000, -1000, np.int16), "signed 16-bit", (-1000, 3000)),
        (deep(4000, 0, np.int32), "signed 32-bit", (0, 4095)),
        (deep(900_000, 100_000, np.uint32), "32-bit", (100_000, 900_000)),
    ],
    ids=["0..1", "0..255", "dim", "-1..1", "signed float", "int16", "int32 of 12 bits", "uint32"],
)
def test_other_types_have_the_range_that_is_clear(files, kind, bounds):
    plan, record = plan_of(files, ".tif")
    assert plan.ranges[kind] == pytest.approx(bounds, rel=1e-6)
    assert kind in in_words(record)[0] and "--data.range=" in in_words(record)[0]
    pixels = np.stack([decode_picture(file, plan).pixels for file in files])
    assert pixels.min() <= 1 and pixels.max() >= 240


@pytest.mark.parametrize(
    "files", [deep(4000)[:3] + deep(65000)[3:], floats(1.0)[:3] + floats(255.0)[3:], deep(65000)[:1] + deep(300)[1:]]
)
def test_a_mixture_is_asked_about_with_the_flag_and_its_values(files):
    suffix = ".tif" if files[0][:2] == b"II" else ".png"
    with pytest.raises(
        DataError, match=r"the set holds .* not clear .*reaches .* --data.range file .* percentile .* LOW:HIGH"
    ):
        plan_of(files, suffix)
    for choice in ("type", "file", "set", "percentile", "0:300"):
        plan, record = plan_of(files, suffix, range=choice)
        assert decode_picture(files[-1], plan).pixels.shape == (16, 20, 3)
        assert record["range"] == choice if choice in ("type", "file", "0:300") else list(record["range"])


def test_what_the_choices_do():
    files = deep(1000, 200)
    levels = {
        choice: decode_picture(files[0], plan_of(files, range=choice)[0]).pixels.astype(int)
        for choice in ("type", "file", "set", "percentile", "0:2000")
    }
    assert levels["type"].max() == round(1000 / 257) and levels["file"].min() == 0 and levels["file"].max() == 255
    assert (levels["set"] == levels["file"]).all()
    assert np.abs(levels["0:2000"].max() - 127.5) <= 0.5 and np.abs(levels["0:2000"].min() - 25.5) <= 0.5
    assert (levels["percentile"] == 0).sum() > (levels["set"] == 0).sum()
    assert (levels["percentile"] == 255).sum() > (levels["set"] == 255).sum()


@pytest.mark.parametrize(
    ("colours", "background"),
    [
        ([(0, 0, 0)] * 8, "white"),
        ([(255, 255, 255)] * 8, "black"),
        ([(200, 40, 40)] * 8, "white"),
        ([(0, 0, 0)] * 4 + [(255, 255, 255)] * 4, "#808080"),
        ([(250, 250, 240)] * 7 + [(200, 0, 0)], "black"),
    ],
    ids=["black", "white", "colour", "both", "nearly all white"],
)
def test_the_background_keeps_the_content(colours, background):
    files = [stored(drawing(colour)) for colour in colours]
    plan, record = plan_of(files)
    assert record["background"] == background and background in in_words(record)[0]
    for file in files:
        pixels = decode_picture(file, plan).pixels.astype(int)
        assert np.abs(pixels - pixels[0, 0]).max() > 32


def test_white_drawings_of_sixteen_bits_are_seen_too():
    files = [deep_png(np.asarray(drawing((255, 255, 255))).astype(np.uint16) * 257)] * 3
    plan, record = plan_of(files)
    assert record["background"] == "black" and decode_picture(files[0], plan).pixels.max() == 255


def test_nothing_is_chosen_where_nothing_has_to_be():
    files = [stored(Image.fromarray((scene * 255).astype(np.uint8))) for scene in SCENES]
    assert plan_of(files)[1] == {}
    assert plan_of([stored(Image.fromarray((SCENES[0] * 255).astype(np.uint8)).convert("RGBA"))])[1] == {}


def test_what_the_user_chose_is_recorded_and_can_be_written_as_json():
    fields = {
        "background": "#102030",
        "frames": "all",
        "truncated": "keep",
        "profiles": "ignore",
        "max_megapixels": 5.0,
    }
    _, record = plan_of([], **fields)
    assert json.loads(json.dumps(record)) == fields
    assert chosen(Decoding(**fields)) == fields and chosen(DataConfig()) == {}


def test_the_sample_is_the_same_every_time_and_not_too_large():
    files = deep(4000)
    read = []
    names = [f"{index}.png" for index in range(2000)]

    def get(index):
        read.append(index)
        return files[index % len(files)]

    first = choose("s", names, get, Decoding())[1]
    seen = list(read)
    read.clear()
    assert choose("s", names, get, Decoding())[1] == first and read == seen and len(seen) == HEADERS
    assert max(seen) > 1500


def test_a_name_that_says_another_format_hides_nothing():
    files = [*deep(4095), stored(drawing((255, 255, 255)))]
    expected = choose("s", [f"{i}.png" for i in range(len(files))], files.__getitem__, Decoding())[1]
    assert expected["range"] == {"16-bit": [0, 4095]} and expected["background"] == "black"
    for suffix in (".jpg", ".BMP", ".mpo", ".jfif"):
        names = [f"{i}{suffix}" for i in range(len(files))]
        assert choose("s", names, files.__getitem__, Decoding())[1] == expected


def test_of_large_photos_few_are_opened_and_after_all_others():
    photo, deeps = stored(Image.new("RGB", (4, 4))) + bytes(2**24), deep(4095)
    read = []

    def get(index):
        read.append(index)
        return photo if index < 100 else deeps[index % len(deeps)]

    names = [f"{i}.jpg" if i < 100 else f"{i}.png" for i in range(104)]
    assert choose("s", names, get, Decoding())[1]["range"] == {"16-bit": [0, 4095]}
    assert read[:4] == [100, 101, 102, 103] and len(read) <= 9


def test_nothing_is_opened_where_all_is_said():
    read = []
    fixed = Decoding(background="white", range="type")
    assert choose("s", ["a.png", "b.tif"], read.append, fixed)[1] == {"background": "white", "range": "type"}
    assert read == []


@pytest.mark.parametrize(("value", "background"), [(4095, "black"), (0, "white")])
def test_deep_drawings_are_looked_at_with_the_range_that_they_have(value, background):
    pixels = np.asarray(drawing((255, 255, 255))).astype(np.uint16) * 257
    pixels[..., :3] = np.where(pixels[..., 3:] > 0, value, 4095 - value)  # of 4095, which is nearly black in 16 bits
    plan, record = plan_of([deep_png(pixels)] * 3)
    assert record["background"] == background and record["range"] == {"16-bit": [0, 4095]}
    assert np.ptp(decode_picture(deep_png(pixels), plan).pixels) == 255


def test_what_cannot_be_read_is_left_to_decoding():
    files = [b"", b"no", deep(4000)[0]]

    def read(index):
        if index == 0:
            raise OSError("gone")
        return files[index]

    assert choose("s", ["0.png", "1.png", "2.png"], read, Decoding())[1]["range"] == {"16-bit": [0.0, 4095.0]}
    nothing = tiff(np.full((4, 4), np.nan, np.float32))
    for damaged in (nothing, deep(4000)[0][:-60], floats(1.0)[0][:-900]):
        assert plan_of([damaged], ".tif")[1] == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("background", "pink"),
        ("background", "#12345"),
        ("range", "bits"),
        ("range", "5:5"),
        ("range", "1:"),
        ("frames", "second"),
        ("truncated", "maybe"),
        ("profiles", "on"),
        ("max_megapixels", 0.0),
    ],
)
def test_wrong_values_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"{field} must be .*found"):
        DataConfig(**{field: value})


def test_a_range_may_begin_below_nothing():
    assert Decoding(range="-1000:3000").range == "-1000:3000"


def test_a_class_that_would_be_hard_to_see_is_asked_about():
    dim = deep(2200)  # a twelfth of the others: not black by numbers, but to the eye
    with pytest.raises(DataError, match=r"50% of those looked at would be nearly black; choose --data\.range file"):
        plan_of([*dim, *deep(26500, bottom=200)])
    plan_of([*dim, *deep(6000, bottom=200)])
