"""Trading hours in which nothing could ever be entered, held, or blocked: findings of `check`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import structs

from septet._config.pydantic_problems import problem_at
from septet._data.bars import Ints
from septet._data.stamps import iso
from septet._data.trading_hours import NO_EVENTS, FillGrid, HourRules, events_of, hours_flags
from septet._kernel import layout
from septet._plan.run_terms import hours_of
from septet._shell.aligned_bars import grids_of
from septet._shell.session import Session
from septet.errors import Problem
from septet_schemas.units import format_duration

__all__ = ["hours_problems"]

HOURS: Final = ("universe", "trading_hours")
_SHOWN: Final = 3


def hours_problems(session: Session) -> list[Problem]:
    """Return why the hours allow no entry, or why a blackout blocks nothing."""
    rules = hours_of(session.strategy)
    if rules is None:
        return []
    times = session.aligned.T[layout.KNOWN, session.first :]
    problems = list(_of_hours(session, rules, times))
    if rules.series:
        problems += _of_blackout(session, rules, times, blocked=not problems)
    return problems


def _of_hours(session: Session, rules: HourRules, times: Ints) -> Iterator[Problem]:
    """Find hours without a fill, and sessions whose first fill is their last, by calendar."""
    if rules.open is None:
        return
    grids, symbols = grids_of(session.market), session.market.symbols
    for grid in {id(each): each for each in grids}.values():
        rows = [k for k, each in enumerate(grids) if each is grid]
        has_bar = (session.aligned.bar_rows[rows, session.first :] >= 0).any(axis=0)
        names = [symbols[k] for k in rows]
        owner = "" if len(rows) == len(symbols) else f" of {', '.join(names)}"
        yield from _of_calendar(session, rules, times[has_bar], grid, owner)


def _of_calendar(
    session: Session, rules: HourRules, times: Ints, grid: FillGrid, owner: str
) -> Iterator[Problem]:
    """Do the same for the symbols of one calendar; `owner` names them if there are others."""
    if not len(times):
        return
    tree = session.loaded.tree
    without_events = structs.replace(rules, series="")
    flags = hours_flags(without_events, times, grid, NO_EVENTS)
    bar = format_duration(session.market.bar_ns)
    if bool(np.all(flags & layout.HOURS_CLOSED)):
        yield problem_at(
            tree, (*HOURS, "open"),
            f"no decision{owner} lies in these hours: bars of {bar} open outside of them at all "
            f"{len(times):,} decisions, the first at {_clocks(rules, times, grid)}",
            hint="write hours in which bars open, with the time zone they are meant in, or shorter "
            "bars; an order fills at the first open after its decision",
        )  # fmt: skip
    elif rules.flat_at_close:
        enters = flags & (layout.HOURS_CLOSED | layout.HOURS_LAST) == 0
        if not enters.any():
            yield problem_at(
                tree, (*HOURS, "flat_at_close"),
                f"every fill{owner} inside is the last one of its session with bars of {bar}: what "
                "is held is closed there, and nothing could be entered before",
                hint="write shorter bars or longer hours, or leave flat_at_close out",
            )  # fmt: skip


def _clocks(rules: HourRules, times: Ints, grid: FillGrid) -> str:
    """Format when the first decisions fill, in the time zone of the hours."""
    assert rules.open is not None
    name = rules.open.time_zone
    texts = []
    for at in grid.next_open(times[:_SHOWN] + rules.latency_ns).tolist():
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at // 1000)
        texts.append(moment.astimezone(ZoneInfo(name)).strftime("%a %H:%M").lower())
    return f"{', '.join(dict.fromkeys(texts))} {name}"


def _of_blackout(
    session: Session, rules: HourRules, times: Ints, *, blocked: bool
) -> Iterator[Problem]:
    """Find events that are known too late, lie outside of the run, or leave no decision."""
    tree, path = session.loaded.tree, (*HOURS, "blackout", "series")
    events = events_of(session.market.series[rules.series])
    is_in_run = (events.at_ns + rules.after_ns > times[0]) & (events.at_ns <= times[-1])
    count = int(is_in_run.sum())
    if not count:
        span_text = "it has none"
        if len(events.at_ns):
            span_text = (
                f"they are from {iso(int(events.at_ns.min()))} to {iso(int(events.at_ns.max()))}"
            )
        yield problem_at(
            tree, path, f"no event of {rules.series} lies in the run: {span_text}",
            hint="bring the events of these years, or leave the blackout out", severity="warning",
        )  # fmt: skip
        return
    late = is_in_run & (events.known_ns > events.at_ns - rules.before_ns)
    if rules.before_ns and late.any():
        first = int(np.flatnonzero(late)[0])
        late_count = int(late.sum())
        text = (
            f"{late_count:,} of {count:,} events of {rules.series} are known later than "
            f"{format_duration(rules.before_ns)} before them, as that of "
            f"{iso(int(events.at_ns[first]))}, known at {iso(int(events.known_ns[first]))}"
        )
        yield problem_at(
            tree, (*HOURS, "blackout", "before"),
            f"{text}: nothing is blocked before {'any' if late_count == count else 'those'}",
            hint="a published calendar of future events is known before them: name the column of "
            "its announcements (known: NAME)",
            severity="error" if late_count == count else "warning",
        )  # fmt: skip
    first = layout.ROW + len(session.market.symbols)
    flags: Any = session.aligned.T[first : first + len(session.market.symbols), session.first :]
    if blocked and bool(np.all(flags & layout.HOURS_CLOSED)):
        yield problem_at(
            tree, path, f"the events of {rules.series} leave no decision at which to enter",
            hint="write a shorter before and after, or fewer events",
        )  # fmt: skip
