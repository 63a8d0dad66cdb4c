"""The engine of a run whose fills come from the venue: live, and paper against quotes.

The same generated text decides; nothing is matched here. What the core gives up is a request to
cancel, and an order that was given up may still fill: such fills are booked like all others.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from septet import messages as m
from septet._core.engine import ADOPTED, FOREIGN, GONE, UNKNOWN, Engine
from septet._core.events import Command, Traded
from septet._core.orders.records import NO_ORDER
from septet._core.state import smallest_units
from septet._core.window import Window
from septet._kernel import layout

__all__ = ["VenueFillsEngine"]

END, TRIGGER, GO_ON = range(3)
NOBODY: Final = -1


class VenueFillsEngine(Engine):
    """The deterministic core of a run whose orders are filled elsewhere.

    It takes the parameters of `Engine`; the plan must have venue fills. Rows of the log are dropped
    once they are commands, unless `keeps_log` is True.
    """

    def __init__(self, window: Window, *, keeps_log: bool = False, **more: Any) -> None:
        super().__init__(window, keeps_log=keeps_log, **more)
        module = self.plan.module
        self._book, self._reprice = module.book, module.reprice
        self._protection, self._respond = module.protection, module.respond
        self._level = np.zeros(1)
        self._enters_between = self.plan.facts.enters_between
        self.adds_between = self.plan.facts.adds_between
        self._known: dict[int, tuple[int, float, bool]] = {}

    def fill(
        self, k: int, order: int, units: float, price: float, net_units: float, fee: float,
        maker: bool, time_ns: int,
    ) -> list[Command]:  # fmt: skip
        """Book a fill of an order of ours, working or given up.

        `units` and `net_units`, those less a fee in the base currency, are signed. `fee` is in the
        quote currency: paid in cash, or where `net_units` differs the worth of what was withheld.
        A fill of an order given up by an exit, an opposite signal or a halt that adds to the
        position makes an exit at once.
        """
        self._now_ns, self._valued = time_ns, False
        unknown = self._reason(FOREIGN if order == NO_ORDER else UNKNOWN), price, False
        reason, decision_price, given_up = self._known.get(order, unknown)
        self._book(
            k, units, price, int(maker), time_ns, order, reason, decision_price, 0,
            net_units, fee, int(given_up), self._arrays.table,
        )  # fmt: skip
        return self._new()

    def end(self, k: int, order: int, status: int, time_ns: int) -> list[Command]:
        """Remove a working order that is final at the venue, with no fill to come.

        An order that is no longer working changes nothing. An unfinished exit is retried:
        it is sent again at the symbol's next bar, or by `go_on`.
        """
        return self._do(END, k, order, status, time_ns)

    def trigger(self, k: int, reason: int, time_ns: int) -> list[Command]:
        """Make a stop or target that a venue holds, and that was triggered, the working order."""
        return self._do(TRIGGER, k, NOBODY, reason, time_ns)

    def go_on(self, k: int, time_ns: int) -> list[Command]:
        """Retry an exit that ended at the venue unfinished, if there is one."""
        return self._do(GO_ON, k, NOBODY, 0, time_ns)

    def _do(self, deed: int, k: int, order: int, code: int, time_ns: int) -> list[Command]:
        self._now_ns, self._valued = time_ns, False
        self._respond(deed, k, order, code, time_ns, self._arrays.table)
        return self._new()

    def exit_to_retry(self, k: int) -> int:
        """Return the reason of an exit that ended at the venue unfinished, or -1."""
        return self._i[k, layout.EXIT_TO_RETRY] - 1  # type: ignore[no-any-return]

    def mark(
        self, k: int, price: float, exit_price: float, time_ns: int, entry_price: float = math.nan
    ) -> list[Command]:
        """Value a symbol at a price between two bars; test halts and levels held here.

        `exit_price` is where the position could be left: the bid of a long, the ask of a short;
        NaN where its stops are held elsewhere. `entry_price` is where it could be added to, NaN
        where nothing may be. Of a symbol that is flat they are the prices of both sides.
        """
        self._now_ns = time_ns
        self._reprice(k, price, exit_price, entry_price, time_ns, self._arrays.table)
        commands = self._new()
        self._valued = not commands and not self.plan.facts.timed
        return commands

    def mark_flat(self, k: int, price: float, time_ns: int) -> bool:
        """Mark a symbol of which nothing is held; False where `mark` could do more than that.

        Most quotes are of such symbols: equity does not change, and no further halt or stop is met.
        """
        b = self._b
        if self._enters_between:
            return False
        if not self._valued or b[k, layout.UNITS] or self._i[k, layout.OPEN_SIDE]:
            return False
        if not 0.0 < price < math.inf:
            return False
        self._now_ns = time_ns
        b[k, layout.MARK] = price
        return True

    def set_filters(self, event: m.FiltersChanged) -> None:
        """Set the filters of a symbol; a minimum quantity that is not stated stays."""
        book = self.state.B[event.symbol]
        book[layout.LOT] = max(1.0, round(event.lot * book[layout.SCALE]))
        book[layout.TICK], book[layout.MIN_NOTIONAL] = event.tick, event.min_notional
        if event.min_quantity is not None:
            book[layout.MIN_UNITS] = smallest_units(event.min_quantity, book)

    def dust_of_a_lot(self, k: int) -> float:
        """Return the signed units, at least a lot, that belong to no trade; 0 for none."""
        units, book = self.state.B.item(k, layout.UNITS), self.state.B[k]
        traded, unpriced = self._i[k, layout.OPEN_SIDE] != 0, not book[layout.MARK] > 0.0
        return 0.0 if traded or unpriced or abs(units) < book[layout.LOT] else float(units)

    def protection(self, k: int) -> tuple[float, int]:
        """Level of the nearest stop of a position and its reason; NaN and -1 without one."""
        reason = self._protection(k, self._now_ns, self._level, self._arrays.table)
        return self._level.item(0), int(reason)

    def adopt(self, k: int, units: float, price: float, time_ns: int) -> list[Command]:
        """Adopt a position of the account, as if it had been bought at a price without a fee."""
        if self._b[k, layout.MARK] == 0.0:
            self._b[k, layout.MARK] = price
        return self._book_without_order(k, units, price, ADOPTED, time_ns)

    def close_gone(self, k: int, units: float, price: float, time_ns: int) -> list[Command]:
        """Book signed units of a position as gone, as if closed at a price without a fee."""
        return self._book_without_order(k, -units, price, GONE, time_ns)

    def change_units(self, k: int, units: float, price: float, time_ns: int) -> list[Command]:
        """Change a position by the units of a corrected fee, bought or sold at a price (quote).

        They are part of a fill that is booked: there is no other, and nothing more is traded.
        """
        commands = self._book_without_order(k, units, price, ADOPTED, time_ns)
        notional = abs(units) / self._b[k, layout.SCALE] * price
        self.state.A[layout.TURNOVER] -= notional
        return [each for each in commands if not isinstance(each, Traded)]

    def _book_without_order(
        self, k: int, units: float, price: float, reason: int, time_ns: int
    ) -> list[Command]:
        self._now_ns, self._valued = time_ns, False
        self._book(
            k, units, price, 0, time_ns, NO_ORDER, self._reason(reason), price, 0,
            units, 0.0, 0, self._arrays.table,
        )  # fmt: skip
        return self._new()

    def correct(
        self, k: int, quantity: float, booked: float, price: float, fee: float, booked_ns: int,
        revalued: float = 0.0,
    ) -> float:  # fmt: skip
        """Correct the price of a presumed fill; return the change of the cash (quote).

        `quantity` is signed (base), `fee` what was not booked of its fee (quote), `revalued` by how
        much more its fee in the base is worth, which was booked with the units. If the trade that
        it was booked for is open, that trade is corrected, its average entry price included;
        otherwise the sums over closed trades are.
        """
        A, B, side = self.state.A, self._b, self._i[k, layout.OPEN_SIDE]
        gain = quantity * (booked - price)
        A[layout.CASH] += gain - fee
        A[layout.FEES] += fee + revalued
        A[layout.TURNOVER] += abs(quantity) * (price - booked)
        A[layout.SLIPPAGE] -= gain
        self._valued = False
        if side == 0 or booked_ns < self._i[k, layout.TRADE_NS]:
            A[layout.GAINED if gain > fee else layout.LOST] += abs(gain - fee)
            return float(gain - fee)
        B[k, layout.TRADE_FEES] += fee + revalued
        B[k, layout.TRADE_SLIPPAGE] -= gain
        if quantity * side < 0.0:
            B[k, layout.TRADE_GROSS] += gain + revalued
            B[k, layout.EXIT_NOTIONAL] += abs(quantity) * (price - booked)
        elif B[k, layout.CLOSED_UNITS]:
            B[k, layout.TRADE_GROSS] += gain + revalued
        else:
            B[k, layout.ENTRY_NOTIONAL] += abs(quantity) * (price - booked)
            held = abs(B[k, layout.UNITS]) / B[k, layout.SCALE]
            B[k, layout.AVERAGE] -= side * (gain + revalued) / held
        return float(gain - fee)

    # ------------------------------------------------------------------ orders that may fill late

    def _state_outside_arrays(self) -> dict[str, Any]:
        return {"orders": [[order, *values] for order, values in self._known.items()]}

    def _take_up(self, outside: dict[str, Any]) -> None:
        self._known = {
            int(order): (int(reason), float(price), bool(given_up))
            for order, reason, price, given_up in outside["orders"]
        }
