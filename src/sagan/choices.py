"""The options that have names, as types: what a flag or a field of a configuration takes. Without PyTorch.

What each does is said where it is done: the room is named beside it.
"""

from typing import Literal

AttentionForm = Literal["slides", "official", "paper_v2", "full"]
"""Published forms of the attention block (ops/attention.py)."""
AttentionImplementation = Literal["auto", "explicit", "fused", "tiled"]
"""Ways to compute it (ops/attention.py)."""
SpectralGradient = Literal["stop", "full"]
"""Whether gradients flow through the singular vectors (ops/spectral.py)."""
BatchStatistics = Literal["local", "sync", "ghost"]
"""What batch normalisation works over in training (ops/norm.py)."""
Conditioning = Literal["tables", "linear"]
"""How the class gives gain and bias (ops/norm.py)."""
AugmentOp = Literal["color", "translation", "cutout"]
"""Differentiable augmentations (ops/augment.py)."""
Loss = Literal["hinge", "non-saturating", "relativistic"]
"""Adversarial losses (losses.py)."""
DiscriminatorVectors = Literal["once", "joint", "separate"]
"""When D's spectral vectors move (training/step.py)."""
DiscriminatorOrder = Literal["real_first", "generated_first"]
"""Which images D sees first where it sees them apart (training/step.py)."""
SpectralSide = Literal["left", "right"]
"""Whether a power iteration goes out from u or from v (ops/spectral.py)."""
FrozenFeatures = Literal["none", "efficientnet-lite0"]
"""Networks whose features D can look through (models/feature_heads.py)."""
Each = Literal["each", "g_step_only"]
"""Whether something of G moves in each of its forwards, or in those of its own step alone (training/step.py)."""
AverageRunning = Literal["copy", "average"]
"""What the moving average does with running statistics (training/ema.py)."""
