"""What a mistyped word may have meant."""

import pytest

from sagan.words import did_you_mean, edits, how_many, nearest

VERBS = ["demo", "train", "sample", "attention", "evaluate", "export", "data check", "plan", "benchmark", "info"]
CLOTHES = ["T-shirt", "pants", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("dgo", ["cat", "dog"], "dog"),
        ("catt", ["pants", "cat"], "cat"),
        ("evalute", VERBS, "evaluate"),
        ("trian", VERBS, "train"),
        ("Pants", CLOTHES, "pants"),
        ("snaeker", CLOTHES, "sneaker"),
        ("check", VERBS, "data check"),
        ("tench", ["goldfish", "tench, Tinca tinca"], "tench, Tinca tinca"),
        ("sagan-33", ["demo", "sagan-32", "sagan-32-cpu"], "sagan-32"),
        ("size", ["base_width", "size_px"], "size_px"),
    ],
)
def test_a_near_word_is_found(word, known, meant):
    assert nearest(word, known) == [meant]
    assert did_you_mean(word, known) == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("cat", ["pants", "sandal", "bag"]),
        ("zebra", CLOTHES),
        ("7", ["0", "1", "2"]),
        ("ta", ["at"]),
        ("", ["cat"]),
        ("nonsense", VERBS),
        ("dog", []),
        ("sagan-999", ["sagan-128", "sagan-64"]),
    ],
)
def test_a_far_word_is_not(word, known):
    assert nearest(word, known) == []
    assert did_you_mean(word, known) == ""


def test_several_come_nearest_first_and_then_in_their_order():
    assert nearest("coat", ["boat", "coats", "coal", "pullover"], 3) == ["boat", "coats", "coal"]
    assert nearest("coats", ["boats", "coat", "coast"], 2) == ["boats", "coat"]
    assert nearest("evaluate", ["elevator", "evaluted", "evalaute", "evaluate me"], 2) == ["evalaute", "evaluted"]
    assert did_you_mean("coat", ["boat", "goat"], 2) == "did you mean boat, goat?"


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("cat", "cat", 0), ("cat", "pants", 3), ("dgo", "dog", 1)],
)
def test_edits(a, b, count):
    assert edits(a, b) == count
    assert edits(b, a) == count


def test_neighbours_that_are_swapped_are_one_edit_and_letters_further_apart_two():
    assert edits("abcd", "abdc") == 1
    assert edits("abcd", "dbca") == 2
    assert edits("ca", "abc") == 3  # each letter is swapped at most once


@pytest.mark.parametrize(
    ("count", "one", "said"),
    [
        (1, "picture", "1 picture"),
        (0, "image", "0 images"),
        (1797, "picture", "1,797 pictures"),
        (2, "class", "2 classes"),
    ],
)
def test_one_is_not_several(count: int, one: str, said: str) -> None:
    assert how_many(count, one) == said
