"""Networks of which no run is stored, against functions that compute them plainly (oracle.py)."""

import oracle
import pytest
import torch

from sagan.exchange.bring_in import read_networks
from sagan.exchange.config import ImportConfig

VARIANTS = {
    "SAGAN 32": (32, {"spectral": True, "attention": (2,)}, {"head": "PD", "attention": (1,)}),
    "SAGAN 64": (64, {"spectral": True, "attention": (3,)}, {"head": "PD", "attention": (1,)}),
    "SAGAN 128": (128, {"spectral": True, "attention": (4,)}, {"head": "PD", "attention": (1,)}),
    "SNGAN 32": (32, {"spectral": False}, {"head": "PD"}),
    "SNGAN 64": (64, {"spectral": False}, {"head": "PD"}),
    "SNGAN 128": (128, {"spectral": False}, {"head": "PD"}),
    "ACGAN 32": (32, {"spectral": True}, {"head": "AC"}),
    "ACGAN 64": (64, {"spectral": False}, {"head": "AC"}),
    "ACGAN 128": (128, {"spectral": True}, {"head": "AC"}),
}


def networks(variant):
    size_px, G, D = VARIANTS[variant]
    width = 4 if size_px == 32 else 2
    if G.get("attention"):
        width = {32: 4, 64: 4, 128: 4}[size_px]
    d_width = 8 if D.get("attention") else width
    return oracle.generator_state(size_px, width, 3, **G), oracle.discriminator_state(size_px, d_width, 3, **D)


def drawn(size_px, z_dim=12, count=3):
    random = torch.Generator().manual_seed(5)
    z = torch.randn(count, z_dim, generator=random, dtype=torch.float64)
    x = torch.rand(count, 3, size_px, size_px, generator=random, dtype=torch.float64) * 2 - 1
    return z, x, torch.tensor([2, 0, 1])


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_studiogan(variant, tmp_path):
    G, D = networks(variant)
    size_px = VARIANTS[variant][0]
    torch.save({"state_dict": G}, tmp_path / "model=G-current-weights-step=5.pth")
    torch.save({"state_dict": D}, tmp_path / "D.pth")
    read = read_networks(
        tmp_path / "model=G-current-weights-step=5.pth", ImportConfig(discriminator=str(tmp_path / "D.pth"))
    )
    z, x, y = drawn(size_px)
    assert read.step == 5
    assert torch.allclose(read.generator(z, y), oracle.generate(G, z, y), rtol=0, atol=1e-10)
    logits, class_logits = oracle.judge(D, x, y, downs=oracle.DOWNS[size_px])
    found = read.discriminator(x, y)
    if class_logits is None:
        assert torch.allclose(found, logits, rtol=1e-10)
    else:
        assert torch.allclose(found.source, logits, rtol=1e-10)
        assert torch.allclose(found.classes, class_logits, rtol=1e-10)


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("size_px", [32, 64, 128])
@torch.no_grad()
def test_mmgeneration_s_sngan(size_px, inplace, tmp_path):
    downs = {32: 2, 64: 5, 128: 5}[size_px]
    G = oracle.generator_state(size_px, 2, 3, spectral=False)
    D = oracle.discriminator_state(size_px, 2, 3, head="PD", downs=downs)
    name = f"sngan_proj_{size_px}_{'w' if inplace else 'wo'}ReLUinplace_is-iter400.pth"
    torch.save({"meta": {}, "state_dict": oracle.as_mmgeneration(G, D)}, tmp_path / name)
    z, x, y = drawn(size_px)
    read = read_networks(tmp_path / name)
    # As it trains, on blue, green, red: what it draws and sees has its channels turned round.
    assert torch.allclose(read.generator(z, y), oracle.generate(G, z, y).flip(1), rtol=0, atol=1e-10)
    logits, _ = oracle.judge(D, x.flip(1), y, downs=downs, inplace=inplace)
    assert torch.allclose(read.discriminator(x, y), logits, rtol=1e-10)
    assert read.step == 400
    assert read.generator.config.bn_eps == 1e-4
    kept = read_networks(tmp_path / name, ImportConfig(colours="rgb"))
    assert torch.allclose(kept.generator(z, y), oracle.generate(G, z, y), rtol=0, atol=1e-10)


@torch.no_grad()
def test_class_tables_that_hold_whole_gains_are_told_by_their_mean(tmp_path):
    G = oracle.generator_state(32, 2, 3, spectral=False)
    D = oracle.discriminator_state(32, 2, 3, head="PD")
    file = oracle.as_mmgeneration(G, D)
    gains = {key: 1.0 + tensor for key, tensor in file.items() if "weight_embedding" in key}
    torch.save({"state_dict": file | gains}, tmp_path / "net-rgb.pth")
    z, _, y = drawn(32)
    read = read_networks(tmp_path / "net-rgb.pth")
    assert torch.allclose(read.generator(z, y), oracle.generate(G, z, y), rtol=0, atol=1e-10)
    assert any("class tables hold gains (mean" in told for told in read.told)


@torch.no_grad()
def test_biggan_statistics_that_were_added_up_are_averaged(tmp_path):
    """With its own batch normalisation it accumulates sums over batches, and counts them."""
    from foreign_files import started, states

    state = states(started("biggan-32"))["G"]
    torch.save(state, tmp_path / "G.pth")
    added = {}
    for key, tensor in state.items():
        name, _, last = key.rpartition(".")
        if last in ("stored_mean", "stored_var"):
            added |= {f"{name}.bn.{last}": 16.0 * tensor, f"{name}.bn.accumulation_counter": torch.tensor([16.0])}
        else:
            added[key] = tensor
    torch.save(added, tmp_path / "G_mybn.pth")
    z, y = torch.randn(3, 24, dtype=torch.float64), torch.tensor([0, 4, 2])
    expected = read_networks(tmp_path / "G.pth").generator(z, y)
    assert torch.allclose(read_networks(tmp_path / "G_mybn.pth").generator(z, y), expected, rtol=0, atol=1e-12)
