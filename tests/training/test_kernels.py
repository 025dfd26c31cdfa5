"""Which kernels PyTorch may take: what is asked for is set, set back, and refused where it cannot be kept."""

import os

import pytest
import torch

from sagan.training import kernels
from sagan.training.config import EngineConfig
from sagan.training.engine import Engine
from sagan.training.kernels import CUBLAS, NotDeterministicError, choose_kernels, kernels_as_before

ASKED = EngineConfig(device="cpu", precision="fp32", deterministic=True)


def state():
    """What is set in this process."""
    return {
        "enabled": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fills": torch.utils.deterministic.fill_uninitialized_memory,
        "tries": torch.backends.cudnn.benchmark,
        "variable": os.environ.get(CUBLAS),
    }


def refused_by_pytorch():
    """Call an operation that has no deterministic form anywhere."""
    torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))


@pytest.fixture(autouse=True)
def _as_before():
    with kernels_as_before():
        yield


@pytest.mark.long("imports Lightning Fabric")
def test_it_is_set_inside_and_set_back_behind():
    before = state()
    with kernels_as_before():
        assert Engine(ASKED).reason.startswith("cpu (asked for), fp32, the same bits each time, not compiled")
        inside = state()
        assert (inside["enabled"], inside["warns"], inside["tries"]) == (True, False, False)
    assert state() == before


def test_what_the_caller_set_comes_back_also_after_an_error(monkeypatch):
    monkeypatch.setenv(CUBLAS, ":16:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    before = state()
    with pytest.raises(KeyError), kernels_as_before():
        choose_kernels(ASKED, torch.device("cuda"))
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ[CUBLAS] == ":16:8"  # a good one stays
        raise KeyError
    assert state() == before


def test_without_it_nothing_is_set():
    before = state()
    for device in ("cpu", "cuda"):
        assert choose_kernels(EngineConfig(), torch.device(device)) == ""
    assert state() == before


def test_on_a_gpu_cublas_is_told_and_cudnn_does_not_try(monkeypatch):
    monkeypatch.delenv(CUBLAS, raising=False)
    torch.backends.cudnn.benchmark = True
    with kernels_as_before():
        assert choose_kernels(ASKED, torch.device("cuda")) == "the same bits each time"
        assert os.environ[CUBLAS] == ":4096:8"
        assert not torch.backends.cudnn.benchmark
    assert CUBLAS not in os.environ
    assert torch.backends.cudnn.benchmark


def test_a_variable_that_contradicts_it_is_refused(monkeypatch):
    monkeypatch.setenv(CUBLAS, ":0:0")
    with pytest.raises(ValueError, match=r"CUBLAS_WORKSPACE_CONFIG to be :4096:8 or :16:8, found ':0:0'; unset it"):
        choose_kernels(ASKED, torch.device("cuda"))


@pytest.mark.parametrize("field", [{"cudnn_benchmark": True}, {"compile": "on"}, {"compile": "graphs"}])
def test_options_that_contradict_it_are_refused(field):
    with pytest.raises(ValueError, match=f"^deterministic cannot be with {next(iter(field))}"):
        EngineConfig(deterministic=True, **field)


def test_an_operation_without_such_a_form_is_one_sentence():
    with pytest.raises(NotDeterministicError) as caught, kernels_as_before():
        choose_kernels(ASKED, torch.device("cpu"))
        refused_by_pytorch()
    said = str(caught.value)
    assert said.startswith("put_ has no form here that gives the same bits each time")
    assert "--engine.no-deterministic" in said and "\n" not in said and ". " not in said
    with pytest.raises(RuntimeError, match="something else") as other, kernels_as_before():
        raise RuntimeError("something else")
    assert not isinstance(other.value, NotDeterministicError)


def test_the_sentence_about_cublas_names_it():
    error = RuntimeError(
        "Deterministic behavior was enabled with either `torch.use_deterministic_algorithms(True)` or ..., but this "
        f"operation is not deterministic because it uses CuBLAS and you have CUDA >= 10.2. ... {CUBLAS}=:4096:8"
    )
    assert kernels.is_not_deterministic(error)
    with (
        pytest.raises(NotDeterministicError, match=rf"multiplied .* {CUBLAS}=:4096:8 set") as caught,
        kernels_as_before(),
    ):
        raise error
    assert "\n" not in str(caught.value)
