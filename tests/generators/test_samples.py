"""Samples to files, from Python: what is wrong is refused before a network runs."""

import numpy as np
import pytest
from PIL import Image

from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.generators.samples import sample_to_file, write_asked, write_interpolation, write_samples


@pytest.fixture
def no_network_runs(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("work was begun before everything was checked")

    monkeypatch.setattr("sagan.generators.pretrained.sampling_copy", fail)
    monkeypatch.setattr("sagan.generators.trained.generate", fail)


def test_a_run_folder_gives_the_samples_of_its_generator(run_folder, tmp_path):
    folder, _ = run_folder()
    said = sample_to_file(folder, str(tmp_path / "a.npz"), SampleConfig(classes=("green", "2"), num=2, seed=5))
    assert said == f"{tmp_path / 'a.npz'}: 4 samples of seed=5"
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["labels"].tolist() == [1, 1, 2, 2]
        assert np.array_equal(arrays["images"], load(folder, preview=True).sample(4, [1, 1, 2, 2], 5))
    sample_to_file(folder, tmp_path / "walk.gif", SampleConfig(interpolate=3, classes=("red", "green")))
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 4


@pytest.mark.usefixtures("no_network_runs")
@pytest.mark.parametrize(
    ("out", "fields", "message"),
    [
        ("a.txt", {}, "write samples to"),
        ("a.png", {"classes": ("blue",)}, "no class 'blue'; known: red, green, 2"),
        ("a.png", {"truncation": 0.0}, "truncation must be above"),
        ("a.txt", {"interpolate": 3}, "write an interpolation to"),
        ("a.gif", {"interpolate": 3, "classes": ("red", "gren")}, r"no class 'gren'; did you mean green\?"),
    ],
)
def test_nothing_is_computed_for_what_cannot_be_written(run_folder, tmp_path, out, fields, message):
    folder, _ = run_folder()
    with pytest.raises(ValueError, match=message):
        sample_to_file(folder, tmp_path / out, SampleConfig(**fields))
    assert not (tmp_path / out).exists()
    with pytest.raises(AssertionError, match="work was begun"):
        sample_to_file(folder, tmp_path / "a.png")


@pytest.mark.usefixtures("no_network_runs")
def test_of_a_loaded_generator_too(trained, tmp_path):
    with pytest.raises(ValueError, match="write samples to"):
        write_samples(trained, tmp_path / "a.txt")
    with pytest.raises(ValueError, match="num must be at least 1"):
        write_samples(trained, tmp_path / "a.png", num=0)
    with pytest.raises(ValueError, match="no class 'blue'"):
        write_samples(trained, tmp_path / "a.png", classes=["blue"])
    with pytest.raises(ValueError, match="at least 2 frames"):
        write_interpolation(trained, tmp_path / "a.png", frames=1)
    with pytest.raises(ValueError, match="write an interpolation to"):
        write_interpolation(trained, tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_all_keywords_of_before(trained, tmp_path):
    said = write_samples(trained, tmp_path / "a.png", classes=["red"], num=2, seed=3, truncation=1.0)
    assert said.endswith("2 samples of seed=3, truncation 1.0")
    walk = {"frames": 4, "classes": ["red", "2"], "seed": 1, "end_seed": 1, "truncation": 1.0}
    assert write_interpolation(trained, tmp_path / "b.png", **walk).endswith("strip of 4 images")


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.webp", "a.npz"])
@pytest.mark.parametrize("walk", [True, False])
def test_what_made_a_file_is_written_into_it(name, walk, trained, tmp_path):
    if name == "a.gif" and not walk:
        return
    config = SampleConfig(num=1, interpolate=3 if walk else None)
    write_asked(trained, tmp_path / name, config, metadata={"command": "sagan sample x --seed 3"})
    if name == "a.npz":
        with np.load(tmp_path / name) as arrays:
            assert arrays["metadata"] == "command: sagan sample x --seed 3"
            assert len(arrays["images"]) == 3
        return
    with Image.open(tmp_path / name) as picture:
        held = {**picture.info, **picture.getexif()}
        assert "sagan sample x --seed 3" in " ".join(map(str, held.values()))


def test_many_samples_say_how_far_they_are(trained, capfd, monkeypatch):
    monkeypatch.setattr("sagan.data.progress_lines.EVERY_S", 0.0)
    trained.sample(num=130, progress=True)
    assert "samples: 128 of 130" in capfd.readouterr().err
    trained.sample(num=130)
    assert capfd.readouterr().err == ""
