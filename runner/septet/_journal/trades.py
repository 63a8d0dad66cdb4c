"""Turns fills into trades, flat to flat at average cost, by the ledger's rule.

The ledger (`septet._rules.ledger`) books whole units of an instrument's precision; so does this,
in the same order of the same operations, so that the figures are the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from septet._kernel import ledger

__all__ = ["Instrument", "TradeBook"]

_LEDGER: Final[Any] = ledger
"""The plain text of the compiled rules; steps carry no types."""

ENTRY: Final = "entry"
REVERSAL: Final = "reversal"
"""Why a trade ended that an entry of the other side has closed, or a fill beyond zero."""


@dataclass(slots=True)
class Instrument:
    """The precision by which a position counts as flat, in the base."""

    lot: float = 1e-8
    precision: float = 1e-8

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Instrument:
        """Read an instrument from the journal's head, with defaults for missing values."""
        return cls(**{name: float(facts[name]) for name in cls.__slots__ if name in facts})

    @property
    def scale(self) -> float:
        """Units in one of the base currency."""
        return float(round(1.0 / self.precision))


@dataclass(slots=True)
class _Position:
    units: float = 0.0
    side: int = 0
    entry_ns: int = 0
    average: float = math.nan
    closed: float = 0.0
    closed_average: float = math.nan
    exit_notional: float = 0.0
    gross: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    liquidation: float = 0.0
    slippage: float = 0.0
    dust_cost: float = 0.0
    dust_fees: float = 0.0
    dust_funding: float = 0.0
    dust_slippage: float = 0.0

    def book_dust(self, amount: float, price: float, fee: float, slippage: float) -> None:
        """Book units below one lot that belong to no trade."""
        self.dust_cost = self.dust_cost + amount * price + fee
        self.dust_fees += fee
        self.dust_slippage += slippage


@dataclass
class TradeBook:
    """Positions and closed trades, folded fill by fill; rows are those of the table `trades`."""

    instruments: dict[int, Instrument]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    _held: dict[int, _Position] = field(default_factory=dict)

    def scale(self, k: int) -> float:
        """Units in one of a symbol's base currency."""
        return self.instruments.setdefault(k, Instrument()).scale

    def units(self, k: int) -> float:
        """Position of a symbol, in units."""
        return self._held[k].units if k in self._held else 0.0

    def held(self) -> list[tuple[int, float, float]]:
        """Return the positions: symbol, signed quantity, average entry price (NaN for dust)."""
        return [
            (k, held.units / self.instruments[k].scale, held.average)
            for k, held in sorted(self._held.items())
            if held.units != 0.0
        ]

    def fill(
        self, k: int, units: float, price: float, fee: float, time_ns: int, reason: str,
        slippage: float = 0.0, liquidation: float = 0.0,
    ) -> None:  # fmt: skip
        """Book the signed units net of a fee in the base; the other amounts are in the quote."""
        of = self.instruments.setdefault(k, Instrument())
        held = self._held.setdefault(k, _Position())
        scale, lot = of.scale, of.lot * of.scale
        if units == 0.0:
            return
        before, after = held.units, held.units + units
        held.units = after
        held.liquidation += liquidation
        if held.side == 0:
            if abs(after) < lot or after * units <= 0.0:  # dust before, dust after
                held.book_dust(units / scale, price, fee, slippage)
                return
            if before != 0.0:
                held.dust_cost = held.dust_cost - before / scale * price
            self._open(held, units if before * units >= 0.0 else after, price, time_ns)
            held.fees, held.slippage = fee, slippage
            return
        if units * held.side > 0.0:
            held.average = (held.average * abs(before) + price * abs(units)) / abs(after)
            held.fees += fee
            held.slippage += slippage
            return
        closing = min(abs(units), abs(before))
        share = closing / abs(units)
        held.gross += (price - held.average) * held.side * (closing / scale)
        held.fees += fee * share
        held.slippage += slippage * share
        held.exit_notional += closing / scale * price
        held.closed_average = _LEDGER.mean_price(
            held.closed_average, held.closed, held.average, closing
        )
        held.closed += closing
        if reason == ENTRY:
            reason = REVERSAL
        if after * held.side > 0.0 and abs(after) >= lot:
            return
        fee, slippage, side = fee * (1.0 - share), slippage * (1.0 - share), held.side
        if abs(after) < lot:
            self._close(k, held, scale, time_ns, reason)
            if after * side < 0.0:
                held.book_dust(after / scale, price, fee, slippage)
            return
        self._close(k, held, scale, time_ns, REVERSAL)
        self._open(held, after, price, time_ns)
        held.fees, held.slippage = fee, slippage

    def fund(self, k: int, paid: float) -> None:
        """Charge funding (quote) to the open trade of a symbol; without one it belongs to dust."""
        held = self._held.setdefault(k, _Position())
        if held.side != 0:
            held.funding += paid
        else:  # the position was closed before it was booked, or is less than a lot
            held.dust_cost += paid
            held.dust_funding += paid

    def correct(
        self, k: int, quantity: float, booked: float, price: float, fee: float, booked_ns: int,
        revalued: float = 0.0,
    ) -> None:  # fmt: skip
        """Correct the price of a signed quantity of a presumed fill, as the engine does.

        For a closed trade its row is corrected; units without a trade count as dust.
        """
        held, scale = self._held.setdefault(k, _Position()), self.scale(k)
        gain = quantity * (booked - price)
        if held.side != 0 and booked_ns >= held.entry_ns:
            held.fees += fee + revalued
            held.slippage -= gain
            if quantity * held.side < 0.0:
                held.gross += gain + revalued
                held.exit_notional += abs(quantity) * (price - booked)
            elif held.closed:
                held.gross += gain + revalued
            else:
                held.average -= held.side * (gain + revalued) / (abs(held.units) / scale)
            return
        for number in range(len(self.rows) - 1, -1, -1):
            row = self.rows[number]
            if row[0] == k and row[2] <= booked_ns <= row[4]:
                enters = (quantity > 0.0) == (row[1] == "long")
                place, moved = 3 if enters else 5, (price - booked) * abs(quantity)
                moved = (moved - revalued if enters else moved) / row[6]
                new = list(row)
                new[place] += moved
                new[7] += gain - fee
                new[8] += fee + revalued
                new[11] -= gain
                self.rows[number] = tuple(new)
                return
        held.dust_cost -= gain - fee
        held.dust_fees += fee + revalued

    @staticmethod
    def _open(held: _Position, units: float, price: float, time_ns: int) -> None:
        held.side = 1 if units > 0.0 else -1
        held.entry_ns, held.average = time_ns, price
        held.closed = held.exit_notional = held.gross = held.funding = held.liquidation = 0.0

    def _close(self, k: int, held: _Position, scale: float, time_ns: int, reason: str) -> None:
        quantity = held.closed / scale
        pnl = held.gross - held.fees - held.funding - held.liquidation
        self.rows.append(
            (
                k, "long" if held.side > 0 else "short", held.entry_ns, held.closed_average,
                time_ns, held.exit_notional / quantity, quantity, pnl, held.fees, held.funding,
                held.liquidation, held.slippage, reason,
            )
        )  # fmt: skip
        if held.units * held.side > 0.0:  # less than a lot: kept at its cost
            held.dust_cost = held.dust_cost + held.units / scale * held.average
        held.side, held.average = 0, math.nan

    def still_open(self, marks: Mapping[int, float], time_ns: int) -> list[tuple[Any, ...]]:
        """Return the open positions at the last close, then the result of dust, as in the table.

        The open position of a trade counts as closed at the last close.
        """
        rows, rests = [], []
        for k, held in sorted(self._held.items()):
            scale = self.instruments[k].scale
            mark = marks.get(k, held.average)
            if held.side != 0:
                gross = held.gross + held.units / scale * (mark - held.average)
                pnl = gross - held.fees - held.funding - held.liquidation
                units = abs(held.units)
                entry = _LEDGER.mean_price(held.closed_average, held.closed, held.average, units)
                sold = held.exit_notional / (held.closed / scale) if held.closed else mark
                left = _LEDGER.mean_price(sold, held.closed, mark, units)
                rows.append(
                    (
                        k, "long" if held.side > 0 else "short", held.entry_ns, entry, time_ns,
                        left, (held.closed + units) / scale, pnl, held.fees, held.funding,
                        held.liquidation, held.slippage, "open",
                    )
                )  # fmt: skip
            dust = 0.0 if held.side != 0 else held.units
            made = (dust / scale * mark if dust else 0.0) - held.dust_cost
            if made != 0.0 or dust != 0.0 or held.dust_fees != 0.0:
                rests.append(
                    (
                        k, "short" if dust < 0.0 else "long", time_ns, mark, time_ns, mark,
                        abs(dust) / scale, made, held.dust_fees, held.dust_funding, 0.0,
                        held.dust_slippage, "dust",
                    )
                )  # fmt: skip
        return rows + rests
