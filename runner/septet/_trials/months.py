"""By what data are recognised again: the daily closes of each month, or its asset and month.

Another start, bar length, name, path or frame of the same prices has the same months. Another
venue's prices of the same asset have the same assets and months.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from septet._data.bars import BarTable, Floats, Ints

__all__ = ["Month", "asset_of", "months_of", "months_of_closes"]

_DAY_NS: Final = 86_400 * 10**9
_DIGITS: Final = 5
"""Significant digits of a close: fewer than two feeds of one venue round differently."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of one symbol: `closes` names its daily closes, `asset` what was traded, and when.

    Both are 16 hexadecimal digits and a text such as ``BTC:2023-05``.
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
        found += months_of_closes(symbol, table.known_ns[kept], table.close[kept])
    return tuple(sorted(set(found)))


def months_of_closes(symbol: str, known_ns: Ints, closes: Floats) -> Iterable[Month]:
    """Yield the months of closes in order of time, known at UTC nanoseconds, each with its days.

    The close of a day is the last one known in it; a close known at midnight is of the day before.
    """
    if not len(known_ns):
        return
    days = (known_ns - 1) // _DAY_NS
    last = np.append(np.flatnonzero(np.diff(days)), len(days) - 1)
    dates = days[last].astype("datetime64[D]")
    of_month = dates.astype("datetime64[M]")
    for month in np.unique(of_month):
        mine = of_month == month
        texts = [
            f"{day}={close:.{_DIGITS}g}"
            for day, close in zip(dates[mine], closes[last][mine], strict=True)
        ]
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        yield Month(digest, f"{asset_of(symbol)}:{month}")
