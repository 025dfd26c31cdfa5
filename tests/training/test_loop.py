import pytest
import torch

from sagan.training.config import TrainConfig
from sagan.training.hooks import Hook, Hooks, Record
from sagan.training.loop import train_loop


class Recorder(Hook):
    def __init__(self):
        self.calls = []
        self.metrics = []

    def on_start(self, record):
        self.calls.append(("start", record.step))

    def on_step(self, record):
        self.calls.append(("step", record.step))
        self.metrics.append(record.metrics)

    def on_save(self, record):
        self.calls.append(("save", record.step))

    def on_end(self, record):
        self.calls.append(("end", record.step))


@pytest.fixture
def loop(pictures, engine):
    """Train a state with one hook."""

    def run(state, config, hook, received=lambda: 0, saved=None):
        record = Record(config, state, engine, saved=saved)
        return train_loop(Hooks([hook], record), pictures, 0, received)

    return run


def test_hooks_are_called_after_each_step_and_once_at_the_end(tiny_state, loop):
    state, config = tiny_state(total_steps=3, save_every=2)
    hook = Recorder()
    assert loop(state, config, hook)
    steps = [("step", 1), ("step", 2), ("save", 2), ("step", 3), ("save", 3)]
    assert hook.calls == [("start", 0), ("save", 0), *steps, ("end", 3)]
    assert all(isinstance(metric, torch.Tensor) for metric in hook.metrics[0].values())


def test_stopping_finishes_the_step_and_saves(tiny_state, loop):
    state, config = tiny_state(total_steps=5)
    hook = Recorder()
    assert not loop(state, config, hook, received=lambda: 15 if state.step >= 2 else 0)
    assert state.step == 2
    assert hook.calls[-2:] == [("save", 2), ("end", 2)]


def test_nothing_is_saved_twice_for_a_step(tiny_state, loop):
    state, config = tiny_state(total_steps=5, save_every=2)
    hook = Recorder()
    assert not loop(state, config, hook, received=lambda: 15 if state.step >= 2 else 0)
    assert [call for call in hook.calls if call[0] == "save"] == [("save", 0), ("save", 2)]


def test_a_loop_in_two_parts_equals_one(tiny_state, loop, snapshot_of, assert_same):
    whole, config = tiny_state(total_steps=4)
    loop(whole, config, Recorder())
    parts, _ = tiny_state(total_steps=4)
    loop(parts, config, Recorder(), received=lambda: 2 if parts.step >= 3 else 0)
    loop(parts, config, Recorder())
    assert_same(snapshot_of(whole.state_dict()), snapshot_of(parts.state_dict()))


def test_a_finished_run_does_nothing(tiny_state, loop, snapshot_of, assert_same):
    state, config = tiny_state(total_steps=3)
    state.step = 3
    before = snapshot_of(state)
    hook = Recorder()
    assert loop(state, config, hook, saved=3)
    assert_same(before, snapshot_of(state))
    assert hook.calls == [("start", 3), ("end", 3)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total_steps": 0}, "total_steps must be at least 1, found 0"),
        ({"batch_size": 1}, "batch_size must be at least 2, found 1"),
        ({"d_steps": 0}, "d_steps must be at least 1, found 0"),
        ({"lr_g": 0.0}, "lr_g must be above 0, found 0.0"),
        ({"lr_d": float("nan")}, "lr_d must be above 0, found nan"),
        ({"beta2": 1.0}, r"beta2 must be in \[0, 1\), found 1.0"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), found 1.0"),
        ({"ema_start": -1}, "ema_start must be at least 0, found -1"),
        ({"lr_decay_start": -1}, "lr_decay_start must be at least 0, found -1"),
        ({"auxiliary_weight": -0.1}, "auxiliary_weight must be at least 0, found -0.1"),
        ({"batch_size": 10, "accumulate": 3}, "accumulate must divide batch_size 10 .* found 3"),
        ({"batch_size": 4, "accumulate": 4}, "micro-batches of at least 2, found 4"),
        ({"g_batch_size": 1}, "g_batch_size must be at least 2, found 1"),
        (
            {"batch_size": 8, "g_batch_size": 10, "accumulate": 4},
            "accumulate must divide g_batch_size 10 into micro-batches of at least 2, found 4",
        ),
        (
            {"batch_size": 8, "g_batch_size": 12, "batch_norm": "ghost", "ghost_size": 8},
            r"ghost_size must divide the 12 images .* \(g_batch_size 12, processes: 1\), found 8",
        ),
        ({"loss": "wgan"}, "loss must be one of hinge, non-saturating, relativistic, found 'wgan'"),
        ({"augment": ("colour",)}, "augment knows color, translation, cutout, found 'colour'"),
        ({"keep_last": 0}, "keep_last must be at least 1, found 0"),
        ({"save_every": 0}, "save_every must be at least 1, found 0"),
    ],
)
def test_wrong_recipes_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**fields)


def test_both_batches_must_be_shared_equally_by_the_processes():
    config = TrainConfig(batch_size=12, g_batch_size=8)
    config.check_division(2)
    with pytest.raises(ValueError, match="g_batch_size 8 cannot be shared equally by 3 processes"):
        config.check_division(3)


def test_one_of_several_micro_batches_has_its_part_of_both_batches():
    config = TrainConfig(batch_size=64, g_batch_size=128, accumulate=4)
    part = config.one_micro_batch(16)
    assert (part.batch_size, part.g_batch_size, part.accumulate) == (4, 8, 1)
    assert TrainConfig(batch_size=64).one_micro_batch(2).generator_batch == 32


def test_the_defaults_are_the_papers_recipe():
    config = TrainConfig()
    assert config.generator_batch == config.batch_size
    assert (config.lr_g, config.lr_d, config.beta1, config.beta2) == (1e-4, 4e-4, 0.0, 0.9)
    assert (config.loss, config.batch_size, config.d_steps, config.total_steps) == ("hinge", 256, 1, 1_000_000)
    assert (config.ema_decay, config.lr_decay_start, config.augment) == (0.0, None, ())


@pytest.mark.parametrize("d_steps", [1, 2])
def test_pictures_that_cannot_be_read_end_it_saved_before_anything_of_the_step_is_done(
    tiny_state, pictures, engine, d_steps
):
    state, config = tiny_state(total_steps=5, d_steps=d_steps)
    hook = Recorder()
    before = {}

    def read(position):
        if position == 2 * d_steps:
            before.update({name: value.clone() for name, value in state.D.state_dict().items()})
        if position == 3 * d_steps - 1:
            raise ValueError("no such picture")
        return pictures(position)

    hooks = Hooks([hook], Record(config, state, engine))
    with pytest.raises(ValueError, match="no such picture"):
        train_loop(hooks, read, 0)
    assert hook.calls[-3:] == [("step", 2), ("save", 2), ("end", 2)]
    assert all(torch.equal(value, before[name]) for name, value in state.D.state_dict().items())
