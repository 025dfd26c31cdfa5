"""What the tests of all sources do."""

from typing import Any

import pytest
import torch
from compare import UPDATES, disagreements, eps_apart, starts_apart
from replay import Recipe, Replay, of_source

Options = dict[str, Any]

# Of every run: narrow networks, few classes, few pictures.
SMALL: Options = {"num_classes": 5, "attention_form": "official"}
Z_DIM = 24
BATCH_SIZE = 4


def sized(size_px: int, base_width: int, attention: tuple[int, ...] = (), **more: Any) -> Options:
    return {"size_px": size_px, "base_width": base_width, "attention": attention, **more}


def slow_at_128(runs: dict[str, Recipe]) -> list[Any]:
    return [
        pytest.param(run, marks=pytest.mark.slow("networks of 128 px in float64, two updates"))
        if run.endswith("-128")
        else run
        for run in runs
    ]


def apart(run: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, updates: int = UPDATES) -> set[str]:
    """Give what differs from the source after some updates, up to rounding."""
    expected, level = of_source(run)
    assert_hinge_bends(expected.forward)
    found = Replay(run, recipe)(level, monkeypatch, updates)
    return disagreements(expected, found, updates=updates)


def assert_hinge_bends(forward: dict[str, list[float]]) -> None:
    """Check that real and generated images, each in some update, have a gradient in the hinge loss."""
    for what, sign in (("real", 1.0), ("fake", -1.0)):
        assert any(sign * logit < 1.0 for update in "12" for logit in forward[f"logits {what} {update}"])


def apart_at_start(run: str, recipe: Recipe) -> set[str]:
    """Name the parameters that start in another way than the source's."""
    torch.manual_seed(0)
    return starts_apart(of_source(run)[0], Replay(run, recipe).measured)


def apart_in_eps(run: str, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """Give the layers whose eps is another one than the source's, with both."""
    return eps_apart(of_source(run)[0], Replay(run, recipe).measured)
