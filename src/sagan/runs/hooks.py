"""The hooks of a run: their order, which processes each runs on, and what a checkpoint keeps of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from sagan.data import Batches, ImageSet, about_data
from sagan.recipes.config import RunConfig, to_json
from sagan.runs.board import Board
from sagan.runs.checkpoints import Checkpoints
from sagan.runs.curves import Curves
from sagan.runs.display import Display
from sagan.runs.log import Log
from sagan.runs.means import LOOK_BATCH, Means
from sagan.runs.monitor import SAMPLE_SEED, Monitor
from sagan.runs.previews import Previews
from sagan.runs.rollback import Rollback
from sagan.runs.sampler import Sampler
from sagan.runs.samples import weights_caption
from sagan.runs.scores import Scores
from sagan.runs.timeline import Timeline
from sagan.runs.watch import Watcher
from sagan.training.checkpoint import checkpoint_path
from sagan.training.engine import Engine
from sagan.training.hooks import Hook, named, plain_state

YOURS = "(your own hooks)"


class Place(NamedTuple):
    """Where a hook stands."""

    name: str
    everywhere: bool
    """Whether it runs on every process, or on process 0 alone."""
    keeps: tuple[str, ...]
    """What a checkpoint keeps of it."""
    why: str
    """What it does, and why it stands there."""


# Hooks are called in this order. Files and the terminal belong to process 0.
ORDER = (
    Place("log", False, (), "opens log.jsonl first: what the log holds already is what others go on from"),
    Place("means", False, ("sums", "count"), "the line of the log: metrics, logits of pictures, sigma, gamma"),
    Place("display", False, (), "progress in the terminal, once a line that is due is there"),
    Place("watch", False, ("healthy", "active", "against", "seen_right"), "judges lines; no sample of a NaN is drawn"),
    Place("sampler", True, (), "the copy of the generator that the next two look at; all processes take part"),
    Place("previews", False, (), "samples/, their variety and whether they are copies, which the watch judges"),
    Place("scores", False, ("best", "best_by", "monitor"), "the monitor's values, evaluations/"),
    Place("board", False, (), "tensorboard/: lines, and the pictures that were drawn"),
    Place(YOURS, False, (), "in the order in which they are given; each says where it runs and what it keeps"),
    Place("rollback", True, ("healthy_step", "back_step"), "after all have seen the step, before it is saved"),
    Place("checkpoints", False, (), "checkpoints/, with the states of all hooks"),
    Place("curves", False, (), "curves.png"),
    Place("timeline", False, (), "timeline.png"),
)


@dataclass(frozen=True)
class Scene:
    """What the hooks of a run work with."""

    config: RunConfig
    folder: Path
    console: Console
    engine: Engine
    dataset: ImageSet
    train_indices: NDArray[np.int64]
    heldout_indices: NDArray[np.int64]
    chosen: tuple[str, ...] = ()
    """What was chosen because there are few pictures, and what else to know of them: a sentence each."""


def hooks_of(scene: Scene, monitor: Monitor | None, yours: Sequence[Hook] = ()) -> list[Hook]:
    """Make the hooks that run on this process, in order.

    Args:
        scene: What they work with.
        monitor: What measures samples, on process 0 if the run measures any.
        yours: The user's own.

    Raises:
        ValueError: If two hooks have the same name.
    """
    hooks = everywhere(scene) | (on_the_first(scene, monitor) if scene.engine.writes else {})
    in_order: list[Hook] = []
    for place in ORDER:
        if place.name == YOURS:
            in_order += [hook for hook in yours if hook.everywhere or scene.engine.writes]
        elif place.name in hooks:
            hook = hooks[place.name]
            hook.name, hook.everywhere = place.name, place.everywhere
            in_order.append(hook)
    return in_order


def check_names(yours: Sequence[Hook]) -> None:
    """Refuse hooks that could not be told apart in a checkpoint, before any work is done.

    Raises:
        ValueError: If two have the same name, or one that of a hook of every run.
        TypeError: If one is no hook, or has a state that a checkpoint cannot keep.
    """
    taken = {place.name for place in ORDER}
    for name, hook in named(yours).items():
        if name in taken:
            raise ValueError(f"a hook is called {name!r}, which is a hook of every run; give it another `name`")
        try:
            state = hook.state_dict()
        except AttributeError as error:
            raise TypeError(
                f"the state_dict of hook {name!r} is called before on_start and does not find what it needs ({error}); "
                "make that in __init__"
            ) from error
        plain_state(state, name)


def everywhere(scene: Scene) -> dict[str, Hook]:
    """Make the hooks that all processes have."""
    checkpoints = scene.folder / "checkpoints"
    return {"sampler": Sampler(), "rollback": Rollback(scene.config.train, checkpoints, scene.console)}


def on_the_first(scene: Scene, monitor: Monitor | None) -> dict[str, Hook]:
    """Make the hooks of process 0, which writes and reports."""
    config, folder, dataset = scene.config, scene.folder, scene.dataset
    checkpoints, class_names = folder / "checkpoints", dataset.class_names
    hooks: dict[str, Hook] = {
        "log": Log(folder, scene.console),
        "display": Display(scene.console, config.train.total_steps),
        "means": Means(config, scene.engine, looks(scene)),
        "watch": Watcher(config.train, checkpoints, scene.console),
        "previews": Previews(config, folder / "samples", dataset, scene.train_indices, scene.heldout_indices),
        "board": Board(folder, scene.console),
        "checkpoints": Checkpoints(checkpoints, about(config, dataset), scene.console),
    } | of_the_whole(scene, monitor)
    if monitor is not None:
        hooks["scores"] = Scores(config, folder / "evaluations", monitor, class_names)
    return hooks


def of_the_whole(scene: Scene, monitor: Monitor | None) -> dict[str, Hook]:
    """Make the hooks that draw a whole run, each into the file of its name."""
    timeline = Timeline(scene.config, scene.folder, scene.dataset.class_names)
    return {"curves": Curves(scene.folder, caption(scene, monitor)), "timeline": timeline}


def undrawn(scene: Scene, monitor: Monitor | None, step: int) -> list[Hook]:
    """Make those whose picture is older than the checkpoint of a step, as a kill leaves it; none but on process 0."""
    if not scene.engine.writes:
        return []
    saved = checkpoint_path(scene.folder / "checkpoints", step)
    hooks = of_the_whole(scene, monitor)
    return [hook for name, hook in hooks.items() if _is_older(scene.folder / f"{name}.png", saved)]


def _is_older(file: Path, than: Path) -> bool:
    return than.exists() and not (file.exists() and file.stat().st_mtime >= than.stat().st_mtime)


def looks(scene: Scene) -> dict[str, Batches]:
    """Give batches of pictures that the run trains on, and of held-out ones, if there are any."""
    parts = {"trained_logits": scene.train_indices, "heldout_logits": scene.heldout_indices}
    if not all(len(indices) for indices in parts.values()):
        return {}
    return {
        name: Batches(scene.dataset, indices, min(LOOK_BATCH, len(indices)), scene.config.seed)
        for name, indices in parts.items()
    }


def about(config: RunConfig, dataset: ImageSet) -> dict[str, object]:
    """Give what each checkpoint says of the run."""
    return {
        "config": to_json(config),
        "class_names": list(dataset.class_names),
        "data": about_data(dataset, config.data),
    }


def caption(scene: Scene, monitor: Monitor | None) -> str:
    """Say what the curves of a run are of."""
    text = f"{Path(scene.dataset.source).name}; seed {scene.config.seed}"
    if monitor is None:
        return text
    return (
        f"{text}; scores: {scene.config.monitor.num} samples (seed {SAMPLE_SEED}) against "
        f"{monitor.real.protocol['reference_count']} training pictures; {weights_caption(scene.config)}"
    )
