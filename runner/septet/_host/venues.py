"""The asynchronous interfaces of venues and live feeds, which plugins implement.

An adapter translates and decides nothing: it sends each command once, reports what it received, and
never retries an order by itself. Every answer is an event of `septet.messages`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from septet import messages as m
from septet.errors import DataError

__all__ = [
    "BarSeen",
    "Clock",
    "Connects",
    "FeedFacts",
    "FeedMessage",
    "FeedRequest",
    "LiveFeed",
    "LiveVenue",
    "Market",
    "PrintSeen",
    "QuoteSeen",
    "StreamDown",
    "Streams",
    "VenueFacts",
    "require_listed_symbols",
    "leaving",
    "may_leave",
]

Sink = Callable[[Any], None]
_WANTED: ContextVar[Callable[[], bool] | None] = ContextVar("septet_wanted", default=None)


def require_listed_symbols(exchange: str, unlisted: Mapping[str, Sequence[str]]) -> None:
    """Refuse symbols that an exchange does not list: the first of them, as every place does.

    Parameters
    ----------
    exchange
        The exchange's name.
    unlisted
        Each such symbol, with the names closest to it.

    Raises
    ------
    DataError
        With the names closest to the first.
    """
    for symbol, close in unlisted.items():
        hint = f"did you mean {' or '.join(close)}?" if close else ""
        raise DataError(f"{exchange} lists no {symbol}", hint=hint)


@contextmanager
def leaving(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Allow the adapter to call `may_leave` during one call, and in the tasks that it begins."""
    token = _WANTED.set(is_wanted)
    try:
        yield
    finally:
        _WANTED.reset(token)


def may_leave() -> bool:
    """Whether the order of this call is still wanted.

    An adapter asks just before the wire: a limiter may have held the order back while a halt came.
    """
    is_wanted = _WANTED.get()
    return is_wanted is None or is_wanted()


class Clock(Protocol):
    """Wall time for transport, market time for everything a strategy means by time."""

    @property
    def speed(self) -> float:
        """How many seconds of market time pass in a second of wall time; 1 but in a drill."""
        ...

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds; never goes backwards within a process."""
        ...

    def market_ns(self) -> int:
        """Market time, UTC nanoseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Market:
    """The venue's facts about a symbol; 0 means no bound. `precision` is a balance's last digit."""

    symbol: str
    base: str
    quote: str
    lot: float
    tick: float
    min_notional: float = 0.0
    min_quantity: float = 0.0
    max_quantity: float = 0.0
    precision: float = 1e-8
    trading: bool = True


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """What was found when the venue was opened.

    `account` identifies the account without revealing it (a hash). `answers_final_after_ns` is the
    time in nanoseconds after which "not found" is final: receive window plus staleness of reads.
    `unlisted` are the symbols that the exchange does not list, each with the names closest to it;
    they are missing from `markets`. A first start is refused for them, a run with a history goes on
    with the others.
    """

    venue: str
    exchange: str
    account: str
    markets: Mapping[str, Market]
    order_types: frozenset[str]
    can_withdraw: bool | None
    is_test: bool
    answers_final_after_ns: int
    streams_orders: bool
    amends: bool
    notes: tuple[str, ...] = ()
    unlisted: Mapping[str, Sequence[str]] = field(default_factory=dict)


class LiveVenue(Protocol):
    """A connection to one account at one venue.

    `open` takes the universe's symbols in order and a sink for events that come by themselves
    (`Acked`, `OrderSeen`, `Filled`, `VenueChanged`, ...). No method raises for what a venue can
    do; a programmer's error still raises.

    A symbol that the exchange does not list makes no method fail for the others: `open` names it in
    `VenueFacts.unlisted`, and one that vanishes or comes back later is reported by `FiltersChanged`
    with `listed`, from `refresh_markets` or by itself. From then on nothing is asked about it, and
    `open_orders` is the list of the others.
    """

    async def open(self, symbols: Sequence[str], sink: Sink) -> VenueFacts:
        """Connect and subscribe to the account; raise where it cannot."""
        ...

    async def submit(self, order: m.Submit) -> m.Event:
        """Send one order, once: `Acked`, `Rejected`, or `Uncertain`."""
        ...

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        """Replace one order; return events of both identifiers, or a refusal."""
        ...

    async def cancel(self, order: m.Cancel) -> m.Event:
        """Cancel one order: `OrderSeen`, `NotFound` or `CancelFailed`."""
        ...

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        """Cancel every order, on a connection of its own; return the answers."""
        ...

    async def query(self, order: m.Query) -> m.Event | None:
        """Ask for one order by its client id; None without an answer."""
        ...

    async def open_orders(self) -> m.OpenOrders | None:
        """Read the open orders; None without an answer."""
        ...

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        """Read the executions of a symbol since a time; None without an answer."""
        ...

    async def holdings(self) -> m.Holdings | None:
        """Read the balances; None without an answer."""
        ...

    async def skew(self) -> m.Skewed | None:
        """Compare the venue's clock with the local one; None without an answer."""
        ...

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        """Read the filters of the symbols; None without an answer."""
        ...

    async def close(self) -> None:
        """End, and let requests in flight be answered, within a bound."""
        ...


class BarSeen(msgspec.Struct, frozen=True):
    """A bar as a stream or a poll shows it.

    `open_ns` is the opening of the bar (UTC ns); prices are in the quote currency, `volume` is in
    the base currency. `closed` is whether the venue reports the bar as final, None where it does
    not state that.
    """

    symbol: str
    open_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool | None
    source: Literal["stream", "poll"] = "stream"


class QuoteSeen(msgspec.Struct, frozen=True):
    """Best bid and ask, or the top of a valid book.

    `venue_ns` is the venue's time (UTC ns). Prices are in the quote currency, quantities in the
    base currency. `bids` and `asks` are levels of (price, quantity), the best first, where known.
    """

    symbol: str
    venue_ns: int
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float
    bids: tuple[tuple[float, float], ...] = ()
    asks: tuple[tuple[float, float], ...] = ()


class PrintSeen(msgspec.Struct, frozen=True):
    """A public trade. `trade_id` gives the order of trades and identifies repeats.

    `venue_ns` is the venue's time (UTC ns); price in the quote currency, quantity in the base.
    """

    symbol: str
    venue_ns: int
    trade_id: str
    price: float
    quantity: float


class StreamDown(msgspec.Struct, frozen=True):
    """A stream ended or its book is not valid; what follows it is a `live` message or silence.

    With `unlisted` it ended because the exchange does not list the symbol: the feed is not opened
    again for its sake, and takes it up by itself once it is listed.
    """

    stream: str
    symbol: str
    reason: str
    unlisted: bool = False


FeedMessage = BarSeen | QuoteSeen | PrintSeen | StreamDown
"""What a feed hands to its sink."""


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """What a run subscribes to; `kinds` are any of ``bars trades quotes book``.

    `goes_on` is whether the run has a history, and may hold positions: then the feed leaves out a
    symbol that the exchange does not list, reports it by `StreamDown`, and serves the others. At a
    first start it raises.
    """

    symbols: tuple[str, ...]
    bar_ns: int
    kinds: frozenset[str] = frozenset({"bars"})
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """What the feed serves, and how: `how` maps each kind of market data to ``stream`` or ``poll``.

    `markets` are as `VenueFacts` has them, where the feed knows.
    """

    exchange: str
    how: Mapping[str, Literal["stream", "poll"]]
    markets: Mapping[str, Market] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class LiveFeed(Protocol):
    """Live market data of one exchange; reconnects by itself, with back-off, and reports it.

    It does not decide when it is silent: the caller closes it then and opens it again.
    """

    async def open(self, request: FeedRequest, sink: Sink) -> FeedFacts:
        """Connect and subscribe; events go to the sink from now on.

        DataError for a symbol that is not listed, unless the request goes on without it.
        """
        ...

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        """Return closed bars with ``since_ns <= open_ns < until_ns``, in order; RunError if not.

        A bar that is over by the clock, but may lack its last trades, has `closed` None.
        """
        ...

    async def close(self) -> None:
        """End every stream and the connection."""
        ...


@runtime_checkable
class Connects(Protocol):
    """A venue plugin that can trade: what its factory returns has this method.

    A plugin with secrets takes `read` as well, which resolves a `SecretRef` to its text; one that
    runs something in the background takes `tasks`, the `Tasks` that own it.
    """

    def connect(self, *, name: str, clock: Clock, **options: Any) -> LiveVenue:
        """Return the connection to one account, not yet open."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A source of bars that can be listened to: what its factory returns has this method.

    A plugin that runs something in the background takes `tasks` as well, the `Tasks` that own it.
    """

    def stream(self, *, clock: Clock, **options: Any) -> LiveFeed:
        """Return the live data of one exchange, not yet open."""
        ...
