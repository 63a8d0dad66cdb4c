"""Schedules training requests of a live run: by the file, and on request of its health check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from septet import messages as m
from septet._core.guards import instant
from septet._core.wiring import ModelPort

__all__ = ["Retraining", "Windows"]

UNTRAINED_NS: Final = 24 * 3_600 * 1_000_000_000
"""How far ahead is looked for the next model that is due (market time)."""
_NS: Final = 1_000_000_000
Requests = list[m.Train | m.Alerted]


class Windows(msgspec.Struct):
    """What was requested: how many windows, and the end of the newest one's data (UTC ns).

    `fitting` are requests without a result: the end of the data of each (UTC ns), by its number.
    `late` is the number of the one that was reported late; -1 for none.
    """

    count: int = 0
    trained_to_ns: int = -1
    fitting: dict[int, int] = {}
    late: int = -1


class Retraining:
    """The training windows that were requested, and those that are due.

    `fitting` are requests without a result: the time (market time, UTC ns) up to which each has
    data, by its number.

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
        self.windows = Windows()
        self._untrained_to_ns = -1

    def due(self, market_ns: int) -> Requests:
        """Request the models that are due: at the beginning those needed, then the newest alone.

        While one is being fitted no other is requested, since it would only wait: `arrived` does.
        """
        times, windows = self._times, self.windows
        if times is None or market_ns <= self._untrained_to_ns:
            return []
        if windows.fitting and windows.late >= 0:
            return []
        begins = windows.trained_to_ns < 0
        due = times(windows.trained_to_ns, market_ns)
        if windows.fitting:
            return [self._late(market_ns)] if due else []
        requests: Requests = []
        skipped = () if begins else due[:-1]
        if skipped:
            text = f"skipped for {instant(due[-1])}, which is due: {len(skipped)} fits, with data "
            text += f"up to {instant(skipped[0])}"
            text += f" ... {instant(skipped[-1])}" if len(skipped) > 1 else ""
            requests.append(m.Alerted(level="info", event="model_skipped", text=text))
        requests += [self._request(each, "schedule") for each in due[len(skipped) :]]
        ahead_ns = market_ns + UNTRAINED_NS  # cached: orders do not wait for it again
        if windows.trained_to_ns >= 0 and not times(windows.trained_to_ns, ahead_ns):
            self._untrained_to_ns = ahead_ns
        return requests

    def arrived(self, number: int, market_ns: int) -> Requests:
        """Process the result of a fit; request the newest model that fell due meanwhile."""
        if self.windows.fitting.pop(number, None) is None or self.windows.fitting:
            return []
        requests = self.due(market_ns)
        self.windows.late = self.windows.late if requests else -1
        return requests

    def _late(self, market_ns: int) -> m.Alerted:
        """Report, once until a fit is done before the next is due, that one takes too long."""
        number, trained_to_ns = min(self.windows.fitting.items())
        self.windows.late = number
        text = (
            f"model {number} with data up to {instant(trained_to_ns)} is still being fitted, "
            f"{(market_ns - trained_to_ns) // _NS} s later (market time), and the next one is due: "
            "the model before decides until then or its expire_after; when the fit is done, the "
            "newest that is due follows and those before it are skipped"
        )
        return m.Alerted(level="warning", event="model_late", text=text)

    def drift(self, drift_ns: int, market_ns: int) -> list[m.Train]:
        """Ask for a model because of drift read at a time, as the walk of a backtest does.

        None is requested while the newest window has no deciding model yet, or where the schedule
        is due anyway.
        """
        times, models = self._times, self._models
        if times is None or models is None or not self._on_drift or not self.windows.count:
            return []
        ready_ns = models.ready(self.windows.count - 1)
        if ready_ns is None or drift_ns <= ready_ns or times(self.windows.trained_to_ns, market_ns):
            return []
        return [self._request(drift_ns, "drift")]

    def _request(self, trained_to_ns: int, cause: m.Cause) -> m.Train:
        windows = self.windows
        request = m.Train(number=windows.count, trained_to_ns=trained_to_ns, cause=cause)
        windows.trained_to_ns = windows.fitting[windows.count] = trained_to_ns
        windows.count += 1
        return request

    def restore(self, windows: Windows) -> None:
        """Restore a snapshot."""
        self.windows, self._untrained_to_ns = windows, -1
