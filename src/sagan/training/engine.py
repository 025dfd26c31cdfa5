"""Device and precision, through Lightning Fabric: the only file that names it."""

import os
import shutil
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from sagan.ops.pixels import uint8_to_images
from sagan.training.config import Compile, EngineConfig

M = TypeVar("M", bound=nn.Module)


class RealBatch(Protocol):
    """What a step needs of a batch of real pictures, on the host or, where a run keeps them there, on the device."""

    @property
    def images(self) -> Tensor:
        """Pixels, uint8 (B, H, W, 3)."""

    @property
    def labels(self) -> Tensor:
        """Classes, int64 (B,)."""

    @property
    def flip(self) -> Tensor:
        """Which images to mirror, bool (B,)."""


class Engine:
    """Puts networks and batches on a device and runs forwards in a precision.

    Attributes:
        device: Where everything lies.
        reason: Why this device and precision, and whether networks are compiled, for people.

    Raises:
        ValueError: If the device that is asked for is not there.
    """

    def __init__(self, config: EngineConfig) -> None:
        from lightning_fabric import Fabric  # three seconds: only for those who train

        accelerator = config.device
        if accelerator == "auto":
            accelerator = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        if accelerator == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                "device cuda: PyTorch sees no CUDA device here; use --engine.device cpu, or see `sagan info`"
            )
        if accelerator == "mps" and not torch.backends.mps.is_available():
            raise ValueError("device mps: PyTorch sees no Apple GPU here; use --engine.device cpu, or see `sagan info`")
        precision = config.precision
        if precision == "auto":
            precision = "bf16" if accelerator == "cuda" and torch.cuda.is_bf16_supported(False) else "fp32"
        self._fabric = Fabric(
            accelerator=accelerator, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true"
        )
        self.device: torch.device = self._fabric.device
        self.memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        asked = "asked for" if config.device != "auto" else "found"
        self.reason = f"{self.device} ({asked}), {precision}{' autocast' if precision == 'bf16' else ''}"
        self.compiles, why = compiles(config.compile, self.device)
        self.reason += f", {'compiled' if self.compiles else 'not compiled'} ({why})"

    def autocast(self) -> AbstractContextManager[object]:
        """Give the context that forwards run in."""
        context: AbstractContextManager[object] = self._fabric.autocast()
        return context

    def module(self, module: M) -> M:
        """Move a network to the device and its memory format, and let it be compiled at its first forwards if asked."""
        module = module.to(device=self.device).to(memory_format=self.memory_format)  # type: ignore[call-overload]
        if self.compiles:
            # In place: the keys of its state stay, and copies of it are not compiled. A step has few batch sizes, and
            # kernels for a known size are the faster ones. What cannot be compiled runs as it is.
            torch._dynamo.config.suppress_errors = True
            module.compile(dynamic=False)
        return module

    def tensor(self, tensor: Tensor) -> Tensor:
        """Move a tensor to the device, unless it is there."""
        if tensor.device == self.device:
            return tensor
        if self.device.type == "cuda" and tensor.numel() > 0:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def draws(self, pair: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        """Move noise and labels to the device."""
        z, y = pair
        return self.tensor(z), None if y is None else self.tensor(y)

    def images(self, batch: RealBatch) -> Tensor:
        """Move stored pictures to the device as network input, mirrored where the batch says so.

        Shape: batch.images uint8 (B, H, W, 3) -> float (B, 3, H, W) in [-1, 1].
        """
        x = uint8_to_images(self.tensor(batch.images)).permute(0, 3, 1, 2)
        flip = self.tensor(batch.flip)
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
        return x.contiguous(memory_format=self.memory_format)


def compiles(wanted: Compile, device: torch.device) -> tuple[bool, str]:
    """Tell whether networks go through torch.compile, and why, for people."""
    if wanted == "auto":
        return False, "takes minutes; --engine.compile on"
    if wanted == "off":
        return False, "asked for"
    if device.type == "cpu":
        compilers = [os.environ.get("CXX", "g++"), "clang++"]
        if not any(shutil.which(compiler) for compiler in compilers):
            return False, f"asked for, but there is no C++ compiler here: looked for {' and '.join(compilers)}"
    return True, "asked for"
