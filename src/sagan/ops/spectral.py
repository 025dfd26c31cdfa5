"""Spectral normalisation: a weight divided by its largest singular value, tracked by power iteration.

Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1. A weight W is seen as a
matrix (out, rest). One iteration is v = norm(W^T u), u = norm(W v); then sigma = u^T W v and the layer uses W / sigma.
With ``SpectralSide`` right it is u = norm(W v), v = norm(W^T u), as of the transposed matrix.
u and v carry no gradient, unless that of the latest iteration is asked for (``SpectralGradient``). They move once per
forward in training mode, never in evaluation mode, and never inside :func:`frozen_spectral` - the G step runs D like
that.

A network calls :func:`prepare_spectral` at the start of its forward, which does this for all its layers at once. A
layer that is used by itself does it alone.

PyTorch's own ``parametrizations.spectral_norm`` has no such switch: in training mode each access of the weight moves
its vectors. Evaluation mode would stop them, but it also changes every other layer that knows of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from sagan.choices import SpectralGradient, SpectralSide

M = TypeVar("M", bound=nn.Module)

# Whether u and v are constants to the gradient of a weight (the paper), or functions of it through the one iteration
# that made them (the official code has no stop-gradient there). Where u and v have converged, both are the same.

INITIAL_ITERATIONS = 15

Prepared = tuple[Sequence[Tensor], Sequence[Tensor], Tensor]
"""u and v of several layers, v in the order of the weights' memory, and their sigmas (layers,)."""


class SpectralNorm(nn.Module):
    """The parametrisation that :func:`spectral_norm` registers; ``forward`` maps the raw weight to W / sigma.

    Attributes:
        u: Left singular vector estimate, (out,), norm 1.
        v: Right singular vector estimate, (rest,), norm 1.
        frozen: While True, ``forward`` leaves u and v where they are also in training mode.
        eps: Lower bound of the norms that u and v are divided by.
        gradient: Whether gradients flow through u and v.
        side: Which of u (``left``) and v (``right``, of weights with two dimensions) an iteration goes out from.
        start: What that one was before the latest iteration; only where gradients flow through it. No part of the
            state: every iteration sets it.
        prepared: u, v (in the order of the weight's memory) and sigma for the next forward alone, or None.
    """

    u: Tensor
    v: Tensor
    start: Tensor
    prepared: tuple[Tensor, Tensor, Tensor] | None = None

    def __init__(
        self,
        weight: Tensor,
        eps: float = 1e-12,
        gradient: SpectralGradient = "stop",
        side: SpectralSide = "left",
    ) -> None:
        super().__init__()
        if side == "right" and weight.ndim != 2:
            raise ValueError(f"an iteration from the right needs a weight (out, rest), found {tuple(weight.shape)}")
        self.eps = eps
        self.gradient = gradient
        self.side = side
        self.frozen = False
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn_like(matrix[:, 0]), dim=0, eps=eps))
        self.register_buffer("v", F.normalize(torch.randn_like(matrix[0]), dim=0, eps=eps))
        if gradient == "full":
            self.register_buffer("start", (self.u if side == "left" else self.v).clone(), persistent=False)
        self.iterate(weight, INITIAL_ITERATIONS)

    @torch.no_grad()
    def iterate(self, weight: Tensor, iterations: int = 1) -> None:
        """Move u and v towards the first singular vectors of ``weight`` (out, ...), in place."""
        matrix, ordered = _ordered(weight, weight).flatten(1), _ordered(self.v.view(1, *weight.shape[1:]), weight)
        v = ordered.flatten().clone()
        first, second = self.u, v
        if self.side == "right":
            matrix, first, second = matrix.t(), v, self.u
        for _ in range(iterations):
            if self.gradient == "full":
                self.start.copy_(first)
            torch.mv(matrix.t(), first, out=second)
            F.normalize(second, dim=0, eps=self.eps, out=second)
            torch.mv(matrix, second, out=first)
            F.normalize(first, dim=0, eps=self.eps, out=first)
        ordered.copy_(v.view_as(ordered))

    def forward(self, weight: Tensor) -> Tensor:
        """Give W / sigma, of the shape of ``weight``."""
        prepared, self.prepared = self.prepared, None
        if prepared is None and self.moves:
            self.iterate(weight)
        # On GPUs autocast lowers the products too, and every layer would be scaled by a sigma of three digits.
        with torch.autocast(weight.device.type, enabled=False):
            if self.gradient == "full" and self.training and weight.requires_grad and torch.is_grad_enabled():
                iterated = weight if self.side == "left" else weight.t()
                return weight / _sigma_after_iteration(iterated, self.start.clone(), self.eps)
            if prepared is None:
                prepared = self.at_rest(weight)
            normalised: Tensor = _Normalise.apply(weight, *prepared)  # type: ignore[no-untyped-call]
        return normalised

    @property
    def moves(self) -> bool:
        """Whether the next forward moves u and v."""
        return self.training and not self.frozen

    @torch.no_grad()
    def at_rest(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give what ``prepared`` holds for the vectors as they are."""
        # Copies: backward still needs these values when a later forward has already moved the buffers.
        u, columns = self.u.clone(), _columns(self.v, weight).clone()
        return u, columns, _sigma(weight, u, columns)


class _Normalise(torch.autograd.Function):
    """W / sigma with sigma = u^T W v, and its gradient in a few passes over the memory of the weight.

    With G the gradient with respect to W / sigma, that with respect to W is (G - <G, W / sigma> u v^T) / sigma
    (Miyato et al. 2018, equation 12). Autograd, given the formula of sigma, makes several tensors of the size of W on
    the way.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, columns: Tensor, sigma: Tensor) -> Tensor:
        ctx.save_for_backward(weight, u, columns, sigma)
        return weight / sigma

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        weight, u, columns, sigma = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: then sigma counts as a function of the weight
            sigma = _sigma(weight, u, columns)
        layout = torch.channels_last if _is_channels_last(weight) else torch.contiguous_format
        grad = grad.contiguous(memory_format=layout)
        share = torch.dot(_ordered(grad, weight).flatten(), _ordered(weight, weight).flatten()) / sigma**2
        # In the strides of the weight, also along sides of 1, which DistributedDataParallel minds.
        grad = grad / sigma if torch.is_grad_enabled() else torch.div(grad, sigma, out=torch.empty_like(weight))
        _matrix(grad, weight).addr_(u, columns * share, alpha=-1.0)  # a view of the new gradient
        return grad, None, None, None


def _sigma(weight: Tensor, u: Tensor, columns: Tensor) -> Tensor:
    """Compute u^T W v, with v in the order of the memory of W."""
    return torch.dot(u, torch.mv(_matrix(weight, weight), columns))


def _matrix(tensor: Tensor, weight: Tensor) -> Tensor:
    """See a tensor of the shape of ``weight`` as a matrix (out, rest), in the order of the memory of ``weight``."""
    return _ordered(tensor, weight).flatten(1)


def _columns(v: Tensor, weight: Tensor) -> Tensor:
    """Bring v (rest,) into the order of the memory of ``weight``."""
    return _ordered(v.view(1, *weight.shape[1:]), weight).flatten()


def _sigma_after_iteration(weight: Tensor, start: Tensor, eps: float) -> Tensor:
    """Compute `u^T W v = |W v|` with v = norm(W^T start), u = norm(W v): a function of W alone."""
    matrix = _ordered(weight, weight).flatten(1)
    v = F.normalize(torch.mv(matrix.t(), start), dim=0, eps=eps)
    sigma: Tensor = torch.linalg.vector_norm(torch.mv(matrix, v))
    return sigma


def _ordered(tensor: Tensor, weight: Tensor) -> Tensor:
    """Permute a tensor of the dimensions of ``weight`` so that they run as those of ``weight`` lie in memory.

    Products of the matrix (out, rest) do not depend on the order of its columns, and a weight in channels-last layout
    is such a matrix without a copy only if height and width come before the input channels.
    """
    return tensor.permute(0, 2, 3, 1) if _is_channels_last(weight) else tensor


def _is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)


def spectral_norm(module: M, eps: float = 1e-12, gradient: SpectralGradient = "stop", side: SpectralSide = "left") -> M:
    """Register spectral normalisation on ``module.weight`` and return the module.

    Initialise the weight first: the vectors start from 15 iterations on the weight that is there. Biases stay as they
    are. Linear, convolution and embedding layers are all seen as matrices (out or classes, rest).

    Raises:
        ValueError: If the weight is already spectrally normalised, or a convolution shall iterate from the right.
    """
    if parametrize.is_parametrized(module, "weight"):
        raise ValueError(f"{type(module).__name__}.weight is already parametrised; normalise it once")
    weight = module.get_parameter("weight")
    parametrize.register_parametrization(module, "weight", SpectralNorm(weight, eps, gradient, side), unsafe=True)
    return module


def spectral_norms(module: nn.Module) -> Iterator[tuple[SpectralNorm, Tensor]]:
    """Yield every spectral normalisation inside ``module`` with the raw weight that it works on."""
    for child in module.modules():
        if isinstance(child, parametrize.ParametrizationList):
            for parametrisation in child:
                if isinstance(parametrisation, SpectralNorm):
                    yield parametrisation, child.original


@torch.no_grad()
def prepare_spectral(network: nn.Module) -> None:
    """Do for all layers of ``network`` together what each would do by itself in the forward that follows.

    Call it at the start of that forward. The values are the same up to rounding. By itself a layer takes some fifteen
    operations to find sigma; here it takes its products with the weight, and the rest is done for all at once, on
    tensors with a row for each layer. On a GPU every operation is a launch, and these take longer to launch than to
    compute. Layers whose gradients flow through u and v are left to themselves.
    """
    alike: dict[object, list[tuple[SpectralNorm, Tensor]]] = {}
    for norm, weight in spectral_norms(network):
        if norm.gradient == "stop":
            alike.setdefault((norm.moves, norm.side, norm.eps, weight.dtype, weight.device), []).append((norm, weight))
    for layers in alike.values():
        norms, weights = [norm for norm, _ in layers], [weight for _, weight in layers]
        with torch.autocast(weights[0].device.type, enabled=False):
            prepared = _moved(norms, weights) if norms[0].moves else _at_rest(norms, weights)
        for norm, u, columns, sigma in zip(norms, *prepared, strict=True):
            norm.prepared = u, columns, sigma


def _moved(norms: list[SpectralNorm], weights: list[Tensor]) -> Prepared:
    """Move all vectors by one iteration, which goes out from one side in all layers."""
    matrices, eps = [_matrix(weight, weight) for weight in weights], norms[0].eps
    old = [norm.u for norm in norms]
    if norms[0].side == "right":
        columns, us, sigmas = _iterated([matrix.t() for matrix in matrices], [norm.v for norm in norms], eps)
    else:
        us, columns, sigmas = _iterated(matrices, old, eps)
    torch._foreach_copy_(old, list(us))
    for norm, weight, column in zip(norms, weights, columns, strict=True):
        ordered = _ordered(norm.v.view(1, *weight.shape[1:]), weight)
        ordered.copy_(column.view_as(ordered))
    return us, columns, sigmas


def _iterated(matrices: list[Tensor], starts: list[Tensor], eps: float) -> Prepared:
    """Do one iteration from the left for each matrix: u, v and sigma of it."""
    rows = F.normalize(_products([matrix.t() for matrix in matrices], starts), dim=1, eps=eps)  # (layers, longest v)
    columns = _parts(rows, [matrix.shape[1] for matrix in matrices])
    products = _products(matrices, columns)
    rows = F.normalize(products, dim=1, eps=eps)  # (layers, longest u)
    return _parts(rows, [len(u) for u in starts]), columns, (rows * products).sum(1)


def _at_rest(norms: list[SpectralNorm], weights: list[Tensor]) -> Prepared:
    """Copy all vectors as they are."""
    columns = [_columns(norm.v, weight) for norm, weight in zip(norms, weights, strict=True)]
    columns = list(torch.split(torch.cat(columns), [len(column) for column in columns]))
    products = _products([_matrix(weight, weight) for weight in weights], columns)
    rows = torch.zeros_like(products)
    us = _parts(rows, [len(norm.u) for norm in norms])
    torch._foreach_copy_(us, [norm.u for norm in norms])
    return us, columns, (rows * products).sum(1)


def _products(matrices: list[Tensor], vectors: Sequence[Tensor]) -> Tensor:
    """Multiply matrices (m_i, n_i) with vectors (n_i,); products are rows, padded with zeros: (layers, largest m_i)."""
    lengths = [len(matrix) for matrix in matrices]
    rows = matrices[0].new_zeros(len(matrices), max(lengths))
    for matrix, vector, out in zip(matrices, vectors, _parts(rows, lengths), strict=True):
        torch.mv(matrix, vector, out=out)
    return rows


def _parts(rows: Tensor, lengths: list[int]) -> list[Tensor]:
    """See the beginnings of rows, without what they are padded with."""
    return [row[:length] for row, length in zip(rows.unbind(), lengths, strict=True)]


@contextmanager
def frozen_spectral(module: nn.Module) -> Iterator[None]:
    """Inside the context no forward of ``module`` moves a spectral vector; other layers behave as before."""
    norms = [norm for norm, _ in spectral_norms(module)]
    before = [norm.frozen for norm in norms]
    try:
        for norm in norms:
            norm.frozen = True
        yield
    finally:
        for norm, frozen in zip(norms, before, strict=True):
            norm.frozen = frozen


def refresh_spectral(module: nn.Module, iterations: int = INITIAL_ITERATIONS) -> None:
    """Iterate every u and v of ``module`` on its present weights, e.g. after the weights were averaged."""
    for norm, weight in spectral_norms(module):
        norm.iterate(weight, iterations)


def folded_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """Give the state of ``module`` with every normalised weight as the plain tensor W / sigma.

    The keys are those of the same network built without spectral normalisation, which loads it and gives the same
    outputs. The module is not changed, and no vector moves.

    (``parametrize.remove_parametrizations`` on a copy is no way: a deep copy shares its class with the original, and
    removing the parametrisation from the one takes the weight from the other.)
    """
    state = {key: value.detach() for key, value in module.state_dict().items() if ".parametrizations." not in f".{key}"}
    with torch.no_grad(), frozen_spectral(module):
        prepare_spectral(module)  # as a forward does: the same sigmas, bit for bit
        for name, child in module.named_modules():
            if parametrize.is_parametrized(child, "weight"):
                state[f"{name}.weight" if name else "weight"] = cast(Tensor, child.weight)
    return state
