"""Records of how pixels are read: equal where pixels are, said in words, and as flags."""

import pytest

from sagan.data.decisions import agree, flags_of_before, range_flag, unusual, words

TWELVE = {"range": {"16-bit": [0.0, 4095.0]}}
FULL = {"range": {"16-bit": [0.0, 65535.0]}}


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("range", TWELVE, {"range": "0:4095"}, True),
        ("range", TWELVE, FULL, False),
        ("range", FULL, {"range": "type"}, True),
        ("range", {"range": {"signed 16-bit": [-32768.0, 32767.0]}}, {"range": "type"}, True),
        ("range", {"range": {"floating-point": [0.0, 1.0]}}, {"range": "type"}, True),
        ("range", TWELVE, {"range": "type"}, False),
        ("range", TWELVE, {"range": "file"}, False),
        ("range", TWELVE, {"range": "percentile"}, True),
        ("range", TWELVE, {}, True),
        ("range", TWELVE, {"range": {"floating-point": [0.0, 1.0]}}, True),
        ("range", TWELVE, {"range": {"16-bit": [0.0, 4095.0], "32-bit": [0.0, 9.0]}}, True),
        ("range", {"range": "0:4095"}, {"range": "0:4095.0"}, True),
        ("range", {"range": "0:4095"}, {"range": "file"}, False),
        ("background", {"background": "white"}, {"background": "black"}, False),
        ("background", {"background": "black"}, {}, True),
        ("frames", {"frames": "all"}, {}, False),
        ("frames", {}, {"frames": "first"}, True),
        ("fit", {"fit": "pad"}, {"fit": "crop"}, False),
    ],
)
def test_records_agree_where_pixels_do(name, one, other, same):
    assert agree(name, one, other) is agree(name, other, one) is same


def test_ranges_as_flags_do_the_same_for_the_kinds_that_there_are():
    several = {"range": {"16-bit": [0.0, 4095.0], "floating-point": [0.0, 1.0]}}
    assert range_flag(TWELVE, None) == "0:4095"
    assert range_flag(TWELVE, FULL) == "0:4095"
    assert range_flag(several, None) is None
    assert range_flag(several, FULL) == "0:4095"
    assert range_flag(TWELVE, {"range": {"floating-point": [0.0, 3.0]}}) is None
    assert range_flag({"range": "file"}, FULL) == "file"
    assert range_flag({"range": {"floating-point": [0.1, 1 / 3]}}, None) == "0.1:0.3333333333333333"
    assert range_flag({}, FULL) is None


def test_what_is_as_before_there_was_a_choice_is_not_unusual():
    assert unusual({"background": "white", **FULL, "max_megapixels": 5.0, "why": ["..."]}) == ""
    assert unusual({"background": "black", **TWELVE, "frames": "all"}) == (
        "background black; range 16-bit 0:4095; frames all"
    )
    assert flags_of_before(FULL) == flags_of_before({}) == ""
    assert flags_of_before(TWELVE) == "--data.range type --data.background white"
    assert flags_of_before({"background": "black"}) == "--data.range type --data.background white"
    assert words("range", {}) == "range auto"
