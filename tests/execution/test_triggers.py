"""Every stop that an exchange is declared to accept is signed, by ccxt itself, with its trigger."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import ccxt.async_support as ccxt
import pytest

from septet import messages as m
from septet.plugin.live import Clock
from septet_plugins.exchange.triggers import trigger_fault
from septet_plugins.execution.ccxt_orders import order_types
from tests.execution.helpers import submit
from tests.execution.signed_orders import INFO, SYMBOL, signed


def claims(exchange: str) -> frozenset[str]:
    """Return the stops that are declared as accepted."""
    client = SimpleNamespace(id=exchange, markets={SYMBOL: {"info": INFO}})
    return order_types(client, [SYMBOL]) & {"stop", "stop_limit"}


CLAIMS = [(each, kind) for each in ccxt.exchanges for kind in sorted(claims(each))]


async def request(exchange: str, order: m.Submit, key: str = "", clock: Clock | None = None) -> Any:
    """Return what ccxt signs for a stop, or how it was refused; nothing leaves."""
    renamed = {"stopLossPrice": key} if key else {}
    found = await signed(exchange, order, "a-1", renamed=renamed, traced_id=False, clock=clock)
    return (found[1], found[3]) if len(found) == 4 else found


def stop(kind: Any, side: Any, reduces: bool) -> m.Submit:
    price = 101.5 if kind == "stop_limit" else None
    return submit(
        "a-1", side=side, order_type=kind, reduces=reduces, trigger_price=100.25, limit_price=price
    )


def test_some_exchange_accepts_stops() -> None:
    assert {each for each, _ in CLAIMS} == {"binance", "binanceus", "kraken"}


@pytest.mark.parametrize(("exchange", "kind"), CLAIMS)
@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("reduces", [True, False])
def test_a_claimed_stop_is_signed_with_its_trigger(
    exchange: str, kind: str, side: str, reduces: bool
) -> None:
    url, body = asyncio.run(request(exchange, stop(kind, side, reduces)))
    assert trigger_fault(exchange, url, body, "100.25") == ""
    text = f"{url} {body}"
    assert ("101.5" in text) == (kind == "stop_limit")
    assert "triggerPrice" not in text


def test_a_stop_that_would_leave_as_a_market_order_is_not_sent() -> None:
    order = stop("stop", "buy", False)
    verdict, text = asyncio.run(request("kraken", order, key="triggerPrice"))
    assert (verdict.code, verdict.by) == ("unsupported", "local")
    assert text == ("kraken would read a stop as an order of type 'market': the stop was not sent")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("type=buy&ordertype=stop-loss&price=100.25", ""),
        ('{"ordertype": "stop-loss", "price": "100.250"}', ""),
        ("ordertype=stop-loss&price=9",
         "the request to kraken has no trigger price 100.25 in price"),
        ("price=100.25", "kraken would read a stop as an order of type 'unknown'"),
        ("type=buy&ordertype=limit&price=100.25",
         "kraken would read a stop as an order of type 'limit'"),
    ],
)  # fmt: skip
def test_what_a_request_of_a_stop_lacks_is_reported(body: str, fault: str) -> None:
    assert trigger_fault("kraken", "https://host/0/private/AddOrder", body, "100.25") == fault
