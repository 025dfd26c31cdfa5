"""What the two networks are made of: their configurations and width tables. Without PyTorch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, Literal, get_args

from sagan.choices import AttentionForm, Conditioning, FrozenFeatures, SpectralGradient
from sagan.sizes import Size, size_of, written

Init = Literal["xavier", "chainer", "orthogonal"]
SamplingNorm = Literal["standing", "running"]
Head = Literal["projection", "auxiliary", "none"]
Width = Literal["wide", "thin"]
WidthPlan = Literal["published", "biggan", "first"]
BiasStart = Literal["zeros", "linear", "all"]
ClassStart = Literal["identity", "weights"]
ClassVectors = Literal["classes", "channels"]
StartGrid = tuple[int, int]
Upsampling = Literal["nearest", "bilinear"]
NoiseEntry = Literal["start", "chunks", "whole"]

START, LONGEST = 4, 16
"""Shorter side of the first feature map, and the most that its longer side may have."""

# Channels of the generator in multiples of base_width: the start, 4x4 if square, then the output of each block.
GENERATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    256: (16, 16, 8, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    64: (16, 8, 4, 2, 1),
    32: (4, 4, 4, 4),
    16: (4, 4, 4),
}
# Channels of each block of the discriminator in multiples of base_width, and how many blocks, from the first, halve the
# size.
DISCRIMINATOR_WIDTHS: dict[int, tuple[int, ...]] = {
    256: (1, 2, 4, 8, 8, 16, 16),
    128: (1, 2, 4, 8, 16, 16),
    64: (1, 2, 4, 8, 16),
    32: (2, 2, 2, 2),
    16: (2, 2, 2),
}
DOWN_BLOCKS: dict[int, int] = {256: 6, 128: 5, 64: 4, 32: 2, 16: 1}
# What a width plan has otherwise: BigGAN-PyTorch's own, and those of this project's first version.
OTHER_GENERATOR_WIDTHS: dict[WidthPlan, dict[int, tuple[int, ...]]] = {
    "published": {},
    "biggan": {64: (16, 16, 8, 4, 2)},
    "first": {256: (16, 16, 16, 8, 4, 2, 1)},
}
OTHER_DISCRIMINATOR_WIDTHS: dict[WidthPlan, dict[int, tuple[int, ...]]] = {
    "published": {},
    "biggan": {32: (4, 4, 4, 4)},
    "first": {256: (1, 2, 4, 8, 16, 16, 16)},
}
# Channels of the maps that a frozen network gives, each half the size of the one before; the first has a quarter of the
# image's.
FEATURE_WIDTHS: dict[FrozenFeatures, tuple[int, ...]] = {"none": (), "efficientnet-lite0": (24, 40, 112, 320)}


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """What a generator is made of.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    size_px: int = 128
    """Shorter side of the images, in pixels (both sides, where they are square): 16, 32, 64, 128 or 256."""
    start_grid: StartGrid = (4, 4)
    """Rows and columns of the first feature map, the shorter 4; its shape is that of the images: `4 6` at 64 px is 64
    pixels high and 96 wide. --size 64x96 sets it in both networks."""
    num_classes: int = 1000
    """Number of classes; 0 is unconditional. Training sets it from the data."""
    z_dim: int = 128
    """Width of the noise vector z."""
    noise_entry: NoiseEntry = "start"
    """Where noise enters: at the `start` alone; in `chunks`, one for the start and one for the batch normalisations of
    each block, the first ones a number longer where it does not divide (BigGAN); or the `whole` noise in all of these
    places (BigGAN-deep)."""
    base_width: int = 64
    """Channels of the narrowest published layer (`ch`); 64 gives the published widths at every size."""
    width_plan: WidthPlan = "published"
    """Widths of the layers: of Miyato and Koyama up to 128 px, of BigGAN-PyTorch and StudioGAN at 256 px; `biggan`
    is BigGAN-PyTorch's at every size; `first` is what 256 px had in version 0.1."""
    attention: tuple[int, ...] | None = None
    """Feature maps, by their shorter side, with self-attention, e.g. `8 16`; unset is size/4 (size/2 up to 32
    px), empty is none."""
    attention_form: AttentionForm = "slides"
    """Which published form the attention block has."""
    residual: tuple[int, ...] = ()
    """Feature maps, by their shorter side, with the residual block of the ablation in attention's place."""
    residual_ratio: int | None = None
    """Bottleneck ratio of the ablation block; unset matches the attention block's number of weights."""
    spectral_norm: bool = True
    """Spectral normalisation on every convolution, linear and attention layer (never on class tables)."""
    sn_eps: float = 1e-12
    """Lower bound of the norms in the power iteration."""
    sn_eps_linear: float | None = None
    """The same of linear and embedding layers; unset is `sn_eps` (mmgeneration: 1e-12 beside 1e-8)."""
    sn_gradient: SpectralGradient = "stop"
    """Whether the gradient takes the singular vectors for constants (`stop`, the paper) or goes through the iteration
    that made them (`full`, official code): at first up to 40 % apart, at convergence the same."""
    init: Init = "xavier"
    """How weights start: `xavier` (official code), `chainer` (the same with gain sqrt(2) in the 3x3 convolutions of
    blocks; SNGAN-projection) or `orthogonal` (StudioGAN)."""
    bias_start: BiasStart = "zeros"
    """How biases start: all at 0, those of `linear` layers at PyTorch's default (uniform up to 1 / sqrt(fan in);
    mmgeneration), or `all` there (BigGAN-PyTorch)."""
    class_conditioning: Conditioning = "tables"
    """Gain and bias of batch normalisation: plain numbers for each class (`tables`, official code), or `linear` maps of
    the class, spectrally normalised where the generator is (StudioGAN)."""
    class_start: ClassStart = "identity"
    """How tables start: gains at 1 and biases at 0, or at 1 and at 0 plus numbers that start like every other weight
    (`weights`: BigGAN-PyTorch, mmgeneration); linear maps always start so."""
    class_vectors: ClassVectors = "classes"
    """From which side the spectral vectors of `linear` maps iterate, half a step apart: from the vector with an entry a
    `classes`, as D's embedding does, or from that of the `channels` (StudioGAN)."""
    bn_eps: float = 1e-5
    """Added to the variance in batch normalisation."""
    bn_momentum: float = 0.1
    """How fast running statistics move (0 to 1); they matter where `sampling_norm` is `running`."""
    bn_momentum_last: float | None = None
    """The same of the last batch normalisation, after all blocks; unset is `bn_momentum` (official code: 0.001 and
    0.0001)."""
    bn_biased: bool = False
    """Whether running variances average the biased variances of batches (official code) or the unbiased (PyTorch)."""
    sampling_norm: SamplingNorm = "standing"
    """What batch normalisation uses for sampling: `standing` statistics, computed anew, or the `running` averages
    (latest official code), which need many updates to be usable."""
    upsampling: Upsampling = "nearest"
    """How blocks double the size: `nearest`, or `bilinear` without aligned corners (mimicry)."""
    narrow_largest: int = 0
    """So many blocks, from the one at the largest size, have half the channels that the plan says, rounded up: what is
    computed at many positions gets cheaper."""
    single_largest: int = 0
    """So many blocks, from the one at the largest size, have one 3x3 convolution and not two."""
    inside: int | None = None
    """Of a network that grows: `size_px` of the one that this is the inner part of, with its widths; unset is whole."""
    fades: bool = False
    """Of a network that grows: its largest block fades in over `train.fade_steps` beside the head of the network of
    half the size, whose weights `--init-from` brings (`sagan train --grow` does all of it)."""
    fold: bool = True
    """Compute the blocks' 3x3 convolutions in the form that is fastest on the device, equal up to rounding."""

    def __post_init__(self) -> None:
        if self.size_px not in GENERATOR_WIDTHS:
            raise ValueError(f"size_px must be one of {sorted(GENERATOR_WIDTHS)}, found {self.size_px}")
        check_grid(self.start_grid)
        for field, least in (("num_classes", 0), ("z_dim", 1), ("base_width", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"{field} must be at least {least}, found {getattr(self, field)}")
        if self.attention_form not in get_args(AttentionForm):
            known = ", ".join(get_args(AttentionForm))
            raise ValueError(f"attention_form must be one of {known}, found {self.attention_form!r}")
        for field, kind in (
            ("sn_gradient", SpectralGradient),
            ("init", Init),
            ("class_conditioning", Conditioning),
            ("class_start", ClassStart),
            ("class_vectors", ClassVectors),
            ("bias_start", BiasStart),
            ("width_plan", WidthPlan),
            ("upsampling", Upsampling),
            ("noise_entry", NoiseEntry),
            ("sampling_norm", SamplingNorm),
        ):
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
        check_growing(self)
        places = len(GENERATOR_WIDTHS[self.whole_px])
        check_largest(self, places - 1)
        if self.noise_entry == "chunks" and self.z_dim < places:
            raise ValueError(f"z_dim must be at least {places} for noise_entry chunks at this size, found {self.z_dim}")
        for field in ("bn_momentum", "bn_momentum_last"):
            momentum = getattr(self, field)
            if momentum is not None and not 0.0 < momentum <= 1.0:
                raise ValueError(f"{field} must be in (0, 1], found {momentum}")
        check_eps(self, "sn_eps", "sn_eps_linear", "bn_eps")
        check_positions("generator", self.positions, self.attention_positions, self.residual, self.residual_ratio)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return scaled(self.start_grid, self.size_px)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the start and of each block's output."""
        plan = GENERATOR_WIDTHS | OTHER_GENERATOR_WIDTHS[self.width_plan]
        widths = [multiple * self.base_width for multiple in plan[self.whole_px]]
        return tuple(halved(widths[::-1], self.narrow_largest)[::-1][: len(GENERATOR_WIDTHS[self.size_px])])

    @property
    def whole_px(self) -> int:
        """Size of the network that this is, or is the inner part of."""
        return self.inside or self.size_px

    @property
    def noise_parts(self) -> tuple[tuple[int, int], ...]:
        """Which numbers of the noise, from and up to, the start hears, and the blocks in their order."""
        places, whole = len(GENERATOR_WIDTHS[self.size_px]), len(GENERATOR_WIDTHS[self.whole_px])
        if self.noise_entry == "whole":
            return ((0, self.z_dim),) * places
        if self.noise_entry == "start":
            return ((0, self.z_dim), *((0, 0),) * (places - 1))
        least, longer = divmod(self.z_dim, whole)
        ends = [i * least + min(i, longer) for i in range(places + 1)]
        return tuple(pairwise(ends))

    @property
    def positions(self) -> dict[int, int]:
        """Where attention can be: {shorter side of a block's output: its channels}."""
        return {8 * 2**i: width for i, width in enumerate(self.widths[1:])}

    @property
    def attention_positions(self) -> tuple[int, ...]:
        """Where attention is: the field, or its default; of an inner part that of the whole, as far as it has it."""
        wanted = default_attention(self.whole_px) if self.attention is None else self.attention
        return tuple(k for k in wanted if self.inside is None or k in self.positions)


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """What a discriminator is made of.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    size_px: int = 128
    """Shorter side of the images, in pixels (both sides, where they are square): 16, 32, 64, 128 or 256."""
    start_grid: StartGrid = (4, 4)
    """Rows and columns of the first feature map, the shorter 4; its shape is that of the images: `4 6` at 64 px is 64
    pixels high and 96 wide. --size 64x96 sets it in both networks."""
    num_classes: int = 1000
    """Number of classes; 0 is unconditional and needs no head. Training sets it from the data."""
    features: FrozenFeatures = "none"
    """Judge what a frozen ImageNet network sees, in place of the picture: small heads look at four of its maps, one
    more at the picture itself, and each of them judges places (Projected GAN). Better pictures in far fewer steps from
    small networks; values made with the same network then say nothing. `efficientnet-lite0` needs its package."""
    features_enlarge: int = 1
    """With `features`, the frozen network sees the picture enlarged so many times (bilinear): 1, 2, 4 or 8. At 32 px
    its maps are 8, 4, 2 and 1 px wide, and with 2 twice that, for more time a step; attention is placed on these."""
    base_width: int = 64
    """Channels of the narrowest published layer (`ch`); 64 gives the published widths at every size. With `features`
    heads have 4 and 8 times as many."""
    width_plan: WidthPlan = "published"
    """Widths of the layers: of Miyato and Koyama up to 128 px, of BigGAN-PyTorch and StudioGAN at 256 px; `biggan`
    is BigGAN-PyTorch's at every size; `first` is what 256 px had in version 0.1."""
    attention: tuple[int, ...] | None = None
    """Feature maps, by their shorter side, with self-attention, e.g. `8 16`; unset is size/4 (size/2 up to 32
    px), empty is none."""
    attention_form: AttentionForm = "slides"
    """Which published form the attention block has."""
    residual: tuple[int, ...] = ()
    """Feature maps, by their shorter side, with the residual block of the ablation in attention's place."""
    residual_ratio: int | None = None
    """Bottleneck ratio of the ablation block; unset matches the attention block's number of weights."""
    attention_repeat: bool = False
    """Attention after every block whose output has that side, not after the first one alone (BigGAN-PyTorch)."""
    spectral_norm: bool = True
    """Spectral normalisation on every layer, the class embedding included."""
    sn_eps: float = 1e-12
    """Lower bound of the norms in the power iteration."""
    sn_eps_linear: float | None = None
    """The same of linear and embedding layers; unset is `sn_eps` (mmgeneration: 1e-12 beside 1e-8)."""
    sn_gradient: SpectralGradient = "stop"
    """Whether the gradient takes the singular vectors for constants (`stop`, the paper) or goes through the iteration
    that made them (`full`, official code): at first up to 40 % apart, at convergence the same."""
    init: Init = "xavier"
    """How weights start: `xavier` (official code), `chainer` (the same with gain sqrt(2) in the 3x3 convolutions of
    blocks; SNGAN-projection) or `orthogonal` (StudioGAN)."""
    bias_start: BiasStart = "zeros"
    """How biases start: all at 0, those of `linear` layers at PyTorch's default (uniform up to 1 / sqrt(fan in);
    mmgeneration), or `all` there (BigGAN-PyTorch)."""
    width: Width = "wide"
    """Hidden channels of a block: its output's (`wide`, SAGAN) or its input's (`thin`, SNGAN-projection)."""
    thin_first: bool = False
    """With `thin` also in the first block, which then has the image's 3 (BigGAN-PyTorch's `D_thin`)."""
    head: Head = "projection"
    """How the class enters: `projection`, `auxiliary` classifier (AC-GAN), or `none`."""
    last_block_down: bool = False
    """Whether the last block halves the size too (the 64 px network of SNGAN-projection)."""
    linear_bias: bool = True
    """Whether the last linear layer has a bias (the 32 px network of SNGAN-projection has none)."""
    shortcut_relu: bool = False
    """Whether shortcuts see the activated input of their block, as an in-place ReLU has it (StudioGAN)."""
    narrow_largest: int = 0
    """So many blocks, from the one at the largest size, have half the channels that the plan says, rounded up: what is
    computed at many positions gets cheaper."""
    single_largest: int = 0
    """So many blocks, from the one at the largest size, have one 3x3 convolution and not two."""
    inside: int | None = None
    """Of a network that grows: `size_px` of the one that this is the inner part of, with its widths; unset is whole."""
    fades: bool = False
    """Of a network that grows: its largest block fades in over `train.fade_steps` beside the head of the network of
    half the size, whose weights `--init-from` brings (`sagan train --grow` does all of it)."""
    fold: bool = True
    """Compute the blocks' 3x3 convolutions in the form that is fastest on the device, equal up to rounding."""

    def __post_init__(self) -> None:
        if self.size_px not in DISCRIMINATOR_WIDTHS:
            raise ValueError(f"size_px must be one of {sorted(DISCRIMINATOR_WIDTHS)}, found {self.size_px}")
        check_grid(self.start_grid)
        for field, least in (("num_classes", 0), ("base_width", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"{field} must be at least {least}, found {getattr(self, field)}")
        for field, kind in (
            ("head", Head),
            ("width", Width),
            ("attention_form", AttentionForm),
            ("sn_gradient", SpectralGradient),
            ("init", Init),
            ("bias_start", BiasStart),
            ("width_plan", WidthPlan),
            ("features", FrozenFeatures),
        ):
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
        check_eps(self, "sn_eps", "sn_eps_linear")
        self._check_features()
        check_growing(self)
        check_largest(self, len(DISCRIMINATOR_WIDTHS[self.whole_px]))
        if self.thin_first and self.width != "thin":
            raise ValueError("thin_first goes with width thin")
        check_positions("discriminator", self.positions, self.attention_positions, self.residual, self.residual_ratio)
        self._check_halves()

    def _check_features(self) -> None:
        """Check that nothing is asked for that heads on features do not have."""
        if type(self.features_enlarge) is not int or self.features_enlarge not in (1, 2, 4, 8):
            raise ValueError(f"features_enlarge must be 1, 2, 4 or 8, found {self.features_enlarge!r}")
        if self.features == "none":
            if self.features_enlarge != 1:
                raise ValueError("features_enlarge is for a frozen network; name one with features, or leave it out")
            return
        if self.head == "auxiliary":
            raise ValueError("head auxiliary does not go with features; take head projection or none")
        at_rest = {field.name: field.default for field in fields(self)}
        idle = [name for name in OF_BLOCKS if getattr(self, name) != at_rest[name]]
        if {"inside", "fades"} & {*idle}:
            raise ValueError("networks that grow (--grow) have blocks, and with features D has none; leave one out")
        if idle:
            raise ValueError(f"{idle[0]} is of the discriminator's blocks, and with features it has none; leave it out")

    def _check_halves(self) -> None:
        """Check that maps which are halved have even sides: of a rectangle's last ones the longer may be odd."""
        if self.features != "none":  # maps are rounded up, and attention is at larger ones alone
            return
        last, odd = min(self.heights), max(self.start_grid) % 2 == 1
        if odd and last < START:
            raise ValueError(
                f"last_block_down would halve a map of {'x'.join(map(str, self.start_grid))}; choose a longer side "
                f"that is a multiple of {self.size_px // 2} px, or leave last_block_down off"
            )
        if odd and self.attention_form == "official" and START in self.attention_positions:
            raise ValueError(
                f"attention_form official pools 2x2 and feat{START} of the discriminator is "
                f"{'x'.join(map(str, self.start_grid))}; put attention at another feature map, or choose a longer side "
                f"that is a multiple of {self.size_px // 2} px"
            )

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return scaled(self.start_grid, self.size_px)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each block's output; with ``features`` those of the picture and of the maps."""
        if self.features != "none":
            return (3, *FEATURE_WIDTHS[self.features])
        plan = DISCRIMINATOR_WIDTHS | OTHER_DISCRIMINATOR_WIDTHS[self.width_plan]
        widths = [multiple * self.base_width for multiple in plan[self.whole_px]]
        return tuple(halved(widths, self.narrow_largest)[self.outer_blocks :])

    @property
    def whole_px(self) -> int:
        """Size of the network that this is, or is the inner part of."""
        return self.inside or self.size_px

    @property
    def outer_blocks(self) -> int:
        """How many blocks the whole network has in front of these."""
        return (self.whole_px // self.size_px).bit_length() - 1

    @property
    def colour_width(self) -> int | None:
        """Channels that the colours of an image are mapped to in front of an inner part; None where a block sees it."""
        if self.inside is None:
            return None
        half = replace(self, size_px=2 * self.size_px, inside=None if 2 * self.size_px == self.inside else self.inside)
        return half.widths[0]

    @property
    def downs(self) -> tuple[bool, ...]:
        """Whether each block halves the size."""
        blocks = len(DISCRIMINATOR_WIDTHS[self.whole_px])
        downs = [i < DOWN_BLOCKS[self.whole_px] or (self.last_block_down and i == blocks - 1) for i in range(blocks)]
        return tuple(downs[self.outer_blocks :])

    @property
    def positions(self) -> dict[int, int]:
        """Where attention can be: {shorter side of a feature map: channels of the FIRST block's output of that}."""
        positions: dict[int, int] = {}
        for width, height in zip(self.widths, self.heights, strict=True):
            if self.features == "none" or (width > 3 and height > START):
                positions.setdefault(height, width)
        return positions

    @property
    def attention_positions(self) -> tuple[int, ...]:
        """Where attention is: the field, or its default; of an inner part that of the whole, as far as it has it."""
        wanted = default_attention(self.whole_px) if self.attention is None else self.attention
        partly = self.inside is not None or (self.features != "none" and self.attention is None)
        return tuple(k for k in wanted if not partly or k in self.positions)

    @property
    def heights(self) -> tuple[int, ...]:
        """Shorter side of each block's output; with ``features`` of the picture at half the size, and of the maps."""
        if self.features != "none":
            seen = self.features_enlarge * self.size_px
            return (self.size_px // 2, *(-(-seen // 2 ** (i + 1)) for i in range(1, len(self.widths))))
        return tuple(self.size_px // 2 ** sum(self.downs[: i + 1]) for i in range(len(self.downs)))


OF_BLOCKS = (
    "width_plan",
    "residual",
    "residual_ratio",
    "attention_repeat",
    "width",
    "thin_first",
    "last_block_down",
    "linear_bias",
    "shortcut_relu",
    "narrow_largest",
    "single_largest",
    "inside",
    "fades",
)
"""Fields of a discriminator that say nothing where heads on features take the place of its blocks."""


def halved(widths: Sequence[int], count: int) -> list[int]:
    """Give widths of which the first ``count`` are half as large, rounded up."""
    return [(width + 1) // 2 if i < count else width for i, width in enumerate(widths)]


def check_largest(config: GeneratorConfig | DiscriminatorConfig, blocks: int) -> None:
    """Check how many blocks shall be cheaper.

    Raises:
        ValueError: If there are not so many.
    """
    for field in ("narrow_largest", "single_largest"):
        if not 0 <= getattr(config, field) <= blocks:
            raise ValueError(f"{field} must be from 0 to the {blocks} blocks, found {getattr(config, field)}")


def check_eps(config: GeneratorConfig | DiscriminatorConfig, *names: str) -> None:
    """Check what keeps divisors above 0; unset fields take another's.

    Raises:
        ValueError: If one is not above 0, or not finite.
    """
    for name in names:
        eps = getattr(config, name)
        if eps is not None and not 0.0 < eps < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, found {eps}")


def check_growing(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Check the fields of a network that grows.

    Raises:
        ValueError: If there is no such network.
    """
    inside, size_px = config.inside, config.size_px
    if inside is not None and not (inside in GENERATOR_WIDTHS and inside > size_px):
        raise ValueError(f"inside must be a size of networks above size_px {size_px}, found {inside}")
    if config.fades and size_px == min(GENERATOR_WIDTHS):
        raise ValueError(f"fades needs a network of half the size, and there is none below {size_px} px")
    if (inside or config.fades) and config.residual:
        raise ValueError("networks that grow have no blocks of the ablation; leave residual empty")


def scaled(grid: StartGrid, shorter: int) -> tuple[int, int]:
    """Give rows and columns of what has the shape of a start grid and this shorter side."""
    return grid[0] * shorter // START, grid[1] * shorter // START


def check_grid(grid: StartGrid) -> None:
    """Check the shape of the first feature map.

    Raises:
        ValueError: If it is none that images can grow from.
    """
    if len(grid) != 2 or min(grid) != START or max(grid) > LONGEST:
        raise ValueError(
            f"start_grid must be rows and columns, the shorter {START} and the longer at most {LONGEST}, found {grid}"
        )


def network_size(size: Size) -> tuple[int, StartGrid]:
    """Give ``size_px`` and ``start_grid`` of networks for images of a size.

    Raises:
        ValueError: If it is no size, or there are none; the sentence starts with ``size``.
    """
    height, width = size_of(size)
    shorter, longer = min(height, width), max(height, width)
    if shorter not in GENERATOR_WIDTHS:
        sides = _or(sorted(GENERATOR_WIDTHS))
        raise ValueError(f"size must be one of {sides} px, or have one as its shorter side, found {written(size)}")
    if longer * START % shorter or longer * START > LONGEST * shorter:
        step = shorter // START
        fits = [f"{side}" for side in range(shorter, LONGEST * step + 1, step)]
        raise ValueError(
            f"size {written(size)} is none of the networks: with a shorter side of {shorter} the longer is one of "
            f"{_or(fits)} px"
        )
    return shorter, (height * START // shorter, width * START // shorter)


def _or(choices: Sequence[object]) -> str:
    return f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"


def with_first_widths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the stored fields of a network from before there were width plans: at 256 px widths were others then."""
    before = values.get("size_px") == 256 and "width_plan" not in values and values.get("features", "none") == "none"
    first = {"width_plan": "first"} if before else {}
    return {**values, **first}


LATER = (
    "start_grid",
    "width_plan",
    "sn_eps_linear",
    "bias_start",
    "class_start",
    "class_vectors",
    "upsampling",
    "narrow_largest",
    "single_largest",
    "noise_entry",
    "inside",
    "fades",
)
"""Fields of a generator that came after version 0.1."""


def lasting_fields(config: GeneratorConfig) -> dict[str, Any]:
    """Give the fields that say which network this is, the same as before there were others: those at rest count not."""
    at_rest = {field.name: field.default for field in fields(config)}
    if config.size_px == 256:
        at_rest["width_plan"] = "first"
    return {name: value for name, value in asdict(config).items() if name not in LATER or value != at_rest[name]}


def default_attention(size_px: int) -> tuple[int, ...]:
    """Where attention is when nothing is said: a quarter of the image size, half of it at 32 px and below."""
    return (size_px // 2,) if size_px <= 32 else (size_px // 4,)


def check_positions(
    network: str,
    available: dict[int, int],
    attention: Sequence[int],
    residual: Sequence[int],
    residual_ratio: int | None = None,
) -> None:
    """Check where attention and ablation blocks are asked for.

    Args:
        network: "generator" or "discriminator", for the message.
        available: Positions that the network has, as {shorter side of the feature map: channels there}.
        attention: Positions of attention blocks.
        residual: Positions of ablation blocks.
        residual_ratio: Bottleneck ratio of ablation blocks, or None.

    Raises:
        ValueError: If a position does not exist, is named twice, or has channels that attention cannot split by 8 or
            that the ratio leaves none of.
    """
    names = ", ".join(f"feat{k}" for k in sorted(available))
    for field, positions in (("attention", attention), ("residual", residual)):
        for position in positions:
            if position not in available:
                raise ValueError(f"{field}: the {network} has no feat{position}; it has {names or 'no place for it'}")
        if len(set(positions)) != len(positions):
            raise ValueError(f"{field}: a position is named twice in {tuple(positions)}")
    both = sorted(set(attention) & set(residual))
    if both:
        raise ValueError(
            f"attention and residual both name feat{both[0]} of the {network}; "
            "the residual block stands in attention's place, so name it in one of them (attention may be empty)"
        )
    for position in attention:
        if available[position] % 8:
            raise ValueError(
                f"attention at feat{position} of the {network} needs channels divisible by 8, found "
                f"{available[position]}; change base_width"
            )
    for position in residual:
        if residual_ratio is not None and not 1 <= residual_ratio <= available[position]:
            raise ValueError(
                f"residual_ratio must be from 1 to the {available[position]} channels at feat{position} of the "
                f"{network}, found {residual_ratio}"
            )
