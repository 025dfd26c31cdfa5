"""What measures are called: the names that are stored, and those that people type."""

import difflib
from collections.abc import Sequence
from typing import Literal, get_args

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


def metrics_of(names: Sequence[str], known: Sequence[Metric] = METRICS) -> tuple[Metric, ...]:
    """Read names as they are typed, e.g. ``FID`` or ``class_accuracy``: each metric once, in the order of the names.

    Raises:
        ValueError: If a name is none of a known metric, or there are none.
    """
    meant = {metric: metric for metric in known} | {typed: metric for typed, metric in TYPED.items() if metric in known}
    plain = [name.lower().replace("_", "-") for name in names]
    unknown = [name for name in plain if name not in meant]
    if unknown or not names:
        near = difflib.get_close_matches(unknown[0], meant, 1) if unknown else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"metrics takes some of {', '.join(known)}, found {', '.join(unknown) or 'none'}{hint}")
    return tuple(dict.fromkeys(meant[name] for name in plain))
