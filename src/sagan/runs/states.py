"""What a checkpoint holds of each hook, also one of before there were hooks."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

MOST_COUNTED = 2**53


def states_of(contents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the state of each hook, by name.

    Checkpoints of before had all in one place, ``reporter``, and go on exactly. Of
    one from before health was watched nothing bad is known.
    """
    if "hooks" in contents:
        return dict(contents["hooks"])
    old = contents.get("reporter", {})
    return {
        "means": {"sums": old.get("sums", {}), "count": old.get("count", 0)},
        "watch": old.get("health", {}),
        "scores": {key: old[key] for key in ("best", "monitor") if key in old},
        "rollback": {"healthy_step": old.get("healthy_step", contents["step"])},
    }


def wrong_in(contents: Mapping[str, Any]) -> str | None:
    """Say what a checkpoint holds of its pictures, or of the hooks of every run, that nobody can go on with.

    Hooks of your own check their states themselves.
    """
    if not _is_of_pictures(contents.get("data")):
        return "what it says of its pictures is nothing"
    if not isinstance(contents.get("reporter", {}), Mapping):
        return "its reporter is none"
    states = states_of(contents)
    wrong = [name for name, fine in FINE.items() if name in states and not fine(states[name])]
    return f"the state of the hook {wrong[0]!r} is none" if wrong else None


def _is_of_pictures(data: object) -> bool:
    if not isinstance(data, Mapping):
        return data is None
    return isinstance(data.get("fingerprint"), str) and _is_count(data.get("images"))


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_COUNTED


def _is_of_means(state: Mapping[str, Any]) -> bool:
    sums = state.get("sums")
    plain = isinstance(sums, Mapping) and all(map(_is_sum, sums.items()))
    return plain and _is_count(state.get("count"))


def _is_sum(item: tuple[object, object]) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, Tensor) and value.is_floating_point() and not value.ndim


def _is_of_the_watch(state: Mapping[str, Any]) -> bool:
    active, against, right = (
        state.get(key, empty) for key, empty in (("active", {}), ("against", {}), ("seen_right", ()))
    )
    return (
        isinstance(active, Mapping)
        and all(isinstance(name, str) and _is_count(step) for name, step in active.items())
        and isinstance(against, Mapping)
        and all(isinstance(name, str) and _are_counts(two) for name, two in against.items())
        and isinstance(right, (list, tuple))
        and all(isinstance(name, str) for name in right)
    )


def _are_counts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_count, value))


def _is_of_scores(state: Mapping[str, Any]) -> bool:
    best = state.get("best")
    if not isinstance(best, Mapping):
        return best is None
    return type(best.get("score")) in (int, float) and _is_count(best.get("step"))


def _is_of_the_rollback(state: Mapping[str, Any]) -> bool:
    return _is_count(state.get("healthy_step")) and _is_count(state.get("back_step", 0))


FINE: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "means": _is_of_means,
    "watch": _is_of_the_watch,
    "scores": _is_of_scores,
    "rollback": _is_of_the_rollback,
}
"""Whether the state of a hook can be loaded, by its name."""
