"""Train on pictures of which one is damaged: ``python damaged_pictures.py FOLDER`` is one process of a run.

The folder holds ``config.json``. How the run ended on a process is written to ``end-RANK.json``.
"""

import io
import json
import os
import sys
from pathlib import Path

import torch
from rich.console import Console

from sagan.data import DataError
from sagan.recipes.config import from_json
from sagan.runs.train import train


def main(folder):
    torch.set_num_threads(1)
    said = io.StringIO()
    try:
        config = from_json((folder / "config.json").read_text())
        result = train(config, out=folder / "run", console=Console(file=said, soft_wrap=True))
        end = {"step": result.step, "finished": result.finished, "error": None}
    except DataError as error:
        end = {"error": str(error)}
    (folder / f"end-{os.environ['RANK']}.json").write_text(json.dumps(end | {"said": said.getvalue()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
