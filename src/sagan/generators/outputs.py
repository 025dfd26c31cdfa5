"""What a trained generator gives, written to files: the functions of samples.py and attention.py in one place."""

from sagan.generators.attention import (
    attention_to_file,
    discriminator_attention,
    draw_attention,
    write_attention,
    write_discriminator_attention,
)
from sagan.generators.config import ANIMATIONS, Style
from sagan.generators.files import describe_weights, safe_name, save_arrays
from sagan.generators.samples import MAX_GRID_CLASSES, sample_to_file, write_interpolation, write_samples
from sagan.places import PICTURES

__all__ = [
    "ANIMATIONS",
    "MAX_GRID_CLASSES",
    "PICTURES",
    "Style",
    "attention_to_file",
    "describe_weights",
    "discriminator_attention",
    "draw_attention",
    "safe_name",
    "sample_to_file",
    "save_arrays",
    "write_attention",
    "write_discriminator_attention",
    "write_interpolation",
    "write_samples",
]
