"""Several processes train as one does, through many source files together: real processes, gloo on the CPU."""

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from sagan.cli import main as cli
from sagan.data import DataConfig
from sagan.evaluation import EvaluateConfig, evaluate, reference_of
from sagan.generators.pretrained import load
from sagan.metrics.pixels import PixelNetwork
from sagan.recipes.config import RunConfig
from sagan.runs.train import train
from sagan.training.checkpoint import load_checkpoint
from sagan.training.config import TrainConfig

WORKERS = Path(__file__).with_name("workers.py")
pytestmark = pytest.mark.slow("starts processes that train together")


@pytest.fixture(scope="module")
def one():
    """What a single process computes."""
    spec = importlib.util.spec_from_file_location("workers", WORKERS)
    workers = importlib.util.module_from_spec(spec)
    sys.modules["workers"] = workers  # its classes are looked up by name
    spec.loader.exec_module(workers)
    return workers.everything()


@pytest.fixture(scope="module")
def two(tmp_path_factory, on_two_processes):
    """What each of two processes computes."""
    folder = tmp_path_factory.mktemp("two")
    on_two_processes(WORKERS.name, folder)
    return [torch.load(folder / f"process-{rank}.pt") for rank in range(2)]


def tensors(thing, name=""):
    """Give every number in nested containers, by name."""
    if isinstance(thing, dict):
        return {k: v for key, value in thing.items() for k, v in tensors(value, f"{name}.{key}").items()}
    if isinstance(thing, (list, tuple)):
        return {k: v for i, value in enumerate(thing) for k, v in tensors(value, f"{name}.{i}").items()}
    return {} if thing is None else {name: torch.as_tensor(thing)}


def furthest(a, b, leave_out="nothing"):
    """Give the largest difference between two nests of numbers, and the largest number among them."""
    a, b = tensors(a), tensors(b)
    assert a.keys() == b.keys()
    kept = [key for key in a if leave_out not in key and a[key].numel()]
    return max(float((a[key].double() - b[key].double()).abs().max()) for key in kept)


def test_trap_22_two_processes_with_synchronised_batch_norm_train_as_one(one, two):
    """Weights, spectral vectors, moving average, batch norm buffers and both optimisers after 20 steps in float64."""
    assert furthest(one["sync"]["state"], two[0]["sync"]["state"]) < 1e-9
    fresh = tensors(one["sync, cut"]["state"])[".G.linear.parametrizations.weight.original"]
    assert (
        float((tensors(one["sync"]["state"])[".G.linear.parametrizations.weight.original"] - fresh).abs().max()) > 1e-4
    )


def test_cut_into_micro_batches_they_train_as_one_that_is_cut(one, two):
    assert furthest(one["sync, cut"]["state"], two[0]["sync, cut"]["state"]) < 1e-9


def test_trap_23_groups_of_images_do_not_depend_on_the_number_of_processes(one, two):
    """But for the running averages: each process has those of its own groups."""
    assert furthest(one["ghost"]["state"], two[0]["ghost"]["state"], leave_out="running_") < 1e-9


def test_a_larger_batch_of_the_generator_is_shared_as_well(one, two):
    assert furthest(one["more fakes"]["state"], two[0]["more fakes"]["state"], leave_out="running_") < 1e-9
    assert furthest(one["more fakes"]["state"]["G"], one["ghost"]["state"]["G"]) > 1e-6


def test_pairs_and_penalties_of_two_processes_are_those_of_one(one, two):
    assert furthest(one["pairs"]["state"], two[0]["pairs"]["state"]) < 1e-9
    assert furthest(one["pairs"]["metrics"], two[0]["pairs"]["metrics"]) < 1e-9
    assert furthest(one["pairs"]["state"]["D"], one["sync, cut"]["state"]["D"]) > 1e-6


def test_batch_norm_of_each_process_is_another_function(one, two):
    assert furthest(one["local"]["state"]["D"], two[0]["local"]["state"]["D"]) > 1e-6


def test_fp32_outputs_are_those_of_one_process(one, two):
    assert furthest(one["fp32"]["outputs"], two[0]["fp32"]["outputs"]) < 1e-4


def test_metrics_are_means_over_the_processes(one, two):
    for kind in ("sync", "sync, cut", "ghost"):
        assert furthest(one[kind]["metrics"], two[0][kind]["metrics"]) < 1e-12
        assert furthest(two[0][kind]["metrics"], two[1][kind]["metrics"]) == 0.0


def test_standing_statistics_are_merged_over_the_processes(one, two):
    for process in two:
        assert furthest(one["sync"]["standing"], process["sync"]["standing"]) < 1e-6
        assert furthest(one["sync"]["outputs"], process["sync"]["outputs"]) < 1e-5


@pytest.mark.parametrize("kind", ["sync", "sync, cut", "ghost", "local", "fp32"])
def test_trap_21_all_processes_hold_the_same_bits(two, kind):
    """Where batch norm is of each process, its running averages are too, and those of process 0 are saved."""
    own = "running_" if kind in ("ghost", "local") else "nothing"
    assert furthest(two[0][kind]["state"], two[1][kind]["state"], leave_out=own) == 0.0


def test_trap_21_two_forwards_before_a_backward(one, two):
    for process in two:
        assert furthest(one["two forwards"], process["two forwards"]) == 0.0


@pytest.mark.parametrize(("kind", "cuts"), [("sync", 1), ("sync, cut", 2)])
def test_trap_22_the_parts_of_the_processes_make_up_the_batch(one, two, kind, cuts):
    """Noise, labels and pictures: each process takes its part of each micro-batch."""
    for key, whole in one[kind]["seen"].items():
        parts = [process[kind]["seen"][key] for process in two]
        assert not torch.equal(*parts)
        size = 4 // cuts  # images of a micro-batch in each process
        joined = torch.stack([part.view(-1, size, *part.shape[1:]) for part in parts], dim=1)
        torch.testing.assert_close(joined.flatten(0, 2), whole, rtol=0.0, atol=0.0)


@pytest.mark.parametrize(("kind", "tolerance"), [("norm", 1e-12), ("norm fp32", 1e-5), ("norm in two", 1e-12)])
def test_trap_22_synchronised_batch_norm_is_that_of_the_whole_batch(one, two, kind, tolerance):
    """Forward, gradients and running averages."""
    for key in ("out", "dx"):
        joined = torch.cat([process[kind][key] for process in two])
        assert furthest(joined, one[kind][key]) < tolerance
    assert furthest(two[0][kind]["gain"] + two[1][kind]["gain"], one[kind]["gain"]) < 10.0 * tolerance  # of sums
    for process in two:
        assert furthest(process[kind]["running"], one[kind]["running"]) < tolerance
    assert furthest(one[kind]["out"].mean((0, 2, 3)), torch.zeros(5)) > 1e-3  # gains differ: not the trivial result


# Whole runs


def arguments(out, steps, *more):
    return [
        *("train", "--data", "digits", "--preset", "demo", "--out", str(out), "--steps", str(steps), "--devices", "2"),
        *(
            "--generator.base-width",
            "2",
            "--discriminator.base-width",
            "4",
            "--generator.z-dim",
            "8",
            "--train.batch-size",
            "8",
            "--train.batch-norm",
            "sync",
        ),
        *("--train.save-every", "1", "--train.log-every", "1", "--train.sample-every", "0"),
        *("--train.evaluate-every", "0", *more),
    ]


@pytest.fixture
def started(tmp_path):
    """Start a run on two processes and wait until it has logged its third step."""
    run = subprocess.Popen(
        [sys.executable, "-m", "sagan", *arguments(tmp_path / "run", 100_000)], stderr=subprocess.PIPE, text=True
    )
    said = ""
    for line in run.stderr:
        said += line
        if line.startswith("step 3/"):
            break
    else:
        pytest.fail(said)
    yield run, tmp_path / "run"
    run.kill()
    run.wait()


def processes_of(run):
    """Give the process numbers of what a launcher started, in order."""
    return [int(pid) for pid in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_killed_process_ends_the_run_which_goes_on_with_one(started):
    run, folder = started
    os.kill(processes_of(run)[1], signal.SIGKILL)
    _, said = run.communicate()
    assert run.returncode == 1
    assert "process 1 of 2 was killed by SIGKILL; the others were ended" in said
    assert f"sagan train --resume {folder} --devices 2" in said
    assert "Traceback" not in said
    saved = load_checkpoint(sorted((folder / "checkpoints").glob("step-*.pt"))[-1])
    assert saved["step"] >= 2
    assert saved["machine"]["processes"] == 2

    from sagan.runs.folder import stored_config

    console = Console(file=io.StringIO(), soft_wrap=True)
    config = stored_config(folder)
    steps = saved["step"] + 2
    longer = RunConfig(**{**vars(config), "train": TrainConfig(**{**vars(config.train), "total_steps": steps})})
    assert train(longer, resume=folder, console=console).finished
    assert "processes 2 -> 1" in console.file.getvalue()
    # One process that did all the steps by itself holds the same up to rounding, and its log is as long.
    alone = folder.with_name("alone")
    assert train(longer, out=alone, console=console).finished
    texts = [(f / "log.jsonl").read_text().splitlines()[1:] for f in (folder, alone)]  # the first has the version
    logs = [[json.loads(line) for line in lines] for lines in texts]
    assert [record["step"] for record in logs[0]] == list(range(1, steps + 1)) == [r["step"] for r in logs[1]]
    for ours, theirs in zip(*logs, strict=True):
        assert ours["loss_d"] == pytest.approx(theirs["loss_d"], abs=1e-2)

    generator = load(folder / "generator.safetensors")
    from sagan.data import open_dataset

    dataset = open_dataset(DataConfig(path="digits"), 16)
    config = EvaluateConfig(metrics=["fd"], num=300)
    report = evaluate(generator, reference_of(dataset), config, network=PixelNetwork(), progress=False).report
    assert all(np.isfinite(value.value) for value in report.values)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM to one process"])
def test_a_signal_stops_all_processes_after_the_same_step_and_saves(started, to_all):
    run, folder = started
    if to_all:
        run.send_signal(signal.SIGINT)
    else:
        os.kill(processes_of(run)[1], signal.SIGTERM)
    _, said = run.communicate()
    assert run.returncode == 128 + (signal.SIGINT if to_all else signal.SIGTERM)
    step = load_checkpoint(sorted((folder / "checkpoints").glob("step-*.pt"))[-1])["step"]
    assert f"stopped at step {step}, saved" in said
    records = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert records == list(range(step + 1))  # written by one process, once; the first has the version
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [".lock", "checkpoints", "classes.txt", "config.json", "curves.png", "log.jsonl", "tensorboard"]
    )
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_processes_go_back_together(tmp_path):
    # Not a number at once; with the rates that follow it trains.
    more = ["--train.lr-g", "1e30", "--train.lr-d", "1e30", "--train.on-collapse", "rollback"]
    assert cli(arguments(tmp_path / "run", 5, *more, "--train.rollback-lr-factor", "1e-33")) == 0
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    (back,) = [record for record in records if "health" in record]
    assert (back["health"], back["step"], back["because"]) == ("rolled back", 0, "not finite")
    assert [record["step"] for record in records if "loss_d" in record] == [1, 2, 3, 4, 5]
    last = load_checkpoint(sorted((tmp_path / "run" / "checkpoints").glob("step-*.pt"))[-1])
    assert (last["step"], last["rollbacks"], last["machine"]["processes"]) == (5, 1, 2)
    # One process collapses, goes back and trains on in the same way.
    from sagan.runs.folder import stored_config

    config, console = stored_config(tmp_path / "run"), Console(file=io.StringIO(), soft_wrap=True)
    assert train(config, out=tmp_path / "alone", console=console).finished
    alone = [json.loads(line) for line in (tmp_path / "alone" / "log.jsonl").read_text().splitlines()]
    pairs = zip((r for r in records if "loss_d" in r), (r for r in alone if "loss_d" in r), strict=True)
    assert all(ours["loss_d"] == pytest.approx(theirs["loss_d"], abs=1e-2) for ours, theirs in pairs)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--devices", "3"], "batch_size 8 cannot be shared equally by 3 processes"),
        (["--devices", "2", "--train.accumulate", "4"], "batch_size 8 in 4 micro-batches cannot be shared"),
        (
            ["--devices", "2", "--train.batch-norm", "ghost", "--train.ghost-size", "8"],
            "ghost_size must divide the 4 images that a process normalises at a time (batch_size 8, processes: 2)",
        ),
        (["--devices", "many"], "--devices takes a number of processes from 1 on, or auto; found 'many'"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_starts(more, sentence, tmp_path, capsys):
    assert cli([*arguments(tmp_path / "run", 1), *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
