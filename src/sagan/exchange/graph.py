"""A generator as a graph without anything of this project: with torch.export, and as ONNX; checked as it is written."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sagan.generators.trained import TrainedGenerator
from sagan.models.generator import Generator
from sagan.ops.spectral import folded_state_dict
from sagan.sizes import written
from sagan.whole import whole_file

TOLERANCE = 1e-4
"""How far images in [-1, 1] of a graph may be from those of the generator."""
CHECKED = ((1, 0), (3, 1), (8, 2))
"""Batches, and seeds of their noise, that a graph is checked with."""

Draw = Callable[[NDArray[np.float32], NDArray[np.int64] | None], NDArray[np.float32]]


class GraphError(RuntimeError):
    """A graph that does not draw what its generator draws; it is not written."""


def plain_generator(G: Generator) -> Generator:
    """Copy a generator without spectral normalisation, which is folded into its weights, and with plain convolutions.

    It is on the CPU, in evaluation mode, and its batch normalisation keeps the statistics that it has: a graph of it
    is good for any batch.
    """
    plain = Generator(replace(G.config, spectral_norm=False, fold=False))
    plain.load_state_dict({key: value.cpu() for key, value in folded_state_dict(G).items()})
    return plain.eval().requires_grad_(False)


def inputs_of(G: Generator, count: int, seed: int) -> tuple[Tensor, ...]:
    """Draw inputs of a graph: z (count, z_dim), and y int64 (count,) unless it is unconditional."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(count, G.config.z_dim, generator=random)
    if G.config.num_classes == 0:
        return (z,)
    return z, torch.randint(G.config.num_classes, (count,), generator=random)


def about(generator: TrainedGenerator) -> dict[str, Any]:
    """Say what whoever runs a graph has to know, as plain JSON values."""
    config = generator.config
    return {
        "format": "sagan graph",
        "size_px": written(config.image_size),
        "z_dim": config.z_dim,
        "class_names": list(generator.class_names),
        "inputs": "z float32 (batch, z_dim) from N(0, 1)" + ("; y int64 (batch,)" if config.num_classes else ""),
        "output": "images float32 (batch, 3, height, width) in [-1, 1], red, green, blue",
        "provenance": {key: generator.provenance.get(key) for key in ("step", "weights", "batch_norm")}
        | {key: generator.provenance[key] for key in ("d_features",) if key in generator.provenance},
    }


def write_onnx(generator: TrainedGenerator, out: Path) -> float:
    """Write a generator as ONNX, once onnxruntime draws with it what the generator draws.

    Args:
        generator: Its images depend on z and y alone: statistics of batch normalisation are fixed.
        out: An ``.onnx`` file; an older one is replaced in one move.

    Returns:
        The largest difference of any pixel in [-1, 1].

    Raises:
        ImportError: If onnx, onnxruntime or onnxscript is missing.
        GraphError: If images differ.
        OSError: If it cannot be written.
    """
    import onnx

    G = plain_generator(generator.network)
    inputs = inputs_of(G, 2, 0)
    names = ["z", "y"][: len(inputs)]
    with _quiet():
        program = torch.onnx.export(
            G,
            inputs,
            dynamo=True,
            input_names=names,
            output_names=["images"],
            dynamic_shapes=_any_batch(inputs),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"sagan": json.dumps(about(generator))})
    data = model.SerializeToString()
    with whole_file(out, len(data)) as temporary:
        temporary.write_bytes(data)
        return _checked(G, _onnx_session(temporary), out)


def write_program(generator: TrainedGenerator, out: Path) -> float:
    """Write a generator with ``torch.export``; all else as in :func:`write_onnx`.

    Raises:
        GraphError: If images differ.
        OSError: If it cannot be written.
    """
    G = plain_generator(generator.network)
    inputs = inputs_of(G, 2, 0)
    with _quiet():
        program = torch.export.export(G, inputs, dynamic_shapes=_any_batch(inputs))
        file = io.BytesIO()  # the exporter would warn of a temporary name
        torch.export.save(program, file, extra_files={"sagan.json": json.dumps(about(generator))})
        with whole_file(out, len(file.getvalue())) as temporary:
            temporary.write_bytes(file.getvalue())
            loaded = torch.export.load(io.BytesIO(temporary.read_bytes())).module()

            def draw(z: NDArray[np.float32], y: NDArray[np.int64] | None) -> NDArray[np.float32]:
                given = [torch.from_numpy(z)] + ([] if y is None else [torch.from_numpy(y)])
                images: NDArray[np.float32] = loaded(*given).detach().numpy()
                return images

            return _checked(G, draw, out)


def _any_batch(inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
    batch = torch.export.Dim("batch")
    return tuple({0: batch} for _ in inputs)


def _onnx_session(path: Path) -> Draw:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def draw(z: NDArray[np.float32], y: NDArray[np.int64] | None) -> NDArray[np.float32]:
        images: NDArray[np.float32] = session.run(None, {"z": z} if y is None else {"z": z, "y": y})[0]
        return images

    return draw


@torch.no_grad()
def _checked(G: Generator, draw: Draw, out: Path) -> float:
    """Compare a graph with its generator for several batches; give the largest difference."""
    differences = []
    for count, seed in CHECKED:
        inputs = inputs_of(G, count, seed)
        expected = G(*inputs).numpy()
        found = draw(inputs[0].numpy(), inputs[1].numpy() if len(inputs) > 1 else None)
        if found.shape != expected.shape:
            raise GraphError(f"{out}: the graph gives {found.shape} for a batch of {count}, not {expected.shape}")
        differences.append(np.abs(found - expected).max())
    largest = float(np.max(differences))  # not a number if any is not
    if not largest <= TOLERANCE:
        raise GraphError(
            f"{out}: images of the graph differ by {largest:.2g} from the generator's, more than {TOLERANCE:g}: it is "
            "not written; other versions of PyTorch or onnxscript may help"
        )
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporters say of their own insides, and gradients out of the graph."""
    # Says of each operator of torchvision that it is not installed.
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        registry.setLevel(level)
