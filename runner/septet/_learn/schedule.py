"""When models are trained and how long they decide: one schedule for every mode."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from septet._data.bars import Ints
from septet._learn.dataset import Dataset
from septet._learn.labels import Labels

__all__ = ["TrainingRule", "model_seed", "training_rows", "training_times"]


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """How a walk forward goes; every length is in nanoseconds of market time.

    `purge_ns` None means the label's horizon. `window` is ``rolling`` (the last `train_ns`) or
    ``expanding`` (everything before). `expire_after_ns` None means never. `embargo_ns` acts
    only where training rows follow a test block, so never in a walk forward.
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
    """Times T_k, multiples of the step since the Unix epoch, that serve decisions.

    The first is the latest whose model is ready at `start_ns` (None: the first T_k with data
    before it); the last is the latest whose model is ready by `last_ns`.
    """
    step, ready = rule.step_ns, rule.ready_after_ns
    begin = -(-first_ns // step)
    if start_ns is not None:
        begin = max(begin, (start_ns - ready) // step)
    end = (last_ns - ready) // step
    return [k * step for k in range(begin, end + 1)]


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
