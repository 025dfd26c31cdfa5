"""``sagan attention``: where a network looks."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import parse, refusals_as_sentences
from sagan.data.config import Interpretation
from sagan.data.there import check_there
from sagan.generators.config import AttentionConfig, Style, check_attention_file, query_point
from sagan.generators.hub import check_weights_there

WHAT = "Draw where the network looks, from query points (SAGAN, figure 5)."


@dataclass(frozen=True, kw_only=True)
class AttentionFlags:
    """Flags of ``sagan attention``."""

    run: tyro.conf.Positional[Path]
    """A run folder, a checkpoint, or a .safetensors weights file."""
    out: Path
    """A picture (.png, .jpg, .webp), or .npz for the arrays."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class")] = ()
    """Class names or numbers; unset is the first four."""
    num: int = 1
    """Images of each class."""
    query: tuple[str, ...] = ()
    """Query points ROW,COLUMN in pixels, e.g. `16,16 8,24`; unset is centre and quarters."""
    layer: int | None = None
    """Height of the feature map of the layer to draw; unset is the one closest to the pixels."""
    data: str | None = None
    """Real pictures: draws the discriminator's attention over them instead of the generator's over samples."""
    reading: Annotated[Interpretation, tyro.conf.arg(name="data")] = field(default_factory=Interpretation)
    seed: int = 0
    """Chooses the samples, or the real pictures."""
    truncation: float | None = None
    """As in `sagan sample`."""
    sample: int | None = None
    """Only this one of all these samples, counted from 0 over all classes."""
    style: Style = "heat"
    """Heat colours over the image, or plain grey maps."""


def run(arguments: list[str]) -> int:
    """Parse, draw, say what was written."""
    flags = parse(AttentionFlags, arguments, "attention", description=WHAT)
    check_attention_file(flags.out)
    with refusals_as_sentences(arguments):
        config = AttentionConfig(
            classes=flags.classes,
            num=flags.num,
            seed=flags.seed,
            queries_px=[query_point(text) for text in flags.query] or None,
            position=flags.layer,
            style=flags.style,
            truncation=flags.truncation,
            sample=flags.sample,
        )
    check_weights_there(flags.run, hub=flags.data is None)
    if flags.data is not None:
        check_there(flags.data, "--data")
    from sagan.data import DataConfig
    from sagan.generators.outputs import attention_to_file

    data = None if flags.data is None else DataConfig(path=flags.data, **asdict(flags.reading))
    print(attention_to_file(flags.run, flags.out, config, data=data, progress=True))
    return 0
