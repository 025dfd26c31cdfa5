"""docs/presets.md: its tables are made from the presets themselves."""

from dataclasses import replace
from pathlib import Path

import pytest

from sagan.models.generator import Generator
from sagan.recipes.build import build_discriminator, with_classes
from sagan.recipes.choose import choose_preset
from sagan.recipes.presets import PRESETS

PAGE = (Path(__file__).parents[1] / "docs" / "presets.md").read_text(encoding="utf-8")


def row(name: str) -> str:
    """Tell a preset's sizes: networks with ten classes, without memory for their weights."""
    config = with_classes(PRESETS[name](), 10)
    G, D, train = config.generator, config.discriminator, config.train
    # Spectral normalisation adds no parameter, and starts with iterations that take time.
    networks = Generator(replace(G, spectral_norm=False)), build_discriminator(replace(D, spectral_norm=False))
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    weights = " + ".join(f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k" for count in counts)
    attention = ", ".join(f"feat{k}" for k in G.attention_positions) or "none"
    updates = f"{train.d_steps}:1" if train.d_steps > 1 else "1:1"
    cells = (f"`{name}`", f"{G.size_px} px", f"{G.base_width}, {D.base_width}", attention, weights)
    return f"| {' | '.join(cells)} | {train.batch_size} | {train.total_steps:,} | {updates} |"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.usefixtures("no_memory")
def test_the_row_of_a_preset_says_what_it_is(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |") and line.count("|") == 9]
    assert rows == [row(name)]


def test_what_is_chosen_is_what_the_page_says() -> None:
    said = {
        (cuda, size): cells[1 + cuda].strip(" `")
        for line in PAGE.splitlines()
        if line.startswith(("| `--size", "| nothing"))
        for cells in [line.split("|")[1:-1]]
        for cuda in (False, True)
        for size in [int(cells[0].split()[-1].strip(" `")) if "--size" in cells[0] else None]
    }
    assert len(said) == 10
    for (cuda, size), name in said.items():
        if name == "refused":
            with pytest.raises(ValueError, match="without a GPU"):
                choose_preset(None, size, cuda=cuda)
        else:
            assert choose_preset(None, size, cuda=cuda).name == name
