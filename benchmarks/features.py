"""How fast are features of FID's Inception beside torch-fidelity's extractor? Prints images/s, ratio and difference.

    ./dev python benchmarks/features.py --batch 32 --rounds 3

The weights are random (made here, nothing is downloaded), which costs the same time as the real ones. The two take
turns, so that a slow moment of the machine hits both; the first round warms up and is not counted; the numbers are
medians, on a processor of its time (all threads add up). EfficientNet-Lite0 is timed beside them when its package is
installed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from raw import add_raw, write_raw

from sagan.metrics.efficientnet import load_efficientnet
from sagan.metrics.inception import load_inception
from sagan.metrics.weights import WeightsError


def import_oracle() -> object:
    """Import torch-fidelity's extractor; the parts of torchvision that it asks for are not used here."""
    parts = ["torchvision" + part for part in ("", ".datasets", ".transforms", ".transforms.functional")]
    with mock.patch.dict(
        sys.modules, {part: mock.MagicMock(CIFAR10=object, CIFAR100=object, STL10=object) for part in parts}
    ):
        import torch_fidelity.feature_extractor_inceptionv3 as oracle
    return oracle


def make_oracle(folder: Path) -> tuple[torch.nn.Module, Path]:
    """Make torch-fidelity's extractor with random weights, normalised on a batch, and their file."""
    oracle = import_oracle()
    network = oracle.FeatureExtractorInceptionV3
    with (
        mock.patch.object(oracle, "load_state_dict_from_url", lambda *_, **__: {}),
        mock.patch.object(network, "load_state_dict", lambda *_: None),
    ):
        torch.manual_seed(0)
        extractor = network("inception-v3-compat", ["2048", "logits_unbiased"])
    norms = [module for module in extractor.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.bias.uniform_(0.5, 1.5)
        norm.train()
    extractor(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8))
    extractor.eval()
    torch.save(extractor.state_dict(), folder / "inception.pth")
    return extractor, folder / "inception.pth"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size-px", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    add_raw(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = torch.randint(0, 256, (args.batch, args.size_px, args.size_px, 3), dtype=torch.uint8, device=args.device)
    planes = images.permute(0, 3, 1, 2).contiguous()
    with tempfile.TemporaryDirectory() as folder:
        oracle, file = make_oracle(Path(folder))
        oracle.to(args.device)
        ours = load_inception(file).to(args.device)
    candidates: dict[str, Callable[[], torch.Tensor]] = {
        "torch-fidelity": lambda: oracle(planes)[0],
        "sagan": lambda: ours(images).features,
    }
    try:
        efficientnet = load_efficientnet().to(args.device)
        candidates["sagan, EfficientNet-Lite0"] = lambda: efficientnet(images).features
    except WeightsError as error:
        print(error)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    features = {}
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    for _ in range(args.rounds + 1):
        for name, compute in candidates.items():
            start = clock()
            with torch.no_grad():
                features[name] = compute().cpu()
            seconds[name].append(clock() - start)
    medians = {name: statistics.median(measured[1:]) for name, measured in seconds.items()}
    for name, median in medians.items():
        print(
            f"{name:26} {args.batch / median:8.1f} images/s   {medians['torch-fidelity'] / median:6.2f} times "
            "torch-fidelity"
        )
    expected = features["torch-fidelity"]
    difference = (features["sagan"] - expected).abs().max() / expected.abs().max()
    print(f"largest difference of the Inception features, of the largest feature: {difference:.1e}")
    counted = {name: measured[1:] for name, measured in seconds.items()}
    write_raw(args, batch=args.batch, seconds=counted, difference=float(difference))


if __name__ == "__main__":
    main()
