"""Pages that do not exist: what is found on them, what is refused, and that a false command fails."""

import pytest
from page_changes import FEW_STEPS, small, small_torchrun
from page_playing import Page
from page_reading import ROOT, pages, read

TENTH = 10


@pytest.fixture
def page(tmp_path):
    """Write a page."""

    def write(text):
        place = tmp_path / "page.md"
        place.write_text(text)
        return place

    return write


def test_blocks_and_spans_are_found(page):
    found = read(
        page(
            "```sh\n# first\nsagan info   # said\nsagan train --data x \\\n  --out 'a b'\n...\n```\n\n"
            "    what is printed\n"
            "Call `sagan demo`, `sagan export RUN --out FILE`, `./dev sagan --help`, `--data X` or `pictures`.\n\n"
            "| a |\n|---|\n| `sagan info --help` |\n\n- a list:\n\n  ```python\n  x = 1\n  ```\n"
        )
    )
    assert [(item.kind, item.text) for item in found if item.kind not in ("command", "python")] == [
        ("mention", "sagan demo"),
        ("synopsis", "sagan export RUN --out FILE"),
        ("flag", "--data X"),
    ]
    assert [(item.line, item.words) for item in found if item.kind == "command"] == [
        (3, ["sagan", "info"]),
        (4, ["sagan", "train", "--data", "x", "--out", "a b"]),
        (10, ["sagan", "--help"]),
        (14, ["sagan", "info", "--help"]),
    ]
    assert [item.text for item in found if item.kind == "python"] == ["x = 1\n"]


def test_of_a_console_only_what_is_typed_is_a_command(page):
    (found,) = read(page("```console\n$ sagan info\nsagan-torch 1.0\n```\n"))
    assert found.words == ["sagan", "info"]


def test_what_a_shell_has_to_read_is_a_script(page):
    (found,) = read(page("```sh\nrun=here\nsagan sample $run --out a.png && echo done\n```\n"))
    assert found.kind == "script"


def test_marks_mean_what_stands_behind_them(page):
    first, second, python = read(
        page(
            "<!-- not run `sagan demo`: takes long -->\n```sh\nsagan demo\nsagan info\n```\n\n"
            "<!-- given: x = 1 -->\n<!-- leaves: a.txt b -->\n```python\nprint(x)\n```\n"
        )
    )
    assert (first.not_run, second.not_run) == ("takes long", None)
    assert (python.given, python.leaves) == ("x = 1", ("a.txt", "b"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- not run: x -->\nNothing here.\n", "nothing to run"),
        ("<!-- not run `sagan x`: y -->\n```sh\nsagan info\n```\n", "nothing to run"),
        ("<!-- not run -->\n```sh\nsagan info\n```\n", "not run: REASON"),
        ("Text <!-- not run: x --> with `sagan info --help`.\n", "line of its own"),
        ("```\nsagan info\n```\n", "marked sh"),
        ("    sagan info\n", "marked sh"),
    ],
)
def test_a_mark_that_marks_nothing_and_commands_that_hide_are_refused(page, text, said):
    with pytest.raises(ValueError, match=said):
        read(page(text))


def test_at_most_one_in_ten_is_not_run_and_says_why():
    all_of_them = [item for page in pages() for item in read(page) if item.can_run]
    without = [item for item in all_of_them if item.not_run is not None]
    assert len(all_of_them) > 100
    assert len(without) * TENTH <= len(all_of_them), [item.place for item in without]
    assert all(len(item.not_run.split()) >= 3 for item in without)


def test_small_changes_how_much_and_nothing_else():
    assert small(["train", "--data", "x", "--train.batch-size", "512", "--devices", "4", "--flag"]) == [
        *("train", "--data", "x", "--train.batch-size", "8", "--devices", "2", "--flag"),
        *("--base-width", "4", "--steps", "2", "--monitor.num", "40"),
    ]
    assert small(["train", "--resume", "a"]) == ["train", "--resume", "a", "--steps", "4"]
    assert small(["evaluate", "--compare", "a", "b"]) == ["evaluate", "--compare", "a", "b"]
    assert small(["data", "check", "x", "--size", "64"]) == ["data", "check", "x", "--size", "64"]
    words = ["--nnodes", "3", "--rdzv-endpoint", "first:1", "-m", "sagan", "demo"]
    changed = ["--nnodes", "1", "--rdzv-endpoint", "localhost:0", str(FEW_STEPS), "demo"]
    assert small_torchrun(words) == changed


@pytest.mark.long("imports PyTorch, and pip in a process")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sagan data check pictures --pagee a.html", "--pagee"),
        ("sagan look pictures", "unknown verb"),
        ("sagan sample nowhere --out a.png", "nowhere"),
        ("pip install sagan-touch", "sagan-touch"),
        ("no-such-program", "no-such-program"),
        ("python no_such_script.py", "no_such_script"),
    ],
)
def test_a_command_that_is_false_fails(page, tmp_path, monkeypatch, command, said):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    (item,) = read(page(f"```sh\n{command}\n```\n"))
    with pytest.raises((AssertionError, OSError), match=said):
        Page(tmp_path).run(item)


def test_python_that_is_false_fails_and_says_where(page, tmp_path):
    (item,) = read(page("# Title\n\n```python\n\nx = undefined_name\n```\n"))
    with pytest.raises(NameError, match="undefined_name") as caught:
        Page(tmp_path).run(item)
    assert caught.traceback[-1].lineno == 4  # counted from 0: line 5 of the page


def test_what_a_page_says_it_leaves_must_be_there(page, tmp_path):
    (item,) = read(page("<!-- leaves: a.png -->\n```sh\nsagan info\n```\n"))
    with pytest.raises(AssertionError, match=r"a\.png is not there"):
        Page(tmp_path).run(item)
    (item,) = read(page('```python\nname = "b.npz"\n```\n'))
    with pytest.raises(AssertionError, match=r"b\.npz is not there"):
        Page(tmp_path).run(item)


def test_what_a_command_writes_must_be_written_by_it(page, tmp_path, monkeypatch):
    import os

    (tmp_path / "list.json").write_text("{}")
    os.utime(tmp_path / "list.json", (1, 1))
    monkeypatch.setattr("page_playing.main", lambda words: 0)
    (item,) = read(page("```sh\nsagan data check pictures --json list.json\n```\n"))
    with pytest.raises(AssertionError, match="not written by it"):
        Page(tmp_path).run(item)


def test_every_page_is_looked_at():
    names = {page.relative_to(ROOT).as_posix() for page in pages()}
    assert {"README.md", "CONTRIBUTING.md", "docs/data.md", "docs/studio.md", "examples/README.md"} <= names
