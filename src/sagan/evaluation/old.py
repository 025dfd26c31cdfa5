"""The signature that :func:`sagan.evaluate` had before it took a configuration: it works for one more version."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from sagan.evaluation.config import EvaluateConfig
from sagan.generators.pretrained import TrainedGenerator

F = TypeVar("F", bound=Callable[..., Any])
CONFIGURED = (
    "metrics",
    "num",
    "intra_num",
    "score_splits",
    "class_labels",
    "seed",
    "truncation",
    "neighbours",
    "device",
    "cache_dir",
)
OLD = {"generated", "reference", "subject", *CONFIGURED}


def takes_old_signature(new: F) -> F:
    """Let ``evaluate(generated, reference, network, *, metrics=..., num=..., ...)`` do what it did, with a warning."""

    @functools.wraps(new)
    def evaluate(*arguments: Any, **given: Any) -> Any:
        third = arguments[2] if len(arguments) > 2 else None
        if OLD.isdisjoint(given) and (third is None or isinstance(third, EvaluateConfig)):
            return new(*arguments, **given)
        mixed = sorted({"generator", "data", "config"} & given.keys())
        if mixed:
            old = ", ".join(sorted(OLD & given.keys())) or "network"
            raise TypeError(
                f"evaluate() takes {', '.join(mixed)} or, as it was before, {old}, not both; write "
                "evaluate(generator, data, EvaluateConfig(...)), and what is measured into the configuration"
            )
        sides = dict(zip(("generated", "reference", "network"), arguments, strict=False))
        return _as_before(new, **sides, **given)

    return cast(F, evaluate)


def _as_before(
    new: Callable[..., Any],
    generated: Any,
    reference: Any,
    network: Any,
    *,
    subject: dict[str, Any] | None = None,
    progress: bool = True,
    **configured: Any,
) -> Any:
    unknown = configured.keys() - CONFIGURED
    if unknown:
        raise TypeError(f"evaluate() got an unexpected keyword argument {min(unknown)!r}")
    told = ", ".join(f"{name}={value!r}" for name, value in configured.items())
    warnings.warn(
        "evaluate(generated, reference, network, ...) is the old signature and goes with the next version; write "
        f"evaluate(generator, data, EvaluateConfig({told}), network=network)",
        DeprecationWarning,
        stacklevel=3,
    )
    if not isinstance(generated, TrainedGenerator):  # they did nothing then, and now would be refused
        configured = {name: value for name, value in configured.items() if name not in ("seed", "truncation")}
    config = EvaluateConfig(**{"metrics": ("fd", "is", "kd", "prdc"), "device": "cpu"} | configured)
    found = new(generated, reference, config, network=network, progress=progress)
    return replace(found, report=replace(found.report, subject=found.report.subject | (subject or {})))
