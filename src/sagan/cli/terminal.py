"""The terminal as the verbs use it: progress and notes on standard error, results on standard output."""

from rich.console import Console


def error_console() -> Console:
    """Give the console for what happens meanwhile."""
    return Console(stderr=True, soft_wrap=True, markup=False, highlight=False)


def output_console() -> Console:
    """Give the console for results."""
    return Console(markup=False, highlight=False)
