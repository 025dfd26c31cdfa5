"""A generator as the Hub's library knows models: ``save_pretrained``, ``from_pretrained``, ``push_to_hub``.

Needs the package ``huggingface_hub`` (the extra ``hub``).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin

from sagan.exchange.folder import write_folder
from sagan.generators.hub import fetched
from sagan.generators.pretrained import EXPORTED, load
from sagan.generators.trained import TrainedGenerator
from sagan.metrics.report import Report


class HubGenerator(ModelHubMixin, library_name="sagan"):
    """A generator with the methods of the Hub's mixin; make one with :meth:`of` or ``from_pretrained``.

    Attributes:
        generator: What :func:`sagan.load` gives.
        reports: What was measured of it, for the card.
        name: What the card calls it; None is the folder's name.
        licence: See :func:`~sagan.exchange.card.card`.
    """

    generator: TrainedGenerator
    reports: Sequence[Report] = ()
    name: str | None = None
    licence: str | None = None

    @classmethod
    def of(
        cls,
        generator: TrainedGenerator,
        reports: Sequence[Report] = (),
        *,
        name: str | None = None,
        licence: str | None = None,
    ) -> "HubGenerator":
        """Make one of a generator that is ready to sample."""
        made = cls()  # without arguments: the mixin would write those down as the model's configuration
        made.generator, made.reports, made.name, made.licence = generator, reports, name, licence
        return made

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write the folder that can be shared; see the mixin for the options.

        Raises:
            ValueError: If it is the folder of a run, whose files the mixin would replace.
        """
        if (Path(save_directory) / "checkpoints").exists():
            raise ValueError(f"{save_directory} is the folder of a run; choose another one to share")
        said: str | None = super().save_pretrained(save_directory, **options)
        return said

    def _save_pretrained(self, save_directory: Path) -> None:
        write_folder(self.generator, save_directory, self.reports, name=self.name, licence=self.licence)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, device: str = "auto", **options: Any) -> "HubGenerator":
        if Path(model_id).is_dir():
            return cls.of(load(model_id, device=device))
        known = ("revision", "cache_dir", "token", "local_files_only", "force_download")
        return cls.of(load(fetched(model_id, EXPORTED, **{key: options.get(key) for key in known}), device=device))  # type: ignore[arg-type]
