"""In which form is a 3x3 convolution fastest, alone and with the resampling beside it? Prints each layer's times.

    ./dev python benchmarks/folding.py --sizes 32 64 128 --batches 4 16
    ./dev python benchmarks/folding.py --sizes 128 --batches 256 --device cuda --precision bf16

One time is a forward and a backward pass of one layer, channels-last, with all that a form prepares; the forms take
turns. `up` and `down` have the forms of `sagan.ops.resample`, `conv` is a convolution alone, as it is or as a matrix
product. On a processor it is processor time with one thread, which other programs of the machine disturb less than the
clock on the wall. A star marks what the rules (`resample_form`, `product_pays`) choose; the last line says what their
choices lose against always knowing the fastest form.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from sagan.allocator import keep_freed_memory
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.ops.convolve import conv3x3, product_pays
from sagan.ops.resample import Form, conv_downsample, resample_form, upsample_conv

# Matrices of patches beyond this are not tried: they are only slow.
MOST_PATCHES = 2**28


class Layer(NamedTuple):
    """A 3x3 convolution of a network."""

    operation: str
    batch: int
    inputs: int
    outputs: int
    height: int

    @property
    def positions(self) -> int:
        """B * H * W, of a resampling layer at the lower resolution."""
        return self.batch * self.height**2 // (4 if self.operation == "down" else 1)


def layers(size: int, batch: int, width: int) -> list[Layer]:
    """List the 3x3 convolutions of both networks, but for those that see or make an image."""
    found = []
    widths = GeneratorConfig(size_px=size, base_width=width).widths
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        found += [Layer("up", batch, inputs, outputs, 4 * 2**i), Layer("conv", batch, outputs, outputs, 8 * 2**i)]
    config = DiscriminatorConfig(size_px=size, base_width=width)
    height, inputs = size, 3
    for outputs, down in zip(config.widths, config.downs, strict=True):
        # Real and generated images go through D in one forward.
        if inputs != 3:
            found.append(Layer("conv", 2 * batch, inputs, outputs, height))
        found.append(Layer("down" if down else "conv", 2 * batch, outputs, outputs, height))
        height //= 2 if down else 1
        inputs = outputs
    return found


def candidates(layer: Layer, device: torch.device) -> tuple[dict[str, Callable[..., Tensor]], str]:
    """Give the forms of a layer, and the name of the one that the rule chooses."""
    if layer.operation == "conv":
        forms: dict[str, Callable[..., Tensor]] = {
            "plain": lambda x, w, b: conv3x3(x, w, b),
            "product": lambda x, w, b: conv3x3(x, w, b, as_product=True),
        }
        chosen = "product" if product_pays(layer.positions, layer.inputs, device=device) else "plain"
    else:
        function = upsample_conv if layer.operation == "up" else conv_downsample
        forms = {form: lambda x, w, b, form=form: function(x, w, b, form) for form in get_args(Form)}
        chosen = resample_form(layer.positions, layer.inputs, device=device)
    if 9 * layer.positions * max(layer.inputs, layer.outputs) > MOST_PATCHES and chosen != "product":
        del forms["product"]
    return forms, chosen


def time_ms(layer: Layer, forms: dict[str, Callable[..., Tensor]], args: argparse.Namespace) -> dict[str, float]:
    """Measure a forward and backward pass in each form, in milliseconds."""
    device = torch.device(args.device)
    shapes = [
        (layer.batch, layer.inputs, layer.height, layer.height),
        (layer.outputs, layer.inputs, 3, 3),
    ]
    x, weight = (torch.randn(shape, device=device).to(memory_format=torch.channels_last) for shape in shapes)
    if args.precision == "bf16":
        x = x.bfloat16()  # as maps arrive from the layers before
    x, weight = x.requires_grad_(), weight.requires_grad_()
    bias = torch.zeros(layer.outputs, device=device, requires_grad=True)
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    times: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(args.repeats + 2):
        for form, function in forms.items():
            if not on_cpu:
                torch.accelerator.synchronize(device)
            start = clock()
            for _ in range(1 if on_cpu else 10):
                with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16"):
                    y = function(x, weight, bias)
                torch.autograd.grad(y, (x, weight, bias), torch.ones_like(y))
            if not on_cpu:
                torch.accelerator.synchronize(device)
            times[form].append((clock() - start) * (1e3 if on_cpu else 1e2))
    return {form: statistics.median(measured[2:]) for form, measured in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128], help="pixels of the images")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16], help="images")
    parser.add_argument("--widths", type=int, nargs="+", default=[64], help="base widths; 64 is the published one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(0)
    device = torch.device(args.device)
    name = "one thread" if device.type == "cpu" else args.device
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    print(f"torch {torch.__version__}, {name}, {args.precision}, channels-last; milliseconds")
    print(f"  px layer  batch    channels  height  positions/C_in{''.join(f'{form:>11}' for form in get_args(Form))}")
    seen, chosen_ms, best_ms, plain_ms = set(), 0.0, 0.0, 0.0
    for size, width, batch in ((s, w, b) for s in args.sizes for w in args.widths for b in args.batches):
        for layer in layers(size, batch, width):
            if layer in seen:
                continue
            seen.add(layer)
            forms, chosen = candidates(layer, device)
            ms = time_ms(layer, forms, args)
            chosen_ms, best_ms, plain_ms = chosen_ms + ms[chosen], best_ms + min(ms.values()), plain_ms + ms["plain"]
            cells = "".join(
                f"{(f'{ms[form]:.2f}' if form in ms else '-') + ('*' if form == chosen else ' '):>11}"
                for form in get_args(Form)
            )
            print(
                f"{size:>4} {layer.operation:<5}{layer.batch:>6}{f'{layer.inputs}->{layer.outputs}':>12}"
                f"{layer.height:>8}{layer.positions / layer.inputs:>16.2f}{cells}",
                flush=True,
            )
    print(f"the rules take {chosen_ms / best_ms:.3f} of the time of the fastest form of each layer;", end=" ")
    print(f"plain takes {plain_ms / chosen_ms:.2f} of that of the rules")


if __name__ == "__main__":
    main()
