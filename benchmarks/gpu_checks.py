"""Checks of `benchmarks/gpu_day.py`: does a GPU compute what float64 and the written formulas say?"""

import copy
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, product
from pathlib import Path
from typing import get_args

import torch
from gpu_setting import ROOT, Setting, facts, relative_error
from torch import Tensor, nn

from sagan.ops.attention import AttentionForm, SelfAttention2d
from sagan.recipes.build import Parts, build, build_networks, with_classes
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS
from sagan.speed.clock import matmul_rate, timed_rounds
from sagan.speed.step import random_batch
from sagan.training.checkpoint import load_checkpoint, save_checkpoint
from sagan.training.config import EngineConfig
from sagan.training.step import train_step

# Largest relative errors |found - float64| / |float64| that pass: of the attended part, of all gradients.
ATTENTION_LIMITS = {"fp32": (1e-5, 1e-4), "bf16": (0.02, 0.1)}
# Of a network's output; a batch normalisation over few images makes small errors larger.
NETWORK_LIMITS = {"fp32": 1e-3, "bf16": 0.1}
# Differences between a resumed and an uninterrupted run that rounding can explain after so few steps.
RESUMED_LIMIT = 1e-2
TESTS = ("tests/ops", "tests/models", "tests/training")
STEPS = 4


@contextmanager
def exact_fp32() -> Iterator[None]:
    """Inside the context fp32 products and convolutions do without TF32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@contextmanager
def cudnn(field: str, value: bool) -> Iterator[None]:
    """Inside the context one switch of cuDNN has a value; PyTorch's own `flags` would turn cuDNN off by default."""
    before = getattr(torch.backends.cudnn, field)
    setattr(torch.backends.cudnn, field, value)
    try:
        yield
    finally:
        setattr(torch.backends.cudnn, field, before)


def card(setting: Setting) -> dict[str, object]:
    """Measure the two rates that bound every step: of a large matrix product and of a copy."""
    device = torch.device(setting.device)
    source = torch.rand((1 << 12) if setting.toy else (1 << 30), device=device)
    target = torch.empty_like(source)
    copying = timed_rounds(lambda: target.copy_(source), device, 3 if setting.toy else 10)
    found: dict[str, object] = {"copy_bytes_per_s": 2 * source.nbytes / copying.median}
    if not setting.toy:
        with exact_fp32():
            found["fp32_flops_per_s"] = matmul_rate(device, torch.float32)
        torch.set_float32_matmul_precision("high")
        found["tf32_flops_per_s"] = matmul_rate(device, torch.float32)
        torch.set_float32_matmul_precision("highest")
        found["bf16_flops_per_s"] = matmul_rate(device, torch.bfloat16)
    return facts(setting) | found


def checks(setting: Setting) -> dict[str, object]:
    """Compare with float64 and resume a run, while the project's own tests run in a process beside it."""
    with tempfile.TemporaryDirectory() as folder:
        report, said = Path(folder) / "tests.xml", Path(folder) / "tests.txt"
        tests = start_tests(report, said, setting.toy)
        try:
            with exact_fp32():
                rows = [*attention_rows(setting), *network_rows(setting)]
                steps = [
                    resumed_row(setting, precision, same) for precision, same in product(setting.precisions, (0, 1))
                ]
            tests.wait(timeout=setting.seconds)
        finally:
            tests.kill()
        counts = test_counts(report, said)
    rows = [row | {"passes": row["output"] <= row["limit"]} for row in rows]
    return facts(setting) | {"rows": rows, "steps": steps, "tests": counts}


# Attention and networks against float64


def attention_rows(setting: Setting) -> list[dict[str, object]]:
    """Compare every form, computed in every way, in both precisions."""
    channels, height, batch = (16, 4, 2) if setting.toy else (256, 32, 4)
    torch.manual_seed(0)
    rows = []
    for form in get_args(AttentionForm):
        block = SelfAttention2d(channels, form).to(setting.device).eval()
        nn.init.constant_(block.gamma, 0.7)
        x = torch.randn(batch, channels, height, height, device=setting.device)
        direction = torch.randn_like(x)
        exact = copy.deepcopy(block).double()
        exact.implementation = "explicit"
        expected = attended(exact, x.double(), direction.double(), "fp32")
        for way, precision in product(("explicit", "tiled", "fused"), ("fp32", "bf16")):
            block.implementation = way
            found = attended(block, x, direction, precision)
            errors = [relative_error(a, b) for a, b in zip(found, expected, strict=True)]
            limit, gradient_limit = ATTENTION_LIMITS[precision]
            what = {"what": f"attention {form}, {way}", "precision": precision}
            rows.append(what | {"output": errors[0], "limit": limit})
            rows.append(
                what | {"what": f"{what['what']}, gradients", "output": max(errors[1:]), "limit": gradient_limit}
            )
    return rows


def attended(block: SelfAttention2d, x: Tensor, direction: Tensor, precision: str) -> tuple[Tensor, Tensor, Tensor]:
    """Give what the block adds to x, and the gradients of x and of all weights, of its product with a direction."""
    x = x.clone().requires_grad_()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        added = block(x) - x
    gradients = torch.autograd.grad((added.to(direction) * direction).sum(), (x, *block.parameters()))
    return added, gradients[0], torch.cat([g.flatten() for g in gradients[1:]])


def small_config(setting: Setting, precision: str = "fp32") -> RunConfig:
    """Give the recipe of `sagan-64` with narrow networks, all augmentations and ten classes."""
    config = with_classes(PRESETS["sagan-64"](), 10)
    size, width, batch = (16, 4, 4) if setting.toy else (64, 32, 32)
    return replace(
        config,
        generator=replace(config.generator, size_px=size, base_width=width),
        discriminator=replace(config.discriminator, size_px=size, base_width=width),
        train=replace(config.train, batch_size=batch, augment=("color", "translation", "cutout"), ema_start=1),
        engine=EngineConfig(device=setting.device, precision=precision),  # type: ignore[arg-type]
    )


def network_rows(setting: Setting) -> list[dict[str, object]]:
    """Compare both networks, with open gates of attention, in both precisions with float64."""
    config = small_config(setting)
    G, D = (network.to(setting.device).to(memory_format=torch.channels_last) for network in build_networks(config))
    for block in (*G.attention.values(), *D.attention.values()):
        nn.init.constant_(block.gamma, 0.7)
    z = torch.randn(config.train.batch_size, config.generator.z_dim, device=setting.device)
    y = torch.arange(len(z), device=setting.device) % 10
    x = torch.rand(len(z), 3, *[config.generator.size_px] * 2, device=setting.device) * 2 - 1
    rows: list[dict[str, object]] = []
    for name, network, inputs in (("generator", G, z), ("discriminator", D, x)):
        exact = copy.deepcopy(network).double()
        with torch.no_grad():
            expected = exact(inputs.double(), y)
            for precision in setting.precisions:
                one = copy.deepcopy(network)  # a forward in training mode moves spectral vectors
                with torch.autocast(setting.device, torch.bfloat16, enabled=precision == "bf16"):
                    error = relative_error(one(inputs, y), expected)
                limit = NETWORK_LIMITS[precision]
                rows.append({"what": name, "precision": precision, "output": error, "limit": limit})
    return rows


# Steps


def resumed_row(setting: Setting, precision: str, deterministic: int) -> dict[str, object]:
    """Train twice without a stop and once with one in the middle; say how far their states are apart."""
    config = small_config(setting, precision)
    with cudnn("deterministic", bool(deterministic)), tempfile.TemporaryDirectory() as folder:
        straight, again = (steps(build(config), config, STEPS) for _ in range(2))
        first = steps(build(config), config, STEPS // 2)
        save_checkpoint(Path(folder) / "state.pt", first.state.state_dict())
        second = build(config)
        second.state.load_state_dict(load_checkpoint(Path(folder) / "state.pt"))
        resumed = steps(second, config, STEPS - STEPS // 2)
    repeated_error, resumed_error = apart(straight, again), apart(straight, resumed)
    return {
        "what": f"{STEPS} steps, {'cuDNN deterministic' if deterministic else 'as trained'}",
        "precision": precision,
        "repeated": repeated_error,
        "resumed": resumed_error,
        "resumed_bit_for_bit": resumed_error == 0.0,
        "passes": resumed_error <= RESUMED_LIMIT,
    }


def steps(parts: Parts, config: RunConfig, count: int) -> Parts:
    """Do some steps on pictures that depend on the number of the step."""
    pictures = random_batch(config, STEPS * config.train.batch_size)

    def next_batch(k: int) -> object:
        part = slice(k * config.train.batch_size, (k + 1) * config.train.batch_size)
        return type(pictures)(*(tensor[part] for tensor in pictures))

    for _ in range(count):
        metrics = train_step(parts.state, config.train, next_batch, parts.engine, config.seed)  # type: ignore[arg-type]
        if not all(bool(torch.isfinite(value)) for value in metrics.values()):
            raise ArithmeticError(f"a loss is not finite: {metrics}")
    return parts


def apart(a: Parts, b: Parts) -> float:
    """Give the relative difference of all weights, moving average included; 0 only if equal bit for bit."""

    def weights(parts: Parts) -> list[Tensor]:
        state = parts.state
        networks = [network for network in (state.G, state.D, state.ema) if network is not None]
        return list(chain.from_iterable(network.state_dict().values() for network in networks))

    pairs = list(zip(weights(a), weights(b), strict=True))
    if all(torch.equal(x, y) for x, y in pairs):
        return 0.0
    one, other = (torch.cat([pair[i].double().flatten() for pair in pairs]) for i in (0, 1))
    return max(relative_error(one, other), 1e-300)


# The project's own tests


def start_tests(report: Path, said: Path, toy: bool) -> "subprocess.Popen[bytes]":
    """Start the tests of some folders in processes of their own; a single file of them at toy size."""
    folders, processes = (("tests/ops/test_pixels.py",), "0") if toy else (TESTS, "8")
    command = [sys.executable, "-m", "pytest", *folders, "-q", "-n", processes, "-p", "no:cacheprovider"]
    # Plugins that happen to be installed warn of each other, and a warning is an error here.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with said.open("wb") as file:
        return subprocess.Popen(
            [*command, "-p", "xdist", f"--junitxml={report}"],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def test_counts(report: Path, said: Path) -> dict[str, object]:
    """Count passed, failed and skipped tests in a report of pytest."""
    if not report.exists():
        return {"error": "pytest left no report", "messages": said.read_text().splitlines()[-20:]}
    cases = list(ET.parse(report).iter("testcase"))
    failed = []
    for case in cases:
        # An error is a failure of what stands around the test, such as a fixture.
        found = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
        if found is not None:
            message = str(found.get("message")).replace(f"{ROOT}/", "")[:300]
            failed.append({"name": f"{case.get('classname')}::{case.get('name')}", "message": message})
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - len(failed) - skipped
    return {"tests": list(TESTS), "passed": passed, "skipped": skipped, "failed": failed}


PARTS: dict[str, Callable[[Setting], dict[str, object]]] = {"card": card, "checks": checks}
