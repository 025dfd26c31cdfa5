"""What a plan chooses and predicts, on costs that are known exactly; what it says; what it leaves (nothing)."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from sagan.data import DataConfig, DataError, DataSize
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import sagan_32_cpu, sagan_128
from sagan.speed import plan as module
from sagan.speed.clock import Spread
from sagan.speed.plan import (
    Plan,
    due,
    largest_fitting,
    long_time,
    make_plan,
    micro_batches,
    peak_bytes,
    second_size,
    step_seconds,
    train_command,
)
from sagan.speed.step import StepCost
from sagan.training.config import TrainConfig

GB = 10**9
Cost = Callable[[int], StepCost]


def cost_of(
    micro_batch: int,
    *,
    fixed_s: float = 0.2,
    image_s: float = 0.1,
    image_bytes: int = GB // 10,
    sampling_bytes: int = 0,
    available: int = 16 * GB,
    device: str = "cpu (found), fp32",
) -> StepCost:
    """A machine on which a step costs exactly 1 GB and ``fixed_s``, and so much for each image."""
    seconds = fixed_s + image_s * micro_batch
    peak = GB + image_bytes * micro_batch
    return StepCost(
        seconds=Spread(median=seconds, low=seconds, high=seconds, rounds=3),
        processor_s=seconds,
        update_s=0.05,
        judge_s=0.01,
        sample_s=0.02,
        base_bytes=GB // 2,
        state_bytes=GB // 2,
        peak_bytes=peak,
        run_bytes=GB + sampling_bytes,
        available_bytes=available,
        checkpoint_bytes=40_000_000,
        device=device,
        threads=1,
    )


@pytest.fixture
def on_known_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cost], list[int]]:
    """Let :func:`make_plan` measure what a function says; gives the list of what it measured."""

    def install(cost: Cost) -> list[int]:
        asked: list[int] = []

        def measure(config: RunConfig, **_: object) -> StepCost:
            assert config.train.accumulate == 1
            asked.append(config.train.batch_size)
            return cost(config.train.batch_size)

        monkeypatch.setattr(module, "measure_step", measure)
        return asked

    return install


def config_of(batch_size: int = 64, **train: object) -> RunConfig:
    base = sagan_32_cpu()
    return replace(base, train=replace(base.train, batch_size=batch_size, **train))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- micro-batches


@given(batch_size=st.integers(2, 600), accumulate=st.integers(1, 8))
def test_micro_batches_divide_the_batch_and_have_two_images(batch_size: int, accumulate: int) -> None:
    assume(batch_size % accumulate == 0 and batch_size // accumulate >= 2)
    sizes = micro_batches(TrainConfig(batch_size=batch_size, accumulate=accumulate))
    assert sizes == sorted(sizes)
    for size in sizes:
        assert size >= 2
        assert batch_size % size == 0
        assert batch_size // size >= accumulate
        TrainConfig(batch_size=batch_size, accumulate=batch_size // size)  # what training accepts
    assert sizes[-1] == batch_size // accumulate
    assert 2 in sizes or batch_size % 2 == 1


@pytest.mark.parametrize(
    ("limit_gb", "expected"),
    [(16.0, 64), (7.0, 32), (3.0, 16), (1.4, 2), (8.3, 64), (8.2, 32)],  # a tenth stays free: 64 takes 7.4 GB
)
def test_the_largest_micro_batch_that_fits_is_taken(
    on_known_machine: Callable[[Cost], list[int]], limit_gb: float, expected: int
) -> None:
    on_known_machine(cost_of)
    plan = make_plan(config_of(64), with_data=False, limit_bytes=int(limit_gb * GB))
    assert plan.micro_batch == expected
    assert plan.config.train.accumulate == 64 // expected
    assert plan.peak_bytes == GB + expected * GB // 10
    assert plan.config.train.batch_size == 64


def test_both_batches_are_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(config: RunConfig, **_: object) -> StepCost:
        asked.append((config.train.batch_size, config.train.g_batch_size, config.train.accumulate))
        return cost_of(config.train.batch_size)

    monkeypatch.setattr(module, "measure_step", measure)
    plan = make_plan(config_of(64, g_batch_size=96), with_data=False, limit_bytes=3 * GB)
    assert {pair[1] / pair[0] for pair in asked} == {1.5}
    assert {pair[2] for pair in asked} == {1}
    assert (plan.micro_batch, plan.config.train.g_batch_size, plan.config.train.accumulate) == (16, 96, 4)
    assert "batch:    64 in 4 micro-batches of 16; 96 generated in a generator update" in plan.text("x")
    # 3 of 24 cannot be cut as 2 of 16 can.
    assert micro_batches(TrainConfig(batch_size=16, g_batch_size=24)) == [2, 4, 8, 16]
    assert micro_batches(TrainConfig(batch_size=16, g_batch_size=12)) == [4, 8, 16]
    assert micro_batches(TrainConfig(batch_size=48), 3) == [6, 12, 24, 48]
    assert micro_batches(TrainConfig(batch_size=48), 4) == [8, 12, 16, 24, 48]


def test_running_averages_cost_no_samples(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(cost_of)
    standing = config_of(64)
    running = replace(standing, generator=replace(standing.generator, sampling_norm="running"))
    plans = [make_plan(config, with_data=False) for config in (standing, running)]
    assert plans[0].closing_s == 100 * 100 * 0.02
    assert plans[1].closing_s == 0.0
    assert plans[1].reports_s < plans[0].reports_s


def test_the_accumulation_that_was_asked_for_is_the_least(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(cost_of)
    assert make_plan(config_of(64, accumulate=4), with_data=False).config.train.accumulate == 4
    limited = make_plan(config_of(64, accumulate=4), with_data=False, limit_bytes=2 * GB)
    assert limited.config.train.accumulate == 8


def test_what_is_available_is_the_limit_when_none_is_given(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(lambda m: cost_of(m, available=3 * GB))
    plan = make_plan(config_of(64), with_data=False)
    assert (plan.limit_bytes, plan.micro_batch) == (3 * GB, 16)


def test_a_step_that_cannot_fit_is_one_sentence(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(cost_of)
    with pytest.raises(ValueError, match=r"micro-batches of 2, the smallest .* takes 1\.2 GB and 1\.3 GB are to use"):
        make_plan(config_of(64), with_data=False, limit_bytes=int(1.3 * GB))

    def too_much(_: int) -> StepCost:
        raise MemoryError("a step of 2 images needs more memory than there is")

    on_known_machine(too_much)
    with pytest.raises(ValueError, match="more memory than there is; take a smaller --size or --base-width"):
        make_plan(config_of(64), with_data=False)


def test_the_second_size_is_the_largest_that_is_quick_and_surely_fits() -> None:
    sizes = micro_batches(TrainConfig(batch_size=64))
    first = cost_of(2, fixed_s=0.0, image_s=0.1)  # 0.2 s for two images: 64 would take 6.4 s, four of them 25.6 s
    assert second_size(sizes, first, 100 * GB) == 32
    assert second_size(sizes, cost_of(2, fixed_s=0.0, image_s=0.001), 100 * GB) == 64
    assert second_size(sizes, cost_of(2, fixed_s=0.0, image_s=0.001), 4 * GB) == 8
    assert second_size(sizes, cost_of(2, image_s=60.0), 100 * GB) == 4  # slow, but a line needs two points
    assert second_size([7], cost_of(7), 100 * GB) == 7


def test_what_is_taken_is_measured_where_that_is_quick(on_known_machine: Callable[[Cost], list[int]]) -> None:
    asked = on_known_machine(lambda m: cost_of(m, fixed_s=0.01, image_s=0.005, image_bytes=10**6))
    plan = make_plan(config_of(32), with_data=False)
    assert asked == [2, 32]
    assert "(measured)" in plan.text("x")
    # The fixed second makes the first guess too high, so 8 is the second; 64 then turns out to be quick enough.
    asked = on_known_machine(lambda m: cost_of(m, fixed_s=1.0, image_s=0.01, image_bytes=10**6))
    assert make_plan(config_of(64), with_data=False).micro_batch == 64
    assert asked == [2, 8, 64]
    asked = on_known_machine(lambda m: cost_of(m, image_s=1.0, image_bytes=10**6))
    plan = make_plan(config_of(64), with_data=False)
    assert asked == [2, 4]
    assert "(extrapolated)" in plan.text("x")
    asked = on_known_machine(lambda m: cost_of(m, image_s=0.001, image_bytes=10**6))
    assert make_plan(config_of(7), with_data=False).micro_batch == 7
    assert asked == [7]


def test_a_size_that_fails_is_not_taken(on_known_machine: Callable[[Cost], list[int]]) -> None:
    def cost(micro_batch: int) -> StepCost:
        if micro_batch > 16:  # beyond what the line tells
            raise MemoryError
        return cost_of(micro_batch, fixed_s=0.01, image_s=0.001, image_bytes=10**6, available=99 * GB)

    asked = on_known_machine(cost)
    assert make_plan(config_of(64), with_data=False).micro_batch == 16
    assert asked == [2, 64, 32, 16]


# --------------------------------------------------------------------------------------------------------- predictions


def test_memory_and_time_are_straight_lines_in_the_micro_batch() -> None:
    costs = {m: cost_of(m, sampling_bytes=3_000_000) for m in (2, 8)}
    assert peak_bytes(costs, 32) == GB + 32 * GB // 10 + 3_000_000
    assert step_seconds(costs, 32, 1) == pytest.approx(0.2 + 3.2)
    assert step_seconds(costs, 4, 1) == pytest.approx(0.2 + 0.4)


def test_optimisers_and_moving_average_run_once_in_a_step() -> None:
    costs = {m: cost_of(m) for m in (2, 8)}
    assert step_seconds(costs, 8, 4) == pytest.approx(0.05 + 4 * (0.2 + 0.8 - 0.05))


def test_what_was_measured_is_given_as_it_is() -> None:
    bent = {2: cost_of(2), 8: cost_of(8), 16: replace(cost_of(16), peak_bytes=7)}
    assert peak_bytes(bent, 16) == 7


def test_on_a_gpu_steps_and_sampling_share_the_memory() -> None:
    costs = {m: cost_of(m, sampling_bytes=GB, device="cuda:0 (found), fp32") for m in (2, 8)}
    assert peak_bytes(costs, 32) == GB + 32 * GB // 10
    assert peak_bytes(costs, 2) == 2 * GB


def test_no_memory_is_predicted_where_the_system_tells_none() -> None:
    costs = {m: replace(cost_of(m), peak_bytes=None, run_bytes=None) for m in (2, 8)}
    assert peak_bytes(costs, 8) is None
    assert largest_fitting([2, 8, 64], costs, 16 * GB) == 64


@pytest.mark.parametrize("every", [0, 1, 3, 7, 10, 40])
def test_reports_are_due_when_a_run_makes_them(every: int) -> None:
    # As the reporter decides it.
    made = {step for step in range(1, 22) if every > 0 and (step % every == 0 or step == 21)}
    assert due(21, every) == made


def test_the_time_of_reports_counts_samples_and_judged_pictures() -> None:
    config = config_of(32, total_steps=100, sample_every=50, evaluate_every=30, log_every=25)
    plan = Plan(
        config=replace(config, monitor=replace(config.monitor, num=200)),
        data=None,
        costs={32: cost_of(32)},
        step_s=2.0,
        peak_bytes=GB,
        limit_bytes=GB,
    )
    # Drawn at 50 and 100, measured at 30, 60, 90 and 100: five copies of 8 x 64, two grids of 100, four sets of 200.
    samples = 5 * 8 * 64 + 2 * 100 + 4 * 200
    assert plan.reports_s == pytest.approx(samples * 0.02 + 4 * 2 * 256 * 0.01)
    assert plan.closing_s == pytest.approx(100 * 100 * 0.02)
    assert plan.total_s == pytest.approx(200.0 + plan.reports_s + plan.closing_s)


# ----------------------------------------------------------------------------------------------------------- the words


def test_a_run_of_years_says_so_and_what_to_do_instead(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(lambda m: cost_of(m, image_s=2.0, image_bytes=10**8))
    text = make_plan(sagan_128(), with_data=False).text("sagan train")
    assert "years in all" in text
    assert "WARNING" in text
    assert "--preset sagan-32-cpu or sagan-64-cpu" in text
    assert "In a day this machine does" in text
    on_known_machine(lambda m: cost_of(m, image_s=2.0, device="cuda:0 (found), bf16 autocast"))
    assert "several GPUs" in make_plan(sagan_128(), with_data=False).text("sagan train")


def test_a_short_run_on_a_quiet_machine_is_not_warned_of(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(lambda m: cost_of(m, image_s=0.001))
    text = make_plan(config_of(32), with_data=False).text("sagan train")
    assert "WARNING" not in text
    assert "busy" not in text
    on_known_machine(lambda m: replace(cost_of(m, image_s=0.001), processor_s=0.1))
    assert "kept this machine busy" in make_plan(config_of(32), with_data=False).text("sagan train")


def test_what_a_plan_does_not_count_is_said(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(cost_of)
    config = config_of(32)
    assert "without the time" not in make_plan(config, with_data=False).text("x")
    other = replace(config, monitor=replace(config.monitor, features="efficientnet-lite0"))
    assert "without the time of efficientnet-lite0" in make_plan(other, with_data=False).text("x")


def test_the_disk_is_told(on_known_machine: Callable[[Cost], list[int]]) -> None:
    on_known_machine(cost_of)
    plan = make_plan(config_of(32), with_data=False)
    text = replace(plan, data=DataSize(1000, 3, 3_072_000)).text("x")
    # Two latest, the best, the latest healthy, and one being written.
    assert "40 MB a checkpoint, up to 200 MB in all" in text
    assert "1,000 in 1,000 classes; 3 MB on disk once decoded" in text
    assert "decoded already" in replace(plan, data=DataSize(1000, 3, 0)).text("x")
    assert "none named with --data" in plan.text("x")


@pytest.mark.parametrize(
    ("arguments", "accumulate", "command"),
    [
        ("--preset demo", 1, "sagan train --preset demo"),
        ("--preset demo --memory-limit 4", 2, "sagan train --preset demo --train.accumulate 2"),
        ("--data p --memory-limit=4 --train.accumulate 2", 8, "sagan train --data p --train.accumulate 8"),
        ("--data=p --memory_limit 4 --seed 3", 1, "sagan train --data=p --seed 3"),
        ("--size 64", 1, "sagan train --size 64 --data PICTURES"),
        ("--data 'my pictures' --attention 8 16", 1, "sagan train --data 'my pictures' --attention 8 16"),
    ],
)
def test_the_command_does_what_was_planned(arguments: str, accumulate: int, command: str) -> None:
    assert train_command(shlex.split(arguments), accumulate) == command


def test_times_have_the_unit_that_people_use() -> None:
    assert [long_time(s) for s in (5, 89, 100, 5000, 5500, 86_400, 3 * 86_400, 1e8, 1e12)] == [
        "5 s",
        "89 s",
        "1.7 min",
        "83 min",
        "1.5 h",
        "24 h",
        "3.0 days",
        "3.2 years",
        "31,688 years",
    ]


# ------------------------------------------------------------------------------------------------------------ the data


def test_the_classes_are_those_of_the_data_and_nothing_is_written(
    on_known_machine: Callable[[Cost], list[int]], tmp_path: Path
) -> None:
    on_known_machine(cost_of)
    config = replace(config_of(32), data=DataConfig(path="digits", cache_dir=str(tmp_path / "cache")))
    plan = make_plan(config, with_data=True)
    assert plan.data == DataSize(1797, 10, 1797 * 32 * 32 * 3)
    assert plan.config.generator.num_classes == plan.config.discriminator.num_classes == 10
    assert not list(tmp_path.iterdir())


def test_fewer_pictures_than_a_batch_are_refused_before_anything_is_measured(
    on_known_machine: Callable[[Cost], list[int]], tmp_path: Path
) -> None:
    asked = on_known_machine(cost_of)
    config = replace(config_of(2000), data=DataConfig(path="digits", cache_dir=str(tmp_path)))
    with pytest.raises(ValueError, match=r"digits has 1,708 pictures to train on, fewer than one batch of 2,000"):
        make_plan(config, with_data=True)
    assert asked == []


def test_fewer_pictures_than_a_batch_are_refused_before_any_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few").mkdir()
    for index in range(3):
        Image.new("RGB", (32, 32), (80 * index, 0, 0)).save(tmp_path / "few" / f"{index}.png")
    monkeypatch.setattr("sagan.data.pack.decode_to_size", lambda *_: pytest.fail("a picture was decoded"))
    config = replace(config_of(4), data=DataConfig(path=str(tmp_path / "few"), cache_dir=str(tmp_path)))
    with pytest.raises(DataError, match=r"3 pictures to train on.*; take --batch-size 3 or less or add pictures$"):
        make_plan(config, with_data=True)


def test_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match=r"plan takes a configuration, as sagan.preset"):
        make_plan("pictures")  # type: ignore[arg-type]
