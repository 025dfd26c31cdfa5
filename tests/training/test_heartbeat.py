import gc
import threading

import pytest

from sagan.training.heartbeat import Heartbeat

PATIENCE_S = 60.0  # only a test that fails waits so long


@pytest.fixture
def pair():
    """The heartbeats of two processes in this one; what each finds lost is noted."""
    lost, told = [], threading.Event()

    def note(what):
        lost.append(what)
        told.set()

    first = Heartbeat(0, 2, "127.0.0.1", 0, note, every_s=5.0, lost_after_s=45.0)
    second = Heartbeat(1, 2, "127.0.0.1", first.port, note, every_s=5.0, lost_after_s=45.0)
    yield first, second, lost, told
    first.stop()
    second.stop()


def test_a_process_that_gives_no_sign_is_lost(pair):
    first, second, _, _ = pair
    assert second.beat() is None
    assert [first.beat() for _ in range(9)] == [None] * 9
    assert first.beat() == "process 1 has given no sign of life for 45 s"


def test_so_is_one_that_never_began(pair):
    first, _, _, _ = pair
    assert [first.beat() for _ in range(9)] == [None] * 9
    assert first.beat() == "process 1 has given no sign of life for 45 s"


def test_processes_that_give_signs_are_not_lost(pair):
    first, second, _, _ = pair
    for _ in range(20):
        assert second.beat() is None
        assert [first.beat() for _ in range(8)] == [None] * 8


def test_the_thread_tells_once(pair):
    first, _, lost, told = pair
    first.every_s, first.lost_after_s = 0.01, 0.05
    first.start()
    assert told.wait(PATIENCE_S)
    first.stop()
    assert len(lost) == 1


def test_without_process_0_there_is_nothing_to_give_signs_to():
    first = Heartbeat(0, 2, "127.0.0.1", 0, pytest.fail)
    second = Heartbeat(1, 2, "127.0.0.1", first.port, pytest.fail)
    assert second.beat() is None
    del first
    gc.collect()  # its store ends with it, as with its process
    assert second.beat() == "process 0 no longer answers"
