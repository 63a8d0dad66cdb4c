"""Round trips, excursions and holding times worked out one by one, in exact fractions.

Written from the sentences of docs/results.md: a queue of lots a symbol, and a scan of every bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.exact_fraction import Fraction

__all__ = ["Pair", "excursion", "flat_symbols", "pairs"]


@dataclass
class _Lot:
    units: Fraction
    fee: Fraction
    price: Fraction
    time_ns: int


@dataclass(frozen=True)
class Pair:
    """A part of an entry and the part of an exit it is matched with; `funding` is not in it."""

    symbol: str
    side: int
    units: Fraction
    entry_ns: int
    entry_price: Fraction
    exit_ns: int
    exit_price: Fraction
    fees: Fraction
    liquidation: Fraction

    @property
    def result(self) -> Fraction:
        """Return what it made, without funding."""
        gross = self.side * self.units * (self.exit_price - self.entry_price)
        return gross - self.fees - self.liquidation


def _decimal(value: float) -> Fraction:
    """Return the decimal number that a quantity was written as."""
    return Fraction(repr(float(value)))


def pairs(
    fills: list[dict[str, Any]],
) -> tuple[list[Pair], dict[str, list[_Lot]], dict[str, Fraction]]:
    """Match fills in their order; also what is left of each symbol, and fees that bought nothing.

    A row of `fills` is one of the table, its time in nanoseconds.
    """
    found: list[Pair] = []
    lots: dict[str, list[_Lot]] = {}
    lost: dict[str, Fraction] = {}
    sides: dict[str, int] = {}
    for row in fills:
        symbol, price = row["symbol"], Fraction(row["price"])
        side = 1 if row["side"] == "buy" else -1
        units, fee = side * _decimal(row["quantity"]), Fraction(row["fee"])
        if row["fee_currency"] == symbol.partition("/")[0]:
            units -= _decimal(row["fee"])
            fee = _decimal(row["fee"]) * price
        held = lots.setdefault(symbol, [])
        if not units:
            lost[symbol] = lost.get(symbol, Fraction(0)) + fee
            continue
        each, left = fee / abs(units), abs(units)
        closing = min(left, sum((lot.units for lot in held), Fraction(0)))
        closing = closing if held and sides[symbol] == -side else Fraction(0)
        while held and sides[symbol] == -side and left:
            lot = held[0]
            part = min(left, lot.units)
            charge = Fraction(row["liquidation"]) * part / closing
            paid = lot.fee * part / lot.units + each * part
            found.append(
                Pair(
                    symbol, sides[symbol], part, lot.time_ns, lot.price, row["time"], price, paid,
                    charge,
                )
            )  # fmt: skip
            lot.fee -= lot.fee * part / lot.units
            lot.units -= part
            left -= part
            if not lot.units:
                held.pop(0)
        if left:
            sides[symbol] = side
            held.append(_Lot(left, each * left, price, row["time"]))
    return found, lots, lost


def flat_symbols(lots: dict[str, list[_Lot]]) -> set[str]:
    """Return the symbols of which nothing at all is held, and that were filled."""
    return {symbol for symbol, held in lots.items() if not held}


def excursion(
    row: dict[str, Any], bars: list[tuple[int, int, float, float]]
) -> tuple[float, float, int]:
    """Adverse and favourable excursion of a trade, and bars held; bars are (open, known, h, l)."""
    entry_ns, exit_ns = row["entry_time"], row["exit_time"]
    inside = [bar for bar in bars if bar[1] > entry_ns and bar[0] < exit_ns]
    shown = inside or [bar for bar in bars if bar[1] == entry_ns == exit_ns]
    entry, left = row["entry_price"], row["exit_price"]
    prices = [entry, left, *(price for bar in shown for price in bar[2:])]
    down, up = (entry - min(prices)) / entry, (max(prices) - entry) / entry
    return (down, up, len(inside)) if row["side"] == "long" else (up, down, len(inside))
