"""A run's market data in the layout of the plan: all symbols on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from septet._data.align import column_as_of, missing_before, series_as_of, union_axis
from septet._data.bars import BarTable, MarketData, SeriesTable
from septet._data.calendars import load_calendar
from septet._data.funding import FundingRates
from septet._data.local_time import clock_seconds, local_days
from septet._data.members import member_counts
from septet._data.missing_opens import NONE_MISSING, MissingOpens
from septet._data.scheduled_neighbours import NEIGHBOURS, neighbours
from septet._data.trading_hours import NO_EVENTS, FillGrid, HourRules, events_of, flags_by_symbol
from septet._kernel import layout
from septet._plan.graph import BAR_COLUMNS
from septet._plan.plan import Plan

__all__ = [
    "DERIVED", "FUNDING", "FUNDING_BEFORE", "AlignedBars", "AlignmentRules", "align_bars",
    "column_values", "day_numbers", "flags_of", "grids_of",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FUNDING, FUNDING_BEFORE = "funding", "funding_before"
"""Columns: the funding due inside a bar, and from the previous decision time to its open."""
DAY_NS = 86_400_000_000_000
MONDAY = 4  # 1970-01-05, the first Monday


class AlignedBars(msgspec.Struct):
    """T, M, X, U and DUE of a run (see `septet._kernel.layout`), and the bars per symbol."""

    T: Ints
    M: Ints
    X: Floats
    lengths: tuple[int, ...]
    U: Floats = msgspec.field(default_factory=lambda: np.zeros((1, 1)))
    DUE: Ints = msgspec.field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def times(self) -> int:
        """Number of decision times."""
        return int(self.T.shape[1])

    @property
    def bar_rows(self) -> Ints:
        """Each symbol's bar at each time, or -1: shape (symbols, times)."""
        return self.T[layout.ROW : layout.ROW + len(self.lengths)]

    @property
    def width(self) -> int:
        """Number of bars of the longest symbol."""
        return int(self.M.shape[2])


class AlignmentRules(msgspec.Struct, frozen=True):
    """How a run counts days, gaps and funding."""

    time_zone: str = "UTC"
    day_start_ns: int = 0
    reset_after: int = 24
    funding_rate: float | None = None
    funding_every_ns: int = 8 * 3_600_000_000_000

    @property
    def is_local(self) -> bool:
        """Whether days begin at another time than midnight UTC."""
        return self.time_zone != "UTC" or self.day_start_ns != 0


def _day(bar: Any, rules: AlignmentRules) -> Any:
    return local_days(bar.open_ns, rules.time_zone, rules.day_start_ns)


def _session(bar: Any, rules: AlignmentRules, calendar: str) -> Any:
    """Return the session of a bar; if its calendar has none, the day in which it opens."""
    return _day(bar, rules) if rules.is_local and calendar == "24x7" else bar.session


DERIVED: Mapping[str, Callable[[Any, AlignmentRules, str], Any]] = {
    "slot": lambda bar, rules, calendar: bar.open_ns // bar.bar_ns,
    "session": _session,
    "session_date": lambda bar, rules, calendar: bar.session,
    "week": lambda bar, rules, calendar: (_day(bar, rules) - MONDAY) // 7,
    "seconds": lambda bar, rules, calendar: bar.known_ns / 1e9,
    "local_day": lambda bar, rules, calendar: _day(bar, rules),
    "local_seconds": lambda bar, rules, calendar: clock_seconds(bar.known_ns, rules.time_zone),
}
"""Columns that depend on the bar's time, the file's days and the bar's calendar: of a whole table,
or of one bar as it arrives."""


def day_numbers(time_ns: Ints, time_zone: str, day_start_ns: int) -> Ints:
    """Return the number of the day of each instant; days begin at `day_start_ns` local time.

    Instants ascend. If the clocks go back over the start of a day, the day begins only once.
    """
    if time_zone == "UTC":
        return (time_ns - day_start_ns) // DAY_NS
    import polars as pl

    local = (
        pl.Series(time_ns)
        .cast(pl.Datetime("ns", "UTC"))
        .dt.convert_time_zone(time_zone)
        .dt.replace_time_zone(None)
        .cast(pl.Int64)
        .to_numpy()
    )
    days = np.asarray((local - day_start_ns) // DAY_NS, dtype=np.int64)
    return np.maximum.accumulate(days)


def _series(market: MarketData, name: str, symbol: str) -> SeriesTable | None:
    """Return a symbol's own series of a name, else the series for all symbols."""
    of_symbol = market.series.get(f"{name}@{symbol}")
    return of_symbol if of_symbol is not None else market.series.get(name)


def funding_of(market: MarketData, symbol: str, terms: AlignmentRules) -> FundingRates:
    """Return the funding rates of a symbol."""
    series = _series(market, FUNDING, symbol)
    if series is not None:
        return FundingRates.of_series(series.stamp_ns.tolist(), series.value.tolist())
    return FundingRates(float(terms.funding_rate or 0.0), terms.funding_every_ns)


def _due(rates: FundingRates, since: Ints, until: Ints) -> Floats:
    """Return the funding due in each span; only spans that contain an instant are summed."""
    amounts = np.zeros(len(until))
    if rates.points is None:
        has_instant = until // rates.every_ns > since // rates.every_ns
    else:
        stamps = np.array([due for due, _, _ in rates.points], dtype=np.int64)
        has_instant = np.searchsorted(stamps, until, "right") > np.searchsorted(
            stamps, since, "right"
        )
    for i in np.flatnonzero(has_instant & (until > since)).tolist():
        amounts[i] = rates.due(int(since[i]), int(until[i]))
    return amounts


def _funding(name: str, table: BarTable, times: Ints, rates: FundingRates) -> Floats:
    """Return the funding due inside each bar, or from the previous decision time to its open."""
    if not len(table):
        return np.zeros(0)
    rows = np.searchsorted(times, table.known_ns) - 1
    since = np.where(rows >= 0, times[np.maximum(rows, 0)], table.open_ns)
    if name == FUNDING_BEFORE:
        return _due(rates, since, table.open_ns)
    return _due(rates, np.maximum(since, table.open_ns), table.known_ns)


def column_values(
    name: str, table: BarTable, market: MarketData, rules: AlignmentRules | None = None
) -> Floats:
    """Return one column of X for one symbol."""
    if name in BAR_COLUMNS:
        return np.asarray(getattr(table, name))
    if name in DERIVED:
        calendar = market.calendars.get(table.symbol, market.calendar)
        derived = DERIVED[name](table, rules or AlignmentRules(), calendar)
        return np.asarray(derived, dtype=np.float64)
    if name in NEIGHBOURS:
        calendar = market.calendars.get(table.symbol, market.calendar)
        neighbour = getattr(neighbours(table, calendar), name) if len(table) else table.open_ns
        return np.asarray(neighbour, dtype=np.float64)
    if name.startswith("series:"):
        series = _series(market, name[7:], table.symbol)
        assert series is not None, name
        return series_as_of(series, table.known_ns)
    column, _, symbol = name.partition("@")
    return column_as_of(market.bars[symbol], column, table.known_ns)


def align_bars(plan: Plan, market: MarketData, terms: AlignmentRules | None = None) -> AlignedBars:
    """Arrange market data for a plan; only the columns that the plan reads are computed."""
    rules = terms or AlignmentRules()
    tables = [market.bars[symbol] for symbol in market.symbols]
    axis = union_axis(tables)
    width = max(len(table) for table in tables)
    rates = [funding_of(market, symbol, rules) for symbol in market.symbols]
    names = sorted(plan.assembly.rows.x, key=plan.assembly.rows.x.__getitem__)
    T = np.empty((layout.ROW + len(tables) + plan.rows.T, len(axis.time_ns)), np.int64)
    M = np.zeros((len(tables), layout.M_ROWS, width), np.int64)
    X = np.empty((len(tables), len(names), width))
    T[layout.KNOWN] = axis.time_ns
    T[layout.DAY] = day_numbers(axis.time_ns, rules.time_zone, rules.day_start_ns)
    T[layout.ROW : layout.ROW + len(tables)] = axis.rows
    hours = plan.assembly.terms.hours
    if hours is not None:
        first = layout.ROW + len(tables)
        T[first : first + len(tables)] = flags_of(hours, market, axis.time_ns)
    if plan.facts.members_row is not None:
        T[plan.facts.members_row] = member_counts(tables, _calendars(market), axis)
    gaps = MissingOpens(axis.time_ns, market.bar_ns)
    for k, table in enumerate(tables):
        n = len(table)
        if n < len(axis.time_ns):
            rows = T[layout.ROW + k]
            calendar = market.calendars.get(table.symbol, market.calendar)
            opened = gaps.of(table, calendar, rows)
            rows[rows < 0] = np.where(opened == NONE_MISSING, -1, layout.NO_BAR + opened)
        M[k, layout.OPEN_NS, :n] = table.open_ns
        missing = missing_before(table, market.calendars.get(table.symbol, market.calendar))
        M[k, layout.AGE, :n] = _ages(missing, rules.reset_after)
        M[k, layout.MISSING, :n] = missing
        if table.filled is not None:
            M[k, layout.MISSING, :n] += _filled_before(table.filled)
            M[k, layout.SYNTHETIC, :n] = table.filled
        X[k, :, n:] = np.nan
        for row, name in enumerate(names):
            X[k, row, :n] = (
                _funding(name, table, axis.time_ns, rates[k])
                if name in (FUNDING, FUNDING_BEFORE)
                else column_values(name, table, market, rules)
            )
    U = np.zeros((1, 1))
    if FUNDING in names and len(tables) > 1:
        since = np.concatenate((axis.time_ns[:1], axis.time_ns[:-1]))
        U = np.array([_due(each, since, axis.time_ns) for each in rates])
    schedule = plan.facts.schedule
    due = np.zeros(0, np.int64) if schedule is None else schedule.of(axis.time_ns)
    return AlignedBars(T, M, X, tuple(len(table) for table in tables), U, due)


def _calendars(market: MarketData) -> list[str]:
    return [market.calendars.get(symbol, market.calendar) for symbol in market.symbols]


def flags_of(hours: HourRules, market: MarketData, time_ns: Ints) -> Ints:
    """Return the flags of the trading hours at decision times, one row per symbol."""
    events = events_of(market.series[hours.series]) if hours.series else NO_EVENTS
    return flags_by_symbol(hours, time_ns, grids_of(market), events)


def grids_of(market: MarketData) -> list[FillGrid]:
    """Return the grid on which each symbol's bars open: one grid per calendar."""
    grids: dict[str, FillGrid] = {}
    for symbol, calendar in zip(market.symbols, _calendars(market), strict=True):
        table = market.bars[symbol]
        if calendar not in grids and calendar != "24x7" and len(table):
            first_ns, last_ns = int(table.open_ns[0]), int(table.open_ns[-1])
            placed = load_calendar(calendar, first_ns, last_ns).place(
                table.open_ns, market.bar_ns, "open"
            )
            grids[calendar] = FillGrid(calendar, market.bar_ns, placed.anchor)
    for calendar in _calendars(market):
        grids.setdefault(calendar, FillGrid(calendar, market.bar_ns))
    return [grids[calendar] for calendar in _calendars(market)]


def _ages(missing: Ints, reset_after: int) -> Ints:
    """Return the bars since history began or had a gap longer than `reset_after`."""
    rows = np.arange(len(missing), dtype=np.int64)
    if not len(missing) or int(missing.max()) <= reset_after:
        return rows
    start = np.maximum.accumulate(np.where(missing > reset_after, rows, 0))
    return rows - start


def _filled_before(filled: npt.NDArray[np.bool_]) -> Any:
    """Return 1 where the previous bar is synthetic: a decision had no scheduled open after it."""
    flags = np.zeros(len(filled), np.int64)
    flags[1:] = filled[:-1] & ~filled[1:]
    return flags
