"""Weights from the Hugging Face Hub: a name like OWNER/NAME to a file on this machine. Without PyTorch."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

NAMED = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def is_hub_id(path: str | Path) -> bool:
    """Tell whether this can be a repository of the Hub: OWNER/NAME, where nothing here is called so.

    What begins with a folder that is there is a path with a mistake.
    """
    text = Path(path).as_posix()
    place = Path(text)
    if not NAMED.fullmatch(text) or place.exists() or place.parent.is_dir():
        return False
    return place.suffix not in (".safetensors", ".pt", ".onnx", ".pt2")


def check_weights_there(path: str | Path, *, hub: bool = True) -> None:
    """Check that a path leads somewhere, or may be a repository of the Hub; what is there is not looked at.

    Args:
        path: As in :func:`sagan.generators.pretrained.load`.
        hub: Whether it can be a repository.

    Raises:
        FileNotFoundError: If there is nothing.
    """
    if not Path(path).exists() and not (hub and is_hub_id(path)):
        raise FileNotFoundError(f"{path}: no such run folder, checkpoint or weights file")


def fetched(
    name: str,
    file: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """Give a file of a repository of the Hub, downloaded if it is not in its cache.

    Args:
        name: OWNER/NAME.
        file: Which of its files.
        revision: A branch, a tag or a commit; unset is the main branch.
        cache_dir: Where the Hub's library keeps what it downloads; unset is its own place.
        token: What gives access to a private one; unset is the one that `hf auth login` keeps.
        local_files_only: Take it from the cache alone.
        force_download: Download it again.

    Raises:
        FileNotFoundError: If it is not here, and cannot be had from the Hub: the message says why.
    """
    nothing = f"{name}: no such run folder, checkpoint or weights file here"
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise FileNotFoundError(
            f'{nothing}; to look for it on the Hugging Face Hub: pip install "sagan-torch[hub]"'
        ) from error
    try:
        found = hf_hub_download(
            name,
            file,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only or not _in_reach(),
            force_download=force_download,
        )
    except LocalEntryNotFoundError as error:
        raise FileNotFoundError(out_of_reach(name, file)) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise FileNotFoundError(
            f"{nothing}, and the Hugging Face Hub has no {file} of that name for you ({str(error).splitlines()[0]})"
        ) from error
    return Path(found)


def out_of_reach(name: str, file: str) -> str:
    """Say that a file of a repository is neither in the Hub's cache nor to be had, and what to do."""
    return (
        f"{name}: no such run folder, checkpoint or weights file here; the Hugging Face Hub is out of reach (no "
        f"connection, or HF_HUB_OFFLINE is set), and its cache has no {file} of that name: load it once with a "
        "connection, or copy that file here and name it"
    )


def _in_reach() -> bool:
    """Tell whether the Hub's name can be looked up: without, its library would try for half a minute.

    Where a proxy is set, that one looks names up.
    """
    from huggingface_hub.constants import ENDPOINT

    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True
