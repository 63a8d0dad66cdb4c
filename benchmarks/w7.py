"""W7, a portfolio: its bars, the weights that are asked for, and what must come of them.

500 symbols with 5,040 daily bars each. Every week the 50 of the best 126-day return are held, by
the inverse of their 60-day volatility (sample deviation of log returns), 98 % of equity together.
Bars open at the close before, nothing is charged and any fraction may be held, so engines that fill
at the close of the decision and at the next open trade the same: every order can be compared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Portfolio", "Truth", "difference", "exact", "make_market", "write_strategy"]

DAY_NS = 86_400_000_000_000
START_NS = 1_136_073_600_000_000_000  # 2006-01-01
CLOSE_ENOUGH = 1e-6


@dataclass(frozen=True)
class Portfolio:
    """What is held, and how the bars are made up."""

    symbols: int = 500
    times: int = 5_040
    held: int = 50
    momentum: int = 126
    volatility: int = 60
    gross: float = 0.98
    seed: int = 7

    @property
    def document(self) -> dict[str, Any]:
        """As `setup.json` has it."""
        return asdict(self)


@dataclass(frozen=True)
class Truth:
    """Orders as rows of (bar of the decision, symbol, signed quantity), and the last equity."""

    orders: Any
    final_equity: float


def make_market(sizes: Portfolio) -> dict[str, Any]:
    """Random walks with a common part, of unlike drift and volatility: arrays (times, symbols)."""
    draw = np.random.default_rng(sizes.seed)
    shape = (sizes.times, sizes.symbols)
    moves = np.sqrt(0.3) * draw.standard_normal((sizes.times, 1))
    moves = moves + np.sqrt(0.7) * draw.standard_normal(shape)
    scale = draw.uniform(0.2, 0.6, sizes.symbols) / np.sqrt(365.0)
    drift = draw.uniform(0.0, 0.15, sizes.symbols) / 365.0 - 0.5 * scale**2
    close = 100.0 * np.exp(np.cumsum(drift + scale * moves, axis=0))
    opened = np.vstack((np.full((1, sizes.symbols), 100.0), close[:-1]))
    return {
        "timestamp": START_NS + DAY_NS * np.arange(sizes.times, dtype=np.int64),
        "open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close),
        "close": close, "volume": np.full(shape, 1e6),
    }  # fmt: skip


def _names(count: int) -> list[str]:
    return [f"S{number:03d}/USDT" for number in range(count)]


def write_strategy(folder: Path, market: dict[str, Any], sizes: Portfolio, capital: float) -> Path:
    """Write the bars as Parquet, a symbol after the other, and the strategy over them."""
    import polars as pl

    names = _names(sizes.symbols)
    columns = {name: market[name].T.ravel() for name in ("open", "high", "low", "close", "volume")}
    stamps = np.tile(market["timestamp"], sizes.symbols)
    symbols = pl.Series(names).repeat_by(sizes.times).explode()
    pl.DataFrame({"timestamp": stamps, "symbol": symbols, **columns}).write_parquet(
        folder / "w7.parquet"
    )
    path = folder / "w7.yaml"
    path.write_text(
        f"version: 1\nname: w7\naccount: {{capital: {capital:.0f}}}\n"
        f"universe: {{symbols: [{', '.join(names)}], bar: 1d}}\n"
        "data: {candles: {use: parquet, path: w7.parquet}}\n"
        f"features:\n  momentum: {{use: roc, period: {sizes.momentum}}}\n"
        f"  risk: {{use: volatility, period: {sizes.volatility}}}\n"
        f"portfolio:\n  use: top\n  by: momentum\n  long: {sizes.held}\n"
        f"  weight: {{inverse_volatility: risk}}\n  gross: {100 * sizes.gross:g}%\n"
        "  rebalance: {every: 1w on mon 00:00}\n"
        "risk: {limits: {position: 100%, gross_exposure: 100%}}\n"
        "execution: {simulation: {fee: 0bps, slippage: 0bps}}\n",
        encoding="utf-8",
    )
    return path


def _deviation(values: Any) -> float:
    mean = float(sum(values)) / len(values)
    return float(np.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)))


def exact(market: dict[str, Any], sizes: Portfolio, capital: float) -> Truth:
    """A plain loop over the weeks, that shares no code with any contestant."""
    close, opened = market["close"], market["open"]
    cash, units = capital, np.zeros(sizes.symbols)
    orders = []
    for row in range(sizes.momentum, sizes.times - 1):
        known_ns = int(market["timestamp"][row]) + DAY_NS
        if known_ns // DAY_NS % 7 != 4:  # 1970 began on a Thursday
            continue
        growth = close[row] / close[row - sizes.momentum]
        best = sorted(range(sizes.symbols), key=lambda k: (-growth[k], k))[: sizes.held]
        first = row - sizes.volatility
        inverse = {
            k: 1.0 / _deviation(np.log(close[first + 1 : row + 1, k] / close[first:row, k]))
            for k in best
        }
        equity = cash + float(units @ close[row])
        target = np.zeros(sizes.symbols)
        for k, each in inverse.items():
            target[k] = sizes.gross * each / sum(inverse.values()) * equity / close[row, k]
        for k in np.flatnonzero(target - units).tolist():
            change = target[k] - units[k]
            orders.append((row, k, change))
            cash -= change * opened[row + 1, k]
        units = target
    return Truth(np.array(orders).reshape(-1, 3), cash + float(units @ close[-1]))


def difference(found: Any, final_equity: float, truth: Truth) -> str:
    """Compare orders with the exact ones: the same to a millionth of each, or how they differ."""
    keys = [{(int(row), int(k)): size for row, k, size in each} for each in (found, truth.orders)]
    ours, theirs = keys
    both = ours.keys() & theirs.keys()
    largest = max(abs(each) for each in theirs.values()) if theirs else 0.0
    close = sum(
        abs(ours[key] - theirs[key]) <= CLOSE_ENOUGH * (abs(theirs[key]) + 0.01 * largest)
        for key in both
    )
    gap = final_equity / truth.final_equity - 1.0
    if close == len(theirs) == len(ours) and abs(gap) <= CLOSE_ENOUGH:
        return f"the same {len(theirs):,}"
    more = len(ours) - len(both)
    return f"{close:,} of {len(theirs):,}, and {more:,} others; final equity {gap:+.2%}"
