"""Returns by month and year: the same figures in the report of a run and on its page."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from septet._results.number_texts import UNDEFINED, number, percent
from septet._results.statistics import DAY_NS, Month, monthly_returns

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = [
    "MONTHS",
    "PART_SIGN",
    "Year",
    "gain_or_loss",
    "month_text",
    "month_rows",
    "returns_by_year",
    "year_text",
]

PART_SIGN: Final = "*"
"""Marks a month or a year that the run covers partially."""
MONTHS: Final = tuple(calendar.month_abbr)[1:]


class Year(msgspec.Struct, frozen=True):
    """The returns of the twelve months of a year as fractions; None for months without data.

    `value` is their product, None if none is known; `is_whole` is False if the run covers only a
    part of the year.
    """

    year: int
    months: tuple[Month | None, ...]
    value: float | None
    is_whole: bool


def returns_by_year(run: Run) -> tuple[Year, ...]:
    """Return the returns of a run by month and year; empty if no equity was recorded."""
    if not run.has("equity"):
        return ()
    table, facts = run.table("equity", ["time", "equity"]), run.facts
    rows = monthly_returns(
        table.get_column("time").to_physical().to_numpy(),
        table.get_column("equity").to_numpy(),
        facts.initial_capital,
        day_start=facts.day_start,
        time_zone=facts.time_zone,
        slack_ns=(5 if facts.sessions else 1) * DAY_NS,
    )
    by_place = {(row.year, row.month): row for row in rows}
    years = []
    for year in sorted({row.year for row in rows}):
        months = tuple(by_place.get((year, month)) for month in range(1, 13))
        values = [row.value for row in months if row is not None and row.value is not None]
        product = float(np.prod([1 + value for value in values])) - 1 if values else None
        is_whole = all(row is not None and row.is_whole for row in months)
        years.append(Year(year, months, product, is_whole))
    return tuple(years)


def month_text(row: Month | None) -> str:
    """Format the return of a month in percent; empty for a month without data."""
    if row is None:
        return ""
    if row.value is None:
        return UNDEFINED
    return number(row.value * 100, 1, signed=True) + ("" if row.is_whole else PART_SIGN)


def year_text(year: Year) -> str:
    """Format the return of a year."""
    return percent(year.value, signed=True) + ("" if year.is_whole else PART_SIGN)


def gain_or_loss(value: float | None) -> str:
    """Return `gain` or `loss` by the sign of a return; empty if it is zero or unknown."""
    return "gain" if value and value > 0 else "loss" if value and value < 0 else ""


def month_rows(run: Run) -> list[tuple[int, list[tuple[str, str]]]]:
    """Return for each year the twelve months and the total: text, and `gain_or_loss` of each."""
    return [
        (
            year.year,
            [
                *(
                    (month_text(row), gain_or_loss(row.value if row else None))
                    for row in year.months
                ),
                (year_text(year), gain_or_loss(year.value)),
            ],
        )
        for year in returns_by_year(run)
    ]
