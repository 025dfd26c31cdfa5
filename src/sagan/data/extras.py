"""Libraries that only some kinds of data need: imported when they are, and named when they are missing."""

import importlib
from types import ModuleType

from sagan.data.config import DataError


def need(module: str, extra: str, what: str) -> ModuleType:
    """Import a library of an extra.

    Args:
        module: The name to import.
        extra: The extra of this package that brings it.
        what: What it is needed for, the subject of the sentence.

    Raises:
        DataError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f'{what} need the library {module} ({error}); install it with: pip install "sagan-torch[{extra}]", or '
            f'from a checkout pip install ".[{extra}]"'
        ) from error
