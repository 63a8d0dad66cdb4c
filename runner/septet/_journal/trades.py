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
        position = self._held.setdefault(k, _Position())
        scale, lot = of.scale, of.lot * of.scale
        if units == 0.0:
            return
        units_before, units_after = position.units, position.units + units
        position.units = units_after
        position.liquidation += liquidation
        if position.side == 0:
            if abs(units_after) < lot or units_after * units <= 0.0:  # dust before, dust after
                position.book_dust(units / scale, price, fee, slippage)
                return
            if units_before != 0.0:
                position.dust_cost = position.dust_cost - units_before / scale * price
            self._open(
                position, units if units_before * units >= 0.0 else units_after, price, time_ns
            )
            position.fees, position.slippage = fee, slippage
            return
        if units * position.side > 0.0:
            position.average = (position.average * abs(units_before) + price * abs(units)) / abs(
                units_after
            )
            position.fees += fee
            position.slippage += slippage
            return
        closing = min(abs(units), abs(units_before))
        share = closing / abs(units)
        position.gross += (price - position.average) * position.side * (closing / scale)
        position.fees += fee * share
        position.slippage += slippage * share
        position.exit_notional += closing / scale * price
        position.closed_average = _LEDGER.mean_price(
            position.closed_average, position.closed, position.average, closing
        )
        position.closed += closing
        if reason == ENTRY:
            reason = REVERSAL
        if units_after * position.side > 0.0 and abs(units_after) >= lot:
            return
        fee, slippage, side = fee * (1.0 - share), slippage * (1.0 - share), position.side
        if abs(units_after) < lot:
            self._close(k, position, scale, time_ns, reason)
            if units_after * side < 0.0:
                position.book_dust(units_after / scale, price, fee, slippage)
            return
        self._close(k, position, scale, time_ns, REVERSAL)
        self._open(position, units_after, price, time_ns)
        position.fees, position.slippage = fee, slippage

    def fund(self, k: int, paid: float) -> None:
        """Charge funding (quote) to the open trade of a symbol; without one it belongs to dust."""
        position = self._held.setdefault(k, _Position())
        if position.side != 0:
            position.funding += paid
        else:  # the position was closed before it was booked, or is less than a lot
            position.dust_cost += paid
            position.dust_funding += paid

    def correct(
        self, k: int, quantity: float, booked: float, price: float, fee: float, booked_ns: int,
        revalued: float = 0.0,
    ) -> None:  # fmt: skip
        """Correct the price of a signed quantity of a presumed fill, as the engine does.

        For a closed trade its row is corrected; units without a trade count as dust.
        """
        position, scale = self._held.setdefault(k, _Position()), self.scale(k)
        gain = quantity * (booked - price)
        if position.side != 0 and booked_ns >= position.entry_ns:
            position.fees += fee + revalued
            position.slippage -= gain
            if quantity * position.side < 0.0:
                position.gross += gain + revalued
                position.exit_notional += abs(quantity) * (price - booked)
            elif position.closed:
                position.gross += gain + revalued
            else:
                position.average -= (
                    position.side * (gain + revalued) / (abs(position.units) / scale)
                )
            return
        for number in range(len(self.rows) - 1, -1, -1):
            row = self.rows[number]
            if row[0] == k and row[2] <= booked_ns <= row[4]:
                enters = (quantity > 0.0) == (row[1] == "long")
                column, change = 3 if enters else 5, (price - booked) * abs(quantity)
                change = (change - revalued if enters else change) / row[6]
                new = list(row)
                new[column] += change
                new[7] += gain - fee
                new[8] += fee + revalued
                new[11] -= gain
                self.rows[number] = tuple(new)
                return
        position.dust_cost -= gain - fee
        position.dust_fees += fee + revalued

    @staticmethod
    def _open(position: _Position, units: float, price: float, time_ns: int) -> None:
        position.side = 1 if units > 0.0 else -1
        position.entry_ns, position.average = time_ns, price
        position.closed = position.exit_notional = position.gross = position.funding = (
            position.liquidation
        ) = 0.0

    def _close(self, k: int, position: _Position, scale: float, time_ns: int, reason: str) -> None:
        quantity = position.closed / scale
        pnl = position.gross - position.fees - position.funding - position.liquidation
        self.rows.append(
            (
                k, "long" if position.side > 0 else "short", position.entry_ns,
                position.closed_average,
                time_ns, position.exit_notional / quantity, quantity, pnl, position.fees,
                position.funding, position.liquidation, position.slippage, reason,
            )
        )  # fmt: skip
        if position.units * position.side > 0.0:  # less than a lot: kept at its cost
            position.dust_cost = position.dust_cost + position.units / scale * position.average
        position.side, position.average = 0, math.nan

    def still_open(self, marks: Mapping[int, float], time_ns: int) -> list[tuple[Any, ...]]:
        """Return the open positions at the last close, then the result of dust, as in the table.

        The open position of a trade counts as closed at the last close.
        """
        rows, dust_rows = [], []
        for k, position in sorted(self._held.items()):
            scale = self.instruments[k].scale
            mark = marks.get(k, position.average)
            if position.side != 0:
                gross = position.gross + position.units / scale * (mark - position.average)
                pnl = gross - position.fees - position.funding - position.liquidation
                units = abs(position.units)
                entry = _LEDGER.mean_price(
                    position.closed_average, position.closed, position.average, units
                )
                sold = (
                    position.exit_notional / (position.closed / scale) if position.closed else mark
                )
                exit_price = _LEDGER.mean_price(sold, position.closed, mark, units)
                rows.append(
                    (
                        k, "long" if position.side > 0 else "short", position.entry_ns, entry,
                        time_ns, exit_price, (position.closed + units) / scale, pnl, position.fees,
                        position.funding, position.liquidation, position.slippage, "open",
                    )
                )  # fmt: skip
            dust = 0.0 if position.side != 0 else position.units
            pnl_of_dust = (dust / scale * mark if dust else 0.0) - position.dust_cost
            if pnl_of_dust != 0.0 or dust != 0.0 or position.dust_fees != 0.0:
                dust_rows.append(
                    (
                        k, "short" if dust < 0.0 else "long", time_ns, mark, time_ns, mark,
                        abs(dust) / scale, pnl_of_dust, position.dust_fees, position.dust_funding,
                        0.0, position.dust_slippage, "dust",
                    )
                )  # fmt: skip
        return rows + dust_rows
