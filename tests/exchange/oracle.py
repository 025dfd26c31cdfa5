"""StudioGAN's residual networks as plain functions of their tensors, and such tensors at random.

Written from the published names, shapes and formulas, with none of the project's own layers. MMGeneration's
SNGAN-proj is the same network under other names (`as_mmgeneration`).
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]

G_WIDTHS = {32: (4, 4, 4, 4), 64: (16, 8, 4, 2, 1), 128: (16, 16, 8, 4, 2, 1)}
D_WIDTHS = {32: (2, 2, 2, 2), 64: (1, 2, 4, 8, 16), 128: (1, 2, 4, 8, 16, 16)}
DOWNS = {32: 2, 64: 4, 128: 5}
BN_EPS = 1e-4


def generator_state(size_px, ch, num_classes, *, spectral, attention=(), z_dim=12, seed=0):
    """Make a generator; attention follows the blocks of these numbers, from 1 on."""
    make = Maker(seed, spectral)
    widths = [ch * multiple for multiple in G_WIDTHS[size_px]]
    make.layer("linear0", (16 * widths[0], z_dim))
    place = 0
    for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
        block = f"blocks.{place}.0"
        make.layer(f"{block}.conv2d1", (outputs, inputs, 3, 3))
        make.layer(f"{block}.conv2d2", (outputs, outputs, 3, 3))
        make.layer(f"{block}.conv2d0", (outputs, inputs, 1, 1))
        for norm, channels in (("bn1", inputs), ("bn2", outputs)):
            make.statistics(f"{block}.{norm}.bn", channels)
            for name in ("gain", "bias"):
                make.layer(f"{block}.{norm}.{name}", (channels, num_classes), bias=False)
        place += 1
        if number in attention:
            make.attention(f"blocks.{place}.0", outputs)
            place += 1
    make.statistics("bn4", widths[-1])
    make.plain("bn4", widths[-1])
    make.layer("conv2d5", (3, widths[-1], 3, 3))
    return make.state


def discriminator_state(size_px, ch, num_classes, *, head, attention=(), downs=None, seed=1):
    """Make a discriminator with the head `PD` or `AC`."""
    make = Maker(seed, True)
    widths = [3, *(ch * multiple for multiple in D_WIDTHS[size_px])]
    place = 0
    for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
        block = f"blocks.{place}.0"
        make.layer(f"{block}.conv2d1", (outputs, inputs, 3, 3))
        make.layer(f"{block}.conv2d2", (outputs, outputs, 3, 3))
        if inputs != outputs or number <= (downs or DOWNS[size_px]):
            make.layer(f"{block}.conv2d0", (outputs, inputs, 1, 1))
        place += 1
        if number in attention:
            make.attention(f"blocks.{place}.0", outputs)
            place += 1
    make.layer("linear1", (1, widths[-1]))
    make.layer("embedding" if head == "PD" else "linear2", (num_classes, widths[-1]), bias=False)
    return make.state


class Maker:
    """Makes layers with random numbers in float64."""

    def __init__(self, seed, spectral):
        self.random, self.spectral, self.state = torch.Generator().manual_seed(seed), spectral, {}

    def draw(self, *shape):
        return torch.randn(*shape, generator=self.random, dtype=torch.float64)

    def layer(self, name, shape, *, bias=True):
        weight = self.draw(*shape) / shape[1] ** 0.5
        if self.spectral:
            u = F.normalize(self.draw(shape[0]), dim=0)
            v = F.normalize(weight.flatten(1).t() @ u, dim=0)
            self.state |= {f"{name}.weight_orig": weight, f"{name}.weight_u": u, f"{name}.weight_v": v}
        else:
            self.state[f"{name}.weight"] = weight
        if bias:
            self.state[f"{name}.bias"] = 0.1 * self.draw(shape[0])

    def statistics(self, name, channels):
        self.state |= {
            f"{name}.running_mean": 0.1 * self.draw(channels),
            f"{name}.running_var": 0.5 + self.draw(channels).abs(),
        }
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    def plain(self, name, channels):
        self.state |= {f"{name}.weight": 1 + 0.2 * self.draw(channels), f"{name}.bias": 0.2 * self.draw(channels)}

    def attention(self, name, channels):
        for layer, shape in (
            ("theta", (channels // 8, channels, 1, 1)),
            ("phi", (channels // 8, channels, 1, 1)),
            ("g", (channels // 2, channels, 1, 1)),
            ("attn", (channels, channels // 2, 1, 1)),
        ):
            self.layer(f"{name}.conv1x1_{layer}", shape, bias=False)
        self.state[f"{name}.sigma"] = torch.tensor([0.6], dtype=torch.float64)


def weight(state, layer):
    if f"{layer}.weight" in state:
        return state[f"{layer}.weight"]
    raw = state[f"{layer}.weight_orig"]
    return raw / (state[f"{layer}.weight_u"] @ raw.flatten(1) @ state[f"{layer}.weight_v"])


def convolve(state, layer, x):
    kernel = weight(state, layer)
    return F.conv2d(x, kernel, state.get(f"{layer}.bias"), padding=kernel.shape[-1] // 2)


def normalise(state, name, x):
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return (x - mean[:, None, None]) / (variance + BN_EPS)[:, None, None].sqrt()


def attend(state, name, x):
    batch, _, height, width = x.shape
    query, key, value = (convolve(state, f"{name}.conv1x1_{n}", x) for n in ("theta", "phi", "g"))
    key, value = F.max_pool2d(key, 2).flatten(2), F.max_pool2d(value, 2).flatten(2)
    weights = torch.softmax(torch.einsum("bcq,bck->bqk", query.flatten(2), key), -1)
    attended = torch.einsum("bck,bqk->bcq", value, weights).reshape(batch, -1, height, width)
    return x + state[f"{name}.sigma"] * convolve(state, f"{name}.conv1x1_attn", attended)


def double(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def places(state):
    numbers = sorted({int(key.split(".")[1]) for key in state if key.startswith("blocks.")})
    return [f"blocks.{number}.0" for number in numbers]


def generate(state, z, y):
    """Images of a generator in evaluation mode: z (B, z_dim), y (B,) -> (B, 3, H, W)."""
    h = (z @ weight(state, "linear0").t() + state["linear0.bias"]).view(len(z), -1, 4, 4)
    for name in places(state):
        if f"{name}.sigma" in state:
            h = attend(state, name, h)
            continue

        def conditional(norm, x, name=name):
            gain, bias = (weight(state, f"{name}.{norm}.{part}").t()[y][:, :, None, None] for part in ("gain", "bias"))
            return normalise(state, f"{name}.{norm}.bn", x) * (1 + gain) + bias

        main = convolve(state, f"{name}.conv2d1", double(conditional("bn1", h).relu()))
        main = convolve(state, f"{name}.conv2d2", conditional("bn2", main).relu())
        h = main + convolve(state, f"{name}.conv2d0", double(h))
    h = normalise(state, "bn4", h) * state["bn4.weight"][:, None, None] + state["bn4.bias"][:, None, None]
    return torch.tanh(convolve(state, "conv2d5", h.relu()))


def judge(state, x, y, *, downs, inplace=True):
    """Logits of a discriminator, and class logits of the head `AC`: x (B, 3, H, W), y (B,) -> (B,), (B, classes)."""
    number = 0
    for name in places(state):
        if f"{name}.sigma" in state:
            x = attend(state, name, x)
            continue
        number += 1
        activated = x if number == 1 else x.relu()
        shortcut = activated if inplace else x
        main = convolve(state, f"{name}.conv2d2", convolve(state, f"{name}.conv2d1", activated).relu())
        if f"{name}.conv2d0.bias" in state:
            shortcut = convolve(state, f"{name}.conv2d0", shortcut)
        x = main + shortcut
        x = F.avg_pool2d(x, 2) if number <= downs else x
    h = x.relu().sum((2, 3))
    logits = (h @ weight(state, "linear1").t() + state["linear1.bias"])[:, 0]
    if "embedding.weight_orig" in state:
        return logits + (weight(state, "embedding")[y] * h).sum(1), None
    return logits, h @ weight(state, "linear2").t()


def as_mmgeneration(G, D):
    """Rename the tensors of networks without attention to MMGeneration's: {name: tensor} of a file with all of them."""
    file = {}
    inner = {
        "conv2d1": "conv_1.conv",
        "conv2d2": "conv_2.conv",
        "conv2d0": "shortcut.conv",
        "bn1": "norm_1",
        "bn2": "norm_2",
    }
    for key, tensor in G.items():
        parts = key.split(".")
        if parts[0] == "blocks":
            name = f"conv_blocks.{parts[1]}.{inner[parts[3]]}.{'.'.join(parts[4:])}"
            if parts[4] in ("gain", "bias") and parts[3].startswith("bn"):
                table = {"gain": "weight_embedding", "bias": "bias_embedding"}[parts[4]]
                name, tensor = f"conv_blocks.{parts[1]}.{inner[parts[3]]}.{table}.weight", tensor.t()
            name = name.replace("norm_1.bn.", "norm_1.norm.").replace("norm_2.bn.", "norm_2.norm.")
        else:
            first = {"linear0": "noise2feat", "bn4": "to_rgb.bn", "conv2d5": "to_rgb.conv"}[parts[0]]
            name = ".".join([first, *parts[1:]])
        file[f"generator.{name}"] = tensor
    for key, tensor in D.items():
        parts = key.split(".")
        if parts[0] == "blocks":
            block = "from_rgb" if parts[1] == "0" else f"conv_blocks.{int(parts[1]) - 1}"
            name = ".".join([block, inner[parts[3]], *parts[4:]])
        else:
            name = ".".join([{"linear1": "decision", "embedding": "proj_y"}[parts[0]], *parts[1:]])
        file[f"discriminator.{name}"] = tensor
    return file
