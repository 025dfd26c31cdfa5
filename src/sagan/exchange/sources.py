"""The sources whose weights can be brought in, and which of them a file is from."""

import shlex
from pathlib import Path
from typing import Literal

from sagan.exchange.biggan_pytorch import BIGGAN_PYTORCH
from sagan.exchange.foreign import ForeignError, State
from sagan.exchange.mimicry import MIMICRY
from sagan.exchange.mmgeneration import MMGENERATION
from sagan.exchange.source import Source
from sagan.exchange.studiogan import STUDIOGAN
from sagan.generators.weights import read_header

Network = Literal["generator", "discriminator"]

SOURCES: dict[str, Source] = {
    "biggan-pytorch": BIGGAN_PYTORCH,
    "studiogan": STUDIOGAN,
    "mmgeneration": MMGENERATION,
    "mimicry": MIMICRY,
}


def recognised(state: State) -> tuple[str, Network] | None:
    """Tell by the names of tensors whose network this is, and which of the two; None if nobody's."""
    for name, source in SOURCES.items():
        for network, mark in (("generator", source.generator_mark), ("discriminator", source.discriminator_mark)):
            if any(mark.match(key) for key in state):
                return name, network  # type: ignore[return-value]
    return None


def _is_ours(path: Path) -> bool:
    """Tell whether a weights file was written by this project."""
    try:
        read_header(path)
    except (ValueError, OSError):
        return False
    return True


def check_source(name: str, network: Network, state: State, path: Path) -> str:
    """Give the source of a network's tensors: the one that is named, or for ``auto`` the one that they look like.

    Raises:
        ForeignError: If they look like another source's, like the other network, or like nothing known.
    """
    found = recognised(state)
    if found is None and _is_ours(path):
        raise ForeignError(
            f"{path} is a weights file of sagan itself, with nothing to bring in: use it as it is, e.g. `sagan sample "
            f"{shlex.quote(str(path))} --out samples.png`"
        )
    if found is None:
        some = ", ".join(list(state)[:4])
        raise ForeignError(
            f"{path} has names of no source that can be brought in ({some}, ...); known: {', '.join(SOURCES)}"
        )
    source, is_network = found
    if name not in ("auto", source):
        raise ForeignError(
            f"{path} looks like a {is_network} of {SOURCES[source].title}: use `sagan import {source} {path} OUT`"
        )
    if is_network != network:
        files = SOURCES[source].files
        raise ForeignError(f"{path} holds a {is_network} of {SOURCES[source].title}, not a {network}; give {files}")
    return source
