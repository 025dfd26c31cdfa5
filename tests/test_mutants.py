"""benchmarks/mutants.py: what is left out, which lines a change touches, and which tests are asked in which order."""

import ast
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SOURCE = """import warnings

Rows = dict[str, int | None]
SIZE = 1 << 20


def f(x: int | None, k: int = 3) -> int | None:
    if x is None and (
        k > 1
    ):
        raise ValueError(f"{k - 1} found")
    try:
        y = [x + k,
             x - k]
    except ValueError:
        warnings.warn(f"{k + 1}", stacklevel=2)
        return k * 2
    return y[0]
"""


@pytest.fixture(scope="module")
def modules():
    """Import the command's files as scripts do, with their folder first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("MKL_NUM_THREADS", "1")
        import mutants
        import mutants_made

        yield mutants, mutants_made
    for name in ("mutants", "mutants_made", "mutants_tests"):
        sys.modules.pop(name, None)


def test_messages_annotations_and_aliases_are_left_out(modules):
    _, made = modules
    lines = SOURCE.splitlines()
    spans = made.left_out(ast.parse(SOURCE))
    parts = {lines[first - 1][start:stop] for (first, start), (last, stop) in spans if first == last}
    assert {"int | None", "int", 'ValueError(f"{k - 1} found")', 'f"{k + 1}"', "Rows = dict[str, int | None]"} == parts


def test_the_lines_of_a_change_are_those_of_its_statement(modules):
    command, _ = modules
    assert command.lines_around(SOURCE, 4) is None  # at import
    assert command.lines_around(SOURCE, 7) is None  # a default, too
    assert command.lines_around(SOURCE, 9) == range(8, 11)  # the condition, not what it guards
    assert command.lines_around(SOURCE, 11) == range(11, 12)
    assert command.lines_around(SOURCE, 14) == range(13, 15)
    assert command.lines_around(SOURCE, 15) == range(15, 16)
    assert command.lines_around(SOURCE, 17) == range(17, 18)


def test_the_mirrored_file_is_asked_first_and_slow_tests_last(modules):
    command, _ = modules

    def about(seconds, lines, starts=False):
        return {"s": seconds, "starts": starts, "lines": {"src/sagan/ops/some.py": lines}}

    tests = {
        "tests/evaluation/test_far.py::a": about(0.1, [9]),
        "tests/ops/test_near.py::a": about(0.2, [10]),
        "tests/ops/test_near.py::processes": about(9.0, [], starts=True),
        "tests/ops/test_some.py::slow": about(8.0, [9]),
        "tests/ops/test_some.py::quick": about(0.5, [9]),
        "tests/ops/test_some.py::elsewhere": about(0.1, [17]),
    }
    mutant = {"file": "src/sagan/ops/some.py", "line": 9}
    assert [list(group) for group in command.groups_for(mutant, SOURCE, tests, 15.0)] == [
        ["tests/ops/test_some.py::quick"],
        ["tests/ops/test_near.py::a", "tests/evaluation/test_far.py::a"],
        ["tests/ops/test_some.py::slow"],
    ]
    unreached = command.groups_for(mutant | {"line": 15}, SOURCE, tests, 15.0)
    assert {"tests/ops/test_near.py::processes", "tests/ops/test_some.py::elsewhere"} < unreached[-1].keys()


def test_numbers_are_shared_out_in_proportion(modules):
    _, made = modules
    assert made.shares({"a": 10, "b": 20, "c": 31}, 6) == {"a": 1, "b": 2, "c": 3}


def test_every_mutant_that_is_no_other_program_has_a_reason(modules):
    command, _ = modules
    for one in command.read_equivalent():
        assert one.keys() == {"file", "function", "operator", "diff", "reason"}
        assert (command.ROOT / one["file"]).is_file()
        assert len(one["reason"]) > 10
