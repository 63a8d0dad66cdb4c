"""The gate: who may ask what during a pause of the venue, and what the link reports."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import Any

import pytest

from septet._host.venues import leaving
from septet.plugin.live import Clock
from septet_plugins.exchange.requests import Barred, Gate, Wire, check_host
from septet_plugins.execution.ccxt_answers import Verdict, classify_error
from septet_plugins.execution.ccxt_link import Link
from tests.execution.helpers import Received

S = 10**9
NOW = 1_700_000_000 * S


class Standing(Clock):
    """Time stands until it is moved."""

    def __init__(self) -> None:
        self.at = NOW

    @property
    def speed(self) -> float:
        return 1.0

    def now_ns(self) -> int:
        return self.at

    def market_ns(self) -> int:
        return self.at


@pytest.mark.parametrize(
    ("status", "headers", "body", "until_s"),
    [
        (429, {"Retry-After": "17"}, "", 17.0),
        (429, {"retry-after": "2.5"}, "", 2.5),
        (429, {"Retry-After": formatdate(NOW / S + 30, usegmt=True)}, "", 30.0),
        (429, {"Retry-After": "soon"}, "", 10.0),
        (429, {}, "", 10.0),
        (418, {"Retry-After": "90"}, "", 90.0),
        (418, {}, "", 120.0),
        (418, {}, f"IP banned until {(NOW + 600 * S) // 10**6}.", 600.0),
        (418, {"Retry-After": "1e99"}, "", 120.0),
        (418, {"Retry-After": "99999999999"}, "", 3 * 86_400.0),
        (418, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, "", 3 * 86_400.0),
        (418, {"Retry-After": "-5"}, "", 120.0),
        (418, {"Retry-After": "nan"}, "", 120.0),
        (418, {"Retry-After": "9" * 400}, "", 3 * 86_400.0),
        (418, {"Retry-After": "\u00b3"}, "", 120.0),
        (418, {}, "IP banned until 9999999999999.", 3 * 86_400.0),
        (429, {"Retry-After": "31536000"}, "", 600.0),
        (429, {"Retry-After": "1e308"}, "", 10.0),
        (429, {}, "banned until 9999999999999", 600.0),
    ],
)
def test_how_long_to_keep_away(
    status: int, headers: dict[str, str], body: str, until_s: float
) -> None:
    clock = Standing()
    gate = Gate(clock)
    assert gate.answered(status, headers, body) == ("banned" if status == 418 else "limited")
    assert (gate.open_ns() - NOW) / S == pytest.approx(until_s, abs=1e-3)
    clock.at = gate.open_ns()
    assert gate.open_ns() == 0
    gate.check(None)


def test_a_pause_leaves_a_reserve_for_what_is_urgent() -> None:
    gate = Gate(Standing())
    gate.answered(429, {"Retry-After": "60"}, "")
    with pytest.raises(Barred, match="asked to pause"):
        gate.check(Wire())
    assert urgent_left(gate, 20) == 10, "half of it at once"
    gate.answered(418, {"Retry-After": "1"}, "")
    with pytest.raises(Barred, match="banned for"):
        gate.check(Wire(urgent=True))


def urgent_left(gate: Gate, tries: int) -> int:
    """Return how many of so many urgent requests leave now."""
    left = 0
    for _ in range(tries):
        try:
            gate.check(Wire(urgent=True))
        except Barred:
            continue
        left += 1
    return left


def test_a_reserve_is_spread_over_the_pause_and_prolonging_gives_no_other() -> None:
    """Each answer asks for a pause anew, and each second 20 requests want to leave."""
    clock = Standing()
    gate = Gate(clock)
    gate.answered(429, {"Retry-After": "60"}, "")
    left = []
    for _ in range(89):
        left.append(urgent_left(gate, 20))
        if clock.at < NOW + 60 * S:
            gate.answered(429, {"Retry-After": "30"}, "")
        clock.at += S
    gate.check(None)
    assert sum(left) <= 20
    assert left[0] == 10
    assert max(left[1:]) == 1, "one after the other"
    assert sum(left[45:]) > 0


def test_pauses_in_a_row_have_one_reserve_until_a_request_is_accepted() -> None:
    clock = Standing()
    gate = Gate(clock)
    total = 0
    for _ in range(5):  # the first request after each pause asks for the next one
        gate.answered(429, {"Retry-After": "10"}, "")
        for _ in range(10):
            total += urgent_left(gate, 20)
            clock.at += S
        gate.check(None)
    assert total <= 20
    gate.answered(200, {}, "{}")
    gate.answered(429, {"Retry-After": "10"}, "")
    assert urgent_left(gate, 20) == 10


def test_a_limit_with_an_ordinary_status_is_no_accepted_request() -> None:
    clock = Standing()
    gate = Gate(clock)
    total = 0
    for _ in range(8):
        gate.answered(200, {}, '{"code": "too many requests"}')
        gate.pause_briefly()
        total += urgent_left(gate, 20)
        clock.at += 3 * S
    assert total <= 20


def test_what_is_too_late_does_not_leave() -> None:
    gate = Gate(Standing())
    gate.check(Wire(deadline_ns=NOW + 1))
    with pytest.raises(Barred) as caught:
        gate.check(Wire(deadline_ns=NOW))
    assert caught.value.code == "deadline"


def test_what_was_withdrawn_does_not_leave_and_questions_do() -> None:
    gate = Gate(Standing())
    with leaving(lambda: False):
        gate.check(Wire())
        with pytest.raises(Barred) as caught:
            gate.check(Wire(urgent=True, deadline_ns=NOW + 1))
    assert classify_error(caught.value, Wire()) == Verdict("cancelled", "local")
    gate.check(Wire(deadline_ns=NOW + 1))


@pytest.mark.parametrize("status", [200, 400, 403, 503])
def test_other_answers_bar_nothing(status: int) -> None:
    gate = Gate(Standing())
    assert gate.answered(status, {"Retry-After": "60"}, "") == ""
    gate.check(None)


def test_hosts_that_may_be_asked() -> None:
    check_host("https://api.binance.com/api/v3/order?x=1", None)
    check_host("http://127.0.0.1:8080/api", frozenset({"127.0.0.1"}))
    with pytest.raises(Barred, match=r"fapi\.binance\.com"):
        check_host("https://fapi.binance.com/x", frozenset({"127.0.0.1"}))


def test_the_link_shows_what_lies_on_top_and_each_state_once() -> None:
    async def case() -> list[Any]:
        clock, received = Standing(), Received()
        gate = Gate(clock)
        link = Link("main", clock, gate, received)
        link.up()
        link.up()
        link.maintenance("shut")
        link.down("lost")
        gate.answered(429, {"Retry-After": "60"}, "")
        link.report()
        gate.answered(418, {"Retry-After": "90"}, "")
        link.report()
        assert "stop whatever else asks from here" in received.events[-1].reason
        clock.at = NOW + 61 * S
        link.report()
        clock.at = NOW + 91 * S
        link.report()
        link.maintenance("")
        link.up()
        link.close()
        link.down("after the end")
        return [(each.state, each.until_ns) for each in received.events]

    assert asyncio.run(case()) == [
        ("up", 0),
        ("maintenance", 0),
        ("limited", NOW + 60 * S),
        ("banned", NOW + 90 * S),
        ("maintenance", 0),
        ("down", 0),
        ("up", 0),
    ]


def test_a_breaker_lies_over_what_arrives_and_under_what_the_venue_reports() -> None:
    async def case() -> list[tuple[str, str]]:
        clock, received = Standing(), Received()
        link = Link("main", clock, Gate(clock), received)
        link.up()
        link.broken("no answers")
        link.broken("no answers still")
        link.maintenance("shut")
        link.maintenance("")
        link.broken("")
        link.broken("again")
        link.up()
        link.close()
        return [(each.state, each.reason) for each in received.events]

    assert asyncio.run(case()) == [
        ("up", ""), ("down", "no answers"), ("maintenance", "shut"), ("down", "no answers still"),
        ("up", ""), ("down", "again"), ("up", ""),
    ]  # fmt: skip
