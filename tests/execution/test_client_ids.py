"""An order leaves with its whole client id in the request that ccxt signs, or not at all."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import ccxt.pro
import pytest

from septet import messages as m
from septet._core.orders.ids import child_id, stop_id
from septet._drill.venue import Fault
from septet_plugins.exchange.client_ids import length_fault, sent_id_fault
from septet_plugins.execution.ccxt_orders import Ids, Translator, place
from tests.execution.helpers import WallTime, connected, limit, local_venue, submit
from tests.execution.signed_orders import SYMBOL, made, signed

OWN = "a1b2c3d4zz-1"
ORDER = submit(OWN, order_type="limit", limit_price=100.5)


async def request(exchange: str, order: m.Submit, name: str = "") -> Any:
    """Return what ccxt signs for an order, or how it was refused; nothing leaves."""
    there = Ids(exchange).there(order.client_id)
    return await signed(exchange, order, there, params={name: there} if name else None)


@pytest.mark.parametrize(
    ("exchange", "key", "there"),
    [
        ("binance", "newClientOrderId", OWN),
        ("binanceus", "newClientOrderId", OWN),
        ("bitget", "clientOid", OWN),
        ("bybit", "orderLinkId", OWN),
        ("coinbase", "client_order_id", OWN),
        ("cryptocom", "client_oid", OWN),
        ("gate", "text", f"t-{OWN}"),
        ("gateeu", "text", f"t-{OWN}"),
        ("kraken", "cl_ord_id", OWN),
        ("kucoin", "clientOid", OWN),
        ("okx", "clOrdId", OWN.replace("-", "Z")),
    ],
)
def test_the_signed_request_has_the_whole_id_under_its_name(
    exchange: str, key: str, there: str
) -> None:
    _, url, _, body = asyncio.run(request(exchange, ORDER))
    text = f"{url}&{body}".replace(" ", "").replace('"', "").replace(":", "=")
    assert f"{key}={there}" in text
    assert Ids(exchange).back(there) == OWN


@pytest.mark.parametrize("exchange", ["coinbase", "cryptocom"])
def test_an_order_whose_id_the_client_drops_is_not_sent(exchange: str) -> None:
    verdict, text = asyncio.run(request(exchange, ORDER, name="clientOrderId"))
    assert (verdict.code, verdict.by) == ("unsupported", "local")
    assert text == (f"the request to {exchange} has no client id {OWN}: the order was not sent")


def test_kraken_takes_every_id_a_run_makes_in_years() -> None:
    tag = "a1b2c3d4"
    longest = [child_id(tag, 36**6 - 1, 36**2 - 1), stop_id(tag, 36**2 - 1, 36**6 - 1)]
    assert [length_fault("kraken", each) for each in longest] == ["", ""]


def test_an_id_that_an_exchange_would_refuse_is_reported_before_it_is_sent() -> None:
    client = made("kraken")
    long = submit("a1b2c3d4zzzzzzzzz-1", order_type="limit", limit_price=100.5)
    assert place(client, SYMBOL, long, long.client_id) == (
        "the client id a1b2c3d4zzzzzzzzz-1 has 19 characters; kraken takes 18"
    )


@pytest.mark.parametrize("name", ["a-1", "a-12"])
def test_an_id_is_found_only_where_it_is_whole(name: str) -> None:
    fault = sent_id_fault("x", "POST", f"https://host/order?id={name}", {}, None, "a-1")
    assert bool(fault) == (name != "a-1")


def test_an_id_is_found_in_what_is_sent_in_base_64() -> None:
    body = base64.b64encode(json.dumps({"id": "a-1"}).encode()).decode()
    assert sent_id_fault("x", "POST", "https://host/order", {}, body, "a-1") == ""
    assert sent_id_fault("x", "POST", "https://host/order", {"payload": body}, "", "a-1") == ""


@pytest.mark.parametrize(
    ("info", "named", "client_id"),
    [
        ({"order_userref": 0, "cl_ord_id": OWN}, "0", OWN),
        ({"order_userref": 0}, "0", ""),
        ({"userref": 7}, "7", ""),
        ({"userref": 0, "cl_ord_id": OWN}, OWN, OWN),
        ({}, OWN, OWN),
    ],
)
def test_the_group_of_an_order_is_not_read_as_its_client_id(
    info: dict[str, Any], named: str, client_id: str
) -> None:
    translator = Translator(made("kraken"), "main", [SYMBOL], WallTime())
    order = {
        "symbol": SYMBOL, "side": "buy", "id": "O1-A", "clientOrderId": named, "status": "open",
        "amount": 1.0, "filled": 0.0, "price": 100.0, "info": info,
    }  # fmt: skip
    seen = translator.order(order)
    assert seen is not None
    assert seen.client_id == client_id


def test_krakens_stream_is_read_by_its_own_client_as_the_fault_assumes() -> None:

    client = ccxt.pro.kraken()
    client.set_markets([made("kraken").markets[SYMBOL]])
    order = client.parse_ws_order(
        {"order_id": "O1-A", "order_userref": 0, "cl_ord_id": OWN, "symbol": SYMBOL, "side": "buy"}
    )
    assert (order["clientOrderId"], order["info"]["cl_ord_id"]) == ("0", OWN)


def test_an_order_listed_under_another_client_id_is_asked_for_by_the_venues_id() -> None:
    """E23: its answer is about another order, and by our id there is none."""

    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            venue.inject(Fault(code="E23"))
            answer = await live.submit(limit("a-1", quantity=0.4))
            assert isinstance(answer, m.Uncertain)
            assert isinstance(await live.query(m.Query(client_id="a-1", symbol=0)), m.NotFound)
            (listed,) = (await live.open_orders()).orders
            assert (listed.client_id, listed.order_type, listed.price) == ("x-a-1", "limit", 90.0)
            venue_id = listed.venue_order_id
            seen = await live.query(
                m.Query(client_id="a-1", symbol=0, venue_order_id=venue_id, by_venue_id=True)
            )
            assert (seen.client_id, seen.venue_order_id, seen.state) == ("a-1", venue_id, "open")
            gone = await live.cancel(
                m.Cancel(client_id="a-1", symbol=0, venue_order_id=venue_id, by_venue_id=True)
            )
            assert (gone.client_id, gone.state) == ("a-1", "cancelled")
            assert (await live.open_orders()).orders == ()

    asyncio.run(case())
