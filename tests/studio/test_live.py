"""A run as it goes on."""

import json

import pytest

from sagan.studio.live import log_lines, panels, patience_s, run_told
from sagan.studio.nearest import data_of_run


def test_a_line_that_is_being_written_is_left_out(run_folder):
    assert [line["step"] for line in log_lines(run_folder)] == [1, 2, 3, 4]


def test_a_run_that_wrote_just_now_trains_and_a_silent_one_does_not(run_folder, silence):
    told = run_told(run_folder)
    assert told["training"]
    assert told["left_s"] == pytest.approx((10 - 4) * 8 / 20.0)
    silence(run_folder / "log.jsonl", 3600)
    told = run_told(run_folder)
    assert (told["training"], told["left_s"]) == (False, None)
    assert told["silent_s"] > 3000


def test_slow_lines_are_waited_for():
    assert patience_s([]) == 60.0
    assert patience_s([{"elapsed_s": 10.0}, {"elapsed_s": 500.0}]) == pytest.approx(1470.0)


def test_curves_are_those_of_the_log_and_long_ones_are_thinned():
    lines = [{"step": k, "loss_d": float(k), "loss_g": "nan"} for k in range(1, 5001)]
    (losses,) = panels(lines)
    steps, values, lows, highs = losses["series"]["D"]
    assert len(steps) <= 600
    assert min(lows) == 1.0
    assert max(highs) == 5000.0
    assert all(low <= value <= high for low, value, high in zip(lows, values, highs, strict=True))
    assert set(losses["series"]["G"][1]) == {None}
    json.dumps(losses, allow_nan=False)
    assert panels([]) == []


def test_a_run_without_log_or_configuration(tmp_path):
    told = run_told(tmp_path)
    assert (told["step"], told["total"], told["silent_s"], told["panels"]) == (0, None, None, [])


def test_a_run_that_was_saved_before_it_logged_says_so(run_folder):
    (run_folder / "log.jsonl").write_text("")
    assert (run_told(run_folder)["step"], run_told(run_folder)["stand"]) == (4, "nothing logged yet")


def test_what_was_saved_and_what_was_logged_are_told_apart(run_folder, save_step):
    assert (run_told(run_folder)["step"], run_told(run_folder)["stand"]) == (4, "")
    save_step(6)
    assert (run_told(run_folder)["step"], run_told(run_folder)["stand"]) == (6, "last logged at step 4")
    with (run_folder / "log.jsonl").open("a") as log:
        log.write('\n{"step": 9, "loss_d": 1.0, "loss_g": 1.0}\n')
    assert (run_told(run_folder)["step"], run_told(run_folder)["stand"]) == (9, "last saved at step 6")
    for path in (run_folder / "checkpoints").iterdir():
        path.unlink()
    assert run_told(run_folder)["stand"] == "nothing saved yet"


def test_a_finished_run_that_kept_its_weights_alone_has_saved_them(run_folder, weights):
    for path in (run_folder / "checkpoints").iterdir():
        path.unlink()
    weights().rename(run_folder / "generator.safetensors")
    assert (run_told(run_folder)["step"], run_told(run_folder)["stand"]) == (7, "last logged at step 4")
    (run_folder / "generator.safetensors").write_bytes(b"damaged")
    assert run_told(run_folder)["stand"] == "nothing saved yet"


def test_the_pictures_of_a_run_are_found_where_they_still_are(run_folder, tmp_path):
    config = json.loads((run_folder / "config.json").read_text())
    assert data_of_run(run_folder).path == "digits"
    config["data"]["path"] = str(tmp_path / "gone")
    (run_folder / "config.json").write_text(json.dumps(config))
    assert data_of_run(run_folder) is None
    assert data_of_run(tmp_path) is None
    del config["data"]["path"]  # as `sagan import` leaves it
    (run_folder / "config.json").write_text(json.dumps(config))
    assert data_of_run(run_folder) is None
