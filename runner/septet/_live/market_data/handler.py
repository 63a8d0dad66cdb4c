"""Market data of a live run: a feed in, bars, decision times and prices out.

Decisions about bars and times are made in `bars` and `decision_times`, which read no clock.
This module receives messages, requests what was missed, and wakes up where no message comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._core.guards import PROCESS
from septet._host.adapter_values import Notices, bar_fault, fault_of
from septet._host.background_tasks import Kept, Tasks, Timer
from septet._host.venues import (
    BarSeen,
    FeedFacts,
    FeedRequest,
    LiveFeed,
    PrintSeen,
    QuoteSeen,
    StreamDown,
)
from septet._live.clock import LiveClock
from septet._live.market_data.bars import BarAssembler, BarRequest
from septet._live.market_data.decision_times import DecisionTimes
from septet._live.market_data.feed_in_use import FeedInUse
from septet._live.market_data.quotes import PrintThrottle, QuoteThrottle
from septet._live.market_data.series import SeriesPoller
from septet._live.market_data.watchdog import Watchdog, default_silences_ns
from septet._live.shell import Notify
from septet.errors import SeptetError

__all__ = ["MarketDataHandler"]

_PAGE: Final = 1_000
_SHORTEST_S: Final = 0.002
_LONGEST_S: Final = 1.0
_NS: Final = 1_000_000_000

Put = Callable[[m.Event], None]


class MarketDataHandler:
    """Turns messages of a feed into events of one strategy.

    Parameters
    ----------
    feed
        Where market data comes from.
    request
        The subscriptions.
    put
        The inbox of the shell.
    watchdog
        Reports streams that fall silent; None for no such check.

    `quoted`, where it is set, gets every quote as it was received: a paper venue that fills
    against it. `unquoted` gets the symbols whose last quote may not be used until the next one: a
    newer one is doubted, a bar closed beyond it, or its stream is down.
    """

    def __init__(
        self,
        feed: LiveFeed,
        request: FeedRequest,
        bars: BarAssembler,
        decision_times: DecisionTimes,
        *,
        clock: LiveClock,
        put: Put,
        notify: Notify,
        watchdog: Watchdog | None = None,
        max_staleness_ns: int | None = None,
        series: SeriesPoller | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        self._tasks = tasks or Tasks("market")
        self.bars, self.decision_times = bars, decision_times
        self.quoted: Callable[[QuoteSeen], None] | None = None
        self.unquoted: Callable[[str], None] = _ignore
        self._feed, self._request, self._clock = FeedInUse(feed, self.receive), request, clock
        self._put, self._notify = put, notify
        self.put_in_order: Put = put
        """Puts a jump of quotes before later bars and fills, which other quotes come after."""
        self._watchdog, self._max_staleness_ns = watchdog, max_staleness_ns
        self._notices = Notices(clock, put)
        self._prices = "book" if "book" in request.kinds else "quotes"
        self._series = series
        self._quotes, self._prints = QuoteThrottle(request.symbols), PrintThrottle(request.symbols)
        self._redialling: asyncio.Task[None] | None = None
        self._numbers = {symbol: k for k, symbol in enumerate(request.symbols)}
        self._timer: Timer | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._polled: Kept | None = None
        self._stale: set[int] = set()
        self._early: list[Any] | None = []
        self._closed = False
        self._setting = False
        self._catch_up_ns = 0

    # ------------------------------------------------------------ start and end

    async def open(self) -> FeedFacts:
        """Connect; messages before `start` wait for it."""
        facts = await self._feed.open(self._request)
        self._request = replace(self._request, goes_on=True)
        return facts

    async def points(self) -> list[m.Event]:
        """Read the current values of the outside series."""
        if self._series is None:
            return []
        return await self._series.ask(lambda: self.decision_times.standing.time_ns)

    async def history(self, since_ns: int) -> list[m.Event]:
        """Read closed bars of every symbol that is listed from a market time on, as events.

        Raises
        ------
        RunError
            If the feed has none to give just now.
        """
        events: list[m.Event] = []
        downs = [each for each in self._early or () if isinstance(each, StreamDown)]
        unlisted = {each.symbol for each in downs if each.unlisted}
        for symbol in self._request.symbols:
            if symbol not in unlisted:
                events += await self._history_of(symbol, since_ns)
        return events

    async def _history_of(self, symbol: str, since_ns: int) -> list[m.Event]:
        """Read page by page, each from the next expected bar.

        Bars that are missing at the end of a page are requested again with the next page; its later
        bars show whether they exist.
        """
        bar_ns, clock = self._request.bar_ns, self._clock
        events: list[m.Event] = []
        until_ns, begun = since_ns, False
        while until_ns + bar_ns <= clock.market_ns():
            now_ns, market_ns = clock.now_ns(), clock.market_ns()
            until_ns = min(until_ns + _PAGE * bar_ns, market_ns)
            request = self.bars.rules.question(
                symbol, since_ns, until_ns, now_ns, market_ns, clock.speed, clock.uncertainty_ns()
            )
            rows = self._readable(await self._feed.bars(symbol, since_ns, until_ns))
            if rows and not begun:
                self.bars.resume(symbol, rows[0].open_ns - 1)
                begun = True
            since_ns = until_ns
            if (due := self.bars.next_of(symbol)) is not None:
                events += self._answered(replace(request, since_ns=due.open_ns), rows)
                due = self.bars.next_of(symbol)
                assert due is not None
                since_ns = min(until_ns, due.open_ns)
        return events

    def _answered(self, request: BarRequest, rows: Sequence[BarSeen]) -> list[m.Event]:
        """Process a page, repeatedly if a gap in it is too long for one pass of the assembler."""
        replayed: list[m.Event] = []
        newest_ns = max((each.open_ns for each in rows), default=-1)
        while True:
            events = self.bars.answer(request, rows, self._clock.now_ns(), self._clock.market_ns())
            replayed += [
                msgspec.structs.replace(each, source="history")
                if isinstance(each, m.BarClosed)
                else each
                for each in events
            ]
            due = self.bars.next_of(request.symbol)
            assert due is not None
            request = replace(request, since_ns=due.open_ns)
            if not events or due.open_ns > newest_ns:
                return replayed

    def give(self, history: Sequence[m.Event], *, catch_up_ns: int, fresh: bool) -> None:
        """Emit history as events; decisions wait for `start`."""
        for each in history:
            self._take(each)
        self._catch_up_ns = catch_up_ns
        self.decision_times.begin(catch_up_ns=catch_up_ns, fresh=fresh)
        if fresh:
            for decision_time in self.decision_times.advance():
                self._put(decision_time)

    def start(self) -> None:
        """Start the watchdog, process the messages received meanwhile, and continue."""
        if self._watchdog is not None:
            silences = default_silences_ns(
                self._request.bar_ns, self._clock.speed, self._max_staleness_ns
            )
            for name in sorted(self._request.kinds):
                grids = self.decision_times.standing.grids
                for changed in self._watchdog.watch(name, grids, silences[name]):
                    self._put(changed)
        self.decision_times.hold(self._catch_up_ns)  # missed bars are requested first
        early, self._early = self._early or [], None
        for message in early:
            self.receive(message)
        if self._series is not None:
            ask = partial(self._series.run, self._put, lambda: self.decision_times.standing.time_ns)
            self._polled = self._tasks.keep("outside series", ask, may_end=True)
        self._ring()

    async def close(self) -> None:
        """Close the connection."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._polled is not None:
            await self._polled.closed()
        for task in list(self._asking):
            self._tasks.cancel(task)
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._feed.close()

    # ------------------------------------------------------------ messages

    def receive(self, message: Any) -> None:
        """Process one message of the feed; the path from bar to order begins here."""
        if self._early is not None:
            self._early.append(message)
            return
        if self._closed:
            return
        if isinstance(message, BarSeen):
            self._bar(message)
        elif isinstance(message, QuoteSeen):
            self._quote(message)
        elif isinstance(message, PrintSeen):
            self._print(message)
        elif isinstance(message, StreamDown):
            self._down(message)
        elif isinstance(message, m.Unreadable):
            self._put(message)
        else:
            self._notices.notify("quote", f"{type(message).__name__}: no message of a feed")

    def _bar(self, seen: BarSeen) -> None:
        """Process a bar and reach its decision time; timers and other times follow later."""
        now_ns, market_ns = self._clock.now_ns(), self._clock.market_ns()
        if fault := bar_fault(seen, market_ns, self._request.bar_ns):
            self._unreadable("bar", fault, seen.symbol)
            return
        for each in self.bars.take(seen, now_ns, market_ns):
            self._take(each)
        if seen.open_ns <= market_ns < seen.open_ns + 2 * self._request.bar_ns:
            self._received("bars", seen.symbol, now_ns, market_ns)  # an old bar is no evidence
        for decision_time in self.decision_times.step(now_ns):
            self._put(decision_time)
        if not self._setting:
            self._setting = True
            self._tasks.soon("decision times", self._after)

    def _take(self, event: m.Event) -> None:
        if isinstance(event, m.BarClosed):
            self._compare(event)
        self._put(event)
        self.decision_times.take(event)

    def _quote(self, seen: QuoteSeen) -> None:
        now_ns, market_ns = self._clock.now_ns(), self._clock.market_ns()
        if fault := fault_of(seen, now_ns):
            self._unreadable("quote", fault, seen.symbol)
            return
        quote = self._quotes.take(seen, now_ns, market_ns)
        if quote is not None:
            self._put_quote(quote)
        if not self._quotes.took(seen.symbol, now_ns):
            return  # a dropped message does not show that the stream is alive
        self._received(self._prices, seen.symbol, now_ns, market_ns)
        if self._quotes.is_doubted(seen.symbol):
            self.unquoted(seen.symbol)
        elif self.quoted is not None:
            self.quoted(seen)

    def _compare(self, bar: m.BarClosed) -> None:
        """Compare a bar with the quotes: it may end a doubt, or lie beyond the last of them."""
        if bar.volume == 0.0 or not self._quotes.has_any(bar.symbol):
            return
        now_ns, market_ns = self._clock.now_ns(), self._clock.market_ns()
        ended_ns = self._clock.wall_of_market(bar.known_ns)
        quote = self._quotes.agree(bar.symbol, bar.close, ended_ns, now_ns, market_ns)
        if quote is not None:
            self._put_quote(quote)
            self._pass_confirmed()
        elif self._quotes.is_passed(bar.symbol, bar.close, ended_ns):
            self.unquoted(self._request.symbols[bar.symbol])

    def _put_quote(self, quote: m.Quoted) -> None:
        put = self.put_in_order if self._quotes.is_jump(quote.symbol) else self._put
        put(quote)

    def _pass_confirmed(self) -> None:
        for seen in self._quotes.confirmed():
            if self.quoted is not None:
                self.quoted(seen)

    def _print(self, seen: PrintSeen) -> None:
        now_ns, market_ns = self._clock.now_ns(), self._clock.market_ns()
        if fault := fault_of(seen, now_ns):
            self._unreadable("trade", fault, seen.symbol)
            return
        trade = self._prints.take(seen, now_ns, market_ns)
        if trade is not None:
            self._put(trade)
        if self._prints.took(seen.symbol, now_ns):
            self._received("trades", seen.symbol, now_ns, market_ns)

    def _unreadable(self, about: m.About, fault: str, symbol: str) -> None:
        """Report an impossible value; it does not count as data of its stream."""
        self._notices.notify(about, f"{symbol}: {fault}", symbol=self._numbers.get(symbol, -1))

    def _readable(self, rows: Sequence[BarSeen]) -> list[BarSeen]:
        """Return the bars of an answer whose values are possible."""
        readable, market_ns = list[BarSeen](), self._clock.market_ns()
        for each in rows:
            if fault := bar_fault(each, market_ns, self._request.bar_ns):
                self._unreadable("bar", fault, each.symbol)
            else:
                readable.append(each)
        return readable

    # ------------------------------------------------------------ silence

    def _received(self, stream: str, symbol: str, now_ns: int, market_ns: int) -> None:
        number = self._numbers.get(symbol)
        if number is None:
            return
        self.decision_times.absent.discard(number)
        if self._stale and number in self._stale and stream == "bars":
            self._stale.discard(number)
            self._changed(PROCESS, number, "live", "fresh data arrived")
        if self._watchdog is not None:
            for changed in self._watchdog.received(stream, number, now_ns, market_ns):
                self._put(changed)

    def _down(self, message: StreamDown) -> None:
        number = self._numbers.get(message.symbol, -1)
        if message.stream in ("", "bars"):
            self.bars.lost(message.symbol)
        if message.stream in ("", self._prices):
            self._unquote(number)
        if message.unlisted and number >= 0 and number not in self.decision_times.absent:
            self.decision_times.absent.add(number)
            text = f"{message.reason}: it is left out, and the other symbols are traded on"
            self._notify("error", "unlisted", {"text": text, "symbol": message.symbol})
        if self._watchdog is None:
            self._changed(message.stream, number, "down", message.reason)
            return
        for changed in self._watchdog.down(
            message.stream, number, message.reason, self._clock.now_ns(), unlisted=message.unlisted
        ):
            self._put(changed)

    def _unquote(self, number: int) -> None:
        """Let the last quote of a symbol fill nothing more; -1 stands for all symbols."""
        for symbol, k in self._numbers.items():
            if number in (k, -1):
                self.unquoted(symbol)

    def stood_still(self, reason: str, catch_up_ns: int) -> None:
        """Block entries until fresh data arrives, after the process or machine was suspended."""
        self.bars.lost()
        self._unquote(-1)
        for number in self._numbers.values():
            if number not in self._stale:
                self._stale.add(number)
                self._changed(PROCESS, number, "stale", reason)
        if self._early is None:
            self.decision_times.hold(catch_up_ns)
            self._ring()

    def _changed(self, stream: str, symbol: int, state: Any, reason: str) -> None:
        at_ns = self._clock.now_ns()
        event = m.FeedChanged(at_ns=at_ns, stream=stream, symbol=symbol, state=state, reason=reason)
        self._put(event)

    # ------------------------------------------------------------ time

    def _after(self) -> None:
        """Run the work that a bar deferred until its order is in flight."""
        self._setting = False
        if not self._closed:
            self._advance()

    def _advance(self) -> None:
        """Reach the decision times that have come, and set the timer for the next."""
        for each in self.decision_times.advance():
            self._put(each)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._tasks.later("market timer", self._wait_s(), self._ring)

    def _wait_s(self) -> float:
        times = [
            self.bars.next_wall_ns(self._clock.wall_of_market),
            self.decision_times.next_wall_ns(),
            self._quotes.next_wall_ns(),
        ]
        due = min((each for each in times if each is not None), default=None)
        if due is None:
            return _LONGEST_S
        # At most a second: the wall clock may jump while the loop's own does not.
        return min(_LONGEST_S, max(_SHORTEST_S, (due - self._clock.now_ns()) / _NS))

    def _ring(self) -> None:
        if self._closed or self._early is not None:
            return
        now_ns, market_ns = self._clock.now_ns(), self._clock.market_ns()
        for each in self.bars.poll(now_ns, market_ns):
            self._take(each)
        for quote in self._quotes.due(now_ns, market_ns):
            self._put_quote(quote)
        self._pass_confirmed()
        uncertainty_ns = self._clock.uncertainty_ns()
        for request in self.bars.wanted(now_ns, market_ns, self._clock.speed, uncertainty_ns):
            if self._numbers[request.symbol] in self.decision_times.absent:
                self._answer(request, None)  # there is nothing to ask
                continue
            unanswered = partial(self._unanswered, request)
            self._ask_aside(f"bars of {request.symbol}", self._ask(request), unanswered)
        if self._watchdog is not None:
            for changed in self._watchdog.check(now_ns):
                self._put(changed)
                if changed.stream == self._prices and changed.state != "live":
                    self._unquote(changed.symbol)
            self._dial()
        findings = self.bars.findings() + (self._series.findings() if self._series else ())
        for finding in findings:
            fields = {"text": finding.message, "symbol": finding.symbol, "defect": finding.kind}
            self._notify("warning", "data", fields)
        self._advance()

    def _dial(self) -> None:
        """Reconnect the feed if it is silent and does not recover."""
        assert self._watchdog is not None
        if self._redialling is not None and not self._redialling.done():
            return
        redial = self._watchdog.redial()
        if redial is not None:
            text = f"{redial.reason}: the feed is opened anew, try {redial.number}"
            self._notify("warning", "redial", {"text": text})
            self._redialling = self._ask_aside("redial", self._open_anew(), self._not_opened)

    def _ask_aside(self, name: str, call: Any, failed: Callable[[str], None]) -> asyncio.Task[None]:
        task = self._tasks.once(name, call, failed=failed)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    async def _open_anew(self) -> None:
        assert self._watchdog is not None
        is_any_live = self._watchdog.is_any_live
        try:
            await self._feed.renew(self._request, is_any_live=is_any_live, lost=self.bars.lost)
        except (SeptetError, OSError) as error:
            self._not_opened(str(error))

    def is_watched(self, symbol: str) -> bool:
        """Whether data of a symbol comes, or its market is closed."""
        return self._watchdog is None or self._watchdog.is_watched(self._numbers[symbol])

    def _not_opened(self, text: str) -> None:
        """Report a failed connection; the watchdog requests another attempt."""
        self._notify("warning", "redial", {"text": f"the feed could not be opened: {text}"})

    async def _ask(self, request: BarRequest) -> None:
        rows: Sequence[BarSeen] | None
        try:
            rows = self._readable(
                await self._feed.bars(request.symbol, request.since_ns, request.until_ns)
            )
        except SeptetError as error:
            rows = None
            self._notify("warning", "backfill", {"text": error.message, "symbol": request.symbol})
        self._answer(request, rows)

    def _unanswered(self, request: BarRequest, text: str) -> None:
        """Treat a failed request as one without an answer, so that it is sent again later."""
        self._answer(request, None)

    def _answer(self, request: BarRequest, rows: Sequence[BarSeen] | None) -> None:
        if self._closed:
            return
        now_ns, market_ns = self._clock.now_ns(), self._clock.market_ns()
        for each in self.bars.answer(request, rows, now_ns, market_ns):
            self._take(each)
        self._advance()


def _ignore(symbol: str) -> None:
    """Ignore that the quotes of a symbol may not be used."""
