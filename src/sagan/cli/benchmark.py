"""``sagan benchmark``: how fast this machine is."""

from dataclasses import dataclass
from pathlib import Path

from sagan.cli.flags import ConfigFlags, combined, parse_with_preset
from sagan.places import check_place
from sagan.speed.config import ALL, What

WHAT = (
    "How fast this machine trains, samples, reads pictures and makes features. All flags of `sagan train` that say "
    "what to compute are taken."
)


@dataclass(frozen=True, kw_only=True)
class BenchmarkFlags(ConfigFlags):
    """Flags of ``sagan benchmark``."""

    what: tuple[What, ...] = ALL
    """step trains on random pictures, sampling draws, data reads batches of --data or of generated pictures,
    features runs the feature networks whose weights are here."""
    rounds: int = 20
    """Rounds of each measurement; the number shown is the median."""
    out: Path | None = None
    """A .json file for the numbers and how they were made."""


def run(arguments: list[str]) -> int:
    """Parse, measure, print."""
    flags, choice = parse_with_preset(BenchmarkFlags, arguments, "benchmark", WHAT)
    if flags.out is not None:
        check_place("--out", flags.out, (".json",))
    from sagan.cli.terminal import error_console, output_console
    from sagan.runs.folder import write_text
    from sagan.speed.benchmark import benchmark

    found = benchmark(
        combined(flags),
        choice.called,
        what=flags.what,
        rounds=flags.rounds,
        with_data=flags.data is not None,  # else generated ones, whatever the preset is about
        console=error_console(),
    )
    output_console().print(found.table())
    print(found.notes())
    if flags.out is not None:
        write_text(flags.out, found.to_json())
        print(f"numbers and how they were made: {flags.out}")
    return 0
