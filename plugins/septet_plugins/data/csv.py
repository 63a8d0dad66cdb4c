"""Text files as a source of bars or of one series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from septet.plugin.data import (
    Facts,
    RawBars,
    RawSeries,
    Request,
    candles,
    one_file,
    read_bars,
    rename_columns,
    series,
)
from septet_plugins.data.columns import raw_series, time_column
from septet_plugins.data.text import TextFormat, read_text
from septet_plugins.data.text_lines import TextRows
from septet_plugins.data.times import day_month_doubt, join_times, read_times

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = ["Csv", "CsvConfig", "CsvSeries", "CsvSeriesConfig"]


class CsvConfig(TextFormat):
    """Text files: one file, a glob, or a pattern with `{symbol}`.

    `columns` renames columns: ``{timestamp: Date, close: Px}``. `time_columns` are joined if date
    and time are separate columns. A text file does not state what its stamps mark: set `stamp:
    open` or `stamp: close`.
    """

    required_keys: ClassVar[tuple[str, ...]] = ("stamp",)

    path: str
    """A file, a pattern with wildcards, or one with {symbol}."""
    columns: dict[str, str] = {}
    """Columns by septet's names, such as timestamp: Date."""


@candles(CsvConfig)
class Csv:
    """Bars from text files."""

    def __init__(self, config: CsvConfig) -> None:
        """Store the configuration."""
        self._config = config
        self._rows: dict[Path, TextRows] = {}

    def read(self, request: Request) -> list[RawBars]:
        """Read the files of every symbol."""
        config = self._config
        bars = read_bars(
            config.path, config.columns, request, Facts(config.path), self._read_file,
            rows_of=self._rows.get,
        )  # fmt: skip
        return [self._doubted(raw) for raw in bars]

    def _read_file(self, path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
        config = self._config
        frame, notes, header, row_numbers = read_text(
            path, config, lambda head: self._times(head, path)
        )
        frame = join_times(frame, config.time_columns, str(path))
        joined = bool(config.time_columns)
        time_column = "timestamp" if joined else next(iter(self._times(frame, path)), "timestamp")
        table = read_times(frame, time_column, config.time_format, str(path), joined=joined)
        written = None
        if config.time_format and time_column in frame.columns and table[time_column].null_count():
            written = frame[time_column]
        self._rows[path] = TextRows(
            path, config, header=header, rows=table.height, times=written, kept=row_numbers
        )
        return table, notes

    def _times(self, frame: pl.DataFrame, path: Path) -> tuple[str, ...]:
        """Return the columns of a table that are read as text: those of its times."""
        config = self._config
        if config.time_columns or config.time_format is None:
            return config.time_columns
        named, _ = rename_columns(frame, config.columns, str(path))
        names = dict(zip(named.columns, frame.columns, strict=False))
        return tuple(names[each] for each in ("timestamp",) if each in names)

    def _doubted(self, raw: RawBars) -> RawBars:
        """Add a note to the rows of a symbol if day and month may be exchanged."""
        if "timestamp" not in raw.frame.columns:
            return raw
        origin = f"{raw.symbol} from {raw.facts.origin}"
        times, form = raw.frame["timestamp"], self._config.time_format
        doubt = day_month_doubt(times, form, origin, bars=True)
        return replace(raw, facts=replace(raw.facts, doubts=(doubt,))) if doubt else raw


class CsvSeriesConfig(TextFormat):
    """One series from a text file; `known` names the column of publication times."""

    path: str
    """A file, or a pattern with {symbol}."""
    time: str | None = None
    """Column of the stamps; by default the first with a usual name."""
    value: str | None = None
    """Column of the values; by default the only remaining one."""
    known: str | None = None
    """Column of the times at which values became known."""

    @property
    def gives_known_time(self) -> bool:  # type: ignore[override]
        """Whether the file contains publication times."""
        return self.known is not None


@series(CsvSeriesConfig)
class CsvSeries:
    """An outside series from a text file."""

    def __init__(self, config: CsvSeriesConfig) -> None:
        """Remember what to read."""
        self._config = config

    def read(self, request: Request) -> RawSeries:
        """Read the file and select its columns."""
        config = self._config
        path = one_file(config.path, request.base_dir, request.name)
        frame, guesses, header, row_numbers = read_text(path, config, self._times)
        frame, joined = join_times(frame, config.time_columns, str(path)), config.time_columns
        raw = raw_series(frame, str(path), config, guesses)
        frame, doubts = raw.frame, []
        written = frame["time"] if config.time_format else None
        for column in ("time", "known"):
            is_joined = bool(joined) and column == "time"
            frame = read_times(frame, column, config.time_format, str(path), joined=is_joined)
            if column in frame.columns:
                origin = f"{request.name} from {path}"
                doubts.append(day_month_doubt(frame[column], config.time_format, origin))
        rows = TextRows(
            path, config, header=header, rows=frame.height, times=written, kept=row_numbers
        )
        facts = replace(raw.facts, doubts=tuple(each for each in doubts if each), rows=rows)
        return replace(raw, frame=frame, facts=facts)

    def _times(self, frame: pl.DataFrame) -> tuple[str, ...]:
        """Return the columns of a table that are read as text: those of its times."""
        config = self._config
        if config.time_columns:
            return (*config.time_columns, *((config.known,) if config.known else ()))
        if config.time_format is None:
            return ()
        named = (config.time or time_column(frame.columns), config.known)
        return tuple(each for each in named if each)
