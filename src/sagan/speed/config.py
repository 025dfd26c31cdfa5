"""What `sagan benchmark` can measure. Without PyTorch."""

from typing import Literal, get_args

What = Literal["step", "sampling", "data", "features"]
ALL: tuple[What, ...] = get_args(What)
