"""A body that is no JSON, or not what was asked for, is an error and never an empty value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue import Fault
from septet._live.venue_gate import GatedVenue
from septet.plugin.live import Unreadable
from septet_plugins.exchange.answer_bodies import check_body
from tests.execution.helpers import Received, WallTime, account, limit, local_venue, read

HOST = "https://api.binance.com/api/v3/"
NO_JSON = (
    '{"balances": [{"asset": "USDT", "free": NaN, "locked": "0"}]}', "NaN", "null", "", "{", "[1,",
    '"text"', "12",
)  # fmt: skip
ODD = ("{}", "[]", '{"balances": null}', '{"balances": {}}', "[{}]", "[[]]", '{"symbols": []}')


@pytest.mark.parametrize("name", ["account", "openOrders", "order", "myTrades", "time", "klines"])
@pytest.mark.parametrize("body", ["text", "", None, 1.5])
def test_what_is_no_object_and_no_list_is_an_error_everywhere(name: str, body: Any) -> None:
    for exchange in ("binance", "kraken"):
        with pytest.raises(Unreadable, match="expected JSON"):
            check_body(exchange, "GET", f"{HOST}{name}?signature=x", body)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("account", {"balances": []}),
        ("account", {"balances": [{"asset": "USDT", "free": "1", "locked": "0"}]}),
        ("openOrders", []), ("myTrades", []), ("klines", []),
        ("klines", [[1, "1", "1", "1", "1", "1", 2]]), ("time", {"serverTime": 1}),
        ("ticker/24hr", {}),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_let_through(name: str, body: Any) -> None:
    check_body("binance", "GET", HOST + name, body)


def test_another_exchange_answers_in_its_own_shape_and_a_delete_with_nothing() -> None:
    check_body("kraken", "GET", "https://api.kraken.com/0/public/Time", {"error": []})
    check_body("binance", "DELETE", HOST + "order", "")


QUESTIONS = {
    "account": "holdings", "openOrders": "open_orders", "order": "query", "myTrades": "fills",
    "time": "skew", "exchangeInfo": "refresh_markets",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_no_question_takes_such_a_body_for_an_empty_answer(name: str) -> None:
    async def case() -> None:
        async with local_venue() as venue:
            received = Received()
            live = GatedVenue(
                account(venue.urls).connect(name="main", clock=WallTime(), read=read), WallTime()
            )
            await live.open(["BTC/USDT"], received)
            await received.until_state("up")
            await live.submit(limit("a-1", quantity=0.1))
            ask: dict[str, Callable[[], Awaitable[Any]]] = {
                "holdings": live.holdings, "open_orders": live.open_orders,
                "query": partial(live.query, m.Query(client_id="a-1", symbol=0)),
                "fills": partial(live.fills, 0, 0), "skew": live.skew,
                "refresh_markets": live.refresh_markets,
            }  # fmt: skip
            for body in (*NO_JSON, *ODD):
                if body == "[]" and name in ("openOrders", "myTrades"):
                    continue
                parameters = {"body": body}
                (number,) = venue.inject(
                    Fault(code="A2", target=f"GET {name}", parameters=parameters)
                )
                assert await ask[QUESTIONS[name]]() is None, body
                assert venue.faults.plan[number].count == 1
            assert [each.about for each in received.of(m.Unreadable)], "it is reported"
            assert await ask[QUESTIONS[name]]() is not None
            await live.close()

    asyncio.run(case())
