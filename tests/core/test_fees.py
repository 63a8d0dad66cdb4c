"""The fee that is booked of an execution: as reported, valued, or expected of the account."""

from __future__ import annotations

import msgspec
import pytest

from septet import messages as m
from septet._core import fees
from septet._core.wiring import Names

NAMES = Names(
    symbols=("BTC/USDT", "BNB/USDT"), reasons=(), halts=(), base=("BTC", "BNB"),
    quote=("USDT", "USDT"), venue_fills=True,
)  # fmt: skip
RATES = (0.0005, 0.001)
FILL = m.Filled(
    at_ns=1, venue="v", symbol=0, trade_id="7", client_id="a", venue_order_id="x", venue_ns=1,
    market_ns=1, side="buy", quantity=2.0, price=100.0, fee=0.0004, fee_currency="BNB",
)  # fmt: skip


def test_a_fee_in_a_third_currency_is_booked_at_the_value_that_its_adapter_states() -> None:
    fill = msgspec.structs.replace(FILL, fee_quote=0.21)
    taken = fees.with_expected_fee(fill, NAMES, RATES, [100.0, 600.0])
    assert taken == fill
    assert fees.booked(2.0, taken, 1e8, NAMES) == (2e8, 2e8, 0.21)
    assert fees.unread(taken) == []


def test_it_is_valued_by_the_price_of_a_symbol_of_the_run() -> None:
    taken = fees.with_expected_fee(FILL, NAMES, RATES, [100.0, 600.0])
    assert fees.booked(2.0, taken, 1e8, NAMES)[2] == 0.0004 * 600.0
    assert fees.unread(taken) == []


@pytest.mark.parametrize("prices", [(), (100.0, 0.0)])
@pytest.mark.parametrize(("maker", "rate"), [(True, 0.0005), (False, 0.001)])
def test_without_a_price_it_is_booked_at_the_rate_of_the_file(
    prices: tuple[float, ...], maker: bool, rate: float
) -> None:
    """It counted as zero: a strategy that lost after its fees was shown as winning."""
    fill = msgspec.structs.replace(FILL, maker=maker)
    taken = fees.with_expected_fee(fill, NAMES, RATES, prices)
    assert (taken.fee, taken.fee_currency) == (0.0004, "BNB"), "what was paid stays"
    assert fees.booked(2.0, taken, 1e8, NAMES)[:2] == (2e8, 2e8)
    assert fees.booked(2.0, taken, 1e8, NAMES)[2] == pytest.approx(rate * 200.0)
    [alert] = fees.unread(taken)
    assert isinstance(alert, m.Alerted)
    assert (alert.level, alert.event) == ("warning", "fee_unread")
    assert "no price of BNB in USDT is known" in alert.text


def test_a_rebate_without_a_price_counts_as_zero() -> None:
    fill = msgspec.structs.replace(FILL, fee=-0.0004)
    taken = fees.with_expected_fee(fill, NAMES, RATES, ())
    assert fees.booked(2.0, taken, 1e8, NAMES)[2] == 0.0


@pytest.mark.parametrize(("side", "currency"), [("buy", "BTC"), ("sell", "USDT")])
def test_an_execution_without_a_fee_has_the_expected_one(side: m.Side, currency: str) -> None:
    """Venues report fees late, or in their lists only: none was booked, and nothing was said."""
    fill = msgspec.structs.replace(FILL, side=side, fee=0.0, fee_currency="")
    taken = fees.with_expected_fee(fill, NAMES, RATES, [100.0, 600.0])
    traded = 2.0 if side == "buy" else 200.0
    assert taken.fee == pytest.approx(0.001 * traded)
    assert taken.fee_currency == currency
    alert, refresh = fees.unread(taken)
    assert isinstance(alert, m.Alerted)
    assert (alert.level, alert.event) == ("error", "fee_unread")
    assert "no fee is reported" in alert.text
    assert refresh == m.Refresh(what="holdings")


@pytest.mark.parametrize("currency", ["", "BTC", "USDT", "BNB"])
def test_no_fee_is_none_where_the_file_states_none_or_the_venue_says_zero(currency: str) -> None:
    fill = msgspec.structs.replace(FILL, fee=0.0, fee_currency=currency)
    rates = RATES if currency else (0.0, 0.0)
    taken = fees.with_expected_fee(fill, NAMES, rates, ())
    assert fees.booked(2.0, taken, 1e8, NAMES) == (2e8, 2e8, 0.0)
    assert fees.unread(taken) == []
