"""An engine that a test feeds by hand, fill by fill; its fills come from the venue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from septet._core.engine import Engine
from septet._core.events import Command, NewOrder, OrderEnded
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout
from septet._shell.event_backtest import decision_times
from tests.core.cases import bars_of
from tests.core.paths import plainly
from tests.core.settings import HOUR, START, Settings
from tests.core.venue_fills import engine_of, placed, with_venue_fills
from tests.core.world import session_of

__all__ = ["MINUTE", "ONE", "EngineHarness", "flat_market"]

ONE = 100_000_000.0
MINUTE = 60_000_000_000


def flat_market(moves: str, price: float = 100.0) -> list[tuple[float, ...]]:
    """Bars that close up (+), down (-) or where they were (=), by one each."""
    rows: list[tuple[float, ...]] = [(price, price + 0.5, price - 0.5, price)]
    for move in moves:
        after = price + {"+": 1.0, "-": -1.0, "=": 0.0}[move]
        rows.append((price, max(price, after) + 0.5, min(price, after) - 0.5, after))
        price = after
    return rows


class EngineHarness:
    """One or more symbols, no costs; the rule buys what rose and sells what fell."""

    def __init__(
        self, *moves: str, kind: type[Engine] = VenueFillsEngine, compiled: bool = False,
        more: dict[str, Any] | None = None, skip: Sequence[int] = (), **keys: Any,
    ) -> None:  # fmt: skip
        names = ("AAA/USDT", "BBB/USDT", "CCC/USDT")[: len(moves)]
        base: dict[str, Any] = {
            "symbols": names, "maker": 0.0, "taker": 0.0, "slippage": 0.0,
            "sizing": "fixed_quantity", "amount": 1.0, "exit_back": 1,
        }  # fmt: skip
        bars = [bars_of(flat_market(each), skip=skip) for each in moves]
        session = session_of(Settings(**(base | keys)), bars, 1)
        if kind is VenueFillsEngine:
            session = with_venue_fills(session, compiled=compiled)
        elif not compiled:
            session = plainly(session)
        self.session, self.reasons = session, session.plan.assembly.reasons
        self.engine: Any = engine_of(session, 40, kind, **(more or {}))
        self.events = list(decision_times(session))
        self.next = 0
        self.now_ns = START

    def step(self, count: int = 1, *, late: bool = False) -> list[Command]:
        """Let bars close."""
        found: list[Command] = []
        for _ in range(count):
            event = msgspec.structs.replace(self.events[self.next], late=late)
            self.next += 1
            self.now_ns = event.time_ns
            with np.errstate(all="ignore"):
                found += self.engine.handle(event)
        return found

    def order(self, commands: Sequence[Command]) -> NewOrder:
        """Return the only order among some commands."""
        (one,) = placed(commands)
        return one

    def fill(self, order: NewOrder | int, units: float, price: float, **more: Any) -> list[Command]:
        """Fill a part of an order, a minute later."""
        self.now_ns += MINUTE
        number, k = (order, 0) if isinstance(order, int) else (order.order, order.symbol)
        net_units, fee = more.get("net_units", units), more.get("fee", 0.0)
        return list(self.engine.fill(k, number, units, price, net_units, fee, False, self.now_ns))

    def bought(self) -> NewOrder:
        """Step until an entry is signalled, and fill it at its price."""
        entry = self.order(self.step(2))
        self.fill(entry, entry.units, entry.price)
        return entry

    def ends(self, commands: Sequence[Command]) -> list[tuple[int, int, str]]:
        """Return order, status and reason of orders that ended."""
        return [
            (each.order, each.status, self.reasons[each.reason])
            for each in commands
            if isinstance(each, OrderEnded)
        ]

    def why(self, order: NewOrder) -> str:
        """Name the reason of an order."""
        return str(self.reasons[order.reason])

    @property
    def held(self) -> float:
        """Position of the first symbol in the base currency."""
        return float(self.engine.position(0)[0])

    def count(self, slot: int) -> int:
        """Read a counter."""
        return int(self.engine.state.C[slot])

    @property
    def blocked(self) -> int:
        """How many halts block entries."""
        return self.count(layout.BLOCKED)

    @property
    def hours(self) -> float:
        """Bars since the start."""
        return (self.now_ns - START) / HOUR
