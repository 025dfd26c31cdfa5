"""Pictures that are stored as files of their own: from names and bytes to what the rest of the room decodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import UnidentifiedImageError

from sagan.data.choosing import choose, chosen
from sagan.data.config import Decoding
from sagan.data.decode import Decoded, Plan, UnreadableError, decode_picture
from sagan.data.formats import TRUNCATED, frames_of, pillow_allows
from sagan.data.parallel import map_in_order
from sagan.data.pictures import Labels, Pictures


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """One picture of a file."""

    file: int
    """The file's index."""
    number: int | None = None
    """Which picture of it, from 0; None is the one that it shows."""
    name: str
    """The file's name, with #1, #2, ... where it holds several."""
    damage: str = ""
    """Why the pictures of a file cannot be told apart."""


def encoded_pictures(
    where: str,
    names: Sequence[str],
    labels: Labels,
    class_names: tuple[str, ...],
    read: Callable[[int], bytes],
    config: Decoding,
) -> Pictures:
    """See files as pictures: choose how they are decoded, and take all their frames apart where that is asked for.

    Args:
        where: What the set is called.
        names: One name for each file.
        labels: int64 (N,), one for each file.
        class_names: What they mean; () without classes.
        read: Gives the bytes of the i-th file, from any thread.
        config: What the user chose of decoding.

    Raises:
        DataError: If what pixels mean is not clear and the user must choose.
    """
    plan, record = choose(where, names, read, config)
    if not plan.all_frames:
        return Pictures(
            names=tuple(names),
            labels=labels,
            class_names=class_names,
            decode=lambda index: decode_picture(read(index), plan),
            decoding=record,
        )
    frames = _frames(names, read, plan)

    def decode(index: int) -> Decoded:
        frame = frames[index]
        if frame.damage:
            raise UnreadableError(frame.damage)
        return decode_picture(read(frame.file), plan, frame.number)

    return Pictures(
        names=tuple(frame.name for frame in frames),
        labels=labels[np.array([frame.file for frame in frames], np.int64)],
        class_names=class_names,
        decode=decode,
        decoding=record,
    )


def _frames(names: Sequence[str], read: Callable[[int], bytes], plan: Plan) -> list[_Frame]:
    """Find the frames of every file; one that cannot be opened counts as one picture, which decoding refuses."""

    def look(index: int) -> list[_Frame]:
        name = names[index]
        try:
            data = read(index)
        except (UnreadableError, OSError):
            return [_Frame(file=index, name=name)]
        try:
            with TRUNCATED.refused(), pillow_allows(plan.max_pixels):
                found = frames_of(data)
        except (UnreadableError, UnidentifiedImageError):
            return [_Frame(file=index, name=name)]
        except Exception as error:  # See decode_picture.
            damage = "" if plan.keep_truncated else f"damaged or cut off ({error})"
            return [_Frame(file=index, name=name, damage=damage)]
        if len(found) == 1:
            return [_Frame(file=index, number=found[0] or None, name=name)]
        return [_Frame(file=index, number=number, name=f"{name}#{number + 1}") for number in found]

    frames: list[_Frame] = []

    def keep(several: list[list[_Frame]]) -> None:
        frames.extend(frame for some in several for frame in some)

    map_in_order(look, range(len(names)), keep, lambda _: None)
    return frames


def decoding_lines(config: Decoding) -> list[str]:
    """Give what the user chose of decoding for the key of a set; nothing where nothing was chosen."""
    return [f"{name}={value}" for name, value in chosen(config).items()]
