import matplotlib as mpl
import numpy as np
import pytest

from sagan.figures import band_curves, comparison_curves, training_curves
from sagan.figures.curves import comparison_panel, draw_panels, moving_median, thin, training_panels


def log(count, *, seed=0, **changes):
    rng = np.random.default_rng(seed)
    return [
        {
            "step": step,
            "time_s": 1.5 * step,
            "loss_d": float(rng.normal(1.5)),
            "loss_g": float(rng.normal(0.5)),
            "real_logits": 0.5,
            "fake_logits": -0.5,
            "trained_logits": 0.75,
            "heldout_logits": 0.25,
            "gamma/G/8": 0.125,
            "gamma/G/16": 0.25,
            "gamma/D/16": -0.5,
            "images_per_s": 300.0,
            "score/fid": 100.0 - step / count,
        }
        | changes
        for step in range(count)
    ]


def losses(count, *, seed=0):
    return [{key: record[key] for key in ("step", "loss_d", "loss_g")} for record in log(count, seed=seed)]


def titles(panels):
    return [axes.get_title(loc="left") for axes in draw_panels(panels).axes]


def test_a_full_log_has_all_panels_and_curves():
    panels = training_panels(log(5))
    wanted = ["Losses", "Logits of D", "Logits of D on real pictures", "Attention gate γ", "Images per second", "fid"]
    assert titles(panels) == wanted
    names = [list(panel.series) for panel in panels]
    assert names[1] == ["real, as trained on", "generated"]
    assert names[2] == ["trained on", "held out"]
    assert names[3] == ["D/16", "G/8", "G/16"]
    steps, values = panels[3].series["G/16"]
    assert steps.tolist() == [0, 1, 2, 3, 4] and values.tolist() == [0.25] * 5


def test_what_is_not_in_the_log_gets_no_panel():
    panels = training_panels([{"step": 1, "loss_g": 0.5, "heldout_logits": None}, {"step": 2, "score/kid": 0.1}])
    assert titles(panels) == ["Losses", "kid"]
    assert list(panels[0].series) == ["G"]


def test_the_curves_in_the_figure_are_the_values():
    figure = draw_panels(training_panels([{"step": 10, "loss_d": 1.0}, {"step": 30, "loss_d": 4.0}]))
    (line,) = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == [10, 30] and line.get_ydata().tolist() == [1.0, 4.0]


def test_a_resumed_log_is_drawn_in_order_with_the_later_record_of_a_step():
    records = [{"step": s, "loss_d": v} for s, v in [(1, 1.0), (4, 9.0), (2, 2.0), (3, 3.0), (4, 4.0)]]
    steps, values = training_panels(records)[0].series["D"]
    assert steps.tolist() == values.tolist() == [1, 2, 3, 4]


def test_a_collapse_is_marked_in_every_panel_and_its_end_is_not():
    collapse = [{"step": 2, "health": "diverged", "over": False}, {"step": 3, "health": "diverged", "over": True}]
    axes = draw_panels(training_panels([*log(5), *collapse])).axes
    for panel in axes:
        assert [line.get_xdata()[0] for line in panel.get_lines() if line.get_linestyle() == "--"] == [2]


def test_variety_and_spectral_norms_have_panels():
    records = [
        {"step": s, "variety/within": 0.8, "variety/between": 0.9, "sigma/G": 1.0, "sigma/D": 1.1} for s in (1, 2)
    ]
    panels = training_panels(records)
    assert titles(panels) == ["Variety of samples (real: 1)", "Largest singular value"]
    assert [list(panel.series) for panel in panels] == [["between classes", "within classes"], ["D", "G"]]


def test_values_that_are_not_finite_are_marked_at_their_steps():
    records = [{"step": s, "loss_d": float(s)} for s in range(8)]
    records[3]["loss_d"], records[4]["loss_d"] = float("nan"), "inf"
    crosses, line = draw_panels(training_panels(records)).axes[0].get_lines()
    assert crosses.get_marker() == "x" and crosses.get_xdata().tolist() == [3, 4]
    assert line.get_xdata().tolist() == [0, 1, 2, 5, 6, 7]
    assert training_curves(records).width > 0


def test_a_run_of_nothing_but_nan_is_drawn():
    assert training_curves([{"step": s, "loss_d": float("nan")} for s in range(100)]).width > 0


@pytest.mark.parametrize("window", [1, 3, 7, 21])
def test_the_moving_median_equals_a_loop(window):
    values = np.random.default_rng(0).normal(size=40)
    half = window // 2
    expected = [np.median(values[max(0, i - half) : i + half + 1]) for i in range(40)]
    np.testing.assert_array_equal(moving_median(values, window), expected)


def test_thinning_keeps_every_peak_and_the_order():
    steps = np.arange(0, 100_000, 10, dtype=float)
    values = np.random.default_rng(0).normal(size=len(steps))
    values[4321], values[77] = 50.0, -60.0
    thin_steps, middles, lows, highs = thin(steps, values, 600)
    assert len(thin_steps) == len(middles) == len(lows) == len(highs) == 600
    assert (np.diff(thin_steps) > 0).all()
    assert highs.max() == 50.0 and lows.min() == -60.0
    assert ((lows <= middles) & (middles <= highs)).all()
    assert np.abs(middles).max() < 2


def test_a_spike_does_not_lift_the_strong_curve():
    """It is a median, of a log that is drawn whole and of one that is thinned: a mean would follow the spike."""
    for count in (200, 3000):
        records = [{"step": s, "loss_d": 1.0 + s % 2} for s in range(count)]
        records[count // 2]["loss_d"] = 1e6
        axes = draw_panels(training_panels(records)).axes[0]
        strong = axes.get_lines()[-1]
        assert strong.get_linewidth() > 1.0
        assert max(strong.get_ydata()) <= 2.0
    _, middles, _, highs = thin(np.arange(9.0), np.array([0.0, 1.0, 50.0] * 3), 3)
    assert (middles.tolist(), highs.tolist()) == ([1.0] * 3, [50.0] * 3)


def test_long_losses_are_smoothed_and_gamma_is_not():
    records = [*log(2000), {"step": 3000, "gamma/G/8": 7.0}]
    axes = draw_panels(training_panels(records)).axes
    noisy, gammas = axes[0], axes[3]
    assert max(len(line.get_xdata()) for line in noisy.get_lines()) <= 600
    assert np.std(noisy.get_lines()[0].get_ydata()) < 0.3, "the strong curve has little of the noise of size 1"
    assert noisy.collections, "the range of the raw values is there"
    assert max(line.get_ydata().max() for line in gammas.get_lines()) == 7.0
    assert not gammas.collections


def test_the_axis_of_images_per_second_starts_just_below_zero():
    axes = draw_panels(training_panels([{"step": s, "images_per_s": 300.0 + s} for s in range(3)])).axes[0]
    bottom, top = axes.get_ylim()
    assert bottom == pytest.approx(-0.03 * top)
    assert 0 <= axes.get_yticks()[1] <= 50.0


def test_a_curve_that_stays_at_zero_is_within_its_panel():
    records = [{"step": s, "overfitting/copies": 0.0} for s in range(3)]
    axes = draw_panels(training_panels(records)).axes[0]
    assert axes.get_ylim()[0] < 0 < axes.get_ylim()[1]


def test_pictures_follow_the_data_and_only_the_data():
    first, again, other = (np.asarray(training_curves(losses(80, seed=seed))) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert first.shape == other.shape and not np.array_equal(first, other)


def test_title_and_caption_enlarge_the_picture():
    plain = training_curves(losses(5))
    texts = training_curves(losses(5), title="A run", caption="batch 64")
    assert texts.width == plain.width and texts.height > plain.height + 40


def test_a_comparison_has_a_curve_per_run_and_marks_runs_without_data():
    panel = comparison_panel({"a": log(4), "b": log(3), "c": [{"step": 1}]}, "score/fid", label="FID")
    assert panel.title == "FID"
    assert [(name, len(steps)) for name, (steps, _) in panel.series.items()] == [("a", 4), ("b", 3), ("c (no data)", 0)]


def test_names_in_the_legend_are_text_also_with_signs_that_matplotlib_reads():
    names = ["_hidden", "a $x$ b", "$\\broken$", "n" * 90, *map(str, range(12))]
    runs = {name: log(3, seed=number) for number, name in enumerate(names)}
    axes = draw_panels([comparison_panel(runs, "loss_d")], legend_beside=True).axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[:3] == names[:3] and texts[3] == "n" * 47 + "…" and len(texts) == len(names)
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(looks) == len(names), "no two runs look the same"
    assert comparison_curves(runs, "loss_d", label="$\\broken$", title="$", caption="$$").width > 900


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(mpl.rcParams)
    training_curves(log(5))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "0 records and nothing to draw"),
        ([{"step": 1, "other": 2.0}], "their keys: other, step"),
        ([{"loss_d": 1.0}], "record 0 of the log has 'loss_d' and no whole-number 'step'"),
        ([{"step": 1.5, "loss_d": 1.0}], "step"),
        ([{"step": 3, "loss_d": "high"}], "'loss_d' at step 3 of the log is not a number: 'high'"),
        ([{"step": 3, "score/fid": True}], "not a number: True"),
    ],
)
def test_logs_that_cannot_be_drawn_are_explained(records, message):
    with pytest.raises(ValueError, match=message):
        training_curves(records)


def test_a_comparison_of_what_no_run_has_names_what_they_have():
    with pytest.raises(ValueError, match="none of the 2 runs has 'score/is' in its log; found: loss_d, score/fid"):
        comparison_curves({"a": [{"step": 1, "loss_d": 1.0}], "b": [{"step": 1, "score/fid": 2.0}]}, "score/is")


def test_a_band_reaches_from_the_least_to_the_greatest_run(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "sagan.figures.curves.draw_panels", lambda panels, **how: (seen.extend(panels), draw_panels(panels, **how))[1]
    )
    steps = (0, 10, 20)
    values = ((3, 2, 1), (5, 6, 1), (10, 7, 1))  # of three the mean is not the median
    runs = [[{"step": s, "score/fid": v} for s, v in zip(steps, run, strict=True)] for run in values]
    runs[1] = runs[1][:2]  # one run ended early
    band_curves({"a": runs, "none": []}, "score/fid")
    (panel,) = seen
    steps, mean = panel.series["a"]
    np.testing.assert_array_equal(steps, [0, 10, 20])
    np.testing.assert_array_equal(mean, [6, 5, 1])
    np.testing.assert_array_equal(panel.bands["a"], [[3, 2, 1], [10, 7, 1]])
    assert list(panel.series) == ["a"]
    assert panel.x_label == "step"
    band_curves({"a": runs}, "score/fid", x_label="processor seconds")
    assert seen[-1].x_label == "processor seconds"
    (axes,) = draw_panels(seen[-1:]).axes
    assert axes.get_xlabel() == "processor seconds"


def test_a_band_of_nothing_is_refused():
    with pytest.raises(ValueError, match="none of the runs has 'score/fid'"):
        band_curves({"a": [losses(3)]}, "score/fid")


@pytest.mark.parametrize(
    "values", [(1e308, 1e308), (1e308, -1e308, 1.0), ("inf", "-inf", 10**99), (1e30, -1e30, 5e-324)]
)
def test_values_as_no_training_has_them_can_be_drawn(values):
    log = [{"step": step, "loss_d": value} for step, value in enumerate(values)]
    assert training_curves(log).width > 0
    assert comparison_curves({"x": log}, "loss_d").width > 0
    assert band_curves({"x": [log, [{"step": 0, "loss_d": values[1]}]]}, "loss_d").width > 0


def test_the_rest_of_a_curve_is_drawn_beside_values_as_no_training_has_them():
    records = [{"step": s, "loss_d": float(s), "loss_g": -1.0} for s in range(8)]
    records[3] |= {"loss_d": 1e308, "loss_g": -1e308}
    axes = draw_panels(training_panels(records)).axes[0]
    crosses, line = axes.get_lines()[:2]
    assert crosses.get_marker() == "x" and crosses.get_xdata().tolist() == [3]
    assert line.get_ydata().tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert axes.get_ylim()[1] < 10
