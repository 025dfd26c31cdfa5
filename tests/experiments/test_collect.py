"""From results to cells: means, spreads, what is missing, what went wrong."""

import statistics
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sagan.evaluation import metric_name
from sagan.experiments.catalogue import EXPERIMENTS
from sagan.experiments.collect import mean_and_spread, stages, stages_table, table

FD = "FD(pixels 8x8)"


def cells(made, name: str) -> dict[str, str]:
    row = next(row for row in made.rows if row[0] == name)
    return dict(zip(made.columns, row, strict=True))


def test_mean_and_spread() -> None:
    assert mean_and_spread([]) == "-"
    assert mean_and_spread([12.34]) == "12.3"
    values = [10.0, 11.0, 15.0]
    assert mean_and_spread(values) == f"12.0 ± {statistics.stdev(values):.1f}"
    assert mean_and_spread([0.25, 0.75], percent=True) == "50.0 ± 35.4 %"
    assert mean_and_spread([0.5, 0.5]) == "0.50 ± 0.00"


def test_a_table_has_ours_beside_the_papers(tmp_path, result, sweep_of) -> None:
    log = [{"step": 2, f"score/{FD}": 9.0}, {"step": 4, f"score/{FD}": 11.0}]
    given = {"no attention": {seed: result(20.0 + seed, 19.0, log) for seed in range(3)}}
    made = table(sweep_of(tmp_path, "table1", given))
    row = cells(made, "no attention")
    assert row[f"{FD}, last step"] == "21.0 ± 1.0"
    assert row[f"{FD}, best checkpoint"] == "19.0 ± 0.0"
    assert row[f"{FD}, best of training"] == "9.00 ± 0.00"
    assert row["published FID"] == "22.96"
    assert row["weights"] == "1,500"
    assert row["seeds"] == "3"
    assert row["seen"] == "nothing"
    assert "FID" not in " ".join(c for c in made.columns if not c.startswith("published"))
    single = [n for n in made.numbers if n["row"] == "no attention" and n["quantity"] == f"{FD}, last step"]
    assert [(n["seed"], n["value"]) for n in single] == [(0, 20.0), (1, 21.0), (2, 22.0)]


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("inception-2015-12-05", ("FID", "IS", "intra-FID")),
        ("inception-v3", ("FD(inception-v3)", "IS(inception-v3)", "intra-FD(inception-v3)")),
    ],
)
def test_what_inception_measured_stands_in_the_table(tmp_path, result, sweep_of, network, names) -> None:
    fd, score, intra = (metric_name(metric, SimpleNamespace(name=network)) for metric in ("fd", "is", "intra"))
    assert (fd, score, intra) == names
    values = [
        {"metric": name, "value": value, "protocol": {}} for name, value in zip(names, (19.5, 50.0, 80.5), strict=True)
    ]
    log = [{"step": 4, f"score/{fd}": 21.5, f"score/{score}": 45.0}]
    measured = result(None, reports={"final": {"step": 4, "values": values}}, log=log)
    sweep = sweep_of(tmp_path, "table2", {"SAGAN": {0: measured}})
    judging = replace(sweep.scale.judging, features="inception")
    object.__setattr__(sweep, "scale", replace(sweep.scale, judging=judging))
    row = cells(table(sweep), "SAGAN")
    assert [row[f"{name}, last step"] for name in names] == ["19.5", "50.0", "80.5"]
    assert [row[f"{name}, best of training"] for name in names[:2]] == ["21.5", "45.0"]


def test_missing_seeds_rows_and_positions_are_told(tmp_path, result, sweep_of) -> None:
    made = table(sweep_of(tmp_path, "table1", {"no attention": {0: result(20.0)}}))
    assert cells(made, "no attention")["seeds"] == "1 of 3"
    assert cells(made, "attention feat8")["seen"] == "not run"
    assert cells(made, "attention feat32")["seen"] == "no such position at this size"
    assert cells(made, "attention feat32")[f"{FD}, last step"] == "-"


def test_what_diverged_or_collapsed_is_not_dropped(tmp_path, result, sweep_of) -> None:
    health = [
        {"step": 3, "health": "diverged", "over": False},
        {"step": 4, "health": "diverged", "over": True},
    ]
    given = {
        "SN on D": {0: result(None, status="diverged", step=40), 1: result(30.0, health=health)},
        "SN on G/D": {0: result(25.0)},
    }
    made = table(sweep_of(tmp_path, "figure3", given, seeds=2))
    assert cells(made, "SN on D")["seen"] == "DIVERGED by step 40 (seed 0); diverged (seed 1)"
    assert cells(made, "SN on D")["seeds"] == "2"
    assert cells(made, "SN on D")[f"{FD}, last step"] == "30.0 (1 of 2 seeds)"


def test_the_last_healthy_checkpoint_of_a_diverged_run_is_no_last_step(tmp_path, result, sweep_of) -> None:
    given = {"SN on D": {0: result(500.0, status="diverged", step=40), 1: result(30.0)}}
    made = table(sweep_of(tmp_path, "figure3", given, seeds=2))
    assert cells(made, "SN on D")[f"{FD}, last step"] == "30.0 (1 of 2 seeds)"


def test_what_is_not_finite_is_said() -> None:
    assert mean_and_spread([1.0, float("nan")]) == "not finite"
    assert mean_and_spread([float("inf"), 2.0]) == "not finite"


def pairs(readable: float, consistent: float, chance: float) -> dict[str, Any]:
    one = {"pictures": 100, "readable": readable, "consistent": consistent, "chance": chance, "above_chance": 0.5}
    from sagan.data.pairs import AGREES_IN, TEXTURES

    return {
        "final": {
            "structured": dict.fromkeys(AGREES_IN, one),
            "textures": {name: {"pictures": 100, "recognised": 0.25} for name in TEXTURES},
        }
    }


def test_pairs_are_pooled_over_the_readable_pictures(tmp_path, result, sweep_of) -> None:
    found = pairs(0.5, 0.6, 0.2)
    name = next(iter(found["final"]["structured"]))
    # A class of which little is read counts as little.
    found["final"]["structured"][name] = found["final"]["structured"][name] | {"readable": 0.1, "consistent": 1.0}
    made = table(sweep_of(tmp_path, "structure", {"no attention": {0: result(None, pairs=found)}}, seeds=1))
    row = cells(made, "no attention")
    pooled = (5 * 0.5 * 0.6 + 0.1 * 1.0) / (5 * 0.5 + 0.1)
    assert row["consistent (of the readable)"] == f"{100 * pooled:.1f} %"
    assert row["above chance (0 to 1)"] == f"{(pooled - 0.2) / 0.8:.2f}"
    assert row["readable pairs"] == f"{100 * (5 * 0.5 + 0.1) / 6:.1f} %"
    assert row["textures recognised"] == "25.0 %"


def test_stages_collect_the_distances_of_all_seeds(tmp_path, result, sweep_of) -> None:
    logs = [[{"step": 2, f"score/{FD}": 9.0, "score/IS": 3.0}], [{"step": 2, f"score/{FD}": 11.0}]]
    sweep = sweep_of(tmp_path, "figure4", {"SN on D": {i: result(1.0, log=log) for i, log in enumerate(logs)}})
    assert stages(sweep, sweep.rows[0]) == {2: [9.0, 11.0]}
    made = stages_table(sweep)
    row = cells(made, "SN on D")
    assert row["distance at step 2"] == "10.0 ± 1.4"
    assert row["published FID at step"] == "181.84 at 10,000"
    assert 72.41 in [number["value"] for number in made.numbers]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_table_without_results(tmp_path, name: str, sweep_of) -> None:
    made = table(sweep_of(tmp_path, name, {}))
    assert all(len(row) == len(made.columns) for row in made.rows)
