"""The command line: finds the verb, runs it, and turns what it raises into a sentence and an exit code."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sagan.allocator import keep_freed_memory
from sagan.cli import (
    attention,
    benchmark,
    completion,
    data_check,
    data_pack,
    demo,
    evaluate,
    export,
    import_weights,
    info,
    paper,
    paper_run,
    plan,
    report,
    sample,
    studio,
    train,
)
from sagan.cli.parse import HELP, HELP_ALL, UsageError, wrapped
from sagan.interrupts import INTERRUPTED, remember_interrupts
from sagan.places import in_a_sentence
from sagan.streams import own_streams
from sagan.version import __version__
from sagan.words import did_you_mean

FIRST_STEPS = """\
first steps:
  sagan demo
  sagan data check PICTURES    (a folder with one folder per class)
  sagan train --data PICTURES --out runs/mine
  sagan sample runs/mine --out samples.png
  sagan studio runs/mine       (point at a sample, see where it looks)
"""


NARROWEST = 10
"""Columns of a terminal; for fewer the library that writes `--help` seeks for ever how to break its lines."""


class Verb(NamedTuple):
    """A verb of the command line."""

    run: Callable[[list[str]], int]
    """Takes what stands behind the verb and gives the exit code."""
    flags: type[Any]
    """The dataclass of its flags."""
    summary: str
    """What it does, in a line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code: 0, 2 for a user's mistake, 1 for a failure, 130 after Ctrl-C."""
    if argv is None:
        keep_freed_memory()  # only where the process is ours
        if shutil.get_terminal_size().columns < NARROWEST:
            os.environ["COLUMNS"] = str(NARROWEST)
        own_streams()
    came = remember_interrupts() if argv is None else bool
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return dispatch(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return interrupted() if came() else told(error, arguments)


def interrupted() -> int:
    """Say that Ctrl-C ended it, and give the exit code."""
    print("sagan: interrupted", file=sys.stderr)
    return INTERRUPTED


def told(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong, and give the exit code.

    Raises:
        Exception: The error, if ``SAGAN_TRACEBACK`` is set.
    """
    if isinstance(error, (ValueError, OSError)):
        if os.environ.get("SAGAN_TRACEBACK"):
            raise error
        print(f"sagan: {sentence(error)}", file=sys.stderr)
        return 2
    if isinstance(error, RuntimeError):
        return failed(error, arguments)
    return out_of_memory(arguments) if isinstance(error, MemoryError) else unforeseen(error)


def failed(error: RuntimeError, arguments: list[str]) -> int:
    """Say what failed, and give the exit code."""
    from sagan.exchange.graph import GraphError
    from sagan.machine import is_out_of_memory
    from sagan.runs.train import DivergedError, NotDeterministicError, ProcessLostError
    from sagan.speed.fits import OutOfMemoryError

    if isinstance(error, (DivergedError, GraphError, NotDeterministicError, OutOfMemoryError, ProcessLostError)):
        print(f"sagan: {sentence(error)}", file=sys.stderr)
        return 1
    if is_out_of_memory(error):
        return out_of_memory(arguments)
    return unforeseen(error)


def unforeseen(error: Exception) -> int:
    """Say that something failed which has no sentence of its own and where its traceback is; give the exit code.

    Raises:
        Exception: The error, if ``SAGAN_TRACEBACK`` is set.
    """
    if os.environ.get("SAGAN_TRACEBACK"):
        raise error
    import tempfile
    import traceback

    from sagan.reading import reason

    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="sagan-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
        where = f"its traceback is in {file.name}"
    except OSError:  # the disk may be what is full
        print(text, file=sys.stderr, end="")
        where = "its traceback stands above"
    said = f"{type(error).__name__}: {reason(error)}"
    print(f"sagan: this should not have happened: {said}; please report it with what you did; {where}", file=sys.stderr)
    return 1


def sentence(error: Exception) -> str:
    """Give the message of a mistake in one line, whatever stands in names; an operating system's gets what to do."""
    from sagan.data.names import readable

    words = in_a_sentence(error) if isinstance(error, OSError) else str(error)
    if isinstance(error, OSError) and error.filename:
        words += "; check the path and its permissions, or choose another place"
    return readable(words)


def out_of_memory(arguments: list[str]) -> int:
    """Say what helps against too little memory, and give the exit code."""
    training = arguments[0] in ("train", "plan", "benchmark")
    advice = (
        "lower --train.batch-size, or cut batches with --train.accumulate" if training else "ask for less at a time"
    )
    print(f"sagan: out of memory; {advice}", file=sys.stderr)
    return 1


def dispatch(arguments: list[str]) -> int:
    """Find the verb and run it with the rest."""
    if len(arguments) > 1 and arguments[0] == "help":
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in (*HELP, HELP_ALL, "help"):
        print(help_text(), end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"sagan-torch {__version__}")
        return 0
    group = f"{arguments[0]} "
    members = [name for name in VERBS if name.startswith(group)]
    if members and (len(arguments) == 1 or arguments[1] in (*HELP, HELP_ALL)):
        print(wrapped(f"usage: sagan {arguments[0]} VERB [OPTIONS]\n\n{listed(members)}"))
        return 0 if len(arguments) > 1 else 2
    words = 2 if members else 1
    verb = " ".join(arguments[:words])
    if verb not in VERBS:
        near = did_you_mean(" ".join(arguments[:2]), VERBS) or did_you_mean(verb, VERBS)
        raise UsageError(f"unknown verb {verb!r}; {near or 'see `sagan --help`'}")
    return VERBS[verb].run(arguments[words:])


def help_text() -> str:
    """Write what `sagan --help` says, as wide as the terminal."""
    top = "usage: sagan VERB [OPTIONS]\n\n`sagan VERB --help` explains one."
    return f"{wrapped(top)}\n\n{wrapped(listed(list(VERBS)))}\n\n{wrapped(FIRST_STEPS)}"


def listed(names: Sequence[str]) -> str:
    """Write a line for each of some verbs."""
    width = max(map(len, names))
    return "\n".join(f"  {name:<{width}}  {VERBS[name].summary}" for name in names)


def run_completion(arguments: list[str]) -> int:
    """Print the script that completes all verbs."""
    return completion.run(arguments, {name: (verb.flags, verb.summary) for name, verb in VERBS.items()})


VERBS: dict[str, Verb] = {
    "demo": Verb(
        demo.run, demo.DemoFlags, "train on the embedded digits, three minutes on two cores, and look at the result"
    ),
    "train": Verb(train.run, train.TrainFlags, "train on your pictures, or go on with a run"),
    "sample": Verb(sample.run, sample.SampleFlags, "pictures by class from a run or a weights file; interpolations"),
    "attention": Verb(attention.run, attention.AttentionFlags, "where the network looks"),
    "studio": Verb(
        studio.run, studio.StudioFlags, "a local page: samples, where the network looks, walks, a run as it goes on"
    ),
    "report": Verb(
        report.run,
        report.ReportFlags,
        "one HTML file of a run: curves, samples, attention that follows the mouse, values",
    ),
    "evaluate": Verb(evaluate.run, evaluate.Arguments, "IS, FID and other measures, each with the way it was made"),
    "export": Verb(export.run, export.ExportFlags, "one weights file to share"),
    "import": Verb(
        import_weights.run,
        import_weights.ImportFlags,
        "weights of BigGAN-PyTorch, StudioGAN, MMGeneration or mimicry, to use here",
    ),
    "data check": Verb(
        data_check.run, data_check.CheckFlags, "what is in a folder of pictures, before you train on it"
    ),
    "data pack": Verb(
        data_pack.run, data_pack.PackFlags, "decode pictures once into one file, or into shards on several machines"
    ),
    "plan": Verb(plan.run, plan.PlanFlags, "memory, hours and disk of a run on this machine, before anything starts"),
    "benchmark": Verb(
        benchmark.run, benchmark.BenchmarkFlags, "how fast this machine trains, samples, reads and makes features"
    ),
    "paper list": Verb(paper.run_list, paper.ListFlags, "the paper's tables and figures as experiments"),
    "paper show": Verb(
        paper.run_show, paper.ShowFlags, "the rows of one, what differs between them, the published numbers"
    ),
    "paper run": Verb(paper_run.run, paper_run.PaperFlags, "train and measure its rows, then draw its table"),
    "paper render": Verb(
        paper.run_render, paper.RenderFlags, "draw all tables and pictures again from what was measured"
    ),
    "info": Verb(info.run, info.InfoFlags, "versions, devices, folders, what is missing for what"),
    "completion": Verb(
        run_completion, completion.CompletionFlags, "a script that completes all this in bash, zsh or fish"
    ),
}


if __name__ == "__main__":
    sys.exit(main())
