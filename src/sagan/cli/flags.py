"""Flags that several verbs of the command line share: a preset, and every field of the configuration on top of it."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from sagan.recipes.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class ConfigFlags:
    """A preset, short flags for fields that are often changed, and every field."""

    data: str | None = None
    """Pictures: a folder (of class folders, or flat), zip, .npz, packed file, or a name like cifar10."""
    preset: str | None = None
    """Where every flag below starts from (see the list above)."""
    steps: int | None = None
    """Generator updates in all; short for --train.total-steps."""
    batch_size: int | None = None
    """Images in a batch; short for --train.batch-size."""
    size: int | None = None
    """Image size in pixels of both networks: 16, 32, 64, 128 or 256."""
    base_width: int | None = None
    """Base width of both networks; 64 is the published one."""
    attention: tuple[int, ...] | None = None
    """Feature-map heights with attention in both networks, e.g. `8 16`; nothing after the flag means none."""
    evaluate_every: int | None = None
    """Steps between measurements of the samples (--monitor says what); short for --train.evaluate-every."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
