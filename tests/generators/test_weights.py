import json
import resource

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sagan.generators.files import describe_weights
from sagan.generators.trained import TrainedGenerator
from sagan.generators.weights import WeightsError, check_weights, load_weights, read_header, save_weights
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.ops.spectral import spectral_norms
from sagan.sampling import generate, sample_latents, sampling_copy

NAMES = ("red", "größer", "blue, or so")


@pytest.fixture
def generator(open_gates):
    torch.manual_seed(0)
    config = GeneratorConfig(size_px=16, num_classes=3, z_dim=8, base_width=2, attention=(8, 16), sn_eps=1e-8)
    G = open_gates(Generator(config))
    for _ in range(3):
        G(torch.randn(4, 8), torch.tensor([0, 1, 2, 0]))
    return sampling_copy(G, batches=2, batch_size=8, seed=0)


@pytest.fixture
def saved(tmp_path, generator):
    path = tmp_path / "g.safetensors"
    save_weights(generator, path, NAMES, {"step": 12, "data": {"source": "x"}})
    return path


def rewrite(path, **changes):
    """Write the file again with other metadata; None removes an entry."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | changes
    save_file(load_file(path), path, {key: value for key, value in metadata.items() if value is not None})


def test_what_is_loaded_makes_the_same_images(generator, saved, snapshot_of, assert_same):
    before = snapshot_of(generator)
    found = load_weights(saved)
    assert_same(before, snapshot_of(generator))
    z, y = sample_latents(0, range(6), 8), torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.equal(found.generator(z, y), generator(z, y))
    assert (generate(found.generator, z, y) == generate(generator, z, y)).all()
    assert found.generator.config == generator.config
    assert found.class_names == NAMES
    assert found.provenance == {"step": 12, "data": {"source": "x"}}
    assert not found.generator.training
    assert not any(parameter.requires_grad for parameter in found.generator.parameters())


def test_spectral_normalisation_is_folded_into_the_weights(generator, saved):
    assert len(list(spectral_norms(generator))) > 0  # the generator itself keeps it
    assert not list(spectral_norms(load_weights(saved).generator))
    tensors = load_file(saved)
    assert not [name for name in tensors if "parametrizations" in name or name.endswith((".u", ".v"))]
    for name in ("linear.weight", "blocks.0.conv1.weight", "attention.8.query.weight"):
        assert torch.linalg.svdvals(tensors[name].flatten(1))[0].item() == pytest.approx(1.0, abs=0.02)


def test_linear_class_conditioning_is_folded_too(tmp_path):
    torch.manual_seed(0)
    fields = {"size_px": 16, "num_classes": 3, "z_dim": 8, "base_width": 2, "sampling_norm": "running"}
    G = Generator(GeneratorConfig(**fields, class_conditioning="linear", sn_gradient="full"))
    for _ in range(3):
        G(torch.randn(4, 8), torch.tensor([0, 1, 2, 0]))
    ready = sampling_copy(G, batches=2, batch_size=8, seed=0)
    save_weights(ready, tmp_path / "g.safetensors", NAMES, {})
    found = load_weights(tmp_path / "g.safetensors")
    assert "blocks.0.norm1.gain_map.weight" in load_file(tmp_path / "g.safetensors")
    assert not list(spectral_norms(found.generator))
    assert found.generator.config == G.config
    z, y = sample_latents(0, range(6), 8), torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.equal(found.generator(z, y), ready(z, y))


def test_a_file_from_before_a_field_was_there_takes_its_default(saved, generator):
    with safe_open(saved, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    for name in ("class_conditioning", "init", "sn_gradient", "bn_biased", "bn_momentum_last", "sampling_norm"):
        del config[name]
    rewrite(saved, config=json.dumps(config), format_version="1")
    assert load_weights(saved).generator.config == generator.config


def test_loaded_weights_can_be_saved_again(saved, tmp_path):
    first = load_weights(saved)
    save_weights(first.generator, tmp_path / "again.safetensors", first.class_names, first.provenance)
    second = load_weights(tmp_path / "again.safetensors")
    z, y = sample_latents(0, range(2), 8), torch.tensor([0, 1])
    assert torch.equal(first.generator(z, y), second.generator(z, y))
    assert second.generator.config == first.generator.config


def test_an_unconditional_generator(tmp_path):
    G = Generator(GeneratorConfig(size_px=16, num_classes=0, z_dim=8, base_width=2)).eval()
    save_weights(G, tmp_path / "g.safetensors", (), {})
    found = load_weights(tmp_path / "g.safetensors")
    assert found.class_names == ()
    z = torch.randn(2, 8)
    assert torch.equal(found.generator(z), G(z))


def test_channels_last_weights_are_written_too(tmp_path, generator):
    expected = generator(torch.ones(1, 8), torch.tensor([0]))
    save_weights(generator.to(memory_format=torch.channels_last), tmp_path / "g.safetensors", NAMES, {})
    found = load_weights(tmp_path / "g.safetensors").generator(torch.ones(1, 8), torch.tensor([0]))
    torch.testing.assert_close(found, expected)


def test_names_and_classes_must_agree(tmp_path, generator):
    with pytest.raises(ValueError, match="3 classes need as many names, found 2"):
        save_weights(generator, tmp_path / "g.safetensors", NAMES[:2], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"g\.safetensors cannot be read as safetensors"):
        load_weights(saved)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(50), b"hello\n", bytes(8), b"\xff" * 100])
def test_files_of_other_programs_are_refused(saved, content):
    saved.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load_weights(saved)


def test_safetensors_of_other_programs_are_refused(tmp_path):
    for metadata in (None, {"format": "pt"}):
        save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
        with pytest.raises(WeightsError, match="holds no sagan generator; `sagan export"):
            load_weights(tmp_path / "x.safetensors")


@pytest.mark.parametrize("version", ["3", "x", "0", "", "²", "9" * 5000, None])
def test_a_newer_or_unknown_format_asks_for_an_update(saved, version):
    rewrite(saved, format_version=version)
    with pytest.raises(WeightsError, match="this version reads up to 2; update sagan-torch"):
        load_weights(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": None},
        {"config": "{"},
        {"config": "[1]"},
        {"config": json.dumps({"size_px": 16, "new_field": 1})},
        {"config": json.dumps({"size_px": 17})},
        {"class_names": None},
        {"provenance": "nothing"},
    ],
)
def test_a_configuration_that_is_not_understood_is_told(saved, changes):
    rewrite(saved, **changes)
    with pytest.raises(WeightsError, match="carries a configuration that this version does not know"):
        load_weights(saved)


def test_weights_that_do_not_fit_their_configuration_are_refused(saved, generator):
    rewrite(saved, class_names=json.dumps(["only one"]))
    with pytest.raises(WeightsError, match="3 classes and 1 names"):
        load_weights(saved)
    rewrite(
        saved,
        format_version="1",
        class_names=json.dumps(["a", "b"]),
        config=json.dumps({"size_px": 16, "num_classes": 2, "z_dim": 8, "base_width": 2, "attention": [8, 16]}),
    )
    with pytest.raises(WeightsError, match="does not fit the configuration that it carries"):
        load_weights(saved)


def changed(path, **tensors):
    """Write a file again with other tensors; version 1 has no checksum."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | {"format_version": "1"}
    save_file(load_file(path) | tensors, path, metadata)


def test_numbers_that_the_generator_cannot_hold_are_refused(saved):
    held = load_file(saved)["linear.bias"]
    changed(saved, **{"linear.bias": held.double()})
    assert load_weights(saved).generator.linear.bias.dtype == torch.float32
    changed(saved, **{"linear.bias": torch.full(held.shape, 1e300, dtype=torch.float64)})
    with pytest.raises(WeightsError, match=r"g\.safetensors .*linear\.bias"):
        load_weights(saved)


def test_a_network_that_holds_what_it_cannot_compute_with_is_refused(generator):
    check_weights(generator)
    generator.norm.running_var[0] = -1.0
    with pytest.raises(ValueError, match=r"norm\.running_var is below 0"):
        check_weights(generator)
    generator.norm.running_var[0] = torch.inf
    with pytest.raises(ValueError, match=r"norm\.running_var is too large"):
        check_weights(generator)


def test_a_running_variance_below_0_is_refused(saved):
    changed(saved, **{"norm.running_var": -torch.ones_like(load_file(saved)["norm.running_var"])})
    with pytest.raises(WeightsError, match=r"g\.safetensors .*norm\.running_var is below 0"):
        load_weights(saved)


@pytest.mark.parametrize("eps", [float("nan"), 0.0, -1.0, float("inf")])
def test_an_eps_that_cannot_be_is_refused(saved, eps):
    with safe_open(saved, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    rewrite(saved, config=json.dumps(config | {"bn_eps": eps}), format_version="1")
    with pytest.raises(WeightsError, match="bn_eps must be above 0 and finite"):
        load_weights(saved)


def test_the_line_on_weights_does_without_their_source(generator):
    given = TrainedGenerator(generator, NAMES, {"step": 1, "data": {}})
    assert describe_weights(given).startswith("step 1; data not known; ")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load_weights(tmp_path / "none.safetensors")


def test_an_older_file_is_replaced_in_one_move(saved, generator):
    """Whoever has the older file open goes on reading it whole."""
    before = saved.read_bytes()
    with saved.open("rb") as reader:
        save_weights(generator, saved, NAMES, {"step": 13})
        assert reader.read() == before
    assert load_weights(saved).provenance == {"step": 13}


def test_a_disk_that_is_really_full_leaves_the_older_file(saved, generator):
    """The system's limit on the size of files stands for a full disk."""
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"g\.safetensors could not be written: the file is larger than is allowed here"
        ):
            save_weights(generator, saved, NAMES, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_to_share_is_as_readable_as_any_other_file(saved):
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode


def test_loading_executes_nothing(tmp_path):
    """A pickle under the name of a weights file is never unpickled."""
    import os

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch '{tmp_path}/executed'",)

    torch.save(Bomb(), tmp_path / "g.safetensors")
    with pytest.raises(WeightsError):
        load_weights(tmp_path / "g.safetensors")
    assert not (tmp_path / "executed").exists()


def test_what_a_file_says_of_itself_is_read_without_its_weights(saved, generator, monkeypatch):
    monkeypatch.setattr("sagan.generators.weights.load_file", None)
    assert read_header(saved) == (generator.config, NAMES, {"step": 12, "data": {"source": "x"}})


def test_weights_of_256_px_from_before_width_plans_load(tmp_path):
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(size_px=256, num_classes=2, z_dim=4, base_width=1, attention=(), width_plan="first"))
    path = tmp_path / "old.safetensors"
    save_weights(G.eval(), path, ("a", "b"), {})
    with safe_open(path, framework="pt") as file:
        stored = json.loads(file.metadata()["config"])
    assert stored.pop("width_plan") == "first"
    for name in (
        "class_start",
        "class_vectors",
        "bias_start",
        "sn_eps_linear",
        "upsampling",
        "narrow_largest",
        "single_largest",
        "noise_entry",
    ):
        stored.pop(name)
    rewrite(path, config=json.dumps(stored), format_version="1")
    loaded = load_weights(path).generator
    assert loaded.config.widths == (16, 16, 16, 8, 4, 2, 1)
    z, y = sample_latents(0, range(2), 4), torch.tensor([0, 1])
    with torch.no_grad():
        torch.testing.assert_close(loaded(z, y), G(z, y))
