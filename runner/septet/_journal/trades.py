"""From fills to trades, flat to flat at average cost: the ledger's rule, read from the journal.

The ledger (`septet._kernel.ledger`) books whole units of an instrument's precision; so does this,
in the same order of the same operations, so that the figures are the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Instrument", "TradeBook"]


@dataclass(slots=True)
class Instrument:
    """What decides when a position is flat: all of it in the base, but `min_notional`."""

    lot: float = 1e-8
    min_notional: float = 0.0
    precision: float = 1e-8

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Instrument:
        """Read it from the journal's head; what is not there has the default."""
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
    exit_notional: float = 0.0
    gross: float = 0.0
    fees: float = 0.0


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

    def fill(
        self, k: int, units: float, price: float, fee: float, time_ns: int, reason: str
    ) -> None:
        """Book the units that arrived (signed, net of a fee in the base), the fee in the quote."""
        of = self.instruments.setdefault(k, Instrument())
        held = self._held.setdefault(k, _Position())
        scale, lot = of.scale, of.lot * of.scale
        if units == 0.0:
            return
        before, after = held.units, held.units + units
        held.units = after
        if held.side == 0:
            if abs(after) < lot or after * units <= 0.0:  # dust before, dust after
                return
            opened = units if before * units >= 0.0 else after
            self._open(held, opened, price, fee, time_ns)
            return
        if units * held.side > 0.0:
            held.average = (held.average * abs(before) + price * abs(units)) / abs(after)
            held.fees += fee
            return
        closing = min(abs(units), abs(before))
        share = closing / abs(units)
        held.gross += (price - held.average) * held.side * (closing / scale)
        held.fees += fee * share
        held.exit_notional += closing / scale * price
        held.closed += closing
        if after * held.side < 0.0:
            self._close(k, held, scale, time_ns, reason)
            self._open(held, after, price, fee * (1.0 - share), time_ns)
        elif abs(after) < lot or abs(after) / scale * price < of.min_notional:
            self._close(k, held, scale, time_ns, reason)

    @staticmethod
    def _open(held: _Position, units: float, price: float, fee: float, time_ns: int) -> None:
        held.side = 1 if units > 0.0 else -1
        held.entry_ns, held.average, held.fees = time_ns, price, fee
        held.closed = held.exit_notional = held.gross = 0.0

    def _close(self, k: int, held: _Position, scale: float, time_ns: int, reason: str) -> None:
        quantity = held.closed / scale
        pnl = held.gross - held.fees
        self.rows.append(
            (
                k, "long" if held.side > 0 else "short", held.entry_ns, held.average, time_ns,
                held.exit_notional / quantity, quantity, pnl, held.fees, reason,
            )
        )  # fmt: skip
        held.side, held.average = 0, math.nan

    def still_open(self, marks: Mapping[int, float], time_ns: int) -> list[tuple[Any, ...]]:
        """Open positions at the last close, as the table shows them."""
        rows = []
        for k, held in sorted(self._held.items()):
            if held.side == 0:
                continue
            scale = self.instruments[k].scale
            mark = marks.get(k, held.average)
            gross = held.gross + held.units / scale * (mark - held.average)
            rows.append(
                (
                    k, "long" if held.side > 0 else "short", held.entry_ns, held.average, time_ns,
                    mark, abs(held.units) / scale, gross - held.fees, held.fees, "open",
                )
            )  # fmt: skip
        return rows
