"""Training: the state, one step of it, the loop, checkpoints. Nothing here knows of files of pictures or of metrics."""
