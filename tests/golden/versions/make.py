"""How the files of a version were made: ``python tests/golden/versions/make.py VERSION``, with that version installed.

One small file of each kind whose form has a number: a run folder (configuration, log, checkpoint, weights), statistics
of pictures, values. They are not made again; a version that writes another form adds a folder.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from sagan.evaluation.passes import KEPT, Collected
from sagan.evaluation.reference import ReferenceStatistics, write_statistics
from sagan.metrics.statistics import KeptFeatures, Moments

HERE = Path(__file__).parent
TINY = [
    *("--generator.base-width", "2", "--discriminator.base-width", "4", "--generator.z-dim", "4", "--batch-size", "8"),
    *("--train.ema-decay", "0", "--generator.sampling-norm", "running", "--seed", "3", "--steps", "2"),
    *("--train.log-every", "1", "--train.save-every", "2", "--evaluate-every", "0", "--train.sample-every", "0"),
]
KEPT_NAMES = ("config.json", "classes.txt", "log.jsonl", "generator.safetensors")


def main(version: str) -> None:
    """Write the files of this version."""
    out = HERE / version
    (out / "run" / "checkpoints").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "SAGAN_CACHE": str(Path(work) / "cache")}
        for words in (
            ["train", "--preset", "demo", "--out", "run", *TINY],
            ["evaluate", "run", "--data", "digits", "--features", "pixels", "--num", "20", "--out", "evaluation.json"],
        ):
            subprocess.run([sys.executable, "-m", "sagan", *words], cwd=work, env=environment, check=True)
        run = Path(work) / "run"
        for name in KEPT_NAMES:
            shutil.copyfile(run / name, out / "run" / name)
        checkpoint = "checkpoints/step-00000002.pt"
        shutil.copyfile(run / checkpoint, out / "run" / checkpoint)
        shutil.copyfile(Path(work) / "evaluation.json", out / "evaluation.json")
    write_statistics(out / "statistics.npz", tiny_statistics())


def tiny_statistics() -> ReferenceStatistics:
    """Give statistics of 6 samples of 3 numbers each."""
    rows = np.arange(18, dtype=np.float32).reshape(6, 3) ** 2
    moments, kept = Moments(3), KeptFeatures(KEPT, seed=0)
    moments.update(rows)
    kept.update(rows, np.arange(6))
    return ReferenceStatistics(Collected(moments, kept), {"network": "none", "reference_count": 6})


if __name__ == "__main__":
    main(sys.argv[1])
