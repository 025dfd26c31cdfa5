"""A fresh run that starts from other weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagan.generators.pretrained import EXPORTED, looked_through, read_snapshot
from sagan.generators.snapshot import stored
from sagan.generators.staged import newest_stage
from sagan.generators.weights import load_weights, read_header
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.ops.spectral import refresh_spectral
from sagan.recipes.config import RunConfig, config_of_file, differences
from sagan.runs.grow import grow_from, without_small_heads
from sagan.runs.transfer import transfer_from_folded, transfer_weights
from sagan.sizes import written
from sagan.training.checkpoint import checkpoints
from sagan.training.state import TrainState

ARCHITECTURE = {
    "size_px",
    "start_grid",
    "z_dim",
    "noise_entry",
    "base_width",
    "width_plan",
    "width",
    "thin_first",
    "attention",
    "attention_form",
    "attention_repeat",
    "residual",
    "residual_ratio",
    "spectral_norm",
    "class_conditioning",
    "head",
    "features",
    "last_block_down",
    "linear_bias",
    "narrow_largest",
    "single_largest",
    "inside",
}
"""Fields of the networks that decide which weights they have, besides their classes."""
NOWHERE = "nowhere"
"""How a field is shown that lists no places; its flag takes nothing then."""


def check_start(path: str | Path, config: RunConfig | None = None) -> None:
    """Check that there are weights to start from, and that networks have room for them.

    Args:
        path: A run, a checkpoint or a weights file.
        config: What is to start from them; unset asks only whether they are there.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If they are of other networks; the fields that differ are named, with flags that make them equal.
        CheckpointError: If a checkpoint cannot be used.
        WeightsError: If a weights file cannot be used.
    """
    alone = _weights_alone(Path(path))
    if alone is None:
        stored(path)
    if not isinstance(config, RunConfig) or config.generator.fades:  # grown from smaller ones, which are checked there
        return
    theirs = _networks_of(Path(path), alone)
    folded = alone is not None
    names = [name for part in theirs for name in _unlike(part, theirs[part], getattr(config, part), folded=folded)]
    if not names:
        return
    said = []
    for name in names:
        part, field = name.split(".")
        said.append(f"{name} is {_value(theirs[part], field)} there and {_value(getattr(config, part), field)} here")
    flags = " ".join(dict.fromkeys(_flag(name, theirs) for name in names))
    why = f"--init-from {path} has other networks: {', '.join(said)}"
    raise ValueError(f"{why}; for networks like those give {flags} in place of yours")


def _networks_of(path: Path, alone: Path | None) -> dict[str, GeneratorConfig | DiscriminatorConfig]:
    """Give the configurations of the networks whose weights lie there, by their names."""
    if alone is not None:
        return {"generator": read_header(alone).config}
    folder = newest_stage(path)
    if (folder / "config.json").is_file():
        config = config_of_file(folder / "config.json")
    else:
        config = read_snapshot(path).config
    return {"generator": config.generator, "discriminator": config.discriminator}


def _unlike(part: str, theirs: Any, ours: Any, *, folded: bool) -> list[str]:
    """Name the fields whose difference gives two networks other weights, as dotted keys.

    Args:
        part: `generator` or `discriminator`.
        theirs: Its configuration there.
        ours: Its configuration here.
        folded: Whether spectral normalisation is folded into the weights there, which both kinds can start from.
    """
    looks = part == "discriminator" and {theirs.features, ours.features} != {"none"}
    if looks and theirs.features != ours.features:
        return [f"{part}.features"]
    fields = [name for name in differences(theirs, ours) if name in ARCHITECTURE]
    positions = [(*config.attention_positions,) for config in (theirs, ours)]
    alike = {
        "start_grid": part == "discriminator",
        "width_plan": theirs.widths == ours.widths,
        "width": len({*ours.widths}) == 1,
        "thin_first": len({*ours.widths}) == 1,
        "spectral_norm": folded,
        "attention": positions[0] == positions[1],
        "attention_form": not all(positions),
        "attention_repeat": not all(positions),
        "residual_ratio": not (theirs.residual and ours.residual),
        "class_conditioning": theirs.num_classes == 0,
        "head": theirs.num_classes == 0,
    }
    return [f"{part}.{name}" for name in fields if not alike.get(name, False)]


def _flag(name: str, theirs: Mapping[str, Any]) -> str:
    """Write the flag that gives a field the value that it has there: one for both networks, if both have that value."""
    part, field = name.split(".")
    if field in ("size_px", "start_grid"):
        return f"--size {written(theirs[part].image_size)}"
    values = [_value(networks, field) for networks in (theirs[part], *theirs.values())]
    group = "" if field in ("base_width", "attention") and len(theirs) == 2 and len({*values}) == 1 else f"{part}."
    flag = field.replace("_", "-")
    if values[0] in ("True", "False"):
        return f"--{group}{flag if values[0] == 'True' else f'no-{flag}'}"
    return f"--{group}{flag} {values[0]}".removesuffix(f" {NOWHERE}")


def _value(networks: Any, field: str) -> str:
    """Write the value of a field as a flag takes it."""
    value = networks.attention_positions if field == "attention" else getattr(networks, field, None)
    return " ".join(map(str, value)) or NOWHERE if isinstance(value, (tuple, list)) else str(value)


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
