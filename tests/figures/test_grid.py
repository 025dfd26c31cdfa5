import numpy as np
import pytest
from PIL import Image, ImageDraw

from sagan.figures import sample_grid, strip, timeline
from sagan.figures.canvas import LABEL_SIZE, MARGIN, font

SPIDER = "black and gold garden spider, Argiope aurantia"


def noise(*shape):
    # Never white, so that the paper differs from every image.
    return np.random.default_rng(0).integers(0, 250, (*shape, 3), dtype=np.uint8)


def find(page, image, scale):
    """Locate an enlarged image by brute force: the list of (y, x) where it stands bit for bit."""
    target = np.kron(image, np.ones((scale, scale, 1), np.uint8))
    height, width, _ = target.shape
    corners = np.argwhere((page[: -height + 1, : -width + 1] == target[0, 0]).all(-1))
    return [(y, x) for y, x in corners.tolist() if np.array_equal(page[y : y + height, x : x + width], target)]


def places(page, images, scale):
    found = [find(page, image, scale) for image in images]
    assert [len(hits) for hits in found] == [1] * len(images), "each image stands exactly once"
    return np.array([hits[0] for hits in found])


def test_each_image_stands_bit_for_bit_in_its_cell():
    images = noise(7, 6, 5)
    page = np.asarray(sample_grid(images, columns=3, scale=4))
    gap = 4
    expected = [(MARGIN + r * (24 + gap), MARGIN + c * (20 + gap)) for r in range(3) for c in range(3)][:7]
    assert np.array_equal(places(page, images, 4), expected)
    assert page.shape == (2 * MARGIN + 3 * 24 + 2 * gap, 2 * MARGIN + 3 * 20 + 2 * gap, 3)
    rest = page.copy()
    for y, x in expected:
        rest[y : y + 24, x : x + 20] = 255
    assert (rest == 255).all(), "all else is white"


def test_labels_title_and_caption_change_pixels_only_around_the_images():
    images = noise(6, 8, 8)
    texts = {"row_labels": ["cat", SPIDER, "γ"], "title": "A title", "caption": "A caption"}
    plain = np.asarray(sample_grid(images, columns=2, scale=8))
    page = np.asarray(sample_grid(images, columns=2, scale=8, **texts))
    bare_places, moved = places(plain, images, 8), places(page, images, 8)
    assert np.array_equal(moved - moved[0], bare_places - bare_places[0])
    (top, left), (bottom, right) = moved[0], moved[-1] + 64
    assert np.array_equal(page[top:bottom, left:right], plain[MARGIN:-MARGIN, MARGIN:-MARGIN])
    for row in range(3):
        assert (page[moved[2 * row][0] : moved[2 * row][0] + 64, :left] < 128).any(), "the label stands beside its row"
    assert (page[:top] < 128).any() and (page[bottom:] < 200).any()


def test_a_long_label_leaves_a_white_gutter_on_both_sides():
    page = np.asarray(sample_grid(noise(4, 8, 8), columns=2, scale=8, row_labels=[SPIDER * 3, "w" * 90]))
    left = page.shape[1] - MARGIN - 2 * 64 - 4
    assert (page[:, : MARGIN - 2] == 255).all()
    assert (page[:, left - 8 : left] == 255).all()


@pytest.mark.parametrize("label", ["HHHH", SPIDER.split(",")[0]])
def test_a_label_is_drawn_in_full(label):
    page = np.asarray(sample_grid(noise(1, 8, 8), columns=1, scale=4, row_labels=[label]))
    alone = Image.new("L", (400, 40), 255)
    ImageDraw.Draw(alone).text((5, 5), label, font=font(LABEL_SIZE), fill=0)
    wanted = np.flatnonzero((np.asarray(alone) < 160).any(0))
    inked = np.flatnonzero((page[:, : page.shape[1] - MARGIN - 32] < 160).any((0, 2)))
    assert inked.max() - inked.min() == pytest.approx(wanted.max() - wanted.min(), abs=1)


def test_labels_of_tiny_rows_do_not_overlap():
    images = noise(5, 2, 9)
    page = np.asarray(sample_grid(images, columns=1, scale=1, row_labels=["Ag"] * 5))
    left = page.shape[1] - MARGIN - 9
    inked = (page[:, :left] < 128).any((1, 2))
    assert np.count_nonzero(np.diff(inked.astype(int)) == 1) == 5
    assert len(set(np.diff(places(page, images, 1)[:, 0]))) == 1


def test_one_image_fills_a_readable_picture():
    picture = sample_grid(noise(1, 32, 32), columns=10)
    assert picture.size == (960 + 2 * MARGIN, 960 + 2 * MARGIN)


@pytest.mark.parametrize("axis", [4, 5])
def test_a_strip_runs_from_left_to_right(axis):
    images = noise(2, 5, 6, 6)
    page = np.asarray(strip(images if axis == 5 else images[1], scale=3))
    rows = images if axis == 5 else images[1:]
    at = places(page, rows.reshape(-1, 6, 6, 3), 3).reshape(len(rows), 5, 2)
    assert (np.diff(at[:, :, 1], axis=1) == 18 + 2).all() and (np.diff(at[:, :, 0], axis=1) == 0).all()


def test_column_labels_stand_above_their_columns_only():
    images = noise(4, 8, 8)
    page = np.asarray(strip(images, labels=["cat", "", "", SPIDER], scale=12))
    at = places(page, images, 12)
    inked = [(page[: at[0][0], x : x + 96] < 128).any() for _, x in at]
    assert inked == [True, False, False, True]


def test_narrow_columns_move_apart_until_their_labels_are_apart():
    images = noise(6, 1, 4, 4)
    page = np.asarray(timeline(images, [0, 10_000, 200_000, 300_000, 400_000, 500_000], scale=1))
    at = places(page, images[:, 0], 1)
    inked = (page[: at[0][0]] < 160).any((0, 2))
    runs, white = [], 99
    for x in np.flatnonzero(inked):
        white = x - runs[-1][1] if runs else 99
        if white > 6:
            runs.append([x, x])
        else:
            runs[-1][1] = x
    assert len(runs) == 6
    centres = np.mean(runs, axis=1)
    assert np.abs(centres - (at[:, 1] + 2)).max() <= 2


def test_a_timeline_has_a_column_per_step_and_a_row_per_sample():
    images = noise(3, 2, 5, 4)
    page = np.asarray(timeline(images, [0, 500, 1000], row_labels=["a", "b"], scale=20))
    at = places(page, images.reshape(-1, 5, 4, 3), 20).reshape(3, 2, 2)
    assert (np.diff(at[:, :, 1], axis=0) == 82).all() and (np.diff(at[:, :, 1], axis=1) == 0).all()
    assert (np.diff(at[:, :, 0], axis=1) == 102).all() and (np.diff(at[:, :, 0], axis=0) == 0).all()


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (noise(2, 4, 4).astype(np.float32), {"columns": 2}, "uint8"),
        (noise(2, 4, 4)[..., :1], {"columns": 2}, "shape"),
        (noise(2, 4, 4).transpose(0, 3, 1, 2), {"columns": 2}, "channels last"),
        (noise(4, 4), {"columns": 2}, "shape"),
        (noise(0, 4, 4), {"columns": 2}, "no image"),
        (noise(2, 4, 4), {"columns": 0}, "columns"),
        (noise(2, 4, 4), {"columns": 2, "scale": 0}, "scale"),
        (noise(4, 4, 4), {"columns": 2, "row_labels": ["a"]}, "2 in all, found 1"),
        (noise(4, 4, 4), {"columns": 2, "row_labels": "ab"}, "single string 'ab'"),
    ],
)
def test_the_grid_refuses_what_it_cannot_draw(images, options, message):
    with pytest.raises(ValueError, match=message):
        sample_grid(images, **options)


def test_strips_and_timelines_refuse_labels_that_do_not_match():
    with pytest.raises(ValueError, match="3 in all, found 2"):
        strip(noise(3, 4, 4), labels=["a", "b"])
    with pytest.raises(ValueError, match="steps needs one number per column, 3 in all, found 1"):
        timeline(noise(3, 2, 4, 4), [1])
    with pytest.raises(ValueError, match=r"\(S, R, H, W, 3\)"):
        timeline(noise(3, 4, 4), [1, 2, 3])
