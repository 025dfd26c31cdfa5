"""Where modules have gone that lay elsewhere before version 0.2: their old names work, with a warning, until 0.3."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PLACES = {
    "build": "recipes.build",
    "config": "recipes.config",
    "demo": "experiments.digits",
    "flags": "cli.flags",
    "info": "cli.info",
    "interop": "generators",
    "interop.weights": "generators.weights",
    "launch": "runs.launch",
    "monitor": "runs.monitor",
    "outputs": "generators.outputs",
    "plan": "speed.plan",
    "presets": "recipes.presets",
    "pretrained": "generators.pretrained",
    "reporter": "runs.train",
    "run": "runs.train",
    "runfolder": "runs.folder",
    "transfer": "runs.transfer",
}
"""{old name below ``sagan``: new one}."""
FUNCTIONS = {"plan": "make_plan"}
"""Old names of modules that are names of public functions now: {name: the function in the module's new place}."""


class _Former(ModuleType):
    """Stands at an old name: hands on whatever the module at the new place has, and is called like the new function."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"Has moved to sagan.{PLACES[_below(name)]}.")
        self.__path__: list[str] = []  # so that `import sagan.interop.weights` finds its way

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        new = f"sagan.{PLACES[_below(self.__name__)]}"
        value: object = getattr(import_module(new), attribute)
        warnings.warn(f"{self.__name__} has moved to {new}", DeprecationWarning, stacklevel=2)
        return value

    def __call__(self, *arguments: object, **options: object) -> object:
        name = _below(self.__name__)
        if name not in FUNCTIONS:
            raise TypeError(f"{self.__name__} is a module")
        function = getattr(import_module(f"sagan.{PLACES[name]}"), FUNCTIONS[name])
        return function(*arguments, **options)


class _Finder(MetaPathFinder, Loader):
    """Finds the old names; Python asks it only for modules that it does not find itself."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if _below(name) in PLACES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def install() -> None:
    """Let imports of old names be found."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def module(name: str) -> ModuleType:
    """Give what stands at an old name, e.g. ``sagan.presets``."""
    return _Former(name)


def _below(name: str) -> str:
    return name.removeprefix("sagan.") if name.startswith("sagan.") else ""
