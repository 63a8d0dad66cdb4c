"""Parquet files as a source of bars or of one series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from septet.plugin import Config
from septet.plugin.data import (
    Facts,
    LazyBars,
    RawBars,
    RawSeries,
    Request,
    candles,
    one_file,
    read_bars,
    read_parquet_file,
    scan_bars,
    scan_parquet_file,
    series,
)
from septet_plugins.data.columns import raw_series

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = ["Parquet", "ParquetConfig", "ParquetSeries", "ParquetSeriesConfig"]


class ParquetConfig(Config):
    """Parquet files: one file, a glob, or a pattern with `{symbol}`.

    `columns` renames columns: ``{timestamp: date, close: px_last}``.
    """

    path: str
    """A file, a pattern with wildcards, or one with {symbol}."""
    columns: dict[str, str] = {}
    """Columns by septet's names, such as timestamp: date."""


def _read(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    return read_parquet_file(path), ()


def _scan(path: Path) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    return scan_parquet_file(path), ()


@candles(ParquetConfig)
class Parquet:
    """Bars from Parquet files."""

    def __init__(self, config: ParquetConfig) -> None:
        """Store the configuration."""
        self._config = config

    def read(self, request: Request) -> list[RawBars]:
        """Read the files of every symbol; stamps mark opens unless the file states otherwise."""
        facts = Facts(self._config.path, stamp="open")
        return read_bars(self._config.path, self._config.columns, request, facts, _read, "parquet")

    def scan(self, request: Request) -> list[LazyBars]:
        """Return lazy frames of the files of every symbol.

        Only the requested row groups are read.
        """
        facts = Facts(self._config.path, stamp="open")
        return scan_bars(self._config.path, self._config.columns, request, facts, _scan, "parquet")


class ParquetSeriesConfig(Config):
    """One series from a Parquet file; `known` names the column of publication times."""

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


@series(ParquetSeriesConfig)
class ParquetSeries:
    """An outside series from a Parquet file."""

    def __init__(self, config: ParquetSeriesConfig) -> None:
        """Remember what to read."""
        self._config = config

    def read(self, request: Request) -> RawSeries:
        """Read the file and select its columns."""
        config = self._config
        path = one_file(config.path, request.base_dir, request.name)
        return raw_series(read_parquet_file(path), str(path), config)
