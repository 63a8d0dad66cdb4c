"""Interface of data sources: they return raw rows and facts about them, without checks.

A source of bars is built from its config and has ``read(request) -> list[RawBars]``; a source of a
series has ``read(request) -> RawSeries``. A source that downloads has ``fetch`` as well, one whose
bars can be read in stretches has ``scan(request) -> list[LazyBars]``. One normalise path checks
what they hand over, so that history and live data meet the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from septet._data.source_rows import SourceRows
from septet._progress import Progress
from septet_schemas.base import SecretRef

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "CandlesSource",
    "Facts",
    "FetchReport",
    "Fetches",
    "LazyBars",
    "Progress",
    "RawBars",
    "RawSeries",
    "Request",
    "Scans",
    "SeriesSource",
    "SourceRows",
    "Store",
]


class Store(Protocol):
    """Where downloaded rows are kept; `septet._data.bar_store.BarStore` is the one we ship."""

    def covered(self, source: str, name: str, bar: str) -> list[tuple[int, int]]:
        """Return the downloaded spans ``[from, to)`` of open times, in order, nanoseconds."""

    def append(
        self, source: str, name: str, bar: str, frame: pl.DataFrame, covered: tuple[int, int]
    ) -> None:
        """Store rows (first seen wins) and the span that they cover, atomically."""

    def read(
        self, source: str, name: str, bar: str, start_ns: int | None, end_ns: int | None
    ) -> pl.DataFrame | None:
        """Return rows with `start_ns` <= timestamp < `end_ns` in order; None if not stored."""

    def meta(self, source: str, name: str, bar: str) -> dict[str, Any]:
        """Return the metadata of the rows: instrument snapshot, vintage, origin."""

    def describe(self, source: str, name: str, bar: str, **facts: Any) -> None:
        """Add to the metadata."""


ReadFor = Callable[[SecretRef, str], str]
"""Reads a secret that the file names, in order to send it to a host."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a source. Times are UTC nanoseconds; None means without a bound.

    `name` is the key of the block in the strategy file (``candles``, or a series' name); `now_ns`
    is the time at which the data is read. `read` reads a secret of the block to send it to one
    host, and raises if the operator did not allow that; it is None if nothing is downloaded.
    `events` is the name of the series whose rows are the events of a blackout, empty without one.
    """

    symbols: tuple[str, ...]
    bar_ns: int
    start_ns: int | None = None
    end_ns: int | None = None
    base_dir: Path = Path()
    name: str = "candles"
    now_ns: int = 2**63 - 1
    store: Store | None = None
    read: ReadFor | None = field(default=None, compare=False, repr=False)
    events: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source states about its rows without checking them.

    A field of the strategy file wins over a fact. `stamp` states what time stamps mark; None means
    that the source does not know. `instrument` is a snapshot taken with the data: `lot`, `tick`,
    `min_notional`, `precision`, `min_quantity`. `notes` are guesses that were made (a delimiter),
    `doubts` signs that rows are read otherwise than meant, which `check` and the verdict repeat.
    `rows` names where a row stands in the source, for messages.
    """

    origin: str
    stamp: Literal["open", "close"] | None = None
    calendar: str | None = None
    volume_in: Literal["base", "quote"] | None = None
    vintage: str = "unknown"
    instrument: Mapping[str, float] | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    rows: SourceRows | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RawBars:
    """Raw rows of one symbol: timestamp open high low close volume [adj_close, split].

    `timestamp` may be integers (s, ms, us or ns), dates, date-times with or without a zone, or
    text; the rest may be any number type or text that reads as numbers.
    """

    symbol: str
    frame: pl.DataFrame
    facts: Facts


@dataclass(frozen=True, slots=True)
class LazyBars:
    """Rows of one symbol that have not been read: the columns of `RawBars`, in a lazy frame.

    A time span is read by a filter on `timestamp`; the frame's source should skip the rows that the
    filter excludes.
    """

    symbol: str
    frame: pl.LazyFrame
    facts: Facts


@dataclass(frozen=True, slots=True)
class RawSeries:
    """Raw rows of one series: time, value, and `known` where publication times are given.

    `seen` (nanoseconds, nullable) is set for a row that replaced an earlier one: it was known no
    sooner than it was seen. `others` are columns of the source that are not read: they may
    separate rows of several symbols or sources.
    """

    frame: pl.DataFrame
    facts: Facts
    others: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class FetchReport:
    """The result of a download for one symbol or series."""

    name: str
    rows: int
    requests: int
    first_ns: int | None = None
    last_ns: int | None = None
    notes: tuple[str, ...] = field(default=())


class CandlesSource(Protocol):
    """A source of bars."""

    def read(self, request: Request) -> Sequence[RawBars]:
        """Return raw rows of the requested symbols.

        A symbol that the source does not have is an error.
        """


class SeriesSource(Protocol):
    """A source of one outside series."""

    def read(self, request: Request) -> RawSeries:
        """Return raw rows of the series."""


@runtime_checkable
class Scans(Protocol):
    """A source whose bars can be read in time spans, so that not all are in memory at once."""

    def scan(self, request: Request) -> Sequence[LazyBars]:
        """Return the requested symbols, unread.

        A symbol that the source does not have is an error.
        """


@runtime_checkable
class Fetches(Protocol):
    """A source that downloads into the store before it can be read."""

    def fetch(self, request: Request, progress: Progress) -> Sequence[FetchReport]:
        """Download what the store does not have yet; safe to interrupt and to repeat."""
