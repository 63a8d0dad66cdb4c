"""Reading of a source by stamps, one time span after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._data.bar_length import STEP_SAMPLE, check_step
from septet._data.source import LazyBars
from septet._data.source_files import READ_ERRORS, unreadable
from septet._data.stamps import read_stamps
from septet.errors import DataError
from septet_schemas.data import CandlesConfig

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Clock", "clock_of", "read_between"]

UNITS_NS: Final = (1, 1_000, 1_000_000, 1_000_000_000, 86_400_000_000_000)
COLUMNS: Final = (
    "timestamp", "open", "high", "low", "close", "volume", "adj_close", "split",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clock:
    """The unit, bounds and nulls of a column of stamps: `unit_ns` is the length of one count."""

    kind: Any
    unit_ns: int
    first_ns: int
    last_ns: int

    @property
    def is_wall_time(self) -> bool:
        """Return whether stamps have a time of day and no zone."""
        import polars as pl

        return isinstance(self.kind, pl.Datetime) and self.kind.time_zone is None


def clock_of(lazy: LazyBars, keys: CandlesConfig, bar_ns: int) -> Clock:
    """Determine the unit of a symbol's stamps, and the first and the last stamp.

    Raises
    ------
    DataError
        If the rows cannot be divided by time, or are of another bar length.
    """
    import polars as pl

    where = f"{lazy.symbol} from {lazy.facts.origin}"
    kind = lazy.frame.collect_schema().get("timestamp")
    if kind is None:
        raise DataError(f"{where}: no column timestamp", hint="name it: columns: {timestamp: ...}")
    local = (
        isinstance(kind, pl.Datetime)
        and kind.time_zone is None
        and keys.time_zone not in (None, "UTC")
    )
    if not (kind.is_integer() or kind == pl.Date or isinstance(kind, pl.Datetime)) or local:
        raise DataError(
            f"{where}: time stamps of {kind}{' in local time' if local else ''} cannot be cut "
            "into stretches, whole numbers, dates and date-times in UTC can",
            hint="run without --chunk, or write the file with a timestamp in UTC",
        )
    stamp = pl.col("timestamp")
    try:
        ends = lazy.frame.select(stamp.min().alias("low"), stamp.max().alias("high"))
        low, high = ends.collect(engine="streaming").row(0)
        head = lazy.frame.select(stamp).head(STEP_SAMPLE).collect()["timestamp"]
    except READ_ERRORS() as error:
        raise unreadable(lazy.facts.origin, error) from error
    if low is None:
        raise DataError(f"{where}: there are no rows")
    both = pl.Series("timestamp", [low, high], dtype=kind)
    read = read_stamps(both, unit=keys.time_unit, zone=keys.time_zone, where=where)
    times, plain = read.time_ns.tolist(), both.to_physical().cast(pl.Int64).to_list()
    units = [u for u in UNITS_NS if all(p * u == t for p, t in zip(plain, times, strict=True))]
    if read.dropped or read.noticed or not units:
        raise DataError(
            f"{where}: time stamps from {low} to {high} cannot be cut into stretches: they are "
            "not of one unit",
            hint="mend the first and last stamps or write time_unit: ..., or run without --chunk",
        )
    sampled = read_stamps(head, unit=keys.time_unit, zone=keys.time_zone, where=where)
    bad = np.logical_or.reduce([*sampled.dropped.values(), np.zeros(len(head), np.bool_)])
    check_step(sampled.time_ns[~bad], bar_ns, where)
    return Clock(kind, units[0], times[0], times[1])


def read_between(
    lazy: LazyBars, clock: Clock, first_ns: int | None, last_ns: int | None
) -> pl.DataFrame:
    """Read rows by their stamps; rows without a stamp are read with the first ones."""
    import polars as pl

    def literal(time_ns: int) -> pl.Expr:
        return pl.lit(-(-time_ns // clock.unit_ns)).cast(clock.kind)

    names = lazy.frame.collect_schema().names()
    frame = lazy.frame.select(name for name in names if name in COLUMNS)
    stamp, keep = pl.col("timestamp"), pl.lit(value=True)
    if last_ns is not None and last_ns <= clock.last_ns:
        keep = stamp < literal(max(last_ns, clock.first_ns))
    if first_ns is None:
        keep = keep | stamp.is_null()
    elif first_ns > clock.last_ns:
        keep = pl.lit(value=False)
    elif first_ns > clock.first_ns:
        keep = keep & (stamp >= literal(first_ns))
    try:
        return frame.filter(keep).collect()
    except READ_ERRORS() as error:
        raise unreadable(lazy.facts.origin, error) from error
