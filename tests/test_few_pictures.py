"""benchmarks/few.py: sets that do not overlap, arms that differ, a page that tells its lines; a small one, slow."""

import gzip
import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
MODULES = ("few", "rows", "quality", "quality_arms", "quality_report", "quality_train", "quality_judge", "raw")


@pytest.fixture
def few(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("few")
    for name in MODULES:
        sys.modules.pop(name, None)


def row(name, arm, point, fd):
    values = {"fd": fd, "precision": 0.5, "recall": 0.25, "density": 1.0, "coverage": 0.125, "copies": 0.03}
    about = {"few": name, "arm": arm, "seed": 0, "point_s": point, "before_s": 0.0, "warned": ["over-fitting"]}
    return about | {"cost_s": point, "step": 400, "by_heart": 0.75, **values}


def test_pictures_to_train_on_and_to_judge_by_are_others_and_small_sets_are_part_of_large_ones(few):
    names = ["hat", "shirt", "t-shirt", *few.FIVE[3:], "longsleeve", "pants"]
    names = list(dict.fromkeys([*few.FIVE, *names]))
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(names)), 930))
    for large, small in (("one-500", "one-100"), ("five-500", "five-100")):
        found = {name: few.drawn(labels, names, few.FEW[name]) for name in (large, small)}
        for name, (train, judges) in found.items():
            assert (len(train), len(judges)) == (few.FEW[name].pictures, few.FEW[name].judges)
            assert not {*train} & {*judges}
            assert {names[label] for label in labels[train]} == {*few.FEW[name].classes}
            counts = np.bincount(labels[train])
            assert counts[counts > 0].tolist() == [len(train) // len(few.FEW[name].classes)] * len(
                few.FEW[name].classes
            )
        assert {*found[small][0]} < {*found[large][0]}
        np.testing.assert_array_equal(found[small][1], found[large][1])
    with pytest.raises(ValueError, match="class t-shirt has 930 pictures"):
        few.drawn(labels, names, few.Few(base="clothes", classes=("t-shirt",), pictures=900, judges=31))


def test_every_arm_but_transfer_differs_from_the_preset(few, tmp_path):
    made = {
        arm: few.few_task("five-100", "clothes", few.Piece("five-100", arm, 0, 300.0), "x.npz", tmp_path)
        for arm in few.ARMS
    }
    plain = made["preset"].config
    assert plain.data.path == "x.npz" and plain.train.augment == ("translation",)
    same = {arm for arm, task in made.items() if task.config == plain}
    assert same == {"preset", "transfer"} and {"transfer", "freeze"} == {*few.STARTED}
    assert made["freeze"].config.train.freeze_d == 2
    assert len({task.folder for task in made.values()}) == len(few.ARMS)


def test_by_steps_arms_cost_what_those_of_the_contest_with_the_same_work_cost(few, tmp_path):
    from quality_arms import chosen

    assert {*few.COSTS_AS} == {*few.ARMS}
    for arm, way in few.ARMS.items():
        told = {"train.augment", "generator.base_width", "discriminator.base_width"} & way.changes.keys()
        assert all(way.changes[key] == chosen(few.COSTS_AS[arm]).changes[key] for key in told), arm
    how = {"costs": {"run": 0.5}, "step_graph": True}
    task = few.few_task("five-100", "clothes", few.Piece("five-100", "all", 0, 300.0), "x.npz", tmp_path, how)
    plain = few.few_task("five-100", "clothes", few.Piece("five-100", "all", 0, 300.0), "x.npz", tmp_path)
    assert task.folder != plain.folder and task.config.engine.step_graph and not plain.config.engine.step_graph


def test_by_steps_arms_without_a_cost_are_left_out_and_told(few, capsys):
    costs = {"base": {}, "augment-none": {}}
    assert few.priced(["preset", "projected", "none"], costs) == ["preset", "none"]
    assert "not measured: projected" in capsys.readouterr().out
    assert few.priced(["preset", "none"], costs) == ["preset", "none"] and not capsys.readouterr().out


def test_processes_share_the_arms_each_with_all_points_of_its_own(few):
    wanted = few.pieces(["one-100", "five-100"], ["all", "none"], 1, 300.0)
    parts = [few.share_of(wanted, part, 3) for part in range(3)]
    assert sorted(piece for part in parts for piece in part) == sorted(wanted)
    assert all([piece[:3] for piece in part].count(piece[:3]) == 2 for part in parts for piece in part)


def test_time_that_is_over_ends_what_is_done(few):
    with pytest.raises(few.OutOfTimeError), few.out_of_time_after(0.0):
        signal.sigtimedwait([], 600)


def test_what_is_judged_or_ended_is_done(few):
    rows = [
        row("one-100", "all", 150.0, 5.0),
        {"few": "one-100", "arm": "none", "seed": 0, "point_s": 150.0, "ended": "x"},
    ]
    waiting = [piece for piece in few.pieces(["one-100"], ["all", "none"], 1, 300.0) if not few.is_settled(rows, piece)]
    assert waiting == [few.Piece("one-100", "all", 0, 300.0)]
    judged = few.Piece("one-100", "all", 0, 150.0)
    assert few.is_settled(rows, judged)
    assert not few.is_settled(rows, judged, counted=True)
    by_steps = [one | {"computed_by": "a GPU"} for one in rows]
    assert few.is_settled(by_steps, judged, counted=True)
    assert not few.is_settled(by_steps, judged)


def test_the_page_tells_its_lines_and_what_is_missing(few):
    floor = {"few": "one-100", "floor": True, "fd": 90.0, "precision": 0.9, "recall": 0.8, "coverage": 0.7}
    page = "\n".join(few.page([floor, row("one-100", "all", 300.0, 500.25), row("one-100", "none", 300.0, 400.0)]))
    assert (
        "| all | colour, translation and cutout | 300 | 0 | 400 | 500.2 | 0.50 | 0.25 | 0.12 | 0.75 | 0.03 | over-fit"
        in page
    )
    assert page.index("| none | no aug") < page.index("| all | colour")
    assert "| 90.0 | 0.90 | 0.80 | 0.70 |" in page
    assert "Not measured yet: preset, adaptive, lecam, narrow, transfer, freeze, projected, projected-all." in page
    assert page.count("Not measured yet: preset, none, all") == 3
    assert "†" not in page
    counted = row("one-100", "all", 300.0, 500.25) | {"computed_by": "a GPU", "computed_in": "fp32"}
    page = "\n".join(few.page([counted]))
    assert "| all † | colour" in page and page.count("† Computed by a GPU (fp32)") == 1
    assert all("the same" not in arm.why for arm in few.ARMS.values())


def test_tables_stand_by_what_a_row_cost_in_all_and_the_page_names_the_budgets(few):
    rows = [row("one-100", "all", point, 500.0) for point in (150.0, 300.0)]
    rows += [row("one-100", "transfer", point, 400.0) | {"before_s": 150.0} for point in (150.0, 300.0)]
    rows += [row("one-100", "none", 450.0, 600.0) | {"computed_by": "a GPU", "computed_in": "fp32"}]
    lines = few.page(rows)
    assert "Processor seconds of a whole run here: by counted steps (†) 450, by seconds on a core 300, " in "".join(
        lines
    )
    assert "of the run on CIFAR-10 150." in "".join(lines)
    cells = [line.split(" | ") for line in lines if line.startswith(("| all", "| none", "| transfer"))]
    assert [(cell[0], *cell[2:4]) for cell in cells] == [
        *(("| transfer", "300", "150"), ("| none †", "450", "0")),
        *(("| transfer", "150", "150"), ("| all", "300", "0"), ("| all", "150", "0")),
    ]


def test_processes_that_fail_are_counted(few, monkeypatch, tmp_path):
    script = tmp_path / "share.py"
    script.write_text("import sys; assert sys.argv[1:-1] == ['--jobs', '3', '--share']; sys.exit(int(sys.argv[-1]))")
    monkeypatch.setattr(few, "__file__", str(script))
    monkeypatch.setattr(sys, "argv", ["few.py", "--jobs", "3"])
    assert few.in_processes(3) == 2


def test_the_kept_page_is_that_of_the_kept_lines(few):
    kept = ROOT / "results" / "quality" / "few-pictures.md"
    assert kept.read_text(encoding="utf-8") == "\n".join(few.page(few.read_rows(few.rows_file()))).rstrip() + "\n"


@pytest.mark.slow("two short trainings and their judgements")
def test_a_small_one_goes_on_where_it_stopped(tmp_path):
    script = tmp_path / "try.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import few, pathlib\n"
        "few.QUALITY = pathlib.Path(sys.argv.pop(1)); sys.exit(few.main())\n"
    )
    words = [sys.executable, str(script), str(ROOT / "benchmarks"), str(tmp_path), "--sets", "digits-100"]
    words += ["--work", str(tmp_path / "work"), "--budget", "6", "--source", "4", "--arms", "preset", "freeze"]
    subprocess.run(words, check=True, cwd=ROOT)
    kept = tmp_path / "few-pictures.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(kept.read_bytes()).splitlines()]
    assert [row.get("arm") for row in rows] == [None, "preset", "preset", "freeze", "freeze"]
    assert [row["before_s"] for row in rows[1:]] == [0.0, 0.0, 4.0, 4.0]
    assert all(abs(row["cost_s"] - row["point_s"]) < 2.0 for row in rows[1:])
    assert (tmp_path / "few-digits-100.webp").stat().st_size > 500
    subprocess.run(words, check=True, cwd=ROOT)
    assert len(gzip.decompress(kept.read_bytes()).splitlines()) == len(rows)
