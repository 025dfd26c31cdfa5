"""Checkpoints that are whole and wrong, or damaged: the newest good one is gone on from, which is said."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from sagan.generators.pretrained import load
from sagan.generators.snapshot import good_snapshots
from sagan.runs.prepare import fitting
from sagan.runs.resume import resumable
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


def retyped(tensors, name, dtype):
    tensors[name] = tensors[name].to(dtype)


def group(**changes):
    return lambda contents: contents["optimizer_g"]["param_groups"][0].update(changes)


def state_of_hook(name, **changes):
    return lambda contents: contents["hooks"].setdefault(name, {}).update(changes)


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
    "too many rollbacks": (lambda c: c.update(rollbacks=10**30), "its rollbacks is 1000"),
    "too many steps": (lambda c: c.update(step=2**40), "its step is 1099"),
    "infinite in 32 bits": (
        lambda c: c["G"].update({first(c): torch.full_like(c["G"][first(c)], 1e300, dtype=torch.float64)}),
        "G/.* is not finite",
    ),
    "complex NaN": (
        lambda c: c["D"].update({first(c, "D"): torch.full((2,), complex(NAN))}),
        "D/.* is not finite",
    ),
    "features that are none": (lambda c: c.update(d_features=3), "its d_features is 3"),
    "a version that is none": (lambda c: c.update(versions={"torch": torch.zeros(2)}), "its versions is none"),
    "versions that are none": (lambda c: c.update(versions=2), "its versions is none"),
}
# What only shows beside the networks.
MISFIT = {
    "another shape": (lambda c: c["G"].update({first(c): torch.zeros(3)}), r"G/.* has the shape \(3,\), expected"),
    "a tensor too few": (lambda c: c["D"].pop(first(c, "D")), "D/.* has the shape none, expected"),
    "a tensor too many": (lambda c: c["D"].update(new=torch.zeros(2)), r"D/new has the shape \(2,\), expected none"),
    "weights of 64 bits": (lambda c: retyped(c["G"], first(c), torch.float64), r"G/.* holds torch\.float64, expected"),
    "weights of 8 bits": (
        lambda c: retyped(c["ema"], first(c, "ema"), torch.float8_e4m3fn),
        r"ema/.* holds torch\.float8_e4m3fn, expected torch\.float32",
    ),
    "complex moments": (
        lambda c: retyped(c["optimizer_g"]["state"][0], "exp_avg", torch.complex64),
        r"optimizer_g has exp_avg of torch\.complex64 at parameter 0, expected",
    ),
    "squares below 0": (
        lambda c: c["optimizer_d"]["state"][0]["exp_avg_sq"].fill_(-1.0),
        "optimizer_d has an exp_avg_sq below 0 at parameter 0",
    ),
    "one moment more": (
        lambda c: c["optimizer_d"]["state"][0].update(max_exp_avg_sq=torch.zeros(1)),
        "optimizer_d has a moment 'max_exp_avg_sq' at parameter 0",
    ),
    "a complex step": (
        lambda c: c["optimizer_g"]["state"][0].update(step=torch.tensor(1j)),
        "optimizer_g has a step tensor",
    ),
    "amsgrad": (group(amsgrad=True), "optimizer_g has amsgrad True, expected False"),
    "maximize": (group(maximize=True), "optimizer_g has maximize True, expected False"),
    "one beta": (group(betas=(5.0,)), r"optimizer_g has betas \(5\.0,\), expected"),
    "a choice that there is not": (group(mine=2), "optimizer_g has mine 2, expected None"),
    "a rate in words": (group(lr="high"), "optimizer_g has the learning rate 'high'"),
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


# What nobody can go on with, and samples can be drawn from.
NOT_TO_GO_ON = {
    "no fingerprint": (lambda c: c.update(data={}), "what it says of its pictures"),
    "a list for pictures": (lambda c: c.update(data=[1]), "what it says of its pictures"),
    "pictures without a number": (lambda c: c["data"].update(images="many"), "what it says of its pictures"),
    "no sums": (lambda c: c["hooks"].update(means={}), "the state of the hook 'means' is none"),
    "sums of several": (state_of_hook("means", sums={"loss_d": torch.zeros(3)}), "the hook 'means' is none"),
    "a count below 0": (state_of_hook("means", count=-1), "the hook 'means' is none"),
    "symptoms in a list": (state_of_hook("watch", active=["x"]), "the hook 'watch' is none"),
    "counts of one": (state_of_hook("watch", against={"x": [1]}), "the hook 'watch' is none"),
    "numbers seen right": (state_of_hook("watch", seen_right=[[1]]), "the hook 'watch' is none"),
    "a best of words": (state_of_hook("scores", best={"score": "low", "step": 2}), "the hook 'scores' is none"),
    "no healthy step": (lambda c: c["hooks"].update(rollback={}), "the hook 'rollback' is none"),
    "no step to go back to": (lambda c: c["hooks"]["rollback"].update(back_step=-1), "the hook 'rollback' is none"),
    "an old state that is none": (lambda c: c.update(reporter=c.pop("hooks") and [1]), "its reporter is none"),
    "an old count in words": (lambda c: c.update(reporter={"count": c.pop("hooks") and "x"}), "the hook 'means'"),
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


@pytest.mark.parametrize("name", NOT_TO_GO_ON)
def test_what_nobody_can_go_on_with_is_said_and_the_one_before_is_given(folder, name):
    how, said = NOT_TO_GO_ON[name]
    change(checkpoint_path(folder / "checkpoints", 6), how)
    warned = []
    found = resumable(good_snapshots(folder, pytest.fail), warned.append)
    assert [one.contents["step"] for one in found] == [4, 2]
    (text,) = warned
    assert "step-00000006.pt is whole but cannot be right" in text and text.endswith("going back to the one before")
    assert re.search(said, text), text


def test_nobody_can_go_on_with_any(folder):
    for path in checkpoints(folder / "checkpoints"):
        change(path, NOT_TO_GO_ON["no fingerprint"][0])
    warned = []
    with pytest.raises(CheckpointError, match=r"step-00000002\.pt .*there is no earlier one to go on from"):
        next(resumable(good_snapshots(folder, pytest.fail), warned.append))
    assert len(warned) == 2


@pytest.mark.parametrize("name", ["run", "monitored", "versions/1/run", "versions/2/run"])
def test_checkpoints_of_before_can_be_gone_on_with(name, state_of):
    folder = Path(__file__).parents[1] / "golden" / name
    snapshot = next(resumable(good_snapshots(folder, pytest.fail), pytest.fail))
    assert state_of(folder).misfit(snapshot.contents) is None


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
