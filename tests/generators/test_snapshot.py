"""Checkpoints read back."""

import pytest
import torch

from sagan.generators.snapshot import fill, read_snapshot
from sagan.recipes.build import build_generator
from sagan.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint


def test_the_configuration_travels_in_the_checkpoint(run_folder, tiny_config):
    folder, _ = run_folder()
    assert read_snapshot(folder).config == tiny_config()


@pytest.mark.parametrize("network", ["G", "D"])
def test_one_tensor_under_many_names_is_no_network(run_folder, network):
    path = read_snapshot(run_folder()[0]).path
    one = torch.zeros(4096)
    many = {f"w{i}": one for i in range(200)}
    save_checkpoint(path, load_checkpoint(path) | {network: many})
    with pytest.raises(CheckpointError, match=r"step-00000003\.pt .*two of its tensors are the same bytes"):
        read_snapshot(path)


def test_a_network_is_not_filled_with_what_it_cannot_compute_with(run_folder):
    found = read_snapshot(run_folder()[0])
    state, G = found.contents["G"], build_generator(found.config)
    fill(G, state, found.path)
    for value, said in ((-1.0, "norm.running_var is below 0"), (1e300, "norm.running_var is too large")):
        wrong = torch.full(state["norm.running_var"].shape, value, dtype=torch.float64)
        with pytest.raises(CheckpointError, match=said):
            fill(G, state | {"norm.running_var": wrong}, found.path)
