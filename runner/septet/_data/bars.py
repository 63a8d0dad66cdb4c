"""Validated market data for the rest of septet: owned, contiguous, writable arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "Bar", "BarTable", "Finding", "Floats", "Instrument", "Ints", "MarketData", "SeriesTable",
    "no_bars",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of defect found in one series, how it was handled, and its first occurrence."""

    source: str
    symbol: str
    kind: str
    policy: str
    count: int
    examples: tuple[str, ...] = ()
    message: str = ""


class Bar(msgspec.Struct, frozen=True):
    """One valid bar, known at `known_ns`; units as in `BarTable`."""

    symbol: str
    open_ns: int
    known_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class BarTable:
    """The valid bars of one symbol, in order, without gaps filled in.

    All arrays have shape (n,), C-contiguous, owned and writable. `open_ns` opens the bar,
    `known_ns` is its close; `session` numbers the trading session (UTC days since the epoch for
    24x7); prices are in the quote currency, `volume` in the base.
    """

    symbol: str
    bar_ns: int
    open_ns: Ints
    known_ns: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    session: Ints
    filled: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.open_ns)


def no_bars(symbol: str, bar_ns: int) -> BarTable:
    """Return the table of a symbol without bars."""

    def times() -> Ints:
        return np.zeros(0, np.int64)

    def prices() -> Floats:
        return np.zeros(0)

    return BarTable(
        symbol, bar_ns, times(), times(), prices(), prices(), prices(), prices(), prices(), times()
    )


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """An outside series: `value[j]` is known from `known_ns[j]`, for at most `max_age_ns`.

    `stamp_ns` and `known_ns` are int64 (UTC ns), `value` is float64, all of shape (n,); `known_ns`
    never falls. `max_age_ns` None means that a value stays valid until the next one.
    """

    name: str
    stamp_ns: Ints
    known_ns: Ints
    value: Floats
    max_age_ns: int | None = None
    vintage: str = "unknown"


@dataclass(frozen=True, slots=True)
class Instrument:
    """The trading rules of a symbol: quantities are whole `lot`s, prices whole `tick`s (0: none).

    `lot`, `precision` (the smallest unit of a balance), `min_quantity` and `max_quantity` (bounds
    of one order, 0: none; the second at a live venue alone) are in the base currency, `tick` and
    `min_notional` in the quote currency.
    """

    symbol: str
    lot: float = 1e-8
    tick: float = 0.0
    min_notional: float = 0.0
    precision: float = 1e-8
    min_quantity: float = 0.0
    max_quantity: float = 0.0


@dataclass(frozen=True, slots=True)
class MarketData:
    """All data of a run: bars by symbol in universe order, series by name, findings.

    `calendar` is the calendar of most symbols, `calendars` that of each; `sources` states the
    origin of bars (by symbol) and series (by name).
    """

    symbols: tuple[str, ...]
    bar_ns: int
    bars: Mapping[str, BarTable]
    series: Mapping[str, SeriesTable] = field(default_factory=dict)
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    calendar: str = "24x7"
    sources: Mapping[str, str] = field(default_factory=dict)
    calendars: Mapping[str, str] = field(default_factory=dict)
