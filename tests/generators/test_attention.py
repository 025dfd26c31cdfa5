"""Where networks look, to files, from Python: what is wrong is refused before a network runs."""

import numpy as np
import pytest
import torch
from PIL import Image

from sagan.data import DataConfig, open_dataset
from sagan.generators.attention import attention_to_file, write_attention, write_discriminator_attention
from sagan.generators.config import AttentionConfig
from sagan.generators.pretrained import load, load_discriminator, load_judge


@pytest.fixture
def no_network_runs(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("work was begun before everything was checked")

    for place in ("pretrained.sampling_copy", "trained.attention_maps", "attention.attention_maps"):
        monkeypatch.setattr(f"sagan.generators.{place}", fail)
    monkeypatch.setattr("sagan.generators.attention.open_alike", fail)


@pytest.fixture
def colours(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "colours.npz", images=images, labels=np.arange(6) % 2, class_names=["warm", "cold"])
    return DataConfig(path=str(tmp_path / "colours.npz"), cache_dir=str(tmp_path / "cache"))


def test_the_maps_are_those_of_the_generator(run_folder, tmp_path):
    folder, _ = run_folder()
    config = AttentionConfig(classes=("green",), num=2, seed=4, queries_px=[(3, 5)])
    said = attention_to_file(folder, str(tmp_path / "a.npz"), config)
    assert "2 images, 1 query, feat8 of the generator; gamma feat8" in said
    result = load(folder, preview=True).attention(2, "green", 4, [(3, 5)])
    with np.load(tmp_path / "a.npz") as arrays:
        assert np.array_equal(arrays["images"], result.images)
        assert np.array_equal(arrays["maps_feat8"], result.maps[8])


def test_of_real_pictures_it_is_the_discriminator_that_looks(run_folder, colours, tmp_path):
    folder, _ = run_folder()
    said = attention_to_file(folder, tmp_path / "d.npz", AttentionConfig(classes=("cold",), num=3), data=colours)
    assert "3 images, 5 queries, feat8 of the discriminator" in said
    with np.load(tmp_path / "d.npz") as arrays:
        assert arrays["labels"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="no class 'colt'; did you mean cold"):
        attention_to_file(folder, tmp_path / "d.npz", AttentionConfig(classes=("colt",)), data=colours)
    with pytest.raises(ValueError, match="class cold has 3 pictures, 4 were asked for"):
        attention_to_file(folder, tmp_path / "d.npz", AttentionConfig(classes=("cold",), num=4), data=colours)


def test_real_pictures_come_to_their_size_as_those_of_the_run(run_folder, tmp_path, monkeypatch):
    folder, _ = run_folder()
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))

    def judge(path):
        D, snapshot = load_judge(path)
        snapshot.contents["data"] = {"decoding": {"fit": "squeeze"}}
        return D, snapshot

    monkeypatch.setattr("sagan.generators.attention.load_judge", judge)
    wide = np.random.default_rng(0).integers(0, 100, (4, 16, 32, 3), dtype=np.uint8)
    wide[:, :, :8] = 255  # a crop does not see it
    np.savez(tmp_path / "wide.npz", images=wide, labels=np.arange(4) % 2)
    for data in ((wide, np.arange(4) % 2), str(tmp_path / "wide.npz"), DataConfig(path=str(tmp_path / "wide.npz"))):
        attention_to_file(folder, tmp_path / "d.npz", AttentionConfig(num=2), data=data)
        with np.load(tmp_path / "d.npz") as arrays:
            assert (arrays["images"][:, :, :3] == 255).all()


@pytest.mark.usefixtures("no_network_runs")
@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize(
    ("out", "fields", "message"),
    [
        ("a.txt", {}, "write attention to"),
        ("a.png", {"queries_px": [(8, 8), (8, 16)]}, "query 8,16 lies outside the image of 16x16 pixels"),
        ("a.png", {"position": 4}, "has attention at feat8, not at feat4"),
    ],
)
def test_nothing_is_computed_for_what_cannot_be_drawn(run_folder, colours, tmp_path, real, out, fields, message):
    folder, _ = run_folder()
    data = colours if real else None
    with pytest.raises(ValueError, match=message):
        attention_to_file(folder, tmp_path / out, AttentionConfig(**fields), data=data)
    with pytest.raises(AssertionError, match="work was begun"):
        attention_to_file(folder, tmp_path / "a.png", data=data)


@pytest.mark.usefixtures("no_network_runs")
def test_classes_and_truncation_too(run_folder, colours, tmp_path):
    folder, _ = run_folder()
    for fields, data, message in (
        ({"classes": ("blue",)}, None, "no class 'blue'"),
        ({"truncation": 0.0}, None, "truncation must be above"),
        ({"truncation": 1.0}, colours, "truncation is for samples"),
    ):
        with pytest.raises(ValueError, match=message):
            attention_to_file(folder, tmp_path / "a.png", AttentionConfig(**fields), data=data)


@pytest.mark.usefixtures("no_network_runs")
def test_of_loaded_networks_too(trained, tmp_path):
    for out, fields, message in (
        ("a.txt", {}, "write attention to"),
        ("a.png", {"num": 0}, "num must be at least 1"),
        ("a.png", {"classes": ["blue"]}, "no class 'blue'"),
        ("a.png", {"queries_px": [(16, 0)]}, "outside the image"),
        ("a.png", {"position": 16}, "not at feat16"),
    ):
        with pytest.raises(ValueError, match=message):
            write_attention(trained, tmp_path / out, **fields)
    with pytest.raises(TypeError):
        write_attention(trained, tmp_path / "a.png", layer=8)
    assert list(tmp_path.iterdir()) == []


def test_all_keywords_of_before(trained, run_folder, colours, tmp_path):
    both = {"num": 1, "seed": 2, "queries_px": [(1, 1)], "position": 8, "style": "grey"}
    said = write_attention(trained, tmp_path / "a.png", classes=["red"], truncation=1.0, **both)
    assert "1 image, 1 query, feat8 of the generator" in said
    D, _ = load_discriminator(run_folder()[0])
    said = write_discriminator_attention(D, open_dataset(colours, 16), tmp_path / "b.png", classes=["warm"], **both)
    assert "1 image, 1 query, feat8 of the discriminator" in said


def test_keywords_draw_the_same_as_a_configuration(run_folder, tmp_path):
    folder, _ = run_folder()
    generator = load(folder, preview=True)
    write_attention(generator, tmp_path / "a.png", classes=["2"], queries_px=[(1, 2)], style="grey")
    attention_to_file(folder, tmp_path / "b.png", AttentionConfig(classes=("2",), queries_px=[(1, 2)], style="grey"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_pictures_are_read_as_the_discriminators_were(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "deep").mkdir()
    for index in range(3):
        Image.fromarray(np.full((16, 16), 5000 * (index + 1), np.uint16)).save(tmp_path / "deep" / f"{index}.png")
    folder, _ = run_folder()
    file = next((folder / "checkpoints").glob("*.pt"))
    contents = torch.load(file, weights_only=True)
    contents["data"] = {"decoding": {"range": {"16-bit": [0.0, 10000.0]}}}
    del contents["checksum"]
    torch.save(contents | {"format_version": 1}, file)
    data = DataConfig(path=str(tmp_path / "deep"))
    attention_to_file(folder, tmp_path / "a.npz", AttentionConfig(num=3), data=data, progress=True)
    assert "note: read as the run's pictures were, with --data.range=0:10000" in capsys.readouterr().err
    with np.load(tmp_path / "a.npz") as arrays:
        assert sorted(arrays["images"][:, 0, 0, 0].tolist()) == [128, 255, 255]
