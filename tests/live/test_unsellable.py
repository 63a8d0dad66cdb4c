"""Filters that the venue reports later, and that do not let a position go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._live.wiring import core_terms
from tests.live.test_overdue_stops import START, cancels, protected, quote, sales
from tests.live.test_prices import SECOND

RIGHT = {"lot": 0.001, "min_notional": 0.0, "min_quantity": 0.0}
WRONG = [{**RIGHT, "lot": 1.0}, {**RIGHT, "min_notional": 1e9}, {**RIGHT, "min_quantity": 1.0}]


def report(core: Any, seconds: float, filters: dict[str, float]) -> list[m.Command]:
    at_ns = START + int(seconds * SECOND)
    found: list[m.Command] = core.handle(
        m.FiltersChanged(at_ns=at_ns, symbol=0, tick=0.01, trading=True, listed=True, **filters)
    )
    return found


def alarms(found: list[m.Command]) -> list[str]:
    alerts = (each for each in found if isinstance(each, m.Alerted))
    return [each.level for each in alerts if each.event == "unsellable"]


@pytest.mark.parametrize("wrong", WRONG, ids=["lot", "notional", "quantity"])
def test_a_stop_that_stands_stays_and_a_person_is_asked(wrong: dict[str, float]) -> None:
    core, _ = protected()
    found = report(core, 2, wrong)
    found += quote(core, 3, 99.5) + quote(core, 8, 99.4)
    assert cancels(found) == []
    assert alarms(found) == ["critical"]
    assert [each.rule for each in found if isinstance(each, m.Tripped)] == [
        "filters_changed:BTC/USDT"
    ]
    assert core.orders.protected(0)
    found = report(core, 9, wrong) + report(core, 10, RIGHT) + quote(core, 11, 99.4)
    assert (alarms(found), cancels(found)) == ([], [])


@pytest.mark.parametrize("wrong", WRONG[1:], ids=["notional", "quantity"])
def test_an_exit_that_cannot_be_sent_is_an_alarm_of_the_flatten(wrong: dict[str, float]) -> None:
    """Where the position is worth more than a remainder; the engine waits to send it."""
    core, _ = protected(20_000_000.0)
    report(core, 2, {**wrong, "min_quantity": 1e6 * wrong["min_quantity"]})
    found = core.handle(
        m.Operated(
            at_ns=START + 3 * SECOND, action="flatten", name="Ann", reason="news",
            market_ns=START + 3 * SECOND,
        )
    )  # fmt: skip
    assert sales(found) == []
    assert [each for each in found if isinstance(each, m.Placed)] == []
    assert alarms(found) == ["critical"]


@pytest.mark.parametrize(
    ("kinds", "rests"),
    [({"market", "limit", "stop"}, True), ({"market", "limit", "stop_limit"}, False)],
)
def test_a_stop_rests_only_where_the_venue_takes_what_is_sent(
    kinds: set[str], *, rests: bool
) -> None:
    """Protective stops are sent as stop-market orders."""
    facts: Any = SimpleNamespace(order_types=kinds, answers_final_after_ns=1, amends=False)
    assert core_terms(facts, 1.0)["holds_stops"] is rests
