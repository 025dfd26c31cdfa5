"""What a training step costs: seconds and memory, measured in a fresh process that trains on random pictures."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch

from sagan.allocator import keep_freed_memory
from sagan.data import Batch
from sagan.generators.pretrained import STANDING_BATCH_SIZE
from sagan.machine import tells_of_no_memory
from sagan.randomness import keyed_generator
from sagan.recipes.build import build
from sagan.recipes.config import RunConfig, from_json, to_json
from sagan.sampling import generate, sample_labels, sample_latents, sampling_copy
from sagan.speed.clock import Spread, mixed, timed, timed_rounds
from sagan.speed.memory import available_bytes, cuda_share, peak_resident_bytes, resident_bytes
from sagan.training.ema import update_ema
from sagan.training.engine import Engine
from sagan.training.replay import WARM_UP, step_with
from sagan.training.state import TrainState
from sagan.training.step import mean_logit

LOOK_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What one step costs. Bytes are those of the process on a CPU, of PyTorch's tensors on a GPU; None if unknown."""

    seconds: Spread
    """Of a whole step."""
    processor_s: float
    """Processor time of a step, of all threads together."""
    update_s: float
    """The part of it that is spent on the optimisers and the moving average, whatever the batch."""
    judge_s: float
    """D's forward for one real picture."""
    sample_s: float
    """G's forward for one sample."""
    base_bytes: int | None
    """Held when everything is imported."""
    state_bytes: int | None
    """Held in addition by networks, optimisers and moving average, before the first step."""
    peak_bytes: int | None
    """Held at most during the steps."""
    run_bytes: int | None
    """Held at most during the steps and the sampling after them, as a run does it."""
    available_bytes: int | None
    """What the process could have taken on that device."""
    checkpoint_bytes: int
    """Size of a checkpoint."""
    device: str
    """Device and precision, for people."""
    threads: int
    """Processor threads of PyTorch."""


def measure_step(config: RunConfig, *, rounds: int = 20, warm_up: int = 2, limit_s: float = float("inf")) -> StepCost:
    """Train a few steps in a fresh process, as ``sagan train`` would, and say what they cost.

    The process starts from nothing, so its peak memory is that of these steps. It writes no files.

    Args:
        config: Its batch size and accumulation are what is measured, its number of classes is taken as it is.
        rounds: Steps to time, fewer (but two) if they take longer than ``limit_s``.
        warm_up: Steps before that.
        limit_s: See ``rounds``.

    Raises:
        ValueError: If the device that is asked for is not there.
        MemoryError: If the memory does not suffice.
        RuntimeError: If the process ended otherwise; the message has its last words.
    """
    request = {
        "config": to_json(config),
        "rounds": rounds,
        "warm_up": warm_up,
        "limit_s": min(limit_s, 1e9),
        "threads": torch.get_num_threads(),
        "share": cuda_share(),
    }
    # -P: a file in the working folder that is called like a library must not be imported.
    command = [sys.executable, "-P", "-m", "sagan.speed.step"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        answer = json.loads(lines[-1])
        return StepCost(**answer | {"seconds": Spread(**answer["seconds"])})
    last_words = done.stderr.strip().splitlines()[-1:] or ["nothing"]
    if done.returncode == -9 or tells_of_no_memory(done.stderr):
        raise MemoryError(f"a step of {config.train.batch_size} images needs more memory than there is")
    if last_words[0].startswith("ValueError: "):
        raise ValueError(last_words[0].removeprefix("ValueError: "))
    raise RuntimeError(f"the process that measures a step ended with code {done.returncode}; it said: {last_words[0]}")


def measure_step_here(config: RunConfig, *, rounds: int, warm_up: int, limit_s: float) -> StepCost:
    """Do the work of :func:`measure_step` in this process; memory is then that of all it has done before, too."""
    import sagan.runs.train  # noqa: F401 - what a run imports counts as its memory

    # Memory before and after networks, optimisers and moving average; making an engine imports a library of its own.
    engine = Engine(config.engine)
    on_cpu = engine.device.type != "cuda"
    base, room = _held(engine), available_bytes(engine.device)
    parts = build(config)
    state, engine = parts.state, parts.engine
    held = _held(engine)
    batch = random_batch(config)
    train = replace(config.train, total_steps=10**9)  # a learning rate that falls to 0 would fall within the rounds

    do_step = step_with(engine)

    def step(place: int = 0) -> None:
        state.step += (place - state.step) % every
        do_step(state, train, lambda _: batch, engine, config.seed)

    # Penalties that come every so many steps have their share: those with and those without are timed by themselves.
    every = train.penalty_every if train.penalises else 1
    shares = {0: 1 / every} | ({1: 1 - 1 / every} if every > 1 else {})
    timed_steps, processor_s = [], 0.0
    for place, share in shares.items():
        for _ in range(max(warm_up, WARM_UP + 1) if engine.step_graph else warm_up):
            step(place)
        processor, limit = time.process_time(), limit_s / len(shares)
        timed_steps.append(timed_rounds(partial(step, place), engine.device, rounds, warm_up=0, limit_s=limit))
        processor_s += share * (time.process_time() - processor) / timed_steps[-1].rounds
    seconds = mixed(timed_steps, list(shares.values()))
    peak = _most_held(engine)
    judge_s = _judge_seconds(state, batch, engine, train.batch_size // train.accumulate)
    sample_s = _sample_seconds(state, engine)
    return StepCost(
        seconds=seconds,
        processor_s=processor_s,
        update_s=_update_seconds(state, engine, train.d_steps),
        judge_s=judge_s,
        sample_s=sample_s,
        base_bytes=base,
        state_bytes=None if held is None or base is None else held - base,
        peak_bytes=peak,
        run_bytes=_most_held(engine),
        available_bytes=None if room is None else room + (base or 0 if on_cpu else 0),
        checkpoint_bytes=state.num_bytes(),
        device=engine.reason,
        threads=torch.get_num_threads(),
    )


def random_batch(config: RunConfig, count: int | None = None) -> Batch:
    """Make a batch of noise in the shape of the run's pictures, of ``count`` or as many as the run's batch has."""
    size, count = config.generator.image_size, count or config.train.batch_size
    random = keyed_generator(0, "pictures to measure with")
    return Batch(
        torch.from_numpy(random.integers(0, 256, (count, *size, 3), dtype="uint8")),
        torch.from_numpy(random.integers(0, max(1, config.discriminator.num_classes), count)),
        torch.zeros(count, dtype=torch.bool),
    )


def _update_seconds(state: TrainState, engine: Engine, d_steps: int) -> float:
    """Update the weights by the gradients of the last step, and the moving average."""

    def update() -> None:
        for _ in range(d_steps):
            state.optimizer_d.step()
        state.optimizer_g.step()
        if state.ema is not None:
            update_ema(state.ema, state.G, 0.5)

    return timed_rounds(update, engine.device, 3).median


def _judge_seconds(state: TrainState, batch: Batch, engine: Engine, micro_batch: int) -> float:
    """Let D judge a micro-batch of real pictures; seconds a picture."""
    part = Batch(*(tensor[:micro_batch] for tensor in batch))
    return timed_rounds(lambda: mean_logit(state, part, engine, micro_batch), engine.device, 3).median / micro_batch


def _sample_seconds(state: TrainState, engine: Engine) -> float:
    """Sample as a run does: standing statistics first (a batch of them), then a timed batch; seconds a sample."""
    G = sampling_copy(state.sampled, batches=1, batch_size=STANDING_BATCH_SIZE, seed=0)
    z = sample_latents(0, range(LOOK_IMAGES), G.config.z_dim)
    y = sample_labels(0, range(LOOK_IMAGES), G.config.num_classes)
    return timed(lambda: generate(G, z, y, LOOK_IMAGES), engine.device) / LOOK_IMAGES


def _held(engine: Engine) -> int | None:
    return torch.cuda.memory_allocated(engine.device) if engine.device.type == "cuda" else resident_bytes()


def _most_held(engine: Engine) -> int | None:
    return torch.cuda.max_memory_allocated(engine.device) if engine.device.type == "cuda" else peak_resident_bytes()


def answer() -> None:
    """Be the process that :func:`measure_step` starts: read what to measure, print what was found."""
    request = json.load(sys.stdin)
    keep_freed_memory()  # as the command line does for its own process
    torch.set_num_threads(request.pop("threads"))
    if (share := request.pop("share")) < 1.0:
        torch.cuda.set_per_process_memory_fraction(share)
    print(json.dumps(asdict(measure_step_here(from_json(request.pop("config")), **request))))


if __name__ == "__main__":
    answer()
