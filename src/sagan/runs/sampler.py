"""The copy of the generator that is looked at while a run trains."""

from sagan.generators.pretrained import PREVIEW_BATCH_SIZE, PREVIEW_BATCHES, STANDING_SEED
from sagan.runs.due import draws, measures
from sagan.sampling import sampling_copy
from sagan.training.hooks import Hook, Record


class Sampler(Hook):
    """Copies the generator where samples are drawn or measured; the training state is not touched.

    It runs on all processes, which share the batches of the copy's standing statistics.
    """

    def on_step(self, record: Record) -> None:
        """Leave a copy that is ready to sample from, where one is needed and its weights are finite."""
        if not (draws(record.config, record.step) or measures(record.config, record.step)):
            return
        with record.aside():
            sampler = sampling_copy(
                record.state.sampled,
                batches=PREVIEW_BATCHES,
                batch_size=PREVIEW_BATCH_SIZE,
                seed=STANDING_SEED,
                sharing=record.engine,
            )
        record.sampler = sampler if record.finite else None
