"""Break small trainings on digits in ways that a run watches for, and keep what is seen: docs/collapse.md shows it.

python benchmarks/failures.py NAME... [--weights results/digits-demo/generator.safetensors]

Writes docs/failure-NAME.webp (five samples of each class from the last checkpoint) and results/failures/NAME.json
(what was changed, the lines of the log, what the run said). Without names all of them. The name "healthy" trains
nothing: it draws the same sheet from the weights of the demonstration.
"""

import argparse
import io
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import sagan
from sagan.figures import sample_grid
from sagan.generators.trained import TrainedGenerator
from sagan.recipes.config import RunConfig
from sagan.training.health import DivergedError

ROOT = Path(__file__).parents[1]
SAMPLES_A_CLASS = 5
HEALTHY = "healthy"
KEPT = ("step", "loss_d", "loss_g", "real_logits", "fake_logits", "sigma/G", "sigma/D")
KEPT += ("variety/within", "variety/between")


@dataclass(frozen=True)
class Failure:
    """A way to break a run."""

    what: str
    """What a run calls it."""
    changes: dict[str, Any]
    """Fields of the configuration, beside those of :data:`SMALL`."""
    from_weights: bool = False
    """Whether the generator begins as that of the demonstration."""


SMALL = {
    "train.batch_size": 32,
    "train.d_steps": 1,
    "train.log_every": 5,
    "train.sample_every": 50,
    "train.evaluate_every": 0,
    "train.save_every": 10_000,
}
FAILURES = {
    "not-finite": Failure("not finite", {"train.total_steps": 40, "train.lr_g": 1e30}, from_weights=True),
    # Diverges, too: G follows a D that tells nothing, and the losses grow.
    "fooled": Failure("discriminator fooled", {"train.total_steps": 150, "train.lr_d": 1e-8}, from_weights=True),
    "saturated": Failure("discriminator saturated", {"train.total_steps": 120, "train.lr_g": 1e-8}),
    # Without a moving average, looks count from the first one on, which still finds the demonstration's digits.
    "variety": Failure(
        "variety within classes lost",
        {
            "train.total_steps": 120,
            "train.lr_g": 0.01,
            "train.lr_d": 2e-4,
            "train.ema_decay": 0.0,
            "train.sample_every": 20,
        },
        from_weights=True,
    ),
    "alike": Failure(
        "classes alike",
        {"train.total_steps": 90, "train.lr_g": 0.006, "train.ema_decay": 0.9, "train.sample_every": 10}
        | {"discriminator.head": "none"},
        from_weights=True,
    ),
    # No learning rate that was tried brought it; a bound above the norm of the layer lets its vectors shrink.
    "drift": Failure(
        "spectral norm drift", {"train.total_steps": 60, "generator.sn_eps_linear": 1.05}, from_weights=True
    ),
    # The rates of the demonstration times a hundred.
    "ran-away": Failure(
        "ran away", {"train.total_steps": 40, "train.lr_g": 0.06, "train.lr_d": 0.24}, from_weights=True
    ),
}


def broken(failure: Failure) -> RunConfig:
    """Give the configuration of a failure: the demonstration, small, and the one thing that is wrong."""
    config = sagan.preset("demo")
    for place, value in (SMALL | failure.changes).items():
        part, field = place.split(".")
        config = replace(config, **{part: replace(getattr(config, part), **{field: value})})
    return config


def main() -> None:
    """Train those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--weights", default=str(ROOT / "results" / "digits-demo" / "generator.safetensors"))
    arguments = parser.parse_args()
    for name in arguments.names or [HEALTHY, *FAILURES]:
        if name == HEALTHY:
            draw(name, sagan.load(arguments.weights))
            continue
        with tempfile.TemporaryDirectory() as folder:
            keep(name, FAILURES[name], Path(folder) / "run", arguments.weights)


def keep(name: str, failure: Failure, run: Path, weights: str) -> None:
    """Train one, and write what is kept of it."""
    said = io.StringIO()
    init_from = weights if failure.from_weights else None
    try:
        sagan.train(broken(failure), out=run, init_from=init_from, console=Console(file=said, width=200))
    except DivergedError as error:
        said.write(f"\n{error}\n")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    result = {
        "health": failure.what,
        "changes": failure.changes,
        "init_from": weights.removeprefix(f"{ROOT}/") if init_from else None,
        "lines": [{key: line[key] for key in KEPT if key in line} for line in lines if "health" not in line],
        "found": [line for line in lines if "health" in line],
        "said": [line.strip() for line in said.getvalue().splitlines() if "health:" in line or "finite" in line],
    }
    if failure.what not in [line["health"] for line in result["found"]]:
        print(f"{name}: {failure.what} did not come; nothing is kept", flush=True)
        return
    print(name, json.dumps(result["found"]), result["said"], sep="\n", flush=True)
    (ROOT / "results" / "failures").mkdir(exist_ok=True)
    (ROOT / "results" / "failures" / f"{name}.json").write_text(json.dumps(result, indent=0) + "\n", encoding="utf-8")
    draw(name, sagan.load(run))


def draw(name: str, generator: TrainedGenerator) -> None:
    """Write the sheet of one."""
    images = generator.sample(10 * SAMPLES_A_CLASS, [*range(10)], seed=0)
    sheet = sample_grid(np.ascontiguousarray(images), columns=10, scale=3)
    sheet.save(ROOT / "docs" / f"failure-{name}.webp", quality=70)


if __name__ == "__main__":
    main()
