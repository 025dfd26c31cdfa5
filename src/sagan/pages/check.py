"""The page of `sagan data check`: what is in a set of pictures, what to look at, and how to train on it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from sagan.pages.render import Album, as_data, render, shortened
from sagan.pages.sizes import size_chart
from sagan.sizes import size_of

Record = Mapping[str, Any]
Figure = dict[str, Any]

MOST_BYTES = 3_600_000
"""Of all pictures together, as text."""
CLASS_ROWS, EXAMPLES, EXAMPLE_ROWS = 120, 8, 40
ODD, GROUPS, IN_GROUP, CROPS, NAMES = 12, 10, 4, 8, 60

ODD_TITLES = {
    "plain": ("One colour", "Nothing can be learnt from these."),
    "dark": ("Nearly black", "Under-exposed, or read with the wrong range."),
    "bright": ("Nearly white", "Over-exposed, or a drawing whose ground is transparent."),
    "harsh": ("Hardly any middle tones", "Over-exposed, or drawings."),
    "tiny": ("Tiny", "Less than half the training size: enlarged, they are a blur."),
    "long": ("Long and narrow", "A square crop loses most of them."),
    "blurred": ("Blurred or enlarged before", "Edges are wider than 4 pixels of the training size."),
    "alone": ("Unlike the rest of their class", "Perhaps in the wrong folder; perhaps just rare."),
}
ABOUT = {
    "size": "Size and preset",
    "pictures": "Number of pictures",
    "augmentation": "Augmentation",
    "balance": "Balance of classes",
    "flip": "Mirroring",
}


def check_page(
    record: Record,
    pictures: Callable[[Iterable[int]], Mapping[int, Image.Image]],
    fit_sheet: Image.Image | None = None,
) -> str:
    """Make the page.

    Args:
        record: What :meth:`sagan.data.CheckReport.record` gives.
        pictures: Gives the pictures that are shown, by their indices; :meth:`sagan.data.CheckReport.pictures` does.
        fit_sheet: What each way to bring pictures to the size loses, if that was drawn.
    """
    album = Album(pictures(_wanted(record)), MOST_BYTES)
    # What is to be looked at comes first: where there is no room for all pictures, examples are left out.
    found = {
        "odd": _odd(record, album),
        "two_classes": [_figures(group[:IN_GROUP], album) for group in record["in_two_classes"][:GROUPS]],
        "equal": [_figures(group[:IN_GROUP], album) for group in record["equal"][:GROUPS]],
        "near": [
            {"mirrored": group["mirrored"], "figures": _figures(group["pictures"][:IN_GROUP], album)}
            for group in record["near"][:GROUPS]
        ],
        "held_out": _figures(_held_out(record)[:ODD], album),
        "crops": [_crop(one, album, size_of(record["size_asked_px"] or 1)) for one in record["crop"]["most"][:CROPS]],
    }
    classes = _classes(record)
    for row in classes:
        row["figures"] = _figures(row["examples"], album)
    copies = sum(len(group) - 1 for group in record["equal"]), sum(len(g["pictures"]) - 1 for g in record["near"])
    return render(
        "check.html",
        f"{_name(record)}: check of pictures",
        name=_name(record),
        record=record,
        classes=classes,
        most=max((row["pictures"] for row in record["classes"]), default=0) or 1,
        has_classes=[row["name"] for row in record["classes"]] != [""],
        chart=size_chart(record["sizes"], record["size_px"]) if len(record["sizes"]) > 1 else None,
        copies=copies,
        lost_files=sum(row["files"] for row in record["left_out"]),
        unreadable=[(shortened(one["name"]), shortened(one["reason"])) for one in record["unreadable"][:NAMES]],
        ignored=[shortened(name) for name in record["ignored"][:NAMES]],
        about=ABOUT,
        fit_sheet=None if fit_sheet is None else as_data(fit_sheet),
        **found,
    )


def _wanted(record: Record) -> set[int]:
    """Give the indices of all pictures that the page shows."""
    groups: list[Sequence[Record]] = [
        *(some[:ODD] for some in record["odd"].values()),
        *(group[:IN_GROUP] for key in ("in_two_classes", "equal") for group in record[key][:GROUPS]),
        *(group["pictures"][:IN_GROUP] for group in record["near"][:GROUPS]),
        _held_out(record)[:ODD],
        record["crop"]["most"][:CROPS],
        *(row["examples"] for row in _classes(record)),
    ]
    return {one["index"] for group in groups for one in group}


def _name(record: Record) -> str:
    return shortened(str(record["source"]).rstrip("/").rpartition("/")[2] or str(record["source"]), 80)


def _held_out(record: Record) -> list[Record]:
    return list(record["held_out"]["with_copies"]) if record["held_out"] else []


def _figures(pictures: Iterable[Record], album: Album) -> list[Figure]:
    return [_figure(one, album) for one in pictures]


def _figure(one: Record, album: Album) -> Figure:
    index = one["index"]
    names = {"name": shortened(one["name"], 90), "class": shortened(one["class"], 60)}
    return {"src": album.take(index), "exact": album.is_small(index), **names}


def _odd(record: Record, album: Album) -> list[dict[str, Any]]:
    return [
        {
            "title": ODD_TITLES.get(kind, (kind, ""))[0],
            "meaning": ODD_TITLES.get(kind, (kind, ""))[1],
            "count": len(some),
            "figures": _figures(some[:ODD], album),
        }
        for kind, some in record["odd"].items()
    ]


def _crop(one: Record, album: Album, size: tuple[int, int]) -> Figure:
    """Give a picture with its size and the middle that has the shape of ``size``, in pixels of what is shown."""
    figure = _figure(one, album)
    if one["index"] in album.pictures:
        width, height = album.pictures[one["index"]].size
        across, down = min(width, height * size[1] / size[0]), min(height, width * size[0] / size[1])
        figure |= {"width": width, "height": height, "across": round(across), "down": round(down)}
        figure |= {"left": round((width - across) / 2), "top": round((height - down) / 2)}
        figure["lost"] = 1 - across * down / (width * height)
    return figure


def _classes(record: Record) -> list[dict[str, Any]]:
    """Give the rows of classes: all, or of very many the largest and the smallest; the first ones with examples."""
    rows = sorted(record["classes"], key=lambda row: (-row["pictures"], row["name"]))
    half = CLASS_ROWS // 2
    kept = rows if len(rows) <= CLASS_ROWS else [*rows[:half], *rows[-half:]]
    shown = [dict(row) | {"name": shortened(row["name"], 80), "gap": 0} for row in kept]
    if len(rows) > len(kept):
        shown[half]["gap"] = len(rows) - len(kept)
    for place, row in enumerate(shown):
        row["examples"] = row["examples"][:EXAMPLES] if place < EXAMPLE_ROWS else []
    return shown
