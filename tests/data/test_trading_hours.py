"""Flags of decision times: the reference's hours, calendars with sessions, pauses and half days."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data.calendars import Anchor, Sessions, load_calendar
from septet._data.trading_hours import (
    NO_EVENTS,
    Events,
    FillGrid,
    HourRules,
    hours_flags,
    open_spans,
)
from septet._kernel.layout import HOURS_CLOSED, HOURS_FLAT, HOURS_HELD_OVER, HOURS_LAST
from septet_schemas.hours import OpenHours
from tests.fidelity.positions import trading_hours as reference
from tests.fidelity.positions.settings import Blackout, TradingHours
from tests.scale import examples

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEKLY = (
    "mon-fri 09:30-16:00 America/New_York", "mon-thu 18:00-02:00, sat 10:00-11:00 UTC",
    "sun 01:30-03:30 Europe/Berlin", "mon-fri 00:00-24:00 UTC", "wed 22:00-21:00 Asia/Kolkata",
    "mon-sun 00:00-24:00 Europe/Berlin",
    "mon-fri 04:00-12:00, sat-sun 12:00-04:00, mon-fri 12:00-20:00 UTC",
)  # fmt: skip
SHUT = HOURS_CLOSED | HOURS_LAST


def at(text: str) -> int:
    """Return a UTC instant."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def flags_of(
    hours: str, times: list[int], bar_ns: int, *, calendar: str = "24x7", flat: bool = True,
    latency_ns: int = 0, anchor: str = "utc",
) -> list[int]:  # fmt: skip
    """Return the flags of some decision times."""
    rules = HourRules(OpenHours.parse(hours), flat, latency_ns)
    grid = FillGrid(calendar, bar_ns, anchor)  # type: ignore[arg-type]
    return hours_flags(rules, np.array(times, dtype=np.int64), grid).tolist()


@given(
    st.sampled_from(WEEKLY), st.sampled_from([MINUTE, 15 * MINUTE, HOUR]), st.integers(0, 3),
    st.sampled_from(["2021-03-12", "2021-10-29", "2021-03-26", "2021-07-01"]), st.data(),
)  # fmt: skip
@settings(max_examples=examples(60), deadline=None)
def test_weekly_hours_are_those_of_the_reference(text, bar_ns, latency, day, data):
    """Clock changes included: New York and Berlin change theirs on these week ends."""
    first = at(day) + data.draw(st.integers(0, 3 * 24)) * HOUR
    times = [first + n * bar_ns for n in range(data.draw(st.integers(1, 120)))]
    known = data.draw(st.lists(st.integers(-5, 200), max_size=4))
    stamps = [first + n * HOUR // 2 for n in data.draw(st.lists(st.integers(0, 200), max_size=4))]
    stamps = stamps[: len(known)]
    events = Events(
        np.array(stamps, dtype=np.int64),
        np.array([s - k * HOUR for s, k in zip(stamps, known, strict=False)], dtype=np.int64),
    )
    before, after = (data.draw(st.integers(0, 90)) * MINUTE for _ in range(2))
    rules = HourRules(
        OpenHours.parse(text), flat_at_close=True, latency_ns=latency * bar_ns, series="news",
        before_ns=before, after_ns=after,
    )  # fmt: skip
    found = hours_flags(rules, np.array(times, dtype=np.int64), FillGrid("24x7", bar_ns), events)
    for time_ns, flags in zip(times, found.tolist(), strict=True):
        seen = tuple(
            int(s) for s, k in zip(events.at_ns, events.known_ns, strict=True) if k <= time_ns
        )
        theirs = TradingHours(open=text, flat_at_close=True, blackout=Blackout(seen, before, after))
        fill_ns = time_ns + latency * bar_ns
        assert bool(flags & HOURS_CLOSED) == (not reference.is_open(theirs, fill_ns))
        last = reference.is_last_fill(theirs, fill_ns, bar_ns)
        assert bool(flags & HOURS_LAST) == last
        outside = reference.session_at(theirs, fill_ns) is None
        assert bool(flags & HOURS_FLAT) == (last or outside)
        inside_now = reference.session_at(theirs, time_ns) is not None
        assert bool(flags & HOURS_HELD_OVER) == (not outside and not inside_now)


@given(st.integers(0, 400), st.integers(1, 200))
@settings(max_examples=examples(20), deadline=None)
def test_one_time_alone_has_the_flags_of_a_whole_history(start, count):
    """What live computes at a decision time is what a backtest computes ahead."""
    rules = HourRules(OpenHours.parse("XNYS"), True, 0)
    times = at("2021-11-15") + (np.arange(count, dtype=np.int64) + start) * HOUR
    whole = hours_flags(rules, times, FillGrid("24x7", HOUR))
    alone = [int(hours_flags(rules, times[n : n + 1], FillGrid("24x7", HOUR))[0])
             for n in range(count)]  # fmt: skip
    assert whole.tolist() == alone


def test_an_exchange_has_half_days() -> None:
    # The day after Thanksgiving closes at 13:00 New York, 18:00 UTC.
    times = [at(f"2021-11-26T{clock}") for clock in ("14:00", "14:30", "17:00", "17:30", "18:00")]
    found = flags_of("XNYS", times, 30 * MINUTE)
    closed = HOURS_CLOSED | HOURS_FLAT
    assert found == [closed, 0, 0, HOURS_LAST | HOURS_FLAT, closed]
    holiday = flags_of("XNYS", [at("2021-11-25T15:00")], 30 * MINUTE)
    assert holiday == [closed]


def test_a_pause_for_lunch_closes_nothing() -> None:
    # Hong Kong pauses from 12:00 to 13:00, 04:00 to 05:00 UTC, and closes at 08:00.
    times = [at(f"2021-06-01T{clock}") for clock in ("03:30", "04:00", "04:30", "05:00", "07:30")]
    found = flags_of("XHKG", times, 30 * MINUTE)
    assert found == [0, HOURS_CLOSED, HOURS_CLOSED, 0, HOURS_LAST | HOURS_FLAT]


def test_a_bar_of_a_session_calendar_fills_at_the_next_open() -> None:
    """A daily bar ends at its session's close, and its order fills inside the next session."""
    calendar = load_calendar("XNYS", at("2021-07-01"), at("2021-07-09"))
    assert isinstance(calendar, Sessions)
    closes = calendar.day_closes_ns[calendar.day_closes_ns > at("2021-07-01")]
    times = closes[:4].tolist()
    hours = "mon-fri 09:30-16:00 America/New_York"
    assert flags_of(hours, times, DAY, calendar="XNYS", flat=False) == [0, 0, 0, 0]
    # Each of these fills is the only one of its session.
    found = flags_of(hours, times, DAY, calendar="XNYS")
    assert found == [HOURS_LAST | HOURS_FLAT | HOURS_HELD_OVER] * 4
    # On a calendar without sessions the same instants lie outside.
    assert flags_of(hours, [t - t % DAY + DAY for t in times], DAY, flat=False) == [1, 1, 1, 1]


def test_at_the_close_of_an_intraday_session_the_next_one_is_asked() -> None:
    opens, closes = at("2021-07-01T13:30"), at("2021-07-01T20:00")
    times = [opens + 30 * MINUTE, closes - 30 * MINUTE, closes]
    found = flags_of("XNYS", times, 30 * MINUTE, calendar="XNYS", anchor="session")
    assert found == [0, HOURS_LAST | HOURS_FLAT, HOURS_HELD_OVER]


def test_latency_moves_the_fill_into_the_next_session() -> None:
    closes = at("2021-07-01T20:00")
    grid = FillGrid("XNYS", 30 * MINUTE, "session")
    fills = grid.next_open(np.array([closes - 30 * MINUTE, closes, closes + HOUR]))
    assert fills.tolist() == [closes - 30 * MINUTE, *[at("2021-07-02T13:30")] * 2]


def test_the_last_hour_of_an_exchange_is_short() -> None:
    """Hourly bars at full hours: that of 14:00 UTC opens with the session at 14:30."""
    grid = FillGrid("XNYS", HOUR)
    clocks = ("01T13:00", "01T14:30", "01T14:40", "01T20:30")
    wanted = [at(f"2021-12-{each}") for each in ("01T14:30", "01T14:30", "01T15:00", "02T14:30")]
    assert grid.next_open(np.array([at(f"2021-12-{e}") for e in clocks])).tolist() == wanted


@pytest.mark.parametrize("anchor", ["utc", "session"])
@pytest.mark.parametrize("name", ["XNYS", "XHKG", "XFX"])
@pytest.mark.parametrize("minutes", [15, 60, 240])
def test_the_next_open_is_the_first_of_all_bars_of_the_calendar(
    name: str, anchor: Anchor, minutes: int
) -> None:
    """Every bar is written out: multiples of the length inside a session, and one at its open."""
    bar_ns = minutes * MINUTE
    first, last = at("2021-11-22"), at("2021-12-03")
    calendar = load_calendar(name, first, last + 7 * DAY)
    assert isinstance(calendar, Sessions)
    bars = set[int]()
    for opened, closed in zip(calendar.opens_ns.tolist(), calendar.closes_ns.tolist(), strict=True):
        origin = opened - opened % bar_ns if anchor == "utc" else opened
        bars |= {opened, *range(origin + bar_ns, closed, bar_ns)}
    opens = np.array(sorted(bars))
    asked = np.arange(first, last, 5 * MINUTE)
    asked = np.unique(np.concatenate((asked, asked + 1, opens[(opens > first) & (opens < last)])))
    wanted = opens[np.searchsorted(opens, asked)]
    assert FillGrid(name, bar_ns, anchor).next_open(asked).tolist() == wanted.tolist()


def test_days_of_the_currency_week_follow_one_another_without_a_close() -> None:
    trading, days = open_spans(OpenHours.parse("XFX"), at("2021-06-01"), at("2021-06-10"))
    assert trading is days
    found = flags_of("XFX", [at("2021-06-03T20:00"), at("2021-06-04T20:00")], HOUR)
    assert found == [0, HOURS_LAST | HOURS_FLAT]  # Thursday and Friday, 16:00 New York


def test_an_event_that_is_not_known_yet_blocks_nothing() -> None:
    rules = HourRules(None, False, 0, "news", 60 * MINUTE, 30 * MINUTE)
    event = at("2021-06-01T12:00")
    times = event + np.arange(-4, 3, dtype=np.int64) * 30 * MINUTE
    grid = FillGrid("24x7", 30 * MINUTE)
    known = Events(np.array([event]), np.array([event - DAY]))
    late = Events(np.array([event]), np.array([event - 30 * MINUTE]))
    assert hours_flags(rules, times, grid, known).tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert hours_flags(rules, times, grid, late).tolist() == [0, 0, 0, 1, 1, 0, 0]
    assert hours_flags(rules, times, grid, NO_EVENTS).tolist() == [0] * 7
    assert hours_flags(rules, times[:0], grid, known).tolist() == []
