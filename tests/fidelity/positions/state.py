"""The state of a run, and the few acts that everything else is made of: send, fill, cancel."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.exact_fraction import Fraction
from tests.fidelity.positions import levels
from tests.fidelity.positions.account import Account, Holding
from tests.fidelity.positions.exact import ZERO, exact, floor_lots, on_tick, sign
from tests.fidelity.positions.levels import Plan, TradeState
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.orders import Fill, Finding, Kind, Order
from tests.fidelity.positions.settings import Strategy
from tests.fidelity.positions.targets import Previous, Targets
from tests.fidelity.positions.words import data_words, position_words

__all__ = ["BLOCKING", "GridState", "State"]

BLOCKING = {"stop_loss", "level", "trailing", "break_even", "drawdown", "daily_loss"}
"""What closes a position and blocks its side against re-entry: stops and halts."""


@dataclass
class GridState:
    """Levels of a grid: entered at `prices[k]`, left at `prices[k - 1]`; 0 is the centre."""

    side: int
    prices: list[Fraction]
    units: list[Fraction]
    bought: dict[int, Fraction] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)


@dataclass
class State:
    """Everything that a run remembers."""

    s: Strategy
    market: Market
    now_ns: int = 0
    equity: Fraction = ZERO
    orders: list[Order] = field(default_factory=list)
    live: list[Order] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rebalances: list[Targets] = field(default_factory=list)
    curve: list[tuple[int, Fraction]] = field(default_factory=list)
    benchmark: list[tuple[int, Fraction]] = field(default_factory=list)
    marks: dict[str, Fraction] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    sided: dict[tuple[str, int], Plan] = field(default_factory=dict)
    trade: dict[str, TradeState] = field(default_factory=dict)
    exits_to_retry: dict[str, str] = field(default_factory=dict)
    signals_before: dict[str, float | None] = field(default_factory=dict)
    turning: set[str] = field(default_factory=set)
    blocked: dict[tuple[str, int], int | None] = field(default_factory=dict)
    entered_row: dict[str, int] = field(default_factory=dict)
    grids: dict[str, list[GridState]] = field(default_factory=dict)
    members: frozenset[str] = frozenset()
    gone: set[str] = field(default_factory=set)
    previous: Previous = field(default_factory=Previous)
    is_due: bool = False
    halted_ns: int | None = None
    peak: Fraction = ZERO
    day: int = 0
    day_base: Fraction = ZERO
    room: dict[str, Fraction] = field(default_factory=dict)
    bars_ns: dict[str, int] = field(default_factory=dict)
    blocked_by: dict[tuple[str, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        holdings = {symbol: Holding() for symbol in self.market.symbols}
        self.account = Account(exact(self.s.capital), holdings)
        self.equity = self.peak = self.account.cash
        self.members = frozenset(self.market.symbols)

    # ------------------------------------------------------------------ reading

    def held(self, symbol: str) -> Holding:
        """Return what is held of a symbol."""
        return self.account.holdings[symbol]

    def working(self, symbol: str) -> list[Order]:
        """Return the working orders of a symbol, oldest first."""
        self.live = [each for each in self.live if each.is_working]
        return [each for each in self.live if each.symbol == symbol]

    def increases(self, symbol: str) -> list[Order]:
        """Return the working orders that may enlarge a position."""
        return [each for each in self.working(symbol) if not each.reduces]

    def reversal(self, symbol: str) -> Order | None:
        """Return the working order that closes a position and opens one of the other side."""
        side = self.held(symbol).side
        entries = (each for each in self.increases(symbol) if each.tag[0] == "entry")
        return next((each for each in entries if side * each.units < 0), None)

    def leaving(self, symbol: str) -> Fraction:
        """Return the units that market orders will take away, or an order that is decided now."""
        if symbol in self.turning or self.reversal(symbol) is not None:
            return abs(self.held(symbol).units)
        units = (abs(o.units) for o in self.working(symbol) if o.reduces and o.kind == "market")
        return min(abs(self.held(symbol).units), sum(units, ZERO))

    def all_is_sent(self, symbol: str) -> bool:
        """Return whether market orders that were sent close all of a position: no exit waits."""
        sent = (abs(o.units) for o in self.working(symbol) if o.reduces and o.kind == "market")
        held = abs(self.held(symbol).units)
        return any(units >= held for units in sent)

    def exit_has_met(self, symbol: str, open_ns: int) -> bool:
        """Return whether an exit of all of a position works that has met the bar of an open."""
        held = abs(self.held(symbol).units)
        return any(
            o.reduces and o.kind == "market" and o.tag[0] != "take" and o.active_ns <= open_ns
            and abs(o.units) >= held
            for o in self.working(symbol)
        )  # fmt: skip

    def is_exiting(self, symbol: str) -> bool:
        """Return whether an exit or a stop of a position works."""
        works = (o for o in self.working(symbol) if o.reduces and o.kind == "market")
        return any(o.tag[0] != "take" for o in works)

    def taking(self, symbol: str) -> Fraction:
        """Return the units that takes at market will sell."""
        takes = (o for o in self.working(symbol) if o.tag[0] == "take" and o.kind == "market")
        return min(abs(self.held(symbol).units), sum((abs(o.units) for o in takes), ZERO))

    def words(self, symbol: str) -> dict[str, float]:
        """Return every name that a condition may use now."""
        words = data_words(self.s, self.market, symbol, self.now_ns)
        return words | position_words(self.held(symbol), words["close"])

    def lot(self, symbol: str) -> Fraction:
        """Return a symbol's lot."""
        return exact(self.s.instrument_of(symbol).lot)

    def tick(self, symbol: str) -> Fraction:
        """Return a symbol's tick, 0 for none."""
        return exact(self.s.instrument_of(symbol).tick)

    def may_send(self, symbol: str, units: Fraction, price: Fraction) -> bool:
        """Return whether an order has the lot, the minimum quantity and the minimum notional."""
        least = exact(self.s.instrument_of(symbol).min_notional)
        return not self.lacks_units(symbol, units) and abs(units) * price >= least

    def lacks_units(self, symbol: str, units: Fraction) -> bool:
        """Return whether an order is less than one lot, or than the minimum quantity."""
        least = exact(self.s.instrument_of(symbol).min_quantity)
        return abs(units) < max(self.lot(symbol), least)

    def too_small(self, symbol: str, units: Fraction) -> str:
        """Return the name of the check that an order too small to be sent does not pass."""
        return "lot" if self.lacks_units(symbol, units) else "min_notional"

    def begins_again(self, symbol: str, side: int) -> bool:
        """Return whether an entry of a side finds a position there that is too small to be sold."""
        held = self.held(symbol)
        return held.side == side and not self.may_send(symbol, held.units, self.marks[symbol])

    def unit_cost(self, kind: Kind, price: Fraction) -> Fraction:
        """Return what one unit costs: a market order or stop pays slippage and the taker fee."""
        costs = self.s.costs
        if kind == "limit":
            return price * (1 + exact(costs.maker))
        return price * (1 + exact(costs.slippage)) * (1 + exact(costs.taker))

    def slipped(self, symbol: str, price: Fraction, side: int) -> Fraction:
        """Return the price of a taker: slippage against it, then the tick against it."""
        moved = price * (1 + side * exact(self.s.costs.slippage))
        return on_tick(moved, self.tick(symbol), side)

    def report(self, symbol: str, what: str, of: str = "") -> None:
        """Note something that is no order."""
        self.findings.append(Finding(self.now_ns, symbol, what, of))

    # ------------------------------------------------------------------ acting

    def send(
        self, symbol: str, units: Fraction, reason: str, *, reduces: bool, kind: Kind = "market",
        price: Fraction | None = None, tag: tuple[str, int, int] = ("", 0, 0),
        active_ns: int | None = None,
    ) -> Order:  # fmt: skip
        """Make an order work from T + latency, or from the instant that is given."""
        active = self.now_ns + self.s.costs.latency_ns if active_ns is None else active_ns
        order = Order(
            len(self.orders), self.now_ns, active, symbol, units, kind, price, reduces, reason,
            self.marks.get(symbol, ZERO), tag,
        )  # fmt: skip
        self.orders.append(order)
        self.live.append(order)
        return order

    def end(self, order: Order, status: str, by: str, time_ns: int) -> None:
        """Take an order out of work."""
        assert status in ("filled", "cancelled", "expired")
        order.status, order.ended_by, order.ended_ns = status, by, time_ns  # type: ignore[assignment]

    def cancel_increases(self, symbol: str, by: str, time_ns: int) -> None:
        """Cancel what may still enlarge a position of a symbol."""
        for order in self.increases(symbol):
            self.end(order, "cancelled", by, time_ns)

    def cancel_entries(self, symbol: str, by: str, time_ns: int) -> None:
        """Cancel entries that a signal has decided; a regular buy goes on."""
        for order in self.increases(symbol):
            if order.tag[0] == "entry":
                self.end(order, "cancelled", by, time_ns)

    def cancel_grid(self, symbol: str, by: str, time_ns: int) -> None:
        """Cancel what of a grid rests: an exit of all waits."""
        for order in self.working(symbol):
            if order.tag[0] == "grid":
                self.end(order, "cancelled", by, time_ns)

    def fill(self, order: Order, price: Fraction, *, maker: bool | None, time_ns: int) -> None:
        """Fill an order as far as the position or, for a spot buy, the cash reaches.

        `maker` states whose fee is paid; None is without costs.
        """
        symbol, held = order.symbol, self.held(order.symbol)
        rates = {None: 0.0, True: self.s.costs.maker, False: self.s.costs.taker}
        rate = exact(rates[maker])
        units, short_of_cash = order.units, False
        if order.reduces:
            most = abs(held.units) if held.side == -sign(units) else ZERO
            units = sign(units) * min(abs(units), most)
        wanted = units
        units = sign(units) * min(abs(units), self.room.get(symbol, abs(units)))
        if not order.reduces and self.s.account == "spot" and units > 0:
            cash = max(ZERO, self.account.cash)
            afford = floor_lots(cash / (price * (1 + rate)), self.lot(symbol))
            if units > afford:
                units, short_of_cash = afford, True
        if not units:
            if wanted and not short_of_cash:
                self._keep_rest(order, time_ns)
                return
            by = "cash" if short_of_cash else "nothing_held"
            self.end(order, "cancelled", by, time_ns)
            return
        self._use_volume(symbol, units)
        rest = wanted - units
        if order is self.reversal(symbol):  # one order, two trades
            closes = -sign(held.units) * min(abs(held.units), abs(units))
            self._book(order, closes, price, rate, time_ns, "reversal")
            units -= closes
        if units:
            self._book(order, units, price, rate, time_ns, order.reason)
        if rest and not short_of_cash:
            order.units = rest
            if order.is_working:  # not so where it was a grid's, and the trade is closed
                self._keep_rest(order, time_ns)
            return
        self.end(order, *(("cancelled", "cash") if short_of_cash else ("filled", order.reason)),
                 time_ns)  # fmt: skip

    def _use_volume(self, symbol: str, units: Fraction) -> None:
        if symbol in self.room:
            self.room[symbol] -= abs(units)

    def _keep_rest(self, order: Order, time_ns: int) -> None:
        """What the volume of the bar held back of an order: it goes on, rests on, or ends.

        A stop goes on at market; that of a take or target at a level rests as a new order; that of
        a resting stop that adds, and of an entry of a grid that has filled in part, ends.
        """
        if order.kind == "stop" and order.reduces:
            order.kind, order.price = "market", None
            return
        at_level = order.reduces and order.kind == "limit" and order.tag[0] != "grid"
        begun = order.tag[0] == "grid" and not order.reduces and order.units != order.asked
        if at_level or begun or (order.kind == "stop" and not order.reduces):
            self.end(order, "expired", "unfilled", time_ns)

    def _book(
        self, order: Order, units: Fraction, price: Fraction, rate: Fraction, time_ns: int,
        reason: str,
    ) -> None:  # fmt: skip
        """Book a fill, and begin or end the trade that it opens or closes."""
        symbol, side = order.symbol, self.held(order.symbol).side
        fee = abs(units) * price * rate
        self.account.book(
            symbol,
            units,
            price,
            fee,
            time_ns,
            reason,
            adds=order.tag[0] == "add" and order.units == order.asked,
        )
        self.fills.append(Fill(time_ns, symbol, units, price, fee, reason, order.number,
                               self.bars_ns.get(symbol, 0)))  # fmt: skip
        plan = self.sided.get((symbol, sign(units)))
        if not side and plan is not None:
            self.trade[symbol] = levels.start(plan, sign(units), self.held(symbol))
        elif order.tag[0] == "grid" and side == sign(units) and symbol in self.exits_to_retry:
            self._begin_again(symbol, side, time_ns)
        elif order.begins_again and side == sign(units):
            self._begin_again(symbol, side, time_ns)
            self.trade[symbol].first_units = abs(units)  # adds are shares of this entry
            order.begins_again = False
        elif order.tag[0] == "entry" and side == sign(units) and symbol in self.trade:
            self.trade[symbol].first_units += abs(units)
        trade, take = self.trade.get(symbol), order.tag[0] == "take"
        if trade is not None and take and self.s.position.take[order.tag[1]].then_stop:
            trade.has_break_even = True
        if side and not self.held(symbol).side:
            self._flat(symbol, side, reason, time_ns)

    def _begin_again(self, symbol: str, side: int, time_ns: int) -> None:
        """An entry adds to what is too small to be sold: that exit and its adds are dropped.

        Stops, R, takes and adds begin again, from the average cost and what is held now.
        """
        self.exits_to_retry.pop(symbol, None)
        self.blocked_by.pop((symbol, side), None)
        self.blocked.pop((symbol, side), None)
        for order in self.working(symbol):
            if order.tag[0] == "add":
                self.end(order, "cancelled", "position_closed", time_ns)
        held = self.held(symbol)
        held.first_price = held.best = held.entry_price
        held.begun_ns, held.taken_from = time_ns, abs(held.units)
        held.bars_held = held.adds = 0
        self.trade[symbol] = levels.start(self.sided[symbol, side], side, held)

    def _flat(self, symbol: str, side: int, reason: str, time_ns: int) -> None:
        """A closed position loses its adds and exits; a stop or a halt blocks its side."""
        self.trade.pop(symbol, None)
        self.exits_to_retry.pop(symbol, None)
        ends = reason != "grid"  # a grid that has sold its last level goes on resting below
        for order in self.working(symbol):
            adds = order.tag[0] in ("add", "rebalance") and sign(order.units) == side
            exits = order.reduces and order.kind == "market"  # nothing is left for it to close
            if adds or exits or (order.tag[0] == "grid" and (ends or order.reduces)):
                self.end(order, "cancelled", "position_closed", time_ns)
        if ends:
            self.grids.pop(symbol, None)
        for grid in self.grids.get(symbol, []):
            grid.bought.clear()
        if reason in BLOCKING and self.blocked_by.get((symbol, side)) != reason:
            self.block(symbol, side, reason)
        self.blocked_by.pop((symbol, side), None)

    def block(self, symbol: str, side: int, reason: str) -> None:
        """Block a side against re-entry: for so many decisions, or until the signal differs.

        The fill of the same exit does not block it anew.
        """
        self.blocked_by[symbol, side] = reason
        if self.s.reentry != "immediate":
            bars = self.s.reentry + 1 if isinstance(self.s.reentry, int) else None  # this one
            self.blocked[symbol, side] = bars

    def let_exit_wait(self, symbol: str, reason: str, time_ns: int) -> None:
        """Retry at every T an exit that is too small to be sent; one that was sent goes on."""
        if symbol in self.exits_to_retry:
            return
        self.cancel_grid(symbol, reason, time_ns)
        if not self.all_is_sent(symbol):
            self.report(symbol, "too_small", reason)
            self.exits_to_retry[symbol] = reason

    def close(
        self, symbol: str, reason: str, *, mark: Fraction | None = None,
        active_ns: int | None = None,
    ) -> None:  # fmt: skip
        """Send what closes a position; below the minimum notional it is tried at every T."""
        held, turns = self.held(symbol), self.reversal(symbol)
        self.cancel_increases(symbol, reason, self.now_ns)
        if not held.units:
            return
        if self.leaving(symbol) == abs(held.units):
            return
        for order in self.working(symbol):
            self.end(order, "cancelled", reason, self.now_ns)
        if not self.may_send(symbol, held.units, self.marks[symbol] if mark is None else mark):
            if symbol not in self.exits_to_retry:  # one that waits already keeps its reason
                self.report(symbol, "too_small", reason)
                self.exits_to_retry[symbol] = reason
                if reason in BLOCKING:
                    self.block(symbol, held.side, reason)
            return
        self.exits_to_retry.pop(symbol, None)
        if active_ns is None:
            active_ns = self.now_ns + self.s.costs.latency_ns
        if turns is not None:  # what it would have closed is closed when it would have been
            active_ns = min(active_ns, turns.active_ns)
        self.send(symbol, -held.units, reason, reduces=True, active_ns=active_ns)
