"""The numbers of a run: metrics of every step become a line of the log every so many steps."""

import math
import time
from collections.abc import Mapping

from torch import Tensor

from sagan.data import Batches
from sagan.recipes.config import RunConfig
from sagan.runs.due import logs
from sagan.sampling import attention_gammas
from sagan.training.engine import Engine
from sagan.training.health import largest_sigma
from sagan.training.hooks import Hook, Line, Record, State
from sagan.training.overfitting import gap_error, learnt_by_heart
from sagan.training.step import picture_logits

LOOK_BATCH = 256


class Means(Hook):
    """Adds up the metrics of every step, and makes a line of their means when one is due.

    Args:
        config: The run.
        engine: Where the sums lie.
        looks: By the name of a value, batches whose mean logit is taken for each line: none, or ``trained_logits`` of
            pictures that D trains on and ``heldout_logits`` of pictures that it never sees.
    """

    def __init__(self, config: RunConfig, engine: Engine, looks: dict[str, Batches]) -> None:
        self.train, self.engine, self.looks = config.train, engine, looks
        # Sums since the last line; a checkpoint carries them, so that the log resumes exactly too.
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.started: float | None = None

    def on_start(self, record: Record) -> None:
        """Start the clocks; that of the whole run goes on from the last line of the log."""
        if self.started is None:
            times = [float(str(line.get("elapsed_s") or 0.0)) for line in record.history]
            self.started = time.monotonic() - max((one for one in times if math.isfinite(one)), default=0.0)
        self._start_interval(record)

    def on_step(self, record: Record) -> None:
        """Add up; make a line if it is due."""
        for key, value in record.metrics.items():
            self.sums[key] = self.sums[key] + value if key in self.sums else value.clone()
        self.count += 1
        self.timed += 1
        if logs(self.train, record.step):
            line = self._line(record)
            self.sums, self.count = {}, 0
            self._start_interval(record)
            record.add(line)

    def state_dict(self) -> dict[str, object]:
        """Give the sums since the last line."""
        return {"sums": self.sums, "count": self.count}

    def load_state_dict(self, state: State) -> None:
        """Go on with the sums since the last line."""
        self.sums = {key: self.engine.tensor(value) for key, value in state["sums"].items()}  # type: ignore[attr-defined]
        self.count = int(state["count"])  # type: ignore[call-overload]

    def _start_interval(self, record: Record) -> None:
        self.timed, self.interval_started, self.aside_before = 0, time.monotonic(), record.aside_s

    def _line(self, record: Record) -> Line:
        state, train = record.state, self.train
        line: Line = {"step": state.step} | {key: float(value) / self.count for key, value in self.sums.items()}
        seconds = time.monotonic() - self.interval_started - (record.aside_s - self.aside_before)
        with record.aside():
            # The same measure on pictures that D trains on and on pictures that it never sees: when the first rises and
            # the second does not, D memorises.
            line |= self._looks(record, line)
        line["images_per_s"] = train.batch_size * self.timed / seconds
        line |= {f"gamma/G/{k}": v for k, v in attention_gammas(state.G).items()}
        line |= {f"gamma/D/{k}": v for k, v in attention_gammas(state.D).items()}
        with record.aside():
            line |= {"sigma/G": largest_sigma(state.G), "sigma/D": largest_sigma(state.D)}
        assert self.started is not None
        line["elapsed_s"] = time.monotonic() - self.started
        return line

    def _looks(self, record: Record, line: Mapping[str, object]) -> dict[str, float]:
        """Give the mean logits of pictures, and how far D knows those that it trains on by heart."""
        at_once = self.train.batch_size // self.train.accumulate
        logits = {
            name: picture_logits(record.state, batches(record.step // self.train.log_every), self.engine, at_once)
            for name, batches in self.looks.items()
        }
        return {name: float(some.mean()) for name, some in logits.items()} | by_heart(logits, line)


def by_heart(logits: Mapping[str, Tensor], line: Mapping[str, object]) -> dict[str, float]:
    """Say how far D knows the pictures that it trains on by heart, where there are others, too.

    Args:
        logits: Those of pictures, ``trained_logits`` and ``heldout_logits``, (N,).
        line: Has ``fake_logits``.
    """
    if not ({"trained_logits", "heldout_logits"} <= logits.keys() and "fake_logits" in line):
        return {}
    trained, heldout = logits["trained_logits"], logits["heldout_logits"]
    share = learnt_by_heart(
        float(trained.mean()),
        float(heldout.mean()),
        float(str(line["fake_logits"])),
        gap_error(trained.cpu().numpy(), heldout.cpu().numpy()),
    )
    return {} if math.isnan(share) else {"overfitting/logits": share}
