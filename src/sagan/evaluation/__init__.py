"""How good are pictures? Generated ones against real ones, every number with the way it was made."""

from sagan.evaluation.judge import Evaluation, comparison, evaluate
from sagan.evaluation.networks import FeatureName, load_network
from sagan.evaluation.passes import Collected, collect, sampled_batches
from sagan.evaluation.reference import (
    Reference,
    ReferenceStatistics,
    Split,
    read_statistics,
    real_batches,
    reference_of,
    reference_statistics,
    write_statistics,
)
from sagan.evaluation.values import METRICS, Metric, measure, metric_name
from sagan.evaluation.within_classes import ClassDistance, intra_distance, plan_intra

__all__ = [
    "METRICS",
    "ClassDistance",
    "Collected",
    "Evaluation",
    "FeatureName",
    "Metric",
    "Reference",
    "ReferenceStatistics",
    "Split",
    "collect",
    "comparison",
    "evaluate",
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
