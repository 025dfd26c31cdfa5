"""Spectral normalisation: a weight divided by its largest singular value, tracked by power iteration.

Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1. A weight W is seen as a
matrix (out, rest). One iteration is v = norm(W^T u), u = norm(W v); then sigma = u^T W v and the layer uses W / sigma.
u and v carry no gradient. They move once per forward in training mode, never in evaluation mode, and never inside
:func:`frozen_spectral` - the G step runs D like that.

PyTorch's own ``parametrizations.spectral_norm`` has no such switch: in training mode each access of the weight moves
its vectors. Evaluation mode would stop them, but it also changes every other layer that knows of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

M = TypeVar("M", bound=nn.Module)

INITIAL_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """The parametrisation that :func:`spectral_norm` registers; ``forward`` maps the raw weight to W / sigma.

    Attributes:
        u: Left singular vector estimate, (out,), norm 1.
        v: Right singular vector estimate, (rest,), norm 1.
        frozen: While True, ``forward`` leaves u and v where they are also in training mode.
        eps: Lower bound of the norms that u and v are divided by.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, eps: float = 1e-12) -> None:
        super().__init__()
        self.eps = eps
        self.frozen = False
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn_like(matrix[:, 0]), dim=0, eps=eps))
        self.register_buffer("v", F.normalize(torch.randn_like(matrix[0]), dim=0, eps=eps))
        self.iterate(weight, INITIAL_ITERATIONS)

    @torch.no_grad()
    def iterate(self, weight: Tensor, iterations: int = 1) -> None:
        """Move u and v towards the first singular vectors of ``weight`` (out, ...), in place."""
        matrix = weight.flatten(1)
        for _ in range(iterations):
            torch.mv(matrix.t(), self.u, out=self.v)
            F.normalize(self.v, dim=0, eps=self.eps, out=self.v)
            torch.mv(matrix, self.v, out=self.u)
            F.normalize(self.u, dim=0, eps=self.eps, out=self.u)

    def forward(self, weight: Tensor) -> Tensor:
        """Give W / sigma, of the shape of ``weight``."""
        if self.training and not self.frozen:
            self.iterate(weight)
        # Copies: backward still needs these values when a later forward has already moved the buffers.
        u, v = self.u.clone(), self.v.clone()
        # On GPUs autocast lowers this product too, and every layer would be scaled by a sigma of three digits.
        with torch.autocast(weight.device.type, enabled=False):
            sigma = torch.dot(u, torch.mv(weight.flatten(1), v))
        return weight / sigma


def spectral_norm(module: M, eps: float = 1e-12) -> M:
    """Register spectral normalisation on ``module.weight`` and return the module.

    Initialise the weight first: the vectors start from 15 iterations on the weight that is there. Biases stay as they
    are. Linear, convolution and embedding layers are all seen as matrices (out or classes, rest).

    Raises:
        ValueError: If the weight is already spectrally normalised.
    """
    if parametrize.is_parametrized(module, "weight"):
        raise ValueError(f"{type(module).__name__}.weight is already parametrised; normalise it once")
    weight = module.get_parameter("weight")
    parametrize.register_parametrization(module, "weight", SpectralNorm(weight, eps), unsafe=True)
    return module


def spectral_norms(module: nn.Module) -> Iterator[tuple[SpectralNorm, Tensor]]:
    """Yield every spectral normalisation inside ``module`` with the raw weight that it works on."""
    for child in module.modules():
        if isinstance(child, parametrize.ParametrizationList):
            for parametrisation in child:
                if isinstance(parametrisation, SpectralNorm):
                    yield parametrisation, child.original


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
        for name, child in module.named_modules():
            if parametrize.is_parametrized(child, "weight"):
                state[f"{name}.weight" if name else "weight"] = cast(Tensor, child.weight)
    return state
