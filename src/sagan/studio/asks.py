"""What the page asks for, within bounds, as the library's own configurations."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sagan.generators.config import AttentionConfig, SampleConfig
from sagan.generators.trained import TrainedGenerator
from sagan.studio.commands import flag_name

# As many pictures at a time: a screen full.
MAX_PICTURES = 100
# Whole numbers that a page can hold.
MAX_SEED = 2**53 - 1
# Beyond the pixels of a side of any picture; whether one lies inside its picture is checked with the picture.
MAX_PIXEL = 2**16

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Index = Annotated[int, Field(ge=0, lt=MAX_PICTURES)]
Pixel = Annotated[int, Field(ge=0, lt=MAX_PIXEL)]
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
    query: tuple[Pixel, Pixel] | None = None
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
