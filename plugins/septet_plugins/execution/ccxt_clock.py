"""Measures the skew of the local clock against a venue's, and corrects the clients' clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import septet.messages as m
from septet.plugin.live import Backoff, Clock, Kept, Notices, Tasks, Unreadable, read_number
from septet_plugins.exchange.unusual_messages import UNUSUAL
from septet_plugins.execution.ccxt_link import Rest

__all__ = ["VenueClock"]

_MS: Final = 1_000_000
_NO_CLOCK_NS: Final = 86_400_000 * _MS
"""A time that is further from the local clock is not a time of the venue."""
_JUST_SET_S: Final = 5.0
"""A rejection within this time after the clocks were set may be of an earlier request."""


class VenueClock:
    """Clock of a venue, measured by its answers; requests are signed with it if the skew is large.

    The clients' clocks are set again after any signed request is rejected for its time (an order, a
    cancel or a read of the account), and if the account's stream does not start. Otherwise a run
    could neither read its account nor cancel an order after the machine's clock was corrected.
    """

    def __init__(
        self, name: str, clock: Clock, rests: Sequence[Rest], limit_ns: int,
        sink: Callable[[Any], None], notices: Notices, tasks: Tasks,
    ) -> None:  # fmt: skip
        self._name, self._clock, self._rests, self._limit_ns = name, clock, rests, limit_ns
        self._sink, self._notices, self._tasks = sink, notices, tasks
        self._setting: Kept | None = None
        self._pause, self._set_s, self._pausing = Backoff(), 0.0, False
        for rest in rests:
            rest.doubt_clock = self.doubt

    async def check(self) -> None:
        """Report the skew of the clocks, and sign with the venue's time if it is too large."""
        skewed = await self.skew()
        if skewed is not None and abs(skewed.skew_ns) > self._limit_ns:
            await self.synchronise()
        elif skewed is not None:
            self._sink(skewed)

    def doubt(self) -> None:
        """Set the clients' clocks again, one attempt at a time, with growing pauses."""
        if self._rests[0].client.has.get("fetchTime") and (
            self._setting is None or self._setting.done
        ):
            self._pausing = time.monotonic() - self._set_s < _JUST_SET_S
            self._setting = self._tasks.keep("clock of the venue", self._set_anew, may_end=True)

    async def wait_until_set(self) -> None:
        """Wait while the clocks are being set, so that the next order is accepted.

        It does not wait for further attempts: a rejected order is reported at once, since an exit
        may depend on it.
        """
        task = self._setting.task if self._setting is not None else None
        if task is not None and not self._pausing:
            await asyncio.wait({task})

    async def _set_anew(self) -> None:
        """Set the clocks, without a pause if the last attempt was long ago."""
        since_set_s = time.monotonic() - self._set_s
        wait_s = self._pause.wait_s(since_set_s)
        if since_set_s < _JUST_SET_S:
            self._pausing = True
            try:
                await asyncio.sleep(wait_s)
            finally:
                self._pausing = False
        await self.synchronise()
        self._set_s = time.monotonic()

    async def synchronise(self) -> None:
        """Set the clients' clocks by the venue's, once; the rejected order is not repeated."""
        await self._set()
        skewed = await self.skew()
        if skewed is not None:
            self._sink(skewed)

    async def _set(self) -> None:
        for rest in self._rests:
            previous_offset = rest.client.options.get("timeDifference")
            await rest.attempt("load_time_difference")
            now = rest.client.options.get("timeDifference")
            if now and not abs(now) * _MS < _NO_CLOCK_NS:
                rest.client.options["timeDifference"] = previous_offset

    def _is_misset(self, skew_ns: int) -> bool:
        """Whether the clients were set by a clock that has been corrected since."""
        set_ns = int(self._rests[0].client.options.get("timeDifference") or 0) * _MS
        return set_ns != 0 and abs(set_ns - skew_ns) > self._limit_ns

    async def skew(self) -> m.Skewed | None:
        """Return how far the local clock is ahead, measured by one request and half its round trip.

        Clients whose clock was set by a local clock that has been corrected since are set again:
        otherwise neither the account nor its stream could be read.
        """
        if not self._rests[0].client.has.get("fetchTime"):
            return None
        before_ns = self._clock.now_ns()
        answer, fault = await self._rests[0].attempt("fetch_time")
        after_ns = self._clock.now_ns()
        if fault or answer is None:
            return None
        try:
            venue_ms = int(read_number(answer, "time", expected="a time"))
            skew_ns = (before_ns + after_ns) // 2 - venue_ms * _MS
            if abs(skew_ns) > _NO_CLOCK_NS:
                raise Unreadable("time", answer, "a time within a day of ours")
        except UNUSUAL as error:
            self._notices.notify("clock", error)
            return None
        if self._is_misset(skew_ns):
            await self._set()
        return m.Skewed(at_ns=after_ns, venue=self._name, skew_ns=skew_ns)
