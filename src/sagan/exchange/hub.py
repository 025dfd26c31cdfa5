"""A generator as the Hub's library knows models: ``save_pretrained``, ``from_pretrained``, ``push_to_hub``.

Needs the package ``huggingface_hub`` (the extra ``hub``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelHubMixin
from huggingface_hub.errors import LocalEntryNotFoundError

from sagan.exchange.folder import write_folder
from sagan.generators.hub import fetched, out_of_reach
from sagan.generators.pretrained import EXPORTED, load
from sagan.generators.trained import TrainedGenerator
from sagan.metrics.report import Report
from sagan.whole import whole_folder


class HubGenerator(ModelHubMixin, library_name="sagan"):
    """A generator with the methods of the Hub's mixin; make one with :meth:`of` or ``from_pretrained``.

    Attributes:
        generator: What :func:`sagan.load` gives.
        reports: What was measured of it, for the card.
        name: What the card calls it; None is the repository that it is pushed to, else the folder's name.
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

    def save_pretrained(
        self, save_directory: str | Path, *, push_to_hub: bool = False, repo_id: str | None = None, **options: Any
    ) -> str | None:
        """Write the folder that can be shared; it has its files when all of them are complete.

        Args:
            save_directory: The folder; the card has its name unless there is another, or ``repo_id`` is pushed to.
            push_to_hub: Push it, too.
            repo_id: Where to; unset is a repository with the folder's name.
            options: Of the mixin's method of this name.

        Returns:
            The address of what was pushed; None if nothing was.

        Raises:
            ValueError: If it is the folder of a run, whose files the mixin would replace.
        """
        folder, name = Path(save_directory), repo_id if push_to_hub else None
        if (folder / "checkpoints").exists():
            raise ValueError(f"{folder} is the folder of a run; choose another one to share")
        kept = {key: options.pop(key) for key in ("config", "model_card_kwargs") if key in options}
        with self._called(name), whole_folder(folder) as place:
            super().save_pretrained(place, **kept)
        if not push_to_hub:
            return None
        said: str = self.push_to_hub(repo_id or folder.name, **kept, **options)
        return said

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Push the folder that can be shared; the card has the repository's name unless there is another.

        Args:
            repo_id: Where to, OWNER/NAME; without OWNER it is yours.
            options: Of the mixin's method of this name, such as ``private`` or ``token``.

        Returns:
            The address of what was pushed.

        Raises:
            OSError: If it cannot be pushed.
        """
        if self.name is None:  # the mixin tells only the last part of the repository's name to the folder
            api = HfApi(token=options.get("token"))
            repo_id = api.create_repo(repo_id=repo_id, private=options.get("private"), exist_ok=True).repo_id
        with self._called(repo_id):
            said: str = super().push_to_hub(repo_id, **options)
        return said

    @contextmanager
    def _called(self, name: str | None) -> Iterator[None]:
        """Have the card call it so, if nobody named it."""
        before = self.name
        self.name = before if before is not None else name
        try:
            yield
        finally:
            self.name = before

    def _save_pretrained(self, save_directory: Path) -> None:
        write_folder(self.generator, save_directory, self.reports, name=self.name, licence=self.licence)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> "HubGenerator":
        """Read a folder that :meth:`save_pretrained` wrote, or a repository of the Hub.

        Args:
            pretrained_model_name_or_path: The folder, or OWNER/NAME.
            options: Of the mixin's method of this name, such as ``revision`` or ``cache_dir``; and ``device``.

        Returns:
            The generator with the mixin's methods.

        Raises:
            FileNotFoundError: If it is neither here nor in the Hub's cache, and cannot be had from the Hub.
        """
        try:
            made: HubGenerator = super().from_pretrained(pretrained_model_name_or_path, **options)
        except LocalEntryNotFoundError as error:  # the mixin looks for its own file first
            raise FileNotFoundError(out_of_reach(str(pretrained_model_name_or_path), EXPORTED)) from error
        return made

    @classmethod
    def _from_pretrained(cls, *, model_id: str, device: str = "auto", **options: Any) -> "HubGenerator":
        if Path(model_id).is_dir():
            return cls.of(load(model_id, device=device))
        known = ("revision", "cache_dir", "token", "local_files_only", "force_download")
        return cls.of(load(fetched(model_id, EXPORTED, **{key: options.get(key) for key in known}), device=device))  # type: ignore[arg-type]
