"""A run whose pictures are damaged or cut off while it reads them: it ends saved, says what to do, and goes on."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sagan.data import Batches, DataError, pack_dataset, read_packed
from sagan.recipes.config import to_json
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.hooks import Hook


class At(Hook):
    """Does something after a step."""

    def __init__(self, step, what):
        self.step, self.what = step, what

    def on_step(self, record):
        if record.step == self.step:
            self.what()


@pytest.fixture
def packed(tmp_path, own_cache, tiny):
    """A packed file of 1,797 digits, and the configuration of a run of 12 steps on it."""
    config = tiny(12, log_every=50)
    file = pack_dataset(config.data, 16, tmp_path / "digits.npy", progress=False).file
    return file, replace(config, data=replace(config.data, path=str(file)))


def spoil(file):
    """Change a byte of each picture."""
    content = bytearray(file.read_bytes())
    for index in range(1797):
        content[128 + 768 * index + 300] ^= 1
    with file.open("r+b") as stream:
        stream.write(content)


@pytest.mark.long("three runs of some steps each")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (spoil, r"digits.npy is damaged: picture [\d,]+ \(bytes [\d,]+ to [\d,]+\) is not what was written; bring a"),
        (lambda file: os.truncate(file, 0), r"digits.npy was cut off: it ends before picture [\d,]+ does; bring a"),
        (lambda file: os.truncate(file, 5000), r"digits.npy was cut off: it ends before picture [\d,]+ does; bring a"),
    ],
)
def test_it_ends_saved_and_goes_on_to_the_same_weights(packed, tmp_path, run, how, message):
    file, config = packed
    good = shutil.copy(file, tmp_path / "good.npy")
    whole, _ = run(config, tmp_path / "whole")
    with pytest.raises(DataError, match=message) as caught:
        run(config, tmp_path / "broken", hooks=[At(4, lambda: how(file))])
    saved = load_checkpoint(checkpoints(tmp_path / "broken" / "checkpoints")[-1])["step"]
    assert 4 <= saved <= 7  # some batches had been read ahead
    said = f"the run is saved at step {saved}; once the pictures are mended, it goes on from there"
    assert said in str(caught.value) and f"sagan train --resume {tmp_path}/broken" in str(caught.value)
    shutil.copy(good, file)
    resumed, _ = run(None, None, resume=tmp_path / "broken")
    ends = [load_checkpoint(checkpoints(r.out / "checkpoints")[-1]) for r in (whole, resumed)]
    assert [end["step"] for end in ends] == [12, 12]
    for kind in ("G", "D"):
        assert all(np.array_equal(ends[0][kind][name], ends[1][kind][name]) for name in ends[0][kind])


@pytest.mark.parametrize("keep", ["memory", "device"])
def test_what_is_kept_in_memory_is_checked_when_it_is_loaded(packed, tmp_path, run, keep):
    file, config = packed
    spoil(file)
    with pytest.raises(DataError, match=r"digits.npy is damaged: picture 0 "):
        run(replace(config, data=replace(config.data, keep=keep)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow("two processes")
@pytest.mark.parametrize("rank", [0, 1])
def test_of_two_processes_both_end_saved_after_the_same_step(packed, tmp_path, on_two_processes, rank):
    file, config = packed
    dataset = read_packed(file)
    indices, _ = dataset.split(config.data.holdout_fraction, config.data.holdout_max, config.seed)
    batches = Batches(dataset, indices, config.train.batch_size, config.seed)
    victim = batches.picture_indices(5)[4 * rank + 1]  # of the sixth batch, a half of which each process reads
    (tmp_path / "config.json").write_text(to_json(config))
    (tmp_path / "victim.json").write_text(json.dumps([str(file), 128 + 768 * int(victim)]))
    on_two_processes("damaged_pictures.py", tmp_path)
    ends = [json.loads((tmp_path / f"end-{number}.json").read_text()) for number in range(2)]
    assert f"digits.npy is damaged: picture {victim:,} " in ends[rank]["error"]
    assert ends[1 - rank] | {"said": ""} == {"step": 5, "finished": False, "error": None, "said": ""}
    assert load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])["step"] == 5
