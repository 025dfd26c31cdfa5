"""Where data comes from and where its cache lies, refused by name where it makes no sense."""

from pathlib import Path

import pytest

from sagan.data import DataConfig, cache_folder


def test_the_cache_folder_follows_the_configuration_then_the_variable(monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", "/from/variable")
    assert cache_folder("/from/field") == Path("/from/field")
    assert cache_folder() == Path("/from/variable")
    monkeypatch.delenv("SAGAN_CACHE")
    assert cache_folder().is_absolute() and "sagan" in cache_folder().parts


@pytest.mark.parametrize(
    ("field", "value"), [("holdout_fraction", 1.0), ("holdout_fraction", -0.1), ("holdout_max", -1), ("path", "")]
)
def test_a_bad_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        DataConfig(**{field: value})


def test_a_wrong_place_is_refused_by_name():
    with pytest.raises(ValueError, match="keep must be one of disk, memory, device, found 'gpu'"):
        DataConfig(keep="gpu")
