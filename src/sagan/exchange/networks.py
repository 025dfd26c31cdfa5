"""What networks foreign tensors make: their configurations, read from shapes, and the table of their layers."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from sagan.exchange.foreign import ForeignError, State
from sagan.exchange.layers import Entry, Names, Places, Table, has, spectral_of, weight_of
from sagan.exchange.source import Source, Traits
from sagan.models.config import DISCRIMINATOR_WIDTHS, GENERATOR_WIDTHS, DiscriminatorConfig, GeneratorConfig

C = TypeVar("C", GeneratorConfig, DiscriminatorConfig)


class Layout(NamedTuple):
    """A network of a source: which one it is here, and where its tensors go."""

    config: Any
    """A :class:`GeneratorConfig` or a :class:`DiscriminatorConfig`."""
    entries: tuple[Entry, ...]
    without_v: tuple[str, ...]
    """Our spectral normalisations whose v the source does not keep."""


def generator_layout(source: Source, state: State, traits: Traits) -> Layout:
    """Find out which generator this is.

    Raises:
        ForeignError: If no generator of this project has such layers.
    """
    names, places = source.names(state), source.generator_places(state)
    first = weight_of(state, names.first)
    outputs = [len(weight_of(state, f"{block}.{names.convolutions[0]}")) for block in places.blocks]
    conditional = source.conditional(state, traits)
    spectral = spectral_of(state, names.first)
    if conditional.maps and conditional.spectral != (spectral is not None):
        raise ForeignError(
            "the class maps are spectrally normalised where other layers are not, or the other way round: no generator "
            "of this project has that"
        )
    fields = {
        **traits.generator,
        "size_px": 4 * 2 ** len(places.blocks),
        "num_classes": conditional.num_classes,
        "z_dim": first.shape[1],
        "attention": tuple(8 * 2**after for after in places.attention),
        "attention_form": "official",
        "residual": (),
        "spectral_norm": spectral is not None,
        "class_conditioning": "linear" if conditional.maps else "tables",
        "sampling_norm": "running",
    }
    config = _of_width(source.recipe().generator, fields, (len(first) // 16, *outputs), GENERATOR_WIDTHS)
    table = Table(state, spectral)

    def entries() -> Iterator[Entry]:
        yield from table.layer(names.first, "linear")
        for i, block in enumerate(places.blocks):
            yield from table.block(names, block, f"blocks.{i}")
            for n, norm in enumerate(names.norms, 1):
                yield from source.class_norm(table, f"{block}.{norm}", f"blocks.{i}.norm{n}", conditional)
                yield from table.statistics(names, f"{block}.{norm}", f"blocks.{i}.norm{n}")
        for after, name in places.attention.items():
            yield from table.attention(names, name, f"attention.{8 * 2**after}")
        yield from source.last_norm(table)
        yield from table.layer(source.last_layer(state), "conv")

    return Layout(config, tuple(entries()), tuple(table.without_v))


def discriminator_layout(source: Source, state: State, traits: Traits, num_classes: int) -> Layout:
    """Find out which discriminator this is.

    Args:
        source: Whose it is.
        state: Its tensors.
        traits: What its tensors do not tell.
        num_classes: Classes of the generator that it belongs to.

    Raises:
        ForeignError: If no discriminator of this project has such layers.
    """
    names, places = source.names(state), source.discriminator_places(state)
    hidden, outputs = (
        [len(weight_of(state, f"{block}.{name}")) for block in places.blocks] for name in names.convolutions[:2]
    )
    size_px = 16 * 2 ** (len(places.blocks) - 3)
    spectral = spectral_of(state, names.linear)
    fields = {
        **traits.discriminator,
        **_head(names, state, num_classes),
        "size_px": size_px,
        "num_classes": num_classes,
        "attention": (),
        "attention_form": "official",
        "residual": (),
        "spectral_norm": spectral is not None,
        "width": "wide" if hidden == outputs else "thin",
        "thin_first": hidden != outputs and hidden[0] == 3,
        "last_block_down": size_px in source.halved_at_the_end,
        "linear_bias": True,
    }
    config = _of_width(source.recipe().discriminator, fields, tuple(outputs), DISCRIMINATOR_WIDTHS)
    config, attended = _with_attention(config, places)
    table = Table(state, spectral)

    def entries() -> Iterator[Entry]:
        widths = pairwise((3, *outputs))
        for i, (block, (inputs, output), down) in enumerate(zip(places.blocks, widths, config.downs, strict=True)):
            yield from table.block(names, block, f"blocks.{i}", shortcut=down or inputs != output)
        for name, ours in attended.items():
            yield from table.attention(names, name, f"attention.{ours}")
        yield from table.layer(names.linear, "linear")
        if config.head == "projection" and num_classes > 0:
            yield from table.layer(names.embedding, "embedding", bias=False)
        if config.head == "auxiliary" and num_classes > 0:
            yield from table.layer(names.classifier, "classifier", bias=False)

    return Layout(config, tuple(entries()), tuple(table.without_v))


def _head(names: Names, state: State, num_classes: int) -> dict[str, Any]:
    """Tell how the class enters a discriminator."""
    classes = {
        layer: len(weight_of(state, layer)) for layer in (names.embedding, names.classifier) if has(state, layer)
    }
    outputs = len(weight_of(state, names.linear))
    if outputs != 1:
        raise ForeignError(f"{names.linear} has {outputs} outputs where this project's discriminators have one")
    if len(classes) > 1:
        raise ForeignError(
            f"{' and '.join(classes)} are both there: a contrastive or another head that this project does not have"
        )
    for layer, count in classes.items():
        if count != num_classes:
            raise ForeignError(f"{layer} has {count} classes where the generator has {num_classes}")
    if not classes:
        return {"head": "none" if num_classes > 0 else "projection"}
    return {"head": "projection" if names.embedding in classes else "auxiliary"}


def _of_width(base: C, fields: dict[str, Any], widths: tuple[int, ...], known: dict[int, tuple[int, ...]]) -> C:
    """Find base width and plan of a network whose layers have such widths."""
    size_px = fields["size_px"]
    if size_px not in known:
        raise ForeignError(f"it is a network of {size_px} px; this project has {', '.join(map(str, sorted(known)))}")
    narrow = replace(base, size_px=size_px, attention=(), residual=())
    bare = {name: value for name, value in fields.items() if name != "attention"}
    for plan in (base.width_plan, "published", "biggan"):
        one = replace(narrow, width_plan=plan, base_width=1).widths
        base_width = widths[-1] // one[-1]
        if tuple(base_width * multiple for multiple in one) == widths:
            try:
                return replace(narrow, **bare, width_plan=plan, base_width=base_width, attention=fields["attention"])
            except ValueError as error:
                raise ForeignError(f"no network of this project is like that: {error}") from error
    one = replace(narrow, width_plan="published", base_width=1).widths
    raise ForeignError(
        f"its layers have {', '.join(map(str, widths))} channels; at {size_px} px this project has multiples of "
        f"{', '.join(map(str, one))}"
    )


def _with_attention(config: DiscriminatorConfig, places: Places) -> tuple[DiscriminatorConfig, dict[str, str]]:
    """Tell where attention is, and give the name of each attention block here."""
    heights = config.heights
    attended = {after: heights[after] for after in places.attention}
    wanted = tuple(dict.fromkeys(attended.values()))
    every = {i for i, height in enumerate(heights) if height in wanted}
    first = {heights.index(height) for height in wanted}
    if set(attended) not in (first, every):
        blocks = ", ".join(str(after + 1) for after in attended)
        raise ForeignError(
            f"attention follows block {blocks} of the discriminator; this project has it after the first block of a "
            "height, or after all of them"
        )
    config = replace(config, attention=wanted, attention_repeat=set(attended) != first)
    ours = {}
    for after, height in attended.items():
        number = heights[: after + 1].count(height)
        ours[places.attention[after]] = str(height) if number == 1 else f"{height}-{number}"
    return config, ours
