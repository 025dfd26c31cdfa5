import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from sagan.figures import AttentionStyle, attention_figure, attention_target
from sagan.figures.attention import FRAME, QUERY_COLOURS, resize_bilinear
from sagan.figures.canvas import MARGIN

GAP = 6
CENTRE = np.array([[16, 16]])


def hot(h, w, y, x):
    """A map with one hot cell over a faint ground."""
    values = np.full((h, w), 0.01 / (h * w))
    values[y, x] += 0.99
    return values


def panel(picture, height, width, row, column, scale):
    """Cut one panel out of a figure without labels."""
    y = MARGIN + FRAME + row * (height * scale + 2 * FRAME + GAP)
    x = MARGIN + FRAME + column * (width * scale + 2 * FRAME + GAP)
    return np.asarray(picture).astype(int)[y : y + height * scale, x : x + width * scale]


def near(pixels, colour):
    return (np.abs(pixels - colour) <= 1).all(-1)


@pytest.mark.parametrize("seed", range(20))
def test_the_target_equals_scipys_labelling(seed):
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.random((int(rng.integers(3, 24)), int(rng.integers(3, 24)))), 1.0)
    values -= values.min()
    labels, count = ndimage.label(values > 0.5 * values.max())
    index = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(np.ones_like(values), labels, index)
    weights = ndimage.sum_labels(values, labels, index)
    best = max(index, key=lambda i: (sizes[i - 1], weights[i - 1]))
    assert attention_target(values) == pytest.approx(ndimage.center_of_mass(labels == best))


def test_the_target_is_the_larger_of_two_blobs_also_when_the_smaller_is_hotter():
    values = np.zeros((9, 12))
    values[1, 1:4] = 1.0
    values[5:7, 6:8] = 0.6
    assert values[5:7].sum() < values[1].sum()
    assert attention_target(values) == (5.5, 6.5)


def test_the_target_leaves_out_cells_at_half_the_maximum_or_below_and_diagonal_neighbours():
    values = np.zeros((6, 6))
    values[0, :] = 0.5
    values[3, 2:4] = 1.0
    values[4, 4] = 0.9
    assert attention_target(values) == (3.0, 2.5)


def test_of_two_equal_patches_the_one_with_more_attention_counts():
    values = np.zeros((3, 7))
    values[1, 1], values[1, 5] = 0.8, 0.9
    assert attention_target(values) == (1.0, 5.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 3)), "zero everywhere"),
        (np.full((3, 3), -1.0), "at least 0"),
        (np.full((3, 3), np.nan), "finite"),
        (np.ones((3, 3), dtype=int), "floating point"),
        (np.ones(3), "shape"),
    ],
)
def test_the_target_refuses_what_is_no_map(values, message):
    with pytest.raises(ValueError, match=message):
        attention_target(values)


@pytest.mark.parametrize(("old", "new"), [((4, 4), (32, 32)), ((3, 5), (7, 20)), ((16, 8), (16, 8)), ((1, 1), (4, 6))])
def test_enlargement_equals_torchs_bilinear(old, new):
    values = np.random.default_rng(0).random(old)
    oracle = F.interpolate(torch.from_numpy(values)[None, None], size=new, mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(resize_bilinear(values, *new), oracle.numpy(), atol=1e-12)


@pytest.mark.parametrize("style", ["heat", "grey"])
@pytest.mark.parametrize(
    ("h", "w", "height", "width", "cell"),
    [(16, 16, 32, 32, (3, 12)), (32, 32, 32, 32, (31, 0)), (4, 8, 16, 32, (3, 6)), (8, 4, 32, 16, (0, 3))],
)
def test_the_hottest_pixels_of_a_panel_lie_in_the_hot_cell(style, h, w, height, width, cell):
    images = np.full((1, height, width, 3), 90, np.uint8)
    query = np.array([[height // 2, width // 2]])
    picture = attention_figure(images, hot(h, w, *cell)[None, None], query, style=style, scale=6)
    shown = panel(picture, height, width, 0, 1, 6).sum(-1)
    yy, xx = np.mgrid[: shown.shape[0], : shown.shape[1]]
    shown[np.hypot(yy - (query[0, 0] + 0.5) * 6, xx - (query[0, 1] + 0.5) * 6) < 16] = 0
    ys, xs = np.nonzero(shown == shown.max())
    cell_y, cell_x = height * 6 // h, width * 6 // w
    assert (ys // cell_y == cell[0]).all() and (xs // cell_x == cell[1]).all()


def test_a_grey_panel_is_the_map_divided_by_its_maximum():
    values = np.random.default_rng(1).random((8, 8))
    values /= values.sum()
    picture = attention_figure(
        np.zeros((1, 32, 32, 3), np.uint8), values[None, None], np.array([[0, 0]]), style="grey", scale=4
    )
    shown = panel(picture, 32, 32, 0, 1, 4)
    oracle = F.interpolate(torch.from_numpy(values)[None, None], size=(128, 128), mode="bilinear")[0, 0].numpy()
    expected = np.repeat(255 * oracle[..., None] / oracle.max(), 3, axis=-1)
    assert np.abs(shown - expected)[16:].max() <= 0.5 + 1e-9


def test_a_heat_panel_shows_the_darkened_image_where_there_is_no_attention():
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    values = np.zeros((8, 8))
    values[7, 7] = 1.0
    shown = panel(attention_figure(images, values[None, None], np.array([[31, 0]]), scale=4), 32, 32, 0, 1, 4)[:64, :64]
    grey = images[0, :16, :16].mean(-1).repeat(4, 0).repeat(4, 1)
    assert (shown[..., 0] == shown[..., 1]).all() and (shown[..., 1] == shown[..., 2]).all()
    assert np.corrcoef(shown[..., 0].ravel(), grey.ravel())[0, 1] > 0.8
    assert shown.max() < 160


@pytest.mark.parametrize("count", [1, 5, 7])
def test_each_query_has_its_dot_and_frame_in_its_colour(count):
    images = np.full((2, 32, 32, 3), 128, np.uint8)
    queries = np.array([[4, 4], [4, 27], [27, 4], [27, 27], [16, 16], [4, 16], [27, 16]])[:count]
    # The map points at the query itself, so that no arrow crosses a dot.
    maps = np.stack([[hot(32, 32, y, x) for y, x in queries]] * 2)
    picture = attention_figure(images, maps, queries, scale=8)
    pixels = np.asarray(picture).astype(int)
    for row in range(2):
        for number, (y, x) in enumerate(queries):
            centre = (y * 8 + 4, x * 8 + 4)
            assert near(panel(picture, 32, 32, row, 0, 8)[centre], QUERY_COLOURS[number])
            own = panel(picture, 32, 32, row, number + 1, 8)  # a ring there: what the place takes of itself is seen
            assert not near(own[centre], QUERY_COLOURS[number])
            assert all(near(own[centre[0] + dy, centre[1] + dx], QUERY_COLOURS[number]) for dy, dx in ((8, 0), (0, -8)))
            blobs, _ = ndimage.label(near(panel(picture, 32, 32, row, 0, 8), QUERY_COLOURS[number]))
            inside = np.argwhere(blobs == blobs[centre])
            assert inside.mean(0) + 0.5 == pytest.approx((y * 8 + 4, x * 8 + 4), abs=0.5)
            edge_x = MARGIN + (number + 1) * (256 + 2 * FRAME + GAP)
            edge_y = MARGIN + row * (256 + 2 * FRAME + GAP)
            frame = pixels[edge_y : edge_y + 264, edge_x : edge_x + 264].copy()
            frame[FRAME:-FRAME, FRAME:-FRAME] = QUERY_COLOURS[number]
            assert (frame == QUERY_COLOURS[number]).all()
    assert len(set(QUERY_COLOURS)) == len(QUERY_COLOURS)


def test_images_may_have_queries_of_their_own():
    images = np.full((2, 32, 32, 3), 128, np.uint8)
    queries = np.array([[[5, 5]], [[20, 26]]])
    maps = np.stack([[hot(32, 32, *points[0])] for points in queries])
    picture = attention_figure(images, maps, queries, scale=4)
    for row, (y, x) in enumerate(queries[:, 0]):
        assert near(panel(picture, 32, 32, row, 0, 4)[y * 4 + 2, x * 4 + 2], QUERY_COLOURS[0])
        other_y, other_x = queries[1 - row, 0] * 4 + 2
        assert not near(panel(picture, 32, 32, row, 0, 4)[other_y, other_x], QUERY_COLOURS[0])


def test_the_arrow_runs_from_the_dot_to_the_target_and_can_be_switched_off():
    images = np.full((1, 32, 32, 3), 128, np.uint8)
    maps = hot(16, 16, 2, 13)[None, None]
    query = np.array([[24, 6]])
    with_arrow, without = (
        near(panel(attention_figure(images, maps, query, arrows=on, scale=8), 32, 32, 0, 0, 8), QUERY_COLOURS[0])
        for on in (True, False)
    )
    arrow = np.argwhere(with_arrow & ~without) + 0.5
    start, end = np.array([24.5, 6.5]) * 8, np.array([2.5, 13.5]) * 16
    assert np.linalg.norm(arrow - end, axis=1).min() < 4, "the tip reaches the target"
    along = (end - start) / np.linalg.norm(end - start)
    offset = arrow - start
    assert np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]).max() < 14, "all of it lies on the line"
    assert (offset @ along).max() <= np.linalg.norm(end - start) + 1, "it does not overshoot"
    for share in np.linspace(0.1, 0.9, 9):
        y, x = (start + share * (end - start)).astype(int)
        assert with_arrow[y, x]


def test_a_query_that_attends_to_itself_gets_no_arrow():
    images = np.full((1, 32, 32, 3), 128, np.uint8)
    maps = hot(32, 32, 16, 16)[None, None]
    on, off = (np.asarray(attention_figure(images, maps, CENTRE, arrows=arrows)) for arrows in (True, False))
    assert np.array_equal(on, off)


def test_pixels_away_from_the_marks_are_the_images():
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    picture = attention_figure(images, hot(8, 8, 0, 0)[None, None], np.array([[0, 0]]), scale=6)
    shown = panel(picture, 32, 32, 0, 0, 6)
    assert np.array_equal(shown[60:], np.kron(images[0], np.ones((6, 6, 1), np.uint8))[60:])


def test_without_a_scale_the_panels_are_large_enough_to_see():
    picture = attention_figure(
        np.zeros((30, 8, 8, 3), np.uint8), np.full((30, 1, 4, 4), 1 / 16), np.array([[4, 4]]), row_labels=["x"] * 30
    )
    assert picture.height >= 30 * 96


IMAGES = np.zeros((2, 32, 32, 3), np.uint8)
MAPS = np.full((2, 1, 8, 8), 1 / 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES.astype(float), MAPS, CENTRE), "uint8"),
        ((IMAGES, MAPS[:1], CENTRE), "N = 2 images"),
        ((IMAGES, MAPS[0], CENTRE), r"shape \(N, Q, h, w\)"),
        ((IMAGES, MAPS * 2, CENTRE), "sums to 1 over its cells, found 2"),
        ((IMAGES, -MAPS, CENTRE), "at least 0"),
        ((IMAGES, MAPS.astype(int), CENTRE), "floating point"),
        ((IMAGES[:, :4], MAPS, np.array([[0, 0]])), "finer than their images"),
        ((IMAGES, MAPS, np.array([[32, 0]])), r"query \(32, 0\) lies outside the image: y runs from 0 to 31"),
        ((IMAGES, MAPS, np.array([[0, -1]])), "outside"),
        ((IMAGES, MAPS, np.array([[[0, 0]], [[5, 99]]])), r"\(5, 99\)"),
        ((IMAGES, MAPS, np.array([[0.5, 0.5]])), "whole pixels"),
        ((IMAGES, MAPS, np.array([0, 0])), "shape"),
        ((IMAGES, MAPS, np.zeros((3, 1, 2), int)), "N = 2 images"),
        ((IMAGES, MAPS, np.zeros((8, 2), int)), "1 to 7 queries, found 8"),
        ((IMAGES, MAPS, np.zeros((0, 2), int)), "1 to 7 queries, found 0"),
    ],
)
def test_the_figure_refuses_what_does_not_fit_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_figure(*arguments)


def test_the_figure_refuses_unknown_styles_and_labels_that_do_not_match():
    with pytest.raises(ValueError, match="found 'blue'"):
        attention_figure(IMAGES, MAPS, CENTRE, style="blue")
    with pytest.raises(ValueError, match="one label per image, 2 in all, found 1"):
        attention_figure(IMAGES, MAPS, CENTRE, row_labels=["a"])


def test_maps_in_half_precision_are_taken():
    maps = np.random.default_rng(0).random((2, 1, 8, 8))
    maps /= maps.sum((2, 3), keepdims=True)
    attention_figure(IMAGES, maps.astype(np.float16), CENTRE)


def test_a_style_says_what_its_fields_say_by_themselves():
    by_style = attention_figure(IMAGES, MAPS, CENTRE, style=AttentionStyle(ground="grey", arrows=False, scale=3))
    by_fields = attention_figure(IMAGES, MAPS, CENTRE, style="grey", arrows=False, scale=3)
    assert (np.asarray(by_style) == np.asarray(by_fields)).all()
    with pytest.raises(TypeError, match="arrow"):
        attention_figure(IMAGES, MAPS, CENTRE, arrow=False)
