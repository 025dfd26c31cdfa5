"""What can be asked of a generator."""

import pytest

from sagan.generators.config import AttentionConfig, SampleConfig, check_attention_file, class_index, query_point

NAMES = ["red", "green", "2"]


def test_class_index():
    assert class_index("green", NAMES) == 1
    assert class_index("2", NAMES) == 2  # a name before a number
    assert class_index("0", ["1", "0"]) == 1
    assert class_index("1", NAMES) == class_index(1, NAMES) == 1
    for wrong in (3, -1, "3", "-1", "", "1.0"):
        with pytest.raises(ValueError, match="no class"):
            class_index(wrong, NAMES)
    with pytest.raises(ValueError, match="this network is unconditional"):
        class_index(0, [])


def test_only_a_near_class_is_suggested():
    clothes = ["T-shirt", "pants", "pullover", "bag"]
    with pytest.raises(ValueError, match=r"^no class 'pnats'; did you mean pants\? A number from 0 to 3 works too$"):
        class_index("pnats", clothes)
    with pytest.raises(ValueError, match=r"^no class 'cat'; known: T-shirt, pants, pullover, bag\. A number"):
        class_index("cat", clothes)


@pytest.mark.parametrize("text", ["", "3", "3,", "a,b", "1,2,3", "-1,2", "1.5,2"])
def test_a_query_point_is_two_whole_numbers(text):
    assert query_point(" 3,14") == (3, 14)
    with pytest.raises(ValueError, match="takes points as ROW,COLUMN"):
        query_point(text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num": 0}, "num must be at least 1, found 0"),
        ({"end_seed": 1}, "end-seed goes with"),
        ({"interpolate": 1}, "at least 2 frames, found 1"),
        ({"interpolate": 2, "classes": ("a", "b", "c")}, "at most two classes, found 3"),
        ({"index": 1}, "index goes with --interpolate"),
        ({"end_index": 1}, "end-index goes with --interpolate"),
        ({"direction": 1}, "direction goes with --interpolate"),
        ({"interpolate": 2, "index": -1}, "index must be at least 0"),
        ({"interpolate": 2, "end_index": -1}, "end_index must be at least 0"),
        ({"interpolate": 2, "direction": 0}, "direction must be at least 1, found 0"),
        ({"interpolate": 2, "direction": 1, "reach": 0.0}, "reach must be above 0"),
        ({"interpolate": 2, "direction": 1, "classes": ("a", "b")}, "keeps its class, found 2"),
    ],
)
def test_samples_that_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        SampleConfig(**fields)


def test_files_of_samples(tmp_path):
    for name in ("a.png", "a.JPG", "a.webp", "a.npz", "folder", "names.of.a.long-folder"):
        SampleConfig().check_file(tmp_path / name)
    for name in ("a.gif", "a.npz"):
        SampleConfig(interpolate=2).check_file(tmp_path / name)
    (tmp_path / "empty").mkdir()
    SampleConfig().check_file(tmp_path / "empty")
    (tmp_path / "empty" / "x").touch()
    with pytest.raises(OSError, match="not an empty folder"):
        SampleConfig().check_file(tmp_path / "empty")
    for config, name in ((SampleConfig(), "a.gif"), (SampleConfig(), "a.txt"), (SampleConfig(interpolate=2), "a.txt")):
        with pytest.raises(ValueError, match="write "):
            config.check_file(tmp_path / name)
    for name in ("a.txt", "folder", "a.gif"):
        with pytest.raises(ValueError, match="write attention to"):
            check_attention_file(tmp_path / name)


def test_attention_that_cannot_be():
    for fields, message in (({"num": 0}, "num must be at least 1"), ({"style": "blue"}, "style must be one of heat")):
        with pytest.raises(ValueError, match=message):
            AttentionConfig(**fields)


@pytest.mark.parametrize("kind", [SampleConfig, AttentionConfig])
def test_one_class_is_not_read_letter_by_letter(kind):
    assert kind(classes="cat").classes == ("cat",)
    assert kind(classes=["cat", "dog"]).classes == ("cat", "dog")
