"""A sweep: what it asks for, what it shares, how it goes on, and one whole experiment through the command line."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sagan.cli.main import main
from sagan.experiments.jobs import run
from sagan.experiments.row import LOG, RESULT, read_result
from sagan.experiments.scales import scale_of
from sagan.experiments.settings import Settings, SweepError, changed, with_defaults
from sagan.experiments.sweep import Sweep, command_of, prepare, read_sweep, remember, stage_steps

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


def smoke(name: str = "table1", **changes) -> Sweep:
    settings = with_defaults(Settings(experiment=name, scale="smoke", data="", seeds=1))
    return prepare(replace(settings, **changes), Path("out"), progress=False)


def fake_result(sweep: Sweep, name: str, seed: int) -> None:
    """Leave a result as if the row had been done."""
    order = next(o for o in sweep.orders() if (o.name, o.config.seed) == (name, seed))
    order.result.mkdir(parents=True)
    judging = {measure: vars(order.judging) for measure in order.measures}
    contents = {"sagan_row": 1, "status": "finished", "step": 4, "judging": judging, "attention": True, "by_class": [1]}
    contents |= {"samples_at": [*order.samples_at], "reports": {}, "pairs": {}, "health": []}
    (order.result / RESULT).write_text(json.dumps(contents))
    (order.result / LOG).write_text("")


def test_rows_are_asked_for_seed_by_seed() -> None:
    orders = smoke(seeds=2).orders()
    names = ["no attention", "attention feat8", "attention feat16", "residual feat8", "residual feat16"]
    assert [(o.config.seed, o.name) for o in orders] == [(seed, name) for seed in (0, 1) for name in names]
    assert len({o.key for o in orders}) == 10


def test_what_is_done_is_not_asked_for_again() -> None:
    sweep = smoke()
    fake_result(sweep, "attention feat8", 0)
    assert "attention feat8" not in [o.name for o in sweep.orders()]
    assert len(sweep.orders()) == 4


def test_experiments_share_rows() -> None:
    table1, figure3 = smoke("table1"), smoke("figure3")
    fake_result(table1, "no attention", 0)
    assert [o.name for o in figure3.orders()] == ["SN on D", "SN on G/D"]
    # Another data set is another row.
    assert len(smoke("figure3", data="pairs").orders()) == 3


def test_pictures_of_an_experiment_are_asked_for_where_a_shared_row_has_none() -> None:
    table1 = smoke("table1")
    fake_result(table1, "no attention", 0)
    assert "SN on G/D + TTUR" in [o.name for o in smoke("figure4").orders()]


def test_only_some_rows_and_unknown_ones() -> None:
    assert [o.name for o in smoke().orders(["residual feat8"])] == ["residual feat8"]
    with pytest.raises(SweepError, match="has no row 'feat8'; its rows: no attention"):
        smoke().orders(["feat8"])
    with pytest.raises(SweepError, match="attention feat32 does not exist at 32 px"):
        smoke().orders(["attention feat32"])


def test_which_pictures() -> None:
    with pytest.raises(SweepError, match="which pictures"):
        with_defaults(Settings(experiment="table1", scale="small", data="", seeds=0))
    with pytest.raises(SweepError, match="leave --data away"):
        with_defaults(Settings(experiment="structure", scale="small", data="digits", seeds=0))
    with pytest.raises(SweepError, match="did you mean table1"):
        with_defaults(Settings(experiment="tabel1", scale="small", data="digits", seeds=0))
    assert with_defaults(Settings(experiment="structure", scale="small", data="", seeds=0)).data == "pairs"
    assert with_defaults(Settings(experiment="table1", scale="small", data="digits", seeds=0)).seeds == 3


def test_changed_steps_keep_the_share_of_the_cadences() -> None:
    settings = Settings(experiment="table1", scale="small", data="digits", seeds=1, steps=1000, base_width=16, num=64)
    before, after = scale_of("small").base.train, changed(scale_of("small"), settings, None)
    train = after.base.train
    assert train.total_steps == 1000
    assert train.evaluate_every / train.total_steps == before.evaluate_every / before.total_steps
    assert after.base.generator.base_width == after.base.discriminator.base_width == 16
    assert (after.judging.num, after.base.monitor.num) == (64, 64)


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


def test_a_folder_keeps_to_its_settings() -> None:
    sweep = smoke()
    remember(sweep, "first")
    remember(smoke(seeds=3), "second")
    contents = json.loads((sweep.folder / "sweep.json").read_text())
    assert contents["settings"]["seeds"] == 3
    assert contents["commands"] == ["first", "second"]
    with pytest.raises(SweepError, match=r"other settings of: train\.total_steps"):
        remember(smoke(steps=8), "third")
    with pytest.raises(SweepError, match=r"other settings of: .*judging\.num"):
        remember(smoke(num=20), "third")
    with pytest.raises(SweepError, match="other settings of: pictures"):
        remember(replace(sweep, data=sweep.data | {"fingerprint": "another"}), "third")
    back = read_sweep(sweep.folder)
    assert back.scale == sweep.scale
    assert back.key(back.rows[0], 0) == sweep.key(sweep.rows[0], 0)


def test_a_sweep_of_another_time_is_refused(tmp_path: Path) -> None:
    sweep = smoke()
    remember(sweep, "first")
    file = sweep.folder / "sweep.json"
    contents = json.loads(file.read_text())
    contents["base"]["train"]["lr_g"] = 0.5
    file.write_text(json.dumps(contents))
    with pytest.raises(SweepError, match=r"had others of: train\.lr_g"):
        read_sweep(sweep.folder)
    file.write_text(json.dumps(contents | {"sagan_sweep": 99}))
    with pytest.raises(SweepError, match="format 99"):
        read_sweep(sweep.folder)


def test_results_of_another_protocol_are_not_averaged() -> None:
    sweep = smoke(seeds=2)
    fake_result(sweep, "attention feat8", 0)
    fake_result(smoke(seeds=2, num=20), "attention feat8", 1)
    row = next(row for row in sweep.rows if row.name == "attention feat8")
    assert list(sweep.results(row)) == [0]


def test_the_paper_scale_keeps_its_budget() -> None:
    with pytest.raises(SweepError, match="`paper` is the published budget"):
        smoke("table2", scale="paper", steps=1000, data="digits")


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


def test_damaged_files_are_named(tmp_path: Path) -> None:
    sweep = smoke()
    fake_result(sweep, "attention feat8", 0)
    remember(sweep, "first")
    (sweep.folder / "sweep.json").write_text('{"sagan_sweep')
    with pytest.raises(SweepError, match=r"sweep\.json is damaged"):
        read_sweep(sweep.folder)
    (next(Path("out/rows").iterdir()) / RESULT).write_text("{")
    with pytest.raises(ValueError, match=r"result\.json is damaged .* remove it"):
        sweep.orders()


def test_distances_within_classes_need_classes(tmp_path: Path) -> None:
    np.save("pictures.npy", np.zeros((20, 32, 32, 3), np.uint8))
    with pytest.raises(SweepError, match="measures distances within classes"):
        smoke("table2", data="pictures.npy")


def test_sizes_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="32 and 64 px"):
        scale_of("small", 128)
    with pytest.raises(ValueError, match="has 128 px"):
        scale_of("paper", 64)


def test_a_process_that_ends_badly_is_told_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = smoke()
    orders = sweep.orders(["no attention", "residual feat8"])
    # A file where the run folder should be: that row cannot start.
    orders[0].run.parent.mkdir(parents=True)
    orders[0].run.write_text("in the way")
    said = Console(file=sys.stdout, width=200)
    assert run(sweep, orders, said, jobs=2) == 1
    out = capsys.readouterr().out
    assert "NOT DONE: no attention, seed 0 (exit code 2" in out
    assert "is a file; choose another --out" in out
    assert "1 of 2 did not end well" in out
    assert read_result(orders[0].result) is None
    assert read_result(orders[1].result) is not None
    assert [o.name for o in sweep.orders(["no attention", "residual feat8"])] == ["no attention"]


def test_table_1_at_scale_smoke_through_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "run", "table1", "--scale", "smoke", "--out", "out", "--jobs", "2"]) == 0
    said = capsys.readouterr()
    assert "not at this size: attention feat32, residual feat32" in said.err
    folder = Path("out/table1-smoke-32-digits")
    assert [line for line in said.out.splitlines() if line.endswith("table.md")] == [str(folder / "table.md")]
    lines = (folder / "table.md").read_text().splitlines()
    cells = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in lines if "|" in line}
    header = cells[""]
    for name in ("no attention", "attention feat8", "attention feat16", "residual feat8", "residual feat16"):
        row = dict(zip(header, cells[name], strict=True))
        folders = list(Path("out/rows").glob(f"{name.replace(' ', '-')}-seed0-*"))
        result = read_result(folders[0])
        assert result is not None
        value = result["reports"]["final"]["values"][0]["value"]
        assert float(row["FD(pixels 8x8), last step"]) == pytest.approx(value, abs=0.06)
        assert row["seeds"] == "1"
    assert dict(zip(header, cells["attention feat32"], strict=True))["FD(pixels 8x8), last step"] == "-"
    assert dict(zip(header, cells["attention feat32"], strict=True))["published FID"] == "18.28"
    assert (folder / "table.png").stat().st_size > 10_000
    assert (folder / "curves-fd-pixels-8x8.png").exists()
    # The same command finds all done, and so does render.
    assert main(["paper", "run", "table1", "--scale", "smoke", "--out", "out"]) == 0
    assert "0 of 5 are still to run" in capsys.readouterr().err
    before = (folder / "table.md").read_text()
    assert main(["paper", "render", "--out", "out"]) == 0
    assert (folder / "table.md").read_text() == before
    assert Path("out/runs/.gitignore").read_text() == "*\n"


def test_an_interrupted_sweep_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["paper", "run", "figure3", "--scale", "smoke", "--out", "out", "--steps", "300", "--rows", "SN on D"]
    with subprocess.Popen([sys.executable, "-m", "sagan", *asked], stderr=subprocess.PIPE, text=True) as process:
        while not list(Path("out/runs").glob("*/checkpoints/step-*.pt")):  # from now on the row trains
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert "stopped; what was trained is saved" in said
    saved = int(max(Path("out/runs").glob("*/checkpoints/step-*.pt")).stem.split("-")[1])
    assert saved < 300
    assert not list(Path("out/rows").glob("*/result.json"))
    assert main(asked) == 0
    assert "1 of 1 are still to run" in capsys.readouterr().err
    (log,) = Path("out/runs").glob("*.log")
    assert f"resuming at step {saved:,}" in log.read_text()
    (result,) = Path("out/rows").glob("*/result.json")
    assert json.loads(result.read_text())["step"] == 300
