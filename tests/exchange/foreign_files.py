"""Files as other implementations write them, from the names and shapes of tests/sources and numbers of their names."""

import json
from pathlib import Path

import numpy as np
import torch
from keys import Key, start_values
from replay import Recipe
from test_biggan import RUNS as BIGGAN
from test_mimicry import RUNS as MIMICRY
from test_mmgeneration import RUNS as MMGENERATION
from test_studiogan import RUNS as STUDIOGAN

SOURCES = Path(__file__).parents[1] / "sources"
RUNS: dict[str, Recipe] = {**BIGGAN, **MIMICRY, **MMGENERATION, **STUDIOGAN}
NAMES = {"biggan": "biggan-pytorch", "mimicry": "mimicry", "mmgeneration": "mmgeneration", "studiogan": "studiogan"}


def keys_of(run: str) -> list[Key]:
    recipe = RUNS[run]
    return list(recipe.keys(recipe.generator, recipe.discriminator))


def source_of(run: str) -> str:
    return NAMES[run.partition("-")[0]]


def started(run: str) -> dict[str, torch.Tensor]:
    """Give the tensors that a run of a source starts from: names and shapes are those that the source told."""
    stored = json.loads((SOURCES / f"{run}.json").read_text(encoding="utf-8"))
    shapes = {name: tuple(row["shape"]) for name, row in stored["tensors"].items()}
    return start_values(run, keys_of(run), shapes, stored["options"]["level"])


def beside(name: str) -> dict[str, torch.Tensor]:
    """Give what a source keeps beside a tensor, and computes nothing from."""
    if name.endswith("running_mean"):
        return {name.replace("running_mean", "num_batches_tracked"): torch.tensor(7)}
    if name.endswith(".u0"):
        return {name.replace(".u0", ".sv0"): torch.ones(1)}
    return {name.replace("sn_u", "sn_sigma"): torch.ones(1)} if name.endswith("sn_u") else {}


def states(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Give the tensors of G and of D by the source's names."""
    found: dict[str, dict[str, torch.Tensor]] = {"G": {}, "D": {}}
    for name, tensor in tensors.items():
        network, _, theirs = name.partition("/")
        found[network] |= {theirs: tensor.clone(), **beside(theirs)}
    return found


def write(run: str, tensors: dict[str, torch.Tensor], folder: Path) -> tuple[Path, Path | None]:
    """Write the files of a source: with the generator, and with the discriminator where that is another one."""
    both, source = states(tensors), source_of(run)
    folder.mkdir(exist_ok=True)
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    if source == "mmgeneration":
        average = {name: 1.5 * tensor for name, tensor in both["G"].items()}
        parts = {"generator": both["G"], "generator_ema": average, "discriminator": both["D"]}
        state = {f"{part}.{name}": tensor for part, held in parts.items() for name, tensor in held.items()}
        meta = {"iter": 826, "config": "generator=dict(norm_eps=1e-5, sn_eps=1e-8)", "time": "now"}
        torch.save({"meta": meta, "state_dict": state, "optimizer": {"G": optimizer}}, folder / "sagan-rgb.pth")
        return folder / "sagan-rgb.pth", None
    names = {
        "biggan-pytorch": ("G.pth", "D.pth"),
        "studiogan": ("model=G-best-weights-step=98000.pth", "model=D-best-weights-step=98000.pth"),
        "mimicry": ("netG_100_steps.pth", "netD_100_steps.pth"),
    }[source]
    for network, name in zip("GD", names, strict=True):
        contents = both[network]
        if source == "studiogan":
            more = {} if network == "G" else {"best_fid": np.float64(12.5), "step": 98000, "run_name": "SAGAN"}
            contents = {"state_dict": contents, "optimizer": optimizer, **more}
        elif source == "mimicry":
            contents = {"model_state_dict": contents, "optimizer_state_dict": optimizer, "global_step": 100}
        torch.save(contents, folder / name)
    return folder / names[0], folder / names[1]
