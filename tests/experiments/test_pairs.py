"""The measure of pairs: right on pictures whose share of agreement is known, and honest where nothing can be said."""

import json

import numpy as np
import pytest

from sagan.data.pairs import AGREES_IN, CLASSES, TEXTURES, draw, scene
from sagan.experiments.pairs import StructuredClass, judge_pairs, measure_pairs, measure_real_pairs

N = 2000
LABELS = np.arange(N) % 10


def drawn(pairing, seed=77):
    return np.stack([draw(scene(index, seed, pairing), 32) for index in range(N)])


@pytest.fixture(scope="module")
def agreeing():
    return drawn("agree")


@pytest.mark.long("decodes many pictures")
def test_real_pictures_get_everything():
    report = measure_real_pairs(32, samples=1000)
    assert list(report.structured) == list(AGREES_IN) and list(report.textures) == list(TEXTURES)
    for one in report.structured.values():
        assert one.pictures == 100 and one.readable >= 0.99 and one.consistent >= 0.99 and one.above_chance >= 0.98
    assert all(one.recognised >= 0.97 for one in report.textures.values())


def test_the_chance_level_is_that_of_parts_drawn_independently(agreeing):
    """The chance is estimated from agreeing pictures, and equals the share of agreement of independent parts."""
    expected = {"same-shape": 1 / 4, "same-size": 1 / 3, "twins": 1 / 24}
    free = judge_pairs(drawn("free"), LABELS)
    for name, one in judge_pairs(agreeing, LABELS).structured.items():
        chance = expected.get(name, 1 / 6)
        assert abs(one.chance - chance) < 0.02, name
        independent = free.structured[name]
        assert abs(independent.consistent - chance) < 4 * np.sqrt(chance * (1 - chance) / 200), name
        assert abs(independent.above_chance) < 0.15, name
        binomial = np.sqrt(independent.consistent * (1 - independent.consistent) / 200)
        assert independent.standard_error == pytest.approx(binomial, rel=0.1)


def test_a_mixture_gives_its_share(agreeing):
    """Every fourth picture of a class has differing parts: three quarters are consistent."""
    mixed, differing = agreeing.copy(), drawn("differ")
    fourth = (np.arange(N) // 10) % 4 == 0
    mixed[fourth] = differing[fourth]
    for name, one in judge_pairs(mixed, LABELS).structured.items():
        assert one.consistent == pytest.approx(0.75, abs=0.01), name


def test_always_the_same_picture_is_no_better_than_chance(agreeing):
    same = agreeing[LABELS]  # picture i is the first one of its class
    for one in judge_pairs(same, LABELS).structured.values():
        assert one.consistent == 1.0 and one.chance == 1.0 and one.above_chance is None


def test_the_chance_is_that_of_each_left_part_with_every_other_right_part(agreeing):
    few = judge_pairs(agreeing[:70], LABELS[:70])
    name = "same-colour"
    colours = [scene(index, 77).parts[0].colour for index in range(70) if CLASSES[index % 10] == name]
    matches = [a == b for i, a in enumerate(colours) for j, b in enumerate(colours) if i != j]
    assert few.structured[name].chance == pytest.approx(np.mean(matches))


def test_a_single_readable_picture_is_not_certain(agreeing):
    images = np.full((20, 32, 32, 3), 225, np.uint8)
    images[9] = agreeing[9]
    one = judge_pairs(images, np.arange(20) % 10).structured["twins"]
    assert (one.readable, one.consistent, one.chance, one.above_chance) == (0.5, 1.0, None, None)
    assert one.standard_error == pytest.approx(np.sqrt(2 / 3 * 1 / 3 / 3))


def test_blank_pictures_say_nothing():
    report = judge_pairs(np.full((20, 32, 32, 3), 225, np.uint8), np.arange(20) % 10)
    for one in report.structured.values():
        assert one == StructuredClass(pictures=2, readable=0.0, consistent=None, standard_error=None, chance=None)
        assert one.above_chance is None
    assert all(one.recognised == 0.0 for one in report.textures.values())
    assert str(report).count(" - ") >= 6 and json.loads(json.dumps(report.to_json()))["size_px"] == 32


def test_pictures_of_another_class_get_no_credit(agreeing):
    """The classes are shifted by one: textures become others, and bars are asked for shapes that agree."""
    report = judge_pairs(agreeing, (LABELS + 1) % 10)
    assert all(one.recognised == 0.0 for one in report.textures.values())
    assert report.structured["same-colour"].readable == 0.0  # these are clouds


def test_a_generator_is_measured_by_its_samples(agreeing):
    class Generator:
        class_names = CLASSES

        def sample(self, num, classes, seed):
            assert list(classes) == list(range(10)) and seed == 5
            return agreeing[:num]

    assert measure_pairs(Generator(), 300, seed=5) == judge_pairs(agreeing[:300], LABELS[:300])
    Generator.class_names = ("cat", "dog")
    with pytest.raises(ValueError, match=r"the classes must be those of pairs \(stripes, .*\), found cat, dog"):
        measure_pairs(Generator(), 300)


def test_missing_classes_and_labels_are_named(agreeing):
    with pytest.raises(ValueError, match=r"found labels of shape \(5,\) and none of same-shape, same-size, parallel"):
        judge_pairs(agreeing[:5], LABELS[:5])
    with pytest.raises(ValueError, match="a label for each of the 5 pictures"):
        judge_pairs(agreeing[:5], LABELS)


def test_the_table_shows_every_class_and_number(agreeing):
    text = str(judge_pairs(agreeing, LABELS))
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in CLASSES)
    assert "100.0% +- 0.5%" in text and "1.00" in text  # sqrt(201 * 1 / 202^3) = 0.5 %
