"""The paper account: balances kept by the backtest's own ledger, and what the market shows.

Quantities inside are whole units of an instrument's precision, as everywhere in the core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from septet._core.state import smallest_units
from septet._host.venues import Market
from septet._kernel import layout, ledger, match
from septet._rules import ledger as rules
from septet._rules.records import Fill
from septet._rules.run_state import Run

__all__ = ["Booked", "PaperAccount", "ShownSide"]

_LEDGER: Final[Any] = ledger
_RULES: Final[Any] = rules
_MATCH: Final[Any] = match
"""The plain text of the compiled rules; steps carry no types."""
_ROUNDING: Final = 4e-15
"""Share by which a quantity times its scale may miss a whole number."""


@dataclass(slots=True)
class ShownSide:
    """The liquidity of one side that is not used yet: prices and units, best first."""

    best: float
    levels: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Booked:
    """A fill as the ledger booked it: the fee in base where the base was received, or quote."""

    fee: float
    in_base: bool


class PaperAccount:
    """Cash, positions and instruments of a paper account.

    Parameters
    ----------
    cash
        Balance in the quote currency.
    received
        Whether the fee of a buy is deducted from the received base currency.
    spot
        Whether sales need a position, and buys need cash.
    """

    def __init__(self, *, cash: float, received: bool, spot: bool) -> None:
        self._received, self._spot = received, spot
        self._A = np.zeros(layout.A_SLOTS)
        self._C = np.zeros(layout.C_SLOTS, np.int64)
        self._LI = np.zeros((8, layout.LI_COLUMNS), np.int64)
        self._LF = np.full((8, layout.LF_LEAST), math.nan)
        self._A[layout.CASH] = cash
        self._B = np.zeros((0, layout.B_SLOTS))
        self._I = np.zeros((0, layout.I_SLOTS), np.int64)

    @property
    def cash(self) -> float:
        """Balance in the quote currency."""
        return float(self._A[layout.CASH])

    def lay_out(self, markets: Sequence[Market]) -> None:
        """Start with a universe and no positions."""
        self._B = np.zeros((len(markets), layout.B_SLOTS))
        self._I = np.zeros((len(markets), layout.I_SLOTS), np.int64)
        for k, market in enumerate(markets):
            self.put_filters(k, market)

    def put_filters(self, k: int, market: Market) -> None:
        """Set the filters of a symbol from now on; a position keeps its units."""
        scale = 1.0 / min(market.precision, market.lot)
        scale = round(scale) if scale >= 1.0 else scale
        if self._B[k, layout.SCALE] > 0.0:
            self._B[k, layout.UNITS] = round(
                self._B[k, layout.UNITS] / self._B[k, layout.SCALE] * scale
            )
        self._B[k, layout.SCALE] = scale
        self._B[k, layout.LOT] = max(1.0, round(market.lot * scale))
        self._B[k, layout.TICK] = market.tick
        self._B[k, layout.MIN_NOTIONAL] = market.min_notional
        self._B[k, layout.MIN_UNITS] = smallest_units(market.min_quantity, self._B[k])

    def restore(self, cash: float, units: Mapping[int, float]) -> None:
        """Restore the balances of the strategy's ledger; earlier trades are not tracked here."""
        self._A[layout.CASH] = cash
        for k in range(len(self._B)):
            self._B[k, layout.UNITS] = units.get(k, 0.0)
            self._I[k, layout.OPEN_SIDE] = 0

    def pay(self, amount: float) -> None:
        """Deduct funding or the cost of a liquidation from the cash; negative is received."""
        self._A[layout.CASH] -= amount

    def held(self, k: int) -> float:
        """Return the position in units, signed."""
        return float(self._B[k, layout.UNITS])

    def quantity(self, k: int, units: float) -> float:
        """Return units as a quantity of the base currency."""
        return float(units / self._B[k, layout.SCALE])

    def units(self, k: int, quantity: float) -> float:
        """Return the whole units nearest to a quantity."""
        return float(round(quantity * self._B[k, layout.SCALE]))

    def is_lots(self, k: int, quantity: float) -> bool:
        """Return whether a quantity is a whole number of lots."""
        exact = quantity * self._B[k, layout.SCALE]
        units, lot = self.units(k, quantity), self._B[k, layout.LOT]
        near = abs(exact - units) <= 1e-6 + _ROUNDING * units
        return near and bool(_LEDGER.floor_units(units, lot) == units)

    def side(
        self, k: int, best: float, levels: Sequence[tuple[float, float]], share: float | None
    ) -> ShownSide:
        """Return the liquidity of a side, at most `share` of each level, in whole lots."""
        scale, lot = self._B[k, layout.SCALE], self._B[k, layout.LOT]
        shown = ShownSide(best)
        for price, quantity in levels:
            if price > 0.0 and quantity > 0.0:
                units = _LEDGER.floor_units(quantity * scale, lot)
                if share is not None:
                    units = _MATCH.cap_units(units, 0.0, quantity, scale, lot, share)
                shown.levels.append([price, float(units)])
        return shown

    def price(
        self, k: int, kind: int, side: float, limit: float, trigger: float, shown: float,
        slippage: float, *, arrives: bool = False,
    ) -> float:  # fmt: skip
        """Return the price that an order pays at a market price, or NaN.

        A limit order that `arrives` there takes, and pays slippage up to its limit.
        """
        tick, new = self._B[k, layout.TICK], int(arrives)
        return float(_MATCH.match_open(kind, side, limit, trigger, shown, slippage, tick, new))

    def covered(self, k: int, side: float, units: float, price: float, rate: float) -> float:
        """Return how much of a fill cash (of a buy) or the position (of a sale) covers."""
        lot = self._B[k, layout.LOT]
        if not self._spot:
            return units
        if side > 0.0:
            cost = price * (1.0 + (0.0 if self._received else rate))
            room = max(0.0, self._A[layout.CASH]) * self._B[k, layout.SCALE] / cost
        else:
            room = max(0.0, self._B[k, layout.UNITS])
        return units if units <= room else float(_LEDGER.floor_units(room, lot))

    def book(
        self, k: int, side: float, units: float, price: float, rate: float, maker: bool,
        market_ns: int,
    ) -> Booked:  # fmt: skip
        """Book a fill with the ledger of the backtest."""
        self._C[layout.LOG] = 0
        run = Run(
            {
                "A": self._A, "C": self._C, "B": self._B, "I": self._I,
                "LI": self._LI, "LF": self._LF,
            }
        )  # fmt: skip
        fill = Fill(
            units=side * units, price=price, maker=int(maker), time_ns=market_ns, order_id=0,
            reason=0, decision_price=price,
        )  # fmt: skip
        _RULES.book_fill(k, fill, rate, int(self._received), run)
        if self._received and side > 0.0:
            return Booked(self.quantity(k, units - self._LF[0, 3]), True)
        return Booked(float(self._LF[0, 2]), False)
