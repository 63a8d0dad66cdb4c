"""Errors of time stamps that cannot be parsed: the stamps, their format, and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from septet._data.defects import first_rows
from septet._data.message_limits import shown_cell
from septet._data.source_rows import SourceRows
from septet._data.stamps import Bools
from septet.errors import DataError
from septet_schemas.late_patterns import late_pattern

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TIMES_HINT", "UnreadStamps", "fitting_formats", "placed_cell"]

TIMES_HINT: Final = (
    "state how times are written: numbers with time_unit: s, text with time_format: "
    "'%d/%m/%Y %H:%M', a date and a time in two columns with time_columns: [Date, Time]"
)
_DATES: Final = (
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y",
    "%b %d %Y", "%Y-%m-%d", "%Y/%m/%d", "%y-%m-%d", "%a %b %d %Y", "%a, %d %b %Y", "%a %d %b %Y",
)  # fmt: skip
_CLOCKS: Final = (
    "", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I-%p", ", %H:%M", ", %H:%M:%S",
    ", %I:%M %p", ", %I:%M:%S %p", ",%H:%M", ",%H:%M:%S", " %Hh%M",
)  # fmt: skip
_SAMPLE: Final = 500
_DAYS: Final = (10_000.0, 80_000.0)
"""Serial day numbers of a spreadsheet, from 1927 to 2119."""
_CLOCK: Final = late_pattern(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?")
_ZONED: Final = late_pattern(
    r"(?P<time>.*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s+(?P<zone>[A-Z]{2,5})"
)
_PLACES: Final = {
    "CET": "Europe/Paris", "CEST": "Europe/Paris", "BST": "Europe/London", "WET": "Europe/Lisbon",
    "EET": "Europe/Athens", "MSK": "Europe/Moscow", "JST": "Asia/Tokyo", "HKT": "Asia/Hong_Kong",
    "SGT": "Asia/Singapore", "CST": "America/Chicago", "CDT": "America/Chicago",
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
}  # fmt: skip
_NEW_YORK: Final = "America/New_York"


def placed_cell(rows: SourceRows | None, row: int, text: str) -> str:
    """Format a cell after the place of its row, if the place is known."""
    place = rows.place(row) if rows is not None else ""
    return f"{place}: {text}" if place else text


def fitting_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Return strptime formats that read all of some times, at most two."""
    import polars as pl

    sample = pl.Series("t", list(dict.fromkeys(texts))[:_SAMPLE], dtype=pl.String)
    formats: list[str] = []
    for form in (date + clock for clock in _CLOCKS for date in _DATES) if len(sample) else ():
        read_as, cells = form, sample
        if "%I" in form and "%M" not in form:
            read_as, cells = f"{form}:%M", sample + ":00"  # an hour alone is not accepted
        moments = cells.str.to_datetime(read_as, strict=False, time_unit="us")
        years = moments.dt.year()
        if not moments.null_count() and bool((years >= 1900).all()):
            formats.append(form)
    return tuple(formats[:2])


class UnreadStamps(msgspec.Struct, frozen=True):
    """The stamps of a table that cannot be read, under a mask of its rows.

    `names` are the columns of the table, renamed to septet's names where possible, and `renamed` is
    the name of the column of stamps in the source.
    """

    column: pl.Series
    bad: Bools
    rows: SourceRows | None
    where: str
    names: Sequence[str] = ()
    renamed: str = "timestamp"

    def refuse(self, limit: str) -> DataError:
        """Return the error that shows these stamps, the readable formats, and a hint."""
        count, total = int(np.count_nonzero(self.bad)), len(self.bad)
        shown = "; ".join(self._shown(row) for row in first_rows(self.bad)[:2])
        message = f"{self.where}: {count:,} of {total:,} time stamps cannot be read: {shown}"
        good = first_rows(~self.bad)[:1]
        if good:
            others = "the other" if total - count == 1 else f"the other {total - count:,}"
            message += f"; {others} can be, such as {self._shown(good[0])}"
        return DataError(message, hint=f"{self._advice(mixed=bool(good))}; {limit}")

    def _shown(self, row: int) -> str:
        text = self._text(row)
        return placed_cell(self.rows, row, shown_cell(text) if text else "an empty cell")

    def _text(self, row: int) -> str:
        written = self.rows.time(row) if self.rows is not None else None
        value = self.column[row] if written is None else written
        return "" if value is None else str(value).strip()

    def _advice(self, *, mixed: bool) -> str:
        numbers = np.flatnonzero(self.bad)[:_SAMPLE]
        texts = [text for text in map(self._text, numbers.tolist()) if text]
        if not texts:
            return (
                "rows without a time are none of a bar: take them out (a footer, empty lines), or "
                "name the column of times, columns: {timestamp: ...}"
            )
        if all(map(_is_day_count, texts)):
            return (
                f"numbers such as {texts[0][:20]} are the days of a spreadsheet: give the cells "
                "the format yyyy-mm-dd hh:mm there, and export the table again"
            )
        dates = [name for name in self.names if name.strip(" <>").lower() in ("date", "day")]
        if dates and all(map(_CLOCK.fullmatch, texts)):
            return (
                f"these are times of day: write time_columns: [{dates[0]}, {self.renamed}] beside "
                "use:, and no columns: {timestamp: ...}"
            )
        if all(len(each) > 1 and each[0] == each[-1] == "'" for each in texts):
            return 'the cells stand in single quotes: write double ones ("), or none'
        zoned = _zone_advice(texts)
        if zoned:
            return zoned
        forms = fitting_formats(texts)
        if not forms:
            return TIMES_HINT
        own = f"time_format: {forms[0]!r}"
        if len(forms) > 1:
            own += f" if the day comes first, or {forms[1]!r} if the month does"
            if not forms[0].startswith("%d"):
                own = f"time_format: {forms[0]!r} or {forms[1]!r}"
        if mixed:
            return (
                "a file is read with one format: write all its stamps in one way, such as "
                f"2024-01-31 15:00. Those that cannot be read fit {own}"
            )
        if self.rows is None or self.rows.place(0).startswith("row"):
            return (
                "make them times before they are handed over: in polars "
                f"str.to_datetime({forms[0]!r}), in pandas to_datetime(..., format={forms[0]!r})"
            )
        return f"they fit {own}: write it beside use:"


def _is_day_count(text: str) -> bool:
    try:
        return _DAYS[0] <= float(text) <= _DAYS[1]
    except ValueError:
        return False


def _zone_advice(texts: Sequence[str]) -> str:
    """Return how to read times that end with the abbreviation of a zone, the same for all."""
    matches = [_ZONED.fullmatch(each) for each in texts]
    zones = sorted({each["zone"] for each in matches if each})
    if not all(matches) or zones in (["AM"], ["PM"], ["AM", "PM"]):
        return ""
    listed = " and ".join(zones[:3])
    place = _PLACES.get(zones[0], _NEW_YORK if zones[0] in ("EST", "EDT") else "")
    of_place = f"time_zone: {place}" if place else "the time_zone of that place"
    if len(zones) > 1:
        return (
            f"they end with {listed}: take the letters out and write {of_place}, or write offsets "
            "such as 2024-01-31 15:00+01:00"
        )
    forms = fitting_formats([each["time"] for each in matches if each])
    form = f"{forms[0] if forms else '%Y-%m-%d %H:%M'} {zones[0]}"
    return f"they end with {listed}: write time_format: {form!r} and {of_place} beside use:"
