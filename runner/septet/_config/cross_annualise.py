"""Cross-check of `annualise` with the trading time of a year on each symbol's calendar."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from septet._config.check_context import CheckContext
from septet.errors import DataError, InputError
from septet_schemas.units import format_duration

__all__ = ["CHECKS"]

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS


def _hours_a_year(calendar: str) -> float:
    """Return the hours per year for which a calendar is open; infinity if it cannot be loaded."""
    from septet._data.calendars import sessions_per_year
    from septet._data.scheduled_neighbours import session_hours

    try:
        return sessions_per_year(calendar) * session_hours(calendar)
    except (DataError, InputError):  # reported when the data is read
        return math.inf


def check_annualise(context: CheckContext) -> None:
    """A year of intraday bars has the hours of its sessions, not days of 24 hours."""
    from septet._data.day_calendars import written_calendars

    symbols: dict[str, list[str]] = {}
    calendars = written_calendars(context.strategy)
    for symbol, calendar in zip(context.strategy.universe.symbols, calendars, strict=True):
        if calendar is not None:  # else the source of the bars may name the calendar
            symbols.setdefault(calendar, []).append(symbol)
    if context.has_errors or symbols.keys() <= {"24x7", "XFX"}:
        return
    for name, block in context.strategy.features.items():
        year_ns = getattr(block.config, "annualise", None)
        bar_ns = block.bar_ns or context.bar_ns
        if not isinstance(year_ns, int) or bar_ns >= DAY_NS:
            continue
        for calendar, named in symbols.items():
            _warn_annualised(context, name, calendar, named if len(symbols) > 1 else [])


def _warn_annualised(
    context: CheckContext, name: str, calendar: str, symbols: Sequence[str]
) -> None:
    """Warn of a feature whose year does not match a calendar; `symbols` have it, others do not.

    A year that is too short is reported only if another calendar has a year of that length.
    """
    block = context.strategy.features[name]
    year_ns, bar_ns = getattr(block.config, "annualise", 0), block.bar_ns or context.bar_ns
    hours = 8_760.0 if calendar == "24x7" else _hours_a_year(calendar)
    share = year_ns / HOUR_NS / hours
    if (not symbols and calendar in ("24x7", "XFX")) or not math.isfinite(hours):
        return
    if share <= 1.5 and not (symbols and share < 1 / 1.5):
        return
    text = f"a year of {calendar} has {hours:g} hours of trading"
    hint = f"write annualise: {hours:g}h (days count 24 hours; 252d is for bar: 1d)"
    if symbols:
        some = ", ".join(symbols[:3]) + (", ..." if len(symbols) > 3 else "")
        text += f", and one year annualises all symbols: the values of {some} are"
        text += f" {math.sqrt(share):.2g} times those of their own year"
        hint = "leave annualise out, or write a file for the symbols of each calendar"
    else:
        text += f": bars of {format_duration(bar_ns)} are annualised as if all of it was traded"
    context.warn(
        ("features", name, "annualise"), text,
        expected=f"{hours:g}h", found=format_duration(year_ns), hint=hint,
    )  # fmt: skip


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (check_annualise,)
