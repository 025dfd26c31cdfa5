"""Pictures read as those that a run was trained on: what the run chose, and what its automatic choices came to.

A run says both in its checkpoints and weights files, beside the fingerprint of its pictures. What a user chooses wins.
"""

import itertools
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from sagan.data.choosing import chosen
from sagan.data.colours import WHITE, colour_of
from sagan.data.config import DataConfig, DataError, Decoding, Reading, given_range
from sagan.data.decisions import AUTOMATIC, OTHERS, Decisions, agree, range_flag, words
from sagan.data.decode import Plan
from sagan.data.names import read_class_names
from sagan.data.opening import decoding_of, open_dataset, open_silently, packed_at, renamed, with_unused
from sagan.data.packed import ImageSet
from sagan.data.shards import read_packed
from sagan.sizes import Size, size_of

TREE = ("split", "classes", "class_pattern", "labels")
"""What a run says of its folders."""
LENIENT = ("skip_unreadable", "may_lose")
"""What a run says of pictures that could not be read."""


def about_data(image_set: ImageSet, config: DataConfig) -> dict[str, Any]:
    """Give what a checkpoint says of its pictures, for JSON: content, number, how they were read.

    Only names stand in it: checkpoints and weights travel, and the folders of this machine are nobody else's business.
    """
    usual = Reading()
    tree = {name: getattr(config, name) for name in (*TREE, *LENIENT)}
    tree = {name: value for name, value in tree.items() if value != getattr(usual, name)}
    if len(PurePath(str(tree.get("labels", ""))).parts) > 1:
        del tree["labels"]
    if config.class_names is not None and (shown := {*image_set.class_names}):
        named = read_class_names(config.class_names)
        tree["class_names"] = {key: name for key, name in named.items() if {name, f"{name} ({key})"} & shown}
    return {
        "source": Path(image_set.source).name,
        "fingerprint": image_set.fingerprint,
        "images": len(image_set.labels),
        **({"decoding": image_set.info.decoding} if image_set.info.decoding else {}),
        **({"reading": tree} if tree else {}),
    }


def open_alike(config: DataConfig, size_px: Size, data: object, *, progress: bool = True) -> ImageSet:
    """Open a data set as :func:`open_dataset` does, read as a run read its pictures where the user does not choose.

    What was taken from the run is told by :func:`notes` in one sentence. A packed file stays as it was made, and the
    sentence says how else the run's pictures were read. What the run's folders mean, and whether files that cannot be
    read are left out, is taken for pictures of the same name only.

    Args:
        config: What to open; fields that are not as usual were chosen by the user.
        size_px: As :func:`open_dataset`.
        data: What a checkpoint or weights file says of the run's data; those of older versions say less.
        progress: As :func:`open_dataset`.

    Raises:
        DataError: As :func:`open_dataset`.
    """
    said = _mapping(_mapping(data).get("decoding"))
    if (place := packed_at(config.path)) is not None:
        if read_packed(place).images.shape[1:3] != size_of(size_px):
            config = fitted_alike(config, data)
        image_set = open_dataset(config, size_px, progress=progress)
        return _told(image_set, _packed_otherwise(config, image_set.info.decoding, said))
    taken = _taken(config, _mapping(data), said)
    wanted = _alike_in_pixels(taken, size_px, said, progress)
    image_set = with_unused(open_silently(wanted, size_px, progress=progress), config)
    flags = _flags(config, wanted, image_set.info.decoding)
    told = [f"read as the run's pictures were, with {flags}"] if flags else []
    if "range" not in chosen(wanted) and not agree("range", image_set.info.decoding, said):
        told.append(
            f"read with {words('range', image_set.info.decoding)}, the run's pictures with {words('range', said)}, "
            "which no flag does at once; --data.range chooses"
        )
    return _named_alike(_told(image_set, told), config, _mapping(data))


def _named_alike(image_set: ImageSet, config: DataConfig, data: Mapping[str, Any]) -> ImageSet:
    """Call the classes as the run did, if that gave all of them other names."""
    names = _mapping(_mapping(data.get("reading")).get("class_names"))
    names = {key: name for key, name in names.items() if isinstance(name, str)}
    same = PurePath(config.path).name == data.get("source") and config.class_names is None
    if not same or not image_set.class_names or not names.keys() >= {*image_set.class_names}:
        return image_set
    return _told(renamed(image_set, names, "the run"), ["classes are called as the run called them"])


def plan_alike(data: object) -> Plan:
    """Give the plan to decode single pictures as a run's were; kinds of values that it did not have stay automatic."""
    said = _mapping(_mapping(data).get("decoding"))
    ranges = said.get("range")
    text = ranges if isinstance(ranges, str) else ""
    return Plan(
        background=colour_of(str(said["background"])) if "background" in said else WHITE,
        ranges={kind: (low, high) for kind, (low, high) in ranges.items()} if isinstance(ranges, dict) else {},
        others=text if text in ("type", "file") else given_range(text),
        keep_truncated=said.get("truncated") == "keep",
        profiles=said.get("profiles") != "ignore",
        max_pixels=round(said.get("max_megapixels", Decoding().max_megapixels) * 1e6),
    )


def fitted_alike(config: DataConfig, data: object) -> DataConfig:
    """Give a configuration that brings pictures to their size as a run did, where it does not say otherwise itself."""
    said = _mapping(_mapping(data).get("decoding"))
    if config.fitting:
        return config
    return replace(config, **{name: said[name] for name in ("fit", "border") if name in said})


# ---------------------------------------------------------------------------------------------------- taking over


def _taken(config: DataConfig, data: Mapping[str, Any], said: Decisions) -> DataConfig:
    """Take over what has no automatic choice."""
    mine = chosen(config).keys() | config.fitting.keys()
    fields = {name: said[name] for name in (*OTHERS, "max_megapixels") if name in said and name not in mine}
    if config.fitting:
        fields = {name: value for name, value in fields.items() if name not in ("fit", "border")}
    if PurePath(config.path).name == data.get("source"):
        usual, tree = Reading(), _mapping(data.get("reading"))
        if all(getattr(config, name) == getattr(usual, name) for name in TREE):
            fields |= {name: tree[name] for name in TREE if name in tree}
        lenient = _lenient(tree)
        fields |= {name: lenient[name] for name in LENIENT if getattr(config, name) == getattr(usual, name)}
    return replace(config, **fields)


def _lenient(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a run says of pictures that could not be read; what is no such thing is passed over."""
    may_lose = tree.get("may_lose")
    names = may_lose if isinstance(may_lose, (list, tuple)) and all(isinstance(name, str) for name in may_lose) else ()
    return {"skip_unreadable": tree.get("skip_unreadable") is True, "may_lose": tuple(names)}


def _alike_in_pixels(config: DataConfig, size_px: Size, said: Decisions, progress: bool) -> DataConfig:
    """Settle background and range where they are automatic.

    Pictures that are packed and read alike are found again, and others are packed once.
    """
    open_fields = [name for name in AUTOMATIC if name in said and name not in chosen(config)]
    if not open_fields:
        return config
    flags = _flag_values(open_fields, said, None)
    for count in range(len(flags) + 1):
        for names in itertools.combinations(flags, count):
            form = replace(config, **{name: flags[name] for name in names})
            there = decoding_of(form, size_px, packed_only=True, progress=progress)
            if there is not None and all(agree(name, there, said) for name in open_fields):
                return form
    try:
        own = decoding_of(config, size_px, progress=progress)
    except DataError:
        if not flags:
            raise
        return replace(config, **flags)  # what is not clear by itself may be with the run's choice
    assert own is not None
    differing = [name for name in open_fields if not agree(name, own, said)]
    return replace(config, **_flag_values(differing, said, own))


def _flag_values(names: list[str], said: Decisions, own: Decisions | None) -> dict[str, Any]:
    """Give what a run's choices are as flags, where they can be."""
    values = {"background": said.get("background"), "range": range_flag(said, own)}
    return {name: value for name in names if (value := values[name]) is not None}


def _packed_otherwise(config: DataConfig, made: Mapping[str, Any], said: Decisions) -> list[str]:
    differing = [name for name in (*AUTOMATIC, *OTHERS) if name in said and not agree(name, made, said)]
    if not differing:
        return []
    here, there = (", ".join(words(name, of) for name in differing) for of in (made, said))
    return [f"{config.path} is packed already, with {here}, and stays so; the run's pictures were read with {there}"]


def _told(image_set: ImageSet, more: list[str]) -> ImageSet:
    return replace(image_set, told=(*image_set.told, *more)) if more else image_set


def _flags(config: DataConfig, wanted: DataConfig, made: Decisions) -> str:
    """Write the flags that would do by hand what was taken over, without those that changed nothing."""
    names = [name for name in (*AUTOMATIC, *OTHERS, "max_megapixels") if name in made] + [*TREE, *LENIENT]
    taken = [name for name in names if getattr(config, name) != getattr(wanted, name)]
    return " ".join(_flag(name, getattr(wanted, name)) for name in taken)


def _flag(name: str, value: object) -> str:
    flag = f"--data.{name.replace('_', '-')}"
    if value is True:
        return flag
    return f"{flag} {shlex.join(value)}" if isinstance(value, tuple) else f"{flag}={value}"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
