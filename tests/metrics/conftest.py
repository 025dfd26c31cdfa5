"""torch-fidelity as the oracle, importable without torchvision, and weights of its Inception made here."""

import importlib.util
import sys
import types

import pytest
import torch
from pytest import MonkeyPatch

PARTS = ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional")


class StandIn(types.ModuleType):
    """A module of which any name can be imported; each is an empty class."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def import_torch_fidelity():
    """Import torch-fidelity with a stand-in for torchvision, which pins PyTorch and may not import beside it.

    The stand-in is taken away again, so that nothing else in this process mistakes it for the real one.
    """
    before = {part: sys.modules.get(part) for part in PARTS}
    for part in PARTS:
        sys.modules[part] = StandIn(part)
        parent, _, child = part.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[part])
    try:
        importlib.import_module("torch_fidelity")
    finally:
        for part, module in before.items():
            if module is None:
                del sys.modules[part]
            else:
                sys.modules[part] = module


# At import, so that test files can say pytest.importorskip("torch_fidelity.metric_fid").
if importlib.util.find_spec("torch_fidelity") is not None:
    import_torch_fidelity()


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory):
    """Write a state dict of torch-fidelity's Inception: random but fixed, normalised so that features do not vanish."""
    oracle = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    network = oracle.FeatureExtractorInceptionV3
    with torch.random.fork_rng(), MonkeyPatch.context() as patch:
        patch.setattr(oracle, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(network, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        random = network("inception-v3-compat", ["2048"])
        norms = [module for module in random.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            # Mostly positive outputs: where half of them are cut off, rounding grows from layer to layer and hides
            # mistakes of the size that the comparison is to find.
            norm.momentum = None
            norm.weight.uniform_(0.4, 1.2)
            norm.bias.uniform_(0.5, 1.5)
            norm.train()
        coarse = torch.rand(4, 3, 5, 5).repeat_interleave(8, 2).repeat_interleave(8, 3) * 200
        random((coarse + 55 * torch.rand(coarse.shape)).to(torch.uint8))
    file = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(random.state_dict(), file)
    return file
