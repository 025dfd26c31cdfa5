"""What the processes of tests/runs/test_distributed.py do: ``python workers.py FOLDER`` is one of them.

Each function is also called in the test's own process, where it gives what a single process computes.
"""

import copy
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.ops.norm import ConditionalBatchNorm2d, set_batch_statistics
from sagan.ops.spectral import SpectralNorm
from sagan.recipes.build import build_networks
from sagan.recipes.config import RunConfig
from sagan.sampling import sampling_copy
from sagan.training.config import EngineConfig, TrainConfig
from sagan.training.engine import Engine
from sagan.training.state import new_state
from sagan.training.step import train_step

BATCH = 8


class Pictures(NamedTuple):
    images: Tensor
    labels: Tensor
    flip: Tensor


class Float64Engine(Engine):
    """An engine that hands everything to the networks in float64."""

    def tensor(self, tensor):
        return super().tensor(tensor.double() if tensor.is_floating_point() else tensor)

    def images(self, batch):
        return super().images(batch).double()


def pictures(k):
    """Make the k-th global batch: noise of the class's colour."""
    random = np.random.default_rng(k)
    labels = random.integers(0, 3, BATCH)
    images = (60 + 60 * labels)[:, None, None, None] + random.integers(-50, 51, (BATCH, 16, 16, 3))
    return Pictures(
        torch.from_numpy(images.astype(np.uint8)),
        torch.from_numpy(labels),
        torch.from_numpy(random.random(BATCH) < 0.5),
    )


def trained(kind, steps, dtype=torch.float64, **train):
    """Train a tiny network and give all that it holds and said; every process draws its own part."""
    recipe = TrainConfig(batch_size=BATCH, ema_decay=0.9, augment=("color", "translation"), **train)
    config = RunConfig(
        generator=GeneratorConfig(size_px=16, num_classes=3, z_dim=8, base_width=2),
        discriminator=DiscriminatorConfig(size_px=16, num_classes=3, base_width=4),
        train=recipe,
    )
    engine = kind(EngineConfig(device="cpu", precision="fp32"))
    G, D = build_networks(config)
    for network in (G, D):
        network.to(dtype)
        for block in network.attention.values():
            torch.nn.init.constant_(block.gamma, 0.5)
    set_batch_statistics(G, recipe.batch_norm, recipe.ghost_size)
    state = new_state(engine.module(G), engine.module(D), recipe)
    rows = engine.rows(BATCH, recipe.accumulate)
    seen = {"z": [], "labels": [], "images": []}
    G.register_forward_pre_hook(lambda _, inputs: seen["z"].append(inputs[0].detach().clone()))

    def part(k):
        batch = Pictures(*(item[rows] for item in pictures(k)))
        seen["labels"].append(batch.labels)
        seen["images"].append(batch.images)
        return batch

    metrics = [train_step(state, recipe, part, engine, seed=3) for _ in range(steps)]
    held = copy.deepcopy(state.state_dict())
    z = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    ready = sampling_copy(state.sampled.float(), batches=4, batch_size=4, seed=9, sharing=engine)
    return {
        "state": held,
        "metrics": metrics,
        "seen": {key: torch.cat(value) for key, value in seen.items()},
        "outputs": ready(z, torch.arange(6) % 3).detach(),
        "standing": {k: v for k, v in ready.state_dict().items() if "running" in k},
    }


def normalised(dtype, fused=True):
    """Normalise a part of one batch in training mode and go back through it, synchronised over the processes."""
    random = torch.Generator().manual_seed(1)
    x = (3.0 * torch.randn(BATCH, 5, 4, 4, generator=random, dtype=torch.float64) + 2.0).to(dtype)
    weight = torch.randn(x.shape, generator=random, dtype=torch.float64).to(dtype)
    y = torch.tensor([0, 1, 2, 0, 0, 1, 2, 2])
    layer = ConditionalBatchNorm2d(5, 3).to(dtype)
    layer.fused = fused
    torch.nn.init.normal_(layer.gain, 1.0, 0.5, generator=random)
    set_batch_statistics(layer, "sync", 64)
    rows = Engine(EngineConfig(device="cpu", precision="fp32")).rows(BATCH, 1)
    x, weight = x[rows].contiguous(memory_format=torch.channels_last).requires_grad_(), weight[rows]
    out = layer(x, y[rows])
    (out * weight).sum().backward()
    return {"out": out.detach(), "dx": x.grad, "gain": layer.gain.grad, "running": dict(layer.named_buffers())}


def moved_in_two_forwards():
    """Go through a spectrally normalised network twice before going back, as the wrapped D could be."""
    engine = Engine(EngineConfig(device="cpu", precision="fp32"))
    torch.manual_seed(0)
    network = build_networks(
        RunConfig(
            discriminator=DiscriminatorConfig(size_px=16, num_classes=3, base_width=4),
            generator=GeneratorConfig(size_px=16, num_classes=3, base_width=2),
        )
    )[1]
    D = engine.training(network)
    x, y = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    engine.backward(D(x, y).mean() - D(-x, y).mean())
    return {
        "u": [m.u.clone() for m in network.modules() if isinstance(m, SpectralNorm)],
        "gradients": [p.grad.clone() for p in network.parameters()],
    }


def everything():
    """Do all of it, in an order that every process keeps."""
    return {
        "sync": trained(Float64Engine, 20, batch_norm="sync"),
        "sync, cut": trained(Float64Engine, 2, batch_norm="sync", accumulate=2, d_steps=2),
        "ghost": trained(Float64Engine, 2, batch_norm="ghost", ghost_size=2, accumulate=2),
        "more fakes": trained(Float64Engine, 2, batch_norm="ghost", ghost_size=2, accumulate=2, g_batch_size=16),
        "pairs": trained(
            Float64Engine, 2, batch_norm="sync", accumulate=2, d_steps=2, loss="relativistic", r1=0.5, r2=0.5
        ),
        "local": trained(Float64Engine, 2),
        "fp32": trained(Engine, 2, torch.float32, batch_norm="sync"),
        "norm": normalised(torch.float64),
        "norm fp32": normalised(torch.float32),
        "norm in two": normalised(torch.float64, fused=False),
        "two forwards": moved_in_two_forwards(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    import time

    s = time.time()
    results = everything()
    print(time.time() - s)
    torch.save(results, Path(sys.argv[1]) / f"process-{distributed.get_rank()}.pt")
    distributed.destroy_process_group()
