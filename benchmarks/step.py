"""How fast is a training step, and how lean, against the plain form of the same networks and against StudioGAN?

    ./dev python benchmarks/step.py --size 128 --batch 4 --threads 1 --studiogan PATH/TO/PyTorch-StudioGAN
    ./dev python benchmarks/step.py --size 128 --batch 256 --device cuda --precision bf16 --rounds 20 --warm-up 5 \
        --sides ours compiled plain without-channels-last without-joint-spectral \
        without-written-out-gradient without-joined-norm studiogan --profile profile.txt --studiogan PATH

(Try `graphs` in a call of its own: its memory is its own. `benchmarks/gpu_day.py` does this and more on a GPU.)

Sides, all with published widths, attention of the form `official`, the hinge loss, one D update a step:

- ours: `train_step` as `sagan train` runs it. compiled: the same with `--engine.compile on`, graphs: with
  `--engine.compile graphs`.
- plain: the same networks and step without folded convolutions, channels-last maps, the lean spectral normalisation and
  the joined batch normalisation: what the formulas say, one operation after the other.
- without-...: ours without one of these, to see what each of them gains.
- studiogan: the networks of a copy of StudioGAN (github.com/POSTECH-CVLab/PyTorch-StudioGAN, MIT) that `--studiogan`
  points to, with the widths, attention positions and Adam of its SAGAN configurations (CIFAR10 at 32 px, Baby_ImageNet
  at 64, ImageNet at 128), and the step of its worker written down again here: D sees real and generated images in two
  forwards, G's batch statistics are not tracked while D learns. It has spectrally normalised class tables; ours has
  plain ones, as in the authors' code. With bf16 on our side it runs as with its own `-mpc`: fp16 autocast and a
  gradient scaler (on a processor bf16 autocast, since fp16 needs a GPU).

In each round every side does one step, so that a slow moment of the machine hits all; the table has medians, the ratios
are medians of each round's ratio to the first side. "Of peak" is the share of this device's measured rate of a large
matrix product that a side's model FLOPs reach (`sagan.speed.flops`: those of the plain network, so it can pass 1).
Peak memory is that of a fresh process which does two steps of one side: of the process, on a GPU of PyTorch's tensors.
TF32 is off on all sides unless `--tf32`. `--profile` writes where the time of the first side goes, by operation and
shape. All processes keep freed memory (`sagan.allocator`) unless told otherwise.
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import torch
from raw import add_raw, write_raw
from torch import Tensor, nn

import sagan.models.discriminator
import sagan.models.generator
from sagan.allocator import keep_freed_memory
from sagan.data import Batch
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import SpectralNorm
from sagan.recipes.build import build
from sagan.recipes.config import RunConfig
from sagan.speed.clock import matmul_rate, timed
from sagan.speed.flops import step_flops
from sagan.training.config import Compile, EngineConfig, TrainConfig
from sagan.training.step import train_step

Step = Callable[[], object]

# Per size: classes, height of the feature map with attention, and StudioGAN's number of the block before it in G and D.
SIZES = {32: (10, 16, 2, 1), 64: (100, 32, 3, 1), 128: (1000, 64, 4, 1)}
# Of StudioGAN's configurations: learning rates of G and D, and Adam's betas.
ADAM = {32: (2e-4, 2e-4, (0.5, 0.999)), 64: (1e-4, 4e-4, (0.0, 0.999)), 128: (1e-4, 4e-4, (0.0, 0.999))}
STUDIOGAN_ADAM_EPS = 1e-6
Z_DIM, BASE_WIDTH = 128, 64


# What the plain form leaves out, each by itself as a side of its own.
PARTS = ("folds", "channels-last", "joint-spectral", "written-out-gradient", "joined-norm")


def configuration(args: argparse.Namespace, without: Collection[str] = (), compile: Compile = "off") -> RunConfig:  # noqa: A002
    """Give the run whose step is measured."""
    classes, position, _, _ = SIZES[args.size]
    lr_g, lr_d, (beta1, beta2) = ADAM[args.size]
    network = {
        "size_px": args.size,
        "num_classes": classes,
        "base_width": BASE_WIDTH,
        "attention": (position,),
        "attention_form": "official",
        "fold": "folds" not in without,
    }
    return RunConfig(
        generator=GeneratorConfig(z_dim=Z_DIM, **network),
        discriminator=DiscriminatorConfig(**network),
        train=TrainConfig(batch_size=args.batch, lr_g=lr_g, lr_d=lr_d, beta1=beta1, beta2=beta2),
        engine=EngineConfig(
            device=args.device,
            precision=args.precision,
            channels_last="channels-last" not in without,
            compile=compile,
        ),
    )


def ours(args: argparse.Namespace, *, without: Collection[str] = (), compile: Compile = "off") -> Step:  # noqa: A002
    """Build our networks, without some of `PARTS`, and give their step."""
    config = configuration(args, without, compile)
    parts = build(config)
    for network in (parts.state.G, parts.state.D):
        for module in network.modules():
            if isinstance(module, SpectralNorm) and "written-out-gradient" in without:
                module.__class__ = PlainSpectralNorm
            if isinstance(module, ConditionalBatchNorm2d) and "joined-norm" in without:
                module.fused = False
    random = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.randint(0, 256, (args.batch, args.size, args.size, 3), dtype=torch.uint8, generator=random),
        torch.randint(0, SIZES[args.size][0], (args.batch,), generator=random),
        torch.zeros(args.batch, dtype=torch.bool),
    )

    def step() -> object:
        with layer_by_layer() if "joint-spectral" in without else contextlib.nullcontext():
            return train_step(parts.state, config.train, lambda _: batch, parts.engine, seed=0)

    return step


@contextlib.contextmanager
def layer_by_layer() -> Iterator[None]:
    """Inside the context networks leave the spectral normalisation to their layers."""
    modules = (sagan.models.generator, sagan.models.discriminator)
    before = [module.prepare_spectral for module in modules]
    try:
        for module in modules:
            module.prepare_spectral = lambda _: None
        yield
    finally:
        for module, prepare in zip(modules, before, strict=True):
            module.prepare_spectral = prepare


class PlainSpectralNorm(SpectralNorm):
    """Spectral normalisation as the formulas say, differentiated by autograd."""

    def forward(self, weight: Tensor) -> Tensor:
        prepared, self.prepared = self.prepared, None
        if prepared is None and self.training and not self.frozen:
            self.iterate(weight)
        u, v = self.u.clone(), self.v.clone()
        with torch.autocast(weight.device.type, enabled=False):
            return weight / torch.dot(u, torch.mv(weight.flatten(1), v))


def studiogan_modules(source: Path) -> tuple[types.ModuleType, types.ModuleType]:
    """Import what its networks are in and what they are made of, from a copy of StudioGAN."""
    source = source / "src" if (source / "src").is_dir() else source
    # Its misc module imports plotting and torchvision; the network file needs one class of it, an empty context.
    misc = types.ModuleType("utils.misc")
    misc.dummy_context_mgr = contextlib.nullcontext  # type: ignore[attr-defined]
    utils = types.ModuleType("utils")
    utils.__path__ = [str(source / "utils")]  # type: ignore[attr-defined]
    sys.modules |= {"utils": utils, "utils.misc": misc}
    utils.misc = misc  # type: ignore[attr-defined]
    sys.path.insert(0, str(source))
    from utils import ops  # type: ignore[import-not-found]

    from models import resnet  # type: ignore[import-not-found]

    return resnet, ops


def studiogan_networks(args: argparse.Namespace) -> tuple[nn.Module, nn.Module]:
    """Build StudioGAN's networks from the copy at `--studiogan`."""
    resnet, ops = studiogan_modules(Path(args.studiogan))
    classes, _, block_g, block_d = SIZES[args.size]
    modules = types.SimpleNamespace(
        g_conv2d=ops.snconv2d,
        g_linear=ops.snlinear,
        g_bn=ops.ConditionalBatchNorm2d,
        g_act_fn=nn.ReLU(inplace=True),
        d_conv2d=ops.snconv2d,
        d_linear=ops.snlinear,
        d_embedding=ops.sn_embedding,
        d_act_fn=nn.ReLU(inplace=True),
    )
    model = types.SimpleNamespace(info_type="N/A", g_info_injection="N/A")
    of_g = (Z_DIM, "N/A", args.size, BASE_WIDTH, True, [block_g], "cBN", classes, "ortho", "N/A", False)
    of_d = (args.size, BASE_WIDTH, True, True, [block_d], "PD", "W/O", "N/A", False, classes, "ortho", "N/A", False)
    G = resnet.Generator(*of_g, modules, model)
    D = resnet.Discriminator(*of_d, modules, model)
    return G.to(args.device), D.to(args.device)


def studiogan(args: argparse.Namespace) -> Step:
    """Give the step of StudioGAN's worker with its networks."""
    G, D = studiogan_networks(args)
    classes = SIZES[args.size][0]
    lr_g, lr_d, betas = ADAM[args.size]
    optimizer_g = torch.optim.Adam(G.parameters(), lr=lr_g, betas=betas, eps=STUDIOGAN_ADAM_EPS)
    optimizer_d = torch.optim.Adam(D.parameters(), lr=lr_d, betas=betas, eps=STUDIOGAN_ADAM_EPS)
    x = torch.rand(args.batch, 3, args.size, args.size, device=args.device) * 2.0 - 1.0
    y = torch.randint(0, classes, (args.batch,), device=args.device)
    lowered = args.precision == "bf16"
    scaler = torch.amp.GradScaler(args.device, enabled=lowered and args.device == "cuda")
    autocast = torch.autocast(args.device, torch.float16 if args.device == "cuda" else torch.bfloat16, enabled=lowered)

    def generated() -> tuple[Tensor, Tensor]:
        labels = torch.randint(0, classes, (args.batch,), device=args.device)
        return G(torch.randn(args.batch, Z_DIM, device=args.device), labels), labels

    def loss_d() -> Tensor:
        x_fake, y_fake = generated()
        real_logits = D(x, y)["adv_output"]
        fake_logits = D(x_fake, y_fake)["adv_output"]
        return torch.relu(1.0 - real_logits).mean() + torch.relu(1.0 + fake_logits).mean()

    def loss_g() -> Tensor:
        x_fake, y_fake = generated()
        return -D(x_fake, y_fake)["adv_output"].mean()

    def update(optimizer: torch.optim.Optimizer, loss_of: Callable[[], Tensor]) -> None:
        optimizer.zero_grad()
        with autocast:
            loss = loss_of()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    def step() -> None:
        G.requires_grad_(False)
        D.requires_grad_(True)
        track_statistics(G, False)
        update(optimizer_d, loss_d)
        D.requires_grad_(False)
        G.requires_grad_(True)
        track_statistics(G, True)
        update(optimizer_g, loss_g)

    return step


def track_statistics(G: nn.Module, wanted: bool) -> None:
    """Let StudioGAN's batch normalisations keep running statistics, or not."""
    for module in G.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = wanted


SIDES: dict[str, Callable[[argparse.Namespace], Step]] = {
    "ours": ours,
    "compiled": lambda args: ours(args, compile="on"),
    "graphs": lambda args: ours(args, compile="graphs"),
    "plain": lambda args: ours(args, without=PARTS),
    **{f"without-{part}": lambda args, part=part: ours(args, without=(part,)) for part in PARTS},
    "studiogan": studiogan,
}


def peak_mib(args: argparse.Namespace, side: str) -> float:
    """Measure the peak memory of a fresh process that does two steps of one side, in MiB."""
    command = [sys.executable, __file__, *sys.argv[1:], "--sides", side, "--only-memory"]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return float("nan")
    return float(json.loads(done.stdout.splitlines()[-1]))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, choices=list(SIZES), help="pixels")
    parser.add_argument("--batch", type=int, default=16, help="images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--warm-up", type=int, default=2, help="rounds before")
    parser.add_argument(
        "--clock",
        default="wall",
        choices=["wall", "cpu"],
        help="cpu: seconds of processor, which other programs of the machine disturb less; all threads add up",
    )
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), help="default: ours, plain and, if given, studiogan")
    parser.add_argument("--studiogan", metavar="PATH", help="a copy of StudioGAN's repository")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--tf32", action="store_true", help="let fp32 products use TF32 on all sides")
    parser.add_argument("--profile", metavar="FILE", type=Path, help="write the first side's profile there")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure peak memory too")
    parser.add_argument("--default-allocator", action="store_true", help="do not keep freed memory")
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    add_raw(parser)
    args = parser.parse_args()
    if args.clock == "cpu" and args.device != "cpu":
        parser.error("--clock cpu measures a processor; on a GPU take the wall's")
    return args


def main() -> None:
    args = parsed()
    kept = not args.default_allocator and keep_freed_memory()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high" if args.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = args.tf32
    sides = args.sides or ["ours", "plain", *(["studiogan"] if args.studiogan else [])]
    steps = {side: SIDES[side](args) for side in sides}
    if args.only_memory:
        print(own_peak_mib(steps[sides[0]], args.device))
        return
    times = measure(steps, args)
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} threads"
    print(
        f"torch {torch.__version__}, {args.size} px, batch {args.batch}, {where}, {args.clock} time, "
        f"{args.precision}{', TF32' if args.tf32 else ''}, {args.rounds} rounds, "
        f"freed memory {'kept' if kept else 'given back'}"
    )
    show(times, args)
    if args.profile is not None:
        profile(steps[sides[0]], args)


def own_peak_mib(step: Step, device: str) -> float:
    """Do two steps and give the peak memory of this process, in MiB."""
    for _ in range(2):
        step()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # Not getrusage: its maximum is inherited from the process that started this one.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def measure(steps: dict[str, Step], args: argparse.Namespace) -> dict[str, list[float]]:
    """Let every side do a step in each round; seconds of the rounds that count."""
    device = torch.device(args.device)

    def seconds(step: Step) -> float:
        if args.clock == "wall":
            return timed(step, device)
        start = time.process_time()
        step()
        return time.process_time() - start

    times: dict[str, list[float]] = {side: [] for side in steps}
    for _ in range(args.warm_up + args.rounds):
        for side, step in steps.items():
            times[side].append(seconds(step))
    return {side: measured[args.warm_up :] for side, measured in times.items()}


def show(times: dict[str, list[float]], args: argparse.Namespace) -> None:
    """Print a row a side."""
    flops = step_flops(configuration(args))
    peak = matmul_rate(torch.device(args.device), torch.bfloat16 if args.precision == "bf16" else torch.float32)
    print(f"model: {flops / 1e9:.1f} GFLOP an image; large matrix product: {peak / 1e9:.0f} GFLOP/s")
    print(f"{'side':<30}{'ms a step':>12}{'images/s':>10}{'of peak':>9}{'ratio':>8}{'peak MiB':>10}")
    first = next(iter(times.values()))
    peaks = {side: peak_mib(args, side) if args.memory else None for side in times}
    for side, measured in times.items():
        middle = statistics.median(measured)
        ratio = statistics.median(b / a for a, b in zip(first, measured, strict=True))
        memory = "-" if peaks[side] is None else f"{peaks[side]:.0f}"
        rate = args.batch / middle
        share = rate * flops / peak
        print(f"{side:<30}{middle * 1e3:>12.1f}{rate:>10.2f}{share:>9.2f}{ratio:>8.2f}{memory:>10}", flush=True)
    write_raw(args, clock=args.clock, size_px=args.size, batch=args.batch, seconds=times, peak_mib=peaks)


def profile(step: Step, args: argparse.Namespace) -> None:
    """Write where the time of one step goes."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if args.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities, record_shapes=True) as found:
        timed(step, torch.device(args.device))
    key = "self_cpu_time_total" if args.device == "cpu" else "self_device_time_total"
    by_operation = found.key_averages().table(sort_by=key, row_limit=40)
    by_shape = found.key_averages(group_by_input_shape=True).table(sort_by=key, row_limit=60)
    args.profile.write_text(f"{by_operation}\n\n{by_shape}\n")


if __name__ == "__main__":
    main()
