"""A feature network that needs no weights, and short ways to judge with it."""

import sagan.evaluation
from sagan.evaluation import EvaluateConfig
from sagan.metrics.features import Features, check_images

NAMES = ("red", "green", "blue")


def evaluate(side, reference, network, **fields):
    """Judge with a configuration of these fields, silently."""
    return sagan.evaluation.evaluate(side, reference, EvaluateConfig(**fields), network=network, progress=False)


class Cells:
    """Twelve features: the mean colour of each quarter; three logits: the mean colour of the picture."""

    name = "cells"
    weights_sha256 = "0" * 64
    width = 12
    num_classes = 3
    image_px = 16
    resize = "none"
    logits = "colours"

    def __init__(self) -> None:
        self.seen = 0

    def to(self, device):
        return self

    def __call__(self, images):
        check_images(images)
        self.seen += len(images)
        cells = images.float().reshape(len(images), 2, 8, 2, 8, 3).mean((2, 4)).flatten(1) / 255.0
        return Features(cells, 8.0 * cells.reshape(len(images), 4, 3).mean(1))


def by_name(result):
    return {value.metric: value for value in result.report.values}
