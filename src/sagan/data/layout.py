"""What a tree of pictures means: which folders are classes, which are splits, and which are neither.

The tree is looked at as a whole. Where it has one reading, that is taken and said in a sentence; where it has several,
the readings are told with the setting that chooses each.
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from sagan.data.config import DataConfig, DataError
from sagan.data.names import in_a_line, shown_names
from sagan.data.pictures import Labels

SPLITS = frozenset(["train", "training", "trainset", "val", "valid", "validation", "test", "testing", "testset", "dev"])
TRAIN = frozenset(["train", "training", "trainset", "trainval"])
"""Words of which one, in the name of a folder such as ``seg_train`` or ``train2017``, tells of a split ..."""
# fmt: off
BESIDE_TRAIN = frozenset((
    *SPLITS, *TRAIN, "eval", "evaluation", "holdout", "heldout", "unlabeled", "unlabelled", "extra", "pred", "predict",
    "prediction", "unseen", "submission",
))
"""... where all folders beside it have one of these in theirs."""
INNER = frozenset((
    "images", "image", "imgs", "img", "jpg", "jpeg", "jpegs", "png", "pngs", "pictures", "photos", "rgb", "input",
    "inputs",
))
"""Folders that only say that there are pictures in them."""
COMPANIONS = frozenset((
    "annotations", "annotation", "masks", "mask", "labels", "label", "segmentations", "segmentation", "seg",
    "trimaps", "trimap", "bboxes", "depth", "ground_truth", "groundtruth", "gt", "xmls", "meta", "metadata", "target",
    "targets",
))
# fmt: on
"""Folders whose pictures belong to those of a folder of :data:`INNER` beside them, and are none to train on; so are
pictures called like another one with such a word behind it: ``1_mask.png`` beside ``1.png``."""
_COMPANION = re.compile(rf"(.+?)[ _.-]+(?:{'|'.join(sorted(COMPANIONS))})(?:[ _.-]*[0-9]+)?", re.IGNORECASE)
MANY_FOLDERS = 10
"""From so many folders on, all with one picture, they are hardly classes."""


class Chosen(NamedTuple):
    """A picture that is trained on."""

    name: str
    """Its name below the root."""
    path: tuple[str, ...]
    """The folders that count, outermost first."""


@dataclass(frozen=True)
class Layout:
    """Which pictures are used, their classes, and what was left out."""

    names: tuple[str, ...]
    labels: Labels
    """int64 (N,)."""
    class_names: tuple[str, ...]
    """() where there are none."""
    said: tuple[str, ...] = ()
    """What was found out about the tree, in sentences."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Names of pictures that are not used, and why."""


@dataclass(frozen=True)
class _State:
    """The pictures that are still in play."""

    where: str
    pictures: tuple[Chosen, ...]
    said: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    config: DataConfig = field(default_factory=DataConfig)

    def tops(self) -> set[str]:
        """Give the outermost folders, "" for pictures that lie in none."""
        return {picture.path[0] if picture.path else "" for picture in self.pictures}

    def without(self, drop: Callable[[Chosen], bool], reason: str) -> "_State":
        """Leave pictures out."""
        gone = tuple((picture.name, reason) for picture in self.pictures if drop(picture))
        kept = tuple(picture for picture in self.pictures if not drop(picture))
        return replace(self, pictures=kept, left_out=self.left_out + gone)

    def inside(self, sentence: str = "") -> "_State":
        """Go into the outermost folder of every picture."""
        pictures = tuple(Chosen(name, path[1:]) for name, path in self.pictures)
        return replace(self, pictures=pictures, said=(*self.said, sentence) if sentence else self.said)


def arrange(where: str, names: Sequence[str], config: DataConfig) -> Layout:
    """Find out which pictures are used and what their classes are.

    Args:
        where: What the tree is called, for messages.
        names: Names of all pictures below its root, with ``/`` between folders.
        config: ``split`` and ``classes`` choose between readings.

    Raises:
        DataError: If the tree has several readings and none is chosen, or none that is chosen.
    """
    state = _State(where, tuple(Chosen(name, tuple(name.split("/")[:-1])) for name in names), config=config)
    if config.classes == "none":
        everything = _companions_out(state)
        layout = Layout(tuple(p.name for p in everything.pictures), np.zeros(len(everything.pictures), np.int64), ())
        return replace(layout, said=everything.said, left_out=everything.left_out)
    state = _unwrapped(_companions_out(state))
    state = _split(state)
    state = _without_inner(_unwrapped(_companions_out(state)))
    return _classes(state)


def _companions_out(state: _State) -> _State:
    """Leave out masks and the like where a folder of pictures stands beside them, at the top or one folder down."""
    parents = {picture.path[:-1] for picture in state.pictures if picture.path and picture.path[-1].lower() in INNER}
    tops = {top.lower() for top in state.tops()}
    stems = {_stem(picture.name) for picture in state.pictures}

    def is_companion(picture: Chosen) -> bool:
        folder_of, slash, stem = _stem(picture.name).rpartition("/")
        called = _COMPANION.fullmatch(stem)
        if called is not None and f"{folder_of}{slash}{called[1]}" in stems:
            return True
        for depth, folder in enumerate(picture.path):
            beside = picture.path[:depth] in parents or (depth == 0 and bool(tops & INNER))
            if folder.lower() in COMPANIONS and beside:
                return True
        return False

    return state.without(is_companion, "a mask or annotation beside the pictures")


def _unwrapped(state: _State) -> _State:
    """Go into a folder that is around everything, as long as there are folders in it, or it only says `images`."""
    while state.pictures and len(tops := state.tops()) == 1 and (top := next(iter(tops))):
        deeper = all(len(picture.path) >= 2 for picture in state.pictures)
        if not (deeper or top.lower() in INNER or top.lower() in SPLITS):
            break
        state = state.inside(f"everything lies in {top}/")
    return state


def _split(state: _State) -> _State:
    """Choose a split where the outermost folders are such."""
    config = state.config
    tops = {top.lower(): top for top in state.tops() if top}
    wanted = config.split
    if not _are_splits([*tops.values()]):
        if wanted in (None, "all", "folders"):
            return state
        if wanted is not None and wanted.lower() in tops:
            return _only(state, tops[wanted.lower()])
        raise DataError(f"{state.where} has no split {wanted!r}; outermost folders: {_some(sorted(state.tops()))}")
    if wanted == "folders":
        return state
    if wanted == "all":
        return state.inside(f"all of {', '.join(sorted(tops.values()))} together")
    if wanted is not None:
        if wanted.lower() not in tops:
            raise DataError(f"{state.where} has no split {wanted!r}; there are {', '.join(sorted(tops.values()))}")
        return _only(state, tops[wanted.lower()])
    counts = Counter(picture.path[0] for picture in state.pictures if picture.path)
    readings = [f"--data.split {shlex.quote(top)} takes its {counts[top]:,} pictures" for top in sorted(tops.values())]
    raise DataError(
        f"{state.where} is divided into {', '.join(sorted(tops.values()))}. Which of them? {'; '.join(readings)}; "
        "--data.split all takes all of them; --data.split folders takes these folders for the classes"
    )


def _are_splits(tops: Sequence[str]) -> bool:
    """Tell whether folders are the parts of a division: all are called so, or one for training and all others so."""
    if len(tops) < 2:
        return False
    words = [{word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", top)} for top in tops]
    divided = any(some & TRAIN for some in words) and all(some & BESIDE_TRAIN for some in words)
    return divided or all(top.lower() in SPLITS for top in tops)


def _only(state: _State, top: str) -> _State:
    chosen = state.without(lambda picture: not picture.path or picture.path[0] != top, f"not in the split {top}")
    return chosen.inside(f"split {top}")


def _without_inner(state: _State) -> _State:
    """Leave away an innermost folder that every class has, as in ``n01443537/images/``."""
    while state.pictures and all(len(p.path) >= 2 and p.path[-1].lower() in INNER for p in state.pictures):
        pictures = tuple(Chosen(name, path[:-1]) for name, path in state.pictures)
        state = replace(state, pictures=pictures, said=(*state.said, "each class has its pictures in a folder inside"))
    return state


def _classes(state: _State) -> Layout:
    config, where = state.config, state.where
    if config.class_pattern is not None:
        return _by_pattern(state, config.class_pattern)
    depths = Counter(len(picture.path) for picture in state.pictures)
    if set(depths) == {0}:
        return _labelled(state, None)
    if config.classes == "last" and 0 not in depths:
        return _labelled(state, lambda path: path[-1])
    if config.classes == "first" and 0 not in depths:
        return _labelled(state, lambda path: path[0])
    if config.classes == "path" and 0 not in depths:
        return _labelled(state, "/".join)
    if set(depths) == {1}:
        return _labelled(_not_one_each(state), lambda path: path[0])
    found = ", ".join(
        f"{'directly inside' if depth == 0 else f'{depth} folder(s) deep'}: {count:,} "
        f"(such as {in_a_line(next(picture.name for picture in state.pictures if len(picture.path) == depth))})"
        for depth, count in sorted(depths.items())
    )
    advice = "move the pictures that lie outside the class folders into one, or away"
    if 0 not in depths:
        advice = (
            "--data.classes first takes the outermost folders for classes, last the innermost ones, path each of them"
        )
    raise DataError(
        f"{where} holds pictures {found}; expected either pictures directly inside, or one level of sub-folders that "
        f"are the classes; {advice}; --data.classes none takes all pictures without classes; or give the folder that "
        "holds the class folders"
    )


def _not_one_each(state: _State) -> _State:
    """Refuse many folders that hold a picture each, unless they are said to be classes."""
    counts = Counter(picture.path[0] for picture in state.pictures)
    if len(counts) >= MANY_FOLDERS and max(counts.values()) == 1 and state.config.classes == "auto":
        raise DataError(
            f"{state.where} has {len(counts):,} folders with one picture each. Are they classes? --data.classes first "
            "takes them for classes, --data.classes none takes all pictures without classes"
        )
    return state


def _called(match: re.Match[str] | None) -> str | None:
    """Give the class that a name was found to have: the first group that fits, or all where there are no groups."""
    if match is None or not match.re.groups:
        return None if match is None else match[0]
    return next((group for group in match.groups() if group is not None), None)


def _by_pattern(state: _State, pattern: str) -> Layout:
    """Read the class out of each picture's file name."""
    found = {picture.name: _called(re.search(pattern, picture.name.rpartition("/")[2])) for picture in state.pictures}
    missing = [name for name, called in found.items() if called is None]
    if missing:
        raise DataError(
            f"--data.class-pattern {pattern!r} fits {len(found) - len(missing):,} of {len(found):,} names, not "
            f"{_some(missing)}"
        )
    by_name = {name: called for name, called in found.items() if called is not None}
    pictures = tuple(Chosen(picture.name, (by_name[picture.name],)) for picture in state.pictures)
    return _labelled(replace(state, pictures=pictures, said=(*state.said, "classes by file names")), lambda p: p[0])


def _labelled(state: _State, class_of: Callable[[tuple[str, ...]], str] | None) -> Layout:
    names = tuple(picture.name for picture in state.pictures)
    if class_of is None:
        return Layout(names, np.zeros(len(names), np.int64), (), state.said, state.left_out)
    folders = [class_of(picture.path) for picture in state.pictures]
    shown = shown_names(folders)
    classes = [shown[folder] for folder in folders]
    class_names = tuple(sorted(set(classes)))
    index = {name: label for label, name in enumerate(class_names)}
    labels = np.array([index[name] for name in classes], np.int64)
    return Layout(names, labels, class_names, state.said, state.left_out)


def _stem(name: str) -> str:
    """Leave the suffix away, if the name has one."""
    return re.sub(r"(?<=[^/])\.[^./]*$", "", name)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
