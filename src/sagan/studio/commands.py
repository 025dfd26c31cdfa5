"""The command line that makes again what is shown."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from sagan.generators.config import AttentionConfig, SampleConfig


def flag_name(c: int, names: Sequence[str]) -> str:
    """Give what ``--class`` calls a class: its name, or its number where another has the same name.

    Raises:
        ValueError: If there is no such class.
    """
    if not c < len(names):
        raise ValueError(f"there is no class {c}; this generator has {len(names)}")
    return names[c] if names.index(names[c]) == c else str(c)


def sample_command(file: Path, config: SampleConfig, out: str) -> str:
    """Write the `sagan sample` that makes these pictures again."""
    words = ["sagan", "sample", str(file)]
    words += ["--class", *config.classes] if config.classes else []
    if config.interpolate is None:
        words += ["--num", str(config.num)]
    else:
        words += ["--interpolate", str(config.interpolate), "--index", str(config.index)]
        if config.direction is not None:
            words += ["--direction", str(config.direction), "--reach", str(config.reach)]
        else:
            end_seed = config.seed + 1 if config.end_seed is None else config.end_seed
            words += ["--end-seed", str(end_seed), "--end-index", str(config.end_index)]
    return shlex.join([*words, *_drawn(config), "--out", out])


def attention_command(file: Path, config: AttentionConfig, out: str) -> str:
    """Write the `sagan attention` that draws this figure again."""
    words = ["sagan", "attention", str(file)]
    words += ["--class", *config.classes] if config.classes else []
    words += ["--num", str(config.num)]
    words += ["--sample", str(config.sample)] if config.sample is not None else []
    words += ["--query", *(f"{row},{column}" for row, column in config.queries_px or ())] if config.queries_px else []
    words += ["--layer", str(config.position)] if config.position is not None else []
    return shlex.join([*words, *_drawn(config), "--out", out])


def own_command(path: Path, query_px: tuple[int, int], position: int, out: str) -> str:
    """Write the `sagan attention` that draws this over a picture of one's own; it takes folders of pictures."""
    words = ["sagan", "attention", str(path), "--data", "FOLDER_WITH_THE_PICTURE"]
    return shlex.join([*words, "--query", "{},{}".format(*query_px), "--layer", str(position), "--out", out])


def _drawn(config: SampleConfig | AttentionConfig) -> list[str]:
    words = ["--seed", str(config.seed)]
    return words if config.truncation is None else [*words, "--truncation", str(config.truncation)]
