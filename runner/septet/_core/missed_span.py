"""Paper against quotes: what happened while no process ran matches nothing, and is reported.

At a restart with a position, or with an order that rests, one alert states the span without
quotes. The bars that lie whole in it are compared with the levels that stood at its beginning: the
nearest stop, and the price of liquidation. A level that they passed is reported once. It has not
acted, and is tested from the first price after the start on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from septet import messages as m
from septet._core.guards import instant
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout, match

if TYPE_CHECKING:
    from septet._core.engine import Engine
    from septet._core.live_core import LiveCore
    from septet._core.wiring import Names, OrderRules

__all__ = ["MissedSpan"]

_MATCH: Final[Any] = match
"""Plain functions whose arguments are numbers."""


class MissedSpan(msgspec.Struct):
    """The newest span without quotes (market time), and the levels that stood at its beginning.

    `levels` are by symbol: the side of the position, its stop and its price of liquidation (quote),
    NaN for none; a symbol of which a level was passed is no longer among them.
    """

    from_ns: int = 0
    to_ns: int = 0
    levels: dict[int, tuple[int, float, float]] = {}

    def begin(self, event: m.Started, core: LiveCore) -> list[m.Command]:
        """Note a start, before its time counts; report what was not matched since the last one."""
        before_ns, engine, orders = core.market_ns, core.engine, core.orders
        self.from_ns, self.to_ns, self.levels = before_ns, event.market_ns, {}
        if event.mode != "paper" or not before_ns or not isinstance(engine, VenueFillsEngine):
            return []
        if event.market_ns <= before_ns or orders is None:
            return []
        texts = []
        for k, symbol in enumerate(core.names.symbols):
            held = engine.held(k)
            if held == 0.0:
                continue
            stop, liquidation = engine.protection(k)[0], _liquidation(engine, k, core.rules)
            self.levels[k] = (1 if held > 0.0 else -1, stop, liquidation)
            levels = [
                f"{name} at {level:.12g}"
                for name, level in (("stop", stop), ("liquidation", liquidation)) if level == level
            ]  # fmt: skip
            texts.append(f"{symbol} {held:.12g} ({', '.join(levels) or 'no stop'})")
        working = len(orders.records.live)
        if not texts and not working:
            return []
        text = (
            f"no process ran from {instant(before_ns)} to {instant(event.market_ns)}: against "
            "quotes nothing of that time is matched. A stop, a target, a limit or a liquidation "
            "that prices passed has not acted, and is tested from the first price on. Held: "
            f"{', '.join(texts) or 'nothing'}; orders that rest: {working}"
        )
        return [m.Alerted(level="warning", event="unmatched_span", text=text)]

    def bar(self, event: m.BarClosed, names: Names) -> list[m.Command]:
        """Report once that a bar of the span has passed a level of its symbol."""
        k = event.symbol
        if k not in self.levels or event.open_ns < self.from_ns or event.known_ns > self.to_ns:
            return []
        side, stop, liquidation = self.levels[k]
        worst = event.low if side > 0 else event.high
        passed = [
            f"the {name} at {level:.12g}"
            for name, level in (("stop", stop), ("price of liquidation", liquidation))
            if side * (worst - level) <= 0.0
        ]  # fmt: skip
        if not passed:
            return []
        del self.levels[k]
        text = (
            f"{names.symbols[k]}: while no process ran, prices passed {' and '.join(passed)} "
            f"({worst:.12g} in the bar of {instant(event.open_ns)}), which has not acted: paper "
            "shows a better or worse result than a venue had given"
        )
        return [m.Alerted(level="error", event="unmatched_level", text=text, symbol=k)]


def _liquidation(engine: Engine, k: int, rules: OrderRules) -> float:
    """Return the mark at which a position is liquidated; NaN if it cannot be."""
    if rules.liquidation is None:
        return math.nan
    leverage, maintenance = rules.liquidation
    book, side = engine.state.B[k], float(engine.state.I[k, layout.OPEN_SIDE])
    if not side:
        return math.nan
    funding = book[layout.MARGIN_FUNDING] / (abs(book[layout.UNITS]) / book[layout.SCALE])
    price = _MATCH.liquidation_price(side, book[layout.AVERAGE], leverage, maintenance, funding)
    return float(price)
