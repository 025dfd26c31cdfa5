"""Pictures of what a GAN does: arrays in, images out. Nothing here knows of networks or training."""

from typing import TYPE_CHECKING

from sagan.lazy import lazy_names

if TYPE_CHECKING:
    from sagan.figures.attention import AttentionStyle, attention_figure, attention_target
    from sagan.figures.curves import band_curves, comparison_curves, training_curves
    from sagan.figures.dots import dot_plot
    from sagan.figures.grid import sample_grid, strip, timeline
    from sagan.figures.save import save_animation, save_image
    from sagan.figures.table import table_picture

__all__ = [
    "AttentionStyle",
    "attention_figure",
    "attention_target",
    "band_curves",
    "comparison_curves",
    "dot_plot",
    "sample_grid",
    "save_animation",
    "save_image",
    "strip",
    "table_picture",
    "timeline",
    "training_curves",
]

__getattr__ = lazy_names(
    __name__,
    {
        "sagan.figures.attention": ["AttentionStyle", "attention_figure", "attention_target"],
        "sagan.figures.curves": ["band_curves", "comparison_curves", "training_curves"],
        "sagan.figures.dots": ["dot_plot"],
        "sagan.figures.grid": ["sample_grid", "strip", "timeline"],
        "sagan.figures.save": ["save_animation", "save_image"],
        "sagan.figures.table": ["table_picture"],
    },
)
