"""One row: its key, its result, divergence, going on."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sagan.data import DataConfig
from sagan.evaluation import load_network
from sagan.experiments import row as row_module
from sagan.experiments.row import (
    Order,
    RowError,
    _last_evaluation,
    is_done,
    missing_measures,
    read_order,
    read_result,
    row_key,
    row_log,
    work,
    write_order,
)
from sagan.experiments.scales import smoke
from sagan.generators.pretrained import load
from sagan.recipes.config import RunConfig


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def order(tmp_path: Path) -> Order:
    config = replace(smoke().base, data=DataConfig(path="digits", holdout_fraction=0.0))
    return Order(
        name="no attention",
        config=config,
        key=row_key(config, "content"),
        measures=("fd",),
        judging=smoke().judging,
        samples_at=(2, 4),
        attention=False,
        by_class=False,
        run=tmp_path / "run",
        result=tmp_path / "result",
    )


def test_the_key_is_of_what_is_computed() -> None:
    base = smoke().base
    key = row_key(base, "a")
    elsewhere = replace(base, data=replace(base.data, path="/other/place.zip", cache_dir="/tmp"))
    assert row_key(elsewhere, "a") == key
    assert row_key(replace(base, engine=replace(base.engine, device="cpu")), "a") == key
    others = [
        row_key(base, "b"),
        row_key(replace(base, seed=1), "a"),
        row_key(replace(base, train=replace(base.train, lr_g=1e-3)), "a"),
        row_key(replace(base, data=replace(base.data, flip=True)), "a"),
        row_key(replace(base, generator=replace(base.generator, attention=(8,))), "a"),
    ]
    assert len({key, *others}) == 6


def test_the_key_of_the_defaults_does_not_know_of_their_fields() -> None:
    # A field that is added later, at its default, must leave the keys of what was run before it.
    import hashlib

    plain = json.dumps({"config": {}, "fingerprint": "a", "seed": 0}, sort_keys=True)
    assert row_key(RunConfig(), "a") == hashlib.sha256(plain.encode()).hexdigest()


def test_an_order_survives_its_file(order: Order, tmp_path: Path) -> None:
    write_order(order, tmp_path / "order.json")
    assert read_order(tmp_path / "order.json") == order


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1, "config": {}}', "\\xff", '{"a": ' * 200])
def test_a_file_that_is_no_order_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "order.json"
    file.write_text(text)
    with pytest.raises(RowError, match=r"order\.json is no order of a row \(") as caught:
        read_order(file)
    assert "\n" not in str(caught.value)


def test_a_row_is_trained_measured_and_left(order: Order, tmp_path: Path) -> None:
    assert not is_done(order)
    assert work(order) == 0
    result = read_result(order.result)
    assert result is not None
    assert (result["status"], result["step"]) == ("finished", 4)
    assert result["data"]["source"] == "digits"
    assert result["data"]["images"] == 1797
    G = load(order.run, device="cpu").network
    assert result["parameters"]["generator"] == sum(p.numel() for p in G.parameters())
    (value,) = result["reports"]["final"]["values"]
    assert value["metric"] == "FD(pixels 8x8)"
    assert value["protocol"]["generated"] == 32
    assert value["protocol"]["reference_count"] == 64
    assert result["reports"]["final"]["step"] == 4
    assert result["reports"]["best"]["step"] in (2, 4)
    assert [r["step"] for r in row_log(order.result) if "loss_d" in r] == [2, 4]
    # The strip of samples: two steps, ten of each, 32 px; the pixels are those of the run.
    strip = np.asarray(Image.open(order.result / "samples.png"))
    assert strip.shape == (64, 320, 3)
    assert result["samples_at"] == [2, 4]
    kept = np.load(order.run / "samples" / "step-00000004.npy")
    np.testing.assert_array_equal(strip[32:, 32:64], kept[1])
    assert is_done(order)
    assert str(tmp_path) not in (order.result / "result.json").read_text()


def test_features_go_by_the_pictures_of_each_measure(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distance within classes is made alike whether it is measured alone or with others."""
    asked = []

    def load(features: str, weights: object, num_images: int) -> object:
        asked.append(num_images)
        return load_network(features, weights, num_images=num_images)

    monkeypatch.setattr(row_module, "load_network", load)
    assert work(replace(order, measures=("fd", "intra"))) == 0
    judging = order.judging
    assert set(asked) == {min(judging.num, 64), judging.intra_num}
    result = read_result(order.result)
    assert result is not None
    assert [value["metric"] for value in result["reports"]["final"]["values"]] == [
        "FD(pixels 8x8)",
        "intra-FD(pixels 8x8)",
    ]


def test_what_is_there_is_kept_and_what_is_missing_is_measured(order: Order) -> None:
    assert work(order) == 0
    first = read_result(order.result)
    assert first is not None
    more = replace(order, measures=("fd", "intra"))
    assert missing_measures(first, more.measures, more.judging) == ["intra"]
    assert not is_done(more)
    before = (order.run / "checkpoints" / "step-00000004.pt").stat().st_mtime_ns
    assert work(more) == 0
    second = read_result(order.result)
    assert second is not None
    assert (order.run / "checkpoints" / "step-00000004.pt").stat().st_mtime_ns == before
    values = {v["metric"]: v["value"] for v in second["reports"]["final"]["values"]}
    assert set(values) == {"FD(pixels 8x8)", "intra-FD(pixels 8x8)"}
    assert values["FD(pixels 8x8)"] == first["reports"]["final"]["values"][0]["value"]
    assert len(second["reports"]["final"]["classes"]) == 10
    assert is_done(more)


def test_another_protocol_is_measured_anew(order: Order) -> None:
    assert work(order) == 0
    other = replace(order, judging=replace(order.judging, num=16))
    assert not is_done(other)
    assert work(other) == 0
    result = read_result(order.result)
    assert result is not None
    assert result["reports"]["final"]["values"][0]["protocol"]["generated"] == 16


def test_a_row_that_diverges_is_a_result(order: Order) -> None:
    wild = replace(order.config, train=replace(order.config.train, lr_g=1e30, lr_d=1e30))
    assert work(replace(order, config=wild)) == 0
    result = read_result(order.result)
    assert result is not None
    assert result["status"] == "diverged"
    assert "not finite" in result["reason"]
    assert "not finite" in {record["health"] for record in result["health"]}
    assert is_done(order)


@pytest.mark.slow("trains a row")
def test_pairs_are_read_from_the_last_weights(order: Order) -> None:
    config = replace(order.config, data=replace(order.config.data, path="pairs"))
    assert work(replace(order, config=config, measures=("pairs",))) == 0
    result = read_result(order.result)
    assert result is not None
    found = result["pairs"]["final"]
    assert sum(c["pictures"] for c in found["structured"].values()) == 120
    assert found["protocol"]["samples"] == 200
    assert found["protocol"]["step"] == 4
    assert result["reports"] == {}


@pytest.mark.long("trains a row")
def test_a_row_goes_on_from_its_checkpoint(order: Order) -> None:
    from sagan.runs.train import train

    train(replace(order.config, train=replace(order.config.train, total_steps=2)), out=order.run)
    config_file = order.run / "config.json"
    config_file.write_text(config_file.read_text().replace('"total_steps": 2', '"total_steps": 4'))
    assert work(order) == 0
    through = replace(order, run=order.run.with_name("other"), result=order.result.with_name("other result"))
    assert work(through) == 0
    a, b = (load(path, device="cpu").network.state_dict() for path in (order.run, through.run))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.long("trains a row")
def test_a_row_goes_on_with_what_it_began_to_compute_on(order: Order) -> None:
    from sagan.runs.train import train

    begun = replace(order.config, engine=replace(order.config.engine, channels_last=False))
    train(replace(begun, train=replace(begun.train, total_steps=2)), out=order.run)
    config_file = order.run / "config.json"
    config_file.write_text(config_file.read_text().replace('"total_steps": 2', '"total_steps": 4'))
    assert work(order) == 0
    result = read_result(order.result)
    assert result is not None
    assert result["step"] == 4


GOLDEN = next((Path(__file__).parents[1] / "golden" / "paper" / "rows").glob("no-attention-*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"health": [{"health": ["a"], "step": 1}]}, "a name of its health is no text"),
        ({"health": [{"health": "flat", "step": "1"}]}, "a step of its health is no whole number: '1'"),
        ({"reports": {"final": {"values": [{"metric": ["x"], "value": 1.0}]}}}, "the name of a value is no text"),
        ({"reports": {"final": {"values": [{"metric": "FD", "value": "x"}]}}}, "FD is no number: 'x'"),
        ({"reports": {"final": {"values": [{"metric": "FD", "value": 1.0}]}}}, "'protocol'"),
        ({"reports": {"final": {"values": [], "classes": {"0": {"value": "x"}}}}}, "within 0 is no number: 'x'"),
        (
            {"parameters": dict.fromkeys(("generator", "discriminator", "attention", "residual"), "1")},
            "no whole number",
        ),
        ({"samples_at": ["1"]}, "step is no whole number"),
        ({"pairs": {"final": {"structured": {"a": {}}}}}, "'readable'"),
        ({"pairs": {"final": []}}, "its pairs of final are none"),
        ({"judging": {"fd": 1}}, "its judging is none"),
        ({"by_class": {}}, "its pictures by class are none"),
        ({"by_class": [{"shown": "hats", "class": 1}]}, "its pictures by class are none"),
        ({"by_class": [{"shown": "hats"}]}, "class"),
        ({"by_class": ["hats"]}, ""),
        ({"training_s": "long"}, "training_s is no number: 'long'"),
        ({"monitor": {"values": [{"metric": ["x"], "protocol": {}}]}}, "a value of its monitor is none"),
    ],
)
def test_a_part_of_a_result_that_tables_cannot_take_is_named(tmp_path: Path, change, said: str) -> None:
    held = json.loads((GOLDEN / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps(held))
    assert read_result(tmp_path) == held
    (tmp_path / "result.json").write_text(json.dumps(held | change))
    with pytest.raises(RowError, match=rf"result\.json is damaged \(.*{said}.*\); remove it"):
        read_result(tmp_path)


def test_a_number_that_is_not_finite_is_read_as_it_was_written(tmp_path: Path) -> None:
    held = json.loads((GOLDEN / "result.json").read_text())
    held["reports"]["final"]["values"][0]["value"] = "nan"
    (tmp_path / "result.json").write_text(json.dumps(held))
    assert read_result(tmp_path) == held


@pytest.mark.parametrize("value", ["x", None, True])
def test_a_score_in_a_log_that_is_no_number_is_named(tmp_path: Path, value) -> None:
    lines = (GOLDEN / "log.jsonl").read_text() + json.dumps({"step": 5, "score/FD": "inf"}) + "\n"
    (tmp_path / "log.jsonl").write_text(lines)
    assert row_log(tmp_path)[-1] == {"step": 5, "score/FD": "inf"}
    (tmp_path / "log.jsonl").write_text(lines + json.dumps({"step": 6, "score/FD": value}) + "\n")
    with pytest.raises(RowError, match=r"log\.jsonl is damaged \(score/FD at step 6 is no number"):
        row_log(tmp_path)


def test_what_the_monitor_measured_last_is_read_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    assert _last_evaluation(tmp_path) is None
    (tmp_path / "evaluations").mkdir()
    for step in (1, 2):
        (tmp_path / "evaluations" / f"step-{step:08d}.json").write_text(json.dumps({"step": step}))
    assert _last_evaluation(tmp_path) == {"step": 2}
    (tmp_path / "evaluations" / "step-00000003.json").touch()
    with pytest.raises(RowError, match=r"step-00000003.json is damaged \(it is no JSON"):
        _last_evaluation(tmp_path)
    os.truncate(tmp_path / "evaluations" / "step-00000003.json", 2**40)
    with pytest.raises(RowError, match=r"step-00000003.json is damaged \(it has more than 1 MiB\); remove it"):
        _last_evaluation(tmp_path)
