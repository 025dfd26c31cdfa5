"""Self-attention over the positions of a feature map: each position mixes in what it finds at every other one.

Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", section 3. Four forms of the block are in use:

========  =====  ===  =====  ===============  ===========  =======================================
form      query  key  value  keys and values  output conv  where it comes from
========  =====  ===  =====  ===============  ===========  =======================================
slides    C/8    C/8  C      all N            none         first version of the paper (May 2018)
official  C/8    C/8  C/2    2x2 max-pooled   C/2 -> C     the authors' released code
paper_v2  C/8    C/8  C/8    all N            C/8 -> C     second version of the paper (ICML 2019)
full      C/8    C/8  C      all N            C -> C       a widespread reimplementation
========  =====  ===  =====  ===============  ===========  =======================================
"""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.choices import AttentionForm, AttentionImplementation, SpectralGradient
from sagan.ops import spectral

# "auto" stores the map while that of one sample has at most this many entries (1 MiB in fp32: up to 32x32 positions in
# the form "official", 16x16 in the others). benchmarks/attention.py, C=256, one AVX2 core, forward + backward, tiled
# over explicit: up to there 0.92 to 1.15 of the time and little memory saved; 32x32 "slides" 1.07 of the time at batch
# 1, 0.87 and two fifths of the memory at batch 16; 64x64 0.84 to 0.86 and a fifth to a half of the memory. Fused took
# longer than tiled from there on. The batch does not count: a batch and its parts then run the same arithmetic.
_EXPLICIT_MAP_ENTRIES = 1 << 18

# Entries of one tile of the map. Times are flat from 2**18 to 2**22; two tiles of this size take 8 MiB in fp32.
_TILE_ENTRIES = 1 << 20


class SelfAttention2d(nn.Module):
    """Self-attention block y = x + gamma * o(x), usable in any convolutional network.

    With query q = W_query x, key k = W_key x and value v = W_value x at each of the N = H*W positions, the attention
    map is the softmax over keys of q k^T (no 1/sqrt(d) scaling), and o is the map applied to the values, followed by
    the output convolution where the form has one. gamma starts at 0: a new block is the identity.

    Names: ``query``, ``key`` and ``value`` are the paper's g, f and h and the official code's theta, phi and g;
    ``gamma`` is the official code's sigma.

    Attributes:
        query: 1x1 convolution C -> C/8.
        key: 1x1 convolution C -> C/8.
        value: 1x1 convolution C -> value width of the form.
        output: 1x1 convolution value width -> C, or None in the form ``slides``.
        gamma: The gate, one number (a tensor without dimensions).
        implementation: How the map is computed, see :func:`attend`; may be changed at any time.

    Args:
        channels: C, divisible by 8.
        form: Which of the four published forms, see the table on top of this module.
        spectral_norm: Normalise the weights of all 1x1 convolutions spectrally.
        bias: Give the 1x1 convolutions biases (zero at the start). No paper and not the official code has them.
        implementation: See :func:`attend`. Gradient penalties differentiate twice and need ``"explicit"``.
        sn_eps: Lower bound of the norms inside the spectral normalisation.
        sn_gradient: Whether gradients flow through its vectors.
        init: Initialises the weight of a 1x1 convolution, in place.

    Shape: x (B, C, H, W) -> (B, C, H, W); H and W even in the form ``official``.

    Raises:
        ValueError: If ``channels`` is not divisible by 8, or the form or implementation is unknown.
    """

    gamma: nn.Parameter
    output: nn.Conv2d | None

    def __init__(
        self,
        channels: int,
        form: AttentionForm = "slides",
        spectral_norm: bool = True,
        bias: bool = False,
        *,
        implementation: AttentionImplementation = "auto",
        sn_eps: float = 1e-12,
        sn_gradient: SpectralGradient = "stop",
        init: Callable[[Tensor], object] = nn.init.xavier_uniform_,
    ) -> None:
        super().__init__()
        _check_channels(channels)
        _check_choice("form", form, get_args(AttentionForm))
        _check_choice("implementation", implementation, get_args(AttentionImplementation))
        self.channels = channels
        self.form = form
        self.implementation = implementation

        value_width = {"slides": channels, "official": channels // 2, "paper_v2": channels // 8, "full": channels}[form]

        def conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
            conv = nn.Conv2d(inputs, outputs, kernel_size=1, bias=bias)
            init(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
            # After the initialisation: the spectral vectors start from the weight that they find.
            return spectral.spectral_norm(conv, sn_eps, sn_gradient) if spectral_norm else conv

        self.query = conv1x1(channels, channels // 8)
        self.key = conv1x1(channels, channels // 8)
        self.value = conv1x1(channels, value_width)
        self.output = None if form == "slides" else conv1x1(value_width, channels)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Give x + gamma * attention.

        Shape: x (B, C, H, W) -> (B, C, H, W).

        Raises:
            ValueError: If ``x`` is not (B, C, H, W) with the block's C, or H or W is odd in the form ``official``.
        """
        self._check_input(x)
        query = _to_sequence(self.query(x))  # (B, N, C/8)
        key, value = self._keys_and_values(x)  # (B, N_key, C/8), (B, N_key, C_value)

        attended = attend(query, key, value, self.implementation)  # (B, N, C_value)
        attended = attended.transpose(1, 2).reshape(x.shape[0], attended.shape[2], *x.shape[2:])  # (B, C_value, H, W)
        if self.output is not None:
            attended = self.output(attended)  # (B, C, H, W)
        return x + self.gamma * attended

    def attention_map(self, x: Tensor, queries: Tensor | Sequence[int] | None = None) -> Tensor:
        """Give the attention map, or the asked rows of it: where each query position looks.

        Row j belongs to the position j = row * W + column of ``x``; its entries run over the key positions in the same
        order on the grid that :meth:`key_grid` tells, lie in [0, 1] and sum to 1. Spectral vectors do not move, in
        training mode neither, so looking at a network does not change it. Gradients flow unless they are switched off.

        Shape: x (B, C, H, W), queries int64 (N_query,) -> (B, N_query, N_key); all H*W queries by default.

        Raises:
            ValueError: If ``x`` does not fit the block (see :meth:`forward`), or ``queries`` is not a flat list of
                integer positions from 0 to H*W - 1.
        """
        self._check_input(x)
        with spectral.frozen_spectral(self):
            query = _to_sequence(self.query(x))
            key, _ = self._keys_and_values(x)
        if queries is not None:
            query = query[:, _query_positions(queries, query.shape[1]).to(query.device)]
        return _softmax_map(query, key)

    def key_grid(self, height: int, width: int) -> tuple[int, int]:
        """Give height and width of the grid of keys for an input of H x W: half of both in the form ``official``.

        Raises:
            ValueError: If the form is ``official`` and ``height`` or ``width`` is odd.
        """
        if self.form != "official":
            return height, width
        if height % 2 or width % 2:
            raise ValueError(
                f"the form 'official' pools keys and values 2x2 and needs even height and width, found "
                f"{height}x{width}; choose an even size or the form 'slides'"
            )
        return height // 2, width // 2

    def extra_repr(self) -> str:
        """Name the choices that the submodules do not show."""
        return f"channels={self.channels}, form={self.form!r}, implementation={self.implementation!r}"

    def _keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        key, value = self.key(x), self.value(x)
        if self.form == "official":  # pooled after the convolutions, not before: the two orders differ
            key, value = F.max_pool2d(key, 2), F.max_pool2d(value, 2)
        return _to_sequence(key), _to_sequence(value)

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"attention takes (B, {self.channels}, H, W), found {tuple(x.shape)}")
        self.key_grid(x.shape[2], x.shape[3])


def attend(query: Tensor, key: Tensor, value: Tensor, implementation: AttentionImplementation = "auto") -> Tensor:
    """Give softmax(query key^T) value, the softmax over keys and without a scale.

    Implementations, equal up to rounding:

    - ``"explicit"``: two matrix products and a softmax. Stores the map, about four times in the backward pass. The only
      one that can be differentiated twice; the others raise RuntimeError there.
    - ``"fused"``: PyTorch's ``scaled_dot_product_attention``; never stores the map where PyTorch has a kernel for the
      device and dtype.
    - ``"tiled"``: a block of queries at a time; the backward pass computes the map again. Works in fp32 or fp64 on any
      device; lower precision is raised to fp32.
    - ``"auto"``: explicit while the map of one sample is small, beyond that tiled on the CPU and fused elsewhere (and
      when compiling or exporting, which cannot see into the tiled one).

    Shape: query (B, N_query, d), key (B, N_key, d), value (B, N_key, d_v) -> (B, N_query, d_v).

    Raises:
        ValueError: If the implementation is unknown.
    """
    _check_choice("implementation", implementation, get_args(AttentionImplementation))
    if implementation == "auto":
        if query.shape[1] * key.shape[1] <= _EXPLICIT_MAP_ENTRIES:
            implementation = "explicit"
        elif query.device.type == "cpu" and not torch.compiler.is_compiling():
            implementation = "tiled"
        else:
            implementation = "fused"
    if implementation == "explicit":
        return _softmax_map(query, key) @ value
    return _attend_fused(query, key, value) if implementation == "fused" else _attend_tiled(query, key, value)


def _softmax_map(query: Tensor, key: Tensor) -> Tensor:
    """Give softmax over keys of query key^T: (B, N_query, d), (B, N_key, d) -> (B, N_query, N_key)."""
    return torch.softmax(query @ key.transpose(1, 2), dim=2)


def _attend_fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # The kernels want (B, heads, N, d) with one width for all three and a contiguous last dimension, those of GPUs a
    # multiple of 8 as well; given anything else PyTorch stores the map without a word. Zeros at the end of query and
    # key change no product, and those of the value are cut off again.
    value_width = value.shape[2]
    width = (max(query.shape[2], value_width) + 7) // 8 * 8
    query, key, value = (F.pad(t, (0, width - t.shape[2])).contiguous().unsqueeze(1) for t in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # the default scale is 1/sqrt(d)
    return attended.squeeze(1)[..., :value_width]


def _attend_tiled(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    dtype = torch.promote_types(value.dtype, torch.float32)
    # Autocast is switched off because it would lower the products inside again.
    with torch.autocast(query.device.type, enabled=False):
        attended: Tensor = _TiledAttention.apply(query.to(dtype), key.to(dtype), value.to(dtype))  # type: ignore[no-untyped-call]
    return attended.to(value.dtype)


class _TiledAttention(torch.autograd.Function):
    """softmax(Q K^T) V over blocks of queries; keeps the log-sum-exp of each row to compute the map again.

    Rabe and Staats 2021, "Self-attention Does Not Need O(n^2) Memory", with the gradient of Dao et al. 2022,
    "FlashAttention", section 3.1: dS = P * (dO V^T - rowsum(dO * O)). A tile holds whole rows, so no running maximum is
    needed, and all that has the size of a tile lives in buffers that are made once.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        attended = value.new_empty(query.shape[0], query.shape[1], value.shape[2])
        log_sums = query.new_empty(query.shape[0], query.shape[1], 1)
        buffer = _tile(query, key)
        for b in range(query.shape[0]):
            for rows in _row_blocks(query, buffer):
                weights = torch.mm(query[b, rows], key[b].t(), out=buffer[: rows.stop - rows.start])  # (T, N_key)
                maxima = weights.amax(1, keepdim=True)
                sums = weights.sub_(maxima).exp_().sum(1, keepdim=True)
                torch.mm(weights, value[b], out=attended[b, rows]).div_(sums)
                torch.add(maxima, sums.log_(), out=log_sums[b, rows])
        ctx.save_for_backward(query, key, value, attended, log_sums)
        return attended

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if torch.is_grad_enabled():
            # PyTorch's once_differentiable would let the gradient pass as a constant when ``grad`` is one.
            raise RuntimeError(
                "tiled attention has no second derivative, and gradients were asked for with create_graph=True; "
                "use implementation='explicit' (an attribute of SelfAttention2d)"
            )
        query, key, value, attended, log_sums = ctx.saved_tensors
        d_query = torch.empty_like(query)
        # Summed up as (B, width, N_key): the product that adds to narrow rows took 1.3 to 11 times as long (AVX-512).
        d_key, d_value = (t.new_zeros(t.shape[0], t.shape[2], t.shape[1]) for t in (key, value))
        # rowsum(dO * O), which is also rowsum(dP * P): what the softmax takes off every entry of its row.
        row_means = torch.einsum("bnc,bnc->bn", grad, attended).unsqueeze(2)
        buffer, d_buffer = _tile(query, key), _tile(query, key)
        for b in range(query.shape[0]):
            for rows in _row_blocks(query, buffer):
                size = rows.stop - rows.start
                weights = torch.mm(query[b, rows], key[b].t(), out=buffer[:size]).sub_(log_sums[b, rows]).exp_()
                d_value[b].addmm_(grad[b, rows].t(), weights)
                d_logits = torch.mm(grad[b, rows], value[b].t(), out=d_buffer[:size])
                d_logits.sub_(row_means[b, rows]).mul_(weights)
                d_query[b, rows] = d_logits @ key[b]
                d_key[b].addmm_(query[b, rows].t(), d_logits)
        return d_query, d_key.transpose(1, 2), d_value.transpose(1, 2)


def _tile(query: Tensor, key: Tensor) -> Tensor:
    """Make the buffer for a block of rows of the map: (T, N_key)."""
    rows = max(1, min(query.shape[1], _TILE_ENTRIES // max(1, key.shape[1])))
    return query.new_empty(rows, key.shape[1])


def _row_blocks(query: Tensor, tile: Tensor) -> list[slice]:
    """Cut the queries into blocks of at most as many rows as the tile has."""
    count, size = query.shape[1], tile.shape[0]
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _to_sequence(features: Tensor) -> Tensor:
    """Turn (B, c, H, W) into (B, H*W, c) without a copy."""
    return features.flatten(2).transpose(1, 2)


def _query_positions(queries: Tensor | Sequence[int], count: int) -> Tensor:
    positions = torch.as_tensor(queries)
    if positions.numel() == 0:
        positions = positions.long()
    if positions.ndim != 1 or positions.dtype != torch.int64:
        raise ValueError(
            f"queries are a flat list of integer positions (int64), found {positions.dtype} of shape "
            f"{tuple(positions.shape)}"
        )
    outside = positions[(positions < 0) | (positions >= count)]
    if outside.numel():
        raise ValueError(f"queries lie from 0 to {count - 1} (row * width + column), found {int(outside[0])}")
    return positions


def _check_channels(channels: int) -> None:
    if channels < 8 or channels % 8:
        raise ValueError(
            f"attention needs a number of channels divisible by 8 (query and key have an eighth), found {channels}"
        )


def _check_choice(what: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ValueError(f"unknown attention {what} {found!r}; choose one of {', '.join(known)}")
