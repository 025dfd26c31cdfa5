"""``sagan studio``: a local page to explore generators with."""

import importlib.util
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import UsageError, parse, refusals_as_sentences
from sagan.data.config import DataConfig, Reading
from sagan.data.there import check_there
from sagan.studio.config import StudioConfig

WHAT = "Open a local page: samples by class, where the network looks, walks, a run as it goes on."
NEEDED = ("fastapi", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class StudioFlags:
    """Flags of ``sagan studio``."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, checkpoints or .safetensors weights files; several are shown beside each other."""
    data: str | None = None
    """The training pictures, to find those nearest to a sample; unset takes those of a run, if they are here."""
    reading: Annotated[Reading, tyro.conf.arg(name="data")] = field(default_factory=Reading)
    port: int = 0
    """Port on this machine, the only one that the page can be opened from; 0 takes a free one."""
    browser: bool = True
    """Open the page in a browser."""
    device: str = "auto"
    """Where networks run: auto, cpu, cuda, cuda:1 ..."""


def run(arguments: list[str]) -> int:
    """Parse, check, serve until Ctrl-C."""
    flags = parse(StudioFlags, arguments, "studio", description=WHAT)
    data = None if flags.data is None else DataConfig(path=flags.data, **asdict(flags.reading))
    if flags.data is not None:
        check_there(flags.data, "--data")
    with refusals_as_sentences(arguments):
        config = StudioConfig(paths=flags.paths, data=data, port=flags.port, browser=flags.browser, device=flags.device)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f'the studio needs {" and ".join(missing)}; install it with: pip install "sagan-torch[studio]", or from a '
            'checkout pip install ".[studio]"'
        )
    # Threads that wait shall sleep: a run that trains beside the studio would else be held up, and hold it up.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from sagan.studio.serve import open_studio

    open_studio(config, lambda line: print(line, flush=True))
    return 0
