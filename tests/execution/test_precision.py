"""Our lots and ticks against the client's own rounding, in each of its three ways to state them."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet.errors import RunError
from septet.plugin.live import Unreadable
from septet_plugins.exchange.markets import market_of, markets_of
from septet_plugins.execution.ccxt_orders import Placed, place
from tests.execution.helpers import submit

MODES: dict[str, tuple[int, list[tuple[float, float]]]] = {
    # exchange -> precisionMode, and precisions (amount, price) as such exchanges give them
    "binance": (ccxt.TICK_SIZE, [(1e-8, 1e-8), (1e-5, 0.01), (0.05, 0.5), (1.0, 5.0)]),
    "bitfinex": (ccxt.SIGNIFICANT_DIGITS, [(8, 5)]),
    "bithumb": (ccxt.SIGNIFICANT_DIGITS, [(4, 4)]),
    "kraken": (ccxt.DECIMAL_PLACES, [(8, 8), (4, 2), (0, 0), (-2, 1), (3, -1)]),
}


@cache
def client(exchange: str, amount: float | None, price: float | None) -> Any:
    made = getattr(ccxt, exchange)()
    made.precisionMode = MODES[exchange][0]  # no exchange of this version counts decimals
    market = {
        "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC",
        "quoteId": "USDT", "type": "spot", "spot": True, "active": True,
        "precision": {"amount": amount, "price": price}, "info": {},
    }  # fmt: skip
    made.set_markets([made.safe_market_structure(market)])
    made.session.close()
    return made


CASES = [(name, *each) for name, (_, found) in MODES.items() for each in found]


@pytest.mark.parametrize(("exchange", "amount", "price"), CASES)
@given(
    quantity=st.floats(1e-9, 1e6), limit=st.floats(1e-7, 1e6),
    side=st.sampled_from(["buy", "sell"]),
)  # fmt: skip
def test_an_order_is_on_the_grid_and_never_more_or_worse_than_asked(
    exchange: str, amount: float, price: float, quantity: float, limit: float, side: Any
) -> None:
    made = client(exchange, amount, price)
    order = submit("a", side=side, order_type="limit", quantity=quantity, limit_price=limit)
    placed = place(made, "BTC/USDT", order, "a")
    if isinstance(placed, str):
        assert "less than one lot" in placed or "not above zero" in placed
        return
    assert placed.price is not None
    got, asked = Decimal(placed.quantity), Decimal(repr(quantity))
    reported, wanted = Decimal(placed.price), Decimal(repr(limit))
    cut = Decimal(made.amount_to_precision("BTC/USDT", f"{asked:f}"))
    step = Decimal(repr(amount)) if exchange == "binance" else Decimal(10) ** -int(amount)
    assert cut <= got <= cut + step, "what the client cuts to, but for the noise of a binary number"
    assert got <= asked * (1 + Decimal("1e-6")) + step * Decimal("1e-6")
    noise = abs(wanted) * Decimal("1e-6") + Decimal("1e-14")
    assert reported <= wanted + noise if side == "buy" else reported >= wanted - noise
    assert Decimal(made.amount_to_precision("BTC/USDT", placed.quantity)) == got
    assert Decimal(made.price_to_precision("BTC/USDT", placed.price)) == reported


def test_where_prices_have_significant_digits_quantities_have_decimals() -> None:
    """What `lot_of` goes by: each such exchange of the client declares it itself."""
    named = []
    for name in ccxt.exchanges:
        kind = getattr(ccxt, name)
        if kind().precisionMode == ccxt.SIGNIFICANT_DIGITS:
            assert "amount_to_precision" in kind.__dict__, name
            named.append(name)
    assert sorted(named) == ["bitfinex", "bithumb"]


def test_without_a_precision_nothing_is_rounded_and_the_exchange_decides() -> None:
    order = submit("a", order_type="limit", quantity=0.123456781, limit_price=90.129)
    placed = place(client("binance", None, None), "BTC/USDT", order, "a")
    assert isinstance(placed, Placed)
    assert (placed.quantity, placed.price) == ("0.12345678", "90.129")


@pytest.mark.parametrize(("amount", "price"), [(None, 0.01), (1e-5, None), (None, None)])
def test_half_an_answer_about_a_symbol_is_none(amount: float | None, price: float | None) -> None:
    """Without its filters no order can be made, and a lot that is made up must not be kept."""
    with pytest.raises(Unreadable, match=r"lot|tick"):
        market_of(client("binance", amount, price), "BTC/USDT")
    with pytest.raises(RunError, match="cannot be read"):
        markets_of(client("binance", amount, price), ["BTC/USDT"])
    assert market_of(client("binance", 1e-5, 0.01), "BTC/USDT").lot == 1e-5


@pytest.mark.parametrize(("amount", "price"), [(1e-5, 0.0), (0.0, 0.01), (1e-5, -0.01)])
def test_a_step_of_zero_is_none(amount: float, price: float) -> None:
    """ccxt makes no order with it: entries would fill, and no stop could be placed."""
    with pytest.raises(Unreadable, match=r"lot|tick"):
        market_of(client("binance", amount, price), "BTC/USDT")


@pytest.mark.parametrize(
    ("amount", "market", "found"),
    [((0.1, 9.0), (0.0, 5.0), (0.1, 5.0)), ((0.1, 9.0), (0.5, None), (0.5, 9.0)),
     ((0.1, None), (None, None), (0.1, 0.0))],
)  # fmt: skip
def test_the_most_of_one_order_is_that_of_a_market_order_too(
    amount: Any, market: Any, found: tuple[float, float]
) -> None:
    """An exit is a market order: on Binance its largest quantity stands in a filter of its own."""
    made = client("binance", 1e-5, 0.01)
    limits = made.markets["BTC/USDT"]["limits"]
    limits["amount"] = dict(zip(("min", "max"), amount, strict=True))
    limits["market"] = dict(zip(("min", "max"), market, strict=True))
    read = market_of(made, "BTC/USDT")
    assert (read.min_quantity, read.max_quantity) == found
