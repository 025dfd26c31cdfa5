"""A sweep: what it asks for, what it shares, and the folder that remembers it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sagan.experiments.row import RESULT
from sagan.experiments.scales import scale_of
from sagan.experiments.settings import Settings, SweepError, changed
from sagan.experiments.sweep import Sweep, command_of, read_sweep, remember, stage_steps, together
from sagan.runs.log import LOG
from sagan.training.config import EngineConfig

pytestmark = pytest.mark.usefixtures("own_place")


SHOWN = {"shown": "hats", "class": "hat"}


def fake_result(sweep: Sweep, name: str, seed: int) -> None:
    """Leave a result as if the row had been done."""
    order = next(o for o in sweep.orders() if (o.name, o.config.seed) == (name, seed))
    order.result.mkdir(parents=True)
    judging = {measure: vars(order.judging) for measure in order.measures}
    contents = {"sagan_row": 1, "status": "finished", "step": 4, "judging": judging, "attention": True}
    contents["by_class"] = [SHOWN]
    contents |= {"samples_at": [*order.samples_at], "reports": {}, "pairs": {}, "health": []}
    contents["parameters"] = dict.fromkeys(("generator", "discriminator", "attention", "residual"), 1)
    (order.result / RESULT).write_text(json.dumps(contents))
    (order.result / LOG).write_text("")


def test_rows_are_asked_for_seed_by_seed(smoke_sweep) -> None:
    orders = smoke_sweep(seeds=2).orders()
    names = ["no attention", "attention feat8", "attention feat16", "residual feat8", "residual feat16"]
    assert [(o.config.seed, o.name) for o in orders] == [(seed, name) for seed in (0, 1) for name in names]
    assert len({o.key for o in orders}) == 10


def test_what_is_done_is_not_asked_for_again(smoke_sweep) -> None:
    sweep = smoke_sweep()
    fake_result(sweep, "attention feat8", 0)
    assert "attention feat8" not in [o.name for o in sweep.orders()]
    assert len(sweep.orders()) == 4


@pytest.mark.long("rows in processes of their own")
def test_experiments_share_rows(smoke_sweep) -> None:
    table1, figure3 = smoke_sweep("table1"), smoke_sweep("figure3")
    fake_result(table1, "no attention", 0)
    assert [o.name for o in figure3.orders()] == ["SN on D", "SN on G/D"]
    # Another data set is another row.
    assert len(smoke_sweep("figure3", data="pairs").orders()) == 3


def test_pictures_of_an_experiment_are_asked_for_where_a_shared_row_has_none(smoke_sweep) -> None:
    table1 = smoke_sweep("table1")
    fake_result(table1, "no attention", 0)
    assert "SN on G/D + TTUR" in [o.name for o in smoke_sweep("figure4").orders()]


def test_a_row_that_several_ask_for_is_one_order_with_all_that_they_ask(smoke_sweep) -> None:
    names = ("table1", "table2", "figure4", "figure5", "figure6")
    orders = together([smoke_sweep(name, seeds=2) for name in names])
    assert len({o.key for o in orders}) == len(orders) == 2 * (5 + 2 + 2)
    assert [o.config.seed for o in orders] == [0] * 9 + [1] * 9
    shared = {(o.name, o.config.seed): o for o in orders}["attention feat16", 0]
    assert shared.measures == ("fd", "intra")  # pixels have no score
    assert {(o.samples_at, o.attention, o.by_class) for o in orders if o.config.seed} == {((), False, False)}
    assert (shared.attention, shared.by_class) == (True, True)
    assert {(o.name, o.config.seed): o for o in orders}["no attention", 0].samples_at == (2, 4)


def test_what_computes_and_where_pictures_are_kept_names_no_other_row(smoke_sweep) -> None:
    sweep = smoke_sweep()
    other = replace(sweep, keep="device", engine=EngineConfig(precision="fp32", compile="on"))
    (a, *_), (b, *_) = sweep.orders(), other.orders()
    assert (b.config.data.keep, b.config.engine.compile) == ("device", "on")
    assert a.key == b.key
    assert a.result == b.result


@pytest.mark.slow("packs the pictures of pairs")
def test_a_stored_sweep_is_found_where_only_what_it_does_not_use_has_changed(smoke_sweep) -> None:
    sweep = smoke_sweep("structure", data="pairs")
    remember(sweep, "first")
    file = sweep.folder / "sweep.json"
    contents = json.loads(file.read_text())
    contents["judging"]["num"] += 1
    contents["base"]["train"]["evaluate_every"] += 1  # nothing is monitored here
    contents["base"]["train"]["save_every"] += 1
    file.write_text(json.dumps(contents))
    assert read_sweep(sweep.folder).scale == sweep.scale
    contents["judging"]["pairs_num"] += 1
    file.write_text(json.dumps(contents))
    with pytest.raises(SweepError, match=r"had others of: judging\.pairs_num"):
        read_sweep(sweep.folder)


def test_only_some_rows_and_unknown_ones(smoke_sweep) -> None:
    assert [o.name for o in smoke_sweep().orders(["residual feat8"])] == ["residual feat8"]
    with pytest.raises(SweepError, match="has no row 'feat8'; its rows: no attention"):
        smoke_sweep().orders(["feat8"])
    with pytest.raises(SweepError, match="attention feat32 does not exist at 32 px"):
        smoke_sweep().orders(["attention feat32"])


def test_the_steps_of_figure_4() -> None:
    assert stage_steps(scale_of("paper")) == (10_000, 160_000, 260_000, 1_000_000)
    small = scale_of("small")
    assert stage_steps(small)[-1] == small.base.train.total_steps
    assert all(step % small.base.train.sample_every == 0 for step in stage_steps(small))
    for steps in (30, 700, 1500):
        settings = Settings(experiment="figure4", scale="small", data="digits", seeds=1, steps=steps)
        found, every = (
            stage_steps(changed(small, settings, None)),
            changed(small, settings, None).base.train.sample_every,
        )
        assert found[-1] == steps
        assert all(step % every == 0 or step == steps for step in found)


def test_a_folder_keeps_to_its_settings(smoke_sweep) -> None:
    sweep = smoke_sweep()
    remember(sweep, "first")
    remember(smoke_sweep(seeds=3), "second")
    contents = json.loads((sweep.folder / "sweep.json").read_text())
    assert contents["settings"]["seeds"] == 3
    assert contents["commands"] == ["first", "second"]
    with pytest.raises(SweepError, match=r"other settings of: train\.total_steps"):
        remember(smoke_sweep(steps=8), "third")
    with pytest.raises(SweepError, match=r"other settings of: .*judging\.num"):
        remember(smoke_sweep(num=20), "third")
    with pytest.raises(SweepError, match="other settings of: pictures"):
        remember(replace(sweep, data=sweep.data | {"fingerprint": "another"}), "third")
    back = read_sweep(sweep.folder)
    assert back.scale == sweep.scale
    assert back.key(back.rows[0], 0) == sweep.key(sweep.rows[0], 0)


def test_a_sweep_of_another_time_is_refused(tmp_path: Path, smoke_sweep) -> None:
    sweep = smoke_sweep()
    remember(sweep, "first")
    file = sweep.folder / "sweep.json"
    contents = json.loads(file.read_text())
    contents["base"]["train"]["lr_g"] = 0.5
    file.write_text(json.dumps(contents))
    with pytest.raises(SweepError, match=r"had others of: train\.lr_g"):
        read_sweep(sweep.folder)
    file.write_text(json.dumps(contents | {"sagan_sweep": 99}))
    with pytest.raises(SweepError, match="of version 99, and this program reads up to"):
        read_sweep(sweep.folder)


def test_results_of_another_protocol_are_not_averaged(smoke_sweep) -> None:
    sweep = smoke_sweep(seeds=2)
    fake_result(sweep, "attention feat8", 0)
    fake_result(smoke_sweep(seeds=2, num=20), "attention feat8", 1)
    row = next(row for row in sweep.rows if row.name == "attention feat8")
    assert list(sweep.results(row)) == [0]


def test_the_command_is_kept_without_folders(tmp_path: Path) -> None:
    (tmp_path / "my pictures").mkdir()
    typed = [
        "table1",
        "--data",
        str(tmp_path / "my pictures"),
        "--out",
        "/x/y",
        "--feature-weights=/z/w.pth",
        "--seeds",
        "2",
    ]
    glued = ["table1", f"--data={tmp_path / 'my pictures'}"]
    assert command_of(glued) == "sagan paper run table1 '--data=my pictures'"
    assert command_of(typed) == "sagan paper run table1 --data 'my pictures' --seeds 2"


def stored_with(sweep, change):
    """Store a sweep, and change what its file holds; gives both."""
    remember(sweep, "sagan paper run table1")
    file = sweep.folder / "sweep.json"
    held = json.loads(file.read_text())
    change(held)
    file.write_text(json.dumps(held))
    return sweep, held


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: held["base"].update(sagan_config=3), r"the configuration in .*sweep\.json is of version 3"),
        (lambda held: held["base"].update(train=7), r"sweep\.json is damaged \("),
        (lambda held: held["data"].clear(), r"sweep\.json is damaged \("),
    ],
)
def test_what_a_sweep_holds_in_its_parts_is_named_too(smoke_sweep, change, said: str) -> None:
    sweep, held = stored_with(smoke_sweep(), change)
    with pytest.raises(ValueError, match=said):
        remember(sweep, "sagan paper run table1")
    if held["data"]:
        with pytest.raises(ValueError, match=said):
            read_sweep(sweep.folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: held["data"].clear(), "the source of its data is none"),
        (lambda held: held["data"].pop("fingerprint"), "the fingerprint of its data is none"),
        (lambda held: held["data"].update(images="7"), "the images of its data is none"),
        (lambda held: held["settings"].update(seeds="1"), "the seeds of its settings is none"),
        (lambda held: held["settings"].update(data={}), "the data of its settings is none"),
        (lambda held: held.update(commands=[1]), "one of its commands is no text"),
        (lambda held: held.update(judging=[1]), "its judging is none"),
    ],
)
def test_what_a_stored_sweep_lacks_is_said_when_it_is_read(smoke_sweep, change, said: str) -> None:
    sweep, _ = stored_with(smoke_sweep(), change)
    with pytest.raises(SweepError, match=rf"sweep\.json is damaged \({said}\)"):
        read_sweep(sweep.folder)


def test_facts_that_a_result_does_not_tell_are_not_known(smoke_sweep) -> None:
    sweep = smoke_sweep()
    fake_result(sweep, "attention feat8", 0)
    (row,) = sweep.chosen(["attention feat8"])
    found = sweep.results(row)[0]
    assert (found["device"], found["monitor"], found["by_class"]) == ("not known", None, [SHOWN])


def test_damaged_files_are_named(tmp_path: Path, smoke_sweep) -> None:
    sweep = smoke_sweep()
    fake_result(sweep, "attention feat8", 0)
    remember(sweep, "first")
    (sweep.folder / "sweep.json").write_text('{"sagan_sweep')
    with pytest.raises(SweepError, match=r"sweep\.json is damaged"):
        read_sweep(sweep.folder)
    (next(Path("out/rows").iterdir()) / RESULT).write_text("{")
    with pytest.raises(ValueError, match=r"result\.json is damaged .* remove it"):
        sweep.orders()


def test_distances_within_classes_need_classes(tmp_path: Path, smoke_sweep) -> None:
    np.save("pictures.npy", np.zeros((20, 32, 32, 3), np.uint8))
    with pytest.raises(SweepError, match="measures distances within classes"):
        smoke_sweep("table2", data="pictures.npy")
