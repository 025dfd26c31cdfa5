"""How good are pictures? Generated ones against real ones, every number with the way it was made."""

from typing import TYPE_CHECKING

from sagan.evaluation.config import METRICS, EvaluateConfig, FeatureName, Metric, Split
from sagan.lazy import lazy_names

if TYPE_CHECKING:
    from sagan.evaluation.case import Case
    from sagan.evaluation.judge import evaluate, export_statistics
    from sagan.evaluation.measures import Found, Measure, Needs, measure, metric_name
    from sagan.evaluation.networks import load_network
    from sagan.evaluation.outcome import Evaluation, comparison
    from sagan.evaluation.passes import Collected, collect, sampled_batches
    from sagan.evaluation.reference import (
        Reference,
        ReferenceStatistics,
        read_statistics,
        real_batches,
        reference_of,
        reference_statistics,
        write_statistics,
    )
    from sagan.evaluation.within_classes import ClassDistance, intra_distance, plan_intra

__all__ = [
    "METRICS",
    "Case",
    "ClassDistance",
    "Collected",
    "EvaluateConfig",
    "Evaluation",
    "FeatureName",
    "Found",
    "Measure",
    "Metric",
    "Needs",
    "Reference",
    "ReferenceStatistics",
    "Split",
    "collect",
    "comparison",
    "evaluate",
    "export_statistics",
    "intra_distance",
    "load_network",
    "measure",
    "metric_name",
    "plan_intra",
    "read_statistics",
    "real_batches",
    "reference_of",
    "reference_statistics",
    "sampled_batches",
    "write_statistics",
]

# The configuration is read without PyTorch; whoever asks for the rest waits for it.
__getattr__ = lazy_names(
    __name__,
    {
        "sagan.evaluation.case": ["Case"],
        "sagan.evaluation.judge": ["evaluate", "export_statistics"],
        "sagan.evaluation.measures": ["Found", "Measure", "Needs", "measure", "metric_name"],
        "sagan.evaluation.networks": ["load_network"],
        "sagan.evaluation.outcome": ["Evaluation", "comparison"],
        "sagan.evaluation.passes": ["Collected", "collect", "sampled_batches"],
        "sagan.evaluation.reference": [
            "Reference",
            "ReferenceStatistics",
            "read_statistics",
            "real_batches",
            "reference_of",
            "reference_statistics",
            "write_statistics",
        ],
        "sagan.evaluation.within_classes": ["ClassDistance", "intra_distance", "plan_intra"],
    },
)
