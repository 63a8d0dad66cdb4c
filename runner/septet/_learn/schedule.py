"""When models are trained and how long they decide: one schedule for every mode."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

import numpy as np

from septet._data.bars import Ints
from septet._learn.dataset import Dataset
from septet._learn.labels import Labels
from septet_schemas.cron import Cron

__all__ = ["TrainingRule", "model_seed", "training_rows", "training_times"]


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """How a walk forward goes; every length is in nanoseconds of market time.

    `step_ns` is the time from one model to the next; with `cron` the longest such time.
    `purge_ns` None means the label's horizon. `window` is ``rolling`` (the last `train_ns`) or
    ``expanding`` (everything before). `expire_after_ns` None means never. `embargo_ns` acts
    only where training rows follow a test block, so never in a walk forward. With `once` nothing
    is learnt: there is one model, from before the first row on.
    """

    train_ns: int
    step_ns: int
    ready_after_ns: int
    purge_ns: int | None = None
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

    def purged(self, labels: Labels, bar_ns: int) -> int:
        """Purge in force, nanoseconds."""
        return labels.horizon * bar_ns if self.purge_ns is None else self.purge_ns


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
    if rule.cron is not None:
        return _cron_times(rule.cron, first_ns, last_ns - ready, start_ns, ready)
    first = -(-first_ns // step)
    if start_ns is not None:
        first = max(first, (start_ns - ready) // step)
    last = (last_ns - ready) // step
    return [k * step for k in range(first, last + 1)]


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

    ``T_k - train < T <= T_k - purge``, every feature finite, the label known by T_k.

    Returns
    -------
    int64 (m,)
        Row numbers, rising.
    """
    time_ns = dataset.time_ns
    purge = rule.purged(labels, dataset.bar_ns)
    low = 0
    if rule.window == "rolling":
        low = int(np.searchsorted(time_ns, trained_to_ns - rule.train_ns, side="right"))
    high = int(np.searchsorted(time_ns, trained_to_ns - purge, side="right"))
    span = slice(low, max(low, high))
    fit = np.isfinite(dataset.x[span]).all(axis=1)
    fit &= np.isfinite(labels.value[span]) & (labels.known_ns[span] <= trained_to_ns)
    return np.flatnonzero(fit).astype(np.int64) + low
