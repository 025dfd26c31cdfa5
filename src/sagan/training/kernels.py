"""Which kernels PyTorch may take: only those that give the same bits each time, or the fastest that cuDNN finds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sagan.training.config import EngineConfig

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_SAME = (":4096:8", ":16:8")
"""The sizes of cuBLAS's workspace with which its sums have one order (documentation of cuBLAS, "Results
reproducibility")."""


class NotDeterministicError(RuntimeError):
    """An operation of a run that asked for the same bits each time has no such form; the message says what to do."""


def choose_kernels(config: EngineConfig, device: torch.device) -> str:
    """Set what PyTorch may choose kernels by, in this process and from now on; :func:`kernels_as_before` undoes it.

    Call it before anything is computed on a GPU: the variable is read at the first product of matrices.

    Returns:
        What was chosen, for people; "" is PyTorch's own choice.

    Raises:
        ValueError: If cuBLAS was told otherwise by the environment.
    """
    if config.cudnn_benchmark and device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        return "cuDNN's fastest kernels"
    if not config.deterministic:
        return ""
    if device.type == "cuda":
        found = os.environ.setdefault(CUBLAS, CUBLAS_SAME[0])
        if found not in CUBLAS_SAME:
            raise ValueError(
                f"deterministic needs {CUBLAS} to be {' or '.join(CUBLAS_SAME)}, found {found!r}; unset it, then it is "
                "set for you"
            )
    torch.backends.cudnn.benchmark = False
    # Filling memory that nobody has written yet costs time, and nothing of ours reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=False)
    return "the same bits each time"


@contextmanager
def kernels_as_before() -> Iterator[None]:
    """Set back what :func:`choose_kernels` sets inside, and name an operation that has no deterministic form.

    Raises:
        NotDeterministicError: In place of PyTorch's error about such an operation.
    """
    cudnn: Any = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    before = cudnn.benchmark, memory.fill_uninitialized_memory
    only = _only_deterministic()
    variable = os.environ.get(CUBLAS)
    try:
        yield
    except RuntimeError as error:
        if not is_not_deterministic(error):
            raise
        raise NotDeterministicError(_sentence(error)) from error
    finally:
        cudnn.benchmark, memory.fill_uninitialized_memory = before
        if only != _only_deterministic():  # setting it imports much, which fails where Ctrl-C has broken off an import
            torch.use_deterministic_algorithms(only[0], warn_only=only[1])
        if variable is None:
            os.environ.pop(CUBLAS, None)
        else:
            os.environ[CUBLAS] = variable


def _only_deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def is_not_deterministic(error: RuntimeError) -> bool:
    """Tell whether PyTorch refused an operation for the lack of a deterministic form."""
    said = str(error)
    return "use_deterministic_algorithms" in said and ("implementation" in said or CUBLAS in said)


def _sentence(error: RuntimeError) -> str:
    """Say which operation was refused and what to do."""
    said = str(error)
    if " does not have" not in said:
        # Versions that ask at all ask once in a process, at the first matrix product, whatever is set later. PyTorch
        # 2.11 asked nothing on a GPU, and the library of 2.13 has no such message: since PyTorch's pull request 161749
        # the workspace that it gives each of cuBLAS's handles counts as enough.
        return (
            "this process multiplied matrices on a GPU before --engine.deterministic was asked for, and cuBLAS is told "
            f"only once how to sum; start Python with {CUBLAS}={CUBLAS_SAME[0]} set, or train in a fresh process"
        )
    return (
        f"{said.split(' does not have')[0]} has no form here that gives the same bits each time, which "
        "--engine.deterministic asks for; leave it away, or go on with a run that has saved by --resume RUN "
        "--engine.no-deterministic"
    )
