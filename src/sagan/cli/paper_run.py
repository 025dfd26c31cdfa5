"""``sagan paper run``: train and measure the rows of an experiment, and draw what came out."""

from dataclasses import dataclass

import tyro

from sagan.cli.parse import parse, typed
from sagan.data.there import check_there
from sagan.experiments.config import PaperConfig
from sagan.experiments.settings import groups_of, settings_of, with_defaults
from sagan.places import check_file

WHAT = (
    "Train and measure the rows of an experiment side by side, then draw its table and pictures. The same command goes "
    "on after an interruption, also elsewhere with the folder of results; what is done is not done again."
)


@dataclass(frozen=True, kw_only=True)
class PaperFlags(PaperConfig):
    """Flags of ``sagan paper run``: the configuration."""

    name: tyro.conf.Positional[str]
    """The experiment; `sagan paper list` has them. Several joined by commas, or `all` on the same pictures: rows that
    they share are trained once."""


def run(arguments: list[str]) -> int:
    """Parse, run, print the files that were drawn; the exit code is that of the rows."""
    flags = parse(PaperFlags, arguments, "paper run", description=WHAT)
    for group in groups_of(flags.name):
        check_there(with_defaults(settings_of(flags, group[0])).data, typed(arguments, "--data"))
    if flags.feature_weights is not None:
        check_file("--feature-weights", flags.feature_weights)
    from sagan.cli.terminal import error_console
    from sagan.experiments.paper import run_paper

    code, drawn = run_paper(flags, arguments, error_console())
    for path in drawn:
        print(path)
    return code
