"""Converts time stamps of any format to UTC nanoseconds; guesses are reported, rows checked."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import structs

from septet._data.bars import Ints
from septet.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Bools", "Stamps", "iso", "read_stamps", "within_years"]

Bools = npt.NDArray[np.bool_]

_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_UNITS: Final = ("s", "ms", "us", "ns")
_EDGES: Final = np.array([10**11, 10**14, 10**17], dtype=np.int64)
_DAY_NS: Final = 86_400 * 1_000_000_000
# The years 1850 to 2129: far enough for any market, and no difference of two overflows.
_FIRST_NS: Final = -3_786_825_600_000_000_000
_LAST_NS: Final = 5_049_129_600_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET: Final = r"(?i)(?:\d{2}:\d{2}(?:[.,]\d+)?)\s*(Z|UTC|GMT)?([+-]\d{2}:?(?:\d{2})?)?$"
_TEXT_FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y%m%d %H:%M:%S%.f",
    "%Y%m%d %H:%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H%M",
    "%Y.%m.%d %H:%M:%S%.f",
    "%Y.%m.%d %H:%M",
    "%Y.%m.%d",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
)


_DIGITS: Final = (
    ("%Y%m%d%H%M", "YYYYMMDDHHMM", 190_001_010_000, 220_012_312_359),
    ("%Y%m%d%H%M%S", "YYYYMMDDHHMMSS", 19_000_101_000_000, 22_001_231_235_959),
)
"""Dates with times of day written only in digits; as counts they are of 1976 to 1979 or no year."""


class Stamps(msgspec.Struct, frozen=True):
    """Stamps in UTC nanoseconds; `time_ns` is undefined where a mask of `dropped` is set.

    `dropped` masks rows without a usable stamp, by kind of defect; `noticed` masks rows that are
    usable but unusual. `notes` lists the guesses. `wall_ns` holds the stamps as written, for stamps
    without a zone of their own.
    """

    time_ns: Ints
    dropped: dict[str, Bools] = msgspec.field(default_factory=dict)
    noticed: dict[str, Bools] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    wall_ns: Ints | None = None


def within_years(unit_ns: int) -> tuple[int, int]:
    """Return the first valid stamp of a unit, and the first that is too late to be valid."""
    return _FIRST_NS // unit_ns, _LAST_NS // unit_ns


def iso(time_ns: int) -> str:
    """Format UTC nanoseconds as ISO text, as short as possible."""
    seconds, rest = divmod(int(time_ns), 1_000_000_000)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        return f"{time_ns} ns"
    return text + (f".{rest:09d}".rstrip("0") if rest else "") + "Z"


def read_stamps(
    column: pl.Series, *, unit: str = "auto", zone: str | None = "UTC", where: str = ""
) -> Stamps:
    """Read a column of stamps, whatever its type.

    Parameters
    ----------
    column
        Integers or floats since the epoch (s, ms, us, ns, detected row by row by their size,
        or dates written YYYYMMDD), dates, date-times with or without a zone, or text.
    unit
        Unit of numbers; ``auto`` guesses and reports the guess.
    zone
        Zone of stamps without one; None if the file does not state it: then only dates and
        numbers may lack a zone.
    where
        The origin of the column, for messages.

    Raises
    ------
    DataError
        If the column is of a type that holds no times, or if it holds times of day without a
        zone and none is given.
    """
    import polars as pl

    kind = column.dtype
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        moments = column.cast(pl.Datetime("us")) if kind == pl.Date else column
        return _moments(moments, _zone_of(moments, zone, where))
    if kind in (pl.String, pl.Categorical):
        text = column.cast(pl.String).str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        if numbers.null_count() < max(1, len(text) // 2):
            whole = text.cast(pl.Int64, strict=False)
            exact = whole.null_count() <= numbers.null_count()
            return _numbers(whole if exact else numbers, unit, zone or "UTC")
        return _texts(text, zone, where)
    if kind.is_numeric():
        return _numbers(column, unit, zone or "UTC")
    raise DataError(
        f"{where or 'the data'}: column {column.name!r} holds {kind}, expected times",
        hint="name the time column: columns: {timestamp: ...}",
    )


def _zone_of(moments: pl.Series, zone: str | None, where: str) -> str:
    """Return the zone of date-times; if it is None they must have one, or be dates."""
    import polars as pl

    kind = moments.dtype
    assert isinstance(kind, pl.Datetime)
    if zone is not None or kind.time_zone is not None:
        return zone or "UTC"
    timed = moments.filter(moments.dt.time() != time(0))
    if len(timed):
        raise DataError(
            f"{where or 'the data'}: time stamps such as {timed[0]} name no time zone, and nothing "
            "states which is meant",
            hint="write time_zone: UTC beside use:, or where their clock stands, such as "
            "time_zone: America/New_York",
            key="time_zone",
        )
    return "UTC"


def _numbers(column: pl.Series, unit: str, zone: str) -> Stamps:
    import polars as pl

    missing = _nulls(column)
    if column.dtype.is_float():
        values = column.to_numpy()
        missing = ~np.isfinite(values)
        values = np.where(missing, 0.0, values)
        if unit == "s" or (unit == "auto" and np.any(values % 1.0) and _mostly_seconds(values)):
            # Seconds with a fraction: a double represents microseconds exactly.
            whole = np.rint(np.clip(values, -9e12, 9e12) * 1e6).astype(np.int64)
            note = ("time stamps read as seconds with a fraction",) if unit == "auto" else ()
            return _scaled(whole, 1_000, missing, {}, note)
        whole = np.rint(np.clip(values, -9.2e18, 9.2e18)).astype(np.int64)
    else:
        filled = column.fill_null(0).cast(pl.Int64, strict=False).fill_null(0)
        whole = filled.to_numpy(writable=True)
    if unit != "auto":
        return _scaled(whole, _UNIT_NS[unit], missing, {}, ())
    low, high = _ends(whole)
    for form, name, least, most in _DIGITS:
        if least <= low and high <= most and not missing.any():
            text = column.cast(pl.Int64, strict=False).cast(pl.String)
            moments = text.str.to_datetime(form, strict=False, time_unit="us")
            if moments.null_count() <= len(moments) // 100:
                return structs.replace(_moments(moments, zone), notes=(f"times read as {name}",))
    if low >= 10**8 and not missing.any():  # all of one sign, and none of them a date: unambiguous
        first, last = (int(np.searchsorted(_EDGES, each, side="right")) for each in (low, high))
        if first == last:
            note = (f"time stamps read as {_UNITS[first]}",)
            return _scaled(whole, _UNIT_NS[_UNITS[first]], missing, {}, note)
    size = np.abs(whole)
    if len(size) and np.mean((size >= 19_000_101) & (size <= 22_001_231)) > 0.5:
        text = column.cast(pl.Int64, strict=False).cast(pl.String)
        moments = text.str.to_datetime("%Y%m%d", strict=False, time_unit="us")
        found = _moments(moments, zone)
        return Stamps(found.time_ns, found.dropped, found.noticed, ("dates read as YYYYMMDD",))
    return _sized(whole, size, missing)


def _sized(whole: Ints, size: Ints, missing: Bools) -> Stamps:
    """Distinguish s, ms, us and ns row by row."""
    small = missing | (size < 10**8)
    low, high = _ends(size)
    first, last = (int(np.searchsorted(_EDGES, each, side="right")) for each in (low, high))
    if first == last:
        note = f"time stamps read as {_UNITS[first]}"
        return _scaled(whole, _UNIT_NS[_UNITS[first]], small, {}, (note,))
    which = np.searchsorted(_EDGES, size, side="right")
    counts = np.bincount(which[~small], minlength=4)
    usual = int(np.argmax(counts))
    factors = np.array([_UNIT_NS[each] for each in _UNITS], dtype=np.int64)[which]
    mixed = (which != usual) & ~small
    names = ", ".join(_UNITS[j] for j in np.flatnonzero(counts))
    noticed = {"mixed_units": mixed} if mixed.any() else {}
    return _scaled(whole, factors, small, noticed, (f"time stamps read as {names}",))


def _mostly_seconds(values: npt.NDArray[np.float64]) -> bool:
    size = np.abs(values)
    return bool(np.mean((size >= 1e8) & (size < 1e11)) > 0.5)


def _nulls(column: pl.Series) -> Bools:
    if column.null_count() == 0:
        return np.zeros(len(column), np.bool_)
    return np.asarray(column.is_null().to_numpy(), np.bool_)


def _ends(values: Ints) -> tuple[int, int]:
    """Return the least and the greatest value; zeros if there are none."""
    return (int(values.min()), int(values.max())) if len(values) else (0, 0)


def _within(whole: Ints, factor: int) -> bool:
    """Return whether all stamps of one unit lie in the valid years."""
    low, high = _ends(whole)
    return low >= _FIRST_NS // factor and high < _LAST_NS // factor


def _scaled(
    whole: Ints,
    factors: Ints | int,
    missing: Bools,
    noticed: dict[str, Bools],
    notes: tuple[str, ...],
) -> Stamps:
    if isinstance(factors, int) and not missing.any() and _within(whole, factors):
        times: Ints = whole if factors == 1 else np.multiply(whole, factors, dtype=np.int64)
        return Stamps(times, {}, noticed, notes)
    bad = missing | (whole < _FIRST_NS // factors) | (whole >= _LAST_NS // factors)
    time_ns: Ints = np.where(bad, 0, whole) * np.int64(factors)
    return Stamps(time_ns, {"bad_stamp": bad} if bad.any() else {}, noticed, notes)


def _moments(column: pl.Series, zone: str) -> Stamps:
    """Convert date-times; those without a zone are in `zone`."""
    import polars as pl

    kind = column.dtype
    assert isinstance(kind, pl.Datetime)
    missing = _nulls(column)
    dropped: dict[str, Bools] = {}
    factor = _UNIT_NS[kind.time_unit]
    wall: Ints | None = None
    if kind.time_zone is None and zone != "UTC":
        wall = column.cast(pl.Int64).fill_null(0).to_numpy(writable=True) * factor
    if kind.time_zone is None and zone != "UTC":
        column = column.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        lost = column.is_null().to_numpy() & ~missing
        if lost.any():
            dropped["local_time"] = lost
    whole = column.cast(pl.Int64).fill_null(0).to_numpy(writable=True)
    if not dropped and not missing.any() and _within(whole, factor):
        times: Ints = whole if factor == 1 else whole * factor
        wall = times if wall is None and kind.time_zone is None else wall
        return Stamps(times, dropped, wall_ns=wall)
    bad = missing | (whole < _FIRST_NS // factor) | (whole >= _LAST_NS // factor)
    if bad.any():
        dropped["bad_stamp"] = bad
        whole = np.where(bad, 0, whole)
    whole = whole * factor
    return Stamps(
        whole, dropped, wall_ns=whole if wall is None and kind.time_zone is None else wall
    )


def _texts(text: pl.Series, zone: str | None, where: str) -> Stamps:
    """Parse ISO text and similar formats, each row with its own offset if it has one."""
    import polars as pl

    parts = text.to_frame("t").select(
        mark=pl.col("t").str.extract(_OFFSET, 1),
        offset=pl.col("t").str.extract(_OFFSET, 2),
        plain=pl.col("t")
        .str.replace(r"(?i)(\d{2}:\d{2}(?:[.,]\d+)?)\s*(?:Z|UTC|GMT)?([+-]\d{2}:?(\d{2})?)?$", "$1")
        .str.replace("T", " ", literal=True)
        .str.replace(",", ".", literal=True),
    )
    naive = _first_format(parts["plain"])
    offset = parts["offset"].str.replace(":", "", literal=True).str.pad_end(5, "0")
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(3, 2).cast(pl.Int64)
    signed = (
        minutes * pl.select(pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    )
    aware = parts["mark"].is_not_null() | parts["offset"].is_not_null()
    shift = signed.fill_null(0).to_numpy() * 60_000_000_000
    has_zone = aware.to_numpy()
    known = "UTC" if bool(has_zone.all()) else _zone_of(naive.filter(~aware), zone, where)
    local = _moments(naive, known)
    plain = _moments(naive, "UTC")
    time_ns = np.where(has_zone, plain.time_ns - shift, local.time_ns)
    dropped = {
        kind: mask & ~has_zone if kind == "local_time" else mask
        for kind, mask in local.dropped.items()
    }
    noticed: dict[str, Bools] = {}
    usual = bool(np.mean(has_zone) >= 0.5) if len(has_zone) else True
    odd = has_zone != usual
    if usual and has_zone.any():
        values, counts = np.unique(shift[has_zone], return_counts=True)
        if not _is_daylight_saving(values):
            odd = odd | (has_zone & (shift != values[np.argmax(counts)]))
    if odd.any():
        noticed["mixed_zones"] = odd
    wall = None if has_zone.any() else plain.time_ns
    return Stamps(time_ns, {k: m for k, m in dropped.items() if m.any()}, noticed, wall_ns=wall)


def _is_daylight_saving(offsets: Ints) -> bool:
    """Return whether two offsets are an hour apart, like one zone in summer and winter."""
    return len(offsets) <= 2 and int(offsets.max() - offsets.min()) <= 3_600_000_000_000


def _first_format(plain: pl.Series) -> pl.Series:
    """Parse with each known format in turn; for each row the first that reads it is used."""
    import polars as pl

    times = pl.Series("t", [None] * len(plain), dtype=pl.Datetime("ns"))
    for form in _TEXT_FORMATS:
        todo = times.is_null() & plain.is_not_null()
        if not todo.any():
            break
        parsed = plain.str.to_datetime(form, strict=False, time_unit="ns")
        times = pl.select(pl.coalesce(times, parsed)).to_series()
    return times
