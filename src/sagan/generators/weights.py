"""Generators to share: one safetensors file with weights, configuration and class names; loading executes nothing.

A file of version 2 has a checksum over its tensors and all that stands beside them; those of version 1 have none.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sagan.models.config import GeneratorConfig, with_first_widths
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import folded_state_dict
from sagan.places import check_name
from sagan.reading import object_of, value_of, whatever_happens
from sagan.recipes.build import check_sizes
from sagan.recipes.config import built
from sagan.training.contents import checksum, not_finite
from sagan.whole import write_whole

FORMAT = "sagan generator"
FORMAT_VERSION = 2
TEXTS = ("config", "class_names", "provenance")


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
    metadata["checksum"] = _checksum(tensors, metadata)
    write_whole(path, save(tensors, metadata))


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    return checksum(
        [{name: metadata.get(name, "") for name in TEXTS}, {name: tensors[name] for name in sorted(tensors)}]
    )


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
    return _header(path, _metadata(path))


def load_weights(path: Path) -> Weights:
    """Read a file that :func:`save_weights` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the file is damaged, of another program, or of a newer format.
    """
    metadata = _metadata(path)
    config, class_names, provenance = _header(path, metadata)
    with whatever_happens(lambda why: WeightsError(f"{path} does not fit the configuration that it carries: {why}")):
        with safe_open(path, framework="pt") as file:
            check_sizes(config, [file.get_slice(name).get_shape() for name in file.keys()])  # noqa: SIM118 - no mapping
        tensors = load_file(path)
        if metadata["format_version"] != "1" and metadata.get("checksum") != _checksum(tensors, metadata):
            raise WeightsError(f"{path} is damaged: its checksum is not that of its content; get or export it again")
        found = not_finite(tensors)
        if found is not None:
            raise WeightsError(f"{path} cannot be sampled from: {found} is not finite; export an earlier checkpoint")
        # The normalisation is in the weights already; only the structure without it fits.
        generator = Generator(dataclasses.replace(config, spectral_norm=False))
        generator.load_state_dict(tensors)
        check_weights(generator)
    generator.config = config
    return Weights(generator.eval().requires_grad_(False), class_names, provenance)


def check_weights(network: nn.Module) -> None:
    """Check that a filled network can compute: a file's numbers may be finite in its own precision alone.

    Raises:
        ValueError: If a tensor is not finite, or a running variance has no square root.
    """
    found = not_finite(network.state_dict())
    if found is not None:
        raise ValueError(f"{found} is too large for {torch.get_default_dtype()}")
    for name, layer in network.named_modules():
        if isinstance(layer, ConditionalBatchNorm2d) and not bool((layer.running_var + layer.eps > 0.0).all()):
            raise ValueError(f"{name}.running_var is below 0")


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    check_name("weights file", path)
    unreadable = f"{path} cannot be read as safetensors (damaged, truncated, or another format)"
    with whatever_happens(lambda _: WeightsError(unreadable)), safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} holds no sagan generator; `sagan export RUN --out FILE` writes one")
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdecimal() and 1 <= int(version[:9]) <= FORMAT_VERSION):
        raise WeightsError(
            f"{path} has weights format {version[:20]!r}, this version reads up to {FORMAT_VERSION}; update sagan-torch"
        )
    return metadata


def _header(path: Path, metadata: Mapping[str, str]) -> Header:
    said = f"{path} carries a configuration that this version does not know"
    with whatever_happens(lambda why: WeightsError(f"{said}: {why}")):
        config = built(GeneratorConfig, with_first_widths(object_of(metadata["config"])), "generator.")
        class_names, provenance = value_of(metadata["class_names"]), object_of(metadata["provenance"])
        if not isinstance(class_names, list) or not all(isinstance(name, str) for name in class_names):
            raise ValueError("its names of classes are no names")
    if len(class_names) != config.num_classes:
        raise WeightsError(
            f"{path} is damaged: it has {config.num_classes} classes and {len(class_names)} names for them"
        )
    return Header(config, tuple(class_names), provenance)
