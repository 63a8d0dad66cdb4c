"""Schedules training requests of a live run: by the file, and on request of its health check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from septet import messages as m
from septet._core.wiring import ModelPort

__all__ = ["Retraining"]

UNTRAINED_NS: Final = 24 * 3_600 * 1_000_000_000
"""How far ahead is looked for the next model that is due (market time)."""


class Retraining:
    """The training windows that were requested, and those that are due.

    Parameters
    ----------
    times
        Training times after one time and up to another; None where nothing is trained.
    on_drift
        Whether readings of the model's health may ask for a model out of schedule.
    models
        What has arrived.
    """

    def __init__(
        self,
        times: Callable[[int, int], Sequence[int]] | None,
        models: ModelPort | None,
        *,
        on_drift: bool,
    ) -> None:
        self._times, self._models, self._on_drift = times, models, on_drift
        self.trained_to_ns, self.windows = -1, 0
        self._untrained_to_ns = -1

    def due(self, market_ns: int) -> list[m.Train]:
        """Request the models that are due; after a long pause only the newest one."""
        times, requests = self._times, list[m.Train]()
        if times is None or market_ns <= self._untrained_to_ns:
            return requests
        for trained_to_ns in times(self.trained_to_ns, market_ns):
            requests.append(self._request(trained_to_ns, "schedule"))
        ahead_ns = market_ns + UNTRAINED_NS  # cached: orders do not wait for it again
        if self.trained_to_ns >= 0 and not times(self.trained_to_ns, ahead_ns):
            self._untrained_to_ns = ahead_ns
        return requests

    def drift(self, drift_ns: int, market_ns: int) -> list[m.Train]:
        """Ask for a model because of drift read at a time, as the walk of a backtest does.

        None is requested while the newest window has no deciding model yet, or where the schedule
        is due anyway.
        """
        times, models = self._times, self._models
        if times is None or models is None or not self._on_drift or not self.windows:
            return []
        ready_ns = models.ready(self.windows - 1)
        if ready_ns is None or drift_ns <= ready_ns or times(self.trained_to_ns, market_ns):
            return []
        return [self._request(drift_ns, "drift")]

    def _request(self, trained_to_ns: int, cause: m.Cause) -> m.Train:
        request = m.Train(number=self.windows, trained_to_ns=trained_to_ns, cause=cause)
        self.trained_to_ns = trained_to_ns
        self.windows += 1
        return request

    def restore(self, trained_to_ns: int, windows: int) -> None:
        """Restore a snapshot."""
        self.trained_to_ns, self.windows, self._untrained_to_ns = trained_to_ns, windows, -1
