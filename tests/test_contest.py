"""benchmarks/quality.py: which slices it trains, in which order, and what its page says; a small contest, slow."""

import argparse
import hashlib
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sagan.recipes.config import differences
from sagan.recipes.presets import PRESETS, PROJECTED

ROOT = Path(__file__).parents[1]
MODULES = (
    *("quality", "quality_arms", "quality_train", "quality_judge", "quality_report", "quality_costs"),
    *("mobilenet", "raw"),
)
GROWN = "grow-16-32+batch-16+narrow-d+ema-ramp"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name)


def row(arm, seed, point, fd, budget=880.0):
    values = {"fd": fd, "precision": 0.5, "recall": 0.25, "density": 1.0, "coverage": 0.125}
    made = {"samples": "10 of the same classes", "reference": "10 pictures"}
    about = {"arm": arm, "seed": seed, "budget_s": budget, "point_s": point}
    return about | {"cost_s": point, "step": 10 * point, "protocol": made, **values}


def test_every_arm_is_a_configuration_that_differs_from_the_base(modules):
    arms, build = modules["quality_arms"], modules["quality_arms"].configuration
    for name, arm in arms.ARMS.items():
        for place in arm.only or ("clothes", "cifar"):
            base = build(place, arms.ARMS["base"], "x.zip", "cache", 0)
            config = build(place, arm, "x.zip", "cache", 0)
            assert (config == base and not arm.plans) == (name == "base"), (name, place)


@pytest.mark.parametrize(
    ("place", "arm", "size"),
    [("clothes", "features+noise-whole+attention-pooled+decay", 64), ("cifar", "features-2x+noise-whole+decay", 32)],
)
def test_presets_are_what_won(modules, place, arm, size):
    config = modules["quality_arms"].configuration(place, modules["quality_arms"].chosen(arm), "x.zip", "cache", 0)
    preset = PRESETS[PROJECTED[size]]()
    asked = {"data.path", "data.keep", "data.cache_dir", "data.flip", "data.balanced"}  # of all arms of a set
    asked |= {"train.sample_every", "train.evaluate_every", "train.save_every"}
    length = {"train.total_steps", "train.lr_decay_start"}  # the contest counts them by its budget
    spelt = {"discriminator.attention"}  # None takes the place that the preset names
    assert {*differences(config, preset)} <= asked | length | spelt
    assert config.discriminator.attention_positions == preset.discriminator.attention_positions == (16,)
    assert preset.train.lr_decay_start == preset.train.total_steps // 2


def test_stages_share_the_budget_and_start_from_one_another(modules):
    task, legs = modules["quality_train"].Task, modules["quality_train"].legs
    about = {"seed": 0, "budget_s": 100.0, "work": "w"}
    first, second, last = legs(task(set="clothes", arm="grow-16-32+decay", data="a/b.zip", **about))
    assert [(leg.starts_s, leg.ends_s) for leg in (first, second, last)] == [(0.0, 30.0), (30.0, 60.0), (60.0, 100.0)]
    sizes = [leg.config.discriminator.image_size[0] for leg in (first, second, last)]
    assert sizes == [16, 32, 64] and last.last and not first.last
    assert first.config.discriminator.inside == 64 and last.config.discriminator.fades
    before, after = legs(task(set="clothes", arm="transfer-freeze", data="a/b.zip", **about))
    assert before.config.data.path == "a/cifar10-15k.zip" and after.config.data.path == "a/b.zip"
    assert (before.config.train.freeze_d, after.config.train.freeze_d) == (0, 2)
    (only,) = legs(task(set="clothes", arm="base", data="a/b.zip", **about))
    assert only.config == task(set="clothes", arm="base", data="a/b.zip", **about).config
    with_stages = task(set="clothes", arm="grow-32", data="x", **about)
    assert with_stages.folder.name.endswith("-100")


def test_samples_of_a_small_stage_are_judged_enlarged(modules):
    enlarged = modules["quality_judge"].enlarged
    pictures = np.full((2, 16, 16, 3), 7, np.uint8)
    assert enlarged(pictures, 16) is pictures
    assert enlarged(pictures, 32).shape == (2, 32, 32, 3) and (enlarged(pictures, 32) == 7).all()


def test_a_budget_goes_on_from_that_of_the_stage_before(modules):
    budget = modules["quality_train"].Budget
    before = budget(10.0)
    before.spent_s, before.steps_done = 9.5, 40
    after = budget(20.0, before)
    assert after.state_dict() == {"spent_s": 9.5, "steps_before": 40}
    stopped = []
    record = type("Record", (), {"step": 3, "stop": lambda self, why: stopped.append(why)})()
    after.on_start(record)
    assert after.steps_done == 43 and not stopped
    after.load_state_dict({"spent_s": 20.5, "steps_before": 40})
    after.on_start(record)
    assert stopped == ["20 processor seconds are spent"]


def test_arms_that_plan_come_first_then_the_best_before(modules):
    order = modules["quality"].in_order
    rows = [row("base", 0, 220, 900.0), row("decay", 0, 220, 950.0), row("narrow", 0, 220, 700.0)]
    rows += [
        {"arm": "r1", "seed": 0, "budget_s": 880.0, "point_s": 220.0, "ended": "diverged"},
        {"floor": True, "fd": 30.0},
    ]
    names = ("base", "narrow", "decay")
    later = [(arm, 0, 880.0, point) for point in (880.0, 440.0) for arm in names]
    wanted = [
        (440.0, "decay"),
        (440.0, "narrow"),
        (440.0, "base"),
        (880.0, "decay"),
        (880.0, "narrow"),
        (880.0, "base"),
    ]
    assert [(point, arm) for arm, _, _, point in order(later, rows)] == wanted
    rows.append(row("base", 0, 440, 600.0))
    assert [arm for arm, *_ in order(later, rows)[3:]] == ["decay", "base", "narrow"]


def test_joined_arms_have_all_changes(modules):
    arms = modules["quality_arms"]
    both = arms.chosen("batch-16+decay+noise-128")
    assert both.changes == {"train.batch_size": 16, "generator.z_dim": 128}
    assert both.decay_from == 0.5
    with pytest.raises(ValueError, match="there is no arm nothing"):
        arms.chosen("base+nothing")


def test_all_arms_reach_a_point_before_the_first_goes_on(modules):
    pieces = modules["quality"].screening(["base", "decay"], 100.0)
    assert [(arm, point) for arm, _, _, point in pieces] == [
        *(("base", 25.0), ("decay", 25.0), ("base", 50.0), ("decay", 50.0), ("base", 100.0), ("decay", 100.0))
    ]


def test_arms_whose_rates_fall_start_anew_with_another_budget(modules):
    done = modules["quality"].done
    rows = [row("base", 0, 880.0, 5.0), row("decay", 0, 880.0, 4.0)]
    assert done(rows, ("base", 0, 5280.0, 880.0)) is rows[0]
    assert done(rows, ("decay", 0, 880.0, 880.0)) is rows[1]
    assert done(rows, ("decay", 0, 5280.0, 880.0)) is None
    assert done(rows, ("base", 1, 880.0, 880.0)) is None
    train = modules["quality_train"].Task
    about = {"set": "clothes", "seed": 0, "data": "x", "work": "w"}
    assert train(arm="base", budget_s=880.0, **about).folder == train(arm="base", budget_s=5280.0, **about).folder
    assert train(arm="decay", budget_s=880.0, **about).folder != train(arm="decay", budget_s=5280.0, **about).folder


def test_the_best_of_the_screening_and_the_base_go_on(modules):
    names = ["base", "decay", "bilinear", "batch-16", "batch-64"]
    rows = [row(arm, 0, 880.0, fd) for arm, fd in zip(names, (9.0, 5.0, 8.0, 3.0, 4.0), strict=True)]
    assert modules["quality"].best_of(rows, names, 880.0) == ["batch-16", "batch-64", "decay", "base"]
    assert modules["quality"].best_of(rows[:2], names, 880.0) == ["decay", "base"]
    ended = {"arm": "decay", "seed": 0, "budget_s": 880.0, "point_s": 880.0, "ended": "a weight is not finite"}
    assert modules["quality"].best_of([rows[0], ended, rows[2]], names, 880.0) == ["bilinear", "base"]


@pytest.mark.parametrize("flag", ["--device=cuda", "--precision=bf16", "--compile=on", "--step-graph", "--pictures"])
def test_flags_of_counted_steps_are_refused_where_seconds_are_counted(modules, monkeypatch, capsys, flag):
    monkeypatch.setattr(sys, "argv", ["quality.py", "clothes", flag])
    with pytest.raises(SystemExit):
        modules["quality"].read_args()
    assert f"{flag.partition('=')[0]} goes with --costs" in capsys.readouterr().err


def test_an_arm_is_trained_by_one_process_at_a_time(modules):
    waiting = [[("base", 0, 1.0, 2.0)], [("base", 1, 1.0, 2.0)], [("decay", 0, 1.0, 1.0)]]
    left = list(modules["quality"].free(waiting, [("base", 0, 1.0, 1.0)]))
    assert left == waiting[1:]


def by_steps_task(modules, arm, costs, **about):
    train = modules["quality_train"]
    fields = {"set": "clothes", "seed": 0, "budget_s": 100.0, "data": "x", "work": "w"} | about
    return train.Task(arm=arm, by_steps=train.BySteps(**costs), **fields)


def test_a_budget_in_steps_is_that_in_seconds_over_what_a_step_costs(modules):
    train = modules["quality_train"]
    task = by_steps_task(modules, GROWN, {"costs": {"stage-1": 0.1, "stage-2": 0.25, "run": 0.5}})
    first, second, last = train.legs(task)
    assert [leg.steps_until(leg.ends_s) for leg in (first, second, last)] == [300, 120, 80]
    assert last.steps_until(80.0) == 40
    stopped = []
    record = type("Record", (), {"step": 119, "stop": lambda self, why: stopped.append(why)})()
    before = train.Steps(first, 30.0, None)
    before.count(300)
    budget = train.Steps(second, 60.0, before)
    budget.on_start(record)
    assert (budget.steps_done, budget.spent_s, stopped) == (419, 59.75, [])
    record.step = 120
    budget.on_step(record)
    assert (budget.steps_done, budget.spent_s) == (420, 60.0) and stopped == [
        "as many steps as 60 processor seconds are"
    ]


def test_arms_by_steps_have_runs_of_their_own_on_a_device(modules):
    costs = {"costs": {"run": 0.5}, "device": "cuda", "compile": "graphs"}
    graph = by_steps_task(modules, "r1-lazy", {"costs": {"run": 0.5}, "step_graph": True}).config.engine
    assert (graph.step_graph, graph.compile) == (True, "off")
    task = by_steps_task(modules, "base", costs)
    seconds = modules["quality_train"].Task(set="clothes", arm="base", seed=0, budget_s=100.0, data="x", work="w")
    assert task.folder != seconds.folder
    assert (task.config.data.keep, task.config.engine.device, task.config.engine.compile) == (
        "device",
        "cuda",
        "graphs",
    )
    assert task.config.engine.precision == "fp32"
    assert by_steps_task(modules, "r1-lazy", costs).config.engine.compile == "off"
    assert seconds.config.data.keep == "memory"
    drawn = by_steps_task(modules, "base", costs, pictures=True)
    (leg,) = modules["quality_train"].legs(drawn)
    train = modules["quality_train"].prepared(drawn, leg, None).train
    assert (train.total_steps, train.sample_every, train.evaluate_every, train.log_every) == (200, 5, 20, 1)
    assert train.save_every == 5000
    assert drawn.folder != task.folder


def test_by_steps_a_process_takes_all_of_a_run_in_the_order_of_the_arms(modules, tmp_path, monkeypatch):
    quality = modules["quality"]
    monkeypatch.setattr(quality, "QUALITY", tmp_path)
    args = argparse.Namespace(set="clothes", costs=Path("costs.json"), pictures=False)
    counted = row("narrow", 0, 220.0, 5.0) | {"computed_by": "a GPU", "computed_in": "fp32"}
    quality.rows_file("clothes").write_text(
        "".join(json.dumps(one) + "\n" for one in (counted, row("base", 0, 1, 2.0)))
    )
    assert [one["arm"] for one in quality.rows_of(args)] == ["narrow"]
    waiting = quality.screening(["decay", "base"], 100.0, (0, 1))
    turns = quality.turns(args, waiting)
    assert [(turn[0][:2], [point for *_, point in turn]) for turn in turns] == [
        ((arm, seed), [25.0, 50.0, 100.0]) for seed in (0, 1) for arm in ("decay", "base")
    ]
    args.costs = None
    assert [one["arm"] for one in quality.rows_of(args)] == ["base"]
    assert all(len(turn) == 1 for turn in quality.turns(args, waiting))


def test_a_process_is_asked_to_stop_when_time_is_over(modules):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with modules["quality"].stopped_at(process, time.monotonic()):
        pass
    assert process.returncode != 0
    process = subprocess.Popen([sys.executable, "-c", ""])
    with modules["quality"].stopped_at(process, float("inf")):
        pass
    assert process.returncode == 0


def test_legs_with_the_same_work_share_a_cost_and_others_are_measured_against_the_reference(modules, monkeypatch):
    costs, task = modules["quality_costs"], modules["quality_train"].Task
    about = {"set": "clothes", "seed": 0, "budget_s": 100.0, "data": "x", "work": "w"}
    measured = []
    monkeypatch.setattr(costs, "ratio", lambda leg, other: measured.append((leg.name, other.name)) or 2.0)
    known = {}
    paid = {"stage-1": 0.1, "stage-2": 0.2, "run": 0.4}
    assert costs.costs_of(task(arm=f"{GROWN}+decay", **about), task(arm=GROWN, **about), paid, known) == paid
    assert not measured
    one = costs.costs_of(task(arm=f"{GROWN}+wide-g", **about), task(arm=GROWN, **about), paid, known)
    assert one == {"stage-1": 0.2, "stage-2": 0.4, "run": 0.8}
    assert costs.costs_of(task(arm="base", **about), task(arm=GROWN, **about), paid, known) == {"run": 0.8}
    assert costs.costs_of(task(arm="base+ema-ramp", **about), task(arm=GROWN, **about), paid, known) == {"run": 0.8}
    assert measured == [("stage-1", "stage-1"), ("stage-2", "stage-2"), ("run", "run"), ("run", "run")]


def test_the_page_marks_arms_of_which_steps_were_counted(modules, tmp_path):
    counted = {"computed_by": "a GPU", "computed_in": "fp32"}
    rows = [row("base", 0, 880.0, 6.0), row("base", 0, 880.0, 7.0) | counted]
    rows += [row("base", 0, 9000.0, 3.0, budget=9000.0) | counted | {"pictures": True}]
    modules["quality_report"].write_report("clothes", rows, tmp_path)
    page = (tmp_path / "contest-clothes.md").read_text()
    assert "| base | the preset as it is | 880 | 8,800 | 1 | 6.0 |" in page
    assert "| base † | the preset as it is | 880 | 8,800 | 1 | 7.0 |" in page
    assert "| base, 9,000 s † | the preset as it is | 9,000 | 90,000 | 1 | 3.0 |" in page
    assert "† Computed by a GPU (fp32): as many steps as so many processor seconds are" in page


def test_the_page_averages_seeds_where_all_of_them_are(modules, tmp_path):
    rows = [
        row("base", 0, 880.0, 6.0), row("base", 1, 880.0, 8.0), row("base", 0, 5280.0, 1.0),
        row("decay", 0, 880.0, 5.0),
        {"floor": True, "fd": 2.0, "precision": 0.9, "recall": 0.9},
        {"stored": "results/older", "fd": 4.0, "precision": 0.3, "recall": 0.2},
        {"arm": "narrow", "seed": 0, "point_s": 220.0, "budget_s": 880.0, "ended": "a weight is not finite"},
    ]  # fmt: skip
    said = modules["quality_report"].write_report("clothes", rows, tmp_path)
    assert said == "contest-clothes.md: 4 judgements of 2 arms"
    page = (tmp_path / "contest-clothes.md").read_text()
    assert "| base | the preset as it is | 880 | 8,800 | 2 | 7.0 | 0.50 | 0.25 | 0.12 |" in page
    assert "Floor (the other half of the pictures): FD(efficientnet-lite0) 2.0, precision 0.90, recall 0.90." in page
    assert "Weights of `results/older`, trained before the contest: FD(efficientnet-lite0) 4.0, precision 0.30" in page
    assert page.index("| decay |") < page.index("| base |")
    assert "narrow seed 0 not judged at 220 s: a weight is not finite" in page
    assert (tmp_path / "contest-clothes.webp").stat().st_size > 1000


def test_constants_are_read_from_a_graph(modules):
    """A GraphDef of one constant, written by hand from the field numbers of graph.proto, tensor.proto and friends."""

    def field(number, content):
        if isinstance(content, int):
            return bytes([number << 3, content])
        return bytes([number << 3 | 2, len(content)]) + content

    values = np.array([[1.5, -2.0, 3.25]], np.float32)
    shape = b"".join(field(2, field(1, size)) for size in values.shape)
    tensor = field(1, 1) + field(2, shape) + field(4, values.tobytes())
    attribute = field(1, b"value") + field(2, field(8, tensor))
    node = field(1, b"some/weights") + field(2, b"Const") + field(5, attribute)
    found = modules["mobilenet"].read_constants(field(1, node) + field(1, field(1, b"other") + field(2, b"NoOp")))
    assert list(found) == ["some/weights"]
    np.testing.assert_array_equal(found["some/weights"], values)


TRY = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import quality, pathlib\n"
    "quality.QUALITY = pathlib.Path(sys.argv.pop(1)); sys.exit(quality.main())\n"
)


@pytest.mark.slow("two short trainings by steps, and their judgements")
def test_a_small_contest_by_steps(tmp_path):
    script, costs = tmp_path / "try.py", tmp_path / "costs.json"
    script.write_text(TRY)
    costs.write_text(json.dumps({"costs": {"base": {"run": 0.5}, "decay": {"run": 0.25}}}))
    words = [sys.executable, str(script), str(ROOT / "benchmarks"), str(tmp_path), "digits", "--arms", "base", "decay"]
    words += ["--work", str(tmp_path / "work"), "--costs", str(costs), "--only-screen", "--screen", "8", "--jobs", "1"]
    subprocess.run(words, check=True, cwd=ROOT)
    rows = [json.loads(line) for line in (tmp_path / "contest-digits.jsonl").read_text().splitlines()][1:]
    found = [(one["arm"], one["point_s"], one["cost_s"], one["step"]) for one in rows]
    assert found == [
        *(("base", 2.0, 2.0, 4), ("base", 4.0, 4.0, 8), ("base", 8.0, 8.0, 16)),
        *(("decay", 2.0, 2.0, 8), ("decay", 4.0, 4.0, 16), ("decay", 8.0, 8.0, 32)),
    ]
    assert {one["computed_in"] for one in rows} == {"fp32"} and all(0 <= one["precision"] <= 1 for one in rows)
    assert "| decay † |" in (tmp_path / "contest-digits.md").read_text()
    assert {file.name for file in (tmp_path / "contest-digits").iterdir()} == {
        "base-0-by-steps.webp",
        "decay-0-by-steps.webp",
    }
    # Any weights are judged as the arms are.
    weights = tmp_path / "work" / "digits-base-0-by-steps" / "at-8.safetensors"
    subprocess.run([*words[:5], "--work", str(tmp_path / "work"), "--judge", str(weights)], check=True, cwd=ROOT)
    told = json.loads(weights.with_name("at-8-judged.json").read_text())
    assert told["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest() and told["versions"]
    (judged,) = told["judges"]
    (same,) = [one for one in rows if (one["arm"], one["point_s"]) == ("base", 8.0)]
    assert judged == {name: same[name] for name in judged} and "fd" in judged and "protocol" in judged
    # A judgement that is lost cannot be made again once its run has gone on.
    kept = [one for one in rows if (one["arm"], one["point_s"]) != ("base", 2.0)]
    (tmp_path / "contest-digits.jsonl").write_text("".join(json.dumps(one) + "\n" for one in [{"floor": True}, *kept]))
    subprocess.run(words, check=False, cwd=ROOT)
    late = [json.loads(line) for line in (tmp_path / "contest-digits.jsonl").read_text().splitlines()][-1]
    assert (late["point_s"], late["passed"], "fd" in late) == (2.0, True, False)
    assert "past this point" in late["ended"]


@pytest.mark.slow("three short trainings, each in processes of its own, and their judgements")
def test_a_small_contest_goes_on_where_it_stopped(tmp_path, monkeypatch):
    script = tmp_path / "try.py"
    script.write_text(TRY)
    words = [sys.executable, str(script), str(ROOT / "benchmarks"), str(tmp_path), "digits"]
    words += [
        "--work",
        str(tmp_path / "work"),
        "--arms",
        "base",
        "decay",
        "--screen",
        "8",
        "--final",
        "12",
        "--jobs",
        "1",
    ]
    subprocess.run([*words, "--only-screen"], check=True, cwd=ROOT)
    rows = [json.loads(line) for line in (tmp_path / "contest-digits.jsonl").read_text().splitlines()]
    # What plans with its whole budget comes first where others have been judged before.
    assert [row.get("arm") for row in rows] == [None, "base", "decay", "decay", "base", "decay", "base"]
    assert all(abs(row["cost_s"] - row["point_s"]) < 2.0 for row in rows[1:])
    subprocess.run([*words, "--only-screen"], check=True, cwd=ROOT)
    again = [json.loads(line) for line in (tmp_path / "contest-digits.jsonl").read_text().splitlines()]
    assert again == rows
