"""Docstrings of the public names: complete sections, in the form that documentation tools read."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import sagan
from sagan.cli.parse import field_docs
from sagan.generators.trained import TrainedGenerator
from sagan.speed.plan import make_plan

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
NAMES = [name for name in sagan.__all__ if name != "__version__"]
PUBLIC = {name: getattr(sagan, name) for name in NAMES} | {"plan": make_plan, "TrainedGenerator": TrainedGenerator}
FUNCTIONS = [name for name in PUBLIC if inspect.isfunction(PUBLIC[name])]
CONFIGURATIONS = [name for name in NAMES if dataclasses.is_dataclass(PUBLIC[name])]
CLASSES = [name for name in PUBLIC if inspect.isclass(PUBLIC[name]) and name not in CONFIGURATIONS]
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")


def sections(thing):
    """Split a docstring: {section: its lines without their indentation}."""
    found, current = {}, None
    for line in (inspect.getdoc(thing) or "").splitlines():
        head = re.fullmatch(r"(\w+):", line)
        if head and head[1] in SECTIONS:
            current = found.setdefault(head[1], [])
        elif line and not line.startswith(" "):
            current = None
        elif current is not None and line:
            current.append(line[4:])
    return found


def entries(lines):
    return [line.split(":")[0] for line in lines if not line.startswith(" ")]


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


def complete(thing, called):
    """Check the sections of a function; ``called`` is what has its parameters."""
    found = sections(thing)
    if parameters(called):
        assert entries(found.get("Args", [])) == parameters(called)
    for lines in found.values():
        assert lines, "an empty section"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_give_and_refuse(name):
    complete(PUBLIC[name], PUBLIC[name])
    found = sections(PUBLIC[name])
    assert found.get("Returns"), "Returns"
    assert all(re.match(r"\w*Error: |  ", line) for line in found["Raises"])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_have_a_text_under_each_field_and_say_what_they_refuse(name):
    docs = field_docs(PUBLIC[name])
    assert [field.name for field in dataclasses.fields(PUBLIC[name]) if not docs.get(field.name)] == []
    assert "ValueError" in entries(sections(PUBLIC[name])["Raises"])


@pytest.mark.parametrize("name", CLASSES)
def test_classes_and_their_methods(name):
    kind = PUBLIC[name]
    if "__init__" in vars(kind) and not dataclasses.is_dataclass(kind):
        complete(kind, kind)
    for method, function in inspect.getmembers(kind, inspect.isfunction):
        if method in vars(kind) and not method.startswith("_"):
            assert inspect.getdoc(function), method
            if sections(function).get("Args"):
                complete(function, function)


def test_networks_say_their_shapes_and_ranges():
    for name in ("Generator", "Discriminator", "SelfAttention2d"):
        assert "Shape: " in inspect.getdoc(PUBLIC[name])
        assert "(B, " in inspect.getdoc(PUBLIC[name].forward)
    assert "[-1, 1]" in inspect.getdoc(PUBLIC["Generator"])


def test_the_page_has_each_public_name_once_with_its_meaning():
    table = PAGE.split("## Every name")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, flags=re.M)
    assert sorted(name for name, _ in listed) == sorted(sagan.__all__)
    assert all(len(meaning) > 10 for _, meaning in listed)
