"""By what data are recognised again: what each month holds, or its asset and month.

Another start, bar length, name, path or frame of the same prices has the same daily closes. Another
venue's prices of the same asset have the same assets and months. The same rows under another name,
read with another stamp, time zone or order of columns, have a stretch of a column in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from septet._data.bars import BarTable, Floats, Ints

__all__ = ["Month", "asset_of", "months_of", "months_of_closes"]

Hashes: TypeAlias = npt.NDArray[np.uint64]
_DAY_NS: Final = 86_400 * 10**9
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST: Final = np.uint64(2**64 - 1)
_DIGITS: Final = 5
"""Significant digits of a close: fewer than two feeds of one venue round differently."""
_WINDOW: Final = 12
"""Bars whose values in a row are one stretch of a column."""
_LEAST_BARS: Final = 128
_DAYS: Final = 2
"""Days in the middle of a month, and at least so many bars, of which stretches are taken."""
_FEWEST_VALUES: Final = 16
"""Values of a column in a month that differ by their hash, of 64: with fewer its stretches may be
those of another market, such as of prices that hardly move."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """What a month of one symbol is recognised by; a month has several of them.

    `closes` names its daily closes, or a stretch of one of its columns: 16 hexadecimal digits.
    `asset` names what was traded, and when: a text such as ``BTC:2023-05``.
    """

    closes: str
    asset: str


def asset_of(symbol: str) -> str:
    """Return the base asset of a symbol, in capitals: BTC of ``BTC/USDT:USDT``."""
    return symbol.partition("/")[0].partition(":")[0].upper()


def months_of(bars: Mapping[str, BarTable], start_ns: int, end_ns: int) -> tuple[Month, ...]:
    """Return the months of all symbols with bars known from `start_ns` to `end_ns` (UTC ns)."""
    found: list[Month] = []
    for symbol, table in bars.items():
        kept = (table.known_ns >= start_ns) & (table.known_ns <= end_ns)
        first, last = (int(kept.argmax()), int(kept.sum())) if kept.any() else (0, 0)
        part = slice(first, first + last)  # bars are in order of time
        columns = (table.open, table.high, table.low, table.close, table.volume)
        found += months_of_closes(
            symbol, table.known_ns[part], table.close[part], [each[part] for each in columns]
        )
    return tuple(sorted(set(found)))


def months_of_closes(
    symbol: str, known_ns: Ints, closes: Floats, columns: Sequence[Floats] = ()
) -> Iterable[Month]:
    """Yield what the months of closes are recognised by, known at UTC nanoseconds in order.

    The close of a day is the last one known in it; a close known at midnight is of the day before.

    Parameters
    ----------
    columns
        Columns of the same bars, whose stretches are yielded too.
    """
    if not len(known_ns):
        return
    days = (known_ns - 1) // _DAY_NS
    last = np.append(np.flatnonzero(np.diff(days)), len(days) - 1)
    dates = days[last].astype("datetime64[D]")
    of_month = dates.astype("datetime64[M]")
    assets, ends = [], []
    for month in np.unique(of_month):
        mine = of_month == month
        texts = [
            f"{day}={close:.{_DIGITS}g}"
            for day, close in zip(dates[mine], closes[last][mine], strict=True)
        ]
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        assets.append(f"{asset_of(symbol)}:{month}")
        ends.append(int(last[mine][-1]) + 1)
        yield Month(digest, assets[-1])
    for place, digest in _stretches(columns, ends):
        yield Month(digest, assets[place])


def _stretches(columns: Sequence[Floats], ends: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield digests of a stretch of each column in each month, with the place of the month.

    Of the digests of all stretches of `_WINDOW` bars in a month the least is taken: a shift by some
    bars makes it another one only if it stands where the month begins or ends. Values count to the
    last bit, in their order. Columns have no names here: whichever a file calls the close.
    """
    if not len(columns):
        return
    spans = []
    for begin, end in zip((0, *ends[:-1]), ends, strict=True):
        most = max(_LEAST_BARS, _DAYS * (end - begin) // 31)
        spare = max(0, end - begin - most) // 2
        spans.append((begin + spare, min(end, begin + spare + most)))
    sizes = np.array([end - begin for begin, end in spans])
    kept = np.flatnonzero(sizes > _WINDOW + 1)
    if not len(kept):
        return
    values = np.array(
        [np.concatenate([each[slice(*spans[place])] for place in kept]) for each in columns],
        dtype=np.float64,
    )
    firsts = np.concatenate([[0], np.cumsum(sizes[kept])[:-1]])
    own = _mixed(values.view(np.uint64))
    following = np.roll(own, -1, axis=1) * _ODD
    total = np.cumsum(_mixed(own + following), axis=1)
    sums = np.full_like(total, _MOST)
    sums[:, _WINDOW:] = _mixed(total[:, _WINDOW:] - total[:, :-_WINDOW])
    for first in firsts:  # stretches that begin in the month before, or end in the next one
        sums[:, first : first + _WINDOW] = _MOST
    sums[:, firsts[1:] - 1] = _MOST
    sums[:, -1] = _MOST
    least = np.minimum.reduceat(sums, firsts, axis=1)
    bins = np.bitwise_or.reduceat(np.uint64(1) << (own >> np.uint64(58)), firsts, axis=1)
    for digests, filled in zip(least, bins, strict=True):
        for place, digest, bits in zip(kept, digests, filled, strict=True):
            if int(bits).bit_count() >= _FEWEST_VALUES:
                yield int(place), f"{int(digest):016x}"


def _mixed(numbers: Hashes) -> Hashes:
    """Spread every bit of numbers over all bits (a step of SplitMix64)."""
    spread = (numbers ^ (numbers >> np.uint64(30))) * _ODD
    return spread ^ (spread >> np.uint64(27))
