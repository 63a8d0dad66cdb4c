"""Bars of higher time frames built from the text of the semantics alone, in plain Python.

It shares no code with septet: the schedules of three calendars are written down here, a bar of a
higher time frame is a list of base bars, and what is visible is looked up at every bar.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["DAY", "HOUR", "Base", "Scheduled", "features_of", "incomplete_of", "schedule_of"]

SECOND = 10**9
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
WEEK = 7 * DAY
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOLIDAYS = {date(2021, 5, 31), date(2021, 7, 5), date(2021, 9, 6), date(2021, 11, 25)}
EARLY = {date(2021, 11, 26): time(13)}


@dataclass(frozen=True)
class Scheduled:
    """A scheduled base bar: when it opens, when it is known, and the date of its session."""

    open_ns: int
    known_ns: int
    session: int


@dataclass(frozen=True)
class Base:
    """A base bar that is there: its number in the schedule, and open high low close volume."""

    number: int
    prices: tuple[float, float, float, float, float]


def _ns(moment: datetime) -> int:
    return int((moment.astimezone(UTC) - EPOCH).total_seconds()) * SECOND


def _sessions(calendar: str, first: date, days: int) -> Iterator[tuple[int, int, int]]:
    """Yield open, close and date of each session."""
    for number in range(days):
        day = first + timedelta(days=number)
        if day.weekday() > 4:
            continue
        if calendar == "XFX":  # from 17:00 of the evening before in New York, for 24 hours
            before = day - timedelta(days=1)
            begins = _ns(datetime.combine(before, time(17), NEW_YORK))
            yield (
                begins,
                _ns(datetime.combine(day, time(17), NEW_YORK)),
                (day - date(1970, 1, 1)).days,
            )
        elif day not in HOLIDAYS:
            opens = _ns(datetime.combine(day, time(9, 30), NEW_YORK))
            closes = _ns(datetime.combine(day, EARLY.get(day, time(16)), NEW_YORK))
            yield opens, closes, (day - date(1970, 1, 1)).days


def schedule_of(calendar: str, bar_ns: int, first: date, days: int) -> list[Scheduled]:
    """Return every base bar that a calendar has; intraday bars lie at UTC multiples."""
    if calendar == "24x7":
        begin = _ns(datetime.combine(first, time(0), UTC))
        opens = range(begin, begin + days * DAY, bar_ns)
        return [Scheduled(each, each + bar_ns, each // DAY) for each in opens]
    found: list[Scheduled] = []
    for opens_ns, closes_ns, session in _sessions(calendar, first, days):
        if bar_ns == DAY:
            found.append(Scheduled(opens_ns, closes_ns, session))
            continue
        # a bar of foreign exchange may go on into the next session, but not into the weekend
        closing = datetime.fromtimestamp(closes_ns // SECOND, UTC).weekday() == 4
        last_ns = closes_ns if calendar != "XFX" or closing else closes_ns + bar_ns
        at = max(opens_ns, found[-1].known_ns if found else opens_ns)
        while at < closes_ns:
            until = min(at // bar_ns * bar_ns + bar_ns, last_ns)
            found.append(Scheduled(at, until, session))
            at = until
    return found


def _label(bar: Scheduled, frame_ns: int, calendar: str) -> int:
    """The multiple of the period that a base bar lies in: of its session's date, or its open."""
    by_date = calendar != "24x7" and frame_ns % DAY == 0
    at = bar.session * DAY if by_date else bar.open_ns
    return (at - (4 * DAY if frame_ns % WEEK == 0 else 0)) // frame_ns


def _boundaries(schedule: Sequence[Scheduled], frame_ns: int, calendar: str) -> dict[int, int]:
    """When each bar of a time frame ends: at its multiple, or with its last session."""
    found = {}
    for bar in schedule:
        label = _label(bar, frame_ns, calendar)
        if calendar != "24x7" and frame_ns % DAY == 0:
            found[label] = bar.known_ns
        else:
            found[label] = (label + 1) * frame_ns + (4 * DAY if frame_ns % WEEK == 0 else 0)
    return found


def _joined(bars: Sequence[Base]) -> tuple[float, float, float, float, float]:
    rows = [bar.prices for bar in bars]
    volume = 0.0
    for row in rows:
        volume += row[4]
    return (
        rows[0][0], max(row[1] for row in rows), min(row[2] for row in rows), rows[-1][3], volume
    )  # fmt: skip


def features_of(
    schedule: Sequence[Scheduled],
    bars: Sequence[Base],
    frame_ns: int,
    calendar: str,
    reset_after: int,
) -> list[dict[str, float]]:
    """Return what features of a time frame show at each base bar; NaN where it is unknown.

    `open`, `high`, `low`, `close` and `volume` are those of its newest bar; `high_2` and `close_3`
    the highest of two bars and the mean close of three.
    """
    ends = _boundaries(schedule, frame_ns, calendar)
    labels = [_label(schedule[bar.number], frame_ns, calendar) for bar in bars]
    members: dict[int, list[Base]] = {}
    for label, bar in zip(labels, bars, strict=True):
        members.setdefault(label, []).append(bar)
    joined = {label: _joined(each) for label, each in members.items()}
    found, since = [], labels[0]
    for i, bar in enumerate(bars):
        if i and bar.number - bars[i - 1].number - 1 > reset_after:
            since = labels[i]
        now_ns = schedule[bar.number].known_ns
        shown = [
            joined[label]
            for label in sorted(set(labels[: i + 1]))
            if label >= since and ends[label] <= now_ns
        ]
        row = dict.fromkeys(("open", "high", "low", "close", "volume"), math.nan)
        if shown:
            row = dict(zip(row, shown[-1], strict=True))
        two, three = shown[-2:], shown[-3:]
        row["high_2"] = max(each[1] for each in two) if len(two) == 2 else math.nan
        row["close_3"] = sum(each[3] for each in three) / 3 if len(three) == 3 else math.nan
        found.append(row)
    return found


def incomplete_of(
    schedule: Sequence[Scheduled], bars: Sequence[Base], frame_ns: int, calendar: str
) -> int:
    """Return how many bars of a time frame have ended and lack a scheduled base bar."""
    ends = _boundaries(schedule, frame_ns, calendar)
    labels = [_label(bar, frame_ns, calendar) for bar in schedule]
    last = bars[-1]
    held = [labels[bar.number] for bar in bars]
    count = 0
    for label in sorted(set(held)):
        over = ends[label] <= schedule[last.number].known_ns
        count += over and held.count(label) < labels.count(label)
    return count
