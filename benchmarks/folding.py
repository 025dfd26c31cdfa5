"""Where does folding a convolution and the resampling beside it into one pay? Prints the ratio for each layer's shape.

    ./dev python benchmarks/folding.py --sizes 32 64 128 --batches 4 16

One time is a forward and a backward pass of one layer of the published networks, channels-last, kernel making
included; plain and folded take turns. Above 1 the folded form is faster. It is processor time with one thread, which
other programs of the machine disturb less than the clock on the wall. Each line says what `folding_pays` chooses, the
last one what its choices lose against always knowing the faster form.
"""

import argparse
import statistics
import time
from itertools import pairwise

import torch
from torch import Tensor

from sagan.allocator import keep_freed_memory
from sagan.models.discriminator import DiscriminatorConfig
from sagan.models.generator import GeneratorConfig
from sagan.ops.resample import conv_downsample, folding_pays, upsample_conv


def layers(size: int, batch: int) -> list[tuple[str, int, int, int, int]]:
    """List (operation, batch, input channels, output channels, input height) of the layers with a resampling beside."""
    found = []
    widths = GeneratorConfig(size_px=size).widths
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        found.append(("up", batch, inputs, outputs, 4 * 2**i))
    config = DiscriminatorConfig(size_px=size)
    height = size
    for width, down in zip(config.widths, config.downs, strict=True):
        if down:
            found.append(("down", 2 * batch, width, width, height))  # real and generated images in one forward
            height //= 2
    return found


def time_ms(operation: str, x: Tensor, weight: Tensor, bias: Tensor, repeats: int) -> dict[bool, float]:
    """Measure a forward and backward pass, plain (False) and folded (True), in milliseconds."""
    function = upsample_conv if operation == "up" else conv_downsample
    times: dict[bool, list[float]] = {False: [], True: []}
    gradient = torch.randn_like(function(x, weight, bias, False))
    for _ in range(repeats + 1):
        for folded, measured in times.items():
            start = time.process_time()
            torch.autograd.grad(function(x, weight, bias, folded), (x, weight, bias), gradient)
            measured.append((time.process_time() - start) * 1e3)
    return {folded: statistics.median(measured[1:]) for folded, measured in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128], help="pixels of the images")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16], help="images")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, one thread, fp32, channels-last")
    print("  px layer  batch    channels  height  positions/C_in  plain/folded  rule")
    seen, chosen_ms, best_ms = set(), 0.0, 0.0
    for size in args.sizes:
        for batch in args.batches:
            for operation, images, inputs, outputs, height in layers(size, batch):
                if (operation, images, inputs, outputs, height) in seen:
                    continue
                seen.add((operation, images, inputs, outputs, height))
                tensors = (
                    torch.randn(images, inputs, height, height),
                    torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5,
                )
                x, weight = (t.to(memory_format=torch.channels_last).requires_grad_() for t in tensors)
                bias = torch.zeros(outputs, requires_grad=True)
                ms = time_ms(operation, x, weight, bias, args.repeats)
                low = images * height**2 // (1 if operation == "up" else 4)
                pays = folding_pays(low, inputs, transposed=operation == "up", device=x.device)
                chosen_ms, best_ms = chosen_ms + ms[pays], best_ms + min(ms.values())
                print(
                    f"{size:>4} {operation:<5}{images:>6}{f'{inputs}->{outputs}':>12}{height:>8}{low / inputs:>16.2f}"
                    f"{ms[False] / ms[True]:>14.2f}  {'folds' if pays else 'plain'}",
                    flush=True,
                )
    print(f"the rule takes {chosen_ms / best_ms:.3f} of the time of the better form of each layer")


if __name__ == "__main__":
    main()
