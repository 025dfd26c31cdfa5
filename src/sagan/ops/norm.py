"""Conditional batch normalisation, and the standing statistics that replace running averages for sampling."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from sagan.choices import BatchStatistics, Conditioning


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation whose gain and bias are looked up by class.

    The statistics run over (B, H, W) of all classes together; then each sample is scaled by its class's gain and
    shifted by its class's bias. How these are held is the ``conditioning``:

    - ``tables``: a gain that starts at 1 and a bias that starts at 0 for each class, never spectrally normalised.
    - ``linear``: gain = 1 + a linear map of the one-hot class, bias = another one, both without bias of their own and
      kept with a row a class (StudioGAN). Whoever builds the network initialises ``gain_map`` and ``bias_map``, and
      normalises them spectrally where it normalises the rest.

    After :meth:`hear` gain and bias also have a part that a linear map of a sample's noise gives (Brock et al. 2019).

    With ``num_classes=0`` there is one gain and one bias for all samples: plain batch normalisation, always tables.

    In training mode the batch's own mean and biased variance normalise. The running buffers move by ``momentum`` and
    hold the UNBIASED variance, as PyTorch's do, or with ``biased`` the biased one, as TensorFlow's conditional layer in
    the official code. Sampling uses :func:`standing_statistics` instead of them, unless the network says otherwise.

    Which images make up a batch is set by :func:`set_batch_statistics`: those that come together (the default), those
    of all processes, or groups of a fixed size.

    Shape: x (B, C, H, W), y int64 (B,) or None, noise (B, n) if it hears some -> (B, C, H, W).

    Source: Dumoulin et al. 2017; Miyato and Koyama 2018; Zhang et al. 2018, section 5.
    """

    gain: nn.Parameter
    bias: nn.Parameter
    gain_map: nn.Embedding
    bias_map: nn.Embedding
    gain_noise: nn.Linear
    bias_noise: nn.Linear
    noise_dim = 0
    running_mean: Tensor
    running_var: Tensor
    synchronised = False
    group_size: int | None = None
    fused = True
    """Normalise and scale in one function where that is possible: equal up to rounding, half the time in training."""

    def __init__(
        self,
        num_features: int,
        num_classes: int = 0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        conditioning: Conditioning = "tables",
        biased: bool = False,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.num_classes = num_classes
        self.eps = eps
        self.momentum = momentum
        self.biased = biased
        self.conditioning: Conditioning = conditioning if num_classes > 0 else "tables"
        if self.conditioning == "linear":
            self.gain_map = nn.Embedding(num_classes, num_features)
            self.bias_map = nn.Embedding(num_classes, num_features)
        else:
            rows = max(num_classes, 1)
            self.gain = nn.Parameter(torch.ones(rows, num_features))
            self.bias = nn.Parameter(torch.zeros(rows, num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def hear(self, noise_dim: int) -> None:
        """Add linear maps without bias of so many numbers of noise to gain and bias; who builds initialises them."""
        self.noise_dim = noise_dim
        self.gain_noise = nn.Linear(noise_dim, self.num_features, bias=False)
        self.bias_noise = nn.Linear(noise_dim, self.num_features, bias=False)

    def forward(self, x: Tensor, y: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Normalise x (B, C, H, W), then scale and shift each sample by the row of its class y (B,) and its noise."""
        gain, bias = self.tables()  # (classes, C), (1, C) without classes
        if self.num_classes > 0:
            if y is None:
                raise ValueError(f"this layer is conditional on {self.num_classes} classes; pass the labels y (B,)")
            gain, bias = F.embedding(y, gain), F.embedding(y, bias)  # (B, C)
        if self.noise_dim:
            gain, bias = gain + self.gain_noise(noise), bias + self.bias_noise(noise)
        if self.fused and self.training and self.group_size is None and _is_full(x):
            joined: Tensor
            if self._over_processes:
                joined = _NormaliseAndScaleByAll.apply(  # type: ignore[no-untyped-call]
                    x, gain, bias, *self._statistics_of_all(x), self.eps
                )
                return joined
            with self._moving_variance(x) as variance:
                joined = _NormaliseAndScale.apply(  # type: ignore[no-untyped-call]
                    x, gain, bias, self.running_mean, variance, self.momentum, self.eps
                )
            return joined
        normalised = self.normalise(x)
        return torch.addcmul(bias[:, :, None, None].to(x.dtype), normalised, gain[:, :, None, None].to(x.dtype))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Give the gain and the bias of each class as they are used, without the part of the noise.

        Where the maps are spectrally normalised, their vectors move in training mode, so a forward calls this once.

        Shape: -> (classes, C) each, (1, C) without classes.
        """
        if self.conditioning == "linear":
            return 1.0 + self.gain_map.weight, self.bias_map.weight
        return self.gain, self.bias

    def set_tables(self, gain: Tensor, bias: Tensor) -> None:
        """Take these gains and biases (classes, C) as constant tables, whatever the layer had."""
        if self.conditioning == "linear":
            del self.gain_map, self.bias_map
            self.conditioning = "tables"
        self.num_classes = len(gain)
        self.gain, self.bias = nn.Parameter(gain.detach(), False), nn.Parameter(bias.detach(), False)

    @contextmanager
    def _moving_variance(self, x: Tensor) -> Iterator[Tensor]:
        """Give PyTorch's function a variance to move by the unbiased one of x, so that ours moves as it shall."""
        if not (self.biased and self.training):
            yield self.running_var
            return
        factor = _unbiasing(x.numel() // x.shape[1])
        # Of a copy: backward may keep what PyTorch's function was given.
        moved = self.running_var * factor
        yield moved
        self.running_var.copy_(moved / factor)

    @property
    def _over_processes(self) -> bool:
        return self.synchronised and _num_processes() > 1

    @torch.no_grad()
    def _statistics_of_all(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and variance (C,) over the batches of all processes, which the running buffers then follow."""
        mean, variance, count = statistics_of_all(x)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance if self.biased else variance * _unbiasing(count), self.momentum)
        return mean, variance

    def normalise(self, x: Tensor) -> Tensor:
        """Bring each channel of x (B, C, H, W) to mean 0 and variance 1."""
        if self.training and self._over_processes:
            mean, variance = self._statistics_of_all(x)
            normalised: Tensor = _NormaliseByAll.apply(x, mean, variance, self.eps)  # type: ignore[no-untyped-call]
            return normalised
        groups = [x]
        if self.training and self.group_size is not None:
            if len(x) % self.group_size:
                raise ValueError(f"a batch of {len(x)} images cannot be cut into groups of {self.group_size}")
            groups = list(torch.split(x, self.group_size))
        parts = []
        for group in groups:
            with self._moving_variance(group) as variance:
                parts.append(
                    F.batch_norm(group, self.running_mean, variance, None, None, self.training, self.momentum, self.eps)
                )
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def set_batch_statistics(network: nn.Module, kind: BatchStatistics, ghost_size: int) -> None:
    """Choose over which images every conditional batch normalisation in ``network`` normalises in training mode.

    Args:
        network: Its layers are changed; no parameter or buffer is.
        kind: ``local`` takes the images that come together in a forward, ``sync`` those of the same forward in all
            processes of the run, which must hold equally many each, ``ghost`` consecutive groups of them.
        ghost_size: Images in a group of ``ghost``. The running averages move once for each group.

    Source: Hoffer et al. 2017 for ghost batch normalisation.
    """
    for layer in network.modules():
        if isinstance(layer, ConditionalBatchNorm2d):
            layer.synchronised = kind == "sync"
            layer.group_size = ghost_size if kind == "ghost" else None


@contextmanager
def frozen_running(network: nn.Module) -> Iterator[None]:
    """After the context the running averages of ``network`` are what they were before, whatever forwards it ran.

    Forwards in training mode use the statistics of their batches, which this does not change.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    running = [buffer for layer in layers for buffer in (layer.running_mean, layer.running_var)]
    before = [buffer.clone() for buffer in running]
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(running, before)


def statistics_of_all(x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Compute the mean and the biased variance of each channel over the batches of all processes.

    Shape: x (B, C, H, W), the same on all processes -> mean (C,), variance (C,) in fp32 or better, and how many values
    each is made of.
    """
    # All hold equally many values, so averages of averages are right; squares are never subtracted from each other.
    means, variances = of_all(torch.stack(mean_and_variance(x))).unbind(1)  # (processes, C) each
    variance = variances.mean(0) + means.var(0, correction=0)
    return means.mean(0), variance, len(means) * x.numel() // x.shape[1]


def mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and the biased variance of each channel of x (B, C, H, W), in fp32 or better."""
    x = _fp32(x)
    if x.device.type == "cpu":  # the first pass of PyTorch's batch normalisation: 3 to 30 times as fast as var_mean
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
    else:
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
    return mean, variance


class _NormaliseAndScale(torch.autograd.Function):
    """gain (x - mean) / sqrt(variance + eps) + bias with the batch's own statistics, and its gradient in few passes.

    Shape: x (B, C, H, W), gain and bias (B, C), or (1, C) for all samples.

    With n = (x - mean) / std, N = B H W and sums over positions, d bias = sum g, d gain = sum g n, and
    dx = (gain g - sum(gain g) / N - n sum(gain g n) / N) / std, where the last two sums run over the samples, too
    (Ioffe and Szegedy 2015, section 3). All sums follow from those of g and of g x for each sample and channel, so
    neither n nor any other map has to be kept beside x.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, momentum: float, eps: float
    ) -> Tensor:
        out, batch_mean, scale = torch.native_batch_norm(x, None, None, mean, variance, True, momentum, eps)
        ctx.save_for_backward(x, gain, batch_mean, scale)
        ctx.over_processes = False
        return out.mul_(gain[:, :, None, None]).add_(bias[:, :, None, None])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # the formula below takes the statistics for constants
            raise RuntimeError(
                "this batch normalisation has no second derivative, and gradients were asked for with "
                "create_graph=True; set fused = False on ConditionalBatchNorm2d"
            )
        x, gain, mean, scale = ctx.saved_tensors
        d_bias, products = grad.sum((2, 3)), (grad * x).sum((2, 3))  # (B, C)
        d_gain = scale * (products - mean * d_bias)
        count = x.numel() // x.shape[1]
        sums = torch.stack([(gain * d_bias).sum(0), (gain * d_gain).sum(0)])
        if ctx.over_processes:
            sums = of_all(sums).sum(0)
            count *= _num_processes()
        offset, slope = scale * sums[0] / count, scale**2 * sums[1] / count
        dx = torch.addcmul((mean * slope - offset)[:, None, None], x, -slope[:, None, None])
        dx.addcmul_(grad, (gain * scale)[:, :, None, None])
        if len(gain) < len(x):
            d_gain, d_bias = d_gain.sum(0, keepdim=True), d_bias.sum(0, keepdim=True)
        return dx, d_gain, d_bias, None, None, None, None


class _NormaliseAndScaleByAll(torch.autograd.Function):
    """The same where mean and variance are those of the batches of all processes: its last two sums run over all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Tensor:
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, gain, mean, scale)
        ctx.over_processes = True
        factor = gain * scale
        return (x * factor[:, :, None, None]).add_((bias - mean * factor)[:, :, None, None])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _NormaliseAndScale.backward(ctx, grad)[:6]


class _NormaliseByAll(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) where mean and variance are those of the batches of all processes.

    PyTorch's SyncBatchNorm computes the same but refuses modules that lie on the CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x, mean, torch.rsqrt(variance + eps))
        return F.batch_norm(x, mean, variance, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        x, mean, scale = ctx.saved_tensors
        g = _fp32(gradients[0])
        centred = _fp32(x) - mean[:, None, None]
        # With n = scale * centred, averages over all processes: dx = scale * (g - average(g) - n * average(g * n)).
        averages = of_all(torch.stack([g.mean((0, 2, 3)), (g * centred).mean((0, 2, 3))])).mean(0)
        offset, slope = (averages * torch.stack([scale, scale**3]))[:, :, None, None]
        dx = torch.addcmul(-offset, g, scale[:, None, None]).addcmul_(centred, slope, value=-1.0)
        return dx.to(x.dtype), None, None, None


def _unbiasing(count: int) -> float:
    """Give what the biased variance of so many values is multiplied by for the unbiased one."""
    return count / (count - 1)


def of_all(here: Tensor) -> Tensor:
    """Gather a tensor of all processes: (...) -> (processes, ...)."""
    gathered = here.new_empty(_num_processes(), *here.shape)
    # Adding up by itself a process waits for one exchange of gloo, which takes less than its all_reduce. PyTorch 2.13
    # renamed the function.
    gather = getattr(distributed, "all_gather_single", None) or distributed.all_gather_into_tensor
    gather(gathered.flatten(0, 1), here)
    return gathered


def _num_processes() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _is_full(x: Tensor) -> bool:
    return x.dtype in (torch.float32, torch.float64)


def _fp32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def _separately(network: nn.Module) -> Iterator[None]:
    """Inside the context every batch of ``network`` is normalised by itself, in this process alone."""
    layers = [layer for layer in network.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    before = [(layer.synchronised, layer.group_size) for layer in layers]
    try:
        set_batch_statistics(network, "local", 0)
        yield
    finally:
        for layer, (synchronised, group_size) in zip(layers, before, strict=True):
            layer.synchronised, layer.group_size = synchronised, group_size


@contextmanager
def _only_training(network: nn.Module, layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside the context only ``layers`` are in training mode."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        for layer in layers:
            layer.train()
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def standing_statistics(
    network: nn.Module,
    forwards: Iterable[Callable[[], object]],
    add_up: Callable[[Tensor], Tensor] | None = None,
) -> int:
    """Replace the running statistics of every batch normalisation in ``network`` by averages over whole batches.

    Each element of ``forwards`` runs the network once on one batch. Meanwhile only the batch normalisations are in
    training mode (each normalises with the batch that it sees, by itself) and spectral vectors rest. Afterwards
    ``running_mean`` is the mean over the batches of the batch means, ``running_var`` that of the BIASED batch
    variances, and every module is back in the mode it was in.

    Args:
        network: Changed in place: only the running statistics of its batch normalisations.
        forwards: Callables such as ``lambda: G(z, y)``, one a batch.
        add_up: Adds a tensor up over the processes that share the batches, if several do.

    Returns:
        How many batches were averaged, over all processes.

    Raises:
        ValueError: If there is no batch.

    Source: Brock et al. 2019 ("standing statistics").
    """
    layers = [m for m in network.modules() if isinstance(m, (ConditionalBatchNorm2d, nn.BatchNorm2d))]
    # In float64 on the host: some devices have no float64.
    sums = [torch.zeros(2, layer.num_features, dtype=torch.float64) for layer in layers]

    def accumulate(index: int, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sums[index] += torch.stack(mean_and_variance(inputs[0])).cpu().double()

    handles = [layer.register_forward_pre_hook(partial(accumulate, i)) for i, layer in enumerate(layers)]
    batches = 0
    try:
        with _only_training(network, layers), _separately(network):
            for forward in forwards:
                forward()
                batches += 1
    finally:
        for handle in handles:
            handle.remove()
    if add_up is not None:
        sums = [add_up(pair) for pair in sums]
        batches = int(add_up(torch.tensor(batches)))
    if batches == 0:
        raise ValueError("standing statistics need at least one batch, found none")
    for layer, (mean, variance) in zip(layers, sums, strict=True):
        layer.running_mean.copy_(mean / batches)  # type: ignore[union-attr]
        layer.running_var.copy_(variance / batches)  # type: ignore[union-attr]
    return batches
