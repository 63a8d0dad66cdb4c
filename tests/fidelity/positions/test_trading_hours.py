"""`trading_hours`: half-open spans in a zone, sessions, blackouts, the last fill."""

from __future__ import annotations

from tests.fidelity.positions.market import HOUR, MINUTE
from tests.fidelity.positions.settings import Blackout, TradingHours
from tests.fidelity.positions.test_schedule import at
from tests.fidelity.positions.trading_hours import is_last_fill, is_open

NEW_YORK = TradingHours(open="mon-fri 09:30-16:00 America/New_York", flat_at_close=True)


def test_hours_are_closed_at_the_first_instant_and_open_at_the_last() -> None:
    # 2021-01-04 is a Monday; New York is five hours behind UTC in winter.
    assert not is_open(NEW_YORK, at("2021-01-04 14:29"))
    assert is_open(NEW_YORK, at("2021-01-04 14:30"))
    assert is_open(NEW_YORK, at("2021-01-04 20:59"))
    assert not is_open(NEW_YORK, at("2021-01-04 21:00"))


def test_hours_follow_the_clock_of_their_zone_and_its_weekdays() -> None:
    assert is_open(NEW_YORK, at("2021-07-05 13:30"))  # four hours behind in summer
    assert not is_open(NEW_YORK, at("2021-01-09 15:00"))  # a Saturday


def test_a_span_may_pass_midnight_and_several_are_read() -> None:
    hours = TradingHours(open="mon-thu 18:00-02:00, sat 10:00-11:00 UTC")
    assert is_open(hours, at("2021-01-05 01:59"))
    assert not is_open(hours, at("2021-01-04 01:59"))  # Sunday has none
    assert is_open(hours, at("2021-01-09 10:30"))


def test_sessions_of_a_calendar_know_half_days() -> None:
    half = (at("2021-11-26 14:30"), at("2021-11-26 18:00"))
    hours = TradingHours(sessions=(half,), flat_at_close=True)
    assert is_open(hours, at("2021-11-26 17:59"))
    assert not is_open(hours, at("2021-11-26 18:00"))
    assert is_last_fill(hours, at("2021-11-26 17:00"), HOUR)
    assert not is_last_fill(hours, at("2021-11-26 16:00"), HOUR)


def test_a_blackout_closes_the_hours_around_its_instants() -> None:
    news = at("2021-01-04 12:00")
    hours = TradingHours(blackout=Blackout((news,), 30 * MINUTE, 60 * MINUTE))
    states = [is_open(hours, news + minutes * MINUTE) for minutes in (-31, -30, 0, 59, 60)]
    assert states == [True, False, False, False, True]


def test_the_last_fill_is_the_one_whose_next_lies_outside() -> None:
    assert is_last_fill(NEW_YORK, at("2021-01-04 20:30"), 30 * MINUTE)
    assert not is_last_fill(NEW_YORK, at("2021-01-04 20:00"), 30 * MINUTE)
    assert not is_last_fill(NEW_YORK, at("2021-01-04 21:00"), 30 * MINUTE)


def test_spans_that_adjoin_are_one_span() -> None:
    week = TradingHours(open="mon-fri 00:00-24:00 UTC", flat_at_close=True)
    assert not is_last_fill(week, at("2021-01-04 23:00"), HOUR)  # Tuesday follows at once
    assert is_last_fill(week, at("2021-01-08 23:00"), HOUR)  # Friday
    parts = TradingHours(open="mon 08:00-12:00, mon 12:00-13:00, tue 08:00-12:00 UTC",
                         flat_at_close=True)  # fmt: skip
    assert not is_last_fill(parts, at("2021-01-04 11:00"), HOUR)
    assert is_last_fill(parts, at("2021-01-04 12:00"), HOUR)
    assert is_last_fill(parts, at("2021-01-04 11:00"), 2 * HOUR)
