"""Whether two runs are the same up to rounding."""

import math
from collections.abc import Iterator, Sequence

from replay import Measured

# What the first update may differ by; the second, and what follows from it, by ten times that.
RELATIVE = 1e-9
# A bias in front of a batch normalisation has no gradient but rounding, which Adam then divides by its eps.
NO_GRADIENT = 1e-9
UPDATES = 2


def disagreements(expected: Measured, found: Measured, relative: float = RELATIVE, updates: int = UPDATES) -> set[str]:
    """Name what differs after some updates: `<what> <network or player> <update>`, such as `gradient D 1`."""
    assert shapes(expected) == shapes(found), "tensors have other shapes or names"
    return {
        *_forward(expected, found, relative, updates),
        *(name for update in range(updates) for name in _tensors(expected, found, relative * 10**update, update)),
        *(_evaluation(expected, found, 10 * relative) if updates == UPDATES else ()),
    }


def shapes(run: Measured) -> dict[str, list[int]]:
    """Give the shape of each tensor."""
    return {name: row["shape"] for name, row in run.tensors.items()}


def _forward(expected: Measured, found: Measured, relative: float, updates: int) -> Iterator[str]:
    for name, values in expected.forward.items():
        same, update = pairs_close if name.startswith("images") else close, int(name[-1])
        if update <= updates and not same(values, found.forward[name], relative * 10 ** (update - 1)):
            yield name


def _evaluation(expected: Measured, found: Measured, relative: float) -> Iterator[str]:
    for name, values in expected.evaluation.items():
        same = pairs_close if name == "images" else close
        if not same(values, found.evaluation[name], relative):
            yield f"evaluation {name}"


def _tensors(expected: Measured, found: Measured, relative: float, update: int) -> Iterator[str]:
    for network in "GD":
        rows = {name: row for name, row in expected.tensors.items() if name.startswith(network)}
        largest = {
            what: max(row[what][update][1] for row in rows.values() if what in row) for what in ("gradient", "change")
        }
        for name, row in rows.items():
            still = "gradient" in row and row["gradient"][update][1] < NO_GRADIENT * largest["gradient"]
            moved = largest["change"] * (1e-5 if still else 1e-9)
            floors = {"gradient": NO_GRADIENT * largest["gradient"], "change": moved, "average": moved, "value": 0.0}
            for what in floors.keys() & row.keys():
                if not pairs_close(row[what][update], found.tensors[name][what][update], relative, floors[what]):
                    yield f"{what} {network} {update + 1}"


def starts_apart(expected: Measured, found: Measured) -> set[str]:
    """Name the parameters whose start cannot be the same: at 0 or not, or of another size than chance allows."""
    apart = set()
    for name, row in expected.tensors.items():
        if "rms_at_start" in row:
            theirs, ours = row["rms_at_start"], found.tensors[name]["rms_at_start"]
            allowed = 2.5 * max(theirs, ours) / math.prod(row["shape"]) ** 0.5
            if (theirs == 0.0) != (ours == 0.0) or abs(theirs - ours) > allowed + 1e-3 * theirs:
                apart.add(name)
    return apart


def eps_apart(expected: Measured, found: Measured) -> dict[str, tuple[float, float]]:
    """Give the layers whose spectral normalisation has another eps, with theirs and ours."""
    both = {name: (row["eps"], found.tensors[name]["eps"]) for name, row in expected.tensors.items() if "eps" in row}
    return {name: (theirs, ours) for name, (theirs, ours) in both.items() if theirs != ours}


def close(theirs: Sequence[float], ours: Sequence[float], relative: float) -> bool:
    """Compare numbers by the largest of them."""
    size = max(abs(value) for value in theirs)
    return all(abs(a - b) <= relative * size for a, b in zip(theirs, ours, strict=True))


def pairs_close(theirs: Sequence[float], ours: Sequence[float], relative: float, floor: float = 0.0) -> bool:
    """Compare two pairs of `measured` by the tensor's length, which is stored with seven digits."""
    (product, length), (our_product, our_length) = theirs, ours
    near = abs(product - our_product) <= relative * length + floor
    return near and abs(length - our_length) <= max(relative, 1e-6) * length + floor
