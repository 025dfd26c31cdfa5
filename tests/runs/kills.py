"""Do something and be killed before the n-th change of a folder: ``python kills.py PLAN.json``.

The plan says what to do (``first``, ``again``), in which folder, and before which changes. Everything is imported once,
then each process is forked: one that is killed, and one that does it again. What came of them is printed as JSON.
A change is a file opened to be written, a name given or taken away, a folder made: the audit events of Python.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import lightning_fabric  # noqa: F401 - as all that is imported here, so that no child has to
import torch
import torch.utils.tensorboard

import sagan.evaluation.judge
import sagan.figures.curves
import sagan.figures.save
import sagan.runs.train  # noqa: F401
from sagan.cli import main

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR


def killed_before(number, folder):
    """Have this process killed before the n-th change inside a folder; gives the changes so far."""
    seen = []

    def look(event, arguments):
        if event == "open":
            path, _, flags = arguments
            counts = isinstance(flags, int) and bool(flags & WRITING)
        else:
            path, counts = (arguments[0] if arguments else None), event in CHANGES
        if counts and isinstance(path, (str, os.PathLike)) and str(path).startswith(folder):
            seen.append(f"{event} {str(path)[len(folder) :]}")
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    return seen


def forked(commands, output, number=0, folder=""):
    """Run commands one after the other until one ends badly, in a process of its own; gives how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        seen = killed_before(number, folder) if folder else []
        for words in commands:
            code = main(words)
            if code:
                break
        if folder:
            Path(f"{output}.changes").write_text(json.dumps(seen, indent=1))
    finally:
        os._exit(code)


def run(plan):
    """Kill before each of the planned changes, do it again, and give the exit codes and what was said."""
    torch.set_num_threads(1)
    folder, ends = Path(plan["folder"]), []
    for number in plan["before"]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        output = folder.parent / f"said-{number}.txt"
        first = forked(plan["first"], output, number, str(folder))
        kept = folder.parent / f"after-{number}"
        again = [forked([words], output) for words in plan["again"]]
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept)
        ends.append({"before": number, "first": first, "again": again, "said": output.read_text()[-2000:]})
        if first != -signal.SIGKILL:  # there are no more changes
            break
    return ends


if __name__ == "__main__":
    json.dump(run(json.loads(Path(sys.argv[1]).read_text())), sys.stdout)
