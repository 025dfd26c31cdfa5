"""Checkpoints that are whole and wrong, or damaged: the newest good one is gone on from, which is said."""

import re
import shutil

import pytest
import torch

from sagan.generators.pretrained import load
from sagan.generators.snapshot import good_snapshots
from sagan.runs.prepare import fitting
from sagan.training.checkpoint import (
    CheckpointError,
    checkpoint_path,
    checkpoints,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)

NAN = float("nan")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("made") / "run"


@pytest.fixture
def folder(made, tmp_path, run, tiny):
    """A copy of a run that has saved at steps 2, 4 and 6."""
    if not made.exists():
        run(tiny(6, save_every=2, keep_last=3, ema_decay=0.5, log_every=1), made)
    return shutil.copytree(made, tmp_path / "run")


def first(contents, name="G"):
    return next(key for key, value in contents[name].items() if value.is_floating_point() and value.ndim)


def spoil_first(contents, name, value):
    contents[name][first(contents, name)].view(-1)[0] = value


# What is changed in the contents, and what is said of it.
WRONG = {
    "an empty optimiser": (lambda c: c["optimizer_g"]["state"].clear(), "the state of its optimizer_g is empty"),
    "no optimiser": (lambda c: c.pop("optimizer_d"), "it has no optimizer_d"),
    "a list for an optimiser": (lambda c: c.update(optimizer_d=[1]), "it has no optimizer_d"),
    "no groups": (lambda c: c["optimizer_g"].pop("param_groups"), "it has no optimizer_g"),
    "a step in words": (lambda c: c.update(step="six"), "its step is 'six'"),
    "a step that is true": (lambda c: c.update(step=True), "its step is True"),
    "a negative step": (lambda c: c.update(step=-6), "its step is -6"),
    "no step": (lambda c: c.pop("step"), "its step is None"),
    "negative rollbacks": (lambda c: c.update(rollbacks=-1), "its rollbacks is -1"),
    "NaN in G": (lambda c: spoil_first(c, "G", NAN), "G/.* is not finite"),
    "infinity in D": (lambda c: spoil_first(c, "D", -float("inf")), "D/.* is not finite"),
    "NaN in the average": (lambda c: spoil_first(c, "ema", NAN), "ema/.* is not finite"),
    "NaN in a moment": (
        lambda c: c["optimizer_d"]["state"][0]["exp_avg"].fill_(NAN),
        "optimizer_d/state/0/exp_avg is not finite",
    ),
    "no generator": (lambda c: c.pop("G"), "it has no generator"),
    "an empty discriminator": (lambda c: c.update(D={}), "it has no discriminator"),
    "a number for a tensor": (lambda c: c["G"].update({first(c): 3}), "it has no generator"),
    "no average": (lambda c: c.pop("ema"), "its average is none"),
    "no configuration": (lambda c: c.pop("config"), "it has no configuration"),
    "another configuration": (lambda c: c.update(config="{"), "it is no JSON"),
    "deep configuration": (lambda c: c.update(config="[" * 10_000), "nested too deeply"),
    "no class names": (lambda c: c.update(class_names=3), "it has no names of classes"),
    "numbers for names": (lambda c: c.update(class_names=[1]), "it has no names of classes"),
    "states that are none": (lambda c: c.update(hooks=[1]), "the states of its hooks are none"),
    "versions that are none": (lambda c: c.update(versions=2), "its versions is none"),
}
# What only shows beside the networks.
MISFIT = {
    "another shape": (lambda c: c["G"].update({first(c): torch.zeros(3)}), r"G/.* has the shape \(3,\), expected"),
    "a tensor too few": (lambda c: c["D"].pop(first(c, "D")), "D/.* has the shape none, expected"),
    "a tensor too many": (lambda c: c["D"].update(new=torch.zeros(2)), r"D/new has the shape \(2,\), expected none"),
    "an average that is not kept": (lambda c: c.update(ema=None), "it has no ema"),
    "moments of another shape": (
        lambda c: c["optimizer_g"]["state"][0].update(exp_avg=torch.zeros(7)),
        "optimizer_g has exp_avg of another shape at parameter 0",
    ),
    "moments of no parameter": (
        lambda c: c["optimizer_g"]["state"].update({999: c["optimizer_g"]["state"][0]}),
        "optimizer_g has a parameter 999",
    ),
    "a moment without a step": (lambda c: c["optimizer_g"]["state"][0].pop("step"), "optimizer_g has a step None"),
    "a group too many": (lambda c: c["optimizer_d"]["param_groups"].append({}), "optimizer_d is not of"),
    "no learning rate": (lambda c: c["optimizer_d"]["param_groups"][0].pop("lr"), "optimizer_d has no learning rate"),
}


def change(path, how):
    contents = load_checkpoint(path)
    how(contents)
    save_checkpoint(path, contents)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_and_the_one_before_is_given(folder, name):
    how, said = WRONG[name]
    change(checkpoint_path(folder / "checkpoints", 6), how)
    warned = []
    found = next(good_snapshots(folder, warned.append))
    assert found.contents["step"] == 4
    (text,) = warned
    assert "step-00000006.pt" in text and "going back to the one before" in text
    assert re.search(said, text), text
    with pytest.raises(CheckpointError, match=said):
        load(folder / "checkpoints" / "step-00000006.pt")


@pytest.mark.parametrize("name", MISFIT)
def test_what_does_not_fit_is_said_and_the_one_before_is_given(folder, console, name, state_of):
    how, said = MISFIT[name]
    change(checkpoint_path(folder / "checkpoints", 6), how)
    snapshots = good_snapshots(folder, lambda text: pytest.fail(text))
    state = state_of(folder)
    assert fitting(state, next(snapshots), snapshots, console).contents["step"] == 4
    text = console.file.getvalue()
    assert "step-00000006.pt does not fit the networks of its run" in text
    assert re.search(said, text), text


def test_nothing_fits(folder, console, state_of):
    for path in checkpoints(folder / "checkpoints"):
        change(path, lambda c: c["G"].pop(first(c)))
    snapshots = good_snapshots(folder, lambda text: pytest.fail(text))
    with pytest.raises(CheckpointError, match="there is no earlier one to go on from"):
        fitting(state_of(folder), next(snapshots), snapshots, console)


@pytest.mark.long("resumes a run")
def test_the_run_goes_on_to_the_same_weights_and_two_good_ones_are_kept(folder, run, made, tiny):
    kept = folder / "checkpoints"
    change(checkpoint_path(kept, 6), WRONG["an empty optimiser"][0])
    damaged = checkpoint_path(kept, 4)
    content, weights = bytearray(damaged.read_bytes()), load_checkpoint(damaged)["D"]
    content[content.index(weights[first({"D": weights}, "D")].numpy().tobytes())] ^= 1
    damaged.write_bytes(content)
    _, said = run(None, resume=folder)
    assert said.count("going back to the one before") == 2 and "resuming at step 2" in said
    assert [path.name for path in sorted(kept.glob("step*"))] == [
        "step-00000002.pt",
        "step-00000004.pt",
        "step-00000004.pt.damaged",
        "step-00000006.pt",
        "step-00000006.pt.damaged",
    ]
    for step in (2, 4, 6):
        again, before = (load_checkpoint(checkpoint_path(f / "checkpoints", step)) for f in (folder, made))
        for name in ("G", "D", "ema"):
            assert all(torch.equal(again[name][key], value) for key, value in before[name].items())


def test_pruning_counts_those_that_are_known_to_be_good(tmp_path):
    paths = [checkpoint_path(tmp_path, step) for step in range(1, 6)]
    for path in paths:
        path.touch()
    prune_checkpoints(tmp_path, 2, good={paths[0], paths[1]})  # the later three may be anything
    assert checkpoints(tmp_path) == paths
    prune_checkpoints(tmp_path, 2, good={paths[0], paths[1], paths[3]})
    assert checkpoints(tmp_path) == paths[1:]
    prune_checkpoints(tmp_path, 2, good={*paths})
    assert checkpoints(tmp_path) == paths[3:]


def test_a_checkpoint_of_before_without_a_checksum_loads(folder):
    path = checkpoint_path(folder / "checkpoints", 6)
    contents = load_checkpoint(path)
    torch.save({**contents, "format_version": 1}, path)
    assert load_checkpoint(path)["step"] == 6


def test_a_checksum_that_is_not_that_of_the_content_is_damage(folder):
    path = checkpoint_path(folder / "checkpoints", 6)
    contents = load_checkpoint(path)
    for changed in ({"checksum": "00000000"}, {}):  # and one that is not there
        torch.save({**contents, **changed}, path)
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)
