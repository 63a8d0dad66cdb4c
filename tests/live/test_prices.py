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


def test_history_is_no_price_of_now() -> None:
    core: Any = cores(1)()
    core.handle(bar(NOW, 50.0, "history"))
    assert core.checks.symbols[0].price == 0.0
