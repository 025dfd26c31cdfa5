"""Calls every verb of the command line, for a process that must not reach beyond this machine.

python verbs.py [alone]    `alone`: in a network namespace of its own, whose loopback is to be made ready
"""

import contextlib
import errno
import fcntl
import importlib
import io
import os
import pkgutil
import signal
import socket
import struct
import sys
import threading
import urllib.request
from pathlib import Path

TINY = ["--preset", "demo", "--base-width", "4", "--batch-size", "8", "--engine.device", "cpu"]
ROW = ["--scale", "smoke", "--rows", "no attention", "--steps", "2", "--num", "20", "--jobs", "1"]
VERBS = {
    "info": [],
    "completion": ["bash"],
    "data check": ["digits"],
    "data pack": ["digits", "--size", "16", "--out", "packed"],
    "plan": ["--data", "packed", *TINY],
    "benchmark": ["--what", "step", "sampling", "--rounds", "1", *TINY],
    "train": ["--data", "packed", "--steps", "2", "--train.evaluate-every", "2", "--out", "run", *TINY],
    "demo": ["--steps", "2", "--out", "demo"],
    "sample": ["run", "--num", "2", "--out", "samples.png"],
    "attention": ["run", "--out", "attention.png"],
    "evaluate": ["run", "--data", "packed", "--features", "pixels", "--metrics", "fd", "--num", "20"],
    "export": ["run", "--out", "shared"],
    "import": ["auto", "G.pth", "came"],
    "report": ["run"],
    "paper list": [],
    "paper show": ["table1"],
    "paper run": ["table1", "--out", "paper", *ROW],
    "paper render": ["--out", "paper"],
    "studio": ["run", "--no-browser", "--device", "cpu"],
}


def alone():
    """Make the loopback of a new namespace ready, and see that nothing else is to be reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sh", b"lo", 0x1)  # SIOCSIFFLAGS, IFF_UP
        fcntl.ioctl(any_socket, 0x8914, up)
    with socket.socket() as outward:
        outward.settimeout(5.0)
        found = outward.connect_ex(("192.0.2.1", 80))  # an address for documents, which nobody has
    assert found == errno.ENETUNREACH, f"this is no network without routes: {errno.errorcode.get(found, found)}"


def import_all():
    """Import every module."""
    import sagan

    for module in pkgutil.walk_packages(sagan.__path__, "sagan."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def call(words):
    """Call a verb; gives its exit code and what it printed."""
    from sagan.cli.main import main

    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = main(words)
    return code, said.getvalue()


def serve(words):
    """Start the studio, ask it for its page and its samples' sources, and end it with Ctrl-C."""
    from sagan.cli import studio

    answers = []

    def visit(line):
        if not line.startswith("studio: "):
            return
        page = line.split()[1]

        def ask():
            try:
                with urllib.request.urlopen(page, timeout=120) as answer:
                    answers.append((answer.status, len(answer.read())))
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=ask, daemon=True).start()

    studio.print = lambda line, **_: visit(line)
    with contextlib.suppress(KeyboardInterrupt):
        call(["studio", *words])
    assert answers, "the studio did not answer"
    assert answers[0][0] == 200
    assert answers[0][1] > 1000


def foreign():
    """Write a generator of StudioGAN to bring in."""
    import torch

    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests / place) for place in ("sources", "exchange")]
    import oracle

    state = oracle.generator_state(32, 4, 3, spectral=True, attention=(2,))
    torch.save({"state_dict": {key: tensor.float() for key, tensor in state.items()}}, "G.pth")


def main():
    """Call them all."""
    if sys.argv[1:] == ["alone"]:
        alone()
    import_all()
    import torch

    from sagan.cli.main import VERBS as KNOWN
    from sagan.experiments import digits

    assert KNOWN.keys() == VERBS.keys(), KNOWN.keys() ^ VERBS.keys()
    torch.set_num_threads(1)
    digits.SAMPLES = 20  # what the demo measures; as many as it does take half a minute
    foreign()
    for verb, words in VERBS.items():
        code, said = call([*verb.split(), "--help"])
        assert code == 0, f"{verb} --help: {code}"
        assert said
        if verb == "studio":
            serve(words)
            continue
        code, said = call([*verb.split(), *words])
        allowed = (0, 3) if verb == "data check" else (0,)
        assert code in allowed, f"sagan {verb} {words}: {code}\n{said}"
    print("all verbs were called")


if __name__ == "__main__":
    main()
