"""Self-Attention GAN for PyTorch."""
