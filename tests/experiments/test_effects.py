"""Differences between rows: Welch's interval, what is compared with what, and what is said of it."""

import math

import pytest

from sagan.experiments.effects import effects, effects_table, left_out, shares_beyond, welch_interval
from sagan.experiments.render import as_csv, render
from sagan.experiments.sweep import remember

FD = "FD(pixels 8x8)"


def test_welchs_interval_against_its_formula() -> None:
    # Worked by hand: means 12 and 20, variances 7 and 1, three values each.
    values, others = [10.0, 11.0, 15.0], [19.0, 20.0, 21.0]
    error = math.sqrt(7 / 3 + 1 / 3)
    degrees = (7 / 3 + 1 / 3) ** 2 / ((7 / 3) ** 2 / 2 + (1 / 3) ** 2 / 2)
    assert degrees == pytest.approx(2.56)
    # Student's t at 97.5 % for 2.56 degrees lies between those for 2 and 3 of any table: 4.303 and 3.182.
    interval = welch_interval(values, others)
    assert interval is not None
    low, high = interval
    assert (low + high) / 2 == pytest.approx(-8.0)
    assert 3.182 < (high - low) / 2 / error < 4.303
    assert welch_interval(others, values) == pytest.approx((-high, -low))


def test_a_known_quantile() -> None:
    # Equal spreads and sizes: 4 degrees of freedom, t = 2.776.
    low, high = welch_interval([1.0, 2.0, 3.0], [11.0, 12.0, 13.0])  # type: ignore[misc]
    assert (high - low) / 2 == pytest.approx(2.776 * math.sqrt(2 / 3), rel=1e-3)


@pytest.mark.parametrize(("values", "others"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0]), ([], [1.0, 2.0])])
def test_where_there_is_no_spread_there_is_no_interval(values: list[float], others: list[float]) -> None:
    assert welch_interval(values, others) is None


def finals(result, *values: float | None) -> dict[int, dict[str, object]]:
    return {seed: result(value) for seed, value in enumerate(values)}


def test_rows_are_compared_with_those_that_they_name(tmp_path, result, sweep_of) -> None:
    given = {
        "no attention": finals(result, 20.0, 21.0, 22.0),
        "attention feat8": finals(result, 10.0, 11.0, 12.0),
        "residual feat8": finals(result, 19.0, 21.0, 24.0),
    }
    found = effects(sweep_of(tmp_path, "table1", given))
    assert [(one.row, one.against) for one in found] == [
        ("attention feat8", "no attention"),
        ("attention feat8", "residual feat8"),
        ("residual feat8", "no attention"),
    ]
    assert found[0].difference == pytest.approx(-10.0)
    assert [one.in_words for one in found] == ["lower", "lower", "holds 0: no difference is shown"]
    rows = effects_table(found).rows
    assert rows[0][:4] == ("attention feat8", "no attention", f"{FD}, last step", "-10.0")
    assert rows[0][4].startswith("-12.")
    assert rows[2][4].split(" to ")[0].startswith("-")
    assert "2 of 3 intervals do not hold 0" in shares_beyond(found)
    assert "about 0.2 of 3 would not" in shares_beyond(found)


def test_what_has_no_value_is_not_compared(tmp_path, result, sweep_of) -> None:
    given = {
        "SN on D": {0: result(None, status="diverged", step=3)},
        "SN on G/D": finals(result, 20.0, 22.0),
        "SN on G/D + TTUR": finals(result, 25.0),
    }
    (one,) = effects(sweep_of(tmp_path, "figure3", given))
    assert (one.row, one.interval, one.in_words) == ("SN on G/D + TTUR", None, "no interval: too few seeds")
    assert shares_beyond([one]) == "No difference has an interval: there are too few seeds."
    assert effects_table([one]).rows[0][3:] == ("+4.00", "-", "no interval: too few seeds")


def test_equal_values_are_no_lack_of_seeds(tmp_path, result, sweep_of) -> None:
    given = {"SN on D": finals(result, 20.0, 20.0), "SN on G/D": finals(result, 22.0, 22.0)}
    (one,) = effects(sweep_of(tmp_path, "figure3", given))
    assert (one.interval, one.in_words) == (None, "no interval: no spread")
    assert shares_beyond([one]) == "No difference has an interval: nothing has a spread."


def test_seeds_that_diverged_are_named_beside_the_differences(tmp_path, result, sweep_of) -> None:
    diverged = result(None, status="diverged", step=3)
    given = {
        "SN on D": finals(result, 20.0, 22.0) | {2: diverged, 3: diverged},
        "SN on G/D": finals(result, 20.0, float("inf")),
        "SN on G/D + TTUR": finals(result, 25.0, 26.0),
    }
    sweep = sweep_of(tmp_path, "figure3", given)
    names = [f"SN on D, {FD}, last step: seed 2, 3 of 4 seeds", f"SN on G/D, {FD}, last step: seed 1 of 2 seeds"]
    assert [one for one in left_out(sweep) if FD in one] == names
    given["SN on G/D"] = finals(result, 20.0, 23.0)
    sweep = sweep_of(tmp_path, "figure3", given)
    remember(sweep, "sagan paper run figure3")
    render(sweep)
    page = (tmp_path / "table.md").read_text()
    assert f"which no difference above knows of:\n\n- {names[0]}" in page
    given["SN on D"] = finals(result, 20.0, 22.0)
    sweep = sweep_of(tmp_path, "figure3", given)
    assert left_out(sweep) == []
    render(sweep)
    assert "without a finite value" not in (tmp_path / "table.md").read_text()


def test_a_page_and_its_csv_have_the_differences(tmp_path, result, sweep_of) -> None:
    given = {"no attention": finals(result, 20.0, 21.0, 22.0), "residual feat8": finals(result, 19.0, 21.0, 24.0)}
    sweep = sweep_of(tmp_path, "table1", given)
    remember(sweep, "sagan paper run table1")
    render(sweep)
    page, numbers = (tmp_path / "table.md").read_text(), (tmp_path / "table.csv").read_text()
    assert f"| residual feat8 | no attention | {FD}, last step | +0.33 | " in page
    assert "holds 0: no difference is shown" in page
    assert f'residual feat8,,"{FD}, last step: less no attention, from",' in numbers
    assert as_csv(effects_table(effects(sweep))).splitlines()[1:] == numbers.splitlines()[-3:]
