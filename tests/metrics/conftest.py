"""torch-fidelity as the oracle: it can be imported without torchvision, whose parts it needs are not used here."""

import importlib.util
import sys
import types

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
