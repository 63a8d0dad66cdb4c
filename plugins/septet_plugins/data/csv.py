"""Text files as a source of bars, or of one series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from septet.errors import DataError
from septet.plugin.data import (
    Facts,
    RawBars,
    RawSeries,
    Request,
    candles,
    one_file,
    read_bars,
    reader_words,
    rename_columns,
    series,
)
from septet_plugins.data.columns import raw_series
from septet_plugins.data.text import TextFormat, read_text

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = ["Csv", "CsvConfig", "CsvSeries", "CsvSeriesConfig"]


class CsvConfig(TextFormat):
    """Text files: one file, a glob, or a pattern with `{symbol}`.

    `columns` gives columns our names: ``{timestamp: Date, close: Px}``. `time_columns` are put
    together where date and time stand apart. A text file cannot know what its stamps mark: write
    `stamp: open` or `stamp: close`.
    """

    must_say: ClassVar[tuple[str, ...]] = ("stamp",)

    path: str
    """A file, a pattern with wild cards, or one with {symbol}."""
    columns: dict[str, str] = {}
    """Columns under names of ours, such as timestamp: Date."""
    time_columns: tuple[str, ...] = ()
    """Columns that make up the stamp together, date and time say."""


def _join_times(frame: pl.DataFrame, names: tuple[str, ...], origin: str) -> pl.DataFrame:
    """Put date and time together where they stand in columns of their own."""
    import polars as pl

    if not names:
        return frame
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DataError(
            f"{origin}: no column {', '.join(absent)}; found {', '.join(frame.columns)[:200]}",
            hint="time_columns: [date, time]",
        )
    joined = pl.concat_str([pl.col(name).cast(pl.String) for name in names], separator=" ")
    return frame.with_columns(joined.alias("timestamp")).drop(
        name for name in names if name != "timestamp"
    )


def _read_times(frame: pl.DataFrame, column: str, form: str | None, origin: str) -> pl.DataFrame:
    """Read times by the format the file gives; rows that do not fit are checked later."""
    import polars as pl

    if form is None or column not in frame.columns:
        return frame
    text = frame[column].cast(pl.String).str.strip_chars()
    try:
        times = text.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{origin}: time_format {form!r}: {reader_words(error)}") from error
    if len(text) and times.null_count() == len(text):
        raise DataError(
            f"{origin}: no time fits time_format {form!r}, of {len(text)} times",
            hint="such as %d/%m/%Y %H:%M",
        )
    return frame.with_columns(times.alias(column))


@candles(CsvConfig)
class Csv:
    """Bars from text files."""

    def __init__(self, config: CsvConfig) -> None:
        """Remember what to read."""
        self._config = config

    def read(self, request: Request) -> list[RawBars]:
        """Read the files of every symbol."""
        config = self._config
        return read_bars(config.path, config.columns, request, Facts(config.path), self._read_file)

    def _read_file(self, path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
        frame, notes = read_text(path, self._config)
        frame = _join_times(frame, self._config.time_columns, str(path))
        if self._config.time_format is None:
            return frame, notes
        named, _ = rename_columns(frame, self._config.columns, str(path))
        theirs = dict(zip(named.columns, frame.columns, strict=False)).get("timestamp", "timestamp")
        return _read_times(frame, theirs, self._config.time_format, str(path)), notes


class CsvSeriesConfig(TextFormat):
    """One series from a text file; `known` names the column of publication times."""

    path: str
    """A file, or a pattern with {symbol}."""
    time: str | None = None
    """Column of the stamps; without it the first that looks like one."""
    value: str | None = None
    """Column of the values; without it the one that is left."""
    known: str | None = None
    """Column of the times at which values became known."""

    @property
    def gives_known_time(self) -> bool:  # type: ignore[override]
        """Whether the file gives publication times."""
        return self.known is not None


@series(CsvSeriesConfig)
class CsvSeries:
    """An outside series from a text file."""

    def __init__(self, config: CsvSeriesConfig) -> None:
        """Remember what to read."""
        self._config = config

    def read(self, request: Request) -> RawSeries:
        """Read the file and pick its columns."""
        config = self._config
        path = one_file(config.path, request.base_dir, request.name)
        frame, guesses = read_text(path, config)
        raw = raw_series(frame, str(path), config, guesses)
        frame = raw.frame
        for column in ("time", "known"):
            frame = _read_times(frame, column, config.time_format, str(path))
        return replace(raw, frame=frame)
