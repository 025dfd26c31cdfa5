"""What a checkpoint holds of each hook, also one of before there were hooks."""

from collections.abc import Mapping
from typing import Any


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
