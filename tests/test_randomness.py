import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagan.randomness import keyed_generator


def draw(seed, stream, *counters):
    return keyed_generator(seed, stream, *counters).integers(0, 2**62, 64)


def test_the_same_key_gives_the_same_numbers_whatever_was_drawn_before():
    first = draw(7, "latents", 3, 1)
    keyed_generator(7, "latents", 3, 1).random(100)
    np.random.default_rng(0).random(5)
    assert (draw(7, "latents", 3, 1) == first).all()


def test_numbers_of_a_key_never_change_between_versions():
    assert keyed_generator(7, "latents", 3, 1).integers(0, 1000, 6).tolist() == [138, 690, 723, 299, 514, 822]


@settings(deadline=None)  # A slow machine is no failure.
@given(
    keys=st.lists(
        st.tuples(
            st.integers(0, 2**63), st.sampled_from(["latents", "labels"]), st.integers(0, 2**64 - 1), st.integers(0, 99)
        ),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_different_keys_give_different_numbers(keys):
    assert not np.array_equal(draw(*keys[0]), draw(*keys[1]))


def test_neighbouring_counters_do_not_overlap_and_are_uncorrelated():
    rows = np.stack([keyed_generator(0, "latents", step).standard_normal(4096) for step in range(20)])
    correlation = np.corrcoef(rows) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(4096)  # Five standard deviations.
    assert len(np.unique(rows)) == rows.size


def test_a_long_draw_does_not_run_into_the_next_counter():
    long = keyed_generator(0, "latents", 0).integers(0, 2**62, 100_000)
    assert not np.isin(draw(0, "latents", 1), long).any()


def test_missing_counters_count_as_zero():
    assert (draw(1, "order") == draw(1, "order", 0, 0, 0)).all()


def test_threads_do_not_disturb_each_other():
    found = {}

    def work(step):
        found[step] = draw(0, "latents", step)

    threads = [threading.Thread(target=work, args=(step,)) for step in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[step] == draw(0, "latents", step)).all() for step in range(8))


def test_a_bad_key_is_refused():
    with pytest.raises(ValueError, match=r"from 0 to .*, found -1"):
        keyed_generator(-1, "latents")
    with pytest.raises(ValueError, match="at most 3 counters make a key, found 4"):
        keyed_generator(0, "latents", 1, 2, 3, 4)
