"""Cross-checks of trading hours: the calendar, the events of a blackout, how many are held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from septet._config.check_context import CheckContext
from septet._config.pydantic_problems import closest
from septet.errors import InputError

__all__ = ["CHECKS"]

HOURS: Final = ("universe", "trading_hours")


def check_calendar(context: CheckContext) -> None:
    """The hours name a calendar that is known and has closing times."""
    hours = context.strategy.universe.trading_hours
    if hours is None or hours.open is None:
        return
    name = hours.open.calendar
    if name == "24x7" or hours.open.is_always:
        context.error(
            (*HOURS, "open"),
            f"{hours.open} is open at all hours: nothing is ever outside",
            expected="hours such as 'mon-fri 09:30-16:00 America/New_York', or XNYS",
            hint="leave trading_hours out to trade at all hours",
        )
        return
    if not name:
        return
    from septet._data.calendars import calendar_names

    try:
        calendars = calendar_names()
    except InputError as missing:
        context.error(
            (*HOURS, "open"), missing.message, expected="the extra calendars", hint=missing.hint
        )
        return
    if name not in calendars:
        context.error(
            (*HOURS, "open"),
            f"no calendar is called {name}",
            expected="weekly hours with a time zone, or an exchange's calendar, such as XNYS",
            hint=closest(name, calendars[1:]),
        )


def check_blackout(context: CheckContext) -> None:
    """The events of a blackout are of the file, of all symbols, and known ahead."""
    hours = context.strategy.universe.trading_hours
    blackout = hours.blackout if hours is not None else None
    if blackout is None or context.doubtful("data"):
        return
    path = (*HOURS, "blackout", "series")
    series = context.strategy.data.series
    if blackout.series not in series:
        context.error(
            path,
            f"data has no series {blackout.series}",
            expected="the name of a series under data, with a row for each event",
            hint=closest(blackout.series, list(series)) or "write its source under data",
        )
        return
    block = series[blackout.series]
    if "{symbol}" in str(getattr(block.config, "path", "")):
        context.error(
            ("data", blackout.series, "path"),
            "a blackout is of all symbols, and this is a file for each",
            hint="write one file with the events of all symbols",
        )
    _check_readers(context, blackout.series)
    if blackout.before and not _is_known_ahead(block):
        context.error(
            (*HOURS, "blackout", "before"),
            f"no event of {blackout.series} is known before it happens: nothing is ever blocked "
            "before one",
            expected="a series that states when its events were announced, or 0 here",
            hint=f"write the column of announcements in data.{blackout.series} (known: NAME), and "
            "no known_after",
        )


def _is_known_ahead(block: Any) -> bool:
    """Whether a value may be known before its stamp: its source gives a time, nothing delays it."""
    gives_known_time = getattr(block.config, "gives_known_time", False)
    return bool(gives_known_time) and not block.extra.get("known_after")


def _check_readers(context: CheckContext, name: str) -> None:
    """Reject a feature that reads the events: it would take future rows for the newest ones."""
    for feature, block in context.strategy.features.items():
        if str(getattr(block.config, "of", "")) == name:
            context.error(
                ("features", feature, "of"),
                f"{name} holds the events of the blackout: their stamps lie ahead, and the newest "
                "row is no value of now",
                hint="read the values from a series of its own: a second block under data",
            )


def check_max_positions(context: CheckContext) -> None:
    """A bound on positions that can never bind is reported."""
    most, count = context.strategy.risk.max_positions, len(context.strategy.universe.symbols)
    if most is not None and most >= count and not context.doubtful("universe"):
        symbols = "symbol" if count == 1 else "symbols"
        context.warn(
            ("risk", "max_positions"),
            f"{count} {symbols} cannot be held {most + 1} times: this never binds",
            hint=f"write {count - 1} or less, or leave it out" if count > 1 else "leave it out",
        )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_calendar,
    check_blackout,
    check_max_positions,
)
