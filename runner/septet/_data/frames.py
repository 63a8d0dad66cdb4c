"""Frames of polars, pandas or pyarrow as a source of bars: checked, then read like a file.

A frame comes by the Arrow C stream (`__arrow_c_stream__`). What only a frame can get wrong is
refused here, in words: the time as an index, a time without a zone, rows out of order. Everything
else is checked as the rows of a file are, by the same code.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from septet._data.column_names import TIME_NAMES, rename_columns
from septet._data.message_limits import HEADER_CHARACTERS, shown_cell
from septet._data.pandas_frames import refuse_pandas, unreadable_frame
from septet._data.source import Facts, RawBars, Request
from septet._data.source_files import rows_by_symbol
from septet._data.source_rows import FrameRows
from septet._data.stamp_formats import fitting_formats
from septet._data.symbol_columns import refuse_symbol_column
from septet._text import shortened
from septet.errors import DataError
from septet_schemas.times import fixed_zone_hint

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FrameSource", "frames_of_data"]

_SAMPLE: Final = 500
_UNITS: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
_INDEX: Final = "__index_level_"
"""Prefix of the name that an unnamed index gets through Arrow."""
_AS_FRAME: Final = (
    "rows as ccxt gives them: polars.DataFrame(rows, schema=['timestamp', 'open', 'high', 'low', "
    "'close', 'volume'], orient='row') with polars.from_epoch('timestamp', time_unit='ms')"
)
_EXPECTED: Final = "a polars, pandas or pyarrow frame, or a mapping of symbols to frames"


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A source of the bars that were passed in; called like the declaration of a plugin."""

    tables: Mapping[str, pl.DataFrame]

    def __call__(self, config: object) -> FrameSource:
        """Return this source, whatever the config."""
        return self

    def read(self, request: Request) -> list[RawBars]:
        """Return the rows of every symbol; stamps mark the open unless the file sets `stamp`."""
        return [
            RawBars(symbol, frame, Facts(f"the frame of {symbol}", stamp="open", rows=FrameRows()))
            for symbol, frame in self.tables.items()
        ]


def frames_of_data(
    data: Any, symbols: Sequence[str], *, time: str | None, zone: str | None
) -> dict[str, pl.DataFrame]:
    """Return the rows of each symbol, with septet's names for their columns.

    Parameters
    ----------
    data
        A frame, or a mapping of symbols to frames. A single frame is for the only symbol, or has a
        column `symbol`.
    time
        The column of time stamps; by default `time`, in frames with no other column of times.
    zone
        The time zone of stamps that have none.

    Raises
    ------
    DataError
        With what is wrong, in which frame, and what to do.
    """
    _check_zone(zone)
    if isinstance(data, Mapping):
        unknown = [str(each) for each in data if each not in symbols]
        missing = [each for each in symbols if each not in data]
        if unknown or missing:
            what = f"no frame for {', '.join(missing)}" if missing else ""
            more = f"a frame for {', '.join(unknown)}, which the strategy does not trade"
            raise DataError(
                "; ".join(text for text in (what, more if unknown else "") if text),
                hint=f"universe.symbols has {', '.join(symbols)}",
            )
        return {symbol: _of_symbol(data[symbol], symbol, time, zone) for symbol in symbols}
    frame = _checked(data, "the frame", time, zone)
    if "symbol" in frame.columns:
        parts = rows_by_symbol(frame, symbols, set())
        lacking = [symbol for symbol in symbols if symbol not in parts]
        if lacking:
            held = ", ".join(map(str, frame["symbol"].unique().sort().head(8).to_list()))
            raise DataError(
                f"the frame has no rows of {', '.join(lacking)}: its column symbol holds {held}",
                hint="write the symbols as universe.symbols does",
            )
        return parts
    if len(symbols) > 1:
        raise DataError(
            f"one frame was given, and the strategy trades {len(symbols)} symbols",
            hint="give a mapping of symbols to frames, or one frame with a column symbol",
        )
    return {symbols[0]: frame}


def _check_zone(zone: str | None) -> None:
    if zone is None:
        return
    if hint := fixed_zone_hint(zone):
        raise DataError(f"{zone!r} is not a time zone of the time zone database", hint=hint)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(
            f"there is no time zone {zone!r}", hint="such as UTC or America/New_York"
        ) from error


def _of_symbol(value: Any, symbol: str, time: str | None, zone: str | None) -> pl.DataFrame:
    """Return the rows of a frame that was passed for a symbol, without rows of other symbols."""
    frame = _checked(value, f"the frame of {symbol}", time, zone)
    if "symbol" not in frame.columns:
        return frame
    present = set[str]()
    rows = rows_by_symbol(frame, [symbol], present).get(symbol)
    if rows is None:
        held = ", ".join(sorted(present)[:8]) or "nothing"
        raise DataError(
            f"the frame of {symbol} is of another symbol: its column symbol holds {held}",
            hint="drop the column, or give each frame under its own symbol",
        )
    return rows


def _checked(value: Any, name: str, named: str | None, zone: str | None) -> pl.DataFrame:
    """Return a frame with septet's column names, after the checks that only a frame needs."""
    time = "time" if named is None else named
    frame = _converted(value, name, time)
    if named is None:
        _refuse_several_times(frame, name)
    _refuse_time(frame, value, name, time, zone)
    renamed, _ = rename_columns(frame, {"timestamp": time}, name)
    lacking = [each for each in ("open", "high", "low", "close") if each not in renamed.columns]
    if lacking:
        raise DataError(
            f"{name} has no column {', '.join(lacking)}; it has {_listed(frame)}",
            hint="rename its columns: open, high, low, close, volume; where a bar has one price, "
            "give all four that price",
        )
    if "symbol" not in renamed.columns:
        refuse_symbol_column(renamed, name)
        parts = [renamed]
    else:
        parts = renamed.partition_by("symbol", maintain_order=True)
    for part in parts:
        _refuse_disorder(part, name)
    return renamed


def _converted(value: Any, name: str, time: str) -> pl.DataFrame:
    import polars as pl

    if isinstance(value, str | os.PathLike):
        raise DataError(
            f"{name} is the path {str(value)[:80]!r}, expected {_EXPECTED}",
            hint="read it first (polars.read_parquet), or name it in the file under data.candles",
        )
    if isinstance(value, pl.LazyFrame):
        raise DataError(f"{name} is a lazy frame, expected {_EXPECTED}", hint="collect() it first")
    if not hasattr(value, "__arrow_c_stream__"):
        raise DataError(
            f"{name} is a {type(value).__name__}, expected {_EXPECTED}",
            hint=_AS_FRAME
            if isinstance(value, list | tuple)
            else "polars.DataFrame(...) makes a frame of most things",
        )
    refuse_pandas(value, name, time)
    columns = getattr(value, "columns", None)
    names = getattr(value, "column_names", None) or ([] if columns is None else list(columns))
    texts = [each for each in names if isinstance(each, str)]
    twice = sorted({each for each in texts if texts.count(each) > 1})
    if twice:
        raise DataError(
            f"{name} has the column {', '.join(twice)} more than once",
            hint="drop or rename all but one of each",
        )
    try:
        return pl.DataFrame(value)
    except (
        ImportError, pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise unreadable_frame(value, name, error) from error


def _refuse_several_times(frame: pl.DataFrame, name: str) -> None:
    """Reject a frame with several time columns: a close taken as open shifts bars by one."""
    import polars as pl

    found = [
        each
        for each, kind in frame.schema.items()
        if isinstance(kind, pl.Datetime | pl.Date | pl.Time) or each in TIME_NAMES
    ]
    if "time" not in found or len(found) == 1:
        return
    which = "open_time" if "open_time" in found else next(each for each in found if each != "time")
    raise DataError(
        f"{name} has more than one column of times: {shortened(', '.join(found), 200)}",
        hint=f"name the one that is meant: time={which!r} or time='time'; in septet's own tables "
        "open_time opens a bar and time is its close, and stamps mark opens unless the file sets "
        "candles: {stamp: close}",
    )


def _refuse_time(frame: pl.DataFrame, value: Any, name: str, time: str, zone: str | None) -> None:
    import polars as pl

    if time not in frame.columns:
        close = difflib.get_close_matches(time, frame.columns, n=1) or [
            each for each, kind in frame.schema.items() if kind.is_temporal()
        ]
        hint = f"time={close[0]!r}" if close else "name the column of times: time=..."
        if any(each.startswith(_INDEX) for each in frame.columns):
            hint = f"the index is no column: frame.reset_index(names={time!r})"
        raise DataError(f"{name} has no column {time!r}; it has {_listed(frame)}", hint=hint)
    kind = frame.schema[time]
    if not frame.height:
        raise DataError(f"{name} has no rows", hint="give it the bars of the strategy's span")
    if not isinstance(kind, pl.Datetime | pl.Date):
        raise _no_times(frame[time], value, name)
    own = kind.time_zone if isinstance(kind, pl.Datetime) else None
    if own is None and zone is None:
        raise DataError(
            f"{name}: the times in column {time!r} have no time zone",
            hint='state which it is: zone="UTC", or zone="America/New_York"',
        )
    if own is not None and zone is not None and own != zone:
        raise DataError(
            f"{name}: the times in column {time!r} are of {own}, and zone says {zone}",
            hint="leave zone out, or convert the column: dt.convert_time_zone",
        )


def _no_times(column: pl.Series, value: Any, name: str) -> DataError:
    """Return the error for a time column that holds text or numbers."""
    known = column.drop_nulls()
    cell = f", such as {shown_cell(known[0])}" if len(known) else ""
    own = column.name
    is_number = column.dtype.is_numeric()
    unit = _unit_of(known) if is_number else ""
    if hasattr(value, "reset_index"):
        more = f", unit={unit!r}" if unit else ""
        hint = f"frame[{own!r}] = pandas.to_datetime(frame[{own!r}]{more}, utc=True)"
    elif is_number:
        hint = f"polars.from_epoch({own!r}, time_unit={unit!r})"
        hint += " and dt.replace_time_zone('UTC')"
    else:
        form = next(iter(fitting_formats([str(each) for each in known.head(_SAMPLE)])), "...")
        hint = f"polars.col({own!r}).str.to_datetime({form!r}), which has no zone yet: zone=..."
    return DataError(
        f"{name}: column {own!r} holds {column.dtype}{cell}, expected dates or date-times",
        hint=f"{hint}: it states what is meant",
    )


def _unit_of(known: pl.Series) -> str:
    """Return the unit that the size of a count since 1970 implies; seconds if there is no count."""
    size = abs(float(known[0])) if len(known) else 0.0
    return next((unit for most, unit in _UNITS if size < most), "ns")


def _refuse_disorder(frame: pl.DataFrame, name: str) -> None:
    times = frame["timestamp"].drop_nulls()
    if times.is_sorted():
        return
    row = int((times.diff().dt.total_nanoseconds() < 0).arg_max() or 0)
    raise DataError(
        f"{name} is not in order of time: {times[row]} comes after {times[row - 1]} (row {row})",
        hint="sort it first: frame.sort(...), or frame.sort_values(...)",
    )


def _listed(frame: pl.DataFrame) -> str:
    return shortened(", ".join(frame.columns), HEADER_CHARACTERS) or "none"
