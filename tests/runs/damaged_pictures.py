"""Train on pictures of which one is damaged meanwhile: ``python damaged_pictures.py FOLDER`` is one process of a run.

The folder holds ``config.json``, and ``victim.json``: the packed file and which byte of it is changed.
How the run ended on a process is written to ``end-RANK.json``.
"""

import io
import json
import os
import sys
from pathlib import Path

import torch
from rich.console import Console

from sagan import Hook
from sagan.data import DataError
from sagan.recipes.config import from_json
from sagan.runs.train import train


class Damage(Hook):
    """Changes a byte of the file after the second step, before the sixth batch is read."""

    def __init__(self, file, position):
        self.file, self.position = Path(file), position

    def on_step(self, record):
        if record.step == 2:
            with self.file.open("r+b") as stream:
                stream.seek(self.position)
                (byte,) = stream.read(1)
                stream.seek(self.position)
                stream.write(bytes([byte ^ 1]))


def main(folder):
    torch.set_num_threads(1)
    said = io.StringIO()
    try:
        config = from_json((folder / "config.json").read_text())
        hooks = [Damage(*json.loads((folder / "victim.json").read_text()))]
        result = train(config, out=folder / "run", hooks=hooks, console=Console(file=said, soft_wrap=True))
        end = {"step": result.step, "finished": result.finished, "error": None}
    except DataError as error:
        end = {"error": str(error)}
    (folder / f"end-{os.environ['RANK']}.json").write_text(json.dumps(end | {"said": said.getvalue()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
