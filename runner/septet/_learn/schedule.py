"""Schedule of models: when they are trained and how long they decide, in every mode."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from septet._data.bars import Ints
from septet._data.trading_hours import DAY_NS, FillGrid
from septet._learn.dataset import Dataset
from septet._learn.labels import Labels
from septet_schemas.cron import Cron

__all__ = ["TrainingRule", "model_seed", "training_rows", "training_times"]


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """How a walk forward goes; lengths are in nanoseconds of market time, or in bars.

    `step_ns` is the time from one model to the next; with `cron` the longest such time.
    `purge_ns` is a purge written as a duration, `purge_bars` one in bars; without both it is the
    label's horizon. `ready_bars`, where not 0, counts bars of `bar_ns` that `calendar` schedules,
    and holds in place of `ready_after_ns`. `window` is ``rolling`` (the last `train_ns`) or
    ``expanding`` (everything before). `expire_after_ns` None means never. `embargo_ns` acts
    only where training rows follow a test block, so never in a walk forward. With `once` nothing
    is learnt: there is one model, from before the first row on.
    """

    train_ns: int
    step_ns: int
    ready_after_ns: int
    purge_ns: int | None = None
    purge_bars: int | None = None
    ready_bars: int = 0
    calendar: str = "24x7"
    bar_ns: int = 0
    embargo_ns: int = 0
    window: Literal["rolling", "expanding"] = "rolling"
    min_rows: int = 500
    min_class: int = 50
    expire_after_ns: int | None = None
    on_drift: bool = False
    cron: Cron | None = None
    once: bool = False

    def first_whole_ns(self, first_known_ns: int, bar_ns: int) -> int:
        """Return the first T_k whose window lies within data whose first bar is known then.

        Rows after ``T_k - train`` train, so the window may begin with that bar's open.
        """
        return first_known_ns - bar_ns + self.train_ns

    def ready_at(self, trained_to_ns: int) -> int:
        """Return the time from which the model of a T_k decides (UTC ns), which never falls.

        In bars that is the close of the last of so many that open at or after T_k.
        """
        if not self.ready_bars:
            return trained_to_ns + self.ready_after_ns
        return _nth_close(self.calendar, self.bar_ns, trained_to_ns, self.ready_bars)

    @property
    def longest_ready_ns(self) -> int:
        """Market time in which a model surely is ready: no market is closed for two weeks."""
        return self.ready_after_ns + self.ready_bars * 14 * DAY_NS


@lru_cache(maxsize=16)
def _grid(calendar: str, bar_ns: int) -> FillGrid:
    return FillGrid(calendar, bar_ns)


@lru_cache(maxsize=4_096)
def _nth_close(calendar: str, bar_ns: int, at_ns: int, count: int) -> int:
    return _grid(calendar, bar_ns).nth_close(at_ns, count)


def model_seed(seed: int, trained_to_ns: int) -> int:
    """Seed of the model with data up to `trained_to_ns`: the same in every process."""
    digest = hashlib.sha256(f"{seed}:{trained_to_ns}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def training_times(
    rule: TrainingRule, first_ns: int, last_ns: int, start_ns: int | None = None
) -> list[int]:
    """Times T_k that serve decisions: multiples of the step since the epoch, or a cron's.

    The first is the latest whose model is ready at `start_ns` (None: the first T_k with data
    before it); the last is the latest whose model is ready by `last_ns`.
    """
    step, ready = rule.step_ns, rule.ready_after_ns
    if rule.once:
        return [min(0, first_ns - ready)]
    if rule.ready_bars:
        return _session_times(rule, first_ns, last_ns, start_ns)
    if rule.cron is not None:
        return _cron_times(rule.cron, first_ns, last_ns - ready, start_ns, ready)
    first = -(-first_ns // step)
    if start_ns is not None:
        first = max(first, (start_ns - ready) // step)
    last = (last_ns - ready) // step
    return [k * step for k in range(first, last + 1)]


def _session_times(
    rule: TrainingRule, first_ns: int, last_ns: int, start_ns: int | None
) -> list[int]:
    """Times whose models are ready after so many bars of sessions."""
    if start_ns is not None:
        first_ns = max(first_ns, start_ns - rule.longest_ready_ns - rule.step_ns)
    if rule.cron is not None:
        times = rule.cron.times(first_ns, last_ns)
    else:
        step = rule.step_ns
        times = [k * step for k in range(-(-first_ns // step), last_ns // step + 1)]
    times = times[: bisect_right(times, last_ns, key=rule.ready_at)]
    if start_ns is None:
        return times
    return times[max(0, bisect_right(times, start_ns, key=rule.ready_at) - 1) :]


def _cron_times(
    cron: Cron, first_ns: int, last_ns: int, start_ns: int | None, ready_ns: int
) -> list[int]:
    """Times of a cron from `first_ns` to `last_ns`, only one of them before `start_ns`."""
    if start_ns is None:
        return cron.times(first_ns, last_ns)
    needed = start_ns - ready_ns
    times = cron.times(max(first_ns, needed - cron.longest_ns), last_ns)
    return times[max(0, bisect_right(times, needed) - 1) :]


def training_rows(dataset: Dataset, labels: Labels, rule: TrainingRule, trained_to_ns: int) -> Ints:
    """Rows that train the model with data up to T_k = `trained_to_ns`.

    ``T_k - train < T <= T_k - purge``, every feature finite, the label known by T_k. A purge in
    bars leaves out the newest bars of each symbol that are known at T_k, whatever their times.

    Returns
    -------
    int64 (m,)
        Row numbers, rising.
    """
    time_ns, low = dataset.time_ns, 0
    if rule.window == "rolling":
        low = int(np.searchsorted(time_ns, trained_to_ns - rule.train_ns, side="right"))
    until_ns = trained_to_ns - (rule.purge_ns or 0)
    high = int(np.searchsorted(time_ns, until_ns, side="right"))
    span = slice(low, max(low, high))
    fit = np.isfinite(dataset.x[span]).all(axis=1)
    if rule.purge_ns is None:
        bars = labels.horizon if rule.purge_bars is None else rule.purge_bars
        known = [np.searchsorted(b.known_ns, trained_to_ns, side="right") for b in dataset.bars]
        fit &= dataset.row[span] < np.array(known, np.int64)[dataset.symbol[span]] - bars
    fit &= np.isfinite(labels.value[span]) & (labels.known_ns[span] <= trained_to_ns)
    return np.flatnonzero(fit).astype(np.int64) + low
