"""Data sets of Hugging Face's library ``datasets``: by name from the hub, saved to disk, or as Parquet files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sagan.data.config import OTHER_CACHE, DataConfig, DataError, Interpretation
from sagan.data.decode import UnreadableError
from sagan.data.encoded import decoding_lines, encoded_pictures
from sagan.data.extras import need
from sagan.data.files import refuse_huge
from sagan.data.names import in_a_line, shown_names
from sagan.data.pictures import Labels, Pictures, Source, hash_lines
from sagan.data.tars import arranged
from sagan.data.there import HUB_PREFIX
from sagan.reading import object_of, read_bytes
from sagan.regular import read_regular

FORM = "hf:NAME, hf:NAME:SPLIT or hf:NAME:SPLIT:CONFIGURATION"
DEFAULT_SPLIT = "train"
IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")
PLAIN = re.compile(r"u?int\d+|(large_)?string|string_view")
"""Types of columns that are labels where their name says so."""
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "cls")
UNLABELLED = -1  # how the library marks a picture whose class is kept secret


def is_saved(place: Path) -> bool:
    """Tell whether a folder was written by ``save_to_disk`` or holds Parquet files, or a file is one."""
    if place.is_dir():
        saved = (place / "dataset_dict.json").is_file() or (place / "state.json").is_file()
        return saved or any(file.is_file() for form in ("*.parquet", "data/*.parquet") for file in place.glob(form))
    return place.suffix.lower() == ".parquet"


def hub_source(config: DataConfig, cache: Path, *, progress: bool) -> Source:
    """Find the data set that a path ``hf:NAME[:SPLIT[:CONFIGURATION]]`` names; NAME may be a local path, too.

    It is downloaded here, into the library's own cache: only then is known what it is.

    Raises:
        DataError: If ``datasets`` is not installed, the name is not known, the split is missing or the network fails.
    """
    path = config.path
    name, *options = path.removeprefix(HUB_PREFIX).split(":")
    if not name or len(options) > 2:
        raise DataError(f"{path} has another form than {FORM}")
    split = options[0] if options and options[0] else None
    if Path(name).expanduser().exists():
        return saved_source(Path(name).expanduser(), cache, config, split, progress=progress)
    library = need("datasets", "huggingface", "data sets of the Hugging Face hub")
    _quiet(library, progress)
    try:
        table = library.load_dataset(name, options[1] if len(options) > 1 else None, split=split or DEFAULT_SPLIT)
    except Exception as error:  # The library raises whatever its network, its parsers and file systems do.
        raise DataError(
            f"{path} cannot be loaded from the Hugging Face hub ({_short(error)}); expected {FORM}"
        ) from error
    # The hub's cache keeps each version in a folder of its own name.
    lines = [path, *("/".join(Path(f["filename"]).parts[-2:]) for f in table.cache_files), str(len(table))]
    key = hash_lines(["hub", *lines, *_choice(config), *decoding_lines(config)])
    return Source(
        name=path, key=key, stamp=key, load=lambda: table_pictures(table, path, library, config, _caches(library))
    )


def saved_source(
    place: Path, cache: Path, config: Interpretation, split: str | None = None, *, progress: bool
) -> Source:
    """Find a data set in a folder of ``save_to_disk``, or in Parquet files.

    The library copies Parquet files into its own form, below the cache folder, the first time they are loaded.

    Raises:
        DataError: If ``datasets`` is not installed, and on loading, if the folder is damaged or has no such split.
    """
    library = need("datasets", "huggingface", "data sets of Hugging Face's library")
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    lines = [split or ""]
    for file in files:
        status = file.stat()
        lines.append(f"{file.relative_to(place.parent)}\0{status.st_size}\0{status.st_mtime_ns}")

    lines += _choice(config) + decoding_lines(config)

    def load() -> Pictures:
        _quiet(library, progress)
        table = _read_saved(place, cache / "huggingface", split, library)
        return table_pictures(table, str(place), library, config, [place if place.is_dir() else place.parent])

    key = hash_lines(["saved", str(place.resolve()), *lines])
    return Source(name=str(place), key=key, stamp=hash_lines(["saved", *lines]), load=load)


def table_pictures(
    table: Any, name: str, library: Any, config: Interpretation, folders: Sequence[Path] = ()
) -> Pictures:
    """See a table of the library as pictures: its image column, and its class label if it has one.

    Args:
        table: Of the library.
        name: What the set is called.
        library: The module.
        config: What the user chose.
        folders: Where the files lie that rows may name in place of bytes.

    Raises:
        DataError: If it has no image column, or pictures without a label among labelled ones.
    """
    features: Mapping[str, Any] = table.features
    image = _image_column(features, name, library)
    labels, class_names = _labels(table, name, library, config.labels)
    stored = table.select_columns([image]).cast_column(image, library.Image(decode=False))

    def read(index: int) -> bytes:
        value = stored[index][image]
        if value is None or (value["bytes"] is None and value["path"] is None):
            raise UnreadableError("the row holds no picture")
        data: bytes = _read_below(value["path"], folders) if value["bytes"] is None else value["bytes"]
        return data

    names = [f"row {index}" for index in range(len(table))]
    return encoded_pictures(name, names, labels, class_names, read, config)


def _read_below(path: str, folders: Sequence[Path]) -> bytes:
    """Read the file that a row names in place of bytes.

    Raises:
        UnreadableError: If it does not lie in one of the folders, links followed, is no regular file or too large.
        OSError: If it cannot be read.
    """
    roots = [folder.resolve() for folder in folders]
    found = ((root / path).resolve() for root in roots if "\0" not in path)
    file = next((file for file in found if any(file.is_relative_to(root) for root in roots) and file.is_file()), None)
    if file is None:
        raise UnreadableError(
            f"the row names a file and holds no bytes, and there is no {in_a_line(path)} in the data set's own folder; "
            "what `save_to_disk` writes has them"
        )
    return read_regular(str(file), refuse_huge)


def _caches(library: Any) -> list[Path]:
    """Give the folders that the library downloads to."""
    hub = need("huggingface_hub.constants", "huggingface", "data sets of the Hugging Face hub")
    settings = library.config
    places = (settings.HF_DATASETS_CACHE, settings.DOWNLOADED_DATASETS_PATH, settings.EXTRACTED_DATASETS_PATH)
    return [Path(place) for place in (*places, hub.HF_HUB_CACHE)]


def _parquet_files(place: Path, library: Any) -> dict[str, list[str]]:
    """Find the Parquet files of a folder by the splits that their names say; what its README.md says is not asked."""
    tools = library.data_files
    base = str(place.resolve())
    found = tools.DataFilesDict.from_patterns(tools.get_data_patterns(base), base, allowed_extensions=[".parquet"])
    splits = {str(split): [file for file in files if Path(file).is_file()] for split, files in found.items()}
    splits = {split: files for split, files in splits.items() if files}
    if splits:
        return splits
    return {DEFAULT_SPLIT: sorted(str(file) for file in place.resolve().rglob("*.parquet") if file.is_file())}


def _check_own_files(folder: Path, place: Path | None = None) -> None:
    """Check that the tables that a folder of ``save_to_disk`` names lie in it: the library opens any.

    Raises:
        ValueError: If one does not, or its list is none.
        OSError: If it cannot be read.
    """
    files = object_of(read_bytes(folder / "state.json")).get("_data_files")
    if not isinstance(files, list) or not all(isinstance(file, dict) and "filename" in file for file in files):
        raise ValueError(f"{folder.name}/state.json names no files")
    root = (place or folder).resolve()
    for file in files:
        if not (folder / str(file["filename"])).resolve().is_relative_to(root):
            raise ValueError(f"{folder.name}/state.json names a file outside of it, {in_a_line(str(file['filename']))}")


def _read_saved(place: Path, cache: Path, split: str | None, library: Any) -> Any:
    described = any((place / name).is_file() for name in ("state.json", "dataset_dict.json"))
    if not described:
        _make_room(cache)
    try:
        if place.is_file():
            return library.Dataset.from_parquet(str(place), cache_dir=str(cache))
        if (place / "state.json").is_file():
            _check_own_files(place)
            return library.load_from_disk(str(place))
        if (place / "dataset_dict.json").is_file():
            for name in object_of(read_bytes(place / "dataset_dict.json")).get("splits", []):
                _check_own_files(place / str(name), place)
            splits = library.load_from_disk(str(place))
        else:
            files = _parquet_files(place, library)
            splits = library.load_dataset("parquet", data_files=files, cache_dir=str(cache))
    except Exception as error:  # See hub_source.
        raise DataError(f"{place} cannot be read as a data set ({_short(error)}); save it again") from error
    wanted = split or (next(iter(splits)) if len(splits) == 1 else DEFAULT_SPLIT)
    if wanted not in splits:
        raise DataError(
            f"{place} has no split {wanted}; it has {', '.join(splits)}: {HUB_PREFIX}{place}:SPLIT chooses one"
        )
    return splits[wanted]


def _make_room(cache: Path) -> None:
    """Make the folder that Parquet files are copied into.

    Raises:
        DataError: If it cannot be made.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write into {cache} ({error.strerror or error}); {OTHER_CACHE}") from error


def _image_column(features: Mapping[str, Any], name: str, library: Any) -> str:
    images = [
        column
        for column, feature in features.items()
        if isinstance(feature, library.Image) or (isinstance(feature, dict) and {"bytes", "path"} <= feature.keys())
    ]
    if not images:
        raise DataError(f"{name} has no column of pictures, only {', '.join(features)}; expected one of type Image")
    return next((column for column in IMAGE_COLUMNS if column in images), images[0])


def _labels(table: Any, name: str, library: Any, wanted: str | None) -> tuple[Labels, tuple[str, ...]]:
    column = _label_column(table.features, name, library, wanted)
    if column is None:
        return np.zeros(len(table), np.int64), ()
    values, feature = list(table[column][:]), table.features[column]
    if _in_lists(feature):
        if any(len(value) != 1 for value in values):
            several = next(value for value in values if len(value) != 1)
            others = [
                other for other in table.features if other not in (column, _image_column(table.features, name, library))
            ]
            raise DataError(
                f"the column {column} of {name} gives pictures several labels or none ({several}); a class-conditional "
                f"network takes one a picture: choose another column with --data.labels COLUMN ({', '.join(others)})"
            )
        values, feature = [value[0] for value in values], _inner(feature)
    rows = [f"row {index}" for index in range(len(values))]
    if not isinstance(feature, library.ClassLabel):
        return arranged(values, rows, f"the column {column} of {name}")
    values = [None if value == UNLABELLED else value for value in values]
    if None in values:
        return arranged(values, rows, f"the column {column} of {name}")
    shown = shown_names(feature.names)
    return np.array(values, np.int64), tuple(shown[name] for name in feature.names)


def _label_column(features: Mapping[str, Any], name: str, library: Any, wanted: str | None) -> str | None:
    """Find the column of the classes: the one that is wanted, or by types and usual names; None if there is none."""
    if wanted is not None:
        if wanted not in features:
            raise DataError(f"{name} has no column {wanted!r} (--data.labels); its columns: {', '.join(features)}")
        return wanted
    named = [column for column, feature in features.items() if isinstance(feature, library.ClassLabel)]
    usual = [column for column in LABEL_COLUMNS if column in named]
    if len(named) > 1 and not usual:
        raise DataError(
            f"which column of {name} is the class? It has {', '.join(named)}; choose with --data.labels COLUMN"
        )
    plain = [column for column in LABEL_COLUMNS if PLAIN.fullmatch(str(getattr(features.get(column), "dtype", "")))]
    several = [
        column
        for column, feature in features.items()
        if _in_lists(feature) and (column in LABEL_COLUMNS or isinstance(_inner(feature), library.ClassLabel))
    ]
    return next(iter(usual + named + plain + several), None)


def _in_lists(feature: Any) -> bool:
    return isinstance(feature, list) or hasattr(feature, "feature")


def _inner(feature: Any) -> Any:
    return feature[0] if isinstance(feature, list) else feature.feature


def _choice(config: Interpretation) -> list[str]:
    return [] if config.labels is None else [f"labels={config.labels}"]


def _quiet(library: Any, progress: bool) -> None:
    if not progress:
        library.disable_progress_bars()


def _short(error: Exception) -> str:
    """Give the first sentence of an error of another library, on one line."""
    return re.sub(r"\s+", " ", str(error)).split(". ")[0][:300] or type(error).__name__
