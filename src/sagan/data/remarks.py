"""What a person should know before training on a set: remarks, a verdict, and advice with the command to use."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from sagan.data.config import GIVEN, DataConfig, Interpretation
from sagan.data.losses import too_many
from sagan.data.names import in_a_line, readable
from sagan.data.study import SIZES, Study
from sagan.sizes import longhand, written

Verdict = Literal["fine", "fine with remarks", "not to be trained on"]
EXIT_CODES: dict[Verdict, int] = {"fine": 0, "fine with remarks": 3, "not to be trained on": 4}
"""What `sagan data check` ends with; 1 and 2 are failures and mistakes, as everywhere."""

FEW_IN_CLASS, ENOUGH_IN_CLASS = 100, 1000
"""A class with fewer pictures than the first is warned of; below the second, augmentation is advised."""
STRONG_IMBALANCE, IMBALANCE = 10.0, 2.0
"""A largest class more than so many times the smallest is warned of; from the second on, balance is advised."""
BATCHES = {16: (64, 64), 32: (32, 64), 64: (32, 128), 128: (256, 256)}
"""Pictures in a batch of the presets for each size, without a GPU and with one; for 128 px there is one preset."""
LEAST_BATCH = 2
MANY_COPIES = 0.01
"""A larger share of copies than this is remarked on."""
MOST = 0.5
HANDED, EVEN = 0.65, 0.60
"""A larger share than the first, told from their mirror images, have a left and a right; below the second, hardly."""
CROPPED = 0.2


@dataclass(frozen=True)
class Remark:
    """Something that will probably spoil the training, or would stop it."""

    kind: str
    """A word that stays the same from version to version, e.g. ``few``."""
    text: str
    """A sentence: what was found and what to do."""
    stop: bool = False
    """Whether the set is not to be trained on before this is mended."""


@dataclass(frozen=True)
class Advice:
    """A choice for a training, with its reason."""

    about: str
    """A word that stays the same from version to version, e.g. ``size``."""
    text: str
    """What to do."""
    reason: str
    """Why, with the numbers that were found."""
    flags: tuple[str, ...] = ()
    """What to write behind `sagan train --data ...`; () where there is nothing to write."""
    command: str = ""
    """The whole command line, "" where none is needed."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What remarks and advice are made from."""

    source: str
    """What was checked."""
    config: DataConfig
    """How it was read."""
    size: tuple[int, int] | None
    """The size that was asked for, (height, width)."""
    counts: Mapping[str, int]
    """Readable pictures of each class, in the order of labels."""
    unreadable: Sequence[tuple[int, str]]
    """Index and reason of each file that cannot be read."""
    enlarged: int
    """How many pictures are smaller than the size that was asked for."""
    study: Study
    """All else."""

    @property
    def size_px(self) -> int | None:
        """The shorter side of the size that was asked for."""
        return None if self.size is None else min(self.size)

    @property
    def total(self) -> int:
        """Readable pictures."""
        return sum(self.counts.values())

    @property
    def has_classes(self) -> bool:
        """Whether there are classes."""
        return list(self.counts) != [""]

    @property
    def to_train(self) -> int:
        """Readable pictures that a run would not hold out."""
        return self.total - (0 if self.study.held_out is None else self.study.held_out.count)

    @property
    def advised_px(self) -> int:
        """The size to train at: that which was asked for, or the largest that nine of ten pictures fill."""
        fitting = max([size for size in SIZES if size <= self.study.side_px], default=SIZES[0])
        asked = self.size_px
        return asked if asked is not None and asked <= max(fitting, SIZES[0]) else fitting

    @property
    def batches(self) -> str:
        """The batches of presets for that size, in words, where there are fewer pictures to train on; "" elsewhere."""
        size = max((size for size in BATCHES if size <= self.advised_px), default=SIZES[0])
        without, with_gpu = BATCHES[size]
        if self.to_train >= with_gpu:
            return ""
        pictures = f"{with_gpu} with a GPU" if self.to_train >= without or without < with_gpu else f"{with_gpu}"
        return pictures if self.to_train >= without or without == with_gpu else f"{without}, or {pictures}"


def verdict_of(remarks: Sequence[Remark]) -> Verdict:
    """Give the verdict that remarks come to."""
    if any(remark.stop for remark in remarks):
        return "not to be trained on"
    return "fine with remarks" if remarks else "fine"


def remarks_on(facts: Facts) -> list[Remark]:
    """Say what will probably spoil a training, what would stop it first."""
    said = [*_classes(facts), *_few(facts), *_copies(facts), *_unreadable(facts), *_pixels(facts)]
    return sorted(said, key=lambda remark: not remark.stop)


def _classes(facts: Facts) -> list[Remark]:
    counts = facts.counts
    if not facts.total:
        return [Remark("nothing", f"{facts.source} has no picture that can be read", stop=True)]
    if not facts.has_classes:
        text = "NO CLASSES were found, so training is unconditional; for classes, put each into its own sub-folder"
        return [Remark("no_classes", text)]
    if len(counts) == 1:
        text = (
            f"there is only ONE CLASS, {next(iter(counts))}; if many were meant, give the folder whose sub-folders are "
            "the classes"
        )
        return [Remark("one_class", text)]
    said = []
    low, high = min(counts.values()), max(counts.values())
    if high > STRONG_IMBALANCE * low:
        text = (
            f"classes are very unequal: the largest has {high:,} pictures, the smallest {low:,}; consider "
            "--data.balanced"
        )
        said.append(Remark("unequal", text))
    return said


def _few(facts: Facts) -> list[Remark]:
    """Say where there are too few pictures: to train at all, to fill a batch, to learn from."""
    if not facts.total:
        return []
    if facts.to_train < LEAST_BATCH:
        text = f"only {facts.to_train} picture(s) to train on; training needs at least {LEAST_BATCH}, better thousands"
        return [Remark("too_few", text, stop=True)]
    said = []
    if facts.batches:
        text = (
            f"{facts.to_train:,} pictures to train on are fewer than one batch of the preset for {facts.advised_px} px "
            f"({facts.batches}): training needs --batch-size {_batch(facts)} or so"
        )
        said.append(Remark("batch", text))
    few = [f"{label} {count}" for label, count in facts.counts.items() if count < FEW_IN_CLASS]
    if few and facts.has_classes:
        text = f"{len(few)} class(es) have fewer than {FEW_IN_CLASS} pictures, too few to learn from: {_some(few)}"
        said.append(Remark("few", text))
    elif few:
        said.append(
            Remark("few", f"there are {facts.total:,} pictures, fewer than {FEW_IN_CLASS}: too few to learn from")
        )
    return said


def _batch(facts: Facts) -> int:
    """Give the largest power of two that is no more than the pictures to train on."""
    return 1 << (facts.to_train.bit_length() - 1)


def _copies(facts: Facts) -> list[Remark]:
    study, total = facts.study, facts.total
    said = []
    equal = sum(len(group) - 1 for group in study.equal)
    if 1 < total == equal + 1:
        said.append(Remark("all_equal", f"all {total:,} pictures are equal: there is nothing to learn", stop=True))
    elif equal > MANY_COPIES * total:
        text = f"{equal:,} of {total:,} pictures are exact copies of others; remove them, or they are learnt by heart"
        said.append(Remark("copies", text))
    near = sum(len(group.members) - 1 for group in study.near)
    if near > MANY_COPIES * total:
        text = f"{near:,} of {total:,} pictures are near copies of others, saved again or mirrored; keep one of each"
        said.append(Remark("near_copies", text))
    for group in study.in_two_classes[:3]:
        first, second = _of_two_classes(study, group)
        same = "the same picture" if group in study.equal else "nearly the same picture"
        text = (
            f"{same} lies in two classes: {study.names[first]} is {study.class_of(first)}, "
            f"{study.names[second]} is {study.class_of(second)}; decide on one"
        )
        said.append(Remark("two_classes", text))
    if (more := len(study.in_two_classes) - 3) > 0:
        said.append(Remark("two_classes", f"{more:,} more pictures lie in two classes"))
    held = study.held_out
    if held is not None and len(held.copied) > MANY_COPIES * held.count:
        text = (
            f"{len(held.copied):,} of {held.count:,} held-out pictures (seed {held.seed}) have copies among those to "
            "train on: the gauge of memorisation will read low"
        )
        said.append(Remark("held_out_copies", text))
    return said


def _unreadable(facts: Facts) -> list[Remark]:
    if not facts.unreadable:
        return []
    left_out = facts.config.skip_unreadable
    then = "they are left out" if left_out else "training stops on them unless --data.skip-unreadable is set"
    text = f"{len(facts.unreadable):,} file(s) cannot be read as pictures; {then}"
    said = [Remark("unreadable", text)]
    losses = Counter(facts.study.class_of(index) for index, _ in facts.unreadable)
    for name, lost in losses.items():
        if too_many(lost, lost + facts.counts[name]) and name not in facts.config.may_lose and facts.total:
            text = (
                f"{name or 'the set'} loses {lost:,} of its {lost + facts.counts[name]:,} pictures, which cannot be "
                "read; mend them, or accept it with --data.may-lose and the name"
            )
            said.append(Remark("lost_class", text, stop=True))
    return said


def _pixels(facts: Facts) -> list[Remark]:
    said = []
    if 2 * facts.enlarged > facts.total:
        text = f"most pictures are smaller than {facts.size_px} px and would be enlarged; train at a smaller size"
        said.append(Remark("enlarged", text))
    for kind, what in (("plain", "of one colour all over"), ("dark", "nearly black"), ("bright", "nearly white")):
        found = len(facts.study.odd.get(kind, ()))
        if found > MOST * facts.total:
            text = (
                f"{found:,} of {facts.total:,} pictures are {what}; if they should not be: --data.range is for "
                "pictures with more than 8 bits a value, --data.background for transparent ones, and masks, whose "
                "values are numbers of classes, are no pictures to train on"
            )
            said.append(Remark(kind, text, stop=True))
        elif found:
            said.append(Remark(kind, f"{found:,} picture(s) are {what}, such as {_named(facts, kind)}; look at them"))
    blurred = len(facts.study.odd.get("blurred", ()))
    if blurred > MOST * facts.total:
        text = f"{blurred:,} of {facts.total:,} pictures are blurred or were enlarged before; samples will be, too"
        said.append(Remark("blurred", text))
    if facts.study.crop_loss > CROPPED and facts.config.fit in ("crop", "smart"):
        size = facts.size or (1, 1)
        shape = "square crop" if size[0] == size[1] else f"crop to the shape of {longhand(size)}"
        text = f"a {shape} leaves out {facts.study.crop_loss:.0%} of the pictures on average; see what is lost"
        said.append(Remark("cropped", text))
    return said


def advice_on(facts: Facts) -> list[Advice]:
    """Say how to train on a set, each choice with its reason and the command line so far; the last has them all."""
    if not facts.total:
        return []
    asked = [_size(facts), _enough(facts), _batches(facts), _left_out(facts), _augmentation(facts)]
    asked += [_balance(facts), _flip(facts)]
    flags: list[str] = []
    said = []
    for one in asked:
        if one is not None:
            flags += one.flags
            command = train_command(facts.config, flags) if one.flags else ""
            said.append(Advice(one.about, one.text, one.reason, one.flags, command))
    return said


def train_command(config: DataConfig, flags: Sequence[str]) -> str:
    """Write the command line that trains on a set that is read as it was checked; "" for pictures in Python."""
    if config.path.startswith(GIVEN):
        return ""
    words = ["sagan", "train", "--data", config.path]
    default = DataConfig()
    for one in fields(Interpretation):
        value = getattr(config, one.name)
        if value != getattr(default, one.name):
            flag = f"--data.{one.name.replace('_', '-')}"
            words += [flag] if value is True else [flag, *map(str, value if isinstance(value, tuple) else [value])]
    if config.class_names is not None:
        words += ["--data.class-names", config.class_names]
    return readable(shlex.join([*words, *flags]))


def _size(facts: Facts) -> Advice:
    size = facts.advised_px
    if size >= 128:
        preset = f"With a GPU this is the preset sagan-{size}; without one take --size 64 (sagan-64-cpu)"
    elif size > 16:
        preset = f"The preset follows from it: sagan-{size} with a GPU, sagan-{size}-cpu without"
    else:
        preset = "The preset follows from it: demo, minutes on a processor"
    shape = facts.size or (1, 1)
    asked = tuple(side * size // min(shape) for side in shape)
    reason = f"Nine of ten pictures have a shorter side of {facts.study.side_px:,} px or more"
    if facts.size_px is not None and facts.size_px > size:
        reason += f"; at {facts.size_px} px they would be enlarged, and a network would learn their blur"
    flags = ("--size", str(written(asked)))
    return Advice("size", f"Train at {written(asked)} px. {preset}.", f"{reason}.", flags)


def _enough(facts: Facts) -> Advice:
    low, name = min((count, label) for label, count in facts.counts.items())
    which = f"The smallest class, {name}, has {low:,} pictures" if facts.has_classes else f"There are {low:,} pictures"
    known = "Published results come from some 1,300 pictures a class (ImageNet) or 5,000 (CIFAR-10)"
    if low < FEW_IN_CLASS:
        what = f"add pictures, join classes or leave small ones out: below {FEW_IN_CLASS} they are learnt by heart"
    elif low < ENOUGH_IN_CLASS:
        what = f"enough to try, with augmentation; {ENOUGH_IN_CLASS:,} and more of each class make samples varied"
    else:
        what = "that is enough to begin with"
    return Advice("pictures", f"{what[0].upper()}{what[1:]}.", f"{which}. {known}.")


def _batches(facts: Facts) -> Advice | None:
    if not facts.batches:
        return None
    reason = f"There are {facts.to_train:,} pictures to train on; the preset takes {facts.batches} at a time."
    flags = ("--batch-size", str(_batch(facts)))
    return Advice("batch", f"Take batches of {_batch(facts)} pictures.", reason, flags)


def _left_out(facts: Facts) -> Advice | None:
    if not facts.unreadable or facts.config.skip_unreadable:
        return None
    reason = f"{len(facts.unreadable):,} file(s) cannot be read as pictures, and a run stops on them."
    return Advice(
        "unreadable", "Mend the files that cannot be read, or leave them out.", reason, ("--data.skip-unreadable",)
    )


def _augmentation(facts: Facts) -> Advice | None:
    each = facts.total / max(1, len(facts.counts))
    if each >= ENOUGH_IN_CLASS and facts.total >= 10 * ENOUGH_IN_CLASS:
        reason = f"There are {facts.total:,} pictures, {each:,.0f} a class, too many to be soon known by heart."
        return Advice("augmentation", "No augmentation is needed at first.", reason)
    return Advice(
        "augmentation",
        "Show the discriminator changed pictures, real and generated alike (DiffAugment).",
        f"There are {facts.total:,} pictures, {each:,.0f} a class: without it they are soon known by heart.",
        ("--train.augment", "color", "translation", "cutout"),
    )


def _balance(facts: Facts) -> Advice | None:
    low, high = min(facts.counts.values()), max(facts.counts.values())
    if len(facts.counts) < 2 or not low:
        return None
    if high < IMBALANCE * low:
        reason = f"The largest class has {high / low:.1f} times the pictures of the smallest."
        return Advice("balance", "Classes need not be balanced.", reason)
    reason = f"The largest class has {high / low:.1f} times the pictures of the smallest, which would be seldom seen."
    return Advice("balance", "Show all classes equally often.", reason, ("--data.balanced",))


def _flip(facts: Facts) -> Advice | None:
    told = facts.study.handedness
    if told is None:
        return None
    share = f"{told:.0%} of the pictures can be told from their mirror images, where 50% is chance"
    if told > HANDED:
        return Advice("flip", "Do not mirror: the pictures have a left and a right.", f"{share}.")
    if told < EVEN:
        text = "Mirror pictures left to right at random, unless there is writing on them that shall stay readable."
        return Advice("flip", text, f"{share}: it makes twice as many of them.", ("--data.flip",))
    return Advice(
        "flip", "Mirroring is a matter of taste here: look at the pictures before you set --data.flip.", f"{share}."
    )


def _of_two_classes(study: Study, group: tuple[int, ...]) -> tuple[int, int]:
    other = next(index for index in group if study.labels[index] != study.labels[group[0]])
    return group[0], other


def _named(facts: Facts, kind: str) -> str:
    return _some([facts.study.names[index] for index in facts.study.odd[kind]], 3)


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(map(in_a_line, names[:most])) + (", ..." if len(names) > most else "")
