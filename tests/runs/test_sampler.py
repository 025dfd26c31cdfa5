"""The copy that samples are drawn from: there when it is due, and never of weights that are not finite."""

import torch

from sagan.runs.sampler import Sampler
from sagan.training.hooks import Record


def test_a_copy_is_left_where_one_is_due_and_training_does_not_notice(tiny_state, engine, snapshot_of, assert_same):
    state, config = tiny_state(total_steps=10, sample_every=4, evaluate_every=0)
    record, hook = Record(config, state, engine), Sampler()
    before = snapshot_of(state.G)
    for number, there in ((3, False), (4, True)):
        state.step, record.sampler = number, None
        hook.on_step(record)
        assert (record.sampler is not None) == there
    assert_same(before, snapshot_of(state.G))
    assert not record.sampler.training and record.sampler is not state.G
    assert record.aside_s > 0.0
    record.finite = False
    hook.on_step(record)
    assert record.sampler is None
    assert torch.is_grad_enabled()
