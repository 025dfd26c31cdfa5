"""README.md of the results of `benchmarks/gpu_day.py`, from the files that its parts leave."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gpu_setting import read_part

STEP_PARTS = {
    "step": "Step of the preset `sagan-128`",
    "compiled": "The same, compiled",
    "graphs": "The same, as CUDA graphs",
    "compiled-unfolded": "The same, compiled, without folds",
    "searched": "The same, with cuDNN's search (`--engine.cudnn-benchmark`)",
    "graphs-searched": "The same, as CUDA graphs, with cuDNN's search",
}
GOAL = (
    "The goal is a million steps of 256 images in a day on one H200: 2,963 images/s. Rounds of all sides take turns, a "
    "round is 4 steps on random pictures that lie in the host's memory (1 step for fp32 and TF32, in every fourth "
    "round); medians with quartiles. TFLOP/s are those of the model (`sagan.speed.flops`), the same whatever computes "
    "it. Peak memory is that of PyTorch's tensors. bf16 is autocast with channels-last maps; TF32 is off but where "
    'it is named. "Folds off" computes resampling and convolution one after the other.'
)


def report(out: Path) -> str:
    """Write all that the files in a folder say."""
    sections = [card_section(out), reliability_section(out), checks_section(out), layers_section(out)]
    steps = [step_section(out, part, title) for part, title in STEP_PARTS.items()]
    if any(steps):
        sections += [f"## Speed of the training step\n\n{GOAL}\n", *steps]
    sections += [training_section(out, size) for size in (64, 128)]
    notes = out / "notes.md"  # what a person has to say of it
    sections += [failures_section(out), notes.read_text(encoding="utf-8") if notes.exists() else ""]
    return "# On one GPU\n\n" + "\n".join(section for section in sections if section)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Draw a table in Markdown; the first column is text, the others are numbers."""
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)]) + "\n"


def made_with(found: dict[str, Any]) -> str:
    """Say what a part was made with."""
    cudnn = f", cuDNN {found['cudnn']}" if found["cudnn"] else ""
    toy = " (toy size: shows that it runs, measures nothing)" if found["toy"] else ""
    return f"{found['card']}, PyTorch {found['torch']}{cudnn}, Python {found['python']}{toy}"


def card_section(out: Path) -> str:
    """Say which card it is and how fast it multiplies and copies."""
    found = read_part(out, "card")
    if found is None:
        return ""
    rates = [
        f"{name.upper()} {found[f'{name}_flops_per_s'] / 1e12:.0f} TFLOP/s"
        for name in ("bf16", "tf32", "fp32")
        if f"{name}_flops_per_s" in found
    ]
    rates.append(f"copies {found['copy_bytes_per_s'] / 1e12:.2f} TB/s (bytes read and written)")
    return (
        "Made by `python benchmarks/gpu_day.py --minutes 9 --studiogan PATH --data clothing-128.zip --out results/gpu` "
        f"in several calls.\n\n{made_with(found)}. A large matrix product: {', '.join(rates)}.\n"
    )


def reliability_section(out: Path) -> str:
    """Say which promises about faults and equal bits hold."""
    found = read_part(out, "reliability")
    if found is None:
        return ""
    rows = [
        (row["what"], "yes" if row["passes"] else "**no**", row["found"].replace("|", "/")) for row in found["rows"]
    ]
    listed = table(("promise", "holds", "found"), rows).replace("|---|---:|---:|", "|---|---|---|")
    return (
        f"## Faults and equal bits\n\n{made_with(found)}. Small runs in processes of their own (`benchmarks/"
        f"gpu_reliability.py`); {found['passed']} of {len(found['rows'])} hold.\n\n{listed}"
    )


def checks_section(out: Path) -> str:
    """Say what agrees with float64, what resumes, and which tests pass."""
    found = read_part(out, "checks")
    if found is None:
        return ""
    cells: dict[str, dict[str, str]] = {}
    for row in found["rows"]:
        mark = "" if row["passes"] else " **fails**"
        cells.setdefault(row["what"], {})[row["precision"]] = f"{row['output']:.1e} (limit {row['limit']:g}){mark}"
    agreement = table(
        ("relative error against float64", "fp32", "bf16"),
        [(what, by.get("fp32", "-"), by.get("bf16", "-")) for what, by in cells.items()],
    )
    steps = table(
        ("training steps", "precision", "done twice, difference", "resumed half-way, difference"),
        [(row["what"], row["precision"], apart(row["repeated"]), apart(row["resumed"])) for row in found["steps"]],
    )
    tests = found["tests"]
    failed = "".join(f"\n- {test['name']}: {test['message']}" for test in tests.get("failed", []))
    counts = tests.get("error") or (
        f"{tests['passed']} passed, {tests['skipped']} skipped, {len(tests['failed'])} failed{failed}"
    )
    text = 'Attention at gamma 0.7, 256 channels, 32x32 positions of noise; "gradients" is the larger error of those of'
    folders = ", ".join(f"`{folder}`" for folder in tests.get("tests", []))
    return (
        f"## Checks\n\n{made_with(found)}; TF32 off.\n\n{text} the input and of the weights.\n\n{agreement}\n"
        f"{steps}\nTests of {folders} on that machine's processor: {counts}\n"
    )


def apart(difference: float) -> str:
    """Write a relative difference of all weights."""
    return "none, bit for bit" if difference == 0.0 else f"{difference:.1e}"


def layers_section(out: Path) -> str:
    """Say which form of each 3x3 convolution is the fastest."""
    found = read_part(out, "layers")
    if found is None:
        return ""
    forms = ("plain", "kernel", "box", "product")
    rows = []
    for row in found["rows"]:
        cells = [
            (f"**{row['ms'][form]:.2f}**" if form == row["fastest"] else f"{row['ms'][form]:.2f}")
            if form in row["ms"]
            else "-"
            for form in forms
        ]
        rows.append((f"{row['operation']} {row['inputs']} to {row['outputs']}", row["batch"], row["height"], *cells))
    return (
        f"## Forms of 3x3 convolutions\n\n{made_with(found)}, bf16, channels-last, cuDNN's search: milliseconds of a "
        "forward and a backward pass of one layer (`benchmarks/folding.py`).\n\n"
        + table(("layer", "batch", "height", *forms), rows)
    )


def step_section(out: Path, part: str, title: str) -> str:
    """Give the table of one part of the step."""
    found = read_part(out, part)
    if found is None:
        return ""
    rows = [step_cells(row) for row in found["rows"]]
    headings = (
        "",
        "ms a step",
        "images/s",
        "of the goal",
        "model TFLOP/s",
        "peak GiB",
        "to first row",
        "first step, s",
    )
    ratio = studiogan_ratio(found["rows"])
    compiler = ""
    if "graphs" in found:
        breaks = found["graph_breaks"] or "none"
        compiler = f"\nCompiler: {found['graphs'].get('unique_graphs', 0)} graphs, graph breaks: {breaks}.\n"
    return f"### {title}\n\n{made_with(found)}, batch {found['batch']}.\n\n{table(headings, rows)}{ratio}{compiler}"


def step_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Write one side of a step as cells."""
    if "ms" not in row:
        return (row["name"], row.get("error", "not measured"), *[""] * 6)
    spread = f"{row['ms']:.1f} ({row['ms_low']:.1f} to {row['ms_high']:.1f}, {row['rounds']} rounds)"
    peak = "-" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}"
    return (
        row["name"],
        spread,
        f"{row['images_per_s']:,.0f}",
        f"{row['of_goal']:.2f}",
        f"{row['model_flops_per_s'] / 1e12:.0f}",
        peak,
        f"{row['speed_to_reference']:.2f}",
        f"{row['first_step_s']:.1f}",
    )


def studiogan_ratio(rows: list[dict[str, Any]]) -> str:
    """Compare the fastest of ours with the fastest of StudioGAN's, from the same rounds."""
    rates = {row["name"]: row["images_per_s"] for row in rows if "ms" in row}
    theirs = [name for name in rates if name.startswith("StudioGAN")]
    if not theirs:
        return ""
    best = max(theirs, key=rates.__getitem__)
    lines = []
    for kind, names in (
        ("with the same networks", [name for name in rates if "StudioGAN's networks" in name]),
        (
            "of the preset, whose attention is of another form at another place,",
            [name for name in rates if "StudioGAN" not in name],
        ),
    ):
        if names:
            name = max(names, key=rates.__getitem__)
            lines.append(f"Ours {kind} ({name}) is {rates[name] / rates[best]:.2f} times as fast as {best}.")
    return "\n" + " ".join(lines) + "\n"


def training_section(out: Path, size: int) -> str:
    """Show what a training left."""
    found = read_part(out, f"train-{size}")
    if found is None:
        return ""
    last = found["last"]
    scores = found["scores"]
    rows = [
        ("made with", made_with(found)),
        (
            "data",
            f"{found['data']}, mirrored at random, classes equally often, DiffAugment {' '.join(found['augment'])}",
        ),
        ("networks", f"preset `sagan-{size}`: published widths"),
        (
            "steps",
            f"{found['steps']:,} of {found['batch']}, learning rates {' and '.join(f'{lr:g}' for lr in found['lr'])}, "
            f"seed {found['seed']}",
        ),
        ("computed in", f"{found['precision']}, compile {found['compile']}"),
        (
            "time",
            f"{found['elapsed_s']:.0f} s with pictures and measurements; "
            f"{found['images_per_s']:,.0f} images/s while training (median)",
        ),
        (
            "samples",
            f"moving average of decay {found['ema_decay']:g}, standing statistics of 100 batches of 100, seed 0",
        ),
        (
            "logits at the end",
            f"trained {last.get('trained_logits', float('nan')):+.2f}, "
            f"held out {last.get('heldout_logits', float('nan')):+.2f}",
        ),
    ]
    seen = [
        f"{line['health']} at step {line['step']:,}{' no more' if line['over'] else ''}" for line in found["health"]
    ]
    if seen:
        rows.append(("health", "; ".join(seen)))
    if scores:
        step, key, value = scores[-1]
        rows.append((key.removeprefix("score/"), f"{value:.3g} at step {step:,} (compares only with itself; no FID)"))
    folder = f"clothing-{size}"
    listed = table(("", ""), rows).replace("|---|---:|", "|---|---|")
    return (
        f"## Clothes at {size} px\n\n![Samples by class]({folder}/samples.webp)\n\n{listed}\n"
        f"![Where the generator looks]({folder}/attention.webp)\n\n[Over time]({folder}/timeline.webp), "
        f"[curves]({folder}/curves.png), [where the discriminator looks]({folder}/attention-discriminator.webp), "
        f"[log]({folder}/log.jsonl), [configuration]({folder}/config.json).\n"
    )


def failures_section(out: Path) -> str:
    """Name the parts that failed, with the last line of why."""
    failed = sorted(out.glob("*.failed.json"))
    if not failed:
        return ""
    lines = []
    for file in failed:
        found = read_part(out, file.name.removesuffix(".json")) or {}
        lines.append(f"- {file.name.removesuffix('.failed.json')}: {found['error'].strip().splitlines()[-1]}")
    return "## What failed\n\n" + "\n".join(lines) + "\n"
