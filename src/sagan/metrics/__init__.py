"""Metrics: images to features to statistics to a number. Nothing here knows of models or training."""
