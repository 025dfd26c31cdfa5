"""The signature of before: the same values, and a warning that says what to write."""

import warnings

import numpy as np
import pytest
from cells import Cells
from cells import evaluate as judge

import sagan
from sagan.evaluation import reference_of


def test_the_old_signature_gives_the_same_values_and_says_what_to_write(dataset, generator):
    with pytest.warns(DeprecationWarning, match=r"EvaluateConfig\(metrics=\['fd', 'kd'\], num=20, seed=3\)") as caught:
        old = sagan.evaluate(
            generator, reference_of(dataset), Cells(), metrics=["fd", "kd"], num=20, seed=3, progress=False
        )
    assert caught[0].filename == __file__
    assert old.report == judge(generator, reference_of(dataset), Cells(), metrics=["fd", "kd"], num=20, seed=3).report


def test_what_did_nothing_before_still_does_nothing(dataset):
    images = np.array(dataset.images)
    with pytest.warns(DeprecationWarning):
        old = sagan.evaluate(
            generated=dataset,
            reference=images,
            network=Cells(),
            metrics=["fd"],
            seed=3,
            subject={"from": "elsewhere"},
            progress=False,
        )
    assert old.report.subject["from"] == "elsewhere"
    assert old.report.values[0].value == pytest.approx(0.0, abs=1e-9)


def test_a_misspelt_argument_is_refused(dataset):
    with pytest.raises(TypeError, match="unexpected keyword argument 'metrisc'"):
        sagan.evaluate(dataset, reference_of(dataset), Cells(), metrisc=["fd"], progress=False)
    with warnings.catch_warnings(), pytest.raises(TypeError, match="unexpected keyword argument"):
        warnings.simplefilter("error")
        judge_new = sagan.evaluate
        judge_new(dataset, reference_of(dataset), network=Cells(), metrisc=["fd"], progress=False)


def test_arguments_of_both_signatures_are_refused(dataset):
    with pytest.raises(TypeError, match=r"takes data, generator or, as it was before, metrics, not both; write eval"):
        sagan.evaluate(generator=dataset, data=dataset, metrics=["fd"])
