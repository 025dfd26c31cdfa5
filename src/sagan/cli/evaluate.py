"""`sagan evaluate`: judge a generator, or pictures of any other one."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import UsageError, parse
from sagan.data.config import Interpretation
from sagan.data.there import check_there
from sagan.evaluation.config import EvaluateConfig
from sagan.generators.hub import check_weights_there
from sagan.places import PICTURES, check_place
from sagan.reading import read_named
from sagan.sizes import size_of

ROWS = 8
# What `--help` shows; the rest `--help-all` does.
SHORT = (
    *("run", "generated", "data", "statistics", "metrics", "features", "feature_weights", "num", "seed", "truncation"),
    *("split", "class_labels", "neighbours_picture", "out", "compare", "export_statistics", "device"),
)


@dataclass(frozen=True, kw_only=True)
class Arguments(EvaluateConfig):
    """The flags: those of the configuration, what is judged, by what, and what is written."""

    run: tyro.conf.Positional[Path | None] = None
    """A run folder, a checkpoint, or a .safetensors weights file."""
    generated: str | None = None
    """Instead of a run: pictures that any generator made (folder, zip or .npz), all of one size."""
    data: str | None = None
    """The real pictures to judge by, as in `sagan train`."""
    reading: Annotated[Interpretation, tyro.conf.arg(name="data")] = field(default_factory=Interpretation)
    statistics: Path | None = None
    """Instead of --data: statistics of real pictures that --export-statistics wrote, here or elsewhere."""
    size: int | str | None = None
    """With --export-statistics alone: the size in pixels of the generated pictures to be judged, as 64, or 64x96
    (height x width)."""
    feature_weights: Path | None = None
    """A local file of the feature network's weights."""
    class_labels: Path | None = None
    """For accuracy: a .json file {"class": [labels of the network], ...}; ImageNet's 1,000 folders need none."""
    score_splits: Annotated[int, tyro.conf.arg(name="splits")] = 10
    """Splits of the Inception Score."""
    neighbours: tyro.conf.Suppress[int] = 0
    neighbours_picture: Annotated[Path | None, tyro.conf.arg(name="neighbours")] = None
    """A picture to draw: eight samples beside the real pictures nearest to them (is it copying?)."""
    out: Path | None = None
    """A .json file for the values and their protocols."""
    compare: tuple[Path, Path] | None = None
    """Instead of all that: two such files, side by side; values made in different ways are refused."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            size_of(self.size)


def run(arguments: list[str]) -> int:
    """Judge a generator, or pictures of any other one."""
    what = "How good are generated pictures? IS, FID and more."
    a = parse(Arguments, arguments, "evaluate", description=what, short=SHORT)
    if a.compare is not None:
        return _compare(a, a.compare)
    _check_sides(a)
    _check_there(a)
    _check_places(a)
    from sagan.data import DataConfig
    from sagan.evaluation import evaluate as judge
    from sagan.evaluation import export_statistics, read_statistics
    from sagan.figures import save_image
    from sagan.runs.folder import write_text

    skip, lose = a.reading.skip_unreadable, a.reading.may_lose
    generator = a.run if a.generated is None else DataConfig(path=a.generated, skip_unreadable=skip, may_lose=lose)
    pictures = None if a.data is None else DataConfig(path=a.data, **asdict(a.reading))
    data = pictures if a.statistics is None else read_statistics(a.statistics, {})
    assert data is not None
    if generator is None:
        assert a.size is not None
        print(export_statistics(data, a.size, a))
        return 0
    result = judge(generator, data, replace(a, neighbours=ROWS if a.neighbours_picture is not None else 0))
    if result.exported is not None:
        print(result.exported)
    print(result.text())
    if a.out is not None:
        write_text(a.out, result.report.to_json())
        print(f"values and protocols: {a.out}")
    if a.neighbours_picture is not None and result.neighbours is not None:
        print(f"nearest real pictures: {save_image(result.neighbours.picture, a.neighbours_picture)}")
    if result.not_exported is not None:
        raise result.not_exported
    return 0


def _compare(a: Arguments, paths: tuple[Path, Path]) -> int:
    if replace(a, compare=None) != Arguments():
        raise UsageError("--compare reads two files of values and judges nothing: leave all else away")
    read = [read_named(path) for path in paths]
    from sagan.evaluation import comparison
    from sagan.metrics.report import report_from_json

    first, second = (report_from_json(text, str(path)) for text, path in zip(read, paths, strict=True))
    print(comparison(first, second, [path.name for path in paths]))
    return 0


def _check_places(a: Arguments) -> None:
    """Check that what is to be written can be."""
    if a.out is not None:
        check_place("--out", a.out, (".json",), folder=True)
    if a.neighbours_picture is not None:
        check_place("--neighbours", a.neighbours_picture, PICTURES, folder=True)


def _check_sides(a: Arguments) -> None:
    """Say which flags are missing, or are two for the same thing; the configuration has checked all others."""
    if a.run is not None and a.generated is not None:
        raise UsageError("judge a run or weights file, or pictures with --generated: one of them")
    if a.run is None and a.generated is None and a.export_statistics is None:
        raise UsageError("name a run folder or weights file, or pictures with --generated: one of them")
    if (a.data is None) == (a.statistics is None):
        raise UsageError(
            "which real pictures? --data takes what `sagan train --data` takes, --statistics what --export-statistics "
            "wrote: one of them"
        )
    if a.run is None and a.generated is None and a.size is None:
        raise UsageError("at which size? --export-statistics without a run needs --size PX, that of the generated ones")


def _check_there(a: Arguments) -> None:
    """Refuse paths that lead nowhere before anything is computed."""
    if a.run is not None:
        check_weights_there(a.run)
    for flag, pictures in (("--generated", a.generated), ("--data", a.data)):
        if pictures is not None:
            check_there(pictures, flag)
    if a.statistics is not None and not a.statistics.exists():
        raise FileNotFoundError(f"--statistics {a.statistics}: no such file; --export-statistics writes one")
