"""How fast and how lean is each way to compute self-attention? Prints times, ratios to explicit, and peak memory.

    ./dev python benchmarks/attention.py --sizes 16 32 64 --forms slides official --batch 1

One time is a forward and a backward pass of the whole block, 1x1 convolutions and spectral normalisation included. The
implementations take turns, so that a slow moment of the machine hits all of them; the first round warms up and is not
counted; the table has medians, on a processor of its time (all threads add up). Memory is the growth of the resident
set at its peak, or of CUDA's allocated memory, in a fresh process that has worked on 16x16 positions before.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from raw import add_raw, write_raw

from sagan.ops.attention import SelfAttention2d


def make_block(form: str, implementation: str, channels: int, device: str) -> SelfAttention2d:
    torch.manual_seed(0)
    block = SelfAttention2d(channels, form, implementation=implementation).to(device)
    torch.nn.init.constant_(block.gamma, 0.5)
    return block


def forward_backward(block: SelfAttention2d, x: torch.Tensor) -> None:
    block(x).sum().backward()
    x.grad = None
    block.zero_grad()
    if x.device.type == "cuda":
        torch.cuda.synchronize()


def time_ms(args: argparse.Namespace, form: str, size: int, implementations: list[str]) -> dict[str, list[float]]:
    """Measure the times of each implementation in milliseconds, taking turns."""
    x = torch.randn(args.batch, args.channels, size, size, device=args.device, requires_grad=True)
    blocks = {name: make_block(form, name, args.channels, args.device) for name in implementations}
    times: dict[str, list[float]] = {name: [] for name in implementations}
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    for _ in range(args.repeats + 1):
        for name, block in blocks.items():
            start = clock()
            forward_backward(block, x)
            times[name].append((clock() - start) * 1e3)
    return {name: measured[1:] for name, measured in times.items()}


def peak_mib(args: argparse.Namespace, form: str, size: int, implementation: str) -> float:
    """Measure the extra memory of one forward and backward pass in a fresh process, in MiB."""
    here = [sys.executable, __file__, "--only-memory", "--sizes", str(size), "--forms", form]
    here += ["--implementations", implementation, "--batch", str(args.batch), "--channels", str(args.channels)]
    here += ["--threads", str(args.threads), "--device", args.device]
    return float(subprocess.run(here, check=True, capture_output=True, text=True).stdout)


def only_memory(args: argparse.Namespace) -> float:
    block = make_block(args.forms[0], args.implementations[0], args.channels, args.device)
    on_cuda = args.device.startswith("cuda")

    def resident_mib(field: str) -> float:
        status = Path("/proc/self/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024

    def run(size: int) -> None:
        x = torch.randn(args.batch, args.channels, size, size, device=args.device, requires_grad=True)
        forward_backward(block, x)

    run(16)
    if on_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(args.sizes[0])
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak, VmHWM, to the present size
    before = resident_mib("VmRSS")
    run(args.sizes[0])
    return resident_mib("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64, 128], help="height and width, positions")
    parser.add_argument("--forms", nargs="+", default=["slides", "official"])
    parser.add_argument("--implementations", nargs="+", default=["explicit", "fused", "tiled"], help="first: ratio 1")
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    add_raw(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.only_memory:
        print(only_memory(args))
        return

    print(
        f"torch {torch.__version__}, {args.device}, threads {args.threads}, C {args.channels}, batch {args.batch}, fp32"
    )
    print(f"{'form':<10}{'positions':<11}{'implementation':<16}{'ms':>9}{'ratio':>8}{'MiB':>8}")
    found = []
    for form in args.forms:
        for size in args.sizes:
            times = time_ms(args, form, size, args.implementations)
            first = statistics.median(times[args.implementations[0]])
            for name, measured in times.items():
                ms = statistics.median(measured)
                ratio = ms / first
                memory = peak_mib(args, form, size, name)
                found.append({"form": form, "size": size, "implementation": name, "ms": measured, "mib": memory})
                print(f"{form:<10}{f'{size}x{size}':<11}{name:<16}{ms:>9.1f}{ratio:>8.2f}{memory:>8.0f}", flush=True)
    write_raw(args, rows=found)


if __name__ == "__main__":
    main()
