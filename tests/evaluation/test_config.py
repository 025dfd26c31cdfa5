"""What an evaluation may choose: names as they are typed, numbers, and no PyTorch to read it."""

import subprocess
import sys

import pytest

from sagan.evaluation import EvaluateConfig
from sagan.metrics.config import MonitorConfig
from sagan.metrics.names import metrics_of


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("fid",), ("fd",)),
        (("FID", "KID"), ("fd", "kd")),
        (("precision", "recall", "density", "coverage"), ("prdc",)),
        (("inception-score", "is"), ("is",)),
        (("class_accuracy", "intra-fid"), ("accuracy", "intra")),
    ],
)
def test_what_people_type_is_understood(typed, meant):
    assert metrics_of(typed) == meant


def test_a_run_stores_the_names_of_old():
    assert MonitorConfig(metrics=("FID", "precision")) == MonitorConfig(metrics=("fd", "prdc"))
    with pytest.raises(ValueError, match="takes some of fd, is, kd, prdc, found intra-fid"):
        MonitorConfig(metrics=("intra-fid",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ("fidd",)}, "found fidd; did you mean fid"),
        ({"split": "heldou"}, "split must be one of all, train, heldout, found 'heldou'; did you mean heldout?"),
        ({"split": "foo"}, "split must be one of all, train, heldout, found 'foo'$"),
        (
            {"features": "inceptoin"},
            "features must be one of .*, found 'inceptoin'; did you mean inception?",
        ),
        ({"feature_width": 640}, "feature_width must be one of 320, 1280, found 640"),
        ({"num": 1}, "num must be at least 2, found 1"),
        ({"score_splits": 0}, "score_splits must be at least 1, found 0"),
        ({"export_statistics": "real.txt"}, "export_statistics must end in .npz, found real.txt"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**fields)


def test_the_least_that_can_be_is_taken():
    config = EvaluateConfig(num=2, intra_num=2, score_splits=1, neighbours=0)
    assert (config.num, config.intra_num, config.score_splits, config.neighbours) == (2, 2, 1, 0)
    for field, most in (("intra_num", 1), ("neighbours", -1)):
        with pytest.raises(ValueError, match=f"{field} must be at least {most + 1}, found {most}"):
            EvaluateConfig(**{field: most})
    assert MonitorConfig(num=10, real=10).num == 10
    for field in ("num", "real"):
        with pytest.raises(ValueError, match=f"{field} must be at least 10, found 9"):
            MonitorConfig(**{field: 9})


@pytest.mark.parametrize("module", ["sagan.evaluation.config", "sagan.cli.evaluate"])
def test_flags_are_read_without_pytorch(module):
    heavy = "{'torch', 'scipy', 'sklearn', 'matplotlib'}"
    script = f"import sys; import {module}; print(*sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
