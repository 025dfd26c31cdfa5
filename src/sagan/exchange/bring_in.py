"""Weights of another implementation, brought in: read, fitted into our networks, written as files of ours."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sagan.exchange.config import ImportConfig, check_out, read_names
from sagan.exchange.fit import filled
from sagan.exchange.foreign import Foreign, ForeignError, State, read_foreign
from sagan.exchange.networks import discriminator_layout, generator_layout
from sagan.exchange.source import Traits
from sagan.exchange.sources import SOURCES, Network, check_source, recognised
from sagan.generators import pretrained
from sagan.generators.weights import save_weights
from sagan.machine import versions
from sagan.models.config import GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.recipes.config import RunConfig, to_json
from sagan.sampling import refresh_standing_statistics
from sagan.training.checkpoint import checkpoint_path, save_checkpoint
from sagan.whole import whole_folder


class Read(NamedTuple):
    """Networks of another implementation, in evaluation mode and in the precision of their file."""

    source: str
    """A key of :data:`~sagan.exchange.sources.SOURCES`."""
    generator: Generator
    discriminator: Discriminator | None
    """None where no file with it was given."""
    average: bool
    """Whether the generator is a moving average, as far as the file or its name tells."""
    step: int
    """The source's step; 0 if nothing tells it."""
    told: tuple[str, ...]
    """What was settled by something else than tensors."""
    left_out: tuple[str, ...]
    """What else the files hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imported:
    """What was brought in."""

    out: Path
    """The weights file, or the folder."""
    source: str
    """The source's title."""
    config: GeneratorConfig
    """The generator."""
    class_names: tuple[str, ...]
    """One name a class; empty if unconditional."""
    discriminator: bool
    """Whether there is a discriminator beside it."""
    told: tuple[str, ...]
    """What was settled by something else than tensors."""
    left_out: tuple[str, ...]
    """What the source's files hold that is not there."""


def import_weights(
    file: str | Path,
    out: str | Path,
    config: ImportConfig | None = None,
    *,
    advance: Callable[[], None] = lambda: None,
) -> Imported:
    """Bring in weights of BigGAN-PyTorch, StudioGAN, MMGeneration or mimicry; nothing that a file holds is executed.

    Args:
        file: A file with the generator, as ``torch.save`` or safetensors wrote it.
        out: A ``.safetensors`` file for the generator alone, or a new folder, which gets the discriminator as well, if
            one was given, and a ``config.json`` with the source's recipe: a run can start from it.
        config: Whose file it is, and what it does not say itself.
        advance: Called after each batch of standing statistics, where they are asked for.

    Returns:
        What was brought in, and what was not.

    Raises:
        FileNotFoundError: If a file is not there.
        ForeignError: If a file is damaged, would have to run code, is another source's, or does not fit.
        ValueError: If the class names do not fit.
        OSError: If ``out`` cannot be written.
    """
    config, out = config or ImportConfig(), Path(out)
    check_out(out)
    read = read_networks(file, config)
    G = read.generator.float()
    classes = G.config.num_classes
    names = tuple(map(str, range(classes)))
    if config.class_names is not None:
        names = read_names(config.class_names, classes)
    if config.statistics == "standing":
        G.config = dataclasses.replace(G.config, sampling_norm="standing")
        sizes = (pretrained.STANDING_BATCHES, pretrained.STANDING_BATCH_SIZE)
        refresh_standing_statistics(
            G, batches=sizes[0], batch_size=sizes[1], seed=pretrained.STANDING_SEED, advance=advance
        )
    alone = out.suffix == ".safetensors"
    provenance = _provenance(read, Path(file), G.config)
    left_out = list(read.left_out)
    if alone:
        save_weights(G, out, names, provenance)
        if read.discriminator is not None:
            left_out.append("the discriminator (name a folder as OUT to keep it)")
    else:
        with whole_folder(out) as place:
            save_weights(G, place / pretrained.EXPORTED, names, provenance)
            if read.discriminator is not None:
                _write_both(place, read, names, provenance)
    return Imported(
        out=out,
        source=SOURCES[read.source].title,
        config=G.config,
        class_names=names,
        discriminator=read.discriminator is not None and not alone,
        told=read.told,
        left_out=tuple(left_out),
    )


def read_networks(file: str | Path, config: ImportConfig | None = None) -> Read:
    """Read the networks of another implementation; they give what they gave there in evaluation mode.

    Raises:
        FileNotFoundError: If a file is not there.
        ForeignError: If a file is damaged, would have to run code, is another source's, or does not fit.
    """
    config = config or ImportConfig()
    foreign = read_foreign(file)
    state, average, left_out = _generator_state(foreign, config)
    name = check_source(config.source, "generator", state, foreign.path)
    source = SOURCES[name]
    traits = source.traits(foreign, state, config)
    try:
        layout = generator_layout(source, state, traits)
        G = filled(layout, state, f"this generator of {source.title}", bgr=traits.bgr)
    except ForeignError as error:
        raise ForeignError(f"{foreign.path}: {error}") from error
    assert isinstance(G, Generator)
    D = _discriminator(name, foreign, config, traits, G.config.num_classes)
    return Read(name, G, D, average, foreign.step, traits.told, left_out)


def _generator_state(foreign: Foreign, config: ImportConfig) -> tuple[State, bool, tuple[str, ...]]:
    """Choose between the moving average of the generator and the trained one, where a file has both."""
    states = foreign.states
    if "" in states:
        if config.which != "auto":
            raise ForeignError(f"{foreign.path} holds one network; --which is for files with both: leave it away")
        return states[""], "ema" in foreign.path.name.lower(), ()
    wanted = {"average": "generator_ema", "trained": "generator"}.get(config.which)
    found = [network for network in ("generator_ema", "generator") if network in states]
    if not found or (wanted is not None and wanted not in found):
        raise ForeignError(f"{foreign.path} has no {wanted or 'generator'}; it has {', '.join(states)}")
    chosen = wanted or found[0]
    named = {"generator": "the trained generator", "generator_ema": "the moving average of the generator"}
    return states[chosen], chosen == "generator_ema", tuple(named[other] for other in found if other != chosen)


def _discriminator(
    name: str, foreign: Foreign, config: ImportConfig, traits: Traits, num_classes: int
) -> Discriminator | None:
    source, path = SOURCES[name], foreign.path
    state = foreign.states.get("discriminator")
    if config.discriminator is not None:
        other = read_foreign(config.discriminator)
        path, state = other.path, other.states.get("discriminator", other.states.get(""))
        if state is None:
            raise ForeignError(f"{path} has no discriminator; it has {', '.join(other.states)}")
    if state is None:
        return None
    network: Network = "discriminator"
    found = recognised(state)
    if found is not None and found[0] != name:
        raise ForeignError(
            f"{path} is of {SOURCES[found[0]].title}, and the generator of {source.title}; give both of one"
        )
    check_source(name, network, state, path)
    try:
        layout = discriminator_layout(source, state, traits, num_classes)
        D = filled(layout, state, f"this discriminator of {source.title}", bgr=traits.bgr)
    except ForeignError as error:
        raise ForeignError(f"{path}: {error}") from error
    assert isinstance(D, Discriminator)
    return D


def _provenance(read: Read, file: Path, config: GeneratorConfig) -> dict[str, object]:
    """Say how the weights came about, as far as anything tells."""
    title = SOURCES[read.source].title
    norm = "statistics of the source, as its file has them"
    if config.sampling_norm == "standing":
        norm = pretrained.sampling_norm_of(config, pretrained.STANDING_BATCHES, pretrained.STANDING_BATCH_SIZE)
    return {
        "step": read.step,
        "data": None,
        "weights": f"{'moving average' if read.average else 'as trained'}, imported from {title} ({file.name})",
        "batch_norm": norm,
        "imported": {"source": read.source, "file": file.name, "settled": list(read.told)},
        "versions": versions(),
    }


def _write_both(out: Path, read: Read, names: tuple[str, ...], provenance: dict[str, object]) -> None:
    """Write both networks as a run that was just started has them, with the configuration to go on with."""
    assert read.discriminator is not None
    recipe: RunConfig = SOURCES[read.source].recipe()
    config = dataclasses.replace(recipe, generator=read.generator.config, discriminator=read.discriminator.config)
    contents = {
        "step": read.step,
        "rollbacks": 0,
        "G": read.generator.state_dict(),
        "D": read.discriminator.float().state_dict(),
        "ema": None,
        "config": to_json(config),
        "class_names": list(names),
        "data": None,
        "versions": provenance["versions"],
        "imported": provenance["imported"],
    }
    save_checkpoint(checkpoint_path(out / "checkpoints", read.step), contents)
    said = json.loads(to_json(config))
    del said["data"]["path"]  # nobody said which pictures
    (out / "config.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
