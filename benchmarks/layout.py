"""Do generators sample faster on processors with channels last? Processor time of both layouts, in turns.

    ./dev python benchmarks/layout.py --rounds 9

The exported weights of results/cifar10-32 and results/clothing-64 with 16 samples, and untrained ones of the published
width at 128 px with one, on one thread. Processor time does not count what other programs take.
"""

import argparse
import copy
import statistics
import time
from pathlib import Path

import torch

from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.sampling import generate, sample_latents

ROOT = Path(__file__).parents[1]


def timed(G: Generator, z: torch.Tensor, y: torch.Tensor) -> float:
    """Give the milliseconds of processor time of one forward."""
    start = time.process_time()
    generate(G, z, y)
    return 1e3 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = {}
    for name, run in (("32 px, 16 samples", "cifar10-32"), ("64 px, 16 samples", "clothing-64")):
        inputs = load(ROOT / "results" / run / "generator.safetensors").inputs(SampleConfig(classes=("0",), num=16))
        cases[name] = inputs.network, inputs.z, inputs.y
    published = Generator(GeneratorConfig(size_px=128, num_classes=10)).eval()
    cases["128 px, 1 sample"] = published, sample_latents(0, [0], 128), torch.tensor([0])
    for name, (G, z, y) in cases.items():
        plain = copy.deepcopy(G).to(memory_format=torch.contiguous_format)
        last = copy.deepcopy(G).to(memory_format=torch.channels_last)
        far = int(abs(generate(plain, z, y).astype(int) - generate(last, z, y)).max())
        pairs = [(timed(plain, z, y), timed(last, z, y)) for _ in range(args.rounds)]
        before, after = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name}: {before:.0f} ms contiguous, {after:.0f} channels last, ratio {ratio:.2f}, apart by {far}/255")


if __name__ == "__main__":
    main()
