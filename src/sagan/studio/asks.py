"""What the page asks for, within bounds: as the library's own configurations, and as the command that does the same."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sagan.generators.config import AttentionConfig, SampleConfig
from sagan.generators.trained import TrainedGenerator

# As many pictures at a time: a screen full.
MAX_PICTURES = 100
# Whole numbers that a page can hold.
MAX_SEED = 2**53 - 1

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Index = Annotated[int, Field(ge=0, lt=MAX_PICTURES)]
Kind = Literal["png", "gif", "webp", "npz"]


class Pictures(BaseModel):
    """Samples class by class, or a walk."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    source: Annotated[str, Field(max_length=8)]
    classes: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_PICTURES)] = []
    num: Annotated[int, Field(ge=1, le=MAX_PICTURES)] = 1
    seed: Seed = 0
    truncation: float | None = None
    interpolate: Annotated[int, Field(ge=2, le=65)] | None = None
    end_seed: Seed | None = None
    index: Index = 0
    end_index: Index = 0
    direction: Annotated[int, Field(ge=1)] | None = None
    reach: Annotated[float, Field(gt=0, le=100)] = 5.0
    page: Annotated[str, Field(max_length=40)] = ""

    def config(self, generator: TrainedGenerator) -> SampleConfig:
        """Give the library's configuration of them.

        Raises:
            ValueError: If there is no such class, or they are too many.
        """
        names = [flag_name(c, generator.class_names) for c in self.classes]
        count = self.num * (len(names) or max(1, generator.config.num_classes))
        if self.interpolate is None and count > MAX_PICTURES:
            raise ValueError(f"{count} samples are too many at a time; choose fewer classes or at most {MAX_PICTURES}")
        return SampleConfig(
            classes=tuple(names),
            num=self.num,
            seed=self.seed,
            truncation=self.truncation,
            interpolate=self.interpolate,
            end_seed=self.end_seed,
            index=self.index,
            end_index=self.end_index,
            direction=self.direction,
            reach=self.reach,
        )


class Looks(BaseModel):
    """Where the generator looks in one of some pictures."""

    model_config = ConfigDict(extra="forbid")

    pictures: Pictures
    item: Index


class Saved(BaseModel):
    """A file of what is shown."""

    model_config = ConfigDict(extra="forbid")

    pictures: Pictures
    kind: Kind = "png"
    looks: Looks | None = None
    query: tuple[Index, Index] | None = None
    position: int | None = None

    def attention(self, config: SampleConfig) -> AttentionConfig | None:
        """Give the configuration of an attention figure, if one is asked for."""
        if self.looks is None:
            return None
        return AttentionConfig(
            classes=config.classes,
            num=config.num,
            seed=config.seed,
            truncation=config.truncation,
            queries_px=None if self.query is None else [self.query],
            position=self.position,
            sample=self.looks.item,
        )


def flag_name(c: int, names: Sequence[str]) -> str:
    """Give what ``--class`` calls a class: its name, or its number where another has the same name.

    Raises:
        ValueError: If there is no such class.
    """
    if not c < len(names):
        raise ValueError(f"there is no class {c}; this generator has {len(names)}")
    return names[c] if names.index(names[c]) == c else str(c)


def sample_command(file: Path, config: SampleConfig, out: str) -> str:
    """Write the `sagan sample` that makes these pictures again."""
    words = ["sagan", "sample", str(file)]
    words += ["--class", *config.classes] if config.classes else []
    if config.interpolate is None:
        words += ["--num", str(config.num)]
    else:
        words += ["--interpolate", str(config.interpolate), "--index", str(config.index)]
        if config.direction is not None:
            words += ["--direction", str(config.direction), "--reach", str(config.reach)]
        else:
            end_seed = config.seed + 1 if config.end_seed is None else config.end_seed
            words += ["--end-seed", str(end_seed), "--end-index", str(config.end_index)]
    return shlex.join([*words, *_drawn(config), "--out", out])


def attention_command(file: Path, config: AttentionConfig, out: str) -> str:
    """Write the `sagan attention` that draws this figure again."""
    words = ["sagan", "attention", str(file)]
    words += ["--class", *config.classes] if config.classes else []
    words += ["--num", str(config.num)]
    words += ["--sample", str(config.sample)] if config.sample is not None else []
    words += ["--query", *(f"{row},{column}" for row, column in config.queries_px or ())] if config.queries_px else []
    words += ["--layer", str(config.position)] if config.position is not None else []
    return shlex.join([*words, *_drawn(config), "--out", out])


def own_command(path: Path, query_px: tuple[int, int], position: int, out: str) -> str:
    """Write the `sagan attention` that draws this over a picture of one's own; it takes folders of pictures."""
    words = ["sagan", "attention", str(path), "--data", "FOLDER_WITH_THE_PICTURE"]
    return shlex.join([*words, "--query", "{},{}".format(*query_px), "--layer", str(position), "--out", out])


def _drawn(config: SampleConfig | AttentionConfig) -> list[str]:
    words = ["--seed", str(config.seed)]
    return words if config.truncation is None else [*words, "--truncation", str(config.truncation)]
