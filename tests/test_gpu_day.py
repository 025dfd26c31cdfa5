"""The measurements for a GPU run at toy size on a processor: every part, the second call, the table and failures."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TRAINED = 6


@pytest.fixture
def day(monkeypatch):
    """Import the command, without the tests of this project that it would start."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("gpu_day")
    checks = importlib.import_module("gpu_checks")

    def no_tests(report, said, toy):
        report.write_text(
            "<testsuites><testcase classname='a' name='b'/><testcase classname='c' name='d'><failure message='why'/>"
            "</testcase><testcase classname='e' name='f'><skipped/></testcase></testsuites>"
        )
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(checks, "start_tests", no_tests)
    return module


def call(day, out, *parts):
    more = ["--parts", *parts] if parts else []
    return day.main(["--toy", "--device", "cpu", "--in-process", "--data", "digits", "--out", str(out), *more])


@pytest.mark.slow("every part of the day, each with networks")
def test_all_parts_run_once_and_fill_the_table(day, tmp_path, capsys):
    parts = ["card", "checks", "layers", "step", "compiled", "train-64"]  # the others do the same at this size
    assert call(day, tmp_path, *parts) == 0
    assert sorted(file.stem for file in tmp_path.glob("*.json")) == sorted(parts)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")}
    capsys.readouterr()
    assert call(day, tmp_path, *parts) == 0
    assert "done" not in capsys.readouterr().out
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")}

    checks = json.loads((tmp_path / "checks.json").read_text())
    assert all(row["passes"] for row in checks["rows"])
    assert {row["what"].split(",")[0] for row in checks["rows"]} >= {"attention slides", "generator", "discriminator"}
    assert all(row["resumed_bit_for_bit"] for row in checks["steps"])  # on a processor
    readme = (tmp_path / "README.md").read_text()
    assert "1 passed, 1 skipped, 1 failed" in readme
    assert "c::d: why" in readme
    assert "bf16, explicit attention" in readme
    assert f"| steps | {TRAINED} of 8" in readme
    assert str(tmp_path) not in readme + (tmp_path / "clothing-64" / "config.json").read_text()
    for name in ("samples.webp", "attention.webp", "curves.png", "timeline.webp", "log.jsonl"):
        assert (tmp_path / "clothing-64" / name).stat().st_size > 0


@pytest.mark.slow("twenty processes that train, sample and are killed")
def test_what_is_promised_of_faults_and_bits_holds_on_a_processor(day, tmp_path):
    reliability, setting = importlib.import_module("gpu_reliability"), importlib.import_module("gpu_setting")
    found = reliability.reliability(setting.Setting(out=tmp_path, device="cpu", toy=True, seconds=600.0))
    assert [row for row in found["rows"] if not row["passes"]] == []
    assert found["passed"] == len(found["rows"]) >= 17
    bits = {row["what"]: row["found"] for row in found["rows"]}
    assert bits["a product of matrices before the switch"] == "not refused; beside none: the same bits"
    (tmp_path / "reliability.json").write_text(json.dumps(found))
    page = importlib.import_module("gpu_report").report(tmp_path)
    assert "| kill in a save, resumed, fp32 | yes | ended with -9, went on from step 4: the same bits |" in page


@pytest.mark.parametrize(
    ("error", "apart", "passes", "found"),
    [
        ("NotDeterministicError: this process multiplied matrices on a GPU before --engine", 1.0, True, "multiplied"),
        (None, 0.0, True, "not refused; beside none: the same bits"),
        (None, 1e-3, False, "not refused; beside none: weights and moments differ by 1.0e-03"),
        ("did not end in time", 0.0, False, "did not end in time"),
    ],
)
def test_a_product_before_the_switch_is_refused_or_moves_no_bit(day, error, apart, passes, found):
    class Lab:
        def config(self, precision):
            return precision

        def train(self, name, config, after_product=False):
            return {"error": error} if after_product and error else {}

        def apart(self, one, other):
            assert one != other
            return apart

    row = importlib.import_module("gpu_reliability").product_row(Lab())
    assert row["passes"] == passes
    assert found in row["found"]


def test_a_promise_that_could_not_be_tried_is_a_row_and_the_others_stay(day):
    reliability = importlib.import_module("gpu_reliability")
    rows = reliability.guarded("memory", lambda: [][0])
    assert rows == [{"what": "memory", "passes": False, "found": "IndexError: list index out of range"}]


def test_a_failed_part_says_why_and_is_tried_again(day, tmp_path, monkeypatch):
    good = day.WORK["card"]
    monkeypatch.setitem(day.WORK, "card", lambda _: [][0])
    assert call(day, tmp_path, "card") == 0
    assert "IndexError" in (tmp_path / "card.failed.json").read_text()
    assert "- card: IndexError" in (tmp_path / "README.md").read_text()
    monkeypatch.setitem(day.WORK, "card", good)
    assert call(day, tmp_path, "card") == 0
    assert not (tmp_path / "card.failed.json").exists()
    assert (tmp_path / "card.json").exists()


@pytest.mark.long("trains for seconds")
def test_a_training_stops_with_its_time_and_goes_on(day, tmp_path, monkeypatch):
    training = importlib.import_module("gpu_training")
    setting = importlib.import_module("gpu_setting").Setting(
        out=tmp_path, device="cpu", toy=True, data="digits", seconds=1.0
    )
    recipe = training.recipe

    def endless(*args):
        config = recipe(*args)
        often = {"sample_every": 0, "evaluate_every": 0, "log_every": 1}
        return replace(config, train=replace(config.train, total_steps=10**6, **often))

    monkeypatch.setattr(training, "recipe", endless)
    monkeypatch.setattr(training, "pictures", lambda *_: [])
    first = training.training(setting, 64)["steps"]
    second = training.training(setting, 64)["steps"]
    assert 0 < first < second < 10**6


def test_time_that_is_over_begins_nothing(day, tmp_path, capsys):
    arguments = ["--toy", "--device", "cpu", "--in-process", "--minutes", "0.1", "--out", str(tmp_path)]
    assert day.main(arguments) == 0
    assert "card: no time left" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.json"))


def test_settings_of_pytorch_are_as_before(day):
    speed, torch = importlib.import_module("gpu_speed"), importlib.import_module("torch")
    before = (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32)
    for context in (speed.search, speed.tf32, speed.exact_fp32):
        with context():
            assert torch.backends.cudnn.enabled  # torch.backends.cudnn.flags() would turn it off
    assert before == (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32)
    blocks = importlib.import_module("sagan.models.blocks")
    plain = blocks.upsample_conv
    with speed.folded(lambda operation, channels, height, form: "kernel"):
        assert blocks.upsample_conv is not plain
        x, weight = torch.randn(1, 4, 2, 2, dtype=torch.float64), torch.randn(3, 4, 3, 3, dtype=torch.float64)
        torch.testing.assert_close(blocks.upsample_conv(x, weight), plain(x, weight))
    assert blocks.upsample_conv is plain
