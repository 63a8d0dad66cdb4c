"""Books the live run's fills again: at simulated prices, with simulated fees, and as traded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from septet._data.bars import BarTable, Instrument
from septet._diff.backtest_side import Seen
from septet._diff.live_side import Booking, Closing, Lived
from septet._diff.paper_fills import Due
from septet._kernel import layout, match
from septet._kernel.ledger import fee_of_fill as _fee_of_fill
from septet._rules import ledger as _ledger
from septet._rules.records import Fill
from septet._rules.run_state import Run

__all__ = ["Priced", "Simulator", "booked_again"]

ledger: Any = _ledger  # rules and helpers carry no types
fee_of_fill: Any = _fee_of_fill
matching: Any = match
KINDS: Final = {
    "market": layout.MARKET, "limit": layout.LIMIT, "stop": layout.STOP,
    "stop_limit": layout.STOP_LIMIT,
}  # fmt: skip
NAN: Final = float("nan")
NO_SLIPPAGE: Final = -1


@dataclass(frozen=True, slots=True)
class Priced:
    """A fill with its simulated counterpart.

    `price` and `maker` are the simulator's; `fee` (quote) is its fee at the actual price, `paid`
    the actual fee. `less` is the quantity by which the received units are below the simulated ones,
    if a fee was taken in the base currency: its value changes with the price, although both fees
    have the same value at the fill.
    """

    booking: Booking
    price: float
    maker: bool
    fee: float
    paid: float
    less: float = 0.0


@dataclass
class _Order:
    """The order of a fill, for the simulator; `at` is None if it was decided between bars.

    `mark` is the price that the decision saw. `enters` is False for a take-profit, which rests from
    the entry on.
    """

    kind: int
    at: int | None
    mark: float
    limit: float
    trigger: float
    protects: bool
    enters: bool = False


class Simulator:
    """Prices at which the backtest's simulator would have filled the live run's orders."""

    def __init__(self, lived: Lived, seen: Seen) -> None:
        self._lived, self._seen = lived, seen
        terms = seen.session.plan.assembly.terms
        self._simulation = terms.simulation
        self._latency_ns = int(terms.simulation.latency) * terms.bar_ns
        self._tables = [seen.market.bars[name] for name in lived.symbols]
        self._ticks = [each.tick for each in seen.session.instruments]
        self._row = self._slippage_row()

    def _slippage_row(self) -> int:
        """Return the row of F with the volatility that scales slippage, or NO_SLIPPAGE."""
        assembly = self._seen.session.plan.assembly
        for node in assembly.graph.nodes:
            if node.label == "slippage.volatility":
                return assembly.rows.f[(node.number, 0)]
        return NO_SLIPPAGE

    def price(self, booking: Booking) -> tuple[float, bool]:
        """Return the simulated price of a fill, and whether it is a maker's; or its own."""
        order = self._order(booking)
        if order is not None:
            price, maker = self._of_order(booking, order)
            if price == price:
                return price, maker
        return booking.traded.price, booking.traded.maker

    def _of_order(self, booking: Booking, order: _Order) -> tuple[float, bool]:
        k, side = booking.traded.symbol, booking.sign
        if order.protects:
            return self._stopped(k, side, order.trigger, booking.traded.market_ns), False
        if order.kind == layout.MARKET:
            return self._at_open(k, side, order), False
        return self._resting(k, side, order, booking.traded.market_ns)

    def _order(self, booking: Booking) -> _Order | None:
        """Find the order of a fill."""
        lived = self._lived
        placed = lived.placed.get(booking.traded.order)
        if placed is None:
            fill = booking.fill
            own = lived.sent.get(fill.client_id) if fill is not None else None
            if own is None or own.trigger_price is None:
                return None
            return _Order(layout.STOP, None, NAN, NAN, own.trigger_price, True)
        at = placed.time_ns if placed.time_ns in lived.decision_times else None
        return _Order(
            KINDS[placed.order_type], at, placed.decision_price, _number(placed.limit_price),
            _number(placed.trigger_price), False, placed.reason in ("entry", "rebalance"),
        )  # fmt: skip

    def slippage(self, k: int, i: int) -> float:
        """Slippage of a market order that meets bar i."""
        slippage = self._simulation.slippage
        if self._row == NO_SLIPPAGE:
            return float(slippage.fraction)
        volatility = float(self._seen.F[k, self._row, max(i - 1, 0)])
        return float(matching.slippage_of(slippage.fraction, slippage.volatility, volatility))

    def _at_open(self, k: int, side: float, order: _Order) -> float:
        """Price of a market order: the next open, or the mark at which it was decided."""
        table, tick = self._tables[k], self._ticks[k]
        i = self._first_bar(table, order.at) if order.at is not None else len(table)
        if i < len(table):
            opened = float(table.open[i])
            return self._slipped(opened, side, self.slippage(k, i), tick)
        return self._slipped(order.mark, side, self.slippage(k, len(table) - 1), tick)

    def _first_bar(self, table: BarTable, decided_ns: int) -> int:
        """Return the first bar that matches an order; synthetic bars never trade."""
        active_ns = decided_ns + self._latency_ns
        i = int(np.searchsorted(table.open_ns, active_ns, side="left"))
        while table.filled is not None and i < len(table) and table.filled[i]:
            i += 1
        return i

    @staticmethod
    def _slipped(price: float, side: float, slippage: float, tick: float) -> float:
        return float(matching.round_against(price * (1.0 + side * slippage), side, tick))

    def _resting(self, k: int, side: float, order: _Order, filled_ns: int) -> tuple[float, bool]:
        """Return the price of a resting order: its own, or where a bar trades through it."""
        table, tick = self._tables[k], self._ticks[k]
        first = self._first_bar(table, order.at) if order.at is not None else len(table)
        kind = order.kind
        for i in range(first, int(np.searchsorted(table.open_ns, filled_ns, side="right"))):
            slippage, arrives = self.slippage(k, i), int(order.enters and i == first)
            terms = (kind, side, order.limit, order.trigger)
            price = matching.match_open(*terms, float(table.open[i]), slippage, tick, arrives)
            if price == price:
                return float(price), kind == layout.LIMIT and not arrives
            high, low = float(table.high[i]), float(table.low[i])
            price = matching.match_within(*terms, high, low, slippage, tick)
            if price == price:
                return float(price), kind == layout.LIMIT
        if kind == layout.STOP:
            slippage = self.slippage(k, len(table) - 1)
            return self._slipped(order.trigger, side, slippage, tick), False
        return order.limit, True

    def _stopped(self, k: int, side: float, level: float, filled_ns: int) -> float:
        """Price of a protective stop in the bar it filled in; `side` is that of its order."""
        table, tick = self._tables[k], self._ticks[k]
        i = int(np.searchsorted(table.open_ns, filled_ns, side="right")) - 1
        slippage = self.slippage(k, max(i, 0))
        if i >= 0 and filled_ns <= table.known_ns[i]:
            bar = (float(each[i]) for each in (table.open, table.high, table.low))
            price = float(matching.stop_price(-side, level, *bar, slippage, tick))
            if price == price:
                return price
        return self._slipped(level, side, slippage, tick)


def _number(value: float | None) -> float:
    return NAN if value is None else value


class _Account:
    """Cash and positions of the real ledger, without decisions."""

    def __init__(self, seen: Seen, instruments: Sequence[Instrument], capital: float) -> None:
        plan = seen.session.plan
        self.state = plan.state(capital, instruments)
        self._log = plan.log(16)

    def _run(self) -> Run:
        """Return the account as rules see it, its log empty."""
        state, (rows, figures) = self.state, self._log
        state.C[layout.LOG] = 0
        arrays = {"A": state.A, "C": state.C, "B": state.B, "I": state.I}
        return Run({**arrays, "LI": rows, "LF": figures})

    def book(
        self, booking: Booking, units: float, price: float, net_units: float, fee: float
    ) -> None:
        """Book a fill whose fee is known."""
        traded = booking.traded
        fill = Fill(
            units=units, price=price, maker=int(traded.maker), time_ns=traded.market_ns,
            order_id=traded.order, reason=0, decision_price=price,
        )  # fmt: skip
        ledger.book_amounts(traded.symbol, fill, net_units, fee, self._run())

    def fund(self, due: Sequence[Due], time_ns: int) -> None:
        """Charge the funding of a decision time: before a bar, on the position held."""
        book = self.state.B
        for k, rate, price, before in due:
            units = book[k, layout.HELD_BEFORE if before else layout.UNITS]
            ledger.pay_funding(k, units, rate, price, time_ns, self._run())
        book[:, layout.HELD_BEFORE] = book[:, layout.UNITS]

    def worth(self, marks: Mapping[int, float]) -> float:
        """Equity at some prices."""
        book = self.state.B
        held = book[:, layout.UNITS] / book[:, layout.SCALE]
        total = 0.0
        for k, units in enumerate(held.tolist()):
            if units:
                total += units * marks[k]
        return float(self.state.A[layout.CASH]) + total


def booked_again(
    lived: Lived,
    simulator: Simulator,
    seen: Seen,
    instruments: Sequence[Instrument],
    funding: Sequence[Sequence[Due]],
    until_ns: int,
) -> tuple[tuple[float, float, float], list[Priced]]:
    """Book the live run's fills up to a decision time in three ways; return each equity.

    The three are: simulated prices and fees; actual prices and simulated fees; actual prices and
    fees. Each fill is returned too, with its simulated counterpart.
    """
    capital = float(lived.head.facts["capital"])
    accounts = [_Account(seen, instruments, capital) for _ in range(3)]
    priced: list[Priced] = []
    due = iter(funding)
    for move in lived.moves:
        if isinstance(move, Closing):
            owed = next(due)
            for account in accounts:
                account.fund(owed, move.time_ns)
            if move.decides and move.time_ns == until_ns:
                break
            continue
        priced.append(_book(lived, simulator, seen, accounts, move))
    marks = lived.marks[until_ns]
    simulated, at_prices, actual = (account.worth(marks) for account in accounts)
    return (simulated, at_prices, actual), priced


def _book(
    lived: Lived, simulator: Simulator, seen: Seen, accounts: Sequence[_Account], booking: Booking
) -> Priced:
    """Book one fill three times."""
    traded, k = booking.traded, booking.traded.symbol
    scale = float(accounts[0].state.B[k, layout.SCALE])
    units = booking.sign * round(traded.quantity * scale)
    net_units, paid = _as_paid(lived, booking, units, scale)
    if traded.order < 0 and booking.fill is None:  # taken over, not traded
        for account in accounts:
            account.book(booking, units, traded.price, net_units, paid)
        return Priced(booking, traded.price, traded.maker, paid, paid)
    price, maker = simulator.price(booking)
    fee = seen.session.plan.assembly.terms.simulation.fee
    rate = float(fee.maker if maker else fee.taker)
    received = int(fee.fee_currency == "base")
    fees = []
    for account, at in zip(accounts, (price, traded.price), strict=False):
        arrives, cost = _charged(units, at, rate, received, scale)
        account.book(booking, units, at, arrives, cost)
        fees.append(cost)
        less = (arrives - net_units) / scale
    accounts[2].book(booking, units, traded.price, net_units, paid)
    return Priced(booking, price, maker, fees[1], paid, less)


def _charged(
    units: float, price: float, rate: float, received: int, scale: float
) -> tuple[float, float]:
    """Return the net units and the fee (quote), by the simulator's rate."""
    net_units, fee = fee_of_fill(units, price, rate, received, scale)
    return float(net_units), float(fee)


def _as_paid(lived: Lived, booking: Booking, units: float, scale: float) -> tuple[float, float]:
    """Return the net units and the fee (quote), as the live core booked them."""
    traded, k = booking.traded, booking.traded.symbol
    facts = lived.head.facts
    if traded.fee_currency == facts["bases"][k]:
        fill = booking.fill  # the reported and the booked quantity round to the same units
        exact = fill is not None and round(fill.quantity * scale) == abs(units)
        quantity = booking.sign * (fill.quantity if fill and exact else traded.quantity)
        return float(round((quantity - traded.fee) * scale)), traded.fee * traded.price
    if traded.fee_currency == facts["quotes"][k]:
        return units, traded.fee
    return units, traded.fee_quote or 0.0
