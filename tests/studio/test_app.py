"""What the server answers, request by request."""

import io
import shlex
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from sagan.cli.main import main
from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.sampling import attention_gammas, attention_maps, generate
from sagan.studio.binary import unpacked


def test_state_tells_of_each_source(client, weights, run_folder):
    first, second = client(weights(), run_folder).state()
    assert first["name"] == "tiny.safetensors"
    assert first["classes"] == ["red", "green", "2"]
    assert (first["size"], first["directions"], first["step"], first["run"]) == (16, 8, 7, False)
    assert first["gammas"] == {"8": pytest.approx(0.7)}
    assert (first["discriminator"], second["discriminator"]) == (False, True)
    assert (second["run"], second["step"], second["rough"]) == (True, 4, False)
    assert "2 batches of 8" in second["batch_norm"]


def test_samples_are_those_of_the_library_and_the_command_makes_them_again(client, weights, tmp_path, capsys):
    file = weights()
    header, arrays = client(file).arrays(
        "pictures", {"source": "0", "classes": [2, 0], "num": 2, "seed": 5, "truncation": 1.0}
    )
    expected = generate(*load(file).inputs(SampleConfig(classes=("2", "red"), num=2, seed=5, truncation=1.0)))
    assert np.array_equal(arrays["images"], expected)
    assert header["labels"] == [2, 2, 0, 0]
    words = shlex.split(header["command"])
    assert words[:2] == ["sagan", "sample"]
    assert main([*words[1:-1], str(tmp_path / "again.npz")]) == 0
    with np.load(tmp_path / "again.npz") as again:
        assert np.array_equal(again["images"], expected)


@pytest.mark.parametrize(
    "ask",
    [
        {"classes": [0, 2], "interpolate": 5, "index": 1, "end_index": 3, "end_seed": 0},
        {"classes": [1], "interpolate": 4, "direction": 3, "reach": 2.5, "index": 2, "seed": 9},
    ],
    ids=["two samples", "direction"],
)
def test_a_walk_and_its_command(ask, client, weights, tmp_path):
    file = weights()
    header, arrays = client(file).arrays("pictures", {"source": "0", **ask})
    assert arrays["images"].shape == (ask["interpolate"], 16, 16, 3)
    assert (arrays["images"][0] != arrays["images"][-1]).any()
    assert main([*shlex.split(header["command"])[1:-1], str(tmp_path / "walk.npz")]) == 0
    with np.load(tmp_path / "walk.npz") as again:
        assert np.array_equal(again["images"], arrays["images"])


def test_samples_and_a_walk_do_not_replace_each_other(client, weights, monkeypatch):
    studio, lanes = client(weights()), []
    run = studio.studio.newest.run

    async def noted(lane, work):
        lanes.append(lane)
        return await run(lane, work)

    monkeypatch.setattr(studio.studio.newest, "run", noted)
    for ask in ({"seed": 1}, {"seed": 2}, {"interpolate": 3}, {"interpolate": 3, "seed": 2}):
        studio.arrays("pictures", {"source": "0", "classes": [0], "page": "a", **ask})
    samples, other_samples, walk, other_walk = lanes
    assert (samples, walk) == (other_samples, other_walk)
    assert samples != walk


@pytest.mark.parametrize("form", ["slides", "official"])
def test_the_whole_map_of_a_sample(form, client, weights):
    file = weights(attention=(8, 16), attention_form=form)
    pictures = {"source": "0", "classes": [1], "num": 3, "seed": 2}
    header, arrays = client(file).arrays("looks", {"pictures": pictures, "item": 2})
    generator = load(file)
    network, z, y = generator.inputs(SampleConfig(classes=("green",), num=3, seed=2))
    expected = attention_maps(network, z[2:], y[2:])
    assert [block["position"] for block in header["blocks"]] == [8, 16]
    for block in header["blocks"]:
        k = block["position"]
        assert block["gamma"] == pytest.approx(attention_gammas(network)[k])
        values = arrays[f"map{k}"] / 255 * arrays[f"largest{k}"][:, None]
        reference = expected[k][0].reshape(k * k, -1).numpy()
        assert block["keys"] == list(expected[k].shape[2:])
        assert np.abs(values - reference).max() <= reference.max() / 400
        assert arrays[f"map{k}"].dtype == np.uint8


def test_a_large_map_is_sent_for_a_coarser_grid_of_places(client, weights, monkeypatch):
    monkeypatch.setattr("sagan.studio.drawing.MAX_NUMBERS", 1024)
    file = weights()
    header, arrays = client(file).arrays("looks", {"pictures": {"source": "0", "classes": [1]}, "item": 0})
    assert header["blocks"][0]["queries"] == [4, 4]
    network, z, y = load(file).inputs(SampleConfig(classes=("green",), num=1))
    expected = attention_maps(network, z, y)[8][0].reshape(8, 8, 64)[1::2, 1::2].reshape(16, 64).numpy()
    assert np.abs(arrays["map8"] / 255 * arrays["largest8"][:, None] - expected).max() < 1e-3


@pytest.mark.parametrize("kind", ["png", "npz", "gif", "webp"])
def test_saved_files_say_what_makes_them_again(kind, client, weights, tmp_path):
    walk = {"interpolate": 3} if kind in ("gif", "webp") else {"num": 2}
    body = {"pictures": {"source": "0", "classes": [0], "seed": 3, **walk}, "kind": kind}
    studio = client(weights())
    answer = studio.post("save", body)
    assert answer.status_code == 200
    command = unquote(answer.headers["x-command"])
    assert command == studio.post("command", body).json()["command"]
    words = shlex.split(command)
    assert main([*words[1:-1], str(tmp_path / f"again.{kind}")]) == 0
    if kind == "npz":
        with np.load(io.BytesIO(answer.content)) as saved, np.load(tmp_path / "again.npz") as again:
            assert np.array_equal(saved["images"], again["images"])
            assert command in str(saved["metadata"])
        return
    with Image.open(io.BytesIO(answer.content)) as saved, Image.open(tmp_path / f"again.{kind}") as again:
        assert np.array_equal(saved.convert("RGB"), again.convert("RGB"))
        assert command in " ".join(map(str, [*saved.info.values(), *saved.getexif().values()]))


def test_a_saved_attention_figure_is_that_of_its_command(client, weights, tmp_path):
    pictures = {"source": "0", "classes": [0, 1], "num": 2, "seed": 3}
    body = {
        "pictures": pictures,
        "kind": "png",
        "looks": {"pictures": pictures, "item": 3},
        "query": [2, 9],
        "position": 8,
    }
    answer = client(weights()).post("save", body)
    command = unquote(answer.headers["x-command"])
    assert "--sample 3 --query 2,9 --layer 8" in command
    assert main([*shlex.split(command)[1:-1], str(tmp_path / "again.png")]) == 0
    with Image.open(io.BytesIO(answer.content)) as saved, Image.open(tmp_path / "again.png") as again:
        assert np.array_equal(saved, again)


def test_a_place_beyond_the_hundredth_pixel_is_saved_and_copied(client, weights):
    pictures = {"source": "0", "classes": [0]}
    studio = client(weights(size_px=128))
    body = {"pictures": pictures, "kind": "npz", "looks": {"pictures": pictures, "item": 0}, "query": [100, 127]}
    assert "--query 100,127" in studio.post("command", body).json()["command"]
    with np.load(io.BytesIO(studio.post("save", body).content)) as held:
        assert held["queries"].tolist() == [[100, 127]]
    status, error = studio.error("save", body | {"query": [100, 128]})
    assert (status, "128" in error) == (400, True), error
    assert "query.1: input should be less than" in studio.error("save", body | {"query": [0, 10**9]})[1]


def test_a_run_and_its_samples_over_time(client, run_folder):
    studio = client(run_folder)
    told = studio.http.get("/api/runs/0").json()
    assert (told["step"], told["total"], told["samples"]) == (4, 10, [2, 4])
    assert told["health"][0]["health"] == "classes alike"
    assert "Losses" in [panel["title"] for panel in told["panels"]]
    _, arrays = unpacked(studio.http.get("/api/runs/0/samples/2").content)
    assert arrays["images"].shape == (3, 16, 16, 3)
    assert (arrays["images"] == 20).all()
    answer = studio.http.get("/api/runs/0/samples/3")
    assert answer.status_code == 400
    assert "no samples of step 3" in answer.json()["error"]


def test_curves_are_handed_out_as_a_picture(client, run_folder):
    studio = client(run_folder)
    answer = studio.http.get("/api/runs/0/curves.png")
    assert answer.headers["content-disposition"] == 'attachment; filename="curves.png"'
    with Image.open(io.BytesIO(answer.content)) as curves:
        assert np.asarray(curves.convert("L")).std() > 5
    (run_folder / "log.jsonl").write_text("")
    answer = studio.http.get("/api/runs/0/curves.png")
    assert (answer.status_code, "nothing to draw" in answer.json()["error"]) == (400, True)


def test_a_file_of_weights_is_no_run(client, weights):
    assert "name its run folder" in client(weights()).http.get("/api/runs/0").json()["error"]


def test_own_picture_and_where_the_discriminator_looks_in_it(client, run_folder, picture_file):
    data, pixels = picture_file
    studio = client(run_folder)
    headers = {"content-type": "application/octet-stream"}
    answer = studio.http.post("/api/own/0", content=data, headers=headers)
    assert answer.status_code == 200, answer.text
    _, arrays = unpacked(answer.content)
    centre = np.asarray(Image.fromarray(pixels[:, 5:25]).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(arrays["image"], centre)
    header, maps = unpacked(arrays["looks"].tobytes())
    assert header["blocks"][0]["position"] == 8
    assert maps["map8"].shape == (64, 64)
    where = "row=3&column=4&position=8"
    saved = studio.http.post(f"/api/own/0/save?{where}&kind=png", content=data, headers=headers)
    with Image.open(io.BytesIO(saved.content)) as figure:
        assert np.asarray(figure.convert("L")).std() > 5
    arrays = studio.http.post(f"/api/own/0/save?{where}&kind=npz", content=data, headers=headers).content
    with np.load(io.BytesIO(arrays)) as held:
        assert held["queries"].tolist() == [[3, 4]]
    bad = studio.http.post("/api/own/0", content=b"no picture", headers=headers)
    assert (bad.status_code, "this picture cannot be used" in bad.json()["error"]) == (400, True)


def test_weights_alone_have_no_discriminator(client, weights, picture_file):
    headers = {"content-type": "application/octet-stream"}
    answer = client(weights()).http.post("/api/own/0", content=picture_file[0], headers=headers)
    assert "holds the generator only" in answer.json()["error"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "7"}, "opened with other weights"),
        ({"classes": [3]}, "there is no class 3; this generator has 3"),
        ({"num": 0}, "num: input should be greater than or equal to 1"),
        ({"classes": [0, 1, 2], "num": 50}, "150 samples are too many at a time"),
        ({"truncation": 0.0}, "truncation must be above"),
        ({"interpolate": 500}, "interpolate: input should be less than or equal to 65"),
        ({"direction": 9, "interpolate": 3}, "direction must be from 1 to 8, found 9"),
        ({"seed": -1}, "seed: input should be greater"),
        ({"other": 1}, "other: extra inputs are not permitted"),
    ],
)
def test_mistakes_are_sentences(change, message, client, weights):
    status, error = client(weights()).error("pictures", {"source": "0", **change})
    assert status in (400, 422)
    assert message in error


def test_a_crash_of_one_sampling_does_not_end_the_studio(client, weights, monkeypatch, capsys):
    studio = client(weights())

    def crash(*_):
        raise RuntimeError("the kernel fell over")

    with monkeypatch.context() as broken:
        broken.setattr("sagan.studio.app.draw", crash)
        status, error = studio.error("pictures", {"source": "0"})
    assert (status, error.startswith("this could not be computed")) == (500, True)
    assert "the kernel fell over" in capsys.readouterr().err
    studio.arrays("pictures", {"source": "0"})

    def full(*_):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("sagan.studio.app.draw", full)
    assert studio.error("pictures", {"source": "0"}) == (507, "out of memory; ask for fewer samples at a time")


def test_nothing_but_the_page_is_served_from_the_disk(client, weights):
    studio = client(weights())
    assert "<title>sagan studio</title>" in studio.http.get("/").text
    assert "import" in studio.http.get("/page/main.js").text
    for path in (
        "/page/nothing.js",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/etc/passwd",
        "/page/",
        "/docs",
        "/openapi.json",
    ):
        answer = studio.http.get(path)
        assert answer.status_code == 404, path
        assert "error" in answer.json()
