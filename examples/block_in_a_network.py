"""Self-attention inside a network of your own: a small classifier of digits, with and without it."""

import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sagan import DataConfig, SelfAttention2d
from sagan.data import open_dataset


class Classifier(nn.Module):
    """Two convolutions, attention between them if wanted, ten logits."""

    def __init__(self, attention: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        # (B, 32, 8, 8) -> the same; the identity at the start, as its gamma is 0.
        self.attention = SelfAttention2d(32) if attention else nn.Identity()
        self.second = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, 3, 16, 16) to logits (B, 10)."""
        h = self.attention(F.relu(self.first(x)))
        return self.head(F.relu(self.second(h)).mean((2, 3)))


def main(steps: int = 300) -> None:
    """Train both and print how many of 200 held-out digits each names."""
    digits = open_dataset(DataConfig(path="digits"), 16)
    images = torch.from_numpy(np.asarray(digits.images[:])).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    labels = torch.from_numpy(digits.labels)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    held_out, train = order[:200], order[200:]
    for attention in (False, True):
        torch.manual_seed(0)
        network = Classifier(attention)
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
        for step in range(steps):
            batch = train[torch.arange(64 * step, 64 * step + 64) % len(train)]
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            right = (network(images[held_out]).argmax(1) == labels[held_out]).float().mean()
        gamma = f", gamma {network.attention.gamma.item():+.3f}" if attention else ""
        print(f"{'with' if attention else 'without'} attention: {right:.1%} of 200 digits{gamma}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
