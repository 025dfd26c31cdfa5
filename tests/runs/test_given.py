"""Runs on pictures that are given in Python: like runs on files, and they go on only with the same pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import sagan
from sagan.data import DataError, GivenData
from sagan.runs.folder import RunError
from sagan.training.checkpoint import checkpoints, load_checkpoint


class Shapes(Dataset):
    """64 squares of two colours, as a data set of a user's own."""

    classes = ("red", "green")

    def __len__(self):
        return 64

    def __getitem__(self, index):
        image = torch.zeros(3, 20, 16)
        image[index % 2, 2 : 6 + index % 7, 3:9] = 0.5 + index / 128
        return image, index % 2


PICTURES = GivenData(Shapes(), values="0..1")


@pytest.fixture
def config(tiny, own_cache):
    """A run of two steps on 16 px."""
    config = tiny(2)
    return replace(config, data=replace(config.data, holdout_fraction=0.25))


def weights(folder):
    return load_checkpoint(checkpoints(folder / "checkpoints")[-1])["G"]


def test_a_run_on_given_pictures_is_one_on_the_same_in_a_file(config, run, tmp_path):
    given, _ = run(config, tmp_path / "given", data=PICTURES)
    packed = sagan.pack(PICTURES, 16, tmp_path / "a.npy", progress=False)
    assert packed is not None
    from_file, _ = run(config, tmp_path / "file", data=tmp_path / "a.npy")
    one, other = weights(given.out), weights(from_file.out)
    assert all(torch.equal(one[name], other[name]) for name in other)
    stored = json.loads((tmp_path / "given" / "config.json").read_text())
    assert stored["data"]["path"].startswith("given:Shapes-64:")
    assert (tmp_path / "given" / "classes.txt").read_text() == "red\ngreen\n"


def test_it_goes_on_from_the_cache_or_with_the_same_pictures_and_no_others(config, run, tmp_path):
    first, _ = run(config, tmp_path / "run", data=PICTURES)
    longer = replace(config, train=replace(config.train, total_steps=3))
    run(replace(longer, data=replace(longer.data, path=path_of(first.out))), None, resume=first.out)
    (cached,) = (tmp_path / "cache" / "packed").iterdir()
    cached.unlink()
    four = replace(config, train=replace(config.train, total_steps=4))
    with pytest.raises(
        DataError, match=r"given:Shapes-64:\w+ were given in Python, and are no longer in the cache folder"
    ):
        run(replace(four, data=replace(four.data, path=path_of(first.out))), None, resume=first.out)
    other = GivenData([np.zeros((20, 20), np.uint8)] * 64, [0, 1] * 32)
    with pytest.raises(
        RunError, match=r"the pictures changed since .* was saved \(classes red, green then and 0, 1 now"
    ):
        run(four, None, resume=first.out, data=other)
    result, _ = run(four, None, resume=first.out, data=PICTURES)
    assert result.step == 4
    assert run(None, None, resume=first.out)[0].finished


def path_of(folder):
    return json.loads((folder / "config.json").read_text())["data"]["path"]


def test_a_folder_of_its_own_has_a_plain_name(config, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(config, data=PICTURES)[0].out.name.startswith("pictures-16")


def test_what_cannot_be_used_is_refused_before_there_is_a_folder(config, run, tmp_path):
    for data, message in ((Shapes(), "say what they mean"), (7, "pictures in Python are"), ([], "0 picture")):
        with pytest.raises(DataError, match=message):
            run(config, tmp_path / "run", data=data)
        assert not (tmp_path / "run").exists()


def test_they_are_what_a_generator_is_judged_by(config, run, tmp_path):
    folder = run(config, tmp_path / "run", data=PICTURES)[0].out
    how = sagan.EvaluateConfig(metrics=("fid",), features="pixels", num=16)
    images = np.stack([np.asarray(picture) for picture in sagan.pack(PICTURES, 16, tmp_path / "a.npy").images[:]])
    labels = [index % 2 for index in range(64)]
    judged = [
        sagan.evaluate(folder, data, how, progress=False).report.values
        for data in (PICTURES, tmp_path / "a.npy", (images, labels, ("red", "green")), path_of(folder))
    ]
    assert all(values == judged[0] for values in judged)
    heldout = replace(how, split="heldout")
    assert sagan.evaluate(folder, PICTURES, heldout, progress=False).report.values[0].protocol["reference_count"] == 16
    said = sagan.attention_to_file(folder, tmp_path / "looks.png", data=PICTURES)
    assert "looks.png" in said and (tmp_path / "looks.png").exists()
