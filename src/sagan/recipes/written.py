"""Configurations in files that people write: JSON or YAML, whole or only what differs from a preset."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from sagan.reading import MAX_DEPTH, read_bytes, value_of, whatever_happens
from sagan.recipes.config import RunConfig, from_json
from sagan.recipes.presets import PRESETS
from sagan.words import did_you_mean

SUFFIXES = (".json", ".yaml", ".yml")
MAX_VALUES = 10_000
MAX_BYTES = 2**20
SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class WrittenError(ValueError):
    """A file that holds no configuration."""


class Written(NamedTuple):
    """A configuration from a file."""

    config: RunConfig
    says_pictures: bool
    """Whether it names the pictures."""
    length_of_preset: bool = False
    """Whether how many steps there are, and when learning rates fall, is that of a preset which it names."""


def read_config(file: str | Path) -> Written:
    """Read a configuration.

    The file holds an object with the keys of a run's ``config.json``, such as ``train: {batch_size: 32}``. Keys that
    are missing are those of the preset that the key ``preset`` names, else the defaults.

    Raises:
        ValueError: If it is no such file, a key is unknown (the nearest is named), or a value is wrong.
        OSError: If it cannot be read.
    """
    path = Path(file)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"--config takes a file that ends in {', '.join(SUFFIXES)}, found {path}")
    with whatever_happens(lambda why: WrittenError(f"--config {path} cannot be read: {why}")):
        content = read_bytes(path)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB, as no configuration has")
        text = content.decode("utf-8")
        values = value_of(text) if path.suffix == ".json" else _yaml(text)
    if not isinstance(values, dict):
        raise ValueError(f"--config {path} holds no configuration keys; expected such as train: {{batch_size: 32}}")
    data = values.get("data")
    train = values.get("train")
    own = {"total_steps", "lr_decay_start"} & {*(train if isinstance(train, dict) else ())}
    length_of_preset = values.get("preset") is not None and not own
    says_pictures = (isinstance(data, dict) and "path" in data) or values.get("preset") == "demo"
    try:
        return Written(from_json(json.dumps(_on_preset(values))), says_pictures, length_of_preset)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"--config {path}: {error}") from error


def _on_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Lay keys over those of the preset that they name."""
    name = values.pop("preset", None)
    if name is None:
        return values
    if name not in PRESETS:
        hint = did_you_mean(str(name), PRESETS)
        raise ValueError(f"unknown preset {name!r}; {f'{hint} ' if hint else ''}known: {', '.join(PRESETS)}")
    merged = dataclasses.asdict(PRESETS[name]())
    for key, value in values.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _yaml(text: str) -> object:
    try:
        import yaml
    except ImportError as error:
        raise ValueError('YAML needs the package PyYAML: pip install "sagan-torch[yaml]", or write JSON') from error
    try:
        _check_yaml(yaml.compose(text, Loader=yaml.SafeLoader))
        return _with_numbers(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_yaml(root: Any) -> None:
    """Check that a text comes to few values, counting what an alias stands for each time, and not to itself.

    Raises:
        ValueError: If there are more than ``MAX_VALUES``, which a few lines of aliases of aliases come to.
    """
    left = iter(range(MAX_VALUES))

    def walk(node: Any, depth: int) -> None:
        if next(left, None) is None or depth > MAX_DEPTH:
            raise ValueError(f"it comes to more than {MAX_VALUES:,} values, or more than {MAX_DEPTH} inside each other")
        if not isinstance(getattr(node, "value", None), list):
            return
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                walk(inner, depth + 1)

    walk(root, 0)


def _with_numbers(value: Any) -> Any:
    """Take ``1e-4`` for a number, which YAML 1.1 takes for a word."""
    if isinstance(value, dict):
        return {key: _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and SCIENTIFIC.fullmatch(value) else value
