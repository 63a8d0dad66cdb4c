"""Throttles quotes and trades before the journal; the queues are bounded."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from septet import messages as m
from septet._core.newest_quote import BEYOND
from septet._host.venues import PrintSeen, QuoteSeen

__all__ = ["PrintThrottle", "QuoteThrottle"]

T = TypeVar("T")
_REMEMBERED: Final = 4_096
_NEVER: Final = -(2**62)


@dataclass
class _Quote:
    """The last quote of a symbol that was passed on, the one that waits, and the doubted one.

    `doubted_ns` is since when the doubted one stands, `far_ns` since when all quotes are too far on
    its side. `usable` is the last that was not doubted, and `usable_ns` when it arrived.
    """

    given: m.Quoted | None = None
    jumped: bool = False
    given_ns: int = _NEVER
    waiting: QuoteSeen | None = None
    doubted: QuoteSeen | None = None
    doubted_ns: int = _NEVER
    far_ns: int = _NEVER
    usable: QuoteSeen | None = None
    usable_ns: int = _NEVER
    venue_ns: int = 0
    taken_ns: int = _NEVER


class QuoteThrottle:
    """At most one quote of a symbol in `every_ns` of wall time; a move passes at once.

    A move is a change of bid or ask by more than `pass_bps`. What is crossed, not finite or not
    above zero is no quote; one that is older than the last (by the venue's time) is dropped.
    A stamp ahead of the local clock counts as now, so that it cannot make later quotes look old.
    A price that is more than `absurd` away from the last one must stand for `confirm_ns`, or a bar
    must close near it: it would set a peak of equity, or trip a halt, and may be one bad message.
    Of quotes that go on moving so far to one side, one is accepted after `confirm_ns` as well.
    """

    def __init__(
        self, symbols: Sequence[str], *, every_ns: int = 250_000_000, pass_bps: float = 5.0,
        absurd: float = 0.1, confirm_ns: int = 1_000_000_000,
    ) -> None:  # fmt: skip
        """Throttle quotes of `symbols`, in universe order."""
        self._every_ns, self._share = every_ns, pass_bps / 10_000.0
        self._absurd, self._confirm_ns = absurd, confirm_ns
        self._number = {symbol: k for k, symbol in enumerate(symbols)}
        self._lines = [_Quote() for _ in symbols]
        self._confirmed: list[QuoteSeen] = []
        self.counts: Counter[str] = Counter()

    def take(self, seen: QuoteSeen, now_ns: int, market_ns: int = 0) -> m.Quoted | None:
        """Take a quote; return it if it is due or a move.

        `market_ns` is the same moment in market time: venues stamp prices in wall time.
        """
        k = self._number.get(seen.symbol)
        if k is None or not _is_quote(seen):
            self.counts["unknown" if k is None else "bad"] += 1
            return None
        line = self._lines[k]
        venue_ns = min(seen.venue_ns, now_ns)
        if venue_ns < line.venue_ns:
            self.counts["unordered"] += 1
            return None
        line.venue_ns, line.taken_ns = venue_ns, now_ns
        accepted = self._accepted(line, seen, now_ns)
        if line.doubted is not None:
            self.counts["doubted"] += 1
            if accepted is None:
                return None
            return self._give(k, line, accepted, now_ns, market_ns)
        line.usable, line.usable_ns = seen, now_ns
        if now_ns - line.given_ns >= self._every_ns or self._moved(line.given, seen):
            return self._give(k, line, seen, now_ns, market_ns)
        if line.waiting is not None:
            self.counts["thinned"] += 1
        line.waiting = seen
        return None

    def took(self, symbol: str, now_ns: int) -> bool:
        """Whether a quote of a symbol arrived at this time, passed on, throttled or held back."""
        k = self._number.get(symbol)
        return k is not None and self._lines[k].taken_ns == now_ns

    def has_any(self, k: int) -> bool:
        """Whether a quote of a symbol has come."""
        return self._lines[k].usable is not None

    def is_jump(self, k: int) -> bool:
        """Whether the quote of a symbol that was passed on last is far from the one before."""
        return self._lines[k].jumped

    def is_doubted(self, symbol: str) -> bool:
        """Whether the last quote of a symbol is too far from the one before, and not confirmed."""
        k = self._number.get(symbol)
        return k is not None and self._lines[k].doubted is not None

    def confirmed(self) -> list[QuoteSeen]:
        """Return the doubted quotes that were confirmed since this was last called."""
        confirmed, self._confirmed = self._confirmed, []
        return confirmed

    def due(self, now_ns: int, market_ns: int = 0) -> list[m.Quoted]:
        """Return the quotes whose interval is over, the newest of each symbol."""
        quotes = []
        for k, line in enumerate(self._lines):
            if line.doubted is not None and now_ns - line.doubted_ns >= self._confirm_ns:
                quotes.append(self._confirm(k, line, line.doubted, now_ns, market_ns))
            elif line.waiting is not None and self._is_due(line, now_ns):
                quotes.append(self._give(k, line, line.waiting, now_ns, market_ns))
        return quotes

    def agree(
        self, k: int, close: float, ended_ns: int, now_ns: int, market_ns: int = 0
    ) -> m.Quoted | None:  # fmt: skip
        """Return the doubted quote of a symbol if a bar with trades closed near it.

        The bar must not have ended (wall time) long before the doubt began.
        """
        line = self._lines[k]
        doubted, given = line.doubted, line.given
        if doubted is None or given is None or ended_ns < line.far_ns - self._confirm_ns:
            return None
        distance = abs(close - _mid(doubted))
        if distance > self._absurd * close or distance >= abs(close - _mid(given)):
            return None
        return self._confirm(k, line, doubted, now_ns, market_ns)

    def is_passed(self, k: int, close: float, ended_ns: int) -> bool:
        """Whether a bar with trades that ended after the last usable quote closed beyond it."""
        line = self._lines[k]
        if line.usable is None or line.usable_ns >= ended_ns:
            return False
        bound = max(line.usable.ask - line.usable.bid, BEYOND * close)
        return not line.usable.bid - bound <= close <= line.usable.ask + bound

    def next_wall_ns(self) -> int | None:
        """Return when `due` has something next, None for nothing."""
        times = [line.given_ns + self._every_ns for line in self._lines if self._waits(line)]
        times += [line.doubted_ns + self._confirm_ns for line in self._lines if line.doubted]
        return min(times, default=None)

    def _accepted(self, line: _Quote, seen: QuoteSeen, now_ns: int) -> QuoteSeen | None:
        """Return the quote that may be used: this one, the doubted one before it, or None.

        The doubted one before it is accepted if all quotes have been far away on one side for long
        enough, and this one is further still.
        """
        given, before = line.given, line.doubted
        line.doubted = None
        if given is None or not self._is_far(given, seen):
            return seen
        if before is None or (_mid(before) > _mid(given)) != (_mid(seen) > _mid(given)):
            line.doubted, line.doubted_ns, line.far_ns = seen, now_ns, now_ns
            return None
        if not self._is_far(before, seen):
            if now_ns - line.doubted_ns < self._confirm_ns:
                line.doubted = seen
                return None
            return seen
        line.doubted_ns = now_ns
        if now_ns - line.far_ns < self._confirm_ns:
            line.doubted = seen
            return None
        if abs(_mid(seen) - _mid(given)) < abs(_mid(before) - _mid(given)):
            return seen
        line.doubted, line.far_ns = seen, now_ns
        return before

    def _confirm(
        self, k: int, line: _Quote, doubted: QuoteSeen, now_ns: int, market_ns: int
    ) -> m.Quoted:  # fmt: skip
        """Accept the doubted quote of a symbol."""
        self._confirmed.append(doubted)
        line.doubted, line.usable, line.usable_ns = None, doubted, now_ns
        return self._give(k, line, doubted, now_ns, market_ns)

    def _waits(self, line: _Quote) -> bool:
        """Whether a quote waits for the end of its interval; none does that a later one doubts."""
        return line.waiting is not None and line.doubted is None

    def _is_due(self, line: _Quote, now_ns: int) -> bool:
        return self._waits(line) and now_ns - line.given_ns >= self._every_ns

    def _is_far(self, before: m.Quoted | QuoteSeen, seen: QuoteSeen) -> bool:
        return _differs(before, seen, self._absurd)

    def _moved(self, last: m.Quoted | None, seen: QuoteSeen) -> bool:
        return last is None or _differs(last, seen, self._share)

    def _give(self, k: int, line: _Quote, seen: QuoteSeen, now_ns: int, market_ns: int) -> m.Quoted:
        line.jumped = line.given is not None and self._is_far(line.given, seen)
        line.given = m.Quoted(
            at_ns=now_ns, symbol=k, venue_ns=min(seen.venue_ns, now_ns), bid=seen.bid,
            bid_quantity=seen.bid_quantity, ask=seen.ask, ask_quantity=seen.ask_quantity,
            market_ns=market_ns,
        )  # fmt: skip
        line.given_ns, line.waiting = now_ns, None
        return line.given


def _differs(before: m.Quoted | QuoteSeen, seen: QuoteSeen, share: float) -> bool:
    """Whether bid or ask moved by more than a share of what it was."""
    bid, ask = before.bid, before.ask
    return abs(seen.bid - bid) > share * bid or abs(seen.ask - ask) > share * ask


def _mid(quote: m.Quoted | QuoteSeen) -> float:
    return 0.5 * (quote.bid + quote.ask)


def _is_quote(seen: QuoteSeen) -> bool:
    sizes = 0.0 <= seen.bid_quantity < math.inf and 0.0 <= seen.ask_quantity < math.inf
    return 0.0 < seen.bid <= seen.ask < math.inf and sizes


class PrintThrottle:
    """Passes on public trades, each once; with `every_ns` only the last of each interval."""

    def __init__(self, symbols: Sequence[str], *, every_ns: int = 0) -> None:
        """Pass on trades of `symbols`, in universe order."""
        self._number = {symbol: k for k, symbol in enumerate(symbols)}
        self._every_ns = every_ns
        # A test network that begins anew gives the same ids again, at other times.
        self._seen = [OrderedDict[tuple[str, int], None]() for _ in symbols]
        self._given_ns = [_NEVER for _ in symbols]
        self._taken_ns = [_NEVER for _ in symbols]
        self.counts: Counter[str] = Counter()

    def take(self, seen: PrintSeen, now_ns: int, market_ns: int = 0) -> m.Printed | None:
        """Take a trade; return it if it is new and due."""
        k = self._number.get(seen.symbol)
        good = 0.0 < seen.price < math.inf and 0.0 < seen.quantity < math.inf
        if k is None or not good:
            self.counts["unknown" if k is None else "bad"] += 1
            return None
        ids, key = self._seen[k], (seen.trade_id, seen.venue_ns)
        if key in ids:
            self.counts["duplicate"] += 1
            return None
        ids[key] = None
        self._taken_ns[k] = now_ns
        if len(ids) > _REMEMBERED:
            ids.popitem(last=False)
        if now_ns - self._given_ns[k] < self._every_ns:
            self.counts["thinned"] += 1
            return None
        self._given_ns[k] = now_ns
        return m.Printed(
            at_ns=now_ns, symbol=k, venue_ns=min(seen.venue_ns, now_ns), price=seen.price,
            quantity=seen.quantity, market_ns=market_ns,
        )  # fmt: skip

    def took(self, symbol: str, now_ns: int) -> bool:
        """Whether a trade of a symbol was new at this time, passed on or throttled."""
        k = self._number.get(symbol)
        return k is not None and self._taken_ns[k] == now_ns
