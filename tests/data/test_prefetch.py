"""Batches read ahead are those read when they are asked for."""

import threading

import pytest
import torch

from sagan.data import kept, prefetched

CPU = torch.device("cpu")


@pytest.mark.parametrize("ahead", [0, 1, 2, 5])
def test_batches_read_ahead_are_the_same_in_any_order_of_calls(image_set, ahead, batches_of, same):
    plain = batches_of(image_set)
    with prefetched(batches_of(image_set), ahead) as reading:
        for position in (0, 1, 2, 3, 9, 10, 4, 4, 5, 100, 0):
            assert same(reading(position), plain(position))


def test_the_next_batches_are_read_before_they_are_asked_for(image_set, batches_of):
    batches, read = batches_of(image_set), []
    both = threading.Event()
    original = batches.picture_indices

    def spy(position):
        read.append((position, threading.current_thread() is threading.main_thread()))
        if len(read) == 3:
            both.set()
        return original(position)

    batches.picture_indices = spy
    with prefetched(batches, 2) as reading:
        reading(7)
        assert both.wait(60)
        assert read == [(7, False), (8, False), (9, False)]
        reading(8)
    assert [position for position, _ in read] in ([7, 8, 9], [7, 8, 9, 10])


def test_the_reading_thread_ends_with_the_context(image_set, batches_of):
    before = threading.active_count()
    with prefetched(batches_of(image_set), 2) as reading:
        reading(0)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_an_error_of_reading_reaches_the_caller(image_set, batches_of):
    batches = batches_of(image_set)
    with prefetched(batches, 2) as reading, pytest.raises(ValueError, match="found -1"):
        reading(-1)


def test_pictures_in_memory_are_not_read_ahead(image_set, batches_of):
    batches = batches_of(kept(image_set, "memory", CPU, progress=False))
    with prefetched(batches) as reading:
        assert reading is batches
