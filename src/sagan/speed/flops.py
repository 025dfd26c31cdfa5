"""Floating-point operations of a training step, counted on networks that have shapes but no numbers."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sagan.models.discriminator import ClassifierLogits
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.recipes.build import build_discriminator
from sagan.recipes.config import RunConfig
from sagan.training.step import frozen_parameters

IMAGES = 2


def step_flops(config: RunConfig) -> float:
    """Count what one step computes for an image of its batch: the model's operations, not those of an implementation.

    D updates: G forwards; D forwards and backwards, on a real and a generated image. G update: G forwards and
    backwards, D forwards and backwards to its input only. Convolutions and resampling beside them count one after the
    other (``fold=False``), attention counts with its map, and nothing counts twice that an implementation computes
    again: whatever makes a step faster leaves this number as it is. 1x1 convolutions count at the smaller size, where
    they commute with resampling. A product and a sum are two operations. Spectral normalisation, which costs the same
    whatever the batch, and everything that is no convolution or matrix product do not count.

    Returns:
        Operations for each real image of a batch, ``d_steps`` updates of D and one of G with all that it generates.
    """
    with torch.device("meta"):
        G = Generator(replace(config.generator, fold=False, spectral_norm=False))
        D = build_discriminator(replace(config.discriminator, fold=False, spectral_norm=False)).to("meta")
        z = torch.zeros(IMAGES, config.generator.z_dim)
        y = torch.zeros(IMAGES, dtype=torch.int64)
        real = torch.zeros(IMAGES, 3, *config.generator.image_size)
    for module in (*G.modules(), *D.modules()):
        if isinstance(module, SelfAttention2d):
            module.implementation = "explicit"
    with FlopCounterMode(display=False) as d_update:
        with torch.no_grad():
            x_fake = G(z, y)
        torch.autograd.backward(_scalar(D(torch.cat([real, x_fake]), torch.cat([y, y]))))
    with FlopCounterMode(display=False) as g_update, frozen_parameters(D):
        torch.autograd.backward(_scalar(D(G(z, y), y)))
    d_flops, g_flops = float(d_update.get_total_flops()), float(g_update.get_total_flops())
    g_share = config.train.generator_batch / config.train.batch_size
    return (config.train.d_steps * d_flops + g_share * g_flops) / IMAGES


def _scalar(output: Tensor | ClassifierLogits) -> Tensor:
    """Give a number that every part of the output enters, to go backwards from."""
    if isinstance(output, ClassifierLogits):
        return output.source.sum() + output.classes.sum()
    return output.sum()
