"""What the studio shows: generators that are loaded aside, and loaded again when their run goes on."""

import queue
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sagan.generators.pretrained import EXPORTED, file_of, load, load_judge
from sagan.generators.staged import newest_stage
from sagan.generators.trained import TrainedGenerator
from sagan.models.discriminator import Discriminator
from sagan.runs.folder import LOCK
from sagan.runs.log import LOG
from sagan.sampling import attention_gammas
from sagan.sizes import written

# A checkpoint needs standing statistics. These few show something at once; those that `sagan sample` uses follow.
QUICK = (2, 16)

# A file, when it was written, its length, and which one of this name it is.
Stamp = tuple[str, int, int, int]
Status = Literal["waiting", "ready", "failed"]


@dataclass(frozen=True)
class Loaded:
    """A generator, and what was loaded."""

    generator: TrainedGenerator
    file: Path
    """The weights file or the checkpoint; `sagan sample` of it draws the same."""
    stamp: Stamp
    """Which file that was, and when it was written."""
    rough: bool
    """Whether its statistics come from a few batches, and better ones follow."""


class Source:
    """A run folder, a checkpoint or a weights file.

    Args:
        key: What requests call it.
        name: What people call it.
        path: Where it is.
        device: Where its networks run.
    """

    def __init__(self, key: str, name: str, path: Path, device: str = "auto") -> None:
        self.key, self.name, self.given, self.device = key, name, path, device
        self.is_run = path.is_dir() and not holds_weights_alone(self.path)
        self.loaded: Loaded | None = None
        self.error: str | None = None
        self.version = 0
        self._tried: Stamp | None = None
        self._discriminator: tuple[Stamp, Discriminator] | None = None
        self._guard = threading.Lock()
        self.trained_on: object = None
        """What the discriminator's checkpoint says of its pictures, once there is one."""

    @property
    def path(self) -> Path:
        """Where it is now: a run in stages goes on in another folder."""
        return newest_stage(self.given)

    @property
    def status(self) -> Status:
        """Whether it can be sampled from."""
        if self.loaded is not None:
            return "ready"
        return "waiting" if self.error is None else "failed"

    def changed(self) -> bool:
        """Tell whether there is something to load: nothing was yet, or the run has saved since."""
        try:
            stamp = stamp_of(file_of(self.path))
        except (OSError, ValueError) as error:
            self.error = None if self.loaded is not None else str(error)
            return False
        return stamp not in (self._tried, None if self.loaded is None else self.loaded.stamp)

    def read(self) -> None:
        """Load the generator, if there is a new one: quickly, then, if that left something out, thoroughly."""
        try:
            file = file_of(self.path)
            self._tried = stamp = stamp_of(file)
            if self.loaded is None or self.loaded.stamp != stamp:
                generator = load(file, device=self.device, standing=QUICK)
                rough = file.suffix == ".pt" and generator.config.sampling_norm == "standing"
                self._take(Loaded(generator, file, stamp, rough))
            if self.loaded is not None and self.loaded.rough:
                generator = load(file, device=self.device, preview=True)
                self._take(Loaded(generator, file, stamp, rough=False))
        except (OSError, ValueError) as error:
            self.error = str(error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self.error = f"{self.name} could not be loaded: {error}"

    def generator(self) -> Loaded:
        """Give the generator.

        Raises:
            ValueError: If there is none yet.
        """
        if self.loaded is None:
            raise ValueError(self.error or f"{self.name} is still being loaded")
        return self.loaded

    def discriminator(self) -> Discriminator:
        """Give the discriminator of the latest checkpoint.

        Raises:
            ValueError: If there is none: a weights file holds the generator only.
            OSError: If the run has no checkpoint.
        """
        if self.path.suffix == ".safetensors":
            raise ValueError(f"{self.name} holds the generator only; name the run folder to see the discriminator")
        with self._guard:  # however many ask at once, it is loaded once
            loaded = self.loaded
            if self._discriminator is None or (loaded is not None and self._discriminator[0] != loaded.stamp):
                D, snapshot = load_judge(self.path)
                self.trained_on = snapshot.contents.get("data")
                self._discriminator = (loaded.stamp if loaded is not None else ("", 0, 0, 0), D)
            return self._discriminator[1]

    def has_discriminator(self) -> bool:
        """Tell whether there is a discriminator to look at."""
        if self.is_run:
            return any((self.path / "checkpoints").glob("step-*.pt"))
        return self.path.suffix == ".pt"

    def told(self) -> dict[str, object]:
        """Give what the page must know of it."""
        told = {
            "key": self.key,
            "name": self.name,
            "path": str(self.path),
            "run": self.is_run,
            "gone": not self.path.exists(),
            "status": self.status,
            "error": self.error,
            "version": self.version,
            "discriminator": self.has_discriminator(),
        }
        if self.loaded is None:
            return told
        generator, config = self.loaded.generator, self.loaded.generator.config
        facts = generator.provenance
        return told | {
            "rough": self.loaded.rough,
            "classes": list(generator.class_names),
            "size": written(config.image_size),
            "directions": config.z_dim,
            "step": facts.get("step"),
            "weights": facts.get("weights"),
            "batch_norm": facts.get("batch_norm"),
            "gammas": {str(k): value for k, value in attention_gammas(generator.network).items()},
        }

    def _take(self, loaded: Loaded) -> None:
        self.loaded, self.error = loaded, None
        self.version += 1


class Loader:
    """A thread that loads sources one after another, so that the page opens at once."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Source] = queue.SimpleQueue()
        self._pending: set[str] = set()
        self._guard = threading.Lock()
        threading.Thread(target=self._work, daemon=True, name="sagan-studio-loader").start()

    def ask(self, source: Source) -> None:
        """Have a source loaded, unless it is about to be."""
        with self._guard:
            if source.key in self._pending:
                return
            self._pending.add(source.key)
        self._asked.put(source)

    def _work(self) -> None:
        while True:
            source = self._asked.get()
            source.read()
            with self._guard:
                self._pending.discard(source.key)


def holds_weights_alone(folder: Path) -> bool:
    """Tell a folder of weights, as `sagan export` writes it to share them, from that of a run."""
    return (folder / EXPORTED).exists() and not any((folder / name).exists() for name in (LOG, "checkpoints", LOCK))


def stamp_of(file: Path) -> Stamp:
    """Tell a file from what it was before."""
    found = file.stat()
    return str(file), found.st_mtime_ns, found.st_size, found.st_ino
