"""The state of training: the draws after a rollback."""

from sagan.training.state import ROLLBACK_OFFSET


def test_draws_are_moved_by_the_documented_offset(tiny_state):
    state, _ = tiny_state()
    state.step = 5
    assert state.draw_step == 5
    state.rollbacks = 2
    assert state.draw_step == 5 + 2 * ROLLBACK_OFFSET


def test_adams_eps_is_that_of_the_configuration(tiny_state):
    state, _ = tiny_state(adam_eps=1e-6)
    for optimizer in (state.optimizer_g, state.optimizer_d):
        assert [group["eps"] for group in optimizer.param_groups] == [1e-6]
    state, _ = tiny_state()
    assert state.optimizer_g.param_groups[0]["eps"] == 1e-8
