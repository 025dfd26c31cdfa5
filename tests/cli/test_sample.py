"""What `sagan sample`, `attention` and `export` refuse is refused before anything is computed."""

import pytest

import sagan
from sagan.cli.main import main
from sagan.recipes.build import build, with_classes
from sagan.runs.train import train


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A run whose checkpoint is there and whose weights file is not: standing statistics are still to be computed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train(sagan.preset("demo", base_width=4, steps=2, batch_size=4), out=out)
    (out / "generator.safetensors").unlink()
    return out


@pytest.fixture
def _no_statistics(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("standing statistics were computed")

    monkeypatch.setattr("sagan.generators.pretrained.sampling_copy", refuse)


@pytest.mark.usefixtures("_no_statistics")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sample", "--out", "x.txt"), "write samples to .png"),
        (("sample", "--out", "x.png", "--num", "0"), "num must be at least 1"),
        (("sample", "--out", "x.png", "--class", "ten"), "no class 'ten'; known: 0"),
        (("sample", "--out", "x.png", "--truncation", "0"), "truncation must be above 0.01"),
        (("sample", "--out", "x.npz", "--interpolate", "3"), "write an interpolation to"),
        (("sample", "--out", "x.png", "--interpolate", "1"), "at least 2 frames"),
        (("sample", "--out", "x.png", "--interpolate", "3", "--class", "1", "2", "3"), "at most two classes"),
        (("attention", "--out", "x.txt"), "write attention to .png"),
        (("attention", "--out", "x.png", "--query", "16,0"), "lies outside the image"),
        (("attention", "--out", "x.png", "--class", "11"), "no class '11'"),
        (("attention", "--out", "x.png", "--layer", "4"), "not at feat4"),
        (("attention", "--out", "x.png", "--data", "nowhere", "--query", "0,99"), "lies outside the image"),
        (("export", "--out", "x.pt"), "must end in .safetensors"),
    ],
)
def test_refused_before_anything_is_computed(unfinished, capsys, arguments, message):
    assert main([arguments[0], str(unfinished), *arguments[1:]]) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.usefixtures("_no_statistics")
def test_the_refusals_come_last(unfinished):
    with pytest.raises(AssertionError, match="were computed"):
        sagan.sample_to_file(unfinished, "x.png")


def test_old_keywords_draw_the_same_as_a_configuration(unfinished, tmp_path):
    from sagan.generators.outputs import write_attention

    generator = sagan.load(unfinished, preview=True)
    write_attention(generator, tmp_path / "a.png", classes=["3"], queries_px=[(1, 2)], style="grey")
    config = sagan.AttentionConfig(classes=("3",), queries_px=[(1, 2)], style="grey")
    sagan.attention_to_file(unfinished, tmp_path / "b.png", config)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(TypeError, match="clases"):
        write_attention(generator, tmp_path / "c.png", clases=["3"])


def test_a_preset_with_changes_is_what_the_flags_make():
    config = sagan.preset("sagan-32", size=64, base_width=8, attention=(8,), steps=7, batch_size=4, data="digits")
    assert (config.generator.size_px, config.discriminator.base_width, config.generator.attention) == (64, 8, (8,))
    assert (config.train.total_steps, config.train.batch_size, config.data.path) == (7, 4, "digits")
    assert build(with_classes(sagan.preset("demo", base_width=4), 2)).state.step == 0
    with pytest.raises(ValueError, match="did you mean sagan-32"):
        sagan.preset("sagan-33")
