"""The account's orders and fills: streamed without loss, or polled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import septet.messages as m
from septet.plugin.live import Backoff, Kept, Notices, Tasks, race
from septet_plugins.exchange.clients import Scrub
from septet_plugins.exchange.message_tap import Tap, tapped
from septet_plugins.exchange.requests import Gate
from septet_plugins.exchange.unusual_messages import UNUSUAL
from septet_plugins.execution.ccxt_direct import Direct
from septet_plugins.execution.ccxt_link import Link
from septet_plugins.execution.ccxt_orders import Translator
from septet_plugins.execution.ccxt_states import contradicts_itself

__all__ = ["UserPolls", "UserStream", "streams_orders"]

_KEPT: Final = 1_000
_ENDS: Final = frozenset({"eventStreamTerminated", "listenKeyExpired"})
_LOGINS: Final = ("auth", "login")
"""Answers that authenticate the session and do not subscribe to anything yet."""
CatchUp = Callable[[], Awaitable[str]]
"""Reads and forwards open orders and fills again; returns what failed, or an empty text."""


def streams_orders(client: Any) -> bool:
    """Whether orders and their executions are streamed."""
    return client.has.get("watchOrders") is True


class UserStream:
    """Connection to the account's stream, reopened after every loss.

    The stream is up once a first message was received and earlier events have been read by REST. An
    open connection without messages may be dead or idle: until its first message the account is
    polled, which the state of the link reports. The stream is down from the moment the socket
    closes, a message is unreadable, the venue ends the stream, a `watch` raises, or an accepted
    order is not reported. Reconnects are spaced by a back-off that is reset only after a stable
    period.
    """

    def __init__(
        self,
        client: Any,
        translator: Translator,
        link: Link,
        scrub: Scrub,
        *,
        deliver: Callable[[m.Event], None],
        catch_up: CatchUp,
        stream_within_s: float,
        poll_s: float = 5.0,
        notices: Notices,
        gate: Gate | None = None,
        hosts: frozenset[str] | None = None,
        direct: Direct | None = None,
        tasks: Tasks | None = None,
        doubt_clock: Callable[[], None] | None = None,
    ) -> None:
        from ccxt.async_support.base.ws.cache import ArrayCacheBySymbolById

        self._client, self._translator, self._link = client, translator, link
        self._scrub, self._deliver, self._catch_up = scrub, deliver, catch_up
        self._stream_within_s, self._direct = stream_within_s, direct
        self._poll_s = poll_s
        self._tasks, self._notices = tasks or Tasks("account"), notices
        self._tap = Tap(
            client, raw=self._raw, resolved=_nothing, lost=self._ended, hosts=hosts,
            skip=self._skip, tasks=self._tasks,
            gate=gate,
        )  # fmt: skip
        self._caches = {
            "orders": tapped(ArrayCacheBySymbolById, _KEPT, self._order),
            "myTrades": tapped(ArrayCacheBySymbolById, _KEPT, self._fill),
        }
        self._takes: dict[str, Callable[[Any], None]] = {
            "orders": self._order, "myTrades": self._fill,
        }  # fmt: skip
        self._lost: asyncio.Future[str] | None = None
        self._first_message = asyncio.Event()
        self._kept: Kept | None = None
        self._received_s, self._queries = 0.0, False
        self._doubt_clock = doubt_clock
        self.dials = 0

    def start(self) -> None:
        """Start connecting."""
        for name, cache in self._caches.items():
            setattr(self._client, name, cache)
        self._kept = self._tasks.keep(
            "user stream", self._run, works_after_s=None, down=self._link.down
        )

    async def stop(self) -> None:
        """Close the connection and do not reconnect."""
        if self._kept is not None:
            await self._kept.closed()
        self._tap.drop_all("closed here")
        await self._tap.closed()

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            self.dials += 1
            began = time.monotonic()
            up_s, reason = await self._session()
            self._link.down(reason)
            if not up_s and self._doubt_clock is not None:
                self._doubt_clock()  # clients may raise any error for a login rejected for its time
            lived_s = time.monotonic() - began if up_s else 0.0
            await asyncio.sleep(backoff.wait_s(lived_s))

    async def _session(self) -> tuple[bool, str]:
        """Connect, catch up, receive until the end; return whether it was up, and why it ended."""
        loop = asyncio.get_running_loop()
        self._lost = lost = loop.create_future()
        self._first_message.clear()
        streams = [("watch_orders", "orders")]
        if self._client.has.get("watchMyTrades") is True:
            streams.append(("watch_my_trades", "myTrades"))
        watchers = [
            self._tasks.once(f"user stream: {name}", self._watch(method, name), failed=self._end)
            for method, name in streams
        ]
        try:
            await self._await_first_message(lost)
            if not lost.done():
                fault = await self._caught_up(lost)
                if fault and not lost.done():
                    lost.set_result(f"the account could not be read: {fault}")
            if not lost.done():
                await self._poll_while_mute(lost)
            if lost.done():
                return False, lost.result()
            self._link.up()
            if self._kept is not None:
                self._kept.works()
            self._received_s = time.monotonic()
            return True, await lost
        finally:
            for each in watchers:
                self._tasks.cancel(each)
            await asyncio.gather(*watchers, return_exceptions=True)
            self._tap.drop_all("dialling again")
            await self._tap.closed()

    async def _await_first_message(self, lost: asyncio.Future[str]) -> None:
        """Wait until the subscription is confirmed, or the stream is lost."""
        await race(self._first_message.wait(), asyncio.wait({lost}), within_s=self._stream_within_s)
        connected = any(not ws.closed() for ws in (self._client.clients or {}).values())
        if not self._first_message.is_set() and not lost.done() and not connected:
            lost.set_result(f"no connection within {self._stream_within_s:g} s")

    async def _poll_while_mute(self, lost: asyncio.Future[str]) -> None:
        """Poll the account repeatedly until the stream sends a message, or is lost."""
        while not self._first_message.is_set() and not lost.done():
            self._link.up(
                f"the account's stream has said nothing since it was dialled: the account is read "
                f"every {self._poll_s:g} s"
            )
            await race(self._first_message.wait(), asyncio.wait({lost}), within_s=self._poll_s)
            fault = "" if lost.done() else await self._caught_up(lost)
            if fault and not lost.done():
                lost.set_result(f"the account could not be read: {fault}")

    async def _caught_up(self, lost: asyncio.Future[str]) -> str:
        first, fault = await race(self._catch_up(), asyncio.wait({lost}))
        return str(fault) if first == 0 else ""

    async def _watch(self, method: str, cache: str) -> None:
        """Keep a subscription open; items arrive by the tap, or here if the tap is bypassed."""
        while True:
            try:
                items = await getattr(self._client, method)()
            except Exception as error:  # for any error, the stream no longer delivers
                self._end(self._scrub(error))
                return
            if getattr(self._client, cache) is not self._caches[cache]:
                for each in items:
                    self._takes[cache](each)

    def _raw(self, ws: Any, message: Any) -> bool:
        if not isinstance(message, dict):
            self._first_message.set()
            return False
        inner = message.get("event")
        if message.get("op") not in _LOGINS and inner not in _LOGINS:
            self._first_message.set()
        event = inner if isinstance(inner, dict) else message
        if event.get("e") in _ENDS:
            self._end(f"the venue ended the stream of the account ({event['e']})")
        return self._direct is not None and self._read(self._direct, event)

    def _read(self, direct: Direct, event: dict[str, Any]) -> bool:
        """Parse a message without ccxt's parsers; False leaves it to them."""
        report = direct.report(event)
        if report is None:
            return False
        if report.fill is not None and not _is_odd(report.order):
            self._fill(report.fill)
        if report.order is not None:
            self._order(report.order)
        return True

    def _ended(self, ws: Any, reason: str) -> None:
        self._end(self._scrub(reason))

    def _end(self, reason: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    def accepted(self, sent_s: float) -> None:
        """Expect a report of an order that was sent at this time (monotonic clock).

        A stream can be dead while pongs are received, and an idle account sends nothing: such a
        stream is detected by an accepted order that it does not report.
        """
        if not self._queries and self._lost is not None and not self._lost.done():
            self._queries = True
            look = partial(self._look, self._lost, sent_s)
            self._tasks.later("silence of the user stream", self._stream_within_s, look)

    def _look(self, lost: asyncio.Future[str], sent_s: float) -> None:
        self._queries = False
        if self._received_s < sent_s and not lost.done():
            lost.set_result(
                f"the account's stream is silent: {self._stream_within_s:g} s after an order was "
                "sent it has reported nothing of it"
            )

    def _order(self, item: Any) -> None:
        self._take("order", self._translator.order, item)

    def _fill(self, item: Any) -> None:
        self._take("fill", self._translator.fill, item)

    def _take(self, about: m.About, read: Callable[[Any], m.Event | None], item: Any) -> None:
        """Forward items; unreadable ones are reported, and the core queries their orders."""
        self._received_s = time.monotonic()
        try:
            event = read(item)
        except UNUSUAL as error:
            self._notices.notify(about, error, symbol=self._translator.number_of(item))
            return
        if event is not None:
            self._deliver(event)

    def _skip(self, error: Exception) -> bool:
        """Report an unreadable message; True skips it, and the stream continues."""
        self._notices.notify("fill", error)
        return True


class UserPolls:
    """Polling for exchanges without order streams: the account is read every few seconds."""

    def __init__(
        self, link: Link, catch_up: CatchUp, every_s: float, tasks: Tasks | None = None
    ) -> None:
        self._link, self._catch_up, self._every_s = link, catch_up, every_s
        self._tasks = tasks or Tasks("account")
        self._kept: Kept | None = None

    def start(self) -> None:
        """Start polling."""
        self._kept = self._tasks.keep(
            "polls of the account", self._run, works_after_s=None, down=self._link.down
        )

    async def stop(self) -> None:
        """Stop polling."""
        if self._kept is not None:
            await self._kept.closed()

    def accepted(self, sent_s: float) -> None:
        """Do nothing: polling detects failures by itself."""

    async def _run(self) -> None:
        backoff = Backoff(self._every_s)
        while True:
            fault = await self._catch_up()
            if fault:
                self._link.down(fault)
                await asyncio.sleep(backoff.wait_s())
            else:
                self._link.up()
                if self._kept is not None:
                    self._kept.works()
                backoff = Backoff(self._every_s)
                await asyncio.sleep(self._every_s)


def _is_odd(order: Any) -> bool:
    """Whether a report of an order is impossible, so that its execution is queried."""
    try:
        return order is not None and contradicts_itself(order)
    except UNUSUAL:
        return False  # part of the order, which is parsed separately


def _nothing(ws: Any, result: Any, message_hash: str) -> None:
    return None
