"""What training, sampling, reading and features cost on this machine."""
