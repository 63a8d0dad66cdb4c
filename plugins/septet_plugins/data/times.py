"""Times of text tables: joins columns, restores leading zeros, and parses by a format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic_core import PydanticCustomError

from septet.errors import DataError
from septet.plugin.data import reader_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

__all__ = ["check_time_format", "day_month_doubt", "join_times", "read_times"]

_DAY_MONTH: Final = re.compile(r"%-?[dm]")
_PART: Final = re.compile(r"%-?([A-Za-z%+])")
_WORDS: Final = (
    ("yyyy", "%Y"), ("YYYY", "%Y"), ("dd", "%d"), ("DD", "%d"), ("MMM", "%b"), ("hh", "%I"),
    ("HH", "%H"), ("ss", "%S"), ("SS", "%S"), ("yy", "%y"), ("YY", "%y"),
)  # fmt: skip
"""Notations of other programs for the parts of a time, except minute and month."""
_SHOWN: Final = 40
_LAST_BOTH: Final = 12
"""A number up to this is a day or a month."""


def check_time_format(form: str) -> str:
    """Return a time format; reject one whose parts contradict each other.

    Raises
    ------
    PydanticCustomError
        With a hint.
    """
    parts = _PART.findall(form)
    if not parts:
        raise _wrong("this time_format has no % signs", f"write {_translated(form)!r}")
    if "p" in parts and ("H" in parts or "k" in parts):
        name = "%H" if "H" in parts else "%k"
        raise _wrong(
            f"{name} is the hour from 0 to 23, and %p says AM or PM of a 12-hour clock",
            f"write %I for the hour: {form.replace(name, '%I')!r}",
        )
    if "I" in parts and not {"p", "P"} & set(parts):
        raise _wrong(
            "%I is the hour of a 12-hour clock, and nothing states AM or PM",
            f"write %H for hours from 0 to 23: {form.replace('%I', '%H')!r}, or add %p",
        )
    for name, word in (("m", "month"), ("M", "minute")):
        if parts.count(name) > 1:
            opposite = {"m": "%M is the minute", "M": "%m is the month"}[name]
            raise _wrong(f"%{name} stands twice, and it is the {word}", f"{opposite}")
    return form


def _wrong(message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("time_format", "{message}", {"message": message, "hint": hint})


def _translated(form: str) -> str:
    """Convert `dd/MM/yyyy HH:mm` to % signs."""
    for word, part in _WORDS:
        form = form.replace(word, part)
    # month and minute are distinguished by whether an hour precedes
    form = re.sub(r"(%[HI]\W?)(?:mm|MM)", r"\1%M", form)
    form = re.sub(r"(?<!%)(?:mm|MM)", "%m", form)
    return form if "%" in form else "%Y-%m-%d %H:%M"


def join_times(frame: pl.DataFrame, names: Sequence[str], origin: str) -> pl.DataFrame:
    """Join date and time columns with a space, if they are separate columns.

    Raises
    ------
    DataError
        If a column does not exist.
    """
    import polars as pl

    if not names:
        return frame
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DataError(
            f"{origin}: no column {', '.join(absent)}; found {', '.join(frame.columns)[:200]}",
            hint="time_columns: [date, time]",
        )
    parts = [_with_zeros(frame[name].cast(pl.String).str.strip_chars()) for name in names]
    joined = pl.DataFrame([part.alias(str(at)) for at, part in enumerate(parts)]).select(
        pl.concat_str(pl.all(), separator=" ").alias("timestamp")
    )
    remaining = frame.drop(name for name in names if name != "timestamp")
    return remaining.with_columns(joined["timestamp"])


def _with_zeros(text: pl.Series) -> pl.Series:
    """Restore leading zeros of a date or a time that a spreadsheet removed: 93000.

    This applies only to columns of digits; the longest cell gives the length of all cells: HHMM,
    HHMMSS, YYYYMMDD and longer ones.
    """
    filled = text.filter(text.is_not_null() & (text != ""))
    if not len(filled) or not filled.str.contains(r"^\d+$").all():
        return text
    sizes = filled.str.len_chars().to_numpy()
    least, most = int(sizes.min()), int(sizes.max())
    width = most + most % 2
    if least == width or width > 14 or (width > 6 and least < width - 1):
        return text
    return text.str.zfill(width)


def read_times(
    frame: pl.DataFrame, column: str, form: str | None, origin: str, *, joined: bool = False
) -> pl.DataFrame:
    """Parse times by the given format; rows that do not match are checked later.

    Raises
    ------
    DataError
        If no time matches, or if more of them match with day and month exchanged.
    """
    import polars as pl

    if form is None or column not in frame.columns:
        return frame
    text = frame[column].cast(pl.String).str.strip_chars()
    text = text if joined else _with_zeros(text)
    read_as = form
    if {"H", "I"} & set(_PART.findall(form)) and not {"M", "S"} & set(_PART.findall(form)):
        text, read_as = text + ":00", f"{form}:%M"  # the parser does not accept an hour alone
    try:
        times = text.str.to_datetime(read_as, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{origin}: time_format {form!r}: {reader_words(error)}") from error
    _refuse_exchanged(text, times, form, origin, suffix=read_as.removeprefix(form))
    if len(text) and times.null_count() == len(text):
        example = next((each for each in text if each), "")
        hint = "such as %d/%m/%Y %H:%M"
        if joined:
            hint = f"time_columns are put together with a space between, as {example[:_SHOWN]!r}"
        raise DataError(
            f"{origin}: no time fits time_format {form!r}, of {len(text)} times", hint=hint
        )
    return frame.with_columns(times.alias(column))


def _exchanged(form: str) -> str:
    """Return a format with %d and %m exchanged, or an empty text unless it has one of each."""
    parts = _DAY_MONTH.findall(form)
    if sorted(part[-1] for part in parts) != ["d", "m"]:
        return ""
    return _DAY_MONTH.sub(lambda found: found[0][:-1] + ("m" if found[0][-1] == "d" else "d"), form)


def _refuse_exchanged(
    text: pl.Series, times: pl.Series, form: str, origin: str, *, suffix: str
) -> None:
    """Reject times of which more match with day and month exchanged."""
    exchanged = _exchanged(form)
    failed = times.is_null() & text.is_not_null() & (text != "")
    if not exchanged or not failed.any():
        return
    read_exchanged = text.str.to_datetime(exchanged + suffix, strict=False, time_unit="us")
    if read_exchanged.is_null().sum() >= times.is_null().sum():
        return
    first = text.filter(failed)[0]
    count = int(failed.sum())
    raise DataError(
        f"{origin}: {count:,} of {len(text):,} times do not fit time_format {form!r}, the first of "
        f"them {str(first)[:_SHOWN]!r}: day and month are the other way round",
        hint=f"write time_format: {exchanged!r}",
        key="time_format",
    )


def day_month_doubt(times: pl.Series, form: str | None, origin: str, *, bars: bool = False) -> str:
    """Return the finding that times also match, and are ordered, with day and month exchanged.

    For bars, which are consecutive, the variant that covers much less time is the right one.

    Raises
    ------
    DataError
        If the times are in order only with day and month exchanged.
    """
    import polars as pl

    exchanged = _exchanged(form or "")
    if not exchanged or times.dtype != pl.Datetime("us"):
        return ""
    times_known = times.drop_nulls()
    if not len(times_known) or bool((times_known.dt.day() > _LAST_BOTH).any()):
        return ""
    swapped = pl.select(
        pl.datetime(
            times_known.dt.year(), times_known.dt.day(), times_known.dt.month(), time_unit="us"
        )
        + times_known.dt.time().cast(pl.Duration("us"))
    ).to_series()
    own_turns, other_turns = _turns(times_known), _turns(swapped)
    if own_turns > 2 * other_turns:
        raise DataError(
            f"{origin}: read with time_format {form!r} the times go back and forth "
            f"{own_turns:,} times, and with day and month exchanged {other_turns:,} times",
            hint=f"write time_format: {exchanged!r}",
            key="time_format",
        )
    if other_turns > own_turns or (times_known == swapped).all():
        return ""
    if bars and 2 * _length(times_known) < _length(swapped):
        return ""
    return (
        f"every day is 1 to 12, so that day and month may be the other way round: read with "
        f"{form} the times are of {_span(times_known)}, with {exchanged} of {_span(swapped)}"
    )


def _turns(times: pl.Series) -> int:
    """Return the number of rows that contradict the order of most rows."""
    steps = np.diff(times.to_physical().to_numpy())
    return min(int(np.count_nonzero(steps < 0)), int(np.count_nonzero(steps > 0)))


def _length(times: pl.Series) -> int:
    """Return the time from the first to the last row, microseconds."""
    return int(np.ptp(times.to_physical().to_numpy()))


def _span(times: pl.Series) -> str:
    first, last = times.min(), times.max()
    return f"{str(first)[:10]} to {str(last)[:10]}"
