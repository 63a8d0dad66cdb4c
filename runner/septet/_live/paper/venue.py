"""The paper venue: live quotes or books in, simulated fills out.

It has the interface of a real venue, but nothing leaves the process. Every price, rounding, fee
and balance comes from the rules of the backtest (`septet._kernel.match` and `ledger`, run as plain
Python), so that paper and backtest differ only in the market they see.

A market order takes the other side after the latency, and pays the slippage beyond each price that
it takes: all of it at the quote, or (book, or a capped participation) the size shown, and the rest
waits for the next. A limit fills only when traded through; a stop triggers on the price it would
trade at. A limit that is marketable on arrival takes: it pays the taker fee, and slippage up to its
limit. One that rested pays the maker fee alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from septet import messages as m
from septet._host.background_tasks import Tasks
from septet._host.venues import Clock, Market, QuoteSeen, Sink, VenueFacts
from septet._kernel import layout
from septet._live.paper.account import PaperAccount, ShownSide
from septet._live.paper.resting_orders import Resting

if TYPE_CHECKING:
    from septet_schemas.simulation import Simulation

__all__ = ["KEPT_FILLS", "PaperVenue"]

KEPT_FILLS: Final = 10_000
"""How many fills the venue remembers for later queries."""
_KEPT_ORDERS: Final = 10_000
_KINDS: Final = {
    "market": layout.MARKET, "limit": layout.LIMIT, "stop": layout.STOP,
    "stop_limit": layout.STOP_LIMIT,
}  # fmt: skip
_NOTHING: Final = math.nan
LIQUIDATION: Final = "liquidation"
"""Reason of the order that liquidates a position."""


@dataclass(slots=True)
class _Order:
    submit: m.Submit
    kind: int
    side: float
    units: float
    active_ns: int
    unfilled: float
    state: m.OrderState = "open"
    fresh: bool = True
    """It has not met a quote yet: a limit that fills now takes."""

    @property
    def working(self) -> bool:
        return self.state in ("open", "partially_filled")


class PaperVenue:
    """A simulated account, for paper mode with ``fills: quotes`` or ``fills: book``.

    Parameters
    ----------
    simulation
        The terms of ``execution.simulation``.
    markets
        Markets that may trade, by symbol; the universe is a part of them.
    cash
        Balance in the quote currency at the first start.
    bar_ns
        Length of a bar: latency is counted in bars.
    spot
        Whether sales need a position.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        simulation: Simulation,
        markets: Mapping[str, Market],
        cash: float,
        bar_ns: int,
        spot: bool = True,
        tasks: Tasks | None = None,
    ) -> None:
        self._tasks = tasks or Tasks(name)
        self._name, self._clock, self._simulation = name, clock, simulation
        self._markets, self._spot = dict(markets), spot
        self._latency_ns = int(simulation.latency) * bar_ns
        self._symbols: tuple[str, ...] = ()
        self._numbers: dict[str, int] = {}
        self._sink: Sink = _deaf
        self._orders: dict[str, _Order] = {}
        self._fills: deque[m.Filled] = deque(maxlen=KEPT_FILLS)
        self._shown: dict[tuple[int, float], ShownSide] = {}
        self.liquidates: Callable[[int, float], bool] = _never
        """Whether a mid price liquidates the position of a symbol."""
        self.is_contradicted: Callable[[int, float, float], bool] = _never
        """Whether bars contradict a bid and ask."""
        received = simulation.fee.fee_currency == "base"
        self._account = PaperAccount(cash=cash, received=received, spot=spot)

    # ------------------------------------------------------------ the interface of a venue

    async def open(self, symbols: Sequence[str], sink: Sink) -> VenueFacts:
        """Store the universe and the sink of events; no connection is opened."""
        self._sink = sink
        if tuple(symbols) != self._symbols:
            self._lay_out(tuple(symbols))
        return VenueFacts(
            venue=self._name, exchange="paper", account=f"paper:{self._name}",
            markets=self._markets, order_types=frozenset(_KINDS), can_withdraw=False,
            is_test=True, answers_final_after_ns=0, streams_orders=True, amends=True,
            notes=(f"fills are simulated against the {self._simulation.fills}",),
        )  # fmt: skip

    async def submit(self, order: m.Submit) -> m.Event:
        """Accept or reject an order; it is matched after this has been answered."""
        rejected = self._rejection(order)
        if rejected is not None:
            return rejected
        return self._accept(order)

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        """Replace an order: the old one is cancelled, the new one has its own id."""
        old = self._orders.get(order.client_id)
        if old is None or not old.working:
            return (self._rejected(order.new_client_id, "not_open", "no such open order"),)
        if self._account.units(order.symbol, order.quantity) > old.unfilled:
            text = "more than is left of the order it replaces"
            return (self._rejected(order.new_client_id, "quantity", text),)
        submit = m.Submit(
            client_id=order.new_client_id, parent=order.parent, symbol=order.symbol,
            side=order.side, order_type=old.submit.order_type, quantity=order.quantity,
            reduces=old.submit.reduces, deadline_ns=order.deadline_ns,
            limit_price=order.limit_price, trigger_price=old.submit.trigger_price,
            reason=old.submit.reason, trace=order.trace,
        )  # fmt: skip
        state, old.state = old.state, "cancelled"  # its locked balance is free for its replacement
        rejected = self._rejection(submit)
        if rejected is not None:
            old.state = state
            return (rejected,)
        return (self._seen(old, "cancel"), self._accept(submit))

    async def cancel(self, order: m.Cancel) -> m.Event:
        """Cancel one order; a final order does not change."""
        own_order = self._orders.get(order.client_id)
        now_ns = self._clock.now_ns()
        if own_order is None:
            return m.NotFound(at_ns=now_ns, client_id=order.client_id, asked_ns=now_ns, by="cancel")
        if own_order.working:
            own_order.state = "cancelled"
        return self._seen(own_order, "cancel")

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        """Cancel every order of the symbols and report all of them."""
        cancelled = [each for each in self._working() if each.submit.symbol in symbols]
        for each in cancelled:
            each.state = "cancelled"
        return [self._seen(each, "cancel") for each in cancelled]

    async def query(self, order: m.Query) -> m.Event | None:
        """Return an order by client id."""
        own_order = self._orders.get(order.client_id)
        if own_order is not None:
            return self._seen(own_order, "query")
        now_ns = self._clock.now_ns()
        return m.NotFound(at_ns=now_ns, client_id=order.client_id, asked_ns=now_ns)

    async def open_orders(self) -> m.OpenOrders | None:
        """Return all working orders."""
        now_ns = self._clock.now_ns()
        orders = tuple(self._seen(each, "list") for each in self._working())
        return m.OpenOrders(at_ns=now_ns, orders=orders, asked_ns=now_ns)

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        """Return the fills of a symbol since a wall time."""
        return [each for each in self._fills if each.symbol == symbol and each.at_ns >= since_ns]

    async def holdings(self) -> m.Holdings | None:
        """Return the balances: free, and locked by working orders."""
        now_ns = self._clock.now_ns()
        held, locked = dict[str, float](), dict[str, float]()
        quote = self._market(0).quote if self._symbols else ""
        for k in range(len(self._symbols)):
            base = self._market(k).base
            held[base] = held.get(base, 0.0) + self._account.quantity(k, self._account.held(k))
        for each in self._working():
            unfilled = self._account.quantity(each.submit.symbol, each.unfilled)
            if each.side < 0.0:
                base = self._market(each.submit.symbol).base
                locked[base] = locked.get(base, 0.0) + unfilled
            elif each.submit.limit_price is not None:
                worth = unfilled * each.submit.limit_price
                locked[quote] = locked.get(quote, 0.0) + worth
        held[quote] = self._account.cash
        balances = {
            each: (total - locked_part, locked_part)
            for each, total in held.items()
            for locked_part in (min(locked.get(each, 0.0), max(0.0, total)),)
        }
        return m.Holdings(at_ns=now_ns, balances=balances, asked_ns=now_ns)

    async def skew(self) -> m.Skewed | None:
        """Return no skew: the venue uses the local clock."""
        return m.Skewed(at_ns=self._clock.now_ns(), venue=self._name, skew_ns=0)

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        """Return the current filters."""
        now_ns = self._clock.now_ns()
        return [
            m.FiltersChanged(
                at_ns=now_ns, symbol=k, lot=each.lot, tick=each.tick,
                min_notional=each.min_notional, trading=each.trading,
                min_quantity=each.min_quantity, max_quantity=each.max_quantity,
            )
            for k, each in ((k, self._market(k)) for k in range(len(self._symbols)))
        ]  # fmt: skip

    async def close(self) -> None:
        """Stop sending events; working orders end with the process."""
        self._sink = _deaf

    # ------------------------------------------------------------ what the shell passes in

    def restore(
        self,
        orders: Sequence[Resting],
        *,
        cash: float,
        units: Mapping[int, float],
        markets: Mapping[str, Market] | None = None,
    ) -> None:
        """Restore what the core remembers: open orders, cash, position in whole units."""
        if markets is not None:
            self.changed(markets)
        self._orders.clear()
        self._account.restore(cash, units)
        for each in orders:
            order = self._make(each.order)
            order.unfilled = order.units - self._account.units(each.order.symbol, each.filled)
            order.state = "partially_filled" if each.filled > 0.0 else "open"
            order.fresh = False
            if each.triggered:
                order.kind = layout.LIMIT if order.kind == layout.STOP_LIMIT else layout.MARKET
            self._orders[each.order.client_id] = order

    def changed(self, markets: Mapping[str, Market]) -> None:
        """Set new filters; resting orders stay as they were accepted."""
        self._markets.update(markets)
        for k in range(len(self._symbols)):
            self._account.put_filters(k, self._market(k))

    def quoted(self, seen: QuoteSeen) -> None:
        """Take the current quote or book and fill the orders that it matches."""
        k = self._numbers.get(seen.symbol, -1)
        if k < 0:
            return
        is_quote = 0.0 < seen.bid < seen.ask < math.inf
        if not is_quote or self.is_contradicted(k, seen.bid, seen.ask):
            self.silent(seen.symbol)
            return
        deep = self._simulation.fills == "book" and seen.bids and seen.asks
        bids = seen.bids if deep else ((seen.bid, seen.bid_quantity),)
        asks = seen.asks if deep else ((seen.ask, seen.ask_quantity),)
        share = self._simulation.participation
        self._shown[k, 1.0] = self._account.side(k, seen.ask, asks, share)
        self._shown[k, -1.0] = self._account.side(k, seen.bid, bids, share)
        self._meet(k, seen.venue_ns)

    def charged(self, booked: m.Funded | m.Traded) -> None:
        """Pay what the core booked besides fills: funding, and the cost of a liquidation."""
        self._account.pay(booked.amount if isinstance(booked, m.Funded) else booked.liquidation)

    def silent(self, symbol: str) -> None:
        """Drop the quote of a symbol, which is old, contradicted or invalid, until the next."""
        k = self._numbers.get(symbol, -1)
        self._shown.pop((k, 1.0), None)
        self._shown.pop((k, -1.0), None)

    # ------------------------------------------------------------ orders

    def _lay_out(self, symbols: tuple[str, ...]) -> None:
        self._symbols = symbols
        self._numbers = {symbol: k for k, symbol in enumerate(symbols)}
        self._account.lay_out([self._markets[symbol] for symbol in symbols])

    def _market(self, k: int) -> Market:
        return self._markets[self._symbols[k]]

    def _working(self) -> list[_Order]:
        return [each for each in self._orders.values() if each.working]

    def _make(self, order: m.Submit) -> _Order:
        units = self._account.units(order.symbol, order.quantity)
        return _Order(
            submit=order, kind=_KINDS[order.order_type],
            side=1.0 if order.side == "buy" else -1.0, units=units, unfilled=units,
            active_ns=self._clock.market_ns() + self._latency_ns,
        )  # fmt: skip

    def _accept(self, order: m.Submit) -> m.Event:
        own_order = self._make(order)
        if len(self._orders) >= _KEPT_ORDERS:
            self._orders = {name: each for name, each in self._orders.items() if each.working}
        self._orders[order.client_id] = own_order
        self._tasks.soon("match", self._meet, order.symbol, self._clock.now_ns())
        return m.Acked(
            at_ns=self._clock.now_ns(), client_id=order.client_id,
            venue_order_id=_venue_id(order), state="open", side=order.side,
            quantity=order.quantity, price=order.limit_price,
        )  # fmt: skip

    def _rejected(self, client_id: str, code: str, text: str) -> m.Rejected:
        return m.Rejected(at_ns=self._clock.now_ns(), client_id=client_id, code=code, text=text)

    def _rejection(self, order: m.Submit) -> m.Rejected | None:
        """Return why a venue would reject an order; empty if it would not."""
        if not 0 <= order.symbol < len(self._symbols):
            return self._rejected(order.client_id, "bad_symbol", f"no symbol {order.symbol}")
        market = self._market(order.symbol)
        for code, text, wrong in self._objections(order, market):
            if wrong():
                return self._rejected(order.client_id, code, f"{market.symbol}: {text}")
        return None

    def _objections(
        self, order: m.Submit, market: Market
    ) -> Sequence[tuple[str, str, Callable[[], bool]]]:
        k, price, trigger = order.symbol, order.limit_price, order.trigger_price
        kind = _KINDS[order.order_type]
        needs_price = kind in (layout.LIMIT, layout.STOP_LIMIT)
        needs_trigger = kind in (layout.STOP, layout.STOP_LIMIT)
        quantity = order.quantity
        return (
            ("market_closed", "does not trade now", lambda: not market.trading),
            ("duplicate", "this client id was used before",
             lambda: order.client_id in self._orders),
            ("bad_price", "a limit price above zero is needed",
             lambda: needs_price and not _is_positive(price)),
            ("bad_price", "a trigger price above zero is needed",
             lambda: needs_trigger and not _is_positive(trigger)),
            ("quantity", f"{quantity} is not a number of lots of {market.lot}",
             lambda: not _is_positive(quantity) or not self._account.is_lots(k, quantity)),
            ("quantity", f"{quantity} is not within what may be ordered",
             lambda: quantity < market.min_quantity
             or 0.0 < market.max_quantity < quantity),
            ("tick", f"a price is not a number of ticks of {market.tick}",
             lambda: not (_is_ticks(price, market.tick) and _is_ticks(trigger, market.tick))),
            ("min_notional", f"worth less than {market.min_notional}",
             lambda: self._worth(order) < market.min_notional * (1.0 - 1e-12)),
            ("insufficient_funds", "more than is held and not locked",
             lambda: self._spot and order.side == "sell"
             and self._account.units(k, quantity) > self._free_units(k)),
        )  # fmt: skip

    def _worth(self, order: m.Submit) -> float:
        """Return the value of an order, infinity if no price is known yet."""
        side = 1.0 if order.side == "buy" else -1.0
        shown = self._shown.get((order.symbol, side))
        price = order.limit_price or order.trigger_price or (shown.best if shown else math.inf)
        return order.quantity * price

    def _free_units(self, k: int) -> float:
        offered = sum(
            each.unfilled for each in self._working() if each.side < 0.0 and each.submit.symbol == k
        )
        return self._account.held(k) - offered

    def _seen(self, order: _Order, by: Any, text: str = "") -> m.OrderSeen:
        submit = order.submit
        return m.OrderSeen(
            at_ns=self._clock.now_ns(), client_id=submit.client_id,
            venue_order_id=_venue_id(submit), symbol=submit.symbol, side=submit.side,
            state=order.state, quantity=submit.quantity,
            filled=self._filled(order), price=submit.limit_price, by=by, text=text,
        )  # fmt: skip

    def _filled(self, order: _Order) -> float:
        return self._account.quantity(order.submit.symbol, order.units - order.unfilled)

    # ------------------------------------------------------------ fills

    def _meet(self, k: int, venue_ns: int) -> None:
        """Match the orders of a symbol against the quote or book, in order of arrival.

        At a price that liquidates the position only its liquidation closes it.
        """
        now_ns, liquidated = self._clock.market_ns(), self._is_liquidated(k)
        for order in self._working():
            shown = self._shown.get((k, order.side))
            waits = liquidated and order.submit.reduces and order.submit.reason != LIQUIDATION
            active = order.submit.symbol == k and now_ns >= order.active_ns
            if active and shown is not None and not waits:
                self._match(k, order, shown, venue_ns)
                order.fresh = False

    def _is_liquidated(self, k: int) -> bool:
        ask, bid = (self._shown.get((k, side)) for side in (1.0, -1.0))
        if ask is None or bid is None:
            return False
        return self.liquidates(k, 0.5 * (bid.best + ask.best))

    def _match(self, k: int, order: _Order, shown: ShownSide, venue_ns: int) -> None:
        submit, account = order.submit, self._account
        limit = _NOTHING if submit.limit_price is None else submit.limit_price
        trigger = _NOTHING if submit.trigger_price is None else submit.trigger_price
        if order.kind in (layout.STOP, layout.STOP_LIMIT):
            if order.side * (shown.best - trigger) < 0.0:
                return
            order.kind = layout.MARKET if order.kind == layout.STOP else layout.LIMIT
            order.fresh = True
        maker = order.kind == layout.LIMIT and not order.fresh
        slippage, takes_all = self._simulation.slippage.fraction, self._takes_all(order)
        arrives = not maker
        for level in shown.levels or [[shown.best, 0.0]]:
            price = account.price(
                k, order.kind, order.side, limit, trigger, level[0], slippage, arrives=arrives
            )
            if price != price or not order.working:
                return
            units = order.unfilled if takes_all else min(order.unfilled, level[1])
            took = self._take(k, order, units, price, maker, venue_ns)
            level[1] = max(0.0, level[1] - took)

    def _takes_all(self, order: _Order) -> bool:
        """Whether the size shown bounds no fill: a quote does not say what lies behind it."""
        simulation = self._simulation
        return (
            order.kind == layout.MARKET
            and simulation.fills == "quotes"
            and simulation.participation is None
        )

    def _take(
        self, k: int, order: _Order, units: float, price: float, maker: bool, venue_ns: int
    ) -> float:
        """Fill what the balances cover and cancel the rest; return the units taken."""
        fee = self._simulation.fee
        rate = fee.maker if maker else fee.taker
        may = self._account.covered(k, order.side, units, price, rate)
        if may > 0.0:
            self._book(k, order, may, price, rate, maker, venue_ns)
        if may < units:
            order.state = "cancelled"
            self._sink(self._seen(order, "stream", "cash" if order.side > 0.0 else "held"))
        return may

    def _book(
        self, k: int, order: _Order, units: float, price: float, rate: float, maker: bool,
        venue_ns: int,
    ) -> None:  # fmt: skip
        market_ns = self._clock.market_ns()
        booked = self._account.book(k, order.side, units, price, rate, maker, market_ns)
        order.unfilled -= units
        order.state = "filled" if order.unfilled <= 0.0 else "partially_filled"
        market, submit = self._market(k), order.submit
        filled = m.Filled(
            at_ns=self._clock.now_ns(), venue=self._name, symbol=k,
            trade_id=f"{submit.client_id}:{order.units - order.unfilled:.0f}",
            client_id=submit.client_id, venue_order_id=_venue_id(submit), venue_ns=venue_ns,
            market_ns=market_ns, side=submit.side, quantity=self._account.quantity(k, units),
            price=price, fee=booked.fee,
            fee_currency=market.base if booked.in_base else market.quote, maker=maker,
        )  # fmt: skip
        self._fills.append(filled)
        self._sink(filled)
        if order.state == "filled":
            self._sink(self._seen(order, "stream"))


def _deaf(event: Any) -> None:
    """Ignore an event."""


def _never(k: int, *prices: float) -> bool:
    return False


def _venue_id(order: m.Submit) -> str:
    return f"paper-{order.client_id}"


def _is_positive(value: float | None) -> bool:
    return value is not None and 0.0 < value < math.inf


def _is_ticks(price: float | None, tick: float) -> bool:
    if price is None or tick <= 0.0 or not math.isfinite(price):
        return True
    return abs(price / tick - round(price / tick)) <= 1e-6
