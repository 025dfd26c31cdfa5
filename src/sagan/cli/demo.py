"""``sagan demo``: train on the embedded digits and look at the result."""

from dataclasses import dataclass, replace
from pathlib import Path

from sagan.cli.parse import parse, refusals_as_sentences
from sagan.recipes.choose import preset

WHAT = "Train on scikit-learn's 8x8 digits and look at the result."


@dataclass(frozen=True, kw_only=True)
class DemoFlags:
    """Flags of ``sagan demo``."""

    out: Path | None = None
    """The run folder; unset is runs/demo-NUMBER."""
    steps: int | None = None
    """Generator updates; unset is the preset's."""
    seed: int = 0
    """Seed of everything."""


def run(arguments: list[str]) -> int:
    """Parse, train, measure, print; the exit code is 0, or 128 + the signal that stopped it."""
    flags = parse(DemoFlags, arguments, "demo", description=WHAT)
    with refusals_as_sentences(arguments):
        config = replace(preset("demo", steps=flags.steps), seed=flags.seed)
    from sagan.experiments.digits import run_demo

    result, report = run_demo(flags.out, config)
    if report is not None:
        last = sorted((result.out / "samples").glob("*.png"))[-1]
        print(
            f"{report}\nsamples:   {last}\nattention: {result.out / 'attention.png'}\n"
            f"curves:    {result.out / 'curves.png'}"
        )
    return 0 if result.signal is None else 128 + result.signal
