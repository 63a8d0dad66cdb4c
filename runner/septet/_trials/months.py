"""Identification of data: the content of each month, or its asset and month.

Another start, bar length, name, path or frame of the same prices has the same daily closes. Prices
of the same asset from another venue have the same assets and months. The same rows under another
name, read with another stamp, time zone or order of columns, have 12 consecutive values of a column
in common. A part of a month is identified by the daily closes of each block of five days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from septet._data.bars import BarTable, Floats, Ints

__all__ = ["Month", "asset_of", "months_of", "months_of_closes"]

Dates: TypeAlias = npt.NDArray[np.datetime64]
Hashes: TypeAlias = npt.NDArray[np.uint64]
_DAY_NS: Final = 86_400 * 10**9
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST: Final = np.uint64(2**64 - 1)
_DIGITS: Final = 5
"""Significant digits of a close: few enough that two feeds of one venue give the same number."""
_WINDOW: Final = 12
"""Bars with consecutive values of a column that are hashed together."""
_LEAST_BARS: Final = 128
_DAYS: Final = 2
"""Days in the middle of a month, with at least this many bars, in which such values are hashed."""
_BLOCK_DAYS: Final = 5
_BLOCKS: Final = 6
_FEWEST_CLOSES: Final = 3
_FEWEST_VALUES: Final = 16
"""Distinct values of a column in a month, counted by 64 hashes. With fewer, for example if prices
hardly move, its consecutive values may equal those of another market."""


class Month(msgspec.Struct, frozen=True, order=True):
    """One identification of a month of one symbol; a month has several.

    `closes` is a digest of the daily closes, of the closes of five days, or of consecutive values
    of a column: 16 hexadecimal digits. `asset` is the asset and month, such as ``BTC:2023-05``.
    """

    closes: str
    asset: str


def asset_of(symbol: str) -> str:
    """Return the base asset of a symbol, in capitals: BTC of ``BTC/USDT:USDT``."""
    return symbol.partition("/")[0].partition(":")[0].upper()


def months_of(bars: Mapping[str, BarTable], start_ns: int, end_ns: int) -> tuple[Month, ...]:
    """Return the months of all symbols with bars known from `start_ns` to `end_ns` (UTC ns)."""
    months: list[Month] = []
    for symbol, table in bars.items():
        is_in_run = (table.known_ns >= start_ns) & (table.known_ns <= end_ns)
        first, last = (int(is_in_run.argmax()), int(is_in_run.sum())) if is_in_run.any() else (0, 0)
        part = slice(first, first + last)  # bars are in order of time
        columns = (table.open, table.high, table.low, table.close, table.volume)
        months += months_of_closes(
            symbol, table.known_ns[part], table.close[part], [each[part] for each in columns]
        )
    return tuple(sorted(set(months)))


def months_of_closes(
    symbol: str, known_ns: Ints, closes: Floats, columns: Sequence[Floats] = ()
) -> Iterable[Month]:
    """Yield the identifications of the months of closes known at UTC nanoseconds, in order.

    The close of a day is the last one known in it; a close known at midnight belongs to the day
    before.

    Parameters
    ----------
    columns
        Columns of the same bars, whose consecutive values are hashed too.
    """
    if not len(known_ns):
        return
    days = (known_ns - 1) // _DAY_NS
    last = np.append(np.flatnonzero(np.diff(days)), len(days) - 1)
    dates = days[last].astype("datetime64[D]")
    of_month = dates.astype("datetime64[M]")
    ended = int(days[-1]) - (int(known_ns[-1]) % _DAY_NS != 0)  # the last day may go on
    assets, ends = [], []
    for month in np.unique(of_month):
        of_this_month = of_month == month
        texts = [
            f"{day}={close:.{_DIGITS}g}"
            for day, close in zip(dates[of_this_month], closes[last][of_this_month], strict=True)
        ]
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        assets.append(f"{asset_of(symbol)}:{month}")
        ends.append(int(last[of_this_month][-1]) + 1)
        yield Month(digest, assets[-1])
        first_day, end = (
            int(each.astype("datetime64[D]").astype(int)) for each in (month, month + 1)
        )
        numbers = (days[last][of_this_month] - first_day).tolist()
        for part in _blocks(
            texts, numbers, int(days[0]) - first_day, ended - first_day, end - first_day
        ):
            yield Month(part, assets[-1])
    months = np.unique(of_month)
    for middle, digest in _stretches(columns, _middles(known_ns, ends, months)):
        yield Month(digest, assets[middle])


def _blocks(
    texts: Sequence[str], days: Sequence[int], first: int, last: int, length: int
) -> Iterator[str]:
    """Yield digests of the daily closes of each complete block of days of a month.

    Blocks begin at the 1st, 6th, 11th, 16th, 21st and 26th; `days`, `first` and `last` count from
    the first of the month, which has `length` days. A block needs three closes, at most two of them
    equal: closes of a price that hardly moves may occur in other markets.
    """
    parts: list[list[str]] = [[] for _ in range(_BLOCKS)]
    for text, day in zip(texts, days, strict=True):
        parts[min(day // _BLOCK_DAYS, _BLOCKS - 1)].append(text)
    for number, part in enumerate(parts):
        start = number * _BLOCK_DAYS
        end = length - 1 if number == _BLOCKS - 1 else start + _BLOCK_DAYS - 1
        if start < first or end > last or len(part) < _FEWEST_CLOSES:
            continue
        unlike = len({text.partition("=")[2] for text in part})
        if unlike >= max(_FEWEST_CLOSES, len(part) - 1):
            yield hashlib.sha256("\n".join(part).encode()).hexdigest()[:16]


def _middles(known_ns: Ints, ends: Sequence[int], months: Dates) -> list[tuple[int, int]]:
    """Return the bars in the middle of each month, as (begin, end).

    The first and last month may be incomplete: the times are then those of the complete month,
    assuming bars spaced as in the part that exists.
    """
    spans = []
    for number, (start, end) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
        count = end - start
        partly = number in (0, len(ends) - 1) and count > 1
        if partly:
            first, last = int(known_ns[start]), int(known_ns[end - 1])
            edges = np.array([months[number], months[number] + 1]).astype("datetime64[D]")
            since, until = (int(day) * _DAY_NS for day in edges.astype(np.int64))
            count = max(count, round((until - since) * (count - 1) / (last - first)))
        most = max(_LEAST_BARS, _DAYS * count // 31)
        spare = max(0, count - most) // 2
        span = start + spare, min(end, start + spare + most)
        if partly:
            sides = (since + each * (until - since) // count for each in (spare, spare + most))
            low, high = np.searchsorted(known_ns[start:end], list(sides), side="right")
            span = start + int(low), start + int(high)
        spans.append(span)
    return spans


def _stretches(
    columns: Sequence[Floats], spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, str]]:
    """Yield digests of consecutive values of each column in each span of bars, with its place.

    Of the digests of all `_WINDOW` consecutive bars in a month the smallest is taken: a shift by
    some bars changes it only if these bars are at the beginning or end of the month. Values are
    compared to the last bit, in order. Columns are not named, since files name the close
    differently.
    """
    if not len(columns):
        return
    sizes = np.array([end - start for start, end in spans])
    long_enough = np.flatnonzero(sizes > _WINDOW + 1)
    if not len(long_enough):
        return
    values = np.array(
        [
            np.concatenate([each[slice(*spans[int(row)])] for row in long_enough])
            for each in columns
        ],
        dtype=np.float64,
    )
    firsts = np.concatenate([[0], np.cumsum(sizes[long_enough])[:-1]])
    mixed = _mixed(values.view(np.uint64))
    following = np.roll(mixed, -1, axis=1) * _ODD
    total = np.cumsum(_mixed(mixed + following), axis=1)
    sums = np.full_like(total, _MOST)
    sums[:, _WINDOW:] = _mixed(total[:, _WINDOW:] - total[:, :-_WINDOW])
    for first in firsts:  # stretches that begin in the month before, or end in the next one
        sums[:, first : first + _WINDOW] = _MOST
    sums[:, firsts[1:] - 1] = _MOST
    sums[:, -1] = _MOST
    least = np.minimum.reduceat(sums, firsts, axis=1)
    bins = np.bitwise_or.reduceat(np.uint64(1) << (mixed >> np.uint64(58)), firsts, axis=1)
    for digests, filled in zip(least, bins, strict=True):
        for row, digest, bits in zip(long_enough, digests, filled, strict=True):
            if int(bits).bit_count() >= _FEWEST_VALUES:
                yield int(row), f"{int(digest):016x}"


def _mixed(numbers: Hashes) -> Hashes:
    """Mix the bits of numbers (one step of SplitMix64)."""
    spread = (numbers ^ (numbers >> np.uint64(30))) * _ODD
    return spread ^ (spread >> np.uint64(27))
