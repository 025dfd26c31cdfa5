"""Graphs that draw without this project: the same images for any batch, in an environment that does not have it."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sagan.exchange import graph
from sagan.exchange.graph import GraphError, inputs_of, plain_generator, write_onnx, write_program
from sagan.exchange.scripts import READ, script_for, write_script
from sagan.generators.weights import load_weights, save_weights

KINDS = {
    "tables": {},
    "maps, bilinear, pooled attention": {
        "class_conditioning": "linear",
        "upsampling": "bilinear",
        "attention_form": "official",
        "base_width": 4,
    },
    "no classes": {"num_classes": 0},
    "noise in chunks": {"noise_entry": "chunks", "class_conditioning": "linear"},
    "noise everywhere, no classes": {"noise_entry": "whole", "num_classes": 0},
    "cheaper blocks": {"narrow_largest": 1, "single_largest": 1},
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_plain_generator_is_the_same_function(kind, small, tmp_path):
    generator = small(**KINDS[kind])
    plain = plain_generator(generator.network)
    assert not any("parametrizations" in key for key in plain.state_dict())
    inputs = inputs_of(plain, 5, 3)
    assert torch.allclose(plain(*inputs), generator.network(*inputs), atol=1e-5)
    save_weights(generator.network, tmp_path / "g.safetensors", generator.class_names, {})
    again = plain_generator(load_weights(tmp_path / "g.safetensors").generator)
    assert torch.equal(again(*inputs), plain(*inputs))


def test_a_graph_that_draws_something_else_is_not_written(small, tmp_path, monkeypatch):
    def other(z, y):
        return np.zeros((len(z), 3, 16, 16), np.float32)

    plain = plain_generator(small().network)
    with pytest.raises(GraphError, match=r"differ by .* more than 0.0001: it is not written"):
        graph._checked(plain, other, tmp_path / "g.onnx")
    with pytest.raises(GraphError, match="for a batch of 1"):
        graph._checked(plain, lambda z, y: other(z, y)[:, :1], tmp_path / "g.onnx")

    def nothing(z, y):
        return np.full((len(z), 3, 16, 16), np.nan, np.float32)

    with pytest.raises(GraphError, match="differ by nan"):
        graph._checked(plain, nothing, tmp_path / "g.onnx")


def packages(*names):
    """Give the folders and files of installed packages, and of all that they need."""
    wanted, found = list(names), {}
    while wanted:
        name = re.split(r"[ ;<>=!~\[(]", wanted.pop(), maxsplit=1)[0]
        key = re.sub(r"[-_.]+", "-", name).lower()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another system or Python
            continue
        if key not in found:
            found[key] = distribution
            wanted += [line for line in distribution.requires or [] if "extra ==" not in line]
    places = set()
    for distribution in found.values():
        for file in distribution.files or []:
            if file.parts[0] not in ("..", "__pycache__"):
                places.add(Path(str(distribution.locate_file(file.parts[0]))))
    return places


@pytest.fixture
def run_alone(tmp_path):
    """Run a script where only some packages can be imported."""

    def run(script, needed, *arguments):
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        for place in packages(*needed):
            if not (site / place.name).exists() and place.exists():
                (site / place.name).symlink_to(place)
        (tmp_path / "drawn").mkdir(exist_ok=True)
        environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-S", "-W", "ignore", *map(str, [script, *arguments])]
        return subprocess.run(
            command, cwd=tmp_path / "drawn", env=environment, capture_output=True, text=True, check=False
        )

    return run


def drawn(folder):
    pictures = []
    for file in sorted((folder / "drawn").iterdir()):
        with Image.open(file) as picture:
            pictures.append(np.asarray(picture))
    return pictures


def differs_hardly(found, expected):
    """A pixel on the edge between two values may fall on either side."""
    return np.abs(found.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.slow("exports and starts other Pythons")
def test_onnx_draws_what_sample_draws_without_sagan(small, tmp_path, run_alone):
    generator = small()
    out = tmp_path / "my [cat].onnx"
    assert write_onnx(generator, out) < 1e-5
    script = write_script(out, classes=True)
    needed = ("onnxruntime", "numpy", "pillow")
    assert "No module named 'sagan'" in run_alone("-c", needed, "import sagan").stderr
    assert "No module named 'torch'" in run_alone("-c", needed, "import torch").stderr
    done = run_alone(script, needed, "dog & co", "3", "7")
    assert done.returncode == 0, done.stderr
    assert differs_hardly(np.stack(drawn(tmp_path)), generator.sample(3, "dog & co", seed=7))
    done = run_alone(script, needed, "bird")
    assert done.returncode == 1
    assert "no class bird; usage: " in done.stderr
    assert "classes, by name or number: cat, dog & co, 3" in done.stderr


@pytest.mark.slow("exports and starts another Python")
def test_a_program_draws_with_torch_and_without_sagan(small, tmp_path, run_alone):
    generator = small()
    out = tmp_path / "torch.pt2"
    assert write_program(generator, out) < 1e-5
    script = write_script(out, classes=True)
    assert "No module named 'sagan'" in run_alone("-c", ("torch", "pillow"), "import sagan").stderr
    done = run_alone(script, ("torch", "pillow"), "cat", "2", "5")
    assert done.returncode == 0, done.stderr
    z = torch.stack([torch.randn(8, generator=torch.Generator().manual_seed(5 * 2**32 + i)) for i in range(2)])
    with torch.no_grad():
        images = generator.network(z, torch.tensor([0, 0])).permute(0, 2, 3, 1).numpy()
    expected = ((images + 1) * 127.5 + 0.5).clip(0, 255).astype(np.uint8)
    assert differs_hardly(np.stack(drawn(tmp_path)), expected)
    done = run_alone(script, ("torch", "pillow"), "bird")
    assert done.returncode == 1
    assert "no class bird; usage: " in done.stderr
    assert "classes, by name or number: cat, dog & co, 3" in done.stderr


@pytest.mark.slow("exports and starts another Python")
def test_onnx_without_classes_draws_what_sample_draws(small, tmp_path, run_alone):
    generator = small(num_classes=0)
    write_onnx(generator, tmp_path / "plain.onnx")
    script = write_script(tmp_path / "plain.onnx", classes=False)
    done = run_alone(script, ("onnxruntime", "numpy", "pillow"))
    assert done.returncode == 0, done.stderr
    assert differs_hardly(np.stack(drawn(tmp_path)), generator.sample(8, seed=0))


@pytest.mark.slow("exports")
@pytest.mark.parametrize("kind", list(KINDS)[1:])
def test_other_generators_are_exported(kind, small, tmp_path):
    generator = small(**KINDS[kind])
    assert write_onnx(generator, tmp_path / "g.onnx") < 1e-4
    assert write_program(generator, tmp_path / "g.pt2") < 1e-4
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    inputs = inputs_of(generator.network, 13, 9)
    with torch.no_grad():
        expected = generator.network(*inputs).numpy()
    found = session.run(None, dict(zip("zy", (tensor.numpy() for tensor in inputs), strict=False)))[0]
    assert np.abs(found - expected).max() < 1e-4


def test_a_script_has_a_name_of_no_module_and_says_how_it_is_used(tmp_path):
    assert script_for(Path("x/torch.pt2")) == Path("x/torch-pt2.py")
    for suffix in (".onnx", ".pt2"):
        for classes in (True, False):
            text = write_script(tmp_path / f"a'{{b}}\"c{suffix}", classes=classes).read_text()
            compile(text, "script", "exec")
            assert len([line for line in text.splitlines() if line]) <= 25
            assert max(map(len, text.splitlines())) <= 120
            assert ("CLASS [NUM]" in text) == classes
            assert "import sagan" not in text


@pytest.mark.parametrize("names", [("cat", "2", "dog & co"), ()], ids=["classes", "no classes"])
def test_a_script_takes_classes_by_name_or_number_and_numbers_alone(names):
    def read(*words):
        space = {"names": list(names), "words": list(words), "sys": sys}
        exec(READ.format(script="a.py", usage="CLASS [NUM] [SEED]", bits=32), space)
        return space["label"], space["num"], space["seed"]

    label = ("cat",) if names else ()
    assert read(*label) == (0, 8, 0)
    assert read(*label, "3", "7") == (0, 3, 7)
    for words in (("two",), ("0",), ("3", "-1"), ("3", "4294967296"), ("3", "1.5"), ("3", "1", "5")):
        with pytest.raises(SystemExit, match=f"found {' '.join(words)}; usage: a.py CLASS"):
            read(*label, *words)
    if names:
        assert [read(word)[0] for word in ("cat", "0", "1", "2", "dog & co")] == [0, 0, 1, 1, 2]
        for word in ("bird", "3", "-1"):
            with pytest.raises(SystemExit, match=f"no class {word}; usage.*by name or number: cat, 2, dog & co"):
                read(word)
        with pytest.raises(SystemExit, match="no class named; usage"):
            read()
