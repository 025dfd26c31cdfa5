"""One at a time, and only the newest of a lane."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sagan.studio import newest
from sagan.studio.newest import BusyError, Newest, StaleError


def run(asked):
    """Run a coroutine in a thread: the browser of other tests leaves its loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asked).result()


def test_of_what_waits_in_a_lane_only_the_newest_is_computed():
    computed, begun, go_on = [], threading.Event(), threading.Event()

    def work(name):
        def compute(_):
            computed.append(name)
            if name == "first":
                begun.set()
                assert go_on.wait(10)
            return name

        return compute

    async def ask():
        line = Newest()
        first = asyncio.ensure_future(line.run("a", work("first")))
        await asyncio.to_thread(begun.wait, 10)
        rest = [
            asyncio.ensure_future(line.run(lane, work(name))) for lane, name in (("a", "2"), ("b", "b"), ("a", "3"))
        ]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    first, second, other, third = run(ask())
    assert (first, other, third) == ("first", "b", "3")
    assert isinstance(second, StaleError)
    assert computed == ["first", "b", "3"]


def test_a_computation_notices_between_its_parts_that_it_is_stale():
    begun, go_on = threading.Event(), threading.Event()

    def long(turn):
        turn.check()
        begun.set()
        assert go_on.wait(10)
        turn.check()
        raise AssertionError("it went on")

    async def ask():
        line = Newest()
        old = asyncio.ensure_future(line.run("a", long))
        await asyncio.to_thread(begun.wait, 10)
        new = asyncio.ensure_future(line.run("a", lambda _: "new"))
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(old, new, return_exceptions=True)

    old, new = run(ask())
    assert isinstance(old, StaleError)
    assert new == "new"


def test_a_failure_frees_the_line_and_lanes_and_waiting_are_bounded(monkeypatch):
    monkeypatch.setattr(newest, "MAX_LANES", 3)
    monkeypatch.setattr(newest, "MAX_WAITING", 2)

    def fail(_):
        raise OSError("gone")

    async def ask():
        line = Newest()
        with pytest.raises(OSError, match="gone"):
            await line.run("a", fail)
        for i in range(10):
            assert await line.run(f"lane {i}", lambda _, i=i: i) == i
        assert len(line._lanes) == 3
        begun, go_on = threading.Event(), threading.Event()

        def hold(_):
            begun.set()
            go_on.wait(10)

        held = [asyncio.ensure_future(line.run(lane, hold)) for lane in ("x", "y")]
        await asyncio.to_thread(begun.wait, 10)
        with pytest.raises(BusyError):
            await line.run("z", hold)
        go_on.set()
        await asyncio.gather(*held)

    run(ask())
