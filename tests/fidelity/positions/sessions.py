"""Sessions of an exchange, read from a small text: days, hours, closed and short days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from tests.fidelity.positions.schedule import local_instant

__all__ = ["opens_of", "sessions_of"]

Session = tuple[int, int]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@cache
def sessions_of(name: str) -> tuple[Session, ...]:
    """Return the sessions [open, close) of a calendar in nanoseconds, in order."""
    one: dict[str, str] = {}
    closed, short = set[str](), dict[str, str]()
    for line in Path(__file__).with_name(f"{name.lower()}.txt").read_text("utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "closed":
            closed |= set(rest.split())
        elif word == "short":
            clock, *dates = rest.split()
            short |= dict.fromkeys(dates, clock)
        elif word != "#":
            one[word] = rest
    first, last = (_DAYS.index(each) for each in one["days"].split("-"))
    day, end, found = datetime.fromisoformat(one["from"]), datetime.fromisoformat(one["to"]), []
    while day <= end:
        text = day.strftime("%Y-%m-%d")
        if first <= day.weekday() <= last and text not in closed:
            clocks = (one["open"], short.get(text, one["close"]))
            both = (datetime.fromisoformat(f"{text} {clock}") for clock in clocks)
            opened, closes = (local_instant(each, one["zone"]) for each in both)
            found.append((opened, closes))
        day += timedelta(days=1)
    return tuple(found)


def opens_of(sessions: Sequence[Session], bar_ns: int) -> list[int]:
    """Return the opens of all bars of some sessions; the last bar of each may be short."""
    return [at for opened, closes in sessions for at in range(opened, closes, bar_ns)]
