"""What the paper and others published: the numbers beside which ours are put, each with where it stands."""

from dataclasses import dataclass

SLIDES = "Zhang et al. 2018, arXiv v1"
CHAINER = "Miyato and Koyama 2018, README of the released code"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published number on ImageNet at 128 px."""

    value: float
    """The number."""
    source: str
    """Where it stands."""


Cells = dict[str, Published]


def _cells(source: str, **values: float) -> Cells:
    return {measure: Published(value=value, source=source) for measure, value in values.items()}


def _table1(fd: float, score: float) -> Cells:
    return _cells(f"{SLIDES}, table 1 (best of 1M steps, each metric by itself)", fd=fd, score=score)


# Table 1: self-attention, and the residual block in its place, by the height of the feature map.
NO_ATTENTION: Cells = _table1(22.96, 42.87)
ATTENTION: dict[int, Cells] = {
    8: _table1(22.98, 43.15),
    16: _table1(22.14, 45.94),
    32: _table1(18.28, 51.43),
    64: _table1(18.65, 52.52),
}
RESIDUAL: dict[int, Cells] = {
    8: _table1(42.13, 23.17),
    16: _table1(22.40, 44.49),
    32: _table1(27.33, 38.50),
    64: _table1(28.82, 38.96),
}

# Table 2: other models. The paper's authors measured the FID of SNGAN-projection on its released weights.
ACGAN: Cells = _cells(f"{SLIDES}, table 2", score=28.5)
SNGAN: Cells = _cells(f"{SLIDES}, table 2 (released weights, 850,000 steps)", score=36.8, fd=27.62) | _cells(
    f"{CHAINER}, 850,000 steps", intra=92.4
)
SAGAN: Cells = _cells(f"{SLIDES}, table 2 (feat64)", score=52.52, fd=18.65)

# Figure 4: FID by steps in thousands of the three stages.
SN_ON_D: dict[int, float] = {10: 181.84}
SN_ON_BOTH: dict[int, float] = {10: 93.52, 160: 33.39, 260: 72.41}
SN_AND_TTUR: dict[int, float] = {10: 99.04, 160: 40.96, 260: 34.62, 1000: 22.96}
FIGURE4_SOURCE = f"{SLIDES}, figure 4"

# Figure 6: the classes that it shows, with the folders that ImageNet has them in.
FIGURE6_CLASSES = {
    "goldfish": "n01443537",
    "indigo bunting": "n01537544",
    "redshank": "n02028035",
    "saint bernard": "n02109525",
    "tiger cat": "n02123159",
    "broccoli": "n07714990",
    "geyser": "n09288635",
    "valley": "n09468604",
    "rapeseed": "n11879895",
    "coral fungus": "n12985857",
}

# Recipes at 128 px whose FID and IS after about 1M steps of 256 are public.
STUDIO: Cells = _cells("StudioGAN's log of 2021", fd=34.73, score=29.85)
BEST_KNOWN: Cells = _cells("mmgeneration's README", fd=12.83, score=69.54)
