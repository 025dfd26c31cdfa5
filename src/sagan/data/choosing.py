"""How the pictures of a set are decoded: what the user chose, and what some of the pictures say where it is open.

The pictures that are looked at are drawn by the names of all, with a fixed seed, so the same files are read alike
whenever they are opened. Only headers are read, unless one shows transparent parts or more than 8 bits a value.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import UnidentifiedImageError

from sagan.data.colours import BLACK, GREY, RGB, WHITE, colour_of, written
from sagan.data.config import DataError, Decoding, given_range
from sagan.data.decode import Pixels, Plan, deep_of
from sagan.data.deep import FULL_16, Bounds, Deep, Values, bounds_of, deep_kind, in_planes, to_8_bits
from sagan.data.formats import TRUNCATED, open_picture, pillow_allows
from sagan.data.pictures import PixelStore
from sagan.data.pixel_traits import NEARLY_ALL
from sagan.data.tiffs import is_tiff, read_tiff
from sagan.randomness import keyed_generator

HEADERS = 256
"""At most so many pictures of each suffix are opened."""
LOOKED_AT = 64
"""At most so many of those with transparent parts, and of each kind of deep ones, are decoded."""
MOST_BYTES = 2**29
"""No more are opened after so many bytes."""
HARDLY = frozenset([".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".pbm"])
"""Formats without transparent parts and deep values; a file may be of another one than its name says, so they are
looked at last, and no more of them after MOST_BYTES_HARDLY."""
MOST_BYTES_HARDLY = 2**26
SIDE_PX = 128
"""Transparent parts are looked at on a grid of about so many pixels a side."""
VISIBLE = 32
"""Levels by which content must differ from the background."""
VANISHED, MANY_VANISHED, MANY_DARK = 0.1, 0.02, 0.2
"""Share of its content below which a picture is blank; share of the pictures that may be; that may be black."""
DIM = 24
"""A picture of which nearly all of the grey levels would be at most this one is nearly black to the eye."""
BY_LOOKING = ("auto", "set", "percentile")
DEPTHS = (1, 255, 1023, 4095, 16383, 65535)
PERCENTILES = (0.5, 99.5)
VALUES_OF_EACH = 4096


class _Deep(NamedTuple):
    """What a deep picture holds."""

    name: str
    bounds: Bounds
    some: Values
    """Up to VALUES_OF_EACH of its values."""
    whole: bool
    """Whether all values are whole numbers."""


class _Seen(NamedTuple):
    """What was seen of a sample."""

    blank: dict[RGB, list[bool]]
    """For each background: whether the pictures with transparent parts would be blank on it."""
    deep: dict[str, list[_Deep]]
    """By the kinds that deep pictures have."""
    clear: list[Deep]
    """Deep pictures with transparent parts, every so many pixels: what they show depends on the range."""


def choose(
    where: str, names: Sequence[str], read: Callable[[int], bytes], config: Decoding
) -> tuple[Plan, dict[str, Any]]:
    """Give the plan for decoding a set, and what was chosen as a record for JSON: {} where nothing had to be.

    Args:
        where: What the set is called.
        names: The names of its files.
        read: Gives the bytes of the i-th.
        config: What the user chose.

    Raises:
        DataError: If there is no clear reading of deep values; it names the flag and what it can be.
    """
    record: dict[str, Any] = {key: value for key, value in chosen(config).items() if key != "background"}
    given = given_range(config.range)
    plan = Plan(
        background=WHITE if config.background == "auto" else colour_of(config.background),
        others=config.range if config.range in ("type", "file") else given,
        all_frames=config.frames == "all",
        keep_truncated=config.truncated == "keep",
        profiles=config.profiles == "convert",
        max_pixels=round(config.max_megapixels * 1e6),
    )
    said: list[str] = []
    if config.background == "auto" or config.range in BY_LOOKING:
        seen = _look(names, read, plan, config)
        whys: list[str] = []
        if seen.deep and config.range in BY_LOOKING:
            ranges, whys = _ranges(where, seen.deep, config.range)
            plan = replace(plan, ranges=ranges)
            record["range"] = {kind: list(bounds) for kind, bounds in ranges.items()}
        for deep in seen.clear:
            _note_transparent(_eight_bits(deep, plan), seen)
        if seen.blank[WHITE] and config.background == "auto":
            background, why = _background(seen.blank)
            plan, said = replace(plan, background=background), [why]
            record["background"] = written(background)
        said += whys
    if config.background != "auto":
        record["background"] = written(plan.background)
    return plan, record | ({"why": said} if said else {})


def choose_background(images: Sequence[Pixels] | PixelStore, config: Decoding) -> tuple[RGB, dict[str, Any]]:
    """Give what RGBA pictures of an array, uint8 (H, W, 4) each, are laid on, and that as a record, as :func:`choose`.

    The record is {} where no picture that is looked at has transparent parts.
    """
    seen = _Seen({WHITE: [], BLACK: [], GREY: []}, {}, [])
    for index in sorted(keyed_generator(0, "decoding array").permutation(len(images))[:LOOKED_AT].tolist()):
        _note_transparent(np.asarray(images[index]), seen)
    if not seen.blank[WHITE]:
        return WHITE, {}
    if config.background != "auto":
        given = colour_of(config.background)
        return given, {"background": written(given)}
    background, why = _background(seen.blank)
    return background, {"background": written(background), "why": [why]}


def chosen(config: Decoding) -> dict[str, Any]:
    """Give what the user chose of decoding, without what is as usual."""
    default = Decoding()
    fields = ("background", "range", "frames", "truncated", "profiles", "max_megapixels")
    return {name: getattr(config, name) for name in fields if getattr(config, name) != getattr(default, name)}


def in_words(decoding: dict[str, Any]) -> list[str]:
    """Say in sentences what was chosen by itself; nothing where nothing had to be."""
    return [str(sentence) for sentence in decoding.get("why", ())]


# ------------------------------------------------------------------------------------------------------------- looking


def _look(names: Sequence[str], read: Callable[[int], bytes], plan: Plan, config: Decoding) -> _Seen:
    """Look at some pictures of the set; those that cannot be read are told of when they are decoded."""
    seen = _Seen({WHITE: [], BLACK: [], GREY: []}, defaultdict(list), [])
    left = MOST_BYTES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is said when the picture is decoded
        for index in _sample(names):
            if _suffix(names[index]) in HARDLY:
                left = min(left, MOST_BYTES_HARDLY)
            try:
                data = read(index)
                with TRUNCATED.refused(), pillow_allows(plan.max_pixels):
                    _look_at(data, names[index], plan, seen, config.range == "auto")
            except Exception:  # So is whatever is wrong with it.
                continue
            left -= len(data)
            if left <= 0:
                break
    return seen._replace(deep={kind: found for kind, found in seen.deep.items() if found})


def _sample(names: Sequence[str]) -> list[int]:
    """Draw pictures of each suffix, last of those that hardly have transparent parts or deep values."""
    groups = defaultdict(list)
    for index, name in enumerate(names):
        suffix = _suffix(name)
        groups[suffix if len(suffix) <= 5 else ""].append(index)
    found: list[int] = []
    for suffix in sorted(groups, key=lambda suffix: (suffix in HARDLY, suffix)):
        group = groups[suffix]
        found += sorted(keyed_generator(0, f"decoding {suffix}").permutation(group)[:HEADERS].tolist())
    return found


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _look_at(data: bytes, name: str, plan: Plan, seen: _Seen, auto: bool) -> None:
    try:
        opened = open_picture(data)
    except UnidentifiedImageError:
        if is_tiff(data):
            _note_deep(read_tiff(data, 0, plan.max_pixels), name, seen)
        return
    with opened as image:
        kind = deep_kind(image)
        if image.width * image.height > plan.max_pixels or (auto and kind == "12-bit"):
            return
        if kind is not None or in_planes(image):
            if len(seen.deep[kind or "16-bit"]) < LOOKED_AT and (deep := deep_of(image, data, None, plan)) is not None:
                _note_deep(deep, name, seen)
        elif image.has_transparency_data and len(seen.blank[WHITE]) < LOOKED_AT:
            _note_transparent(np.asarray(image.convert("RGBA")), seen)


def _note_deep(deep: Deep, name: str, seen: _Seen) -> None:
    bounds = bounds_of(deep.values)
    if bounds is not None:
        seen.deep[deep.kind].append(_Deep(name, bounds, *_some(deep.values)))
    if deep.alpha is not None:
        step = max(1, min(deep.alpha.shape) // SIDE_PX)
        seen.clear.append(
            deep._replace(values=deep.values[::step, ::step].copy(), alpha=deep.alpha[::step, ::step].copy())
        )


def _eight_bits(deep: Deep, plan: Plan) -> Pixels:
    """Give a deep picture with transparent parts as RGBA, as it will be decoded."""
    assert deep.alpha is not None
    bounds = plan.ranges.get(deep.kind, plan.others)
    if bounds == "file":
        bounds = bounds_of(deep.values)
    colours = to_8_bits(deep, bounds if isinstance(bounds, tuple) else deep.full)
    colours = colours if colours.ndim == 3 else np.repeat(colours[..., None], 3, axis=2)
    return np.concatenate([colours, deep.alpha[..., None]], axis=2)


def _note_transparent(rgba: Pixels, seen: _Seen) -> None:
    if (rgba[..., 3] < 255).any() and rgba[..., 3].any():
        for colour, blank in seen.blank.items():
            blank.append(_is_blank_on(colour, rgba))


def _some(values: Values) -> tuple[Values, bool]:
    flat = values.reshape(-1)
    some = flat[:: max(1, len(flat) // VALUES_OF_EACH)]
    numbers = some[np.isfinite(some)] if some.dtype.kind == "f" else some
    return numbers.astype(np.float64), bool((numbers == np.rint(numbers)).all())


def _is_blank_on(colour: RGB, rgba: Pixels) -> bool:
    """Tell whether the content of a picture with transparent parts cannot be seen on a background."""
    step = max(1, min(rgba.shape[:2]) // SIDE_PX)
    some = rgba[::step, ::step].astype(np.float32)
    weight = some[..., 3] / 255
    content = weight > 1 / 8
    if not content.any():
        return False
    differs = np.abs(some[..., :3] - np.array(colour, np.float32)).max(axis=2) * weight > VISIBLE
    return bool(differs[content].mean() < VANISHED)


# ------------------------------------------------------------------------------------------------------------ choosing


def _background(blank: dict[RGB, list[bool]]) -> tuple[RGB, str]:
    """Choose the background that keeps the content, and say why."""
    counts = {colour: sum(found) for colour, found in blank.items()}
    total = len(blank[WHITE])
    kept = [colour for colour, count in counts.items() if count <= MANY_VANISHED * total]
    best = kept[0] if kept else min(counts, key=lambda colour: counts[colour])
    worse = [f"{counts[colour]} of {total} looked at would be blank on {written(colour)}" for colour in (WHITE, BLACK)]
    why = f", as {worse[0]}" if best == BLACK else f", as {' and '.join(worse)}" if best == GREY else ""
    return best, f"transparent parts are laid on {written(best)}{why} (--data.background chooses)"


def _ranges(where: str, deep: dict[str, list[_Deep]], choice: str) -> tuple[dict[str, Bounds], list[str]]:
    """Choose the values that become black and white for each kind of deep pictures, and say why."""
    ranges, said = {}, []
    for kind, seen in deep.items():
        if choice == "percentile":
            low, high = np.percentile(np.concatenate([one.some for one in seen]), PERCENTILES).tolist()
            bounds = (low, high)
        else:
            bounds = (min(one.bounds[0] for one in seen), max(one.bounds[1] for one in seen))
        if choice == "auto":
            bounds = _clear_range(where, kind, seen, bounds)
        if bounds[0] >= bounds[1]:
            bounds = (bounds[0], bounds[0] + 1.0)
        ranges[kind] = bounds
        low, high = (f"{value:.9g}" for value in bounds)
        lowest, highest = min(one.bounds[0] for one in seen), max(one.bounds[1] for one in seen)
        if bounds == FULL_16:
            continue
        said.append(
            f"of {kind} values {low} becomes black and {high} white, as {len(seen)} pictures hold {lowest:.6g} to "
            f"{highest:.6g} (--data.range chooses; --data.range={low}:{high} is the same for other pictures)"
        )
    return ranges, said


def _clear_range(where: str, kind: str, seen: list[_Deep], bounds: Bounds) -> Bounds:
    """Find the range that values clearly have.

    Raises:
        DataError: If there is none: with each, some pictures would be nearly black and others not.
    """
    lowest, highest = bounds
    candidates: list[Bounds] = []
    whole = all(one.whole for one in seen)
    if lowest >= 0 and kind == "floating-point":
        candidates += [(0.0, float(top)) for top in (1, 255) if highest <= top]
    if -1 <= lowest < 0 and highest <= 1 and kind == "floating-point":
        candidates.append((-1.0, 1.0))
    if lowest >= 0 and whole:
        candidates += [(0.0, float(top)) for top in DEPTHS if highest <= top][:1]
    candidates.append(bounds)
    dark = {candidate: _share_of_dark(seen, candidate) for candidate in candidates}
    for candidate in candidates:
        if dark[candidate] <= MANY_DARK:
            return candidate
    low, high = (f(seen, key=lambda one: one.bounds[1]) for f in (min, max))
    by_type = "0 and 1" if kind == "floating-point" else "the ends of the type"
    raise DataError(
        f"{where} holds {kind} pictures of which it is not clear what is black and white: {low.name} reaches "
        f"{low.bounds[1]:.6g}, {high.name} {high.bounds[1]:.6g}, and read alike {dark[candidates[0]]:.0%} of those "
        "looked at would be nearly black; choose --data.range file (each picture its own), percentile (one for all, "
        f"extremes cut off), type ({by_type}) or LOW:HIGH"
    )


def _share_of_dark(seen: list[_Deep], bounds: Bounds) -> float:
    """Give the share of pictures that would be nearly black, of those that are not of one value."""
    varied = [one for one in seen if one.bounds[0] < one.bounds[1]]
    if not varied or bounds[0] >= bounds[1]:
        return 0.0
    scale = 255 / (bounds[1] - bounds[0])
    return float(np.mean([((one.some - bounds[0]) * scale <= DIM).mean() >= NEARLY_ALL for one in varied]))
