"""The state of training: the draws after a rollback."""

from sagan.training.state import ROLLBACK_OFFSET


def test_draws_are_moved_by_the_documented_offset(tiny_state):
    state, _ = tiny_state()
    state.step = 5
    assert state.draw_step == 5
    state.rollbacks = 2
    assert state.draw_step == 5 + 2 * ROLLBACK_OFFSET
