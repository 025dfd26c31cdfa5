"""Pictures: finding them, checking them, decoding them once, and drawing batches from the decoded file."""

from typing import TYPE_CHECKING

from sagan.lazy import lazy_names

if TYPE_CHECKING:
    from sagan.data.alike import about_data, fitted_alike, open_alike
    from sagan.data.batches import Batch, Batches
    from sagan.data.check_report import CheckReport
    from sagan.data.checking import check
    from sagan.data.config import DataConfig, DataError, cache_folder
    from sagan.data.given import GivenData
    from sagan.data.memory import kept
    from sagan.data.opening import DataSize, data_size, hand_over, notes, open_dataset, picture_size
    from sagan.data.pack import pack_dataset
    from sagan.data.pack_folder import pack_shards
    from sagan.data.packed import ImageSet
    from sagan.data.prefetch import prefetched
    from sagan.data.shards import read_packed
    from sagan.data.there import NAMES, is_pattern

__all__ = [
    "NAMES",
    "Batch",
    "Batches",
    "CheckReport",
    "DataConfig",
    "DataError",
    "DataSize",
    "GivenData",
    "ImageSet",
    "about_data",
    "cache_folder",
    "check",
    "data_size",
    "fitted_alike",
    "hand_over",
    "is_pattern",
    "kept",
    "notes",
    "open_alike",
    "open_dataset",
    "pack_dataset",
    "pack_shards",
    "picture_size",
    "prefetched",
    "read_packed",
]

__getattr__ = lazy_names(
    __name__,
    {
        "sagan.data.alike": ["about_data", "fitted_alike", "open_alike"],
        "sagan.data.batches": ["Batch", "Batches"],
        "sagan.data.check_report": ["CheckReport"],
        "sagan.data.checking": ["check"],
        "sagan.data.config": ["DataConfig", "DataError", "cache_folder"],
        "sagan.data.given": ["GivenData"],
        "sagan.data.memory": ["kept"],
        "sagan.data.opening": ["DataSize", "data_size", "hand_over", "notes", "open_dataset", "picture_size"],
        "sagan.data.pack": ["pack_dataset"],
        "sagan.data.pack_folder": ["pack_shards"],
        "sagan.data.packed": ["ImageSet"],
        "sagan.data.prefetch": ["prefetched"],
        "sagan.data.shards": ["read_packed"],
        "sagan.data.there": ["NAMES", "is_pattern"],
    },
)
