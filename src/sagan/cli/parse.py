"""Flags to dataclasses, and the error for what cannot be right on a command line."""

from typing import TypeVar

A = TypeVar("A")


class UsageError(ValueError):
    """A mistake on the command line."""


def parse(
    kind: type[A], arguments: list[str], verb: str, default: A | None = None, description: str | None = None
) -> A:
    """Parse flags into a dataclass; mistakes end with exit code 2 and the nearest known flag."""
    import tyro

    options = {} if default is None else {"default": default}
    return tyro.cli(kind, args=arguments, prog=f"sagan {verb}", description=description, **options)  # type: ignore[no-any-return,call-overload]
