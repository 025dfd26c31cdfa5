"""What cannot be read on a command line is one sentence that names the flag that was typed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro

from sagan.cli.main import VERBS
from sagan.cli.mistakes import flags_of, mistake, near_flags, swallowed, words_of
from sagan.cli.sample import SampleFlags
from sagan.cli.train import TrainFlags

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]
OF_PYTHON = (
    "NoneType",
    "instantiated",
    "no type matching",
    "invalid literal",
    "[bold]",
    "pathlib",
    "float(",
    "could not",
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("sample --numm 3 runs/mine --out x.png", "sample has no flag --numm; did you mean --num?"),
        ("sample --hlp", "sample has no flag --hlp; did you mean --help?"),
        ("train --data digits --train.lrd 1", "has no flag --train.lrd; did you mean --train.lr-d?"),
        ("train --data digits --lr_dd 1", "has no flag --lr_dd; did you mean --train.lr-d?"),
        ("plan --preset demo --outt r", "`sagan plan --help-all` lists all"),
        ("evaluate --compare v.json", "--compare takes two paths (PATH PATH), found v.json"),
        (
            "evaluate --compare a.json b.json c.json",
            "--compare takes two paths (PATH PATH), found a.json b.json c.json",
        ),
        ("train --data digits --steps ten", "--steps takes a whole number, found 'ten'"),
        ("train --data digits --train.lr-d fast", "--train.lr-d takes a number, found 'fast'"),
        ("train --data digits --attention 8 all", "--attention takes whole numbers, found 'all'"),
        ("train --data digits --generator.start-grid 4", "takes two whole numbers (INT INT), found 4"),
        (
            "train --data digits --data.fit cropp",
            "--data.fit takes one of crop, pad, squeeze, smart, found 'cropp'; did you",
        ),
        ("train --data digits --data.flip=true", "--data.flip is a switch, which takes no value: leave 'true' away"),
        ("train --data digits --data.flip true", "--data.flip is a switch, which takes no value: leave 'true' away"),
        ("train --data digits --out=", "--out is empty; give it a value, or leave it away"),
        ("train --resume= --steps 3", "--resume is empty; name the folder of a run"),
        ("train --data digits --devices 0", "--devices takes a number of processes from 1 on, or auto; found '0'"),
        ("sample runs/mine --out x.png --seed -1", "sagan: --seed must be from 0 to 2**64 - 1, found -1"),
        ("attention runs/mine --out x.png --seed -1", "sagan: --seed must be from 0 to 2**64 - 1, found -1"),
        ("train digits", "'digits' belongs to no flag"),
        ("benchmark --what step foo", "--what takes some of step, sampling, data, features, found 'foo'"),
        ("sample runs/mine --num --out x.png", "--num takes a whole number, found nothing"),
        ("sample runs/mine --out x.png more", "'more' belongs to no flag; only PATH goes without one"),
        ("sample runs/mine --truncation x --out x.png", "--truncation takes a number, found 'x'"),
        ("import mimicry --inplace-relu yes f o", "--inplace-relu takes True or False, found 'yes'"),
        ("completion csh", "SHELL takes one of bash, zsh, fish, found 'csh'"),
    ],
)
def test_a_mistake_is_a_sentence_without_words_of_python(arguments: str, said: str, run: Run, error: Mistake) -> None:
    sentence = error(run(*arguments.split()))
    assert sentence.startswith("sagan: ")
    assert said in sentence
    assert not any(word in sentence for word in OF_PYTHON)


@pytest.mark.parametrize(
    ("arguments", "better"),
    [
        ("sample --class dress runs/mine --out x.png", "sagan sample runs/mine --class dress --out x.png"),
        ("sample --class runs/mine --out x.png", "sagan sample runs/mine --out x.png"),
        ("attention --query 16,16 runs/mine --out x.png", "sagan attention runs/mine --query 16,16 --out x.png"),
        ("export --report v.json runs/mine --out fo", "sagan export runs/mine --report v.json --out fo"),
        ("evaluate --metrics fid runs/mine --data digits", "sagan evaluate runs/mine --metrics fid --data digits"),
    ],
)
def test_a_path_that_a_flag_for_several_values_took_is_named(
    arguments: str, better: str, run: Run, error: Mistake
) -> None:
    Path("runs/mine").mkdir(parents=True)
    words = arguments.split()
    sentence = error(run(*words))
    assert f"took runs/mine as one of its values; put the path first: {better}" in sentence


def test_a_path_that_is_missing_beside_a_flag_for_several_values_is_asked_for(run: Run, error: Mistake) -> None:
    said = error(run("sample", "--class", "hat", "dress", "--out", "x.png"))
    assert "PATH is missing; put it first, as --class takes all words behind it (hat dress)" in said
    said = error(run("export", "--report", "some/v.json", "--out", "x"))
    assert "PATH is missing; put it first, as --report takes all words behind it" in said


def test_what_is_only_missing_keeps_the_text_that_explains_it(run: Run) -> None:
    code, _, err = run("sample", "runs/mine")
    assert code == 2
    assert "--out PATH" in err
    assert "A picture" in err


def test_a_name_with_a_dash_says_how_it_is_written(run: Run, error: Mistake) -> None:
    assert "as --class=-foo" in error(run("sample", "runs/mine", "--out", "x.png", "--class", "-foo"))


@pytest.mark.parametrize("verb", VERBS)
def test_the_flags_of_every_verb_are_those_that_the_parser_knows(verb: str) -> None:
    kind: Any = VERBS[verb].flags
    with pytest.warns(DeprecationWarning, match="get_parser"):
        actions = tyro.extras.get_parser(kind)._actions
    known = {name for action in actions for name in action.option_strings} - {"-h", "--help"}
    flags = list(flags_of(kind))
    assert {flag.name for flag in flags if not flag.positional} == known
    places = [action for action in actions if not action.option_strings and action.nargs != "*"]
    required = [flag.required for flag in flags if flag.positional and not flag.greedy]
    assert required == [bool(action.required) for action in places]
    greedy = {name for action in actions for name in action.option_strings if action.nargs == "*"}
    assert {flag.name for flag in flags if flag.greedy and not flag.positional} == greedy


def test_words_are_shared_out_as_the_parser_does() -> None:
    flags = list(flags_of(SampleFlags))
    words = words_of(["r", "--class", "a", "b", "--num=3", "--seed", "-1", "x"], flags)
    assert [(flag.name, values) for flag, values in words.given] == [
        ("--class", ["a", "b"]),
        ("--num", ["3"]),
        ("--seed", ["-1"]),
    ]
    assert words.places == ["r", "x"]
    assert words_of(["--end_seed", "3", "r"], flags).places == ["r"]


def test_what_is_right_has_no_mistake() -> None:
    for arguments in (
        "r --out x.png --class a b --truncation None --seed 1",
        "r --out x.png --truncation 1e-1 --interpolate 3",
    ):
        assert mistake(SampleFlags, arguments.split(), "sample") == ""
        assert swallowed(SampleFlags, arguments.split(), "sample") == ""
    given = "--size 64x96 --attention --data.no-flip --generator.start-grid 4 6 --train.augment color --devices auto"
    assert mistake(TrainFlags, given.split(), "train") == ""


def test_a_flag_of_a_group_is_found_by_its_end() -> None:
    names = ["--seed", "--generator.bn-eps", "--generator.sn-eps", "--discriminator.sn-eps"]
    assert near_flags("--sn-eps", names) == ["--generator.sn-eps", "--discriminator.sn-eps"]
    assert near_flags("--config.seed", names) == ["--seed"]
    assert near_flags("--nothing-alike", names) == []


def test_a_mistake_of_a_dataclass_still_comes_from_it(run: Run, error: Mistake) -> None:
    assert error(run("sample", "r", "--out", "x.png", "--num", "0")) == "sagan: --num must be at least 1, found 0"


@pytest.mark.parametrize("words", [("info", "{}"), ("sample", "{}", "--out", "x.png"), ("train", "--data", "{}")])
def test_a_name_with_line_ends_and_control_characters_stays_in_one_line(words: tuple[str, ...], run: Run) -> None:
    name = "two\nlines\x1b[2J.safetensors"
    code, _, err = run(*(word.format(name) for word in words))
    assert code == 2
    assert len([line for line in err.splitlines() if not line.startswith("preset ")]) == 1
    assert r"two\nlines\x1b[2J" in err
