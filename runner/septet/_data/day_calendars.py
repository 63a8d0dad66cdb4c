"""Which calendars a universe has, and by which of them the days of its returns are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from septet._data.bars import MarketData
from septet._data.calendars import lies_inside, sessions_per_year

__all__ = ["day_calendar", "ends_inside", "market_day_calendar", "written_calendars"]


def day_calendar(names: Iterable[str]) -> str:
    """Return the calendar by whose days the daily returns of a universe are counted.

    That of the most days a year: where one symbol trades around the clock, every day has a return.
    Without names it is 24x7.
    """
    return max(names, key=sessions_per_year, default="24x7")


def written_calendars(strategy: Any) -> tuple[str | None, ...]:
    """Return the calendar that the file names for each symbol, in universe order.

    `data.candles.calendar` is one name for all symbols, or a mapping; None where it names none.
    """
    written = strategy.data.candles.extra.get("calendar")
    each = written if isinstance(written, Mapping) else None
    return tuple(
        written if each is None else each.get(symbol) for symbol in strategy.universe.symbols
    )


def market_day_calendar(market: MarketData) -> str:
    """Return the calendar by whose days the daily returns of a run are counted."""
    return day_calendar(market.calendars.values()) if market.calendars else market.calendar


def ends_inside(market: MarketData, time_ns: int) -> bool:
    """Whether a day of the daily returns is not over at a time (UTC ns): inside a session.

    Never where calendar days are counted.
    """
    names = set(market.calendars.values()) or {market.calendar}
    if market_day_calendar(market) == "24x7":
        return False
    return any(lies_inside(each, time_ns) for each in names)
