"""Synthetic bars from a seed, for tests and drills, with optional regimes, gaps and defects."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from septet.errors import DataError
from septet.plugin import Bars, Config, Fraction, SignedFraction
from septet.plugin.data import (
    Facts,
    LazyBars,
    RawBars,
    Request,
    StartTime,
    candles,
    format_duration,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DEFECTS", "LAST_NS", "Synthetic", "SyntheticConfig", "inject", "w1_bars", "walk_bars"]

Floats = NDArray[np.float64]
Columns = dict[str, Any]
_YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
_MINUTE_NS: Final = 60_000_000_000
_W1_BARS: Final = 1_000_000
_W1_START_NS: Final = 1_577_836_800_000_000_000
LAST_NS: Final = 5_049_129_600_000_000_000
"""The end of 2129: later data is rejected for every source."""
_LEVELS: Final = np.array([0.5, 1.0, 2.0])
_TILTS: Final = np.array([1.0, 0.0, -1.0])
Defect = Literal[
    "duplicate", "conflict", "unordered", "gap", "off_grid", "not_finite", "bad_price",
    "high_below_low", "outside_range", "bad_volume", "zero_volume",
]  # fmt: skip


class SyntheticConfig(Config):
    """A seeded geometric random walk; `series: w1` is the benchmark walk of one million bars.

    `drift` and `volatility` are annual. `regimes` switches between low, normal and high volatility,
    each for `regime_bars` on average. `common` is the share of variance that all symbols have in
    common. `gaps` spans of up to `gap_bars` bars are missing. `defects` are inserted the given
    number of times, at positions that depend on the seed.
    """

    series: Literal["walk", "w1"] = "walk"
    """Random walk, or the benchmark walk of one million bars."""
    bars: Bars = 10_000
    """Number of bars."""
    start: StartTime = Field(default="2020-01-01")  # type: ignore[assignment]
    """Open of the first bar."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the random numbers."""
    price: float = Field(default=100.0, gt=0.0)
    """The price at which the walk starts."""
    drift: SignedFraction = 0.0
    """Mean annual return."""
    volatility: Fraction = 0.6
    """Annual standard deviation of log returns."""
    regimes: bool = False
    """Switch between low, normal and high volatility."""
    regime_bars: Bars = 500
    """Mean length of a regime, in bars."""
    common: Fraction = Field(default=0.0, le=1.0)
    """Share of variance that all symbols have in common."""
    gaps: int = Field(default=0, ge=0, le=10_000)
    """Number of missing spans of bars."""
    gap_bars: Bars = 5
    """Largest length of a missing span, in bars."""
    defects: dict[Defect, Annotated[int, Field(ge=0)]] = {}
    """Number of inserted defects of each kind."""


def w1_bars(count: int = _W1_BARS) -> Columns:
    """Return the first `count` bars of the benchmark series W1 (minutes from 2020-01-01).

    All one million bars are always drawn, so that a shorter series is a prefix of a longer one.
    """
    draw = np.random.default_rng(7)
    total = _W1_BARS
    close = 30_000.0 * np.exp(np.cumsum(draw.normal(0.0, 8e-4, total)))
    previous_close = np.empty(total)
    previous_close[0], previous_close[1:] = 30_000.0, close[:-1]
    opened = previous_close * np.exp(draw.normal(0.0, 5e-5, total))
    high = np.maximum(opened, close) * np.exp(np.abs(draw.normal(0.0, 3e-4, total)))
    low = np.minimum(opened, close) * np.exp(-np.abs(draw.normal(0.0, 3e-4, total)))
    volume = np.exp(draw.normal(3.0, 1.0, total))
    stamp = _W1_START_NS + _MINUTE_NS * np.arange(total, dtype=np.int64)
    columns = {
        "timestamp": stamp, "open": opened, "high": high, "low": low, "close": close,
        "volume": volume,
    }  # fmt: skip
    return {name: values[:count] for name, values in columns.items()}


def _streams(seed: int, symbol: str) -> list[np.random.Generator]:
    """Return one generator for each column, so that a longer series begins with the shorter one."""
    root = np.random.SeedSequence([seed, zlib.crc32(symbol.encode())])
    return [np.random.default_rng(child) for child in root.spawn(7)]


def _first_open(config: SyntheticConfig, bar_ns: int) -> int:
    """Return the open of the first bar; the last must end before the last accepted year."""
    start = -(-config.start // bar_ns) * bar_ns
    most = max(0, (LAST_NS - start) // bar_ns)
    if config.bars > most:
        raise DataError(
            f"{config.bars:,} bars of {format_duration(bar_ns)} from the start on end after the "
            f"year 2129, the last of any time stamp: at most {most:,} fit",
            hint=f"write bars: {most}, or an earlier start" if most else "write an earlier start",
            key="bars",
        )
    return start


def walk_bars(config: SyntheticConfig, symbol: str, bar_ns: int) -> Columns:
    """Return a random walk of `config.bars` bars for one symbol, without defects."""
    n = config.bars
    _first_open(config, bar_ns)  # before anything is drawn
    draws = _streams(config.seed, symbol)
    noise = draws[0].standard_normal(n)
    if config.common > 0.0:
        shared = np.random.default_rng([config.seed, 1]).standard_normal(n)
        noise = np.sqrt(config.common) * shared + np.sqrt(1.0 - config.common) * noise
    share = bar_ns / _YEAR_NS
    scale = np.full(n, config.volatility * np.sqrt(share))
    drift = np.full(n, config.drift * share)
    if config.regimes:
        number = np.cumsum(draws[1].random(n) < 1.0 / config.regime_bars)
        kind = draws[2].integers(0, len(_LEVELS), n + 1)[number]
        scale, drift = scale * _LEVELS[kind], drift + _TILTS[kind] * 0.5 * share
    steps = drift - 0.5 * scale**2 + scale * noise
    close = config.price * np.exp(np.cumsum(steps))
    previous_close = np.concatenate(([config.price], close[:-1]))
    opened = previous_close * np.exp(draws[3].standard_normal(n) * scale * 0.05)
    high = np.maximum(opened, close) * np.exp(np.abs(draws[4].standard_normal(n)) * scale * 0.4)
    low = np.minimum(opened, close) * np.exp(-np.abs(draws[5].standard_normal(n)) * scale * 0.4)
    volume = np.exp(draws[6].normal(3.0, 1.0, n)) * (scale / max(float(scale[0]), 1e-300))
    start = _first_open(config, bar_ns)
    stamp = start + bar_ns * np.arange(n, dtype=np.int64)
    return {
        "timestamp": stamp, "open": opened, "high": high, "low": low, "close": close,
        "volume": volume,
    }  # fmt: skip


def _rows(frame: pl.DataFrame, count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Return distinct inner rows, never adjacent, so that two defects never touch."""
    free = np.arange(2, frame.height - 2, 2)
    if count > len(free):
        raise DataError(f"{count} defects do not fit into {frame.height} bars")
    return np.sort(draw.choice(free, count, replace=False)).astype(np.int64)


def _set(name: str, change: Callable[[Columns, Any], Any]) -> Callable[..., pl.DataFrame]:
    def put(frame: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
        import polars as pl

        columns = {key: frame[key].to_numpy().copy() for key in frame.columns}
        columns[name][rows] = change(columns, rows)
        return frame.with_columns(pl.Series(name, columns[name]))

    return put


def _repeat(*, change: bool) -> Callable[..., pl.DataFrame]:
    def put(frame: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
        import polars as pl

        repeated = frame[rows]
        if change:
            repeated = repeated.with_columns(pl.col("volume") + 1.0)
        order = np.concatenate((np.arange(frame.height), rows))
        return pl.concat([frame, repeated])[np.argsort(order, kind="stable")]

    return put


def _swap(frame: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
    order = np.arange(frame.height)
    order[rows], order[rows + 1] = rows + 1, rows
    return frame[order]


def _remove(frame: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
    return frame[np.delete(np.arange(frame.height), rows)]


DEFECTS: Final[Mapping[str, Callable[..., pl.DataFrame]]] = {
    "duplicate": _repeat(change=False),
    "conflict": _repeat(change=True),
    "unordered": _swap,
    "gap": _remove,
    "off_grid": _set("timestamp", lambda c, r: c["timestamp"][r] + 7_000_000_000),
    "not_finite": _set("close", lambda c, r: np.nan),
    "bad_price": _set("low", lambda c, r: -c["low"][r]),
    "high_below_low": _set("high", lambda c, r: c["low"][r] * 0.5),
    "outside_range": _set("close", lambda c, r: c["high"][r] * 1.01),
    "bad_volume": _set("volume", lambda c, r: -1.0),
    "zero_volume": _set("volume", lambda c, r: 0.0),
}
"""Functions that insert a defect, by the kind of finding that they must cause."""


def inject(
    frame: pl.DataFrame, defects: Mapping[str, int], draw: np.random.Generator
) -> pl.DataFrame:
    """Insert defects into clean bars: each kind as often as given, never in adjacent rows."""
    kinds = [kind for kind in DEFECTS for _ in range(defects.get(kind, 0))]
    rows = _rows(frame, len(kinds), draw)
    draw.shuffle(rows)
    rows_by_kind: dict[str, list[int]] = {}
    for kind, row in zip(kinds, rows, strict=True):
        rows_by_kind.setdefault(kind, []).append(int(row))
    stamps = frame["timestamp"]
    marked = {kind: stamps[np.sort(np.array(at))] for kind, at in rows_by_kind.items()}
    for kind in sorted(rows_by_kind, key=lambda each: list(DEFECTS).index(each), reverse=True):
        at = np.flatnonzero(frame["timestamp"].is_in(marked[kind].implode()).to_numpy())
        frame = DEFECTS[kind](frame, at)
    return frame


@candles(SyntheticConfig)
class Synthetic:
    """Synthetic bars."""

    def __init__(self, config: SyntheticConfig) -> None:
        """Store the configuration."""
        self._config = config

    def read(self, request: Request) -> list[RawBars]:
        """Generate bars for every symbol."""
        return [self._make(symbol, request.bar_ns) for symbol in request.symbols]

    def scan(self, request: Request) -> list[LazyBars]:
        """Generate all bars at once and return them as lazy frames."""
        return [LazyBars(raw.symbol, raw.frame.lazy(), raw.facts) for raw in self.read(request)]

    def _make(self, symbol: str, bar_ns: int) -> RawBars:
        import polars as pl

        config = self._config
        if config.series == "w1":
            if bar_ns != _MINUTE_NS:
                raise DataError(
                    f"series w1 has bars of 1m, asked for {format_duration(bar_ns)}",
                    hint="write universe: {bar: 1m}",
                )
            frame = pl.DataFrame(w1_bars(min(config.bars, _W1_BARS)))
        else:
            frame = pl.DataFrame(walk_bars(config, symbol, bar_ns))
        draw = np.random.default_rng([config.seed, 2])
        if config.gaps:
            frame = self._cut_gaps(frame, draw)
        if config.defects:
            frame = inject(frame, dict(config.defects.items()), draw)
        origin = f"synthetic {config.series} seed {config.seed}"
        return RawBars(symbol, frame, Facts(origin, stamp="open", vintage="synthetic"))

    def _cut_gaps(self, frame: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
        starts = draw.choice(np.arange(1, frame.height - 1), self._config.gaps, replace=False)
        length = draw.integers(1, self._config.gap_bars + 1, len(starts))
        keep = np.ones(frame.height, dtype=np.bool_)
        for first, count in zip(starts, length, strict=True):
            keep[first : min(first + count, frame.height - 1)] = False
        return frame.filter(keep)
