"""Where modules have gone that lay elsewhere before version 0.2: their old names work, with a warning, until 0.3."""

import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PLACES: dict[str, tuple[str, ...]] = {
    "build": ("recipes.build",),
    "config": ("recipes.config",),
    "data.check": ("data.checking",),
    "demo": ("experiments.digits",),
    "evaluation.values": ("evaluation.measures", "evaluation"),
    "flags": ("cli.flags",),
    "info": ("cli.info",),
    "interop": ("generators",),
    "interop.weights": ("generators.weights",),
    "launch": ("runs.launch",),
    "monitor": ("runs.monitor",),
    "outputs": ("generators.outputs",),
    "plan": ("speed.plan",),
    "presets": ("recipes.presets",),
    "pretrained": ("generators.pretrained",),
    "reporter": ("runs.train", "training.health", "runs.samples", "runs.timeline", "runs.means"),
    "run": ("runs.train",),
    "runfolder": ("runs.folder", "runs.lock", "runs.resume", "runs.log", "machine", "evaluation.sides"),
    "transfer": ("runs.transfer",),
}
"""{old name below ``sagan``: where what it held is now}."""
FUNCTIONS = {"data.check": "check", "plan": "make_plan"}
"""Old names of modules that are names of public functions now: {name: the function in the module's new place}."""


class _Former(ModuleType):
    """Stands at an old name: hands on what the modules at the new places have, and is called like the new function."""

    def __init__(self, name: str) -> None:
        places, function = _places(name), FUNCTIONS.get(_below(name))
        told = f"As a function, {places[0]}.{function}; see there. " if function else ""
        super().__init__(name, f"{told}What the module of this name held is in {' and '.join(places)}.")
        self.__path__: list[str] = []  # so that `import sagan.interop.weights` finds its way

    def __getattr__(self, attribute: str) -> object:
        if attribute == "__signature__" and _below(self.__name__) in FUNCTIONS:
            return inspect.signature(self._function())
        if f"{_below(self.__name__)}.{attribute}" in PLACES:
            return import_module(f"{self.__name__}.{attribute}")
        for place in () if attribute.startswith("__") else _places(self.__name__):
            found = import_module(place)
            if hasattr(found, attribute):
                warnings.warn(f"{self.__name__} has moved: {attribute} is in {place}", DeprecationWarning, stacklevel=2)
                value: object = getattr(found, attribute)
                return value
        raise AttributeError(f"{self.__name__}, now {' and '.join(_places(self.__name__))}, has no {attribute!r}")

    def __call__(self, *arguments: object, **options: object) -> object:
        return self._function()(*arguments, **options)

    def _function(self) -> Callable[..., object]:
        name = _below(self.__name__)
        if name not in FUNCTIONS:
            raise TypeError(f"{self.__name__} is a module")
        function: Callable[..., object] = getattr(import_module(_places(self.__name__)[0]), FUNCTIONS[name])
        return function


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


def _places(name: str) -> list[str]:
    return [f"sagan.{place}" for place in PLACES[_below(name)]]


def _below(name: str) -> str:
    return name.removeprefix("sagan.") if name.startswith("sagan.") else ""
