"""A fee that was expected in the bought currency, and that the account has kept."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from septet._core.expected_fees import ExpectedFees
from septet._core.guards import Guards
from septet._drill.sim.core_subject import core_subjects
from tests.live.test_gone_positions import holdings
from tests.live.test_prices import NOW, SECOND, close_bar, quote

LOT = 0.001
BOUGHT, FEE = 0.05, 0.002


def fill(**changes: Any) -> m.Filled:
    given: dict[str, Any] = {
        "at_ns": NOW, "venue": "v", "symbol": 0, "trade_id": "7", "client_id": "a",
        "venue_order_id": "x", "venue_ns": NOW, "market_ns": NOW, "side": "buy",
        "quantity": BOUGHT, "price": 100.0, "fee": FEE, "fee_currency": "BTC",
        "fee_unread": "no fee is reported",
    }  # fmt: skip
    return m.Filled(**given | changes)


def bought() -> Any:
    """Hold what was bought net of an expected fee."""
    core: Any = core_subjects(1)()
    for n in range(1, 3):
        close_bar(core, NOW + 60 * n * SECOND, 100.0)
    units = round((BOUGHT - FEE) * core._scales[0])
    core._carry(core.engine.adopt(0, float(units), 100.0, NOW + 121 * SECOND))
    core.guards.expected_fees.add("7", fill(), "BTC", 0, NOW + 121 * SECOND)
    core._protect(0)
    found = quote(core, NOW + 122 * SECOND, 99.99, 100.01)
    (stop,) = (each for each in found if isinstance(each, m.Submit))
    core.handle(
        m.Acked(
            at_ns=NOW + 123 * SECOND, client_id=stop.client_id, venue_order_id="7", state="open",
            side="sell", quantity=stop.quantity, trigger_price=stop.trigger_price,
            order_type="stop",
        )
    )  # fmt: skip
    return core


def adopted(found: list[m.Command]) -> list[tuple[float, float]]:
    return [(each.units, each.price) for each in found if isinstance(each, m.Corrected)]


def test_units_that_the_account_has_kept_are_booked_at_the_price_of_the_fill() -> None:
    """A venue that tells fees in its lists only, and takes them in the quote currency."""
    core = bought()
    cash = core.engine.cash
    found = core.handle(holdings(NOW + 300 * SECOND, BOUGHT))
    [booked] = adopted(found)
    assert booked == pytest.approx((FEE, 100.0))
    assert core.engine.held(0) == pytest.approx(BOUGHT)
    assert core.engine.cash == pytest.approx(cash - FEE * 100.0)
    assert core.guards.blocked(0) == ""
    assert adopted(core.handle(holdings(NOW + 400 * SECOND, BOUGHT))) == [], "once"


def test_units_that_were_taken_are_nobodys_afterwards() -> None:
    core = bought()
    assert adopted(core.handle(holdings(NOW + 300 * SECOND, BOUGHT - FEE))) == []
    core.handle(holdings(NOW + 400 * SECOND, BOUGHT))
    assert core.engine.held(0) == pytest.approx(BOUGHT - FEE)
    assert core.guards.blocked(0) != "", "a deposit of the same size is a difference"


@pytest.mark.parametrize("read", [BOUGHT + FEE, 2.0 * BOUGHT])
def test_another_difference_is_not_explained_by_it(read: float) -> None:
    core = bought()
    assert adopted(core.handle(holdings(NOW + 300 * SECOND, read))) == []
    assert core.guards.blocked(0) != ""


def test_nothing_is_booked_where_other_strategies_hold_the_same_currency() -> None:
    core = bought()
    assert adopted(core.handle(holdings(NOW + 300 * SECOND, BOUGHT + 1.0, others=1.0))) == []


def test_only_deducted_fees_of_purchases_may_have_been_kept() -> None:
    for other in ({"side": "sell"}, {"fee_unread": ""}, {"fee_currency": "BNB"}):
        fees = ExpectedFees()
        fees.add("7", fill(**other), "BTC", 0, NOW)
        assert fees.not_taken(0, FEE, LOT) == [], other


def test_fees_of_less_than_a_lot_are_kept_until_they_are_one() -> None:
    fees = ExpectedFees()
    fees.add("7", fill(fee=0.6 * LOT), "BTC", 0, NOW)
    assert fees.not_taken(0, 0.6 * LOT, LOT) == []
    fees.add("8", fill(fee=0.6 * LOT, price=200.0), "BTC", 0, NOW)
    assert fees.not_taken(0, 1.2 * LOT, LOT) == ["7", "8"]


def test_they_are_in_the_snapshot() -> None:
    guards, other = Guards(["BTC/USDT"]), Guards(["BTC/USDT"])
    guards.expected_fees.add("7", fill(), "BTC", 0, NOW)
    other.restore(guards.snapshot())
    assert other.expected_fees == guards.expected_fees
