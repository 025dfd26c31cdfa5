"""Generators to share: one safetensors file with weights, configuration and class names; loading executes nothing."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from sagan.models.config import GeneratorConfig, with_first_widths
from sagan.models.generator import Generator
from sagan.ops.spectral import folded_state_dict
from sagan.whole import write_whole

FORMAT = "sagan generator"
FORMAT_VERSION = 1


class WeightsError(ValueError):
    """A weights file that cannot be used; the message says why and what to do."""


class Weights(NamedTuple):
    """What a weights file holds."""

    generator: Generator
    """In evaluation mode; ``generator.config`` is the configuration it was trained with."""
    class_names: tuple[str, ...]
    """One name a class; empty if unconditional."""
    provenance: dict[str, object]
    """How the weights came about: step, data, moving average, batch-normalisation statistics, versions."""


def save_weights(
    generator: Generator, path: Path, class_names: Sequence[str], provenance: Mapping[str, object]
) -> None:
    """Write a generator that is ready to sample, its spectral normalisation folded into the weights.

    Args:
        generator: In evaluation mode, with the batch statistics that sampling is to use; not changed.
        path: A ``.safetensors`` file; an older one is replaced in one move.
        class_names: One name a class; empty if unconditional.
        provenance: Anything that JSON can hold on how the weights came about.

    Raises:
        ValueError: If the number of names is not the number of classes.
        OSError: If the file cannot be written; nothing is left behind and an older file stays.
    """
    config = generator.config
    if len(class_names) != config.num_classes:
        raise ValueError(f"{config.num_classes} classes need as many names, found {len(class_names)}")
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "config": json.dumps(dataclasses.asdict(config)),
        "class_names": json.dumps(list(class_names)),
        "provenance": json.dumps(dict(provenance)),
    }
    # As bytes: safetensors' own writing to a file gives it to this user alone, and this file is there to be shared.
    tensors = {k: v.cpu().contiguous() for k, v in folded_state_dict(generator).items()}
    try:
        write_whole(path, save(tensors, metadata))
    except OSError as error:
        raise OSError(f"could not write {path}: {error.strerror or error}; is the disk full?") from error


class Header(NamedTuple):
    """What a weights file says of itself, read without its weights."""

    config: GeneratorConfig
    """The configuration that the generator was trained with."""
    class_names: tuple[str, ...]
    """One name a class; empty if unconditional."""
    provenance: dict[str, object]
    """How the weights came about."""


def read_header(path: Path) -> Header:
    """Read what a file that :func:`save_weights` wrote says of itself.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the file is damaged, of another program, or of a newer format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors (damaged, truncated, or another format)") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} holds no sagan generator; `sagan export RUN --out FILE` writes one")
    version = metadata.get("format_version", "")
    if not version.isdecimal() or int(version) > FORMAT_VERSION:
        raise WeightsError(
            f"{path} has weights format {version!r}, this version reads up to {FORMAT_VERSION}; update sagan-torch"
        )
    try:
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(metadata["config"]).items()}
        config = GeneratorConfig(**with_first_widths(fields))
        header = Header(config, tuple(json.loads(metadata["class_names"])), json.loads(metadata["provenance"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} carries a configuration that this version does not know: {error}") from error
    if len(header.class_names) != config.num_classes:
        raise WeightsError(
            f"{path} is damaged: it has {config.num_classes} classes and {len(header.class_names)} names for them"
        )
    return header


def load_weights(path: Path) -> Weights:
    """Read a file that :func:`save_weights` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the file is damaged, of another program, or of a newer format.
    """
    config, class_names, provenance = read_header(path)
    # The normalisation is in the weights already; only the structure without it fits.
    generator = Generator(dataclasses.replace(config, spectral_norm=False))
    try:
        generator.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path} does not fit the configuration that it carries: {error}") from error
    generator.config = config
    return Weights(generator.eval().requires_grad_(False), class_names, provenance)
