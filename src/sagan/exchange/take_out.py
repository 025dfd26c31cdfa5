"""Weights taken out: as one file for this project, as a graph for others, as a folder to share."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sagan.exchange.card import measured
from sagan.exchange.config import GRAPHS, check_export
from sagan.generators.pretrained import load
from sagan.generators.staged import newest_stage
from sagan.generators.weights import save_weights
from sagan.metrics.report import Report, report_from_json
from sagan.reading import read_named


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    out: Path
    """The file or the folder."""
    script: Path | None = None
    """The script beside a graph."""
    classes: bool = False
    """Whether that takes a class."""
    difference: float | None = None
    """The largest difference of a pixel in [-1, 1] between a graph's images and the generator's."""
    address: str | None = None
    """Where it was pushed to."""


def export(
    path: str | Path,
    out: str | Path,
    *,
    progress: bool = False,
    reports: Sequence[str | Path] = (),
    licence: str | None = None,
) -> Path:
    """Write weights that are ready to sample from, in the form that the name of ``out`` says.

    Args:
        path: What :func:`sagan.load` takes.
        out: ``.safetensors``: one file for :func:`sagan.load`. ``.onnx`` or ``.pt2``: a graph that draws without this
            project, checked against the generator, with a script beside it. Any other name: a folder to share, with a
            card.
        progress: As in :func:`sagan.load`.
        reports: Of a folder: reports of ``sagan evaluate`` for the card; those of the run's own step are there anyway.
        licence: Of a folder: what the card says; None says that none was chosen.

    Returns:
        ``out``.

    Raises:
        ValueError: If the name has another suffix, a package is missing, or a report cannot be read; nothing is
            computed then.
        GraphError: If a graph does not draw what the generator draws.
        OSError: If it cannot be written.
    """
    return export_to(path, out, progress=progress, reports=reports, licence=licence).out


def export_to(
    path: str | Path,
    out: str | Path,
    *,
    progress: bool = False,
    reports: Sequence[str | Path] = (),
    licence: str | None = None,
    push: str | None = None,
    private: bool = False,
) -> Exported:
    """Write weights as :func:`export` does, and say more of it.

    Args:
        path: As there.
        out: As there.
        progress: As there.
        reports: As there.
        licence: As there.
        push: A repository OWNER/NAME of the Hugging Face Hub that a folder is pushed to.
        private: Whether that repository, if it is new, is private.
    """
    out = Path(out)
    check_export(out, push)
    _check_packages(out, push)
    given = [report_from_json(read_named(Path(file)), str(file)) for file in reports]
    generator = load(path, progress=progress)
    if out.suffix == ".safetensors":
        save_weights(generator.network, out, generator.class_names, generator.provenance)
        return Exported(out=out)
    if out.suffix in GRAPHS:
        from sagan.exchange.graph import write_onnx, write_program
        from sagan.exchange.scripts import write_script

        difference = (write_onnx if out.suffix == ".onnx" else write_program)(generator, out)
        classes = bool(generator.class_names)
        return Exported(out=out, script=write_script(out, classes=classes), classes=classes, difference=difference)
    from sagan.exchange.folder import write_folder

    own: list[Report] = measured(_run_of(Path(path)), generator.provenance.get("step"))
    write_folder(generator, out, [*own, *given], name=push, licence=licence)
    return Exported(out=out, address=None if push is None else _pushed(out, push, private))


def _run_of(path: Path) -> Path:
    """Give the folder of the run that a checkpoint, a folder of stages, or the run's weights file is of."""
    path = newest_stage(path)
    folder = path.absolute().parent
    if path.is_dir():
        return path
    return folder.parent if folder.name == "checkpoints" else folder


def _check_packages(out: Path, push: str | None) -> None:
    needed: dict[str, tuple[str, ...]] = (
        {"onnx": ("onnx", "onnxruntime", "onnxscript")} if out.suffix == ".onnx" else {}
    )
    if push is not None:
        needed["hub"] = ("huggingface_hub",)
    for extra, packages in needed.items():
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            raise ValueError(f'this needs {", ".join(missing)}: pip install "sagan-torch[{extra}]"')


def _pushed(folder: Path, name: str, private: bool) -> str:
    """Push a folder to the Hub; give its address.

    Raises:
        OSError: If it cannot be pushed; the folder stays.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi()
    try:
        repository = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository.repo_id, folder_path=folder, commit_message="Weights and their card")
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise OSError(
            f"{folder} is written, but was not pushed to {name}: {str(error).splitlines()[0]}; `hf auth login` first, "
            f"or `hf upload {name} {folder}` later"
        ) from error
    return str(repository)
