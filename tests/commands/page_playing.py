"""Running what a page holds, in order, in one folder."""

import contextlib
import io
import itertools
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from page_changes import WRITES, here, script_of, small, small_pip, small_python, small_torchrun, verb_of
from page_reading import ROOT, Found
from page_world import data_in, place_in, rows_of_papers

from sagan.cli.main import main
from sagan.data.there import NAMES

SHIMS = Path(__file__).parent / "shims"
FINE = {"data check": (0, 3)}
"""Exit codes that are no failure, beside 0: 3 is "fine with remarks"."""
FILE = re.compile(r"\"([\w./-]+\.(?:png|gif|webp|html|npy|npz|json|safetensors|mp4))\"")


class Page:
    """A folder in which the commands of a page run, and the names that its Python has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, object] = {"__name__": "__main__"}

    def run(self, item: Found) -> None:
        """Run one, and look whether what it says it writes is there.

        Raises:
            AssertionError: If it fails, or leaves something undone.
        """
        if item.given:
            self.python(item.page, 0, here(item.given))
        text = here(item.text)
        began = time.time() - 1.0
        if item.kind == "python":
            self.python(item.page, item.line, small_python(text))
            written = [name for name in FILE.findall(text) if not name.startswith(("http", "model="))]
        elif item.kind == "script":
            self.put(re.findall(r"[\w./-]+", text), [])
            self.process(["bash", "-e", "-c", text])
            written = []
        else:
            written = self.command(item)
        for name in (*written, *item.leaves):
            place = self.folder / name
            assert place.exists(), f"{item.place}\n{name} is not there"
            empty = not (any(place.iterdir()) if place.is_dir() else place.stat().st_size)
            assert not empty, f"{item.place}\n{name} is empty"
            old = item.kind == "command" and name in written and newest(place) < began
            assert not old, f"{item.place}\n{name} was not written by it"

    def command(self, item: Found) -> list[str]:
        """Run a command, and give the places that it names as written."""
        program, *words = [here(word) for word in item.words]
        written = [word for flag, word in itertools.pairwise(words) if flag in WRITES]
        written += [word.partition("=")[2] for word in words if word.startswith(tuple(f"{flag}=" for flag in WRITES))]
        if program == "sagan":
            self.sagan(small(words), written)
            return written if "--dry-run" not in words else []
        elif item.installs:
            self.process([sys.executable, "-m", "pip", *small_pip(words, self.folder)])
        elif program == "torchrun":
            self.put(words, written)
            self.process([sys.executable, "-m", "torch.distributed.run", *small_torchrun(words)])
        elif program == "python":
            self.put(words, [])
            for word in words[1:]:  # a page that was run in the repository means folders of it
                (self.folder / word).parent.mkdir(parents=True, exist_ok=True)
            few = ["22"] if words[0].startswith("examples/") else []
            with self.inside(), patch.object(sys, "argv", [*words, *few]), contextlib.redirect_stdout(io.StringIO()):
                runpy.run_path(script_of(words[0]), run_name="__main__")
        else:
            self.put(words, written)
            self.process(["bash", "-e", "-c", here(item.text).removeprefix("./dev ")])
        return written

    def python(self, page: Path, line: int, code: str) -> None:
        """Run Python among the names of the page; a traceback shows the line of the page."""
        self.put(re.findall(r"\"([\w./-]+)\"", code), re.findall(r"\bout=\"([\w./-]+)\"", code))
        with self.inside():
            exec(compile("\n" * max(line - 1, 0) + code, str(page), "exec", dont_inherit=True), self.names)

    def sagan(self, words: list[str], written: list[str]) -> None:
        """Run a verb in this process; the studio in one of its own, which is asked for its page and ended."""
        if words[0] == "train" and "--resume" not in words:
            for name in written:  # alternatives stand below each other
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self.put(words, written)
        if words[0] == "paper" and not (self.folder / "results" / "paper").exists():
            (self.folder / "results").mkdir(exist_ok=True)  # has what `paper render` draws
            (self.folder / "results" / "paper").symlink_to(rows_of_papers())
        for flag, word in [*itertools.pairwise(words), *([("--data", words[2])] if words[0] == "data" else [])]:
            if flag == "--data" and word not in NAMES:
                data_in(self.folder, word)
        if words[0] == "studio" and "--help" not in words:
            self.studio(words)
            return
        said = io.StringIO()
        with self.inside(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(words)
        fine = FINE.get(verb_of(words), (0,))
        assert code in fine, f"sagan {' '.join(words)}\nends with {code}:\n{said.getvalue()[-3000:]}"
        assert "Traceback" not in said.getvalue(), said.getvalue()[-3000:]

    def studio(self, words: list[str]) -> None:
        """Open the page of a studio, and end it as Ctrl-C does."""
        command = [sys.executable, "-m", "sagan", *words]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, cwd=self.folder, env=self.environment(), text=True, **streams) as server:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address, f"{' '.join(words)}\n{server.stdout.read()}"
            with urllib.request.urlopen(address[0], timeout=300) as page:
                assert "<html" in page.read().decode()
            server.send_signal(signal.SIGINT)
            said = server.stdout.read()
        assert server.returncode in (0, 130), said
        assert "Traceback" not in said, said

    def process(self, words: list[str]) -> None:
        """Run a program; ``sagan`` and ``srun`` in it are those of tests/commands/shims."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{(done.stdout + done.stderr)[-3000:]}"
        assert "Traceback" not in done.stderr, done.stderr[-3000:]

    def put(self, words: list[str], written: list[str]) -> None:
        """Put into the folder what words name, unless the command makes it."""
        for word in words:
            if word not in written and not word.startswith("-"):
                place_in(self.folder, word.rstrip("/"))
                if word.startswith("results/") and (ROOT / word).is_file():
                    (self.folder / word).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / word, self.folder / word)

    def environment(self) -> dict[str, str]:
        """Give the environment of a process."""
        python = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        path = os.pathsep.join([str(SHIMS), str(Path(sys.executable).parent), os.environ["PATH"]])
        ours = {"PYTHONPATH": python, "PATH": path, "SAGAN_CACHE": str(self.folder / "cache"), "HOME": str(self.folder)}
        return os.environ | ours

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Work in the folder."""
        with contextlib.chdir(self.folder):
            yield


def newest(place: Path) -> float:
    """Give when a file, or the newest one of a folder, was written."""
    return max(path.stat().st_mtime for path in [place, *(place.rglob("*") if place.is_dir() else [])])
