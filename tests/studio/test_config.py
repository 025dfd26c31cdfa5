"""What the studio is opened with."""

from pathlib import Path

import pytest

from sagan.studio.config import StudioConfig, short_names


def test_names_are_as_short_as_they_can_be_told_apart():
    paths = [Path("/a/runs/x"), Path("/b/runs/x"), Path("/a/runs/y"), Path("/c/z.safetensors")]
    assert short_names(paths) == ("a/runs/x", "b/runs/x", "y", "z.safetensors")
    assert short_names([Path("/a/x"), Path("/a/x")]) == ("/a/x", "/a/x")


def test_something_must_be_named():
    with pytest.raises(ValueError, match="nothing to show; name a run folder"):
        StudioConfig(paths=())
