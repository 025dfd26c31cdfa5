"""Before the first step: the data, the networks and the state that a run starts, or goes on, with."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from sagan.data import Batches, ImageSet, hand_over, kept, open_dataset
from sagan.data.batches import refuse_too_few
from sagan.data.heldout import count_held_out
from sagan.data.pack import Found
from sagan.data.there import NotThereError
from sagan.generators.snapshot import Snapshot, good_snapshots
from sagan.recipes.build import Parts, build, frozen_network, with_classes
from sagan.recipes.config import RunConfig, to_json
from sagan.recipes.few import features_advice, for_few, transfer_advice
from sagan.runs.folder import CONFIG, RunError, check_space, stored_config, write_text
from sagan.runs.hooks import ORDER, Scene
from sagan.runs.monitor import Monitor, check_weights
from sagan.runs.resume import (
    changes_since,
    check_found,
    check_length,
    check_resumable,
    check_same_data,
    check_steps,
    resumable,
    resumed_config,
)
from sagan.runs.start_from import start_from
from sagan.runs.start_report import report_start
from sagan.runs.states import states_of
from sagan.training.checkpoint import CheckpointError
from sagan.training.engine import Engine
from sagan.training.hooks import Hook, named
from sagan.training.processes import current_process
from sagan.training.state import TrainState


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    config: RunConfig | None
    """What to train; None takes that of the run to go on with."""
    folder: Path
    """The run folder."""
    resuming: bool
    """Whether to go on with the run in that folder."""
    init_from: str | Path | None
    """A run or weights file whose weights a new run starts from."""
    console: Console
    """Where to report."""
    hooks: Sequence[Hook]
    """The user's own hooks."""
    data: Any = None
    """Pictures that are given in Python, in place of those that the configuration names."""
    keep_fields: Collection[str] | None = None
    """Fields that stay as they are where few pictures ask for others; None changes none."""


@dataclass(frozen=True)
class Run:
    """A run that is ready to train."""

    scene: Scene
    parts: Parts
    batches: Batches
    """This process's part of the global batches."""
    monitor: Monitor | None
    """What measures samples, on process 0 if the run measures any."""
    states: Mapping[str, Mapping[str, Any]]
    """What the checkpoint that it goes on from holds of its hooks."""


def prepare(order: Order) -> Run:
    """Make everything that training needs, tell it, and write down the configuration.

    Raises:
        RunError: If the run cannot start or go on.
        DataError: If the data cannot be used.
        CheckpointError: If a checkpoint cannot be used.
        ValueError: If the device that is asked for is not there, or batches cannot be shared.
    """
    earlier = _earlier(order) if order.resuming else iter(())
    snapshot = next(earlier, None)
    scene = set_the_scene(order, snapshot)
    if scene.config.train.freeze_d and snapshot is None and order.init_from is None:
        raise RunError("freeze_d keeps blocks of D as they start: give weights to start from with --init-from")
    if scene.config.generator.fades and snapshot is None and order.init_from is None:
        raise RunError("fades lets networks grow from smaller ones: sagan train --grow trains these first")
    parts = build(scene.config, scene.engine)
    dataset = kept(scene.dataset, scene.config.data.keep, scene.engine.device)
    scene = replace(scene, dataset=dataset)
    report_start(scene, parts.state)
    if scene.engine.writes:
        check_space(order.folder, parts.state, scene.config.train, order.console)
    states: dict[str, dict[str, Any]] = {}
    if snapshot is not None:
        snapshot = fitting(parts.state, snapshot, earlier, order.console)
        states = restore(scene, parts, snapshot, order.hooks)
        del snapshot  # as large as the state; it need not stay for the whole training
    elif order.init_from is not None:
        said = start_from(parts.state, order.init_from, dataset.class_names)
        order.console.print(f"starting from {order.init_from}: {said}")
    monitor, batches = monitor_of(scene), batches_of(scene)
    if scene.engine.writes:  # only now: what refuses to start leaves no run behind
        write_text(order.folder / "config.json", to_json(scene.config))
        write_text(order.folder / "classes.txt", "".join(f"{name}\n" for name in dataset.class_names))
    return Run(scene, parts, batches, monitor, states)


def _earlier(order: Order) -> Iterator[Snapshot]:
    """Give the checkpoints that the run can go on from, as far as that shows without its networks, the latest first."""

    def note(text: str) -> None:
        order.console.print(f"note: {text}")

    return resumable(good_snapshots(order.folder, note), note)


def set_the_scene(order: Order, snapshot: Snapshot | None) -> Scene:
    """Settle the configuration and open the pictures."""
    config, old = order.config, None
    if snapshot is not None:
        check_resumable(snapshot.contents, order.folder)
        if not (order.folder / CONFIG).is_file():
            order.console.print(f"note: {order.folder} has no {CONFIG}; the configuration is the checkpoint's")
        old = stored_config(order.folder, snapshot.config)
        step = snapshot.contents["step"]
        config = resumed_config(old, config, snapshot.contents.get("data"))
        check_steps(step, config, order.folder)
        check_length(step, snapshot.config, config)
    assert config is not None  # a run that is new has one
    if config.train.evaluate_every and current_process().rank == 0:
        check_weights(config.monitor)
    if config.discriminator.features != "none":
        frozen_network(config.discriminator)  # what it says now it need not say after all pictures are decoded
    engine = Engine(config.engine)
    config.train.check_division(engine.process.world_size)
    before = None if old is None else old.data.path
    with engine.first_on_each_machine(), saying_they_moved(config, before):  # the first may have to decode the pictures
        look = partial(check_before, order, config, snapshot)
        if order.data is not None:
            config = replace(config, data=hand_over(order.data, config.data, config.generator.image_size, look=look))
        dataset: ImageSet = open_dataset(config.data, config.generator.image_size, look=look)
    if snapshot is not None:
        check_same_data(snapshot.contents.get("data"), dataset, order.folder)
    config = with_classes(config, len(dataset.class_names))
    parts = dataset.split(config.data.holdout_fraction, config.data.holdout_max, config.seed)
    check_enough(config, dataset.source, len(dataset.labels), len(parts[0]))
    config, chosen = chosen_for(order, config, len(parts[0]))
    return Scene(config, order.folder, order.console, engine, dataset, *parts, chosen=tuple(chosen))


def check_before(order: Order, config: RunConfig, snapshot: Snapshot | None, found: Found) -> None:
    """Refuse pictures that a run cannot take, as far as that shows before they are decoded.

    Raises:
        RunError: If they are not those of the run that is to go on.
        DataError: If they are fewer than a batch has.
    """
    data, count = config.data, found.num_images
    if snapshot is not None:
        check_found(snapshot, found, order.folder, skip_unreadable=data.skip_unreadable)
    held_out = count_held_out(count, max(1, len(found.class_names)), data.holdout_fraction, data.holdout_max)
    check_enough(config, found.source, count, count - held_out)


def check_enough(config: RunConfig, source: str, pictures: int, to_train: int) -> None:
    """Refuse fewer pictures to train on than a batch has.

    Raises:
        DataError: If they are fewer.
    """
    parts = config.train.accumulate * current_process().world_size
    refuse_too_few(source, pictures, to_train, config.train.batch_size, parts)


@contextmanager
def saying_they_moved(config: RunConfig, before: str | None) -> Iterator[None]:
    """Turn an error about pictures that are not where a run had them into one that says how to name their place.

    Args:
        config: What the run goes on with.
        before: Where its pictures were; None for a new run.

    Raises:
        RunError: If nothing is there.
    """
    try:
        yield
    except NotThereError as error:
        if config.data.path != before:
            raise
        raise RunError(
            f"the run's pictures are not there any more ({before}); say where they are now with --data PATH"
        ) from error


def chosen_for(order: Order, config: RunConfig, pictures: int) -> tuple[RunConfig, list[str]]:
    """Choose what suits few pictures to train on, where that was asked for and the run is new."""
    if order.keep_fields is None or order.resuming:
        return config, []
    started = order.init_from is not None
    config, said = for_few(config, pictures, keep=order.keep_fields)
    advice = features_advice(config, pictures, started=started) + transfer_advice(pictures, started=started)
    notes = [f"note: {one}" for one in advice]
    return config, [*(f"chosen: {choice}" for choice in said), *notes]


def fitting(state: TrainState, snapshot: Snapshot, earlier: Iterator[Snapshot], console: Console) -> Snapshot:
    """Give the latest checkpoint that fits the networks, and say what is wrong with those that do not.

    Raises:
        CheckpointError: If none does.
    """
    while (why := state.misfit(snapshot.contents)) is not None:
        said = f"{snapshot.path} does not fit the networks of its run: {why}"
        before = next(earlier, None)
        if before is None:
            raise CheckpointError(f"{said}; there is no earlier one to go on from")
        console.print(f"note: {said}; going back to the one before")
        snapshot = before
    return snapshot


def restore(scene: Scene, parts: Parts, snapshot: Snapshot, yours: Sequence[Hook]) -> dict[str, dict[str, Any]]:
    """Load the training state, say what is not as it was, and give the states of the hooks."""
    state, say, contents = parts.state, scene.console.print, snapshot.contents
    state.load_state_dict(contents)
    changed = changes_since(contents, scene.engine)
    if changed:
        say(
            f"note: not the machine or versions that saved this ({'; '.join(changed)}): the run goes on, but not "
            "bit for bit as it would have"
        )
    say(f"resuming at step {state.step:,} from {snapshot.path}")
    states = states_of(contents)
    missing = states.keys() - {place.name for place in ORDER} - named(yours).keys()
    for name in sorted(missing):
        say(f"note: the checkpoint keeps the state of a hook {name!r}, which is not among the hooks now: it is dropped")
    return states


def batches_of(scene: Scene) -> Batches:
    """Give this process's part of the batches that the run trains on."""
    train, data = scene.config.train, scene.config.data
    return Batches(
        scene.dataset,
        scene.train_indices,
        train.batch_size,
        scene.config.seed,
        balanced=data.balanced,
        flip=data.flip,
        rows=scene.engine.rows(train.batch_size, train.accumulate),
    )


def monitor_of(scene: Scene) -> Monitor | None:
    """Make what measures samples, where the run measures any."""
    config = scene.config
    if not (scene.engine.writes and config.train.evaluate_every):
        return None
    return Monitor(
        config.monitor,
        scene.dataset,
        (config.data.holdout_fraction, config.data.holdout_max, config.seed),
        device=scene.engine.device,
        cache_dir=config.data.cache_dir,
    )
