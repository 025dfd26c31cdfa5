"""What is refused, before anything of it is executed, and how it is named."""

import os
import pickle
import zipfile

import numpy as np
import oracle
import pytest
import torch
from foreign_files import RUNS, source_of, started, states, write

from sagan.exchange.bring_in import read_networks
from sagan.exchange.config import ImportConfig, check_out, read_names
from sagan.exchange.foreign import ForeignError, read_foreign
from sagan.exchange.sources import SOURCES, recognised

SMALL = [run for run in RUNS if run.endswith("-32")]


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def refused(path, **options):
    with pytest.raises(ForeignError) as caught:
        read_networks(path, ImportConfig(**options))
    return str(caught.value)


@pytest.mark.parametrize("form", ["torch.save", "pickle"])
def test_a_file_that_would_run_code_is_refused_with_the_way_out(form, tmp_path):
    file, mark = tmp_path / "G.pth", str(tmp_path / "was here")
    contents = {"linear.weight": torch.ones(2), "more": Hostile(mark)}
    if form == "torch.save":
        torch.save(contents, file)
    else:
        file.write_bytes(pickle.dumps({"more": Hostile(mark)}))
    said = refused(file)
    assert not (tmp_path / "was here").exists()
    assert "mkdir" in said or form == "pickle"
    assert "write its tensors alone" in said or form == "pickle"
    with pytest.raises((pickle.UnpicklingError, OSError, RuntimeError)):  # the file does what it is meant to do
        zipped = zipfile.is_zipfile(file)
        torch.load(file, weights_only=False) if zipped else pickle.loads(file.read_bytes())
        raise OSError if (tmp_path / "was here").exists() else AssertionError


def test_numbers_of_numpy_are_no_code(tmp_path):
    """StudioGAN keeps its best FID beside the weights."""
    _, D = write("studiogan-32", started("studiogan-32"), tmp_path)
    assert read_foreign(D).step == 98000


@pytest.mark.parametrize("cut", [0, 10, 2000, -30])
def test_a_damaged_file_is_one_sentence(cut, tmp_path):
    file, _ = write("mimicry-cgan-pd-32", started("mimicry-cgan-pd-32"), tmp_path)
    file.write_bytes(file.read_bytes()[:cut])
    assert "cannot be read" in refused(file)


def test_a_single_changed_byte_is_noticed(tmp_path):
    file, _ = write("mimicry-cgan-pd-32", started("mimicry-cgan-pd-32"), tmp_path)
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 2] ^= 1
    file.write_bytes(contents)
    assert "a check sum in it is wrong" in refused(file)


def test_damage_to_a_file_without_check_sums_is_one_sentence_or_harmless(tmp_path):
    """Files of before PyTorch 1.6 are pickles in a row."""
    file = tmp_path / "old.pth"
    torch.save({"state_dict": {"a.weight": torch.ones(3, 4)}}, file, _use_new_zipfile_serialization=False)
    whole, random = file.read_bytes(), np.random.default_rng(0)
    sentences = 0
    for _ in range(200):
        contents = np.frombuffer(whole, np.uint8).copy()
        contents[random.integers(len(whole), size=2)] = random.integers(256, size=2)
        file.write_bytes(contents.tobytes())
        try:
            read_foreign(file)
        except ForeignError:
            sentences += 1
    assert sentences > 100


def test_what_holds_no_weights_is_named(tmp_path):
    torch.save({"state": {}, "param_groups": []}, tmp_path / "G_optim.pth")
    assert "it has state, param_groups" in refused(tmp_path / "G_optim.pth")
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    assert "holds a list" in refused(tmp_path / "list.pth")
    torch.save({"layer1.0.conv1.weight": torch.ones(2, 2)}, tmp_path / "resnet.pth")
    assert "names of no source" in refused(tmp_path / "resnet.pth")
    with pytest.raises(FileNotFoundError, match="a folder; give the file"):
        read_networks(tmp_path)


@pytest.mark.long("reads many files")
@pytest.mark.parametrize("run", SMALL)
def test_a_file_under_another_source_s_name_is_told(run, tmp_path):
    file, other = write(run, started(run), tmp_path)
    for name in SOURCES.keys() - {source_of(run)}:
        said = refused(file, source=name)
        if source_of(run) == "mmgeneration":
            said = refused(file, source=name, colours="rgb")
        assert f"use `sagan import {source_of(run)} {file} OUT`" in said
    if other is not None:
        assert f"holds a discriminator of {SOURCES[source_of(run)].title}" in refused(other)
    both = states(started(run))
    assert recognised(both["G"]) == (source_of(run), "generator")
    assert recognised(both["D"]) == (source_of(run), "discriminator")


def test_networks_of_two_sources_are_refused(tmp_path):
    G, _ = write("studiogan-32", started("studiogan-32"), tmp_path / "a")
    _, D = write("biggan-32", started("biggan-32"), tmp_path / "b")
    assert "is of BigGAN-PyTorch, and the generator of StudioGAN" in refused(G, discriminator=str(D))


@pytest.mark.long("reads many files")
@pytest.mark.parametrize("network", ["G", "D"])
@pytest.mark.parametrize("run", SMALL)
def test_each_tensor_that_is_missing_is_named(run, network, tmp_path):
    """Whichever it is, also one that the configuration is read from."""
    full = started(run)
    for name in [key for key in full if key.startswith(network)][::11]:
        G, D = write(run, {key: tensor for key, tensor in full.items() if key != name}, tmp_path)
        options = {"which": "trained"} if source_of(run) == "mmgeneration" else {"discriminator": str(D)}
        said = refused(G, **options)
        layer = name.partition("/")[2].rpartition(".")[0]
        assert layer in said, (name, said)


def test_what_is_too_much_or_of_another_shape_is_named(tmp_path):
    full = started("studiogan-32")
    odd = full | {"G/blocks.0.0.conv2d9.weight": torch.ones(1), "G/bn4.weight": torch.ones(3)}
    odd["G/blocks.1.0.bn2.gain.weight_orig"] = full["G/blocks.1.0.bn2.gain.weight_orig"][:, :4]
    said = refused(write("studiogan-32", odd, tmp_path)[0])
    assert "this generator of StudioGAN does not fit" in said
    assert "unexpected: blocks.0.0.conv2d9.weight" in said
    assert "bn4.weight (3)" in said
    assert "blocks.1.0.bn2.gain.weight_orig (16 x 4)" in said


def test_networks_that_this_project_does_not_have_are_told(tmp_path):
    G = oracle.generator_state(32, 2, 3, spectral=True)
    torch.save({"state_dict": G}, tmp_path / "G.pth")
    D = oracle.discriminator_state(32, 2, 3, head="AC")

    def said(changed):
        torch.save({"state_dict": D | changed}, tmp_path / "D.pth")
        return refused(tmp_path / "G.pth", discriminator=str(tmp_path / "D.pth"))

    twice = {key.replace("linear2", "embedding"): D[key] for key in D if key.startswith("linear2")}
    assert "embedding and linear2 are both there" in said(twice)
    assert "linear1 has 4 outputs" in said({"linear1.weight_orig": torch.ones(4, 4)})
    assert "linear2 has 6 classes where the generator has 3" in said({"linear2.weight_orig": torch.ones(6, 4)})
    wide = {key: tensor.repeat(2, *[1] * (tensor.ndim - 1)) for key, tensor in G.items() if "blocks.1.0.conv2d1" in key}
    torch.save({"state_dict": G | wide}, tmp_path / "G.pth")
    assert "its layers have 8, 8, 16, 8 channels; at 32 px this project has multiples of 4, 4, 4, 4" in refused(
        tmp_path / "G.pth"
    )
    shared = states(started("biggan-32"))["G"] | {"shared.weight": torch.ones(5, 8)}
    torch.save(shared, tmp_path / "G_ema.pth")
    assert "shared embedding" in refused(tmp_path / "G_ema.pth")


def test_one_network_has_no_choice_of_averages(tmp_path):
    G, _ = write("biggan-32", started("biggan-32"), tmp_path)
    assert "leave it away" in refused(G, which="average")


def test_class_names_are_checked(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("cat\ndog\n\n")
    assert read_names(file, 2) == ("cat", "dog")
    with pytest.raises(ValueError, match="has 2 names, and the weights have 3 classes"):
        read_names(file, 3)
    file.write_text('["cat", "cat"]')
    with pytest.raises(ValueError, match="'cat' twice"):
        read_names(file, 2)
    file.write_text("[cat")
    with pytest.raises(ValueError, match="neither text with a name a line nor a JSON list"):
        read_names(file, 1)


def test_where_it_can_go(tmp_path):
    with pytest.raises(ValueError, match="name a folder"):
        check_out(tmp_path / "out.pth")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(OSError, match="not an empty folder"):
        check_out(tmp_path / "full")
    check_out(tmp_path / "new")


@pytest.mark.parametrize("field", ["source", "which", "statistics", "colours", "class_gains"])
def test_a_choice_that_is_none_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be one of"):
        ImportConfig(**{field: "perhaps"})
