"""Networks that grow: what a stage takes over from the one before, and a run in stages."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from sagan.generators.pretrained import load
from sagan.generators.snapshot import Snapshot
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.generator import Generator
from sagan.ops.spectral import refresh_spectral
from sagan.recipes.build import build_networks
from sagan.recipes.config import to_json
from sagan.runs import start_from as start
from sagan.runs.folder import RunError
from sagan.runs.grow import grow_from, networks_at
from sagan.runs.stages import stages_of, train_grown
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.state import new_state
from sagan.training.step import set_fade, train_step

NAMES = ("a", "b", "c")
WHOLE = {"size_px": 32, "num_classes": 3, "attention": (16,)}


@pytest.fixture
def grown(tiny_config, pictures, engine):
    """Train the inner part for some steps, and make the whole that goes on with it: both states and configurations."""

    def make(steps=3, generator=None, discriminator=None, **train):
        both = [WHOLE | fields for fields in (generator or {}, {"base_width": 4} | (discriminator or {}))]
        config = tiny_config(*both, ema_decay=0.9, **train)
        small, whole = stages_of(config, (16,), 0.5)
        state = new_state(*build_networks(small), small.train)
        for _ in range(steps):
            train_step(state, small.train, pictures, engine, seed=0)
        big = new_state(*build_networks(whole), whole.train)
        snapshot = Snapshot(None, small, NAMES, copy.deepcopy(state.state_dict()))
        assert "16 px to 32 px" in grow_from(big, snapshot, NAMES)
        return state, big, whole

    return make


@pytest.fixture
def larger(pictures):
    """Make the k-th batch of the same pictures at 32 px."""

    def make(k):
        batch = pictures(k)
        return batch._replace(images=batch.images.repeat_interleave(2, 1).repeat_interleave(2, 2))

    return make


def test_stages_share_the_steps_and_the_widths(tiny_config):
    config = tiny_config({"size_px": 64, "base_width": 4}, {"size_px": 64, "base_width": 4}, total_steps=100)
    stages = stages_of(replace(config, train=replace(config.train, lr_decay_start=70)), (16, 32), 0.3)
    assert [stage.generator.image_size for stage in stages] == [(16, 16), (32, 32), (64, 64)]
    assert [stage.train.total_steps for stage in stages] == [30, 30, 40]
    assert [stage.train.lr_decay_start for stage in stages] == [None, None, 10]
    assert [stage.train.steps_before for stage in stages] == [0, 30, 60]
    assert [stage.generator.widths for stage in stages] == [(64, 32, 16), (64, 32, 16, 8), (64, 32, 16, 8, 4)]
    assert [stage.discriminator.widths for stage in stages] == [(16, 32, 64), (8, 16, 32, 64), (4, 8, 16, 32, 64)]
    assert [stage.discriminator.heights for stage in stages] == [(8, 4, 4), (16, 8, 4, 4), (32, 16, 8, 4, 4)]
    assert [stage.discriminator.colour_width for stage in stages] == [8, 4, None]
    assert [stage.generator.fades for stage in stages] == [False, True, True]
    # attention at 16, the default of 64 px, where there is such a map
    assert [stage.generator.attention_positions for stage in stages] == [(16,), (16,), (16,)]
    assert [stage.discriminator.attention_positions for stage in stages] == [(), (16,), (16,)]


def test_each_stage_fades_in_within_its_first_half(tiny_config):
    config = tiny_config({"size_px": 64, "base_width": 4}, {"size_px": 64, "base_width": 4}, total_steps=1000)
    assert [stage.train.fade_steps for stage in stages_of(config, (16, 32), 0.3)] == [500, 150, 200]
    shorter = replace(config, train=replace(config.train, fade_steps=100))
    assert [stage.train.fade_steps for stage in stages_of(shorter, (16, 32), 0.3)] == [100, 100, 100]


@pytest.mark.parametrize(("begun", "goes_on"), [(500, 500), (150, 150), (80, 80), (600, 150)])
def test_a_stage_that_has_begun_fades_in_as_it_began_to(tiny_config, tmp_path, monkeypatch, begun, goes_on):
    config = tiny_config(WHOLE, {**WHOLE, "base_width": 4}, total_steps=600, fade_steps=500)
    stages, resumed = stages_of(config, (16,), 0.5), []
    for stage, fade in zip(stages, (500, begun), strict=True):
        folder = tmp_path / f"{stage.generator.size_px}px"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.json").write_text(to_json(replace(stage, train=replace(stage.train, fade_steps=fade))))
        (folder / "checkpoints" / "step-00000001.pt").touch()
    monkeypatch.setattr(
        "sagan.runs.stages.train",
        lambda stage, **_: resumed.append(stage.train.fade_steps) or SimpleNamespace(finished=True),
    )
    train_grown(config, (16,), share=0.5, out=tmp_path)
    assert resumed == [500, goes_on]  # 150 is not what it began with, so that it is refused


@pytest.mark.parametrize(("fade", "said"), [(0.6, "faded in to 60% only"), (1.0, "moments kept")])
def test_growing_out_of_a_stage_that_has_not_faded_in_is_said(tiny_config, fade, said):
    both = {"size_px": 64, "num_classes": 3, "base_width": 4}
    _, middle, last = stages_of(tiny_config(both, both), (16, 32), 0.3)
    small, big = (new_state(*build_networks(stage), stage.train) for stage in (middle, last))
    small.G.fade.fill_(fade)
    text = grow_from(big, Snapshot(None, middle, NAMES, copy.deepcopy(small.state_dict())), NAMES)
    assert text.endswith(said) or (fade < 1.0 and said in text)


def test_the_moving_average_goes_on_from_the_first_step_of_a_stage(grown, larger, engine):
    _, big, whole = grown(ema_start=4, total_steps=8)
    before = {name: value.clone() for name, value in big.ema.state_dict().items()}
    train_step(big, whole.train, larger, engine, seed=0)
    moved = [
        (mine, before[name].lerp(of_g, 1.0 - whole.train.ema_decay))
        for (name, mine), of_g in zip(big.ema.named_parameters(), big.G.parameters(), strict=True)
    ]
    assert any(not torch.equal(mine, before[name]) for name, mine in big.ema.named_parameters())
    for mine, expected in moved:
        torch.testing.assert_close(mine, expected)


def test_what_lecam_and_adaptive_augmentation_remember_goes_on(grown):
    state, big, _ = grown(lecam=0.1, augment=("color",), adaptive_augment=0.6, adaptive_images=100)
    assert set(big.controls) == {"real_mean", "fake_mean", "augment_p"}
    for name, value in state.controls.items():
        assert torch.equal(big.controls[name], value), name
    assert float(state.controls["real_mean"]) != 0.0


@pytest.mark.parametrize(
    ("sizes", "share", "said"),
    [
        ((), 0.3, "grow takes sizes that double up to half of 64 px"),
        ((16,), 0.3, "grow takes sizes that double up to half of 64 px, the last ones of 16, 32, found 16"),
        ((8, 16, 32), 0.1, "grow takes sizes"),
        ((16, 32), 0.5, "grow_share must leave steps to each of the 3 stages of 10 steps, found 0.5"),
        ((32,), 0.0, "grow_share must leave steps"),
    ],
)
def test_stages_that_make_no_sense_are_refused(tiny_config, sizes, share, said):
    config = tiny_config({"size_px": 64, "base_width": 4}, {"size_px": 64, "base_width": 4})
    with pytest.raises(ValueError, match=said):
        stages_of(config, sizes, share)


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (
            (16, 32),
            r"32px was begun after 30 steps in each stage before it, and --steps 200 .* asks for 60; .*--steps 100",
        ),
        ((16, 32, 64), r"32px was begun after 30 steps .* --steps 100"),
        ((16, 64), r"64px was begun after 30 steps .* --steps 100, or another --out"),
    ],
)
def test_other_steps_are_refused_before_any_stage_trains(tiny_config, tmp_path, monkeypatch, begun, said):
    config = tiny_config({"size_px": 64, "base_width": 4}, {"size_px": 64, "base_width": 4}, total_steps=100)
    for stage in stages_of(config, (16, 32), 0.3):
        if stage.generator.size_px in begun:
            folder = tmp_path / f"{stage.generator.size_px}px"
            (folder / "checkpoints").mkdir(parents=True)
            (folder / "config.json").write_text(to_json(stage))
            (folder / "checkpoints" / "step-00000001.pt").touch()
    trained = []
    monkeypatch.setattr(
        "sagan.runs.stages.train",
        lambda stage, **_: trained.append(stage.generator.size_px) or SimpleNamespace(finished=True),
    )
    longer = replace(config, train=replace(config.train, total_steps=200))
    with pytest.raises(RunError, match=said):
        train_grown(longer, (16, 32), out=tmp_path)
    assert not trained
    train_grown(config, (16, 32), out=tmp_path)
    assert trained == [16, 32, 64]


@pytest.mark.parametrize(
    "fields",
    [
        {"noise_entry": "chunks", "narrow_largest": 1},
        {"single_largest": 2, "class_conditioning": "linear"},
    ],
)
def test_at_the_start_the_whole_is_the_inner_part_enlarged(grown, fields):
    theirs = {key: value for key, value in fields.items() if key == "single_largest"}
    small, big, config = grown(3, {"base_width": 4} | fields, {"base_width": 4} | theirs)
    set_fade(big, config.train)
    assert big.G.fade.item() == big.D.fade.item() == 0.0
    with torch.no_grad():
        z, y = torch.randn(4, 8), torch.tensor([0, 1, 2, 1])
        for network, whole in ((small.G, big.G), (small.ema, big.ema)):
            whole.fade.zero_()
            expected = F.interpolate(network.eval()(z, y), scale_factor=2.0)
            torch.testing.assert_close(whole.eval()(z, y), expected, atol=1e-5, rtol=1e-5)
        x = torch.rand(4, 3, 32, 32) * 2.0 - 1.0
        torch.testing.assert_close(big.D.eval()(x, y), small.D.eval()(F.avg_pool2d(x, 2), y), atol=1e-5, rtol=1e-5)
        big.G.fade.fill_(1.0)
        big.D.fade.fill_(1.0)
        assert (big.G(z, y) - F.interpolate(small.G(z, y), scale_factor=2.0)).abs().max() > 1e-2
        assert (big.D(x, y) - small.D(F.avg_pool2d(x, 2), y)).abs().max() > 1e-4


def test_a_network_that_does_not_grow_starts_from_one_that_has_grown(grown, tmp_path, monkeypatch):
    _, big, whole = grown()
    config = networks_at(whole, 32, fades=False)
    monkeypatch.setattr(start, "read_snapshot", lambda _: Snapshot(None, whole, NAMES, copy.deepcopy(big.state_dict())))
    monkeypatch.setattr(start, "_weights_alone", lambda _: None)
    plain = new_state(*build_networks(config), config.train)
    assert "average" in start.start_from(plain, tmp_path, NAMES)
    set_fade(replace(big, step=10**6), whole.train)
    z, y = torch.randn(4, config.generator.z_dim), torch.tensor([0, 1, 2, 0])
    refresh_spectral(big.ema)  # as those of an average are before it is taken over
    images = big.ema.eval()(z, y)
    torch.testing.assert_close(plain.G.eval()(z, y), images)
    big.D.eval()
    torch.testing.assert_close(plain.D.eval()(images, y), big.D(images, y))


def test_half_faded_in_both_count_half(grown):
    _, big, _ = grown()
    G = big.G.eval()
    z, y = torch.randn(4, 8), torch.tensor([0, 1, 2, 1])
    images = {}
    for fade in (0.0, 0.5, 1.0):
        G.fade.fill_(fade)
        images[fade] = torch.atanh(G(z, y).double())
    torch.testing.assert_close(images[0.5], (images[0.0] + images[1.0]) / 2, atol=1e-3, rtol=1e-3)


def test_moments_of_the_inner_blocks_go_on(grown):
    small, big, _ = grown()
    inner = dict(small.G.named_parameters())
    kept = big.optimizer_g.state
    for name, parameter in big.G.named_parameters():
        source = name.replace("_small", "")
        if name.startswith(("norm.", "conv.", "blocks.2")):
            assert parameter not in kept
        else:
            theirs = small.optimizer_g.state[inner[source]]
            assert torch.equal(kept[parameter]["exp_avg_sq"], theirs["exp_avg_sq"])
            assert kept[parameter]["step"].item() == 3.0
    names = {name for name, parameter in big.D.named_parameters() if parameter in big.optimizer_d.state}
    assert "from_rgb_small.bias" in names and "blocks.1.conv1.bias" in names
    assert not any(name.startswith("blocks.0.") for name in names)


def test_it_fades_in_over_so_many_steps_and_goes_on_bit_for_bit(grown, larger, engine, snapshot_of, assert_same):
    _, whole, config = grown(fade_steps=4, total_steps=16)

    second = new_state(*build_networks(config), config.train)
    fades = []
    for step in range(6):
        if step == 3:
            second.load_state_dict(copy.deepcopy(whole.state_dict()))
        train_step(whole, config.train, larger, engine, seed=0)
        fades.append((whole.G.fade.item(), whole.D.fade.item(), whole.ema.fade.item()))
    for _ in range(3):
        train_step(second, config.train, larger, engine, seed=0)
    assert fades == [(a, a, a) for a in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0)]
    assert_same(snapshot_of(second.state_dict()), snapshot_of(whole.state_dict()))
    assert all(torch.isfinite(p).all() for p in whole.G.parameters())


@pytest.mark.parametrize(
    ("network", "fields", "said"),
    [
        (GeneratorConfig, {"inside": 16}, "inside must be a size of networks above size_px 32, found 16"),
        (DiscriminatorConfig, {"inside": 48}, "inside must be a size of networks above size_px 32, found 48"),
        (GeneratorConfig, {"size_px": 16, "attention": (8,), "fades": True}, "fades needs a network of half the size"),
        (DiscriminatorConfig, {"fades": True, "attention": (), "residual": (16,)}, "leave residual empty"),
    ],
)
def test_fields_that_make_no_sense_are_refused(network, fields, said):
    with pytest.raises(ValueError, match=said):
        network(**WHOLE | fields)


def test_other_sizes_widths_and_classes_are_refused(grown, tiny_config):
    small, big, config = grown()
    inner, _ = stages_of(tiny_config(WHOLE, WHOLE), (16,), 0.5)
    contents = small.state_dict()
    with pytest.raises(ValueError, match="the classes that they have"):
        grow_from(big, Snapshot(None, inner, NAMES, contents), ("a", "b", "d"))
    plain = tiny_config()
    with pytest.raises(ValueError, match="an inner part of 16 px of those of 32 px, found 16 px of 16 px"):
        grow_from(big, Snapshot(None, plain, NAMES, contents), NAMES)
    other = new_state(*build_networks(replace(config, generator=replace(config.generator, base_width=4))), config.train)
    with pytest.raises(ValueError, match="both need the same widths"):
        grow_from(other, Snapshot(None, inner, NAMES, contents), NAMES)


def test_the_whole_needs_something_to_grow_from(tiny_full, tmp_path, console):
    config = tiny_full(2)
    both = {"size_px": 32, "fades": True}
    config = replace(
        config, generator=replace(config.generator, **both), discriminator=replace(config.discriminator, **both)
    )
    with pytest.raises(RunError, match="sagan train --grow trains these first"):
        train(config, out=tmp_path / "run", console=console)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow("trains in two stages, twice")
def test_a_run_in_stages_goes_on_where_it_stopped(tiny_full, tmp_path, console, assert_same):
    config = tiny_full(6, fade_steps=2, save_every=1)
    both = {"size_px": 32, "attention": (16,)}
    config = replace(
        config, generator=replace(config.generator, **both), discriminator=replace(config.discriminator, **both)
    )
    result = train_grown(config, (16,), share=0.5, out=tmp_path / "whole", console=console)
    assert result.finished and result.out == tmp_path / "whole" / "32px" and result.step == 3
    drawn = load(result.out).sample(num=2)
    assert drawn.shape == (2, 32, 32, 3)
    assert load(tmp_path / "whole" / "16px").sample(num=2).shape == (2, 16, 16, 3)

    small, _ = stages_of(config, (16,), 0.5)
    halfway = replace(small, train=replace(small.train, total_steps=2))
    train(halfway, out=tmp_path / "cut" / "16px", console=console)
    again = train_grown(config, (16,), share=0.5, out=tmp_path / "cut", console=console)
    found, expected = (load_checkpoint(checkpoints(r.out / "checkpoints")[-1]) for r in (again, result))
    for name in ("G", "D", "ema", "optimizer_g", "optimizer_d"):
        assert_same(found[name], expected[name])
    assert isinstance(load(again.out).network, Generator)
