"""Where the memory ends, what would fit is said; where a control group would end a run, before it starts."""

import re
import subprocess
import sys
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sagan.recipes.presets import PRESETS
from sagan.speed import fits


@pytest.fixture
def config():
    base = PRESETS["sagan-32-cpu"]()
    return replace(base, engine=replace(base.engine, device="cpu"), train=replace(base.train, batch_size=64))


@pytest.fixture
def planned(monkeypatch):
    """Let plans come to a number of micro-batches, or fail; gives how often one was made."""
    made = []

    def plan(accumulate):
        def make_plan(config, *, with_data):
            made.append(config)
            if isinstance(accumulate, Exception):
                raise accumulate
            train = replace(config.train, accumulate=accumulate)
            return SimpleNamespace(config=replace(config, train=train), micro_batch=train.batch_size // accumulate)

        monkeypatch.setattr(fits, "make_plan", make_plan)
        return made

    return plan


def test_advice_names_a_smaller_part_of_a_batch_that_fits(config, planned):
    made = planned(4)
    said = fits.advice(config, MemoryError())
    assert "steps of 64 images at a time do not fit here, 16 do" in said and "--train.accumulate 4" in said
    assert made[0].train.accumulate == 2  # what just failed is not tried again


def test_advice_makes_the_batches_of_a_generator_update_smaller_too(config, planned):
    planned(4)
    more = replace(config, train=replace(config.train, g_batch_size=128))
    assert "--batch-size 16 --train.g-batch-size 32 has smaller ones" in fits.advice(more, MemoryError())
    assert "g-batch-size" not in fits.advice(config, MemoryError())


def test_a_batch_that_cannot_be_cut_needs_smaller_networks(config, planned):
    made = planned(1)
    two = replace(config, train=replace(config.train, batch_size=2))
    assert "cannot be cut further; take a smaller --size" in fits.advice(two, MemoryError()) and not made


def test_other_errors_of_a_training_pass(config, planned):
    made = planned(4)
    with pytest.raises(RuntimeError, match="something else"), fits.saying_what_fits(config):
        raise RuntimeError("something else")
    with pytest.raises(fits.OutOfMemoryError, match="16 do"), fits.saying_what_fits(config):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    assert len(made) == 1


def test_advice_passes_on_that_nothing_fits(config, planned):
    planned(ValueError("take a smaller --size"))
    assert fits.advice(config, MemoryError()).endswith("do not fit here: take a smaller --size")


class Large:
    """Stands for the networks of a training."""


def test_what_the_error_held_is_let_go_of_before_steps_are_tried(config, monkeypatch):
    held, left = [], []

    def allocate():
        large = Large()
        held.append(weakref.ref(large))
        raise RuntimeError("CUDA out of memory")

    def train():
        large = Large()
        held.append(weakref.ref(large))
        try:
            allocate()
        except RuntimeError as error:
            raise RuntimeError("CUDA out of memory, said again") from error

    def make_plan(*_, **__):
        left.extend(one() for one in held)
        raise ValueError("tried")

    monkeypatch.setattr(fits, "make_plan", make_plan)
    with pytest.raises(fits.OutOfMemoryError, match="tried"), fits.saying_what_fits(config):
        train()
    assert left == [None, None]


@pytest.mark.parametrize(("room", "tried"), [(sys.maxsize, 0), (400_000_000_000, 0), (1_200_000_000, 1)])
def test_steps_are_tried_only_where_a_limit_is_near(config, planned, monkeypatch, room, tried):
    made = planned(4)
    monkeypatch.setattr(fits, "control_group_room", lambda place: room)
    said = fits.warn_of_limit(config)
    assert len(made) == tried
    assert (said is None) == (tried == 0)
    if said is not None:
        assert "1.2 GB of memory are left" in said and "16 images at a time would fit: --train.accumulate 4" in said


def test_a_limit_that_suffices_when_tried_is_no_reason_to_warn(config, planned, monkeypatch):
    planned(1)
    monkeypatch.setattr(fits, "control_group_room", lambda place: 1_200_000_000)
    assert fits.warn_of_limit(config) is None


PROGRAM = """
import resource, sys
from sagan.cli import main
limit = int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow("a training under a real limit, and steps that are tried until some fit")
@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the address space that the kernel keeps")
def test_a_real_limit_ends_in_the_batch_that_fits(tmp_path):
    words = ["train", "--data", "digits", "--preset", "sagan-32-cpu", "--batch-size", "1024", "--steps", "4"]
    words += ["--engine.device", "cpu", "--out"]
    command = [sys.executable, "-c", PROGRAM, "3500", *words, str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    said = re.search(r"1,024 images at a time do not fit here, (\d+) do.* --train.accumulate (\d+) ", ended.stderr)
    assert ended.returncode == 1 and said, ended.stderr
    again = [sys.executable, "-c", PROGRAM, "3500", *words, str(tmp_path / "again"), "--train.accumulate", said[2]]
    ended = subprocess.run(again, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_what_may_not_be_for_lack_of_memory_is_quoted(tiny_config, monkeypatch):
    monkeypatch.setattr(fits, "micro_batches", lambda _: [])
    unclear = RuntimeError("unable to find an engine to execute this computation\nmore")
    assert "(PyTorch said: unable to find an engine to execute this computation)" in fits.advice(tiny_config(), unclear)
    assert "PyTorch said" not in fits.advice(tiny_config(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
