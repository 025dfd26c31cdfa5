"""Pictures in, values out: the whole way, against torch-fidelity on the same pictures and weights."""

import numpy as np
import pytest
import torch

from sagan.evaluation import EvaluateConfig, evaluate
from sagan.metrics.inception import load_inception

oracle = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
fid = pytest.importorskip("torch_fidelity.metric_fid")
isc = pytest.importorskip("torch_fidelity.metric_isc")
kid = pytest.importorskip("torch_fidelity.metric_kid")
prc = pytest.importorskip("torch_fidelity.metric_prc")


def pictures(seed, count=24):
    """Make smooth pictures of 40 px with different colours and layouts."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (count, 5, 5, 3)) + random.integers(0, 56, (count, 1, 1, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1), int)).astype(np.uint8)


@pytest.mark.slow("two passes of the Inception network")
def test_values_equal_torch_fidelitys(inception_file):
    generated, real = pictures(0), pictures(1)
    config = EvaluateConfig(metrics=["fd", "is", "kd", "prdc"], score_splits=3, device="cpu")
    report = evaluate(generated, real, config, network=load_inception(inception_file), progress=False).report
    ours = {value.metric.partition("(")[0]: value for value in report.values}

    extractor = oracle.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(inception_file)
    )
    with torch.no_grad():
        sides = [extractor(torch.from_numpy(side).permute(0, 3, 1, 2).contiguous()) for side in (generated, real)]
    (features, logits), (features_real, _) = sides
    statistics = [fid.fid_features_to_statistics(side) for side in (features, features_real)]
    expected = fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]
    assert ours["FD"].value == pytest.approx(expected, rel=1e-4)

    score = isc.isc_features_to_metric(logits, splits=3)
    assert ours["IS"].value == pytest.approx(score[isc.KEY_METRIC_ISC_MEAN], rel=1e-4)
    assert ours["IS"].spread == pytest.approx(score[isc.KEY_METRIC_ISC_STD], rel=1e-4)

    distance = kid.kid_features_to_metric(features, features_real, kid_subsets=100, kid_subset_size=24, verbose=False)
    assert ours["KD"].value == pytest.approx(distance[kid.KEY_METRIC_KID_MEAN], rel=1e-4)
    # All subsets are the whole set, so the spread is only the rounding: theirs is of float32.
    assert ours["KD"].spread == pytest.approx(distance[kid.KEY_METRIC_KID_STD], abs=1e-5)

    # torch-fidelity's first input is the generated side.
    balls = prc.prc_features_to_metric(features, features_real, prc_neighborhood=3, verbose=False)
    assert ours["precision"].value == pytest.approx(balls[prc.KEY_METRIC_PRECISION], rel=1e-4)
    assert ours["recall"].value == pytest.approx(balls[prc.KEY_METRIC_RECALL], rel=1e-4)
