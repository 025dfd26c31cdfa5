"""Conditional batch normalisation, and the standing statistics that replace running averages for sampling."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation whose gain and bias are looked up by class.

    The statistics run over (B, H, W) of all classes together; then each sample is scaled by its class's gain, which
    starts at 1, and shifted by its class's bias, which starts at 0. The tables are never spectrally normalised.
    With ``num_classes=0`` there is one gain and one bias for all samples: plain batch normalisation.

    In training mode the batch's own mean and biased variance normalise. The running buffers follow PyTorch's
    convention: they move by ``momentum`` and hold the UNBIASED variance (TensorFlow's conditional layer in the
    official code holds the biased one). Sampling uses :func:`standing_statistics` instead of them.

    Shape: x (B, C, H, W), y int64 (B,) or None -> (B, C, H, W).

    Source: Dumoulin et al. 2017; Miyato and Koyama 2018; Zhang et al. 2018, section 5.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, num_classes: int = 0, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features = num_features
        self.num_classes = num_classes
        self.eps = eps
        self.momentum = momentum
        rows = max(num_classes, 1)
        self.gain = nn.Parameter(torch.ones(rows, num_features))
        self.bias = nn.Parameter(torch.zeros(rows, num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Normalise x (B, C, H, W), then scale and shift each sample by the row of its class y (B,)."""
        normalised = F.batch_norm(
            x, self.running_mean, self.running_var, None, None, self.training, self.momentum, self.eps
        )
        if self.num_classes == 0:
            gain, bias = self.gain.view(1, -1), self.bias.view(1, -1)  # (1, C)
        else:
            if y is None:
                raise ValueError(f"this layer is conditional on {self.num_classes} classes; pass the labels y (B,)")
            gain, bias = F.embedding(y, self.gain), F.embedding(y, self.bias)  # (B, C)
        return torch.addcmul(bias[:, :, None, None].to(x.dtype), normalised, gain[:, :, None, None].to(x.dtype))


@torch.no_grad()
def standing_statistics(network: nn.Module, forwards: Iterable[Callable[[], object]]) -> int:
    """Replace the running statistics of every batch normalisation in ``network`` by averages over whole batches.

    Each element of ``forwards`` runs the network once on one batch. Meanwhile only the batch normalisations are in
    training mode (each normalises with the batch that it sees) and spectral vectors rest. Afterwards ``running_mean``
    is the mean over the batches of the batch means, ``running_var`` that of the BIASED batch variances, and every
    module is back in the mode it was in.

    Args:
        network: Changed in place: only the running statistics of its batch normalisations.
        forwards: Callables such as ``lambda: G(z, y)``, one a batch.

    Returns:
        How many batches were averaged.

    Raises:
        ValueError: If ``forwards`` is empty.

    Source: Brock et al. 2019 ("standing statistics").
    """
    layers = [m for m in network.modules() if isinstance(m, (ConditionalBatchNorm2d, nn.BatchNorm2d))]
    # In float64 on the host: some devices have no float64.
    sums = [torch.zeros(2, layer.num_features, dtype=torch.float64) for layer in layers]
    modes = [(module, module.training) for module in network.modules()]

    def accumulate(index: int, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
        sums[index] += torch.stack([mean, variance]).cpu().double()

    handles = [layer.register_forward_pre_hook(partial(accumulate, i)) for i, layer in enumerate(layers)]
    batches = 0
    try:
        network.eval()
        for layer in layers:
            layer.train()
        for forward in forwards:
            forward()
            batches += 1
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    if batches == 0:
        raise ValueError("standing statistics need at least one batch, found none")
    for layer, (mean, variance) in zip(layers, sums, strict=True):
        layer.running_mean.copy_(mean / batches)  # type: ignore[union-attr]
        layer.running_var.copy_(variance / batches)  # type: ignore[union-attr]
    return batches
