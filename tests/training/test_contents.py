"""The checksum over what a file holds, and what of it is not finite."""

import copy

import numpy as np
import pytest
import torch

from sagan.training.contents import checksum, not_finite, num_bytes

TREE = {
    "step": 3,
    "rate": 0.5,
    "name": "größer",
    "none": None,
    "true": True,
    "bytes": b"\x00",
    "G": {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(2), "empty": torch.zeros(0)},
    "list": [1, (2, 3)],
}

CHANGES = [
    lambda t: t.update(step=4),
    lambda t: t.update(step="3"),
    lambda t: t.update(step=3.0),
    lambda t: t.update(true=1),
    lambda t: t.update(name="grosser"),
    lambda t: t.update(bytes="\x00"),
    lambda t: t["G"]["w"].view(-1)[5:6].add_(1e-6),
    lambda t: t["G"].update(w=t["G"]["w"].reshape(3, 2)),
    lambda t: t["G"].update(w=t["G"]["w"].double()),
    lambda t: t["G"].update(v=t["G"].pop("w")),
    lambda t: t["G"].update(n=2),
    lambda t: t["list"].reverse(),
    lambda t: t.pop("none"),
    lambda t: t.update(list=[1, [2, 3]]),
]


def test_the_same_content_has_the_same_sum() -> None:
    sum_ = checksum(TREE)
    assert len(sum_) == 8 and sum_ == checksum(copy.deepcopy(TREE))
    other = copy.deepcopy(TREE)
    other["G"]["w"] = other["G"]["w"].t().contiguous().t()  # other places in memory, the same numbers
    assert checksum(other) == sum_


@pytest.mark.parametrize("change", range(len(CHANGES)))
def test_any_change_is_another_sum(change: int) -> None:
    other = copy.deepcopy(TREE)
    CHANGES[change](other)
    assert checksum(other) != checksum(TREE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool, torch.int64, torch.uint8])
def test_all_kinds_of_numbers(dtype: torch.dtype) -> None:
    tensor = torch.ones(3).to(dtype)
    other = tensor.clone()
    other[1] = 0
    assert checksum(tensor) == checksum(tensor.clone()) != checksum(other)


def test_what_no_checkpoint_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="a checkpoint holds no ndarray"):
        checksum({"x": np.zeros(2)})


def test_the_first_that_is_not_finite_is_named() -> None:
    assert not_finite(TREE) is None
    broken = copy.deepcopy(TREE)
    broken["list"].append({"deep": torch.tensor([1.0, float("nan")])})
    assert not_finite(broken) == "list/2/deep"
    broken["G"]["w"][0, 0] = float("inf")
    assert not_finite(broken) == "G/w"


def test_bytes_are_added_up() -> None:
    assert num_bytes(TREE) == 6 * 4 + 8
