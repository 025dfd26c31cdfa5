"""How fast is the Frechet distance of two Gaussians? Prints times, ratios and relative differences.

    ./dev python benchmarks/frechet.py --width 2048 --rounds 3 --against torch-fidelity scipy

The functions take turns; the table has medians of processor time (all threads add up), which other programs of the
machine disturb less than the wall's. At 2048 features
one round with both others takes a minute or two. The covariances have full rank and eigenvalues from 10 down to 1e-5;
``--samples`` makes the first one that of fewer samples, to see what a singular one costs.

    ./dev python benchmarks/frechet.py --from-features 500 10000 --threads 1 --against torch-fidelity

``--from-features`` starts from random features of so many samples on the two sides: fitting the Gaussians is part of
the time. In the line ``sagan stored`` the second side's statistics come from a file that was made before.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from raw import add_raw, write_raw

from sagan.metrics.frechet import Gaussian, frechet_distance
from sagan.metrics.statistics import Moments

Distance = Callable[[Gaussian, Gaussian], float]
FromFeatures = Callable[[np.ndarray, np.ndarray], float]
BATCH = 50


def torch_fidelity() -> Distance:
    # The package asks for torchvision, which may not be here and which this function of it does not use.
    import importlib.util
    import sys
    from unittest.mock import MagicMock

    if importlib.util.find_spec("torchvision") is None:
        for part in ("", ".datasets", ".transforms", ".transforms.functional"):
            sys.modules[f"torchvision{part}"] = MagicMock()
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    def distance(a: Gaussian, b: Gaussian) -> float:
        first, second = ({"mu": part.mean, "sigma": part.covariance} for part in (a, b))
        return fid_statistics_to_metric(first, second, verbose=False)[KEY_METRIC_FID]

    return distance


def scipy() -> Distance:
    from scipy.linalg import sqrtm

    def distance(a: Gaussian, b: Gaussian) -> float:
        root = sqrtm(a.covariance @ b.covariance).real
        difference = a.mean - b.mean
        return float(difference @ difference + np.trace(a.covariance + b.covariance - 2.0 * root))

    return distance


OTHERS = {"torch-fidelity": torch_fidelity, "scipy": scipy}


def moments(features: np.ndarray) -> Moments:
    found = Moments(features.shape[1])
    for start in range(0, len(features), BATCH):
        found.update(features[start : start + BATCH])
    return found


def ours_from_features(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(moments(a).gaussian(), moments(b).gaussian())


def ours_stored(second: np.ndarray) -> FromFeatures:
    file = io.BytesIO()
    np.savez(file, **moments(second).to_arrays())

    def from_features(a: np.ndarray, _: np.ndarray) -> float:
        file.seek(0)
        with np.load(file) as arrays:
            return frechet_distance(moments(a).gaussian(), Moments.from_arrays(dict(arrays)).gaussian())

    return from_features


def torch_fidelity_from_features() -> FromFeatures:
    distance = torch_fidelity()
    from torch_fidelity.metric_fid import fid_features_to_statistics

    def from_features(a: np.ndarray, b: np.ndarray) -> float:
        parts = (fid_features_to_statistics(torch.from_numpy(features)) for features in (a, b))
        return distance(*(Gaussian(part["mu"], part["sigma"]) for part in parts))

    return from_features


def make_gaussian(width: int, seed: int, samples: int | None = None) -> Gaussian:
    random = np.random.default_rng(seed)
    directions = np.linalg.qr(random.normal(size=(width, width)))[0]
    factor = directions * np.sqrt(np.geomspace(10.0, 1e-5, width))
    if samples is not None:
        rows = random.normal(size=(width, samples))
        factor = factor @ (rows - rows.mean(1, keepdims=True)) / np.sqrt(samples - 1)
    return Gaussian(0.1 * random.normal(size=width), factor @ factor.T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2048, help="features")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        help="of PyTorch; ours uses one. NumPy and SciPy take theirs from OPENBLAS_NUM_THREADS",
    )
    parser.add_argument("--samples", type=int, help="samples of the first set; at most the width makes it singular")
    parser.add_argument("--against", nargs="*", default=[], choices=list(OTHERS), help="only where installed")
    parser.add_argument("--from-features", type=int, nargs=2, metavar="N", help="samples of the two sides")
    add_raw(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.from_features is None:
        functions = {"sagan": frechet_distance} | {name: OTHERS[name]() for name in args.against}
        sides = make_gaussian(args.width, 0, args.samples), make_gaussian(args.width, 1)
    else:
        random = np.random.default_rng(0)
        sides = tuple(random.normal(size=(n, args.width)).astype(np.float32) for n in args.from_features)
        functions = {"sagan": ours_from_features, "sagan stored": ours_stored(sides[1])}
        if "torch-fidelity" in args.against:
            functions["torch-fidelity"] = torch_fidelity_from_features()
    compare(functions, sides, args)


def compare(functions: dict[str, Callable[..., float]], sides: tuple[object, ...], args: argparse.Namespace) -> None:
    frechet_distance(*(make_gaussian(64, seed) for seed in (0, 1)))  # the libraries start their threads
    times: dict[str, list[float]] = {name: [] for name in functions}
    values = {}
    for _ in range(args.rounds):
        for name, function in functions.items():
            start = time.process_time()
            values[name] = function(*sides)
            times[name].append(time.process_time() - start)

    print(f"{args.width} features, {args.rounds} rounds, {args.threads} threads of PyTorch, torch {torch.__version__}")
    ours = statistics.median(times["sagan"])
    for name, measured in times.items():
        median = statistics.median(measured)
        difference = abs(values[name] - values["sagan"]) / values["sagan"]
        print(f"{name:<15}{median:>8.3f} s{median / ours:>8.1f} x   differs by {difference:.1e} relative")
    write_raw(args, threads=args.threads, seconds=times, values=values)


if __name__ == "__main__":
    main()
