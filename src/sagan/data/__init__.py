"""Pictures: finding them, checking them, decoding them once, and drawing batches from the decoded file."""

from sagan.data.batches import Batch, Batches
from sagan.data.check import CheckReport, check
from sagan.data.config import DataConfig, DataError, cache_folder
from sagan.data.named import NAMES
from sagan.data.pack import notes, open_dataset, pack_dataset, pack_shards, picture_size
from sagan.data.packed import ImageSet
from sagan.data.shards import read_packed

__all__ = [
    "NAMES",
    "Batch",
    "Batches",
    "CheckReport",
    "DataConfig",
    "DataError",
    "ImageSet",
    "cache_folder",
    "check",
    "notes",
    "open_dataset",
    "pack_dataset",
    "pack_shards",
    "picture_size",
    "read_packed",
]
