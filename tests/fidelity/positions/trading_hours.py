"""When increases may fill: weekly hours, sessions of a calendar, blackouts, the close.

Rule: an increase needs T + latency inside [from, to). `flat_at_close` decides at the last T
whose fill lies inside and fills at that open. Spans of which one begins where another ends are one.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from tests.fidelity.positions.schedule import local_instant, local_time
from tests.fidelity.positions.settings import TradingHours

__all__ = ["is_last_fill", "is_open", "session_at"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(\w{3})(?:-(\w{3}))? (\d\d):(\d\d)-(\d\d):(\d\d)")


def session_at(hours: TradingHours, instant_ns: int) -> tuple[int, int] | None:
    """Return the session [from, to) that holds an instant, blackouts left aside."""
    if hours.sessions is not None:
        found = [each for each in hours.sessions if each[0] <= instant_ns < each[1]]
        return found[0] if found else None
    if hours.open is None:
        return None
    spans, zone = hours.open.rsplit(" ", 1)
    today = local_time(instant_ns, zone).replace(tzinfo=None, hour=0, minute=0, second=0,
                                                 microsecond=0)  # fmt: skip
    for back in (0, 1):  # a span that passes midnight began the day before
        for span in spans.split(","):
            session = _session_of(span.strip(), today - timedelta(days=back), zone)
            if session is not None and session[0] <= instant_ns < session[1]:
                return session
    return None


def _session_of(span: str, date: datetime, zone: str) -> tuple[int, int] | None:
    found = _SPAN.fullmatch(span)
    if found is None:
        raise ValueError(f"not trading hours: {span}")
    first, last, *clock = found.groups()
    low, high = _DAYS.index(first), _DAYS.index(last or first)
    if not low <= date.weekday() <= high:
        return None
    hour, minute, end_hour, end_minute = map(int, clock)
    opened = date + timedelta(hours=hour, minutes=minute)
    closed = date + timedelta(hours=end_hour, minutes=end_minute)
    if closed <= opened:
        closed += timedelta(days=1)
    return local_instant(opened, zone), local_instant(closed, zone)


def is_open(hours: TradingHours | None, instant_ns: int) -> bool:
    """Return whether an increase may fill at an instant."""
    if hours is None:
        return True
    limited = hours.open is not None or hours.sessions is not None
    if limited and session_at(hours, instant_ns) is None:
        return False
    blackout = hours.blackout
    if blackout is None:
        return True
    return not any(
        each - blackout.before_ns <= instant_ns < each + blackout.after_ns
        for each in blackout.instants_ns
    )


def is_last_fill(hours: TradingHours | None, fill_ns: int, bar_ns: int) -> bool:
    """Return whether a fill lies in the hours, which end before a fill one bar later."""
    if hours is None or not hours.flat_at_close:
        return False
    session = session_at(hours, fill_ns)
    while session is not None and session[1] <= fill_ns + bar_ns:
        end_ns = session[1]
        session = session_at(hours, end_ns) if hours.open is not None else None
        if session is None:
            return True
    return False
