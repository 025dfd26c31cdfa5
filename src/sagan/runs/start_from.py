"""A fresh run that starts from other weights."""

from pathlib import Path

from sagan.generators.pretrained import EXPORTED, looked_through, read_snapshot
from sagan.generators.snapshot import stored
from sagan.generators.staged import newest_stage
from sagan.generators.weights import load_weights
from sagan.ops.spectral import refresh_spectral
from sagan.runs.grow import grow_from, without_small_heads
from sagan.runs.transfer import transfer_from_folded, transfer_weights
from sagan.training.checkpoint import checkpoints
from sagan.training.state import TrainState


def check_start(path: str | Path) -> None:
    """Check that there are weights to start from.

    Raises:
        FileNotFoundError: If there are none.
    """
    if _weights_alone(Path(path)) is None:
        stored(path)


def _weights_alone(path: Path) -> Path | None:
    """Give the weights file that stands for itself, or in a folder without checkpoints; None if there is none."""
    if path.suffix == ".safetensors":
        return path if path.exists() else None
    path = newest_stage(path)
    alone = path / EXPORTED
    return alone if alone.is_file() and not checkpoints(path / "checkpoints") else None


def start_from(state: TrainState, path: str | Path, class_names: tuple[str, ...]) -> str:
    """Put the weights of another run, or of a weights file, into a fresh state and say what was kept.

    Raises:
        ValueError: If the networks differ in more than their classes, or cannot grow from them.
    """
    alone = _weights_alone(Path(path))
    if state.G.config.fades:
        if alone is not None:
            raise ValueError(f"{path} is a weights file: networks that grow go on from a run, with its discriminator")
        snapshot = read_snapshot(path)
        state.d_features = looked_through(snapshot.config, snapshot.contents)
        return grow_from(state, snapshot, class_names)
    if alone is not None:
        weights = load_weights(alone)
        through = weights.provenance.get("d_features")
        state.d_features = through if isinstance(through, str) else None
        kept = transfer_from_folded(
            state.G, without_small_heads(weights.generator.state_dict()), weights.class_names, class_names
        )
        said = f"generator: {kept}; the discriminator starts fresh (a weights file has none)"
    else:
        snapshot = read_snapshot(path)
        contents = snapshot.contents
        state.d_features = looked_through(snapshot.config, contents)
        ema = contents["ema"]
        G, D = without_small_heads(contents["G"] if ema is None else ema), without_small_heads(contents["D"])  # type: ignore[arg-type]
        kept = transfer_weights(state.G, G, snapshot.class_names, class_names)
        refresh_spectral(state.G)  # an average's vectors are those of the network that was averaged
        transfer_weights(state.D, D, snapshot.class_names, class_names)
        said = f"both networks{'' if ema is None else ', the generator from its moving average'}: {kept}"
    if state.ema is not None:
        state.ema.load_state_dict(state.G.state_dict())
    return f"{said}; the optimisers start fresh"
