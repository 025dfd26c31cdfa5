"""``sagan data pack``: one file or a folder of parts."""

from collections.abc import Callable
from pathlib import Path

import pytest

import sagan

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.mark.slow("packs and trains")
def test_two_parts_make_a_folder_that_trains_like_the_file(
    run: Run, pictures: Path, tmp_path: Path, error: Mistake, tiny: list[str]
) -> None:
    pack = ("data", "pack", pictures, "--size", "16")
    assert "content" in run(*pack, "--out", "one.npy")[1]
    shards = (*pack, "--out", "packed", "--shard-gb", "1.5e-5")
    code, out, _ = run(*shards, "--part", "2/2")
    assert code == 0 and "part 2/2 is done, others are not yet" in out
    assert "not packed to the end" in error(run("train", "--preset", "demo", "--data", "packed", "--out", "r0", *tiny))
    code, out, _ = run(*shards, "--part", "1/2", "--workers", "1")
    assert code == 0 and "40 pictures, 2 classes" in out
    code, out, _ = run("data", "check", "packed")
    assert code == 3 and "packed: 40 pictures" in out  # few pictures are a remark
    for number, data in enumerate(
        (("one.npy",), ("packed", "--data.keep", "memory"), ("packed", "--data.keep", "device"))
    ):
        code, _, err = run("train", "--preset", "demo", "--out", f"r{number}", *tiny, "--data", *data)
        assert code == 0, err
    networks = [sagan.load(tmp_path / f"r{number}").network.state_dict() for number in range(3)]
    assert all((networks[0][key] == other[key]).all() for other in networks[1:] for key in networks[0])


def test_mistakes_of_packing(run: Run, pictures: Path, error: Mistake) -> None:
    pack = ("data", "pack", pictures, "--size", "16", "--out", "packed")
    assert "--part goes with --shard-gb" in error(run(*pack, "--part", "1/2"))
    assert "--part takes I/N" in error(run(*pack, "--shard-gb", "1", "--part", "one"))
    assert "found 3 of 2" in error(run(*pack, "--shard-gb", "1", "--part", "3/2"))


@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_number_of_threads_that_is_none_is_refused_before_anything(
    run: Run, pictures: Path, error: Mistake, number: str
) -> None:
    said = error(run("data", "pack", pictures, "--size", "16", "--out", "p.npy", "--workers", number))
    assert said.strip() == f"sagan: --workers must be at least 1, found {number}"
