"""What measures are called: the names that are stored, and those that people type."""

from collections.abc import Sequence
from typing import Literal, get_args

from sagan.words import did_you_mean

Metric = Literal["fd", "is", "kd", "prdc", "accuracy", "intra"]
METRICS: tuple[Metric, ...] = get_args(Metric)

TYPED: dict[str, Metric] = {
    "fid": "fd",
    "frechet-distance": "fd",
    "inception-score": "is",
    "kid": "kd",
    "kernel-distance": "kd",
    "precision": "prdc",
    "recall": "prdc",
    "density": "prdc",
    "coverage": "prdc",
    "class-accuracy": "accuracy",
    "intra-fd": "intra",
    "intra-fid": "intra",
}
"""What people type, and what is meant; with ``precision`` come recall, density and coverage."""


NAMED_BY_INCEPTION = ("fid", "kid", "inception-score", "intra-fid")
"""Those of them that are right with the Inception network of 2015 alone."""


def plain(name: str) -> str:
    """Write a name as it stands in TYPED."""
    return name.lower().replace("_", "-")


def metrics_of(names: Sequence[str], known: Sequence[Metric] = METRICS) -> tuple[Metric, ...]:
    """Read names as they are typed, e.g. ``FID`` or ``class_accuracy``: each metric once, in the order of the names.

    Raises:
        ValueError: If a name is none of a known metric, or there are none.
    """
    meant = {metric: metric for metric in known} | {typed: metric for typed, metric in TYPED.items() if metric in known}
    read = [plain(name) for name in names]
    unknown = [name for name in read if name not in meant]
    if unknown or not names:
        hint = did_you_mean(unknown[0], meant) if unknown else ""
        found = ", ".join(unknown) or "none"
        raise ValueError(f"metrics takes some of {', '.join(known)}, found {found}{f'; {hint}' if hint else ''}")
    return tuple(dict.fromkeys(meant[name] for name in read))
