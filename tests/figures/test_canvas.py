import numpy as np
import pytest
from PIL import Image

from sagan.figures.canvas import LABEL_SIZE, MARGIN, add_text, choose_scale, enlarge, font, wrap

LONG = "black and gold garden spider, Argiope aurantia, of the family Araneidae"


@pytest.mark.parametrize("text", [LONG, LONG.replace(" ", "_"), "x" * 70, "héllo wörld γ→ß " * 6])
@pytest.mark.parametrize("width", [40, 120, 300])
def test_wrapped_lines_fit_and_lose_nothing(text, width):
    lines = wrap(text, LABEL_SIZE, width)
    assert max(font(LABEL_SIZE).getlength(line) for line in lines) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("max_lines", [1, 2, 3])
def test_text_that_does_not_fit_ends_in_an_ellipsis(max_lines):
    lines = wrap(LONG, LABEL_SIZE, 100, max_lines)
    assert len(lines) == max_lines
    assert lines[-1].endswith("…")
    assert font(LABEL_SIZE).getlength(lines[-1]) <= 100
    start = "".join(lines)[:-1].replace(" ", "")
    assert LONG.replace(" ", "").startswith(start) and len(start) >= 4 * max_lines


def test_text_that_fits_is_one_line_and_unchanged():
    assert wrap("tiger cat", LABEL_SIZE, 300, 1) == ["tiger cat"]


def test_line_breaks_are_kept_in_a_caption_and_flattened_in_a_label():
    assert wrap("a\nb", LABEL_SIZE, 300) == ["a", "b"]
    assert wrap("a\nb", LABEL_SIZE, 300, 3) == ["a b"]


def test_a_width_below_one_character_ends():
    assert wrap("abc", LABEL_SIZE, 1) == ["a", "b", "c"]


def test_the_lettering_has_the_characters_of_captions():
    lettering = font(20)
    missing = bytes(lettering.getmask("\U0010fffe"))
    for character in "γβ×→…−·éłßЖ":
        assert bytes(lettering.getmask(character)) != missing, character


def test_enlarging_equals_kron():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    assert np.array_equal(enlarge(pixels, 3), np.kron(pixels, np.ones((1, 3, 3, 1), np.uint8)))


@pytest.mark.parametrize("width", [*range(8, 641, 8)])
def test_the_chosen_scale_gives_640_to_1280_px(width):
    assert 640 <= width * choose_scale(8, width) <= 1280


def test_the_chosen_scale_bounds_the_height_and_never_shrinks():
    assert 128 * 10 * choose_scale(128 * 10, 128) <= 1600
    assert choose_scale(5000, 5000) == 1
    assert choose_scale(8, 8, 3) == 3
    with pytest.raises(ValueError, match="scale"):
        choose_scale(8, 8, 0)


def test_a_title_over_a_tiny_image_gets_lines_of_a_readable_length():
    body = Image.new("RGB", (8, 8))
    assert add_text(body, title=None, caption=None).width == 8 + 2 * MARGIN
    assert add_text(body, title="A title", caption=None).width >= 360


def test_text_keeps_out_of_the_body_and_the_margins():
    body = Image.new("RGB", (500, 60), (10, 200, 30))
    page = np.asarray(add_text(body, title="A title " * 20, caption="A caption " * 40))
    rows, columns = np.nonzero((page == (10, 200, 30)).all(-1))
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (60, 500)
    assert len(rows) == 60 * 500
    dark = (page != 255).any(-1)
    assert not dark[: MARGIN // 2].any() and not dark[-MARGIN // 2 :].any()
    assert not dark[:, : MARGIN - 2].any() and not dark[:, -(MARGIN - 2) :].any()
    assert dark[: rows.min()].any() and dark[rows.max() + 1 :].any()


def test_a_number_is_kept_together():
    for width in range(90, 200):
        assert not any(
            line.endswith("1,") for line in wrap("SN on G/D + TTUR, step 1,200, FD 388.3", LABEL_SIZE, width)
        )
    assert wrap("a,b", LABEL_SIZE, 14) == ["a,", "b"]
