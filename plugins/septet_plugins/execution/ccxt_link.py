"""The state of the connection to a venue, reported once per change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

import septet.messages as m
from septet.plugin.live import Backoff, Clock, Kept, Notices, Tasks, Timer
from septet_plugins.exchange.clients import Scrub
from septet_plugins.exchange.requests import Barred, Gate, Wire, call, hook_client
from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = ["Link", "Rest"]

State = Literal["up", "down", "limited", "banned", "maintenance"]
Sink = Callable[[Any], None]

_ASKED_FIRST: Final = ("is_unified_enabled", "load_unified_status", "is_uta_enabled")
"""Requests that clients send once for an account: at Bybit, Gate and KuCoin."""
_ABOUT: Final[Mapping[str, m.About]] = {
    "fetch_balance": "balance", "fetch_my_trades": "fill", "fetch_time": "clock",
    "load_time_difference": "clock", "load_markets": "filters", "fetch_ticker": "quote",
}  # fmt: skip
"""Requests of the client's methods; the other methods request orders."""
_BANNED: Final = (
    "the venue refuses this address; this process asks nothing until it is over: stop whatever "
    "else asks from here, other septet processes too"
)
_UNAVAILABLE: Final = 503
_SHUT_AFTER: Final = 3
"""Consecutive answers of 503 that mean maintenance; a single one may concern one request only."""
_END_S: Final = 2.0
"""Longest wait for a cancelled request to end."""
_BREAKS_AFTER: Final = 5
"""Consecutive requests without an answer, or with a server error, that open the breaker."""


class Link:
    """Reports the state of the venue to the shell.

    The lowest state is whether account data is received (up or down). A ban, a pause that the venue
    demanded, maintenance, and an open circuit breaker have priority over it, in this order; the
    first of them that holds is reported.
    """

    def __init__(
        self, venue: str, clock: Clock, gate: Gate, sink: Sink, tasks: Tasks | None = None
    ) -> None:
        self._tasks = tasks or Tasks(venue)
        self._venue, self._clock, self._gate, self._sink = venue, clock, gate, sink
        self._below: State = "down"
        self._reason = "not yet connected"
        self._maintenance = ""
        self._broken = ""
        self._reported: tuple[str, int, str] | None = None
        self._timer: Timer | None = None
        self._closed = False

    @property
    def in_maintenance(self) -> bool:
        """Whether the venue reported that it is not trading."""
        return bool(self._maintenance)

    def up(self, reason: str = "") -> None:
        """Record that account data is received, without a gap before it.

        A reason states why it is received in another way than usual.
        """
        self._below, self._reason, self._broken = "up", reason, ""
        self.report()

    def down(self, reason: str) -> None:
        """Record that account data is not received."""
        self._below, self._reason = "down", reason
        self.report()

    def maintenance(self, reason: str) -> None:
        """Record maintenance of the venue; an empty reason ends the maintenance."""
        if bool(reason) != bool(self._maintenance):
            self._maintenance = reason
            self.report()

    def broken(self, reason: str) -> None:
        """Record that requests fail repeatedly; an empty reason or `up` ends this state."""
        self._broken = reason
        self.report()

    def report(self) -> None:
        """Report the state if it differs from the last report."""
        if self._closed:
            return
        state, until, reason = self._state()
        reported = (state, until, reason if state == "up" else "")
        if reported != self._reported:
            self._reported = reported
            self._sink(
                m.VenueChanged(
                    at_ns=self._clock.now_ns(), venue=self._venue, state=state, until_ns=until,
                    reason=reason,
                )
            )  # fmt: skip
        if until:
            self._look_again(until)

    def _state(self) -> tuple[State, int, str]:
        now = self._clock.now_ns()
        if self._gate.banned_ns > now:
            return "banned", self._gate.banned_ns, _BANNED
        if self._gate.limited_ns > now:
            return "limited", self._gate.limited_ns, "the venue asked for a pause"
        if self._maintenance:
            return "maintenance", 0, self._maintenance
        if self._broken:
            return "down", 0, self._broken
        return self._below, 0, self._reason

    def _look_again(self, until_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = max(0.0, (until_ns - self._clock.now_ns()) / 1e9) + 0.001
        self._timer = self._tasks.later("state of the venue", wait_s, self.report)

    def close(self) -> None:
        """Stop reporting."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()


class Rest:
    """Requests of one client: each is checked by the gate, and the link records each outcome.

    A circuit breaker opens after consecutive failures: the link reports that the venue is down,
    which blocks entries and nothing else. After a pause, longer each time, one request is sent; an
    answer closes the breaker.
    """

    def __init__(
        self, client: Any, gate: Gate, scrub: Scrub, hosts: frozenset[str] | None = None,
        tasks: Tasks | None = None,
    ) -> None:  # fmt: skip
        self._tasks = tasks or Tasks("requests")
        self.client = client
        self.link: Link | None = None
        self.notices: Notices | None = None
        self.doubt_clock: Callable[[], None] = _nothing
        self.doubt_symbols: Callable[[], None] = _nothing
        self._scrub, self._gate = scrub, gate
        self._recovering: Kept | None = None
        self._mending: Kept | None = None
        self._pause, self._mended_s = Backoff(first_s=1.0), 0.0
        self._unavailable = self._failures = 0
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        hook_client(client, gate, self._on_answer, hosts)

    def _on_answer(self, status: int, state: str) -> None:
        if self.link is None:
            return
        if state:
            self.link.report()
        elif status == _UNAVAILABLE:
            self._unavailable += 1
            if self._unavailable >= _SHUT_AFTER:
                self._shut("the venue answers 503 to everything")
        elif status == 200:
            self._unavailable = 0
            self.link.maintenance("")

    def _shut(self, reason: str) -> None:
        assert self.link is not None
        self.link.maintenance(reason)
        if self._recovering is None or self._recovering.done:
            self._recovering = self._tasks.keep("end of maintenance", self._recover, may_end=True)

    async def _recover(self) -> None:
        """Request the venue's time, with growing pauses, until the venue answers."""
        backoff = Backoff(first_s=1.0)
        while self.link is not None and self.link.in_maintenance:
            await asyncio.sleep(backoff.wait_s())
            await self.attempt("fetch_time")

    async def ask(
        self, method: str, *args: Any, urgent: bool = False, deadline_ns: int = 0,
        trigger: str = "", client_id: str = "", wire: list[Wire] | None = None, **keys: Any,
    ) -> Any:  # fmt: skip
        """Call a method of the client; errors are the client's own. `wire` receives the trace.

        A request that does not contain the given `trigger` or `client_id` is not sent. `close`
        cancels requests in flight: an error of a client that is closed while in use is not an
        answer.
        """
        import ccxt

        with call(
            urgent=urgent, deadline_ns=deadline_ns, trigger=trigger, client_id=client_id
        ) as trace:
            if wire is not None:
                wire.append(trace)
            try:
                answer = await self._until_closed(method, *args, **keys)
            except Barred:
                raise
            except ccxt.OnMaintenance as error:
                if self.link is not None:
                    self._shut(self._scrub(error))
                raise
            except Exception as error:
                if isinstance(error, ccxt.RateLimitExceeded) and trace.status == 200:
                    self._gate.pause_briefly(trace.url)
                    self._on_answer(trace.status, "limited")
                if isinstance(error, ccxt.InvalidNonce):
                    self.doubt_clock()
                if isinstance(error, ccxt.BadSymbol):
                    self.doubt_symbols()
                if isinstance(error, UNUSUAL) and self.notices is not None and trace.status:
                    self.notices.notify(_ABOUT.get(method, "order"), error)
                self._failed(trace, error)
                raise
            self._failures = 0
            return answer

    async def _until_closed(self, method: str, *args: Any, **keys: Any) -> Any:
        """Call a method in a separate task, which `close` cancels."""
        if self._is_closed:
            raise Barred("closed", "the client is closed: nothing is sent")
        calling = self._tasks.once("request", getattr(self.client, method)(*args, **keys))
        self._in_flight.add(calling)
        calling.add_done_callback(self._in_flight.discard)
        try:
            return await calling
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if calling.cancelled() and not (own and own.cancelling()):
                why = "the client was closed" if self._is_closed else "the request was ended"
                raise Barred("closed", f"{why} before the answer") from None
            raise

    def _failed(self, trace: Wire, error: Exception) -> None:
        """Count requests without an answer; unsent requests and rejections do not count."""
        if not trace.sent or trace.status == _UNAVAILABLE:
            return
        self._failures = 0 if 0 < trace.status < 500 else self._failures + 1
        waits = self._mending is not None and not self._mending.done
        if self._failures >= _BREAKS_AFTER and self.link is not None and not waits:
            text = f"{self._failures} requests in a row failed, the last: {self._scrub(error)}"
            self.link.broken(text)
            mend = partial(self._mend, self.link)
            self._mending = self._tasks.keep("breaker", mend, may_end=True)

    async def _mend(self, link: Link) -> None:
        """Request the venue's time, with growing pauses, until it answers; then close the breaker.

        If the exchange has no request for its time, the next request is the trial.
        """
        held_s, gives_time = time.monotonic() - self._mended_s, self.client.has.get("fetchTime")
        await asyncio.sleep(self._pause.wait_s(held_s))
        while gives_time and (await self.attempt("fetch_time"))[1]:
            await asyncio.sleep(self._pause.wait_s())
        self._failures, self._mended_s = 0, time.monotonic()
        link.broken("")

    async def attempt(self, method: str, *args: Any, **keys: Any) -> tuple[Any, str]:
        """Call a method; return its answer and ``""``, or None and the error."""
        try:
            return await self.ask(method, *args, **keys), ""
        except Exception as error:  # returned as a text: a read never stops a run
            return None, self._scrub(error)

    async def learn_account(self) -> None:
        """Read the type of account if the client would otherwise read it before its first order.

        If the request fails now, the client repeats it then.
        """
        for method in _ASKED_FIRST:
            if hasattr(self.client, method):
                await self.attempt(method)

    async def close(self) -> None:
        """Cancel the requests in flight, then close the client and its connections."""
        for task in (self._recovering, self._mending):
            if task is not None:
                task.close()
        self._is_closed = True
        for calling in self._in_flight:
            self._tasks.cancel(calling)
        if self._in_flight:
            await asyncio.wait(set(self._in_flight), timeout=_END_S)
        await self.client.close()


def _nothing() -> None:
    return None
