"""Every command, synopsis and flag on the pages is one that the command line knows; nothing is trained."""

import re
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from page_changes import here, verb_of
from page_reading import ROOT, Found, pages, read

from sagan.cli.main import VERBS, main
from sagan.recipes.config import RunConfig
from sagan.recipes.written import Written

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


class Parsed(BaseException):
    """What a verb had read when it was stopped."""


@pytest.fixture
def parses(monkeypatch, tmp_path, capsys):
    """Let the command line read the flags of a command, and stop it there; gives what is wrong."""
    import tyro

    real = tyro.cli

    def read_flags(*args, **kwargs):
        raise Parsed(real(*args, **kwargs))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tyro, "cli", read_flags)
    monkeypatch.setattr("sagan.runs.resume.config_to_resume", lambda folder: RunConfig())
    monkeypatch.setattr("sagan.cli.flags.read_config", lambda file: Written(RunConfig(), "demo"))

    def wrong(words):
        for word in words:
            if word.endswith("labels.json"):  # is looked for before all else
                Path(word).touch()
        for flag, word in pairwise(words):
            if flag == "--resume":  # so is the run
                Path(here(word)).mkdir(parents=True, exist_ok=True)
                Path(here(word), "config.json").touch()
        try:
            code = main([here(word) for word in words])
        except Parsed:
            return ""
        said = capsys.readouterr()
        return "" if code == 0 else f"exit code {code}: {said.err}"

    return wrong


@cache
def flags_of(verb: str) -> frozenset[str]:
    """Give every flag of a verb, as its long help lists them."""
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main([*verb.split(), "--help-all"])
    return frozenset(re.findall(r"--[a-z][\w.-]*", said.getvalue()))


def unknown(item: Found) -> str:
    """Say what the command line does not know of what is only named on a page; "" if it knows all."""
    words = item.text.removeprefix("./dev ").replace("[", " ").replace("]", " ").split()
    flags = [flag for word in words if (flag := word.partition("=")[0].rstrip(",.")).startswith("--")]
    if item.kind == "flag":
        known = frozenset().union(*map(flags_of, VERBS)) | OF_OTHERS
    elif words[0] == "sagan" and len(words) > 1 and words[1] not in ("VERB", "--help"):
        verb = verb_of(words[1:])
        if verb not in VERBS and not any(name.startswith(f"{verb} ") for name in VERBS):
            return f"there is no verb {verb}"
        known = flags_of(verb) if verb in VERBS else frozenset()
    else:
        return ""
    return ", ".join(flag for flag in flags if flag not in known)


OF_OTHERS = frozenset({"--gpus-per-node", "--gpus-per-task"})  # SLURM's


def words_of_sagan(item: Found) -> list[str]:
    """Give the words behind ``sagan``, also of a command that starts it in several processes; [] for other programs."""
    if item.words[0] == "torchrun":
        return item.words[item.words.index("-m") + 2 :]
    return item.words[1:] if item.words[0] == "sagan" else []


def all_wrong(page, parses) -> list[str]:
    """Give a line for each thing on a page that the command line does not know."""
    wrong = []
    for item in read(page):
        if item.kind == "command" and item.installs:
            said = not_installable(item)
        elif item.kind == "command":
            words = words_of_sagan(item)
            said = parses(words) if words else ""
        else:
            said = "" if item.can_run else unknown(item)
        if said:
            wrong.append(f"{item.place}\n  {said}")
    return wrong


def not_installable(item: Found) -> str:
    """Say what is wrong with the name or the extras that `pip install` is given; "" if nothing is."""
    extras = {extra for word in item.words[2:] for extra in Requirement(word.replace(".", "sagan-torch", 1)).extras}
    return ", ".join(sorted(extras - set(PROJECT["optional-dependencies"])))


@pytest.mark.long("reads the flags of every verb")
@pytest.mark.parametrize("page", pages(), ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_what_the_page_names_is_known(page, parses):
    wrong = all_wrong(page, parses)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\nsagan sample runs/mine --out a.png --clas cat\n```", "--clas"),
        ("```sh\nsagan sampel runs/mine --out a.png\n```", "unknown verb"),
        ("```sh\nsagan sample --out a.png\n```", "Missing"),
        ("```sh\nsagan train --data x --train.lr-g -1\n```", "--train.lr-g"),
        ("```sh\ntorchrun --nnodes 2 -m sagan train --dataa x\n```", "--dataa"),
        ('```sh\npip install ".[studios]"\n```', "studios"),
        ("Call `sagan train --data X --stepps N`.", "--stepps"),
        ("Call `sagan sampel`.", "no verb sampel"),
        ("The flag `--data.no-such-flag` is not there.", "--data.no-such-flag"),
    ],
)
def test_what_is_false_on_a_page_is_found(text, said, parses, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n")
    (wrong,) = all_wrong(page, parses)
    assert said in wrong
