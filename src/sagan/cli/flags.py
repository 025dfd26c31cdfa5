"""Flags that several verbs share: a preset, and every field of the configuration on top of it."""

import argparse
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, TypeVar

import tyro

from sagan.cli.parse import UsageError, parse, refusals_as_sentences, typed
from sagan.data.there import check_there
from sagan.machine import has_cuda_driver
from sagan.places import check_file
from sagan.recipes.choose import Choice, choose_preset
from sagan.recipes.config import Changes, RunConfig, with_changes
from sagan.recipes.presets import PRESETS
from sagan.recipes.written import read_config
from sagan.sizes import size_of, written

F = TypeVar("F", bound="ConfigFlags")

# What `--help` shows of the configuration besides the flags below.
SHORT = (
    "config.seed",
    "config.data.flip",
    "config.data.balanced",
    "config.data.class_names",
    "config.train.augment",
    "config.train.lr_g",
    "config.train.lr_d",
    "config.train.on_collapse",
    "config.monitor.features",
    "config.engine.device",
)


@dataclass(frozen=True, kw_only=True)
class ConfigFlags:
    """A preset, short flags for fields that are often changed, and every field."""

    HIDDEN: ClassVar[tuple[str, ...]] = ()
    """Fields that ``--help`` does not show."""

    data: str | None = None
    """Pictures: a folder (of class folders, or flat), zip, .npz, packed file, or a name like cifar10."""
    preset: str | None = None
    """Where every flag below starts from (see the list above)."""
    config_file: Annotated[str | None, tyro.conf.arg(name="config")] = None
    """In place of a preset: a .json or .yaml file with configuration keys, such as a run's config.json."""
    steps: int | None = None
    """Generator updates in all; short for --train.total-steps. Learning rates of a preset, or of a run
    that goes on, that fall begin to at the same share of them, unless --train.lr-decay-start says when."""
    batch_size: int | None = None
    """Images in a batch; short for --train.batch-size."""
    size: int | str | None = None
    """Image size in pixels of both networks: 16, 32, 64, 128 or 256, or height x width as in 64x96, of which the
    shorter side is one of these."""
    base_width: int | None = None
    """Base width of both networks; 64 is the published one."""
    attention: tuple[int, ...] | None = None
    """Feature maps, by their shorter side, with attention in both networks, e.g. `8 16`; nothing after the flag
    means none."""
    evaluate_every: int | None = None
    """Steps between measurements of the samples (--monitor says what); short for --train.evaluate-every."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)


def named(arguments: Sequence[str], *names: str) -> dict[str, str | None]:
    """Read a few flags before all others: those that say where the others start from."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in names:
        early.add_argument(f"--{name}", nargs="?")  # the parser of all flags says it if the value is missing
    # The parser of all flags takes both signs between words, and who copies a key of config.json types underscores.
    words = [re.sub(r"^--[^=]+", lambda flag: flag[0].replace("_", "-"), word) for word in arguments]
    given, _ = early.parse_known_args(words)
    return vars(given)


def parse_with_preset(
    kind: type[F], arguments: Sequence[str], verb: str, what: str, check: Callable[[F, Choice], None] = lambda *_: None
) -> tuple[F, Choice]:
    """Parse the flags of a verb that starts from a preset: the one that is named, else the one for this machine.

    Mistakes and help are answered before PyTorch is there: until it says what GPUs there are, their driver does. So
    ``check`` gets the flags before, with what they start from, and raises what else is wrong with them.
    """
    given = named(arguments, "preset", "size", "config")
    steps = steps_named(arguments)
    if given["config"] is not None:
        if given["preset"] is not None:
            raise UsageError("--config is where every flag starts from: leave --preset away, or name it in the file")
        choice = Choice(given["config"], "", read_config(given["config"]), steps)
        parsed = _parse(kind, arguments, verb, what, choice)
        with refusals_as_sentences(arguments):
            config = combined(parsed)
        _check_files(config, arguments, pictures=choice.says_pictures(config, parsed.data))
        check(parsed, choice)
        return parsed, choice
    size = None
    if given["size"]:
        with suppress(ValueError):  # what is no size is refused by the parser
            size = min(size_of(given["size"]))
    guessed = has_cuda_driver()
    choice = choose_preset(given["preset"], size, cuda=guessed)._replace(steps=steps)
    parsed = _parse(kind, arguments, verb, what, choice)
    with refusals_as_sentences(arguments):
        config = combined(parsed)
    _check_files(config, arguments, pictures=choice.says_pictures(config, parsed.data))
    check(parsed, choice)
    if given["preset"] is None:
        import torch

        if torch.cuda.is_available() != guessed:
            choice = choose_preset(None, size, cuda=not guessed)._replace(steps=steps)
            parsed = _parse(kind, arguments, verb, what, choice)
    return parsed, choice


def steps_named(arguments: Sequence[str]) -> int | None:
    """Read the number of steps; None where there is none, or the parser will say what is wrong with it."""
    for word in named(arguments, "steps", "train.total-steps").values():
        with suppress(TypeError, ValueError):
            if (steps := int(word)) > 0:  # type: ignore[arg-type]
                return steps
    return None


def _check_files(config: RunConfig, arguments: Sequence[str], *, pictures: bool) -> None:
    """Refuse paths of a configuration that lead nowhere, under the flags that they were given with."""
    if pictures:
        check_there(config.data.path, typed(arguments, "--data", "--data.path"))
    files = {"data.class_names": config.data.class_names, "monitor.feature_weights": config.monitor.feature_weights}
    for name, file in files.items():
        if file is not None:
            check_file(typed(arguments, f"--{name.replace('_', '-')}", f"--{name}") or name, file)


def _parse(kind: type[F], arguments: Sequence[str], verb: str, what: str, choice: Choice) -> F:
    own = [item.name for item in fields(kind) if item.name not in ("config", *kind.HIDDEN)]
    description = (
        f"{what}\n\nPresets:\n{listed_presets()}\n\nDefaults shown are those of {choice.sentence}: "
        f"{in_short(choice.config)}."
    )
    return parse(kind, arguments, verb, kind(config=choice.config), description, short=[*own, *SHORT])


def listed_presets() -> str:
    """Write the list of presets, a line each."""
    lines, width = [], max(map(len, PRESETS))
    for name, build in PRESETS.items():
        lines.append(f"  {name:<{width}}  {(build.__doc__ or '').removeprefix('Build ').splitlines()[0]}")
    return "\n".join(lines)


def in_short(config: RunConfig) -> str:
    """Say what the flags that are short for fields stand for while they are unset."""
    G, D, train = config.generator, config.discriminator, config.train
    places = " ".join(map(str, G.attention_positions)) or "none"
    return (
        f"steps {train.total_steps:,}, batch size {train.batch_size}, size {written(G.image_size)}, "
        f"base width {G.base_width} (discriminator {D.base_width}), attention {places}, "
        f"evaluated every {train.evaluate_every:,}"
    )


def combined(flags: ConfigFlags) -> RunConfig:
    """Apply the flags that are short for fields."""
    return with_changes(flags.config, Changes(**{field.name: getattr(flags, field.name) for field in fields(Changes)}))
