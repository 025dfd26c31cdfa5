"""Building blocks that know nothing of GANs: they need only PyTorch."""
