"""What each kind of answer to an order means: one row each, through the real client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import ccxt
import pytest
from ccxt.base.errors import error_hierarchy

from septet import messages as m
from septet_plugins.exchange.requests import Barred, Wire
from septet_plugins.execution.ccxt_answers import REJECTION_CODES, Verdict, classify_error
from tests.execution.helpers import Received, WallTime, account, read, submit
from tests.execution.scripted import accepted, scripted


def error(code: int, text: str) -> dict[str, Any]:
    return {"code": code, "msg": text}


REFUSED: list[tuple[str, int, Any]] = [
    ("funds", 400, error(-2010, "Account has insufficient balance for requested action.")),
    ("filter", 400, error(-1013, "Filter failure: LOT_SIZE")),
    ("filter", 400, error(-1013, "Filter failure: PRICE_FILTER")),
    ("filter", 400, error(-1013, "Filter failure: NOTIONAL")),
    ("filter", 400, error(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")),
    ("filter", 400, error(-1111, "Precision is over the maximum defined for this asset.")),
    ("bad_request", 400, error(-1100, "Illegal characters found in parameter 'x'.")),
    ("bad_request", 400, error(-1102, "Mandatory parameter was not sent.")),
    ("symbol", 400, error(-1121, "Invalid symbol.")),
    ("clock", 400, error(-1021, "Timestamp for this request is outside of the recvWindow.")),
    ("market_closed", 400, error(-2010, "Market is closed.")),
    ("crosses", 400, error(-2010, "Order would trigger immediately.")),
    ("duplicate", 400, error(-2010, "Duplicate order sent.")),
    # A key that was good a moment ago: the client takes that for a pause, and so do we.
    ("rate", 401, error(-2015, "Invalid API-key, IP, or permissions for action.")),
    ("auth", 400, error(-2014, "API-key format invalid.")),
    ("auth", 400, error(-1022, "Signature for this request is not valid.")),
    ("rate", 400, error(-1003, "Too many requests.")),
    ("rate", 429, error(-1015, "Too many new orders.")),
    ("rate", 418, error(-1003, "Way too many requests; IP banned.")),
]
QUIET = (418, 429)
UNCERTAIN: list[tuple[int, Any]] = [
    (504, error(-1007, "Timeout waiting for response; send status unknown.")),
    (400, error(-1007, "Timeout waiting for response; send status unknown.")),
    (400, error(-1006, "An unexpected response was received from the message bus.")),
    (400, error(-1001, "Internal error; unable to process your request.")),
    (500, error(-1000, "An unknown error occurred while processing the request.")),
    (503, error(-1008, "Server is currently overloaded with other requests.")),
    (503, error(-1000, "System is under maintenance.")),
    (500, error(-2010, "Account has insufficient balance for requested action.")),
    (400, error(-31415, "A code nobody has seen.")),
    (400, error(-2011, "Unknown order sent.")),
    (400, error(-2013, "Order does not exist.")),
    (502, "<html>Bad gateway</html>"),
    (403, "<html>Forbidden</html>"),
    (200, "<html>Welcome</html>"),
    (200, {}),
    (200, {"msg": "ok"}),
    (200, []),
    (200, "null"),
    (200, '{"orderId": 7, "symb'),
    (200, lambda post: accepted(post, orderId=None)),
    (200, lambda post: accepted(post, clientOrderId="somebody-else")),
    (200, lambda post: accepted(post, clientOrderId="")),
    (200, lambda post: accepted(post, symbol="ETHUSDT")),
    (200, lambda post: {"orderId": 7, "symbol": post["symbol"]}),
]


async def answers_of(rows: Sequence[tuple[int, Any]]) -> list[tuple[m.Event, int]]:
    """Send an order for each row over one connection; the answer, and how often it was posted."""
    async with scripted() as server:
        live = account(server.urls).connect(name="main", clock=WallTime(), read=read)
        await live.open(["BTC/USDT"], Received())
        found = []
        for number, (server.status, server.body) in enumerate(rows):
            server.posts.clear()
            found.append((await live.submit(submit(f"a-{number}")), len(server.posts)))
        await live.close()
        return found


def answered(status: int, body: Any) -> tuple[m.Event, int]:
    return asyncio.run(answers_of([(status, body)]))[0]


@pytest.fixture(scope="module")
def refusals() -> list[tuple[m.Event, int]]:
    """The answers to all rows; those that ask for silence have a connection of their own."""
    rows = [(status, body) for _, status, body in REFUSED]
    plain = [each for each in rows if each[0] not in QUIET]
    return asyncio.run(answers_of(plain)) + [answered(*each) for each in rows if each[0] in QUIET]


@pytest.fixture(scope="module")
def doubts() -> list[tuple[m.Event, int]]:
    return asyncio.run(answers_of(UNCERTAIN))


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_surely_not_accepted(number: int, refusals: list[tuple[m.Event, int]]) -> None:
    event, posts = refusals[number]
    assert isinstance(event, m.Rejected)
    assert (event.code, event.by, posts) == (REFUSED[number][0], "venue", 1)


@pytest.mark.parametrize("number", range(len(UNCERTAIN)))
def test_nobody_knows(number: int, doubts: list[tuple[m.Event, int]]) -> None:
    event, posts = doubts[number]
    assert isinstance(event, m.Uncertain), event
    assert (event.client_id, posts) == (f"a-{number}", 1)
    assert event.text


def test_accepted_has_what_the_venue_reports() -> None:
    event, _ = answered(200, accepted)
    assert isinstance(event, m.Acked)
    assert (event.venue_order_id, event.side, event.quantity) == ("7", "buy", 0.5)
    other, _ = answered(200, lambda post: accepted(post, side="SELL", origQty="5.0"))
    assert isinstance(other, m.Acked)
    assert (other.side, other.quantity) == ("sell", 5.0), "a different order is for the core to see"


def _classes(tree: dict[str, Any]) -> list[str]:
    return [name for key, below in tree.items() for name in (key, *_classes(below))]


SURE = {
    "funds": "InsufficientFunds", "rate": "DDoSProtection RateLimitExceeded",
    "clock": "InvalidNonce", "symbol": "BadSymbol", "bad_request": "BadRequest ArgumentsRequired",
    "market_closed": "MarketClosed", "crosses": "OrderImmediatelyFillable",
    "not_fillable": "OrderNotFillable", "duplicate": "DuplicateOrderId",
    "filter": "InvalidOrder ContractUnavailable",
    "auth": "AuthenticationError PermissionDenied AccountNotEnabled AccountSuspended",
}  # fmt: skip


@pytest.mark.parametrize("name", _classes(error_hierarchy))
def test_every_class_of_the_client_has_a_verdict(name: str) -> None:
    code = next((code for code, names in SURE.items() if name in names.split()), "")
    verdict = classify_error(getattr(ccxt, name)("x"), Wire(sent=True, status=200))
    assert verdict == Verdict(code)


def test_the_table_names_classes_that_exist() -> None:
    assert set(REJECTION_CODES) <= set(_classes(error_hierarchy))


@pytest.mark.parametrize(
    "strange", [ValueError("x"), KeyError("id"), OSError(5), TimeoutError(), AssertionError()]
)
def test_what_is_not_the_clients_own_is_uncertain(strange: Exception) -> None:
    assert not classify_error(strange, Wire(sent=True)).is_rejected


def test_what_never_left_was_never_accepted() -> None:
    assert classify_error(ccxt.InvalidOrder("no such type"), Wire()) == Verdict("filter", "local")
    assert classify_error(TypeError("a bug"), Wire()) == Verdict("local", "local")
    assert classify_error(Barred("banned", "x"), Wire()) == Verdict("banned", "gate")
    assert not classify_error(Barred("banned", "x"), Wire(sent=True)).is_rejected


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_a_server_in_trouble_is_not_accepted(status: int) -> None:
    assert not classify_error(
        ccxt.InsufficientFunds("x"), Wire(sent=True, status=status)
    ).is_rejected
