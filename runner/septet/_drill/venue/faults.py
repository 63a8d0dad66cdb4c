"""Decides when each fault acts: by a plan, a seed, and the requests that arrive.

Request faults have an occasion: ``place``, ``cancel`` or ``query``; those of `ANY_REQUEST` may be
aimed at another one than their own, or at ``all``. Event faults act on an execution sent on the
user stream. Timed faults begin by themselves, again `every_ms` (1000) or `every_bars` (0) where
they may act more than once; those of `LASTING` go on for their duration.

====  =====================================================  ====================================
code  what happens                                           parameters (default)
====  =====================================================  ====================================
N1    executed, connection cut                               mode (abort; or hang), hold_ms
N2    not executed, connection cut                           mode, hold_ms
N3    executed, answered late                                delay_ms (12000)
N4    cut at once, executed later within its recvWindow      delay_ms (2000)
N6    executed, never answered                               hold_ms (30000)
N7    sockets closed; target market, user, rest or all       mode (close; or reset)
N8    sockets silent; new ones as well while it lasts
N9    the same, but pings are answered
N10   sockets cut again and again                            period_ms (200)
N11   connections refused
N12   every connection cut, none answered
N13   executed, 200 with a wrong body                        body ({})
E1    5xx with an unknown outcome                            executed (drawn), status (503), code
                                                             (-1007), text
E2    429 with Retry-After for as long as it lasts
E3    418 for as long as it lasts
E4    the venue's clock is ahead                             skew_ms (10000)
E5    rejected                                                code (-2010), text
E6    executed, but answered "Duplicate order sent."
E7    filters change                                         tick, lot, min_quantity,
                                                             max_quantity, min_notional (texts)
E8    status BREAK, orders rejected, nothing matched
E9    a part is filled, the rest later                       portion (0.5), delay_ms (200)
E10   a part is filled, the rest expires                     portion (0.5)
E11   the order fills just before its cancel
E12   an execution is reported twice
E13   an execution is reported after later events            delay_ms (150)
E14   an execution is never reported
E15   the answer comes after the events                      delay_ms (300)
E16   questions are answered as of some time ago             stale_ms (2000)
E17   the user stream is terminated
E18   somebody else acts                                     kind (order; fill, deposit,
                                                             withdrawal), side, amount, asset
E19   the venue ends open orders                             status (CANCELED; or EXPIRED),
                                                             client_prefix, most
E20   503 for everything, sockets closed
E21   the answer differs from the request                    field (origQty), value (double)
E22   fees are paid in another asset                         fee_currency (base)
E23   accepted, and listed under another client id           prefix (x-), suffix, other (false:
                                                             what is between is ours)
E24   no longer listed: unknown to requests, its orders
      expired, nothing sent of it
D1    a depth message is lost, or the book crosses           kind (gap; or crossed)
D2    a closed bar is sent twice, late, or open again        kind (duplicate; late, unclosed)
D3    bars are not sent                                      bars (1), rest (true), streams
                                                             (kline; or all)
D4    prices are absurd for some messages                    factor (10), messages (1), where,
                                                             closed (false)
D5    a frame that is no JSON; target market or user         frame
D6    every message many times                               factor (50)
A1    executed, answered with a redirect                     status (307), to (same; or a host)
A2    a value that cannot be true; target ``POST order`` or  field, value
      another request, or ``report``                         or body (a text)
A3    one execution too many is reported                     kind (beyond; again, no_id)
A5    prices are stamped in the future                       ahead_ms (3600000), messages (1)
A10   418 as E3, for all clients of the address
A18   a status that the quantities beside it contradict;     kind (nothing executed of a filled
      target ``POST order``, another request, or ``report``  order; or part, partly, new)
A19   an order is reported ended with nothing executed,  status (EXPIRED; or CANCELED,
      and was filled or rests; target ``POST order`` or      REJECTED)
      ``report``
====  =====================================================  ====================================
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from septet._drill.venue.clock import MarketClock
from septet._drill.venue.config import Fault
from septet._drill.venue.venue_journal import FaultInjected, VenueJournal
from septet.errors import InputError

__all__ = [
    "ANY_REQUEST",
    "CODES",
    "EVENTS",
    "LASTING",
    "REQUESTS",
    "TIMED",
    "Injector",
    "PlannedFault",
]

REQUESTS = {
    "N1": "place", "N2": "place", "N3": "place", "N4": "place", "N6": "cancel", "N13": "place",
    "E1": "place", "E5": "place", "E6": "place", "E9": "place", "E10": "place", "E11": "cancel",
    "E15": "place", "E16": "query", "E21": "place", "E23": "place", "A1": "place",
    "A2": "POST order", "A18": "POST order", "A19": "POST order",
}  # fmt: skip
"""Code -> the occasion on which it acts unless its target sets another."""
_NO_END_MS = 10**12
ANY_REQUEST = frozenset({"N1", "N2", "N3", "N6", "N13", "E1", "A2", "A18", "A19"})
"""Those that may act on any request, where their target allows it."""
EVENTS = {"E12": "trade", "E13": "trade", "E14": "trade", "A3": "trade"}
LASTING = {
    "N8": 0, "N9": 0, "N10": 2000, "N11": 2000, "N12": 5000, "E2": 1000, "E3": 2000, "E4": 2000,
    "E7": _NO_END_MS, "E8": _NO_END_MS, "E20": 2000, "E22": _NO_END_MS, "E24": _NO_END_MS,
    "D6": 1000, "A10": 2000,
}  # fmt: skip
"""Code -> how long it lasts unless the plan sets it, in ms of wall time."""
TIMED = LASTING.keys() | {"N7", "E17", "E18", "E19", "D1", "D2", "D3", "D4", "D5", "A5"}
CODES = frozenset(REQUESTS) | frozenset(EVENTS) | TIMED
"""Every fault the venue can make; N5 is the client's own."""


@dataclass(slots=True)
class PlannedFault:
    """A fault of the plan and its state."""

    number: int
    fault: Fault
    ready_ns: int
    ready_bar: int
    draw: random.Random
    count: int = 0
    until_ns: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not act again."""
        return bool(self.fault.times) and self.count >= self.fault.times

    def number_of(self, name: str, default: float) -> float:
        """Return a parameter that is a number."""
        return float(self.fault.parameters.get(name, default))

    def word_of(self, name: str, default: str = "") -> str:
        """Return a parameter that is a text."""
        return str(self.fault.parameters.get(name, default))

    def flag_of(self, name: str, *, default: bool) -> bool:
        """Return a parameter that is true or false."""
        return bool(self.fault.parameters.get(name, default))


class Injector:
    """Decides by the plan; every injection is written to the venue's journal."""

    def __init__(self, seed: int, clock: MarketClock, journal: VenueJournal) -> None:
        self.plan: list[PlannedFault] = []
        self.begin: Callable[[PlannedFault], None] = lambda planned: None
        self.end: Callable[[PlannedFault], None] = lambda planned: None
        self._seed = seed
        self._clock = clock
        self._journal = journal
        self._bar = 0
        self._running: list[PlannedFault] = []

    def add(self, faults: Iterable[Fault]) -> list[int]:
        """Add faults to the plan and return their numbers; InputError for an unknown code."""
        given = list(faults)
        for fault in given:
            if fault.code not in CODES:
                raise InputError(
                    f"the local venue has no fault {fault.code!r}, it has {sorted(CODES)}"
                )
        now, first = self._clock.wall_ns(), len(self.plan)
        for number, each in enumerate(given, first):
            fault = msgspec.structs.replace(each, symbol=each.symbol.replace("/", ""))
            draw = random.Random(f"{self._seed}:fault:{number}")
            ready = now + int(fault.at_ms * 10**6)
            self.plan.append(PlannedFault(number, fault, ready, fault.at_bar, draw))
        return list(range(first, len(self.plan)))

    def due_fault(
        self, occasion: str, symbol: str = "", client_id: str = "",
        only: frozenset[str] = frozenset(),
    ) -> PlannedFault | None:  # fmt: skip
        """Return the fault that acts on this request, if one does."""
        for each in self.plan:
            code = each.fault.code
            home = REQUESTS.get(code) or EVENTS.get(code)
            if home is None or each.spent or (only and code not in only):
                continue
            target = each.fault.target or home
            fits = code in ANY_REQUEST or occasion == home
            if target not in {occasion, "all"} or not fits or not self._ripe(each, symbol):
                continue
            if each.draw.random() < each.fault.probability:
                self.note(each, symbol, client_id)
                return each
        return None

    def lasting(self, code: str, symbol: str = "") -> PlannedFault | None:
        """Return the active fault of this code, if there is one."""
        for each in self._running:
            if each.fault.code == code and each.fault.symbol in {"", symbol or each.fault.symbol}:
                return each
        return None

    def tick(self, bar: int | None = None) -> None:
        """Begin and end timed faults whose time has come; `bar` counts from the start."""
        self._bar = self._bar if bar is None else bar
        now = self._clock.wall_ns()
        for each in [one for one in self._running if one.until_ns <= now]:
            self._running.remove(each)
            self.end(each)
        for each in self.plan:
            if each.fault.code not in TIMED or each.spent or each in self._running:
                continue
            if self._ripe(each, each.fault.symbol):
                self._again(each, now)
                if each.draw.random() < each.fault.probability:
                    self.note(each, each.fault.symbol)
                    if each.fault.code in LASTING:
                        lasts_ms = each.fault.duration_ms or LASTING[each.fault.code]
                        each.until_ns = now + int(lasts_ms * 10**6)
                        self._running.append(each)
                    self.begin(each)

    def next_ns(self) -> int | None:
        """Return the wall time at which `tick` has something to do, None if never."""
        times = [each.until_ns for each in self._running]
        times += [
            each.ready_ns
            for each in self.plan
            if each.fault.code in TIMED
            and not each.spent
            and each not in self._running
            and each.ready_bar <= self._bar
        ]
        return min(times, default=None)

    def note(
        self, planned: PlannedFault, symbol: str = "", client_id: str = "", detail: str = "", *,
        counts: bool = True,
    ) -> None:  # fmt: skip
        """Record an injection, or the result of the last one (`counts` False)."""
        planned.count += counts
        self._journal.write(
            FaultInjected(
                at_ns=self._clock.wall_ns(), code=planned.fault.code, number=planned.number,
                count=planned.count, symbol=symbol, client_id=client_id, detail=detail,
            )
        )  # fmt: skip

    def _ripe(self, each: PlannedFault, symbol: str) -> bool:
        return (
            each.ready_ns <= self._clock.wall_ns()
            and each.ready_bar <= self._bar
            and each.fault.symbol in {"", symbol}
        )

    def _again(self, each: PlannedFault, now: int) -> None:
        """Set when a timed fault may come again."""
        each.ready_ns = now + int(each.number_of("every_ms", 1000.0) * 10**6)
        each.ready_bar = self._bar + int(each.number_of("every_bars", 0.0))
