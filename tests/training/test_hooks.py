"""Hooks and their record: called in order, kept together, stopped and taken back together."""

import numpy as np
import pytest
import torch

from sagan.training.checkpoint import CheckpointError
from sagan.training.hooks import BY_HOOK, Hook, Hooks, Record, named, plain_state
from sagan.training.loop import train_loop


class Counter(Hook):
    """Counts steps, and writes down what is called."""

    def __init__(self, name="counter", calls=None):
        self.name, self.count, self.calls = name, 0, [] if calls is None else calls

    def on_start(self, record):
        self.calls.append((self.name, "start", record.step, self.count))

    def on_step(self, record):
        self.count += 1

    def on_end(self, record):
        self.calls.append((self.name, "end", record.step, self.count))

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@pytest.fixture
def record_of(tiny_state, engine):
    def make(**train):
        state, config = tiny_state(**train)
        return Record(config, state, engine)

    return make


def test_a_line_reaches_all_before_one_that_it_leads_to(record_of):
    seen = []

    class Judge(Hook):
        def on_line(self, record, line):
            seen.append(("judge", line["k"]))
            if line["k"] == 0:
                record.add({"step": 0, "k": 1})

    class Later(Hook):
        def on_line(self, record, line):
            seen.append(("later", line["k"]))

    record = record_of()
    Hooks([Judge(), Later()], record)
    record.add({"step": 0, "k": 0})
    assert seen == [("judge", 0), ("later", 0), ("judge", 1), ("later", 1)]


def test_a_hook_ends_the_loop_after_its_step(record_of, pictures):
    class Stop(Hook):
        def on_step(self, record):
            if record.step >= 2:
                record.stop(f"enough at {record.step}")

    record = record_of(total_steps=9)
    assert not train_loop(Hooks([Stop(), Counter()], record), pictures, 0)
    assert (record.step, record.stopped_by, record.stop_reason, record.saved) == (2, BY_HOOK, "enough at 2", 2)


def test_a_rollback_takes_every_hook_back_and_leaves_the_rest_of_the_step_out(record_of, pictures, snapshot_of):
    calls = []
    record = record_of(total_steps=5, save_every=2)
    kept = {}

    class Keep(Hook):
        def on_save(self, record):
            if record.step == 2 and not kept:
                kept.update(contents=snapshot_of(record.state.state_dict()), states=record.states())

    class Back(Hook):
        went = False

        def on_step(self, record):
            if record.step == 3 and not self.went:
                self.went = True
                kept["contents"]["rollbacks"] = 1
                record.go_back(kept["contents"], {"first": kept["states"]["first"]})

    # `added` is not in the checkpoint, as a hook that was added later: it goes back to what it started with.
    hooks = Hooks([Keep(), Counter("first", calls), Counter("added", calls), Back(), Counter("last", calls)], record)
    assert train_loop(hooks, pictures, 0)
    assert [call for call in calls if call[0] == "first"] == [
        ("first", "start", 0, 0),
        ("first", "start", 2, 2),
        ("first", "end", 5, 5),
    ]
    assert ("added", "start", 2, 0) in calls and ("added", "end", 5, 3) in calls
    assert ("last", "end", 5, 3) in calls


def test_hooks_that_started_are_ended_whatever_happens(record_of, pictures):
    calls = []

    class Broken(Hook):
        def on_start(self, record):
            raise OSError("no")

    class BrokenEnd(Counter):
        def on_end(self, record):
            super().on_end(record)
            raise RuntimeError("neither")

    record = record_of()
    hooks = Hooks([BrokenEnd("a", calls), Counter("b", calls), Broken(), Counter("c", calls)], record)
    with pytest.raises((OSError, RuntimeError)):
        train_loop(hooks, pictures, 0)
    assert [(name, what) for name, what, *_ in calls] == [("a", "start"), ("b", "start"), ("a", "end"), ("b", "end")]


def test_two_hooks_of_one_name_are_refused(record_of):
    with pytest.raises(ValueError, match=r"two hooks are called 'counter'.* another `name`"):
        Hooks([Counter(), Counter()], record_of())


def test_a_name_is_that_of_the_class_unless_given(record_of):
    class Mine(Hook):
        pass

    assert list(Hooks([Mine(), Counter("yours")], record_of()).by_name) == ["Mine", "yours"]


@pytest.mark.parametrize("value", [np.zeros(1), {"a": [object()]}, {1, 2}, (np.zeros(2),)])
def test_a_state_that_could_not_be_read_back_is_refused_when_it_is_saved(record_of, value):
    class Odd(Hook):
        def state_dict(self):
            return {"odd": value}

    hook = Odd()
    record = record_of()
    Hooks([hook], record)
    with pytest.raises(TypeError, match=r"the state of the hook 'Odd' holds .* a checkpoint keeps tensors"):
        record.states()


def test_plain_states_are_kept():
    state = {"a": [1, 2.5, None, True, "x", b"y", ("z", {"b": float("inf")})], 3: 4}
    assert plain_state(state, "any") == state
    kept = plain_state({"mean": np.float32(0.5), "count": np.int64(3), "sum": torch.ones(2)}, "any")
    assert (type(kept["mean"]), type(kept["count"])) == (float, int)
    assert torch.equal(kept["sum"], torch.ones(2))


def test_what_is_no_hook_is_refused_with_a_sentence():
    with pytest.raises(TypeError, match=r"found the class Counter \(write Counter\(\)\)"):
        named([Counter])
    with pytest.raises(TypeError, match=r"hooks is a list of hooks, e.g. \[Counter\(\)\]"):
        named(Counter())
    with pytest.raises(TypeError, match=r"inherits from sagan.Hook, found <built-in function print>"):
        named([print])


def test_lines_hold_numbers_and_have_their_step(record_of):
    lines = []

    class Keep(Hook):
        def on_line(self, record, line):
            lines.append(line)

    record = record_of()
    Hooks([Keep()], record)
    record.add({"step": 1, "a": np.float32(0.5), "b": torch.tensor(2.0)})
    assert lines == [{"step": 1, "a": 0.5, "b": 2.0}]
    with pytest.raises(TypeError, match="needs its step"):
        record.add({"a": 1.0})
    with pytest.raises(TypeError, match="holds numbers and strings; a is one ndarray"):
        record.add({"step": 1, "a": np.zeros(3)})


def test_lines_are_those_of_process_0(record_of, monkeypatch):
    seen = []

    class Everywhere(Hook):
        everywhere = True

        def on_line(self, record, line):
            seen.append(line)

    record = record_of()
    Hooks([Everywhere()], record)
    monkeypatch.setattr(type(record.engine), "writes", False)
    record.add({"step": 1})
    assert seen == []


def test_a_rollback_takes_a_stop_back(record_of, snapshot_of):
    record = record_of()
    hooks = Hooks([Counter()], record)
    record.stop("it looked bad")
    record.go_back(snapshot_of(record.state.state_dict()), {})
    assert not hooks.stopped(0)


def test_what_is_large_is_let_go_of_after_the_step(record_of, pictures):
    class Draw(Hook):
        def on_step(self, record):
            record.sampler, record.pictures["a"], record.values["b"] = record.state.G, np.zeros((2, 2, 3), np.uint8), 1

    record = record_of(total_steps=1)
    train_loop(Hooks([Draw()], record), pictures, 0)
    assert (record.sampler, record.pictures, record.values, record.metrics) == (None, {}, {}, {})


def test_a_hook_that_cannot_take_its_state_is_named(record_of):
    hooks = Hooks([Counter("mine"), Counter("yours")], record_of())
    with pytest.raises(CheckpointError, match=r"the hook 'yours' cannot take .* \(KeyError: 'count'\)") as caught:
        hooks.load_state_dict({"mine": {"count": 3}, "yours": {"other": 1}})
    assert isinstance(caught.value.__cause__, KeyError)
