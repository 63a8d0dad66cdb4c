"""One description of a strategy and its market, read by the core and by the reference alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DAY", "HOUR", "START", "Bars", "Settings", "made_bars", "walk"]

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
START = 1_609_459_200_000_000_000  # 2021-01-01, a Friday
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What a strategy file sets about trading; every field stands for a key of the file."""

    symbols: tuple[str, ...] = ("AAA/USDT",)
    capital: float = 10_000.0
    spot: bool = True
    maker: float = 0.0005
    taker: float = 0.001
    received: bool = False
    slippage: float = 0.0005
    participation: float | None = None
    latency: int = 0
    time_in_force: int = 1
    order: str = "market"
    offset: float = 0.0
    slack: float = 0.001
    lot: float = 1e-8
    tick: float = 0.0
    min_notional: float = 0.0
    sizing: str = "fixed_fraction"
    amount: float = 1.0
    kelly_max: float = 0.5
    kelly_window: int = 12
    kelly_least: int = 2
    limits: Mapping[str, Any] = field(default_factory=dict)
    stops: Mapping[str, Any] = field(default_factory=dict)
    halts: Mapping[str, Any] = field(default_factory=dict)
    model: bool = False
    threshold: float = 0.1
    long_back: int = 1
    exit_back: int = 2
    short_back: int = 0
    min_interval: int = 1
    opposite: bool = True
    after: int | None = None
    below: float | None = None
    reentry: str | int = "rearm"
    pro_rata: bool = False
    max_positions: int | None = None
    split: bool = False
    band: float | None = None
    cash_buffer: float = 0.0
    leverage: float = 1.0
    maintenance: float = 0.01
    liquidation_fee: float = 0.005
    funding: float = 0.0
    funding_every: int = 8 * HOUR


@dataclass(frozen=True, repr=False)
class Bars:
    """The bars of one symbol as plain arrays; `open_ns` may leave out hours."""

    open_ns: npt.NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    made_up: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.open_ns)

    def head(self, until_ns: int) -> Bars:
        """Return the bars known at a time."""
        n = int(np.searchsorted(self.open_ns + HOUR, until_ns, side="right"))
        made_up = None if self.made_up is None else self.made_up[:n]
        prices = (self.open, self.high, self.low, self.close, self.volume)
        return made_bars(self.open_ns[:n], [each[:n].copy() for each in prices], made_up)


def made_bars(open_ns: Any, columns: Sequence[Floats], made_up: Any = None) -> Bars:
    """Return bars from their columns in the order of the fields."""
    opened, high, low, close, volume = columns
    return Bars(open_ns, opened, high, low, close, volume, made_up)


def walk(
    seed: int,
    count: int = 120,
    *,
    step: float = 0.01,
    jump: float = 0.05,
    holes: float = 0.05,
    long_hole: bool = False,
    quiet: float = 0.0,
    made_up: float = 0.0,
    price: float = 100.0,
    tick: float = 0.0,
) -> Bars:
    """Return a rough market: gaps between bars, extreme moves, missing bars, no volume."""
    draw = np.random.default_rng(seed)
    moves = draw.normal(0.0, step, count) * np.where(draw.random(count) < jump, 8.0, 1.0)
    close = price * np.exp(np.cumsum(moves))
    before = np.concatenate(([price], close[:-1]))
    leaps = np.where(draw.random(count) < jump, 6.0, 0.3)
    opened = before * np.exp(draw.normal(0.0, step, count) * leaps)
    spread = np.abs(draw.normal(0.0, step, (2, count))) * np.where(draw.random(count) < jump, 5, 1)
    high = np.maximum(opened, close) * np.exp(spread[0])
    low = np.minimum(opened, close) * np.exp(-spread[1])
    if tick:
        opened, high, low, close = (np.round(a / tick) * tick for a in (opened, high, low, close))
    volume = np.exp(draw.normal(4.0, 1.5, count))
    volume[draw.random(count) < quiet] = 0.0
    keep = draw.random(count) >= holes
    if long_hole and count > 80:
        keep[40:70] = False
    keep[:6] = True
    open_ns = START + HOUR * np.arange(count, dtype=np.int64)
    filled = draw.random(count) < made_up
    filled[:6] = False
    for i in np.flatnonzero(filled):  # a made-up bar repeats the close before it, without volume
        opened[i] = high[i] = low[i] = close[i] = close[i - 1]
        volume[i] = 0.0
    columns = [each[keep] for each in (opened, high, low, close, volume)]
    return made_bars(open_ns[keep], columns, filled[keep] if made_up else None)
