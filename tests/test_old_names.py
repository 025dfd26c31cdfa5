"""Names of before the rooms were rebuilt: all work and say where they have gone."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sagan
from sagan.old_names import FUNCTIONS, PLACES

# What each module held before, but for classes that no page named and that are gone (Reporter, Follower).
FORMER = dict(
    line.split(": ") for line in (Path(__file__).with_name("former_names.txt")).read_text(encoding="utf-8").splitlines()
)


@pytest.mark.parametrize("old", FORMER)
def test_an_old_module_has_what_it_had(old):
    module = importlib.import_module(old)
    for name in FORMER[old].split():
        with pytest.warns(DeprecationWarning, match=f"{old} has moved: {name} is in sagan"):
            assert getattr(module, name) is not None


def test_every_old_module_is_tried():
    assert {f"sagan.{name}" for name in PLACES} - {"sagan.interop"} == FORMER.keys()


@pytest.mark.parametrize(
    "code",
    [
        "from sagan.presets import recipe_steps",
        "import sagan.presets; recipe_steps = sagan.presets.recipe_steps",
        "import sagan; recipe_steps = sagan.presets.recipe_steps",
        "from sagan import presets; recipe_steps = presets.recipe_steps",
    ],
)
def test_every_way_to_name_an_old_module(code):
    """Each in a fresh process: what was imported before changes what Python looks for."""
    script = (
        "import warnings\nwith warnings.catch_warnings(record=True) as seen:\n    warnings.simplefilter('always')\n"
    )
    script += f"    {code.replace('; ', chr(10) + '    ')}\nfrom sagan.recipes.presets import recipe_steps as new\n"
    script += "assert recipe_steps is new\nassert any('has moved' in str(warning.message) for warning in seen), seen\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_whose_name_is_a_function_now_is_both(monkeypatch):
    module = importlib.import_module("sagan.plan")
    assert FUNCTIONS["plan"] == "make_plan"
    assert "sagan.speed.plan.make_plan" in str(sagan.plan.__doc__)
    monkeypatch.setattr("sagan.speed.plan.make_plan", lambda config: f"plan of {config}")
    assert module("this") == "plan of this"
    assert sagan.plan("that") == "plan of that"
    assert list(inspect.signature(sagan.plan).parameters) == ["config"]
    with pytest.raises(TypeError, match="is a module"):
        importlib.import_module("sagan.presets")()


def test_what_never_was_is_still_unknown():
    with pytest.raises(AttributeError, match="'sagan' has no attribute 'presents'"):
        _ = sagan.presents
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("sagan.presents")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("json.plan")
    with pytest.raises(ImportError, match="recipe_step"):
        from sagan.presets import recipe_step  # noqa: F401


@pytest.mark.long("a process of its own")
def test_packages_and_modules_that_were_attributes_still_are() -> None:
    script = (
        "import sagan; print(sagan.models.generator.Generator.__name__, sagan.ops.attention.SelfAttention2d.__name__);"
        "from sagan import interop; print(interop.weights.load_weights.__name__);"
        "import sagan.data.check; print(sagan.data.check.check.__name__)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["Generator", "SelfAttention2d", "load_weights", "check"], done.stderr


@pytest.mark.long("a process of its own")
def test_the_old_module_of_the_check_leaves_the_function_usable() -> None:
    script = "import sagan.data.check; from sagan.data import check; print(callable(check), check('digits').num_images)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "1797"], done.stderr
