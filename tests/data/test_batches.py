"""Batches: each picture once an epoch, in an order of seed and position alone."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagan.data import Batches, DataError
from sagan.data.batches import refuse_too_few


def numbers(batch):
    return batch.images[:, 0, 0, 0].long() + 256 * batch.images[:, 0, 0, 1].long()


# Slow machines are no failures.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
sets = st.lists(st.integers(0, 4), min_size=2, max_size=40)


@unhurried
@given(labels=sets, data=st.data(), seed=st.integers(0, 2**32))
def test_each_epoch_shows_every_picture_exactly_once(labels, data, seed, numbered_set):
    batch_size = data.draw(st.integers(1, len(labels)))
    batches = Batches(numbered_set(labels), np.arange(len(labels)), batch_size, seed)
    stream = np.concatenate([batches.picture_indices(position) for position in range(3 * len(labels))])
    epochs = stream[: 3 * len(labels)].reshape(3, -1)
    assert (np.sort(epochs, axis=1) == np.arange(len(labels))).all()


def test_epochs_and_seeds_differ_in_order(numbered_set):
    def orders(seed):
        batches = Batches(numbered_set([0] * 50), np.arange(50), 50, seed)
        return [tuple(batches.picture_indices(epoch)) for epoch in range(5)]

    assert len({*orders(0), *orders(1)}) == 10


@unhurried
@given(labels=sets, positions=st.lists(st.integers(0, 60), min_size=1, max_size=8), balanced=st.booleans())
def test_a_batch_depends_on_seed_and_position_only(labels, positions, balanced, numbered_set):
    size = (len(labels) + 1) // 2
    walked = Batches(numbered_set(labels), np.arange(len(labels)), size, 3, balanced=balanced, flip=True)
    for position in positions:
        fresh = Batches(numbered_set(labels), np.arange(len(labels)), size, 3, balanced=balanced, flip=True)
        for one, other in zip(walked(position), fresh(position), strict=True):
            assert torch.equal(one, other)


@unhurried
@given(labels=sets, position=st.integers(0, 30), data=st.data(), balanced=st.booleans())
def test_slices_make_up_the_whole(labels, position, data, balanced, numbered_set):
    size = len(labels)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=3)))
    batches = Batches(numbered_set(labels), np.arange(size), size, 0, balanced=balanced, flip=True)
    parts = [batches(position, rows) for rows in torch.arange(size).tensor_split(cuts)]
    for whole, pieces in zip(batches(position), zip(*parts, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(pieces))


@unhurried
@given(labels=sets, seed=st.integers(0, 99))
def test_balanced_shows_classes_equally_and_each_class_evenly(labels, seed, numbered_set):
    present = sorted(set(labels))
    size = min(len(present), len(labels))
    batches = Batches(numbered_set(labels), np.arange(len(labels)), size, seed, balanced=True)
    stream = np.concatenate([batches.picture_indices(position) for position in range(2 * len(labels))])
    drawn = np.asarray(labels)[stream]
    assert len(set(np.bincount(drawn)[present])) == 1
    shown = np.bincount(stream, minlength=len(labels))
    for label in present:
        of_class = shown[np.asarray(labels) == label]
        assert of_class.max() - of_class.min() <= 1


def test_balanced_mixes_the_classes_within_a_batch(numbered_set):
    batches = Batches(numbered_set([0] * 90 + [1] * 10), np.arange(100), 20, 0, balanced=True)
    assert torch.bincount(batches(0).labels).tolist() == [10, 10]
    assert len({tuple(batches(position).labels.tolist()) for position in range(6)}) == 6
    plain = Batches(numbered_set([0] * 90 + [1] * 10), np.arange(100), 100, 0)
    assert torch.bincount(plain(0).labels).tolist() == [90, 10]


def test_pictures_labels_and_types_belong_together(numbered_set):
    labels = np.random.default_rng(0).integers(0, 7, 300)
    data = numbered_set(labels)
    batch = Batches(data, np.arange(300), 100, 0)(5)
    assert batch.images.shape == (100, 2, 2, 3) and batch.images.dtype == torch.uint8
    assert batch.labels.dtype == torch.int64 and batch.flip.dtype == torch.bool
    assert batch.labels.tolist() == labels[numbers(batch)].tolist()


def test_only_the_given_indices_are_shown(numbered_set):
    kept = np.array([1, 5, 7, 8])
    for balanced in (False, True):
        batches = Batches(numbered_set([0, 1] * 5), kept, 4, 0, balanced=balanced)
        assert {int(i) for position in range(9) for i in numbers(batches(position))} == set(kept)


def test_flips_are_off_or_a_fair_coin_drawn_anew(numbered_set):
    data = numbered_set([0] * 500)
    assert not Batches(data, np.arange(500), 500, 0)(0).flip.any()
    batches = Batches(data, np.arange(500), 500, 0, flip=True)
    flips = torch.stack([batches(position).flip for position in range(20)]).double()
    assert abs(float(flips.mean()) - 0.5) < 5 * 0.5 / 100  # Five standard deviations of 10,000 tosses.
    assert len({tuple(row.tolist()) for row in flips}) == 20


def test_a_batch_may_be_written_to_without_changing_the_data(numbered_set):
    data = numbered_set([0] * 4)
    batches = Batches(data, np.arange(4), 4, 0)
    batches(0).images.fill_(9)
    batches(0).labels.fill_(9)
    assert not (data.images == 9).any() and not data.labels.any()


def test_the_order_never_changes_between_versions(numbered_set):
    """A resumed run meets the pictures it would have met."""
    batches = Batches(numbered_set([0, 1, 2] * 4), np.arange(12), 5, 1)
    assert [batches.picture_indices(position).tolist() for position in (0, 2)] == [[10, 5, 7, 4, 6], [0, 9, 2, 4, 7]]
    balanced = Batches(numbered_set([0, 1, 2] * 4), np.arange(12), 5, 1, balanced=True)
    assert [balanced.picture_indices(position).tolist() for position in (0, 2)] == [[9, 8, 10, 2, 6], [5, 3, 7, 0, 8]]


@pytest.mark.parametrize(
    ("total", "to_train", "batch_size", "parts", "advice"),
    [
        (20, 19, 32, 1, "take --batch-size 19 or less or add pictures"),
        (60, 57, 58, 1, "take --batch-size 57 or less, hold at most 2 out with --data.holdout-max 2, or add pictures"),
        (60, 57, 60, 1, "take --batch-size 57 or less, hold none out with --data.holdout-max 0, or add pictures"),
        (60, 57, 64, 4, "take --batch-size 56 or less or add pictures"),  # which four micro-batches can be cut from
        (8, 7, 64, 4, "add pictures"),  # no batch of four parts has batch normalisation over two pictures each
        (2, 1, 2, 1, "hold none out with --data.holdout-max 0 or add pictures"),
    ],
)
def test_what_is_advised_for_too_few_pictures_helps(total, to_train, batch_size, parts, advice):
    with pytest.raises(DataError) as error:
        refuse_too_few("a set", total, to_train, batch_size, parts)
    assert str(error.value).partition("; ")[2] == advice
    refuse_too_few("a set", total, batch_size, batch_size, parts)


def test_a_set_smaller_than_a_batch_is_refused(numbered_set):
    said = (
        r"test has 10 pictures to train on, fewer than one batch of 64; take --batch-size 10 or less or add pictures$"
    )
    with pytest.raises(DataError, match=said):
        Batches(numbered_set([0] * 12), np.arange(10), 64, 0)
    with pytest.raises(DataError, match="at least 1, found 0"):
        Batches(numbered_set([0] * 12), np.arange(10), 0, 0)
    with pytest.raises(ValueError, match="found -1"):
        Batches(numbered_set([0] * 12), np.arange(10), 2, 0)(-1)
