"""Which price of the market the last check goes by."""

from __future__ import annotations

from typing import Any

from septet import messages as m
from septet._drill.sim.core_subject import cores

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def bar(at_ns: int, close: float, source: Any = "stream") -> m.BarClosed:
    return m.BarClosed(
        at_ns=at_ns, symbol=0, open_ns=at_ns - 60 * SECOND, known_ns=at_ns, open=close, high=close,
        low=close, close=close, volume=1.0, source=source,
    )  # fmt: skip


def test_a_fresh_quote_outweighs_a_bar() -> None:
    """Bars of a wrong symbol must not vouch for themselves at the collar (C2)."""
    core: Any = cores(1)()
    quote = m.Quoted(
        at_ns=NOW, symbol=0, venue_ns=NOW, bid=99.0, bid_quantity=1.0, ask=101.0,
        ask_quantity=1.0, market_ns=NOW,
    )  # fmt: skip
    core.handle(quote)
    core.handle(bar(NOW + SECOND, 1.0))
    assert core.checks.symbols[0].price == 100.0
    core.handle(bar(NOW + 60 * SECOND, 98.0))
    assert core.checks.symbols[0].price == 98.0


def test_a_historical_bar_is_no_current_price() -> None:
    core: Any = cores(1)()
    core.handle(bar(NOW, 50.0, "history"))
    assert core.checks.symbols[0].price == 0.0


def held_long(core: Any) -> None:
    """Hold a hundredth bought at 100, whose stop at 99 is watched here; close two bars there."""
    for n in range(1, 3):
        close_bar(core, NOW + 60 * n * SECOND, 100.0)
    core._carry(core.engine.adopt(0, 1_000_000.0, 100.0, NOW + 121 * SECOND))
    level, _ = core.engine.protection(0)
    assert level == 99.0
    assert core.orders.protected(0) is False


def close_bar(core: Any, at_ns: int, close: float) -> list[m.Command]:
    core.handle(bar(at_ns, close))
    found: list[m.Command] = core.handle(
        m.DecisionTimeReached(at_ns=at_ns + SECOND, time_ns=at_ns, present=(0,))
    )
    return found


def exits(found: list[m.Command]) -> list[tuple[str, float]]:
    return [(each.side, each.quantity) for each in found if isinstance(each, m.Submit)]


def test_a_stop_that_is_watched_here_is_tested_on_closes_while_quotes_stop() -> None:
    core: Any = cores(4)()
    held_long(core)
    assert exits(close_bar(core, NOW + 180 * SECOND, 99.5)) == []
    assert exits(close_bar(core, NOW + 240 * SECOND, 98.9)) == [("sell", 0.01)]


def test_a_fresh_quote_outweighs_the_close_for_a_stop_as_well() -> None:
    core: Any = cores(4)()
    held_long(core)
    core.handle(
        m.Quoted(
            at_ns=NOW + 239 * SECOND, symbol=0, venue_ns=NOW, bid=99.4, bid_quantity=1.0,
            ask=99.6, ask_quantity=1.0, market_ns=NOW + 239 * SECOND,
        )
    )  # fmt: skip
    assert exits(close_bar(core, NOW + 240 * SECOND, 98.9)) == []
    assert exits(close_bar(core, NOW + 300 * SECOND, 98.9)) == [("sell", 0.01)]
