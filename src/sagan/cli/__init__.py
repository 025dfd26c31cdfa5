"""The command line: one file a verb."""

from sagan.cli.main import main

__all__ = ["main"]
