"""The log and the pictures of a run for Weights & Biases: a hook for ``train(hooks=[...])``, see docs/hooks.md."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from sagan.training.hooks import Hook, Line, Record, State


class WandB(Hook):
    """Sends the lines of the log and the pictures of samples; a resumed run goes on with the same run there.

    Args:
        project: Where the run stands.
        title: What it is called there; unset lets Weights & Biases choose.
        mode: As for ``wandb.init``; unset follows its settings. ``"offline"`` writes files alone (``wandb sync``).
        folder: Where its files go; unset is ``wandb/`` in the working folder.

    Raises:
        ImportError: If wandb is not installed.
    """

    name = "wandb"

    def __init__(
        self,
        project: str = "sagan",
        *,
        title: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
        folder: str | Path | None = None,
    ) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError(
                "the hook WandB needs Weights & Biases: install it with pip install 'sagan-torch[wandb]'"
            ) from error
        self.wandb = wandb
        self.project, self.title, self.mode, self.folder = project, title, mode, folder
        self.id: str | None = None
        self.run: Any = None

    def on_start(self, record: Record) -> None:
        """Begin a run there, or go on with that of the checkpoint."""
        if self.run is not None:  # after a rollback: what was sent stays
            return
        self.run = self.wandb.init(
            project=self.project,
            name=self.title,
            mode=self.mode,
            dir=None if self.folder is None else str(self.folder),
            id=self.id,
            resume="allow",
            config=dataclasses.asdict(record.config),
        )
        self.id = self.run.id
        # Curves over the run's own step: steps there only rise, those of a run that goes back do not.
        self.run.define_metric("*", step_metric="step")

    def on_line(self, record: Record, line: Line) -> None:
        """Send a line."""
        self.run.log(dict(line))

    def on_step(self, record: Record) -> None:
        """Send the pictures that were drawn."""
        if record.pictures:
            pictures = {name: self.wandb.Image(picture) for name, picture in record.pictures.items()}
            self.run.log({"step": record.step, **pictures})

    def on_end(self, record: Record) -> None:
        """Send the rest."""
        self.run.finish()

    def state_dict(self) -> dict[str, object]:
        """Give which run it is there."""
        return {"id": self.id}

    def load_state_dict(self, state: State) -> None:
        """Go on with that run; one that was begun already stays."""
        if self.run is None:
            self.id = state["id"]  # type: ignore[assignment]
