"""What a person is told when a run starts: pictures, networks, device."""

import numpy as np
import torch

from sagan.data import notes
from sagan.data.stored_copies import stored_copies
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.recipes.config import RunConfig
from sagan.runs.hooks import Scene
from sagan.training.engine import Engine
from sagan.training.health import LEAST_PER_CLASS
from sagan.training.state import TrainState
from sagan.words import how_many


def report_start(scene: Scene, state: TrainState) -> None:
    """Print what the run is made of."""
    lines = [
        f"run folder: {scene.folder}",
        *pictures_in_words(scene),
        *scene.chosen,
        *(network_in_words(name, network) for name, network in (("generator", state.G), ("discriminator", state.D))),
        *looked_through(scene.config),
        *device_in_words(scene.config, scene.engine),
    ]
    for line in lines:
        scene.console.print(line, markup=False, highlight=False)


def pictures_in_words(scene: Scene) -> list[str]:
    """Say how many pictures of what there are."""
    dataset, names = scene.dataset, scene.dataset.class_names
    classes = how_many(len(names), "class") if names else "no classes (unconditional)"
    counts = f"{how_many(len(scene.train_indices), 'image')} to train on, {len(scene.heldout_indices):,} held out"
    said = [*notes(dataset), *few_in_words(scene), *copies_in_words(scene)]
    return [f"data: {dataset.source}: {counts}, {classes}", *(f"note: {note}" for note in said)]


def few_in_words(scene: Scene) -> list[str]:
    """Say what is not watched because there are too few pictures."""
    counts = np.bincount(scene.dataset.labels[scene.train_indices], minlength=max(1, len(scene.dataset.class_names)))
    few = int((counts < LEAST_PER_CLASS).sum())
    if not few:
        return []
    which = "all classes have" if few == len(counts) else f"{few:,} of {len(counts):,} classes have"
    if not scene.dataset.class_names:
        which = "there are"
    return [
        f"{which} fewer than {LEAST_PER_CLASS} pictures to train on: how varied their samples are is not watched, and "
        "a network learns little from so few"
    ]


def copies_in_words(scene: Scene) -> list[str]:
    """Say which pictures lie in two classes, and how many held-out ones are trained on all the same."""
    found = stored_copies(scene.dataset, scene.heldout_indices) if scene.engine.writes else None
    if found is None:
        return []
    said = []
    names, labels = scene.dataset.class_names, scene.dataset.labels
    if found.two_classes:
        pairs = sorted({tuple(sorted(names[labels[index]] for index in pair)) for pair in found.two_classes})
        some = ", ".join(f"{first} and {second}" for first, second in pairs[:3]) + (", ..." if len(pairs) > 3 else "")
        said.append(
            f"{len(found.two_classes):,} picture(s) lie in two classes, with equal pixels ({some}); "
            "`sagan data check` names them"
        )
    if found.held_out:
        said.append(
            f"{len(found.held_out):,} of {len(scene.heldout_indices):,} held-out pictures have near copies in "
            "training: the gauge of memorisation will read low"
        )
    return said


def network_in_words(name: str, network: Generator | Discriminator) -> str:
    """Say how large a network is and where it has attention, or a residual block in its place."""
    count = sum(p.numel() for p in network.parameters())
    where = ", ".join(f"feat{k}" for k in network.config.attention_positions) or "none"
    extra = "".join(f"; {ablation(network, k)}" for k in network.config.residual)
    return f"{name}: {count:,} parameters; attention ({network.config.attention_form}): {where}{extra}"


def looked_through(config: RunConfig) -> list[str]:
    """Say which frozen network the discriminator looks through, and that it cannot judge, too."""
    features, monitor = config.discriminator.features, config.monitor
    if features == "none":
        return []
    said = f"discriminator looks through {features}, frozen"
    if monitor.features == features and config.train.evaluate_every:
        said += f"; values made with {features} look better than the pictures are: --monitor.features has others"
    return [said]


def ablation(network: Generator | Discriminator, position: int) -> str:
    """Say how many parameters the residual block of the ablation has, and attention in its place would have."""
    config = network.config
    attention = SelfAttention2d(config.positions[position], config.attention_form, spectral_norm=False)
    counts = [sum(p.numel() for p in block.parameters()) for block in (network.residual[str(position)], attention)]
    return f"residual block at feat{position}: {counts[0]:,} parameters (attention there has {counts[1]:,})"


def device_in_words(config: RunConfig, engine: Engine) -> list[str]:
    """Say what is computed on what."""
    train, processes = config.train, engine.process.world_size
    cut = f", in {train.accumulate} micro-batches" if train.accumulate > 1 else ""
    if train.g_batch_size is not None:
        cut += f"; {train.g_batch_size} generated in a generator update"
    threads = f"; {torch.get_num_threads()} threads" if engine.device.type == "cpu" else ""
    lines = [f"device: {engine.reason}; batch {train.batch_size}{cut}{threads}"]
    if processes > 1:
        here = train.batch_size // processes
        lines.append(f"processes: {processes}, {here} images of each batch on each; batch norm {train.batch_norm}")
    return lines
