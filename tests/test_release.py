"""What is released: the description for a package index and, slowly, wheel and source archive as people get them."""

import importlib
import json
import re
import runpy
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from setuptools.config import expand

import sagan
import sagan.machine
from sagan.cli.main import main

ROOT = Path(__file__).parents[1]
VERSION = sagan.__version__
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]


@pytest.fixture
def release(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("release")
    sys.modules.pop("release")


@pytest.fixture
def versions(release):
    yield importlib.import_module("versions")
    sys.modules.pop("versions")


def described(text):
    """What setup.py makes of a text, without building."""
    setuptools = SimpleNamespace(setup=lambda **given: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "setuptools", setuptools)
        return runpy.run_path(str(ROOT / "setup.py"))["described"](text)


def test_the_description_keeps_words_and_web_addresses_and_leaves_paths_out():
    text = (
        "# x\n\n![Sheet](results/a.png)\n\n<!-- numbers: a from b -->\n*caption*\n\n"
        "See [data](docs/data.md#what) and [the paper](https://arxiv.org/abs/1805.08318).\n"
    )
    assert described(text) == ("# x\n\n*caption*\n\nSee data and [the paper](https://arxiv.org/abs/1805.08318).\n")


def test_the_readme_makes_a_description_without_paths():
    text = described((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(text) > 5000 and "sagan train" in text
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]*)\)", text))
    assert "<!--" not in text
    assert 'pip install "sagan-torch[studio]"' in text
    assert not re.search(r"pip install[^\n`]* (?:\.|\"\.\[)", text)


def test_every_python_that_is_allowed_is_named():
    lowest, above = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    named = [c.removeprefix("Programming Language :: Python :: 3.") for c in PROJECT["classifiers"] if ":: 3." in c]
    assert named == [str(minor) for minor in range(int(lowest), int(above))]


def test_the_version_is_the_same_everywhere(capsys):
    """src/sagan/version.py has it; a development version is what the changelog calls unreleased."""
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == VERSION
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)[1]
    released, _, development = VERSION.partition(".dev")
    assert newest == (f"{released} (unreleased)" if development else released)
    assert re.fullmatch(r"\d+\.\d+\.\d+", released)
    assert sagan.machine.versions()["sagan-torch"] == VERSION
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sagan-torch {VERSION}\n"


def test_the_build_takes_the_version_from_its_place():
    attribute = SETUPTOOLS["dynamic"]["version"]["attr"]
    assert expand.read_attr(attribute, {"": SETUPTOOLS["packages"]["find"]["where"][0]}, ROOT) == VERSION


def test_what_the_package_reads_at_run_time_is_in_the_wheel():
    """Every file in src that is no Python is covered by package-data."""
    package = ROOT / "src" / "sagan"
    covered = {path for pattern in SETUPTOOLS["package-data"]["sagan"] for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files and files <= covered, files - covered


def test_a_check_that_fails_is_told_and_ends_with_1(release, monkeypatch, capsys):
    def bad(work, args):
        raise release.NotReadyError("a reason")

    checks = {"tree": release.Check(bad, "do this"), "version": release.Check(lambda work, args: "fine", "do that")}
    monkeypatch.setattr(release, "CHECKS", checks)
    monkeypatch.setattr(sys, "argv", ["release.py", "--only", "tree", "version"])
    assert release.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["tree: NOT READY: a reason", "version: fine"]
    assert [line.split(maxsplit=2) for line in lines[4:6]] == [["tree", "failed", "do this"], ["version", "ok"]]
    assert lines[-1] == "1 of 2 are ready"


def test_a_version_without_its_section_is_not_ready(release, monkeypatch, tmp_path):
    monkeypatch.setattr(release, "ROOT", tmp_path)
    (tmp_path / "src" / "sagan").mkdir(parents=True)
    place, nothing = tmp_path / "src" / "sagan" / "version.py", SimpleNamespace()
    place.write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 1.2.0 (unreleased)\n\n## 1.1.0\n")
    with pytest.raises(release.NotReadyError, match=r"says 1.2.0; CHANGELOG.md begins with 1.2.0 \(unreleased\)"):
        release.check_version(tmp_path, nothing)
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 1.2.0\n")
    (tmp_path / "CITATION.cff").write_text('version: "1.1.0"\n')
    with pytest.raises(release.NotReadyError, match=r"CITATION.cff has not the version 1.2.0"):
        release.check_version(tmp_path, nothing)
    (tmp_path / "CITATION.cff").write_text('version: "1.2.0"\n')
    assert release.check_version(tmp_path, nothing) == "1.2.0"
    place.write_text('__version__ = "1.2.0.dev0"\n')
    with pytest.raises(release.NotReadyError, match=r"says 1.2.0.dev0"):
        release.check_version(tmp_path, nothing)


def test_what_a_dependency_brings_alone(release):
    needs = {"us": ["a", "b"], "a": ["c", "d", "d[x]"], "b": ["d", "away"], "c": [], "d": [], "d[x]": ["e"], "e": []}
    assert release.reached(needs, "us", ["a"]) == {"us", "b", "d"}
    assert release.reached(needs, "us", ["d"]) == {"us", "a", "b", "c"}
    assert release.reached(needs, "us", []) == set(needs)


def test_the_lowest_versions_that_were_tested_are_those_allowed(versions):
    """A bound that changes asks for benchmarks/versions.py again."""
    report = ROOT / "results" / "reliability" / "versions.json"
    if not report.exists():
        pytest.skip("benchmarks/versions.py was not run to its end yet")
    rows = json.loads(report.read_text(encoding="utf-8"))
    assert [rows[name]["state"] for name in ("lowest", "newest")] == ["passed", "passed"]
    assert set(rows) == set(versions.cases())
    for name, bound in versions.bounds().items():
        lowest = rows["lowest"]["versions"][name]
        assert f"{lowest}.".startswith(f"{bound.removeprefix('>=')}.") or not bound, f"{name}{bound}: tested {lowest}"
    assert report.with_suffix(".md").read_text(encoding="utf-8") == versions.table(rows)


def test_each_dependency_has_tests_that_call_it(versions):
    assert set(versions.TESTS) == set(versions.bounds())
    assert all((ROOT / file).exists() for files in versions.TESTS.values() for file in files)


def test_a_line_without_a_wheel_of_pytorch_is_not_run(versions, monkeypatch, tmp_path):
    def call(words, where, **environment):
        raise versions.NotReadyError("no solution")

    monkeypatch.setattr(versions, "call", call)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    row = versions.row_of(versions.Case("3.13", "2.11"), tmp_path / "work", [])
    assert row["state"] == "not run"
    assert row["said"] == "the folder of PIP_FIND_LINKS has no wheel of PyTorch 2.11 for Python 3.13"


@pytest.mark.slow("builds, makes an empty environment and trains in it")
def test_the_wheel_works_in_an_empty_environment(release, tmp_path):
    assert release.check_description(tmp_path, SimpleNamespace()).endswith("3.14")
    assert release.check_wheel(tmp_path, SimpleNamespace()) == f"sagan-torch {VERSION}"


ROOMS = ["tests/ops", "tests/recipes", "tests/data", "tests/sources", "tests/test_losses.py", "tests/test_numbers.py"]
ROOMS += ["tests/test_docs_recipes.py", "tests/test_whole.py"]
"""What runs from the archive here; `benchmarks/release.py` runs all of it, and `benchmarks/versions.py` other rooms."""


@pytest.mark.slow("builds, installs all that the tests need, and runs many of them from the source archive")
def test_the_source_archive_has_what_its_tests_need(release, tmp_path):
    last = release.check_archive(tmp_path, SimpleNamespace(tests=ROOMS))
    assert re.search(r"\b[1-9]\d{3} passed", last) and "failed" not in last
