"""Cash, holdings, trades flat to flat and first-in first-out round trips, in exact fractions."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.exact_fraction import Fraction
from tests.fidelity.positions.exact import ZERO, sign

__all__ = ["Account", "Holding", "Lot", "RoundTrip", "Trade"]


@dataclass
class Lot:
    """What one fill has entered and no exit has matched yet."""

    units: Fraction
    price: Fraction
    fee: Fraction
    time_ns: int


@dataclass(frozen=True)
class RoundTrip:
    """A part of an entry matched with a part of an exit, first in first out."""

    symbol: str
    side: int
    units: Fraction
    entry_ns: int
    entry_price: Fraction
    exit_ns: int
    exit_price: Fraction
    fees: Fraction

    @property
    def result(self) -> Fraction:
        """Return the result after the fees of both parts."""
        return self.side * self.units * (self.exit_price - self.entry_price) - self.fees


@dataclass(frozen=True)
class Trade:
    """A trade from flat to flat at average cost; `open` at the end is not closed."""

    symbol: str
    side: int
    opened_ns: int
    closed_ns: int
    units: Fraction
    entered: Fraction
    result: Fraction
    fees: Fraction
    exit_reason: str

    @property
    def share(self) -> Fraction:
        """Return the result over the sum of the entry notionals."""
        return self.result / self.entered


@dataclass
class Holding:
    """What is held of a symbol, and the trade it belongs to; takes are shares of `taken_from`."""

    units: Fraction = ZERO
    cost: Fraction = ZERO
    entry_fees: Fraction = ZERO
    opened_ns: int = 0
    begun_ns: int = 0
    first_price: Fraction = ZERO
    last_price: Fraction = ZERO
    best: Fraction = ZERO
    bars_held: int = 0
    adds: int = 0
    entered_units: Fraction = ZERO
    taken_from: Fraction = ZERO
    entered: Fraction = ZERO
    flow: Fraction = ZERO
    fees: Fraction = ZERO
    lots: list[Lot] = field(default_factory=list)

    @property
    def side(self) -> int:
        """Return 1 for long, -1 for short, 0 for flat."""
        return sign(self.units)

    @property
    def entry_price(self) -> Fraction:
        """Return the average cost of what is held."""
        return self.cost / abs(self.units)


@dataclass
class Account:
    """An account that knows of fills alone."""

    cash: Fraction
    holdings: dict[str, Holding]
    trades: list[Trade] = field(default_factory=list)
    round_trips: list[RoundTrip] = field(default_factory=list)

    def book(
        self, symbol: str, units: Fraction, price: Fraction, fee: Fraction, time_ns: int,
        reason: str, *, adds: bool = False,
    ) -> None:  # fmt: skip
        """Book one fill; it opens, adds to, reduces or closes, and never crosses zero."""
        held = self.holdings[symbol]
        if held.side and held.side != sign(units) and abs(units) > abs(held.units):
            raise ValueError("one fill crosses zero")
        self.cash -= units * price + fee
        if not held.side:
            held = Holding(opened_ns=time_ns, begun_ns=time_ns, first_price=price, best=price)
            self.holdings[symbol] = held
        held.flow -= units * price + fee
        held.fees += fee
        if held.side in (0, sign(units)):
            held.cost += abs(units) * price
            held.entry_fees += fee
            held.units += units
            held.last_price = price
            held.entered_units += abs(units)
            held.taken_from += abs(units)
            held.entered += abs(units) * price
            held.adds += adds
            held.lots.append(Lot(abs(units), price, fee, time_ns))
            return
        self._match(symbol, held, abs(units), price, fee, time_ns)
        left = 1 - abs(units) / abs(held.units)
        held.cost *= left
        held.entry_fees *= left
        side = held.side
        held.units += units
        if not held.side:
            self.trades.append(self._trade(symbol, side, held, held.flow, time_ns, reason))
            self.holdings[symbol] = Holding()

    def _match(
        self, symbol: str, held: Holding, units: Fraction, price: Fraction, fee: Fraction,
        time_ns: int,
    ) -> None:  # fmt: skip
        """Match an exit with the oldest entries first; fees go with their units."""
        left = units
        while left:
            lot = held.lots[0]
            part = min(left, lot.units)
            paid = lot.fee * part / lot.units + fee * part / units
            self.round_trips.append(
                RoundTrip(symbol, held.side, part, lot.time_ns, lot.price, time_ns, price, paid)
            )
            lot.fee -= lot.fee * part / lot.units
            lot.units -= part
            left -= part
            if not lot.units:
                held.lots.pop(0)

    @staticmethod
    def _trade(
        symbol: str, side: int, held: Holding, result: Fraction, time_ns: int, reason: str
    ) -> Trade:
        return Trade(
            symbol, side, held.opened_ns, time_ns, held.entered_units, held.entered, result,
            held.fees, reason,
        )  # fmt: skip

    def equity(self, marks: dict[str, Fraction]) -> Fraction:
        """Return cash and every holding at its mark."""
        worth = (held.units * marks[name] for name, held in self.holdings.items() if held.units)
        return self.cash + sum(worth, ZERO)

    def open_trades(self, marks: dict[str, Fraction], time_ns: int) -> list[Trade]:
        """Return what is still held as trades with the reason `open`, at the last marks."""
        return [
            self._trade(
                name, held.side, held, held.flow + held.units * marks[name], time_ns, "open"
            )
            for name, held in self.holdings.items()
            if held.units
        ]
