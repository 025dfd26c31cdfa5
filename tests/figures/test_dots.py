import numpy as np
import pytest

from sagan.figures import dot_plot


def blue(picture):
    pixels = np.asarray(picture).astype(int)
    return (pixels[..., 2] - pixels[..., 0]) > 60


def test_every_value_is_a_dot_and_groups_without_values_have_a_line():
    one = dot_plot({"q": {"a": [0.0], "b": []}})
    two = dot_plot({"q": {"a": [0.0, 1.0], "b": []}})
    assert one.size == two.size
    # The bar at the mean hides the middle of a single dot, and stands between two.
    assert blue(two).any(0).sum() > 1.5 * blue(one).any(0).sum() > 0


def test_more_panels_are_wider_and_more_groups_higher():
    base = dot_plot({"q": {"a": [0.0]}})
    assert dot_plot({"q": {"a": [0.0]}, "r": {"a": [1.0]}}).width > base.width
    assert dot_plot({"q": {"a": [0.0], "b": [1.0]}}).height > base.height


def test_larger_values_lie_to_the_right():
    picture = dot_plot({"q": {"low": [0.0], "high": [1.0]}})
    rows, columns = np.nonzero(blue(picture))
    upper = columns[rows < np.median(rows)].mean()
    assert columns[rows > np.median(rows)].mean() > upper


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no group"):
        dot_plot({})
