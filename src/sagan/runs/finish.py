"""After the last step: the weights to share, the attention figure, and what to do with a finished run."""

from pathlib import Path

from rich.console import Console

from sagan.generators.outputs import write_attention
from sagan.generators.pretrained import EXPORTED, STANDING_BATCH_SIZE, STANDING_BATCHES, exported_step, load
from sagan.generators.weights import save_weights
from sagan.recipes.build import Parts
from sagan.runs.folder import quoted
from sagan.training.checkpoint import checkpoint_path


def finish(folder: Path, parts: Parts, console: Console) -> None:
    """Write the weights to share and draw the attention, unless that was done, and say what there is."""
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
    names = ("samples/", "timeline.png", "curves.png", "attention.png", "checkpoints/", EXPORTED)
    there = [name for name in names if (folder / name).exists()]
    console.print(
        f"done: {quoted(folder)} has {', '.join(there[:-1])} and {there[-1]}\n"
        f"  sagan sample {quoted(folder)} --out samples.png\n"
        f"  sagan attention {quoted(folder)} --out attention.png\n"
        f"  sagan studio {quoted(folder)}    # a local page: see where it looks"
    )
