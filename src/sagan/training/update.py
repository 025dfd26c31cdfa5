"""An update of a network's weights, left out where a gradient is not finite."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Adam

SKIPS = ("cpu", "cuda")
"""Devices on which PyTorch's fused Adam can leave an update out without being waited for."""


@dataclass
class Refused:
    """Which updates were left out since this was last asked; counted where the networks lie, so that nobody waits.

    By network ("D", "G"): the number, from 1, of the first parameter whose gradient was not finite, 0 if all were.
    """

    parameter: dict[str, Tensor] = field(default_factory=dict)

    def note(self, network: str, number: Tensor) -> None:
        """Remember the first parameter of the first update that was left out (number 0: none)."""
        before = self.parameter.get(network)
        if before is None:
            self.parameter[network] = number.clone()
        else:  # in place: a CUDA graph writes to where it was recorded
            before.copy_(torch.where(before == 0, number, before))

    def first(self, networks: dict[str, nn.Module]) -> str | None:
        """Name a parameter whose gradient was not finite, as ``D/blocks.0.conv1.weight``; None if there is none.

        This waits for the device.
        """
        for name, number in self.parameter.items():
            if found := int(number):
                return f"{name}/{trained(networks[name])[found - 1][0]}"
        return None


def trained(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """List the parameters that have gradients, by their names."""
    return [(name, parameter) for name, parameter in network.named_parameters() if parameter.grad is not None]


def update_weights(optimizer: Adam, network: nn.Module, name: str, refused: Refused) -> None:
    """Do an optimiser's step, unless a gradient is not finite: then weights, moments and their count stay.

    Args:
        optimizer: Fused Adam of the network's parameters, whose gradients are there.
        network: What is updated.
        name: "D" or "G".
        refused: Is told.
    """
    gradients = [parameter.grad for _, parameter in trained(network) if parameter.grad is not None]
    optimizer.found_inf = None  # type: ignore[attr-defined]  # what GradScaler tells optimisers
    # No sum is finite beside an element that is not; on processors sums are far quicker than norms.
    if gradients[0].device.type == "cpu" and torch.stack([gradient.sum() for gradient in gradients]).isfinite().all():
        optimizer.step()
        return
    broken = ~torch.isfinite(torch.stack(torch._foreach_norm(gradients, float("inf"))))
    any_broken = broken.any()
    refused.note(name, torch.where(any_broken, broken.float().argmax() + 1, 0))
    if any_broken.device.type in SKIPS:
        optimizer.found_inf = any_broken.float()  # type: ignore[attr-defined]
    elif any_broken:
        return
    optimizer.step()
