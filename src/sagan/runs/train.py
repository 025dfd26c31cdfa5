"""Train a run, or go on with one: from a configuration to a finished run folder."""

import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from sagan.data import Batches, ImageSet, kept, notes, open_dataset, prefetched
from sagan.generators.outputs import write_attention
from sagan.generators.pretrained import (
    EXPORTED,
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    exported_step,
    load,
    read_snapshot,
)
from sagan.generators.weights import load_weights, save_weights
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.ops.spectral import refresh_spectral
from sagan.recipes.build import Parts, build, with_classes
from sagan.recipes.config import RunConfig, to_json
from sagan.runs.folder import (
    RunError,
    changes_since,
    check_empty,
    check_same_data,
    check_space,
    next_folder,
    quoted,
    resumed_config,
    run_lock,
    stored_config,
    write_text,
)
from sagan.runs.monitor import Monitor
from sagan.runs.reporter import DivergedError, Follower, Reporter
from sagan.runs.transfer import transfer_from_folded, transfer_weights
from sagan.training.checkpoint import checkpoint_path
from sagan.training.engine import Engine, is_lost_contact, lost_sentence
from sagan.training.loop import Hooks, train_loop
from sagan.training.processes import Process, ProcessLostError, current_process
from sagan.training.state import TrainState

__all__ = ["DivergedError", "ProcessLostError", "RunError", "TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """How a call of :func:`train` ended."""

    out: Path
    """The run folder."""
    step: int
    """Steps done."""
    finished: bool
    """Whether all steps are done."""
    signal: int | None
    """The signal that stopped it before that, if one did."""


def train(
    config: RunConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    init_from: str | Path | None = None,
    console: Console | None = None,
) -> TrainResult:
    """Train a run, or go on with one.

    Args:
        config: What to train. With ``resume``, unset takes the run's own; a given one may differ from it only in the
            number of steps, in cadences and in where the same pictures lie.
        out: A new run folder; unset is ``runs/NAME-NUMBER``.
        resume: The folder of a run to go on with, in place of ``out``.
        init_from: A run or weights file whose weights the new run starts from; classes are matched by name.
        console: Where to report; unset is the terminal's error stream.

    Started by ``torchrun``, SLURM's ``srun`` or ``sagan train --devices N``, each process calls this; they train one
    run together, and process 0 alone writes and reports.

    Returns:
        How it ended. Ctrl-C and SIGTERM finish the step, save and return, on all processes wherever the signal came.

    Raises:
        RunError: If the folder is in use or holds another run, the disk is too small, or a resumed field differs.
        DataError: If the data cannot be used.
        CheckpointError: If a checkpoint cannot be used.
        DivergedError: If a number is no longer finite.
        ProcessLostError: If another process of the run has ended.
    """
    process = current_process()
    if process.rank > 0:
        console = Console(quiet=True)
    console = console or Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    if resume is not None:
        if out is not None or init_from is not None:
            raise RunError("--resume goes on in the run's own folder: leave --out and --init-from away")
        folder = Path(resume)
        if not folder.is_dir():
            raise RunError(f"{folder}: no such run folder to resume")
    else:
        config = config or RunConfig()
        folder = (
            Path(out) if out is not None else next_folder(f"{Path(config.data.path).stem}-{config.generator.size_px}")
        )
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; choose another --out")
    if process.rank > 0:
        with _naming_lost_processes(process):
            return _train(config, folder, resume is not None, init_from, console)[1]
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with run_lock(folder), _naming_lost_processes(process):
            if resume is None:
                check_empty(folder)
            parts, result = _train(config, folder, resume is not None, init_from, console)
            if result.finished:
                _close(folder, parts, console)
            else:
                console.print(
                    f"stopped at step {result.step:,}, saved. To go on:\n  sagan train --resume {quoted(folder)}"
                )
            return result
    finally:
        # A start that failed leaves nothing behind, so that the corrected command can use the same --out.
        if fresh and not (folder / "config.json").exists():
            shutil.rmtree(folder)


def _train(
    config: RunConfig | None, folder: Path, resuming: bool, init_from: str | Path | None, console: Console
) -> tuple[Parts, TrainResult]:
    # What to train
    snapshot = read_snapshot(folder, warn=lambda text: console.print(f"note: {text}")) if resuming else None
    if snapshot is not None:
        config = resumed_config(stored_config(folder, snapshot.config), config)
    assert config is not None
    engine = Engine(config.engine)
    config.train.check_division(engine.process.world_size)
    with engine.first_on_each_machine():  # the first one may have to decode the pictures
        dataset = open_dataset(config.data, config.generator.size_px)
    if snapshot is not None:
        check_same_data(snapshot.contents.get("data"), dataset, folder)
    config = with_classes(config, len(dataset.class_names))
    train_indices, heldout_indices = dataset.split(config.data.holdout_fraction, config.data.holdout_max, config.seed)
    parts = build(config, engine)
    state = parts.state
    dataset = kept(dataset, config.data.keep, engine.device)
    batches = Batches(
        dataset,
        train_indices,
        config.train.batch_size,
        config.seed,
        balanced=config.data.balanced,
        flip=config.data.flip,
        rows=engine.rows(config.train.batch_size, config.train.accumulate),
    )
    _report_start(console, config, parts, dataset, len(train_indices), len(heldout_indices), folder)
    if engine.writes:
        check_space(folder, state, config.train.keep_last, console)

    # Where to start
    resumed: dict[str, object] = {}
    if snapshot is not None:
        state.load_state_dict(snapshot.contents)
        changed = changes_since(snapshot.contents, engine)
        if changed:
            console.print(
                f"note: not the machine or versions that saved this ({'; '.join(changed)}): the run goes on, but not "
                "bit for bit as it would have"
            )
        console.print(f"resuming at step {state.step:,} from {snapshot.path}")
        if state.step > config.train.total_steps:
            raise RunError(f"{folder} is at step {state.step:,} already; --steps takes more than that")
        resumed = snapshot.contents.get("reporter", {})  # type: ignore[assignment]
        del snapshot  # as large as the state; it need not stay for the whole training
    elif init_from is not None:
        console.print(f"starting from {init_from}: {_start_from(state, init_from, dataset.class_names)}")
    monitor = None
    if engine.writes and config.train.evaluate_every:
        monitor = Monitor(
            config.monitor,
            dataset,
            (config.data.holdout_fraction, config.data.holdout_max, config.seed),
            device=engine.device,
            cache_dir=config.data.cache_dir,
        )
    if engine.writes:
        write_text(folder / "config.json", to_json(config))
        write_text(folder / "classes.txt", "".join(f"{name}\n" for name in dataset.class_names))
    if state.step == config.train.total_steps:
        console.print(f"all {config.train.total_steps:,} steps are done already; --steps N asks for more")
        engine.close()
        return parts, TrainResult(folder, state.step, True, None)

    # Train
    hooks: AbstractContextManager[Hooks] = (
        Reporter(config, folder, state, engine, dataset, train_indices, heldout_indices, console, monitor, resumed)
        if engine.writes
        else Follower(config.train, engine, folder)
    )
    with hooks as reporter, _stop_signals(console, engine) as stop, prefetched(batches) as next_batch:
        if state.step == 0:
            reporter.save(state, last=True)  # from now on the run can be resumed, whatever happens
        finished = train_loop(state, config.train, next_batch, engine, reporter, config.seed, stop.requested)
    engine.close()
    return parts, TrainResult(folder, state.step, finished, None if finished else stop.number)


def _close(folder: Path, parts: Parts, console: Console) -> None:
    """After the last step: write the weights to share and draw the attention, unless that was done."""
    state = parts.state
    if exported_step(folder) != state.step:
        if state.G.config.sampling_norm == "standing":
            console.print(
                f"computing standing statistics ({STANDING_BATCHES} batches of {STANDING_BATCH_SIZE}) for {EXPORTED}"
            )
        latest = checkpoint_path(folder / "checkpoints", state.step)
        generator = load(latest, device=parts.engine.device, progress=True)
        save_weights(generator.network, folder / EXPORTED, generator.class_names, generator.provenance)
    if state.G.attention:
        write_attention(load(folder), folder / "attention.png")
    console.print(
        f"done: {quoted(folder)} has samples/, timeline.png, curves.png and {EXPORTED}\n"
        f"  sagan sample {quoted(folder)} --out samples.png\n"
        f"  sagan attention {quoted(folder)} --out attention.png"
    )


def _start_from(state: TrainState, path: str | Path, class_names: tuple[str, ...]) -> str:
    """Put the weights of another run, or of a weights file, into a fresh state and say what was kept.

    Raises:
        ValueError: If the networks differ in more than their classes.
    """
    if Path(path).suffix == ".safetensors":
        weights = load_weights(Path(path))
        kept = transfer_from_folded(state.G, weights.generator.state_dict(), weights.class_names, class_names)
        said = f"generator: {kept}; the discriminator starts fresh (a weights file has none)"
    else:
        snapshot = read_snapshot(path)
        contents = snapshot.contents
        ema = contents["ema"]
        kept = transfer_weights(state.G, contents["G"] if ema is None else ema, snapshot.class_names, class_names)  # type: ignore[arg-type]
        refresh_spectral(state.G)  # an average's vectors are those of the network that was averaged
        transfer_weights(state.D, contents["D"], snapshot.class_names, class_names)  # type: ignore[arg-type]
        said = f"both networks{'' if ema is None else ', the generator from its moving average'}: {kept}"
    if state.ema is not None:
        state.ema.load_state_dict(state.G.state_dict())
    return f"{said}; the optimisers start fresh"


@contextmanager
def _naming_lost_processes(process: Process) -> Iterator[None]:
    """Turn the failure of an exchange between processes into one that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if process.world_size == 1 or not is_lost_contact(error):
            raise
        what = "another process of this run has ended or is out of reach"
        raise ProcessLostError(lost_sentence(process, what)) from error


@dataclass
class _Stop:
    engine: Engine
    received: int = 0
    """The signal that this process received, if it did."""
    number: int | None = None
    """The signal that the processes agreed to stop for."""

    def requested(self) -> bool:
        """Tell whether a process was asked to stop: all stop after the same step."""
        self.number = self.engine.largest(self.received) or None
        return self.number is not None


@contextmanager
def _stop_signals(console: Console, engine: Engine) -> Iterator[_Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop after the step; a second SIGINT interrupts at once."""
    stop = _Stop(engine)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: object) -> None:
        if stop.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.received = number
        console.print("finishing the step and saving (Ctrl-C again leaves without saving) ...")

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _ablation(network: Generator | Discriminator, position: int) -> str:
    """Say how many parameters the residual block of the ablation has, and attention in its place would have."""
    config = network.config
    attention = SelfAttention2d(config.positions[position], config.attention_form, spectral_norm=False)
    counts = [sum(p.numel() for p in block.parameters()) for block in (network.residual[str(position)], attention)]
    return f"residual block at feat{position}: {counts[0]:,} parameters (attention there has {counts[1]:,})"


def _report_start(
    console: Console,
    config: RunConfig,
    parts: Parts,
    dataset: ImageSet,
    num_train: int,
    num_heldout: int,
    folder: Path,
) -> None:
    classes = f"{len(dataset.class_names)} classes" if dataset.class_names else "no classes (unconditional)"
    lines = [
        f"run folder: {folder}",
        f"data: {dataset.source}: {num_train:,} images to train on, {num_heldout:,} held out, {classes}",
        *(f"note: {note}" for note in notes(dataset)),
    ]
    for name, network in (("generator", parts.state.G), ("discriminator", parts.state.D)):
        count = sum(p.numel() for p in network.parameters())
        where = ", ".join(f"feat{k}" for k in network.config.attention_positions) or "none"
        extra = "".join(f"; {_ablation(network, k)}" for k in network.config.residual)
        lines.append(f"{name}: {count:,} parameters; attention ({network.config.attention_form}): {where}{extra}")
    accumulate = f", in {config.train.accumulate} micro-batches" if config.train.accumulate > 1 else ""
    if config.train.g_batch_size is not None:
        accumulate += f"; {config.train.g_batch_size} generated in a generator update"
    threads = f"; {torch.get_num_threads()} threads" if parts.engine.device.type == "cpu" else ""
    lines.append(f"device: {parts.engine.reason}; batch {config.train.batch_size}{accumulate}{threads}")
    if parts.engine.process.world_size > 1:
        here = config.train.batch_size // parts.engine.process.world_size
        lines.append(
            f"processes: {parts.engine.process.world_size}, {here} images of each batch on each; batch norm "
            f"{config.train.batch_norm}"
        )
    for line in lines:
        console.print(line, markup=False, highlight=False)
