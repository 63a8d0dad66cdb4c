"""Which price of the market the last check goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._drill.sim.core_subject import core_subjects

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def bar(at_ns: int, close: float, source: Any = "stream") -> m.BarClosed:
    return m.BarClosed(
        at_ns=at_ns, symbol=0, open_ns=at_ns - 60 * SECOND, known_ns=at_ns, open=close, high=close,
        low=close, close=close, volume=1.0, source=source,
    )  # fmt: skip


def test_a_fresh_quote_outweighs_a_bar() -> None:
    """Bars of a wrong symbol must not vouch for themselves at the collar (C2)."""
    core: Any = core_subjects(1)()
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
    core: Any = core_subjects(1)()
    core.handle(bar(NOW, 50.0, "history"))
    assert core.checks.symbols[0].price == 0.0


def held_long(core: Any, *closes: float) -> None:
    """Hold a hundredth bought at 100, whose stop at 99 is watched here; close two bars before."""
    for n, close in enumerate(closes or (100.0, 100.0), 1):
        close_bar(core, NOW + 60 * n * SECOND, close)
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
    core: Any = core_subjects(4)()
    held_long(core)
    assert exits(close_bar(core, NOW + 180 * SECOND, 99.5)) == []
    assert exits(close_bar(core, NOW + 240 * SECOND, 98.9)) == [("sell", 0.01)]


def quote(core: Any, at_ns: int, bid: float, ask: float) -> list[m.Command]:
    found: list[m.Command] = core.handle(
        m.Quoted(
            at_ns=at_ns, symbol=0, venue_ns=NOW, bid=bid, bid_quantity=1.0, ask=ask,
            ask_quantity=1.0, market_ns=at_ns,
        )
    )  # fmt: skip
    return found


def with_quotes(core: Any, *closes: float, asks: Sequence[float] = ()) -> list[list[m.Command]]:
    """Close bars from the fourth on; a quote of 99.4 and an ask arrives shortly before each."""
    found = []
    for n, close in enumerate(closes, 3):
        at_ns = NOW + 60 * n * SECOND
        core_found = quote(core, at_ns - 2 * SECOND, 99.4, (*asks, *[99.6] * n)[n - 3])
        found.append(core_found + close_bar(core, at_ns, close))
    return found


def stops(found: list[m.Command]) -> list[str]:
    """Return why orders were placed, those of the signal left out."""
    reasons = [each.reason for each in found if isinstance(each, m.Placed)]
    return [each for each in reasons if each.startswith("stop")]


def contradicted(found: list[list[m.Command]]) -> list[int]:
    """Which bar each alert of contradicted quotes came with."""
    return [
        n for n, each in enumerate(found) for command in each
        if isinstance(command, m.Alerted) and command.event == "contradicted_quotes"
    ]  # fmt: skip


@pytest.mark.parametrize("asks", [(), (99.6, 99.5, 99.62, 99.58)], ids=["still", "moving"])
def test_quotes_that_two_bars_closed_beyond_are_not_used(asks: Sequence[float]) -> None:
    """Closes rise, so that the signal does not leave."""
    core: Any = core_subjects(4)()
    held_long(core, 90.0, 92.0)
    found = with_quotes(core, 94.0, 95.0, 96.0, 97.0, asks=asks)
    assert contradicted(found) == [1], "once"
    assert [stops(each) for each in found] == [[], ["stop_loss"], [], []]
    price = core.checks.symbols[0].price
    assert price == (99.45 if asks else 99.5), "neither later quotes nor bars are a price"
    core.handle(bar(NOW + 420 * SECOND, 98.0))
    assert core.checks.symbols[0].price_ns == NOW + 238 * SECOND
    quote(core, NOW + 421 * SECOND, 98.6, 98.7)
    assert core.checks.symbols[0].price == price, "nor one that is far from the last close"
    quote(core, NOW + 421 * SECOND, 97.0, 97.1)
    assert core.checks.symbols[0].price == 97.05, "one that is near it is used at once"


def test_quotes_are_used_again_after_a_bar_that_closed_among_them() -> None:
    core: Any = core_subjects(4)()
    held_long(core, 90.0, 92.0)
    with_quotes(core, 94.0, 95.0, 99.5)
    quote(core, NOW + 301 * SECOND, 101.0, 101.1)
    assert core.checks.symbols[0].price == 101.05


@pytest.mark.parametrize(
    "closes", [(99.3, 99.3, 99.3, 99.3), (98.9, 99.5, 98.9, 99.5)], ids=["near", "not in a row"]
)
def test_quotes_that_bars_close_near_are_used(closes: Sequence[float]) -> None:
    core: Any = core_subjects(4)()
    held_long(core)
    found = with_quotes(core, *closes)
    assert contradicted(found) == []
    assert not any(map(stops, found))


def test_a_bar_without_trades_contradicts_no_quote() -> None:
    """Its close is a price of an earlier time."""
    core: Any = core_subjects(4)()
    held_long(core, 90.0, 92.0)
    for n in range(3, 8):
        at_ns = NOW + 60 * n * SECOND
        quote(core, at_ns - 2 * SECOND, 99.4, 99.6)
        core.handle(msgspec.structs.replace(bar(at_ns, 94.0), volume=0.0))
        core.handle(m.DecisionTimeReached(at_ns=at_ns + SECOND, time_ns=at_ns, present=(0,)))
    assert core.checks.symbols[0].price == 99.5
    assert not core.checks.symbols[0].quote.is_contradicted


def test_quotes_that_have_stopped_are_silent_and_not_contradicted() -> None:
    core: Any = core_subjects(4)()
    held_long(core)
    quote(core, NOW + 130 * SECOND, 99.4, 99.6)
    found = [close_bar(core, NOW + 60 * n * SECOND, 99.1) for n in range(3, 8)]
    assert contradicted(found) == []


def test_a_fresh_quote_outweighs_the_close_for_a_stop_as_well() -> None:
    core: Any = core_subjects(4)()
    held_long(core)
    core.handle(
        m.Quoted(
            at_ns=NOW + 239 * SECOND, symbol=0, venue_ns=NOW, bid=99.4, bid_quantity=1.0,
            ask=99.6, ask_quantity=1.0, market_ns=NOW + 239 * SECOND,
        )
    )  # fmt: skip
    assert exits(close_bar(core, NOW + 240 * SECOND, 98.9)) == []
    assert exits(close_bar(core, NOW + 300 * SECOND, 98.9)) == [("sell", 0.01)]
