"""Names of a package that are imported when they are used, so that a help text does not wait for PyTorch (PEP 562)."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy_names(package: str, places: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Make a package's ``__getattr__``.

    Args:
        package: The package's ``__name__``.
        places: {module: the names that come from it}. No name may be that of a module of the package, which Python sets
            itself as soon as that module is imported.
    """
    homes = {name: module for module, names in places.items() for name in names}

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # found at once from now on
        return value

    return find
