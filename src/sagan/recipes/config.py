"""The configuration of a run: its owners' configurations together, and their round trip to a readable file."""

import dataclasses
import json
import types
import typing
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sagan.data.config import DataConfig
from sagan.metrics.config import MonitorConfig
from sagan.models.config import DiscriminatorConfig, GeneratorConfig, network_size, with_first_widths
from sagan.reading import BytesError, check_version, object_of, read_bytes, whatever_happens
from sagan.sizes import Size, size_of
from sagan.training.config import EngineConfig, TrainConfig
from sagan.words import nearest

C = TypeVar("C")
FORM, FORMAT_VERSION = "sagan_config", 2
SHOWN = 100
"""Letters of a wrong value that a message has, at most."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that defines a run.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    data: DataConfig = field(default_factory=DataConfig)
    """Which pictures."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """The generator."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminator."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The recipe."""
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    """What `--evaluate-every` measures while training."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Device and precision."""
    seed: int = 0
    """Seed of everything that is drawn: weights, noise, labels, data order, augmentation."""

    def __post_init__(self) -> None:
        for name in ("size_px", "start_grid", "inside", "fades"):
            of_g, of_d = getattr(self.generator, name), getattr(self.discriminator, name)
            if of_g != of_d:
                how = "--grow" if name in ("inside", "fades") else "--size"
                raise ValueError(
                    f"generator.{name} {of_g} and discriminator.{name} {of_d} must be equal; {how} sets both"
                )
        if self.engine.compile == "graphs" and self.train.accumulate > 1:
            raise ValueError(
                "engine.compile graphs cannot add up gradients over micro-batches, whose memory it uses again; "
                f"take train.accumulate 1, found {self.train.accumulate}, or engine.compile on"
            )
        if self.engine.compile in ("on", "graphs") and self.train.penalises:
            raise ValueError(
                "train.r1 and train.r2 differentiate D twice, which compiled networks cannot: take engine.compile off, "
                f"found {self.engine.compile}"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to 2**63 - 1, found {self.seed}")


def to_json(config: RunConfig) -> str:
    """Write a configuration as readable JSON, with the number of its form."""
    return json.dumps({FORM: FORMAT_VERSION} | dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str | bytes, name: str = "the configuration") -> RunConfig:
    """Read what :func:`to_json` wrote; fields that are missing take their defaults, or what stood in their place then.

    Args:
        text: The text; one without a number is of version 1.
        name: What messages call it.

    Raises:
        ValueError: If the text is no JSON object, a key is unknown (the nearest is named), a value is wrong, or it is
            of a newer version.
    """
    try:
        values = object_of(text)
    except BytesError as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
    check_version(values.pop(FORM, 1), FORMAT_VERSION, name)
    for network in ("generator", "discriminator"):
        if isinstance(values.get(network), dict):
            values[network] = with_first_widths(values[network])
    with whatever_happens(lambda why: ValueError(f"{name} cannot be read: {why}")):
        return built(RunConfig, values, "")


def config_of_file(file: Path) -> RunConfig:
    """Read the configuration of a run from its file.

    Raises:
        ValueError: As :func:`from_json`; the file is named.
        OSError: If it cannot be read.
    """
    try:
        return from_json(read_bytes(file), str(file))
    except BytesError as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    except ValueError as error:
        raise error if str(file) in str(error) else ValueError(f"{file}: {error}") from error


def differences(old: object, new: object, prefix: str = "") -> list[str]:
    """Name the fields in which two configurations of one type differ, as dotted keys."""
    names = []
    for item in dataclasses.fields(old):  # type: ignore[arg-type]
        a, b = getattr(old, item.name), getattr(new, item.name)
        if dataclasses.is_dataclass(a):
            names += differences(a, b, f"{prefix}{item.name}.")
        elif a != b:
            names.append(f"{prefix}{item.name}")
    return names


def merged(config: RunConfig, other: RunConfig, names: Collection[str]) -> RunConfig:
    """Give ``config`` with the named fields, as dotted keys of two parts, taken from ``other``."""
    for name in names:
        owner, key = name.split(".")
        value = getattr(getattr(other, owner), key)
        config = dataclasses.replace(config, **{owner: dataclasses.replace(getattr(config, owner), **{key: value})})
    return config


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Changes of a configuration that are often made, by short names; None changes nothing."""

    data: str | None = None
    """Pictures: `data.path`."""
    size: Size | None = None
    """Image size in pixels of both networks, 64 or "64x96" (height x width); attention goes to that size's default."""
    base_width: int | None = None
    """Base width of both networks."""
    attention: tuple[int, ...] | None = None
    """Feature maps, by their shorter side, with attention in both networks."""
    steps: int | None = None
    """Generator updates in all: `train.total_steps`."""
    batch_size: int | None = None
    """Images in a batch: `train.batch_size`."""
    evaluate_every: int | None = None
    """Steps between measurements: `train.evaluate_every`."""

    def __post_init__(self) -> None:
        if self.size is not None:
            network_size(self.size)


def with_steps(config: RunConfig, steps: int) -> RunConfig:
    """Train for so many steps; learning rates that fall begin to at the same share of them.

    Raises:
        ValueError: If it is less than 1.
    """
    train, start = config.train, config.train.lr_decay_start
    later = None if start is None else start * steps // train.total_steps
    return dataclasses.replace(config, train=dataclasses.replace(train, total_steps=steps, lr_decay_start=later))


def with_changes(config: RunConfig, changes: Changes) -> RunConfig:
    """Apply changes, and make the paths of what exists absolute.

    Raises:
        ValueError: If a value is wrong, or values do not fit together.
    """
    if changes.size is not None and size_of(changes.size) != config.generator.image_size:
        config = with_size(config, changes.size)
    both = _given(base_width=changes.base_width, attention=changes.attention)
    train = _given(total_steps=changes.steps, batch_size=changes.batch_size, evaluate_every=changes.evaluate_every)
    return with_absolute_paths(
        dataclasses.replace(
            config,
            generator=dataclasses.replace(config.generator, **both),
            discriminator=dataclasses.replace(config.discriminator, **both),
            train=dataclasses.replace(config.train, **train),
            data=dataclasses.replace(config.data, **_given(path=changes.data)),
        )
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def with_size(config: RunConfig, size: Size) -> RunConfig:
    """Give the configuration at another size; attention goes to that size's default, as its place need not exist."""
    size_px, start_grid = network_size(size)
    changes: dict[str, Any] = {"size_px": size_px, "start_grid": start_grid, "attention": None, "residual": ()}
    return dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, **changes),
        discriminator=dataclasses.replace(config.discriminator, **changes),
    )


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Make the paths of what exists absolute, so that a run can be resumed from another folder; names stay names."""
    from sagan.data import NAMES, is_pattern

    data, monitor = config.data, config.monitor
    places = {"path": data.path, "cache_dir": data.cache_dir, "class_names": data.class_names}
    if data.path in NAMES:
        del places["path"]
    found: dict[str, Any] = {
        name: str(Path(place).expanduser().resolve()) for name, place in places.items() if place is not None
    }
    found = {name: place for name, place in found.items() if Path(place).exists() or is_pattern(place)}
    if monitor.feature_weights is not None:
        absolute = str(Path(monitor.feature_weights).expanduser().resolve())
        monitor = dataclasses.replace(monitor, feature_weights=absolute)
    return dataclasses.replace(config, data=dataclasses.replace(data, **found), monitor=monitor)


def built(kind: type[C], values: object, prefix: str) -> C:
    """Make a configuration of plain values.

    Raises:
        ValueError: If a key is unknown (the nearest is named), or a value is of another type or cannot be.
    """
    if not isinstance(values, dict):
        raise ValueError(f"configuration {prefix or 'file'}: expected an object with keys, found {_shown(values)}")
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            near = nearest(key, hints)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(hints)}"
            raise ValueError(f"unknown configuration key {prefix}{key[:SHOWN]}; {hint}")
    return kind(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def _value(hint: Any, value: object, name: str) -> object:
    if dataclasses.is_dataclass(hint):
        return built(typing.cast("type", hint), value, f"{name}.")
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    for option in options:
        origin = typing.get_origin(option)
        if origin is tuple and isinstance(value, list):
            return tuple(_value(typing.get_args(option)[0], item, name) for item in value)
        if origin is typing.Literal and value in typing.get_args(option):
            return value
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if option in (int, str, bool) and type(value) is option:
            return value
    raise ValueError(f"configuration key {name}: {_shown(value)} is not of the type {hint}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
