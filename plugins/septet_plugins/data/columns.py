"""Selection of the time, value and publication-time columns of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from septet.errors import DataError
from septet.plugin.data import Facts, RawSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

__all__ = ["raw_series", "series_columns", "time_column"]


class SeriesColumns(Protocol):
    """Settings that name the columns of a series."""

    @property
    def time(self) -> str | None: ...

    @property
    def value(self) -> str | None: ...

    @property
    def known(self) -> str | None: ...


_SYMBOLS: Final = ("symbol", "ticker", "pair", "instrument", "market", "coin", "asset")
_TIMES: Final = ("timestamp", "time", "date", "datetime", "observation_date")


def raw_series(
    frame: pl.DataFrame,
    origin: str,
    config: SeriesColumns,
    guesses: tuple[str, ...] = (),
) -> RawSeries:
    """Return the series of a table, and its unused columns."""
    picked, notes, columns_read = series_columns(
        frame, origin, config.time, config.value, config.known
    )
    return RawSeries(picked, Facts(origin, notes=(*guesses, *notes)), frame.drop(columns_read))


def series_columns(
    frame: pl.DataFrame, origin: str, time: str | None, value: str | None, known: str | None
) -> tuple[pl.DataFrame, tuple[str, ...], list[str]]:
    """Return columns `time`, `value` and perhaps `known`, notes on guesses, and their old names.

    Raises
    ------
    DataError
        If a named column does not exist, if the choice is ambiguous, or if the rows
        are those of several symbols.
    """
    _refuse_several(frame, origin, (time, value, known))
    listed = ", ".join(frame.columns)[:200]
    for name in (time, value, known):
        if name is not None and name not in frame.columns:
            raise DataError(f"{origin}: no column {name!r}; found {listed}")
    notes = []
    if time is None:
        time = time_column(frame.columns)
        if time is None:
            raise DataError(
                f"{origin}: cannot determine which column is the time; found {listed}",
                hint="write time: NAME",
            )
        notes.append(f"column {time!r} read as time")
    if value is None:
        values = [name for name in frame.columns if name not in (time, known)]
        value = "value" if "value" in values else values[0] if len(values) == 1 else None
        if value is None:
            raise DataError(
                f"{origin}: cannot determine which column is the value; found {listed}",
                hint="write value: NAME",
            )
        notes.append(f"column {value!r} read as value")
    picked = {"time": frame[time], "value": frame[value]}
    if known is not None:
        picked["known"] = frame[known]
    columns_read = [column.name for column in picked.values()]
    return (
        frame.select(column.alias(name) for name, column in picked.items()),
        tuple(notes),
        columns_read,
    )


def time_column(names: Sequence[str]) -> str | None:
    """Return the first column whose name is a usual name of times."""
    return next((name for name in names if name.strip().lower() in _TIMES), None)


def _refuse_several(frame: pl.DataFrame, origin: str, used: tuple[str | None, ...]) -> None:
    """Reject rows of several symbols: only the first row of each time would be used."""
    for name in frame.columns:
        if name in used or name.strip().lower() not in _SYMBOLS:
            continue
        values = frame[name].drop_nulls().unique().sort()
        if len(values) > 1:
            examples = ", ".join(f"{str(each)[:20]!r}" for each in values[:3].to_list())
            dots = ", ..." if len(values) > 3 else ""
            raise DataError(
                f"{origin}: column {name!r} holds {len(values)} symbols ({examples}{dots}), and a "
                "series has one value at a time",
                hint="a file for each symbol, with {symbol} in path, or keep one symbol",
            )
