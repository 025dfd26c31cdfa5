"""Device, precision and processes, through Lightning Fabric: the only file that names it."""

import inspect
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, distributed, nn

from sagan.ops.pixels import uint8_to_images
from sagan.training.config import Compile, Device, EngineConfig
from sagan.training.heartbeat import Heartbeat
from sagan.training.kernels import choose_kernels
from sagan.training.processes import ADDRESS, Process, current_process

if TYPE_CHECKING:
    from lightning_fabric import Fabric

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T", bound="tuple[Tensor | None, ...]")

# How long one exchange of gradients may take; a process that is gone is noticed long before (see heartbeat.py).
STEP_TIMEOUT = timedelta(minutes=10)
# How long processes wait for the one that writes, measures, or decodes a data set for the first time.
WAIT_TIMEOUT = timedelta(days=2)


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
    """Puts networks and batches on a device, runs forwards in a precision, and joins the processes of a run.

    Attributes:
        device: Where everything lies.
        reason: Why this device and precision, and whether networks are compiled, for people.
        step_graph: Whether the loop records its steps as CUDA graphs.
        process: Which process of how many this is.

    Raises:
        ValueError: If the device that is asked for is not there, there are fewer devices than processes, or the
            environment contradicts what is asked for.

    Which kernels PyTorch may take is set for the whole process; :func:`~sagan.training.kernels.kernels_as_before` sets
    it back.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.process: Process = current_process()
        accelerator = _accelerator(config.device)
        precision = config.precision
        if precision == "auto":
            precision = "bf16" if accelerator == "cuda" and torch.cuda.is_bf16_supported(False) else "fp32"
        self._fabric = _fabric(self.process, accelerator, "bf16-mixed" if precision == "bf16" else "32-true")
        if self.process.world_size > 1:
            self._fabric.launch()
            # Between processors also where gradients travel between GPUs: agreeing and waiting then holds no GPU up,
            # and a process that ends is noticed at once.
            self._hosts = distributed.new_group(backend="gloo", timeout=WAIT_TIMEOUT)
            self._heartbeat = self._start_heartbeat()
        self._replicas: dict[nn.Module, nn.Module] = {}
        self.device: torch.device = self._fabric.device
        self.memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        asked = "asked for" if config.device != "auto" else "found"
        self.reason = f"{self.device} ({asked}), {precision}{' autocast' if precision == 'bf16' else ''}"
        if precision == "bf16" and accelerator == "cpu" and not _has_bf16():
            self.reason += " (without instructions for it on this processor: far slower than fp32)"
        if kernels := choose_kernels(config, self.device):
            self.reason += f", {kernels}"
        self.compiles, why = compiles(config.compile, self.device)
        self.graphs = self.compiles and config.compile == "graphs"
        how = ("compiled, as CUDA graphs" if self.graphs else "compiled") if self.compiles else "not compiled"
        self.reason += f", {how} ({why})"
        self.step_graph, why = records_steps(config, self.device, self.process)
        self.reason += why

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and talks: number 0."""
        return self.process.rank == 0

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
            module.compile(dynamic=False, mode="reduce-overhead" if self.graphs else None)
        return module

    def tensor(self, tensor: Tensor) -> Tensor:
        """Move a tensor to the device, unless it is there."""
        if tensor.device == self.device:
            return tensor
        if self.device.type == "cuda" and tensor.numel() > 0:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def draws(self, draws: T) -> T:
        """Move what was drawn for an update to the device."""
        return type(draws)(*(None if each is None else self.tensor(each) for each in draws))  # type: ignore[arg-type]

    def images(self, batch: RealBatch) -> Tensor:
        """Move stored pictures to the device as network input, mirrored where the batch says so.

        Shape: batch.images uint8 (B, H, W, 3) -> float (B, 3, H, W) in [-1, 1].
        """
        x = uint8_to_images(self.tensor(batch.images)).permute(0, 3, 1, 2)
        flip = self.tensor(batch.flip)
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
        return x.contiguous(memory_format=self.memory_format)

    # Several processes: each works on a part of the batch, gradients are averaged, all weights stay equal

    def rows(self, batch_size: int, accumulate: int) -> Tensor:
        """Give the places of this process's part in a global batch: its share of each micro-batch, one after another.

        So the i-th micro-batches of all processes make up the i-th micro-batch of a single process.

        Shape: -> int64 (batch_size / processes,).
        """
        places = torch.arange(batch_size).view(accumulate, self.process.world_size, -1)
        return places[:, self.process.rank].flatten()

    def training(self, module: nn.Module) -> nn.Module:
        """Give what to call for a forward whose backward changes ``module``: its gradients are averaged meanwhile.

        That is ``module`` itself in a single process, else a wrapper of PyTorch's DistributedDataParallel. All other
        forwards - without gradients, or with frozen weights - call the module.
        """
        if self.process.world_size == 1:
            return module
        if module not in self._replicas:
            # Takes over the weights of process 0, at the first step of a run and of a resumed one.
            self._replicas[module] = self._fabric.setup_module(module, move_to_device=False)
        return self._replicas[module]

    def keeping_gradients(self, module: nn.Module, keep: bool) -> AbstractContextManager[object]:
        """Give the context of a micro-batch; while ``keep``, gradients add up in each process and are not averaged."""
        if self.process.world_size == 1:
            return nullcontext()
        context: AbstractContextManager[object] = self._fabric.no_backward_sync(self.training(module), keep)  # type: ignore[arg-type]
        return context

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        self._fabric.backward(loss)

    def mean(self, metrics: dict[str, Tensor]) -> dict[str, Tensor]:
        """Average scalars over the processes."""
        if self.process.world_size == 1:
            return metrics
        values = torch.stack(list(metrics.values()))
        distributed.all_reduce(values)  # Fabric's would wait for all processes before, which also holds GPUs up
        return dict(zip(metrics, (values / self.process.world_size).unbind(), strict=True))

    def largest(self, number: int) -> int:
        """Give the largest of the numbers that the processes pass; all wait for the last one."""
        if self.process.world_size == 1:
            return number
        largest = torch.tensor(number)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX, group=self._hosts)
        return int(largest)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.largest(0)

    def share(self, items: Sequence[range]) -> Sequence[range]:
        """Give the part of the work that this process does."""
        return items[self.process.rank :: self.process.world_size]

    def add_up(self, sums: Tensor) -> Tensor:
        """Add up a tensor that lies on the host over the processes, in place."""
        if self.process.world_size > 1:
            distributed.all_reduce(sums, group=self._hosts)
        return sums

    @contextmanager
    def first_on_each_machine(self) -> Iterator[None]:
        """Let one process of each machine do the work inside before the others, who find it done."""
        if self.process.local_rank > 0:
            self.wait()
        yield
        if self.process.local_rank == 0:
            self.wait()

    def close(self) -> None:
        """Part from the other processes, once all are here."""
        if self.process.world_size == 1:
            return
        self.wait()
        self._heartbeat.stop()
        self.wait()  # process 0 keeps the heartbeats: none may end before all have stopped
        self._replicas.clear()
        distributed.destroy_process_group()

    def _start_heartbeat(self) -> Heartbeat:
        process = self.process
        here = Heartbeat(0, process.world_size, os.environ[ADDRESS], 0, self._leave) if process.rank == 0 else None
        port = self.largest(0 if here is None else here.port)
        heartbeat = here or Heartbeat(process.rank, process.world_size, os.environ[ADDRESS], port, self._leave)
        heartbeat.start()
        return heartbeat

    def _leave(self, what: str) -> None:
        print(f"sagan: {lost_sentence(self.process, what)}", file=sys.stderr, flush=True)
        os._exit(1)  # the main thread hangs in a call that no exception reaches


def _accelerator(device: Device) -> str:
    """Find the kind of device: the one asked for, or the best that is there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: PyTorch sees no CUDA device here; use --engine.device cpu, or see `sagan info`")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device mps: PyTorch sees no Apple GPU here; use --engine.device cpu, or see `sagan info`")
    return device


def _fabric(process: Process, accelerator: str, precision: Literal["bf16-mixed", "32-true"]) -> "Fabric":
    """Make what joins the processes of a run; a single one needs no more than its device."""
    # Three seconds: only for those who train
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import torchelastic
    from lightning_fabric.strategies import ddp

    if process.world_size == 1:
        return Fabric(accelerator=accelerator, devices=1, precision=precision)
    here = process.local_world_size
    if accelerator == "mps" or (accelerator == "cuda" and torch.cuda.device_count() < here):
        raise ValueError(
            f"{here} processes on this machine need a GPU each, found "
            f"{torch.cuda.device_count()} CUDA devices; start fewer, or use --engine.device cpu"
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # what it says is for its developers
    return Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=process.world_size // here,
        precision=precision,
        strategy=ddp.DDPStrategy(
            timeout=STEP_TIMEOUT,
            gradient_as_bucket_view=True,
            # Buffers need no exchange at each forward: spectral vectors follow from weights, the same on all.
            **_keep_buffers(),
        ),
        plugins=[torchelastic.TorchElasticEnvironment()],
    )


def _keep_buffers() -> dict[str, Any]:
    """Give the argument that keeps DistributedDataParallel from sending buffers; later versions renamed it."""
    known = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}


def lost_sentence(process: Process, what: str) -> str:
    """Say that a process is lost and what to do."""
    return (
        f"{what}; process {process.rank} of {process.world_size} ends too. The last checkpoint is kept: "
        "`sagan train --resume RUN` goes on, also with another number of processes"
    )


def is_lost_contact(error: RuntimeError) -> bool:
    """Tell whether an error is that of an exchange between processes that broke off."""
    return isinstance(error, distributed.DistError) or bool(re.search(r"gloo|NCCL|closed by peer", str(error)))


def _has_bf16() -> bool:
    """Tell whether this processor multiplies bf16 numbers in hardware, as far as PyTorch can say."""
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check is not None and check() for check in checks)


def records_steps(config: EngineConfig, device: torch.device, process: Process) -> tuple[bool, str]:
    """Tell whether steps are replayed as one CUDA graph, and why not where that is asked for, for people."""
    if not config.step_graph:
        return False, ""
    if device.type != "cuda" or process.world_size > 1:
        missing = "a CUDA device" if device.type != "cuda" else "a single process"
        return False, f", no step graph (asked for, but it needs {missing})"
    return True, ", each step as one CUDA graph"


def compiles(wanted: Compile, device: torch.device) -> tuple[bool, str]:
    """Tell whether networks go through torch.compile, and why, for people."""
    if wanted == "auto":
        return False, "takes minutes; --engine.compile on"
    if wanted == "off":
        return False, "asked for"
    if wanted == "graphs" and device.type != "cuda":
        return False, "asked for, but CUDA graphs need a CUDA device; --engine.compile on compiles here"
    if device.type == "cpu":
        compilers = [os.environ.get("CXX", "g++"), "clang++"]
        if not any(shutil.which(compiler) for compiler in compilers):
            return False, f"asked for, but there is no C++ compiler here: looked for {' and '.join(compilers)}"
    return True, "asked for"
