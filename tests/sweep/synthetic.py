"""A plausible finished sweep from seeded random numbers: nothing in it comes from a market."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tests.sweep.blocks import Floats, blocks_of, moments

__all__ = ["PROBLEMS", "make_manifest", "make_table"]

DAYS_A_YEAR = 365.0
CAPITAL = 10_000.0
HOUR_NS = 3_600e9
PROBLEMS = (
    "features.slow.period: 'slow' must be longer than 'fast', was 20 and 20",
    "the account was empty on 2023-05-13: no order could be sized",
)
FIGURES = (
    "final_equity", "total_return", "sharpe", "sortino", "max_drawdown", "win_rate",
    "profit_factor", "fees", "funding", "liquidation", "slippage", "turnover", "exposure",
    "excess_sharpe",
)  # fmt: skip


def _returns(grid: Floats, days: int, edge: float, draw: np.random.Generator) -> Floats:
    """Daily returns that are alike where the keys are, with an edge on one plain of them."""
    low, high = grid.min(axis=0), grid.max(axis=0)
    unit = (grid - low) / np.where(high > low, high - low, 1.0)
    waves = draw.normal(0.0, 1.5, (unit.shape[1], 12))
    loads = np.cos(unit @ waves + draw.uniform(0.0, 6.3, 12)) / math.sqrt(12)
    common = loads @ draw.normal(0.0, 0.012, (12, days))
    far = ((unit - 0.6) ** 2).sum(axis=1)
    hill = edge * np.exp(-far / 0.05) - 0.0002
    return common + draw.normal(0.0, 0.004, common.shape) + hill[:, None]


def _row(returns: Floats, draw: np.random.Generator) -> dict[str, Any]:
    equity = CAPITAL * np.cumprod(1.0 + returns)
    peak = np.maximum(np.maximum.accumulate(equity), CAPITAL)
    daily, skew, kurtosis = moments(returns)
    falls = np.minimum(returns, 0.0)
    below = math.sqrt(float(falls @ falls) / (len(returns) - 1))
    trades = int(draw.integers(40, 400))
    return {
        "trades": trades,
        "final_equity": float(equity[-1]),
        "total_return": float(equity[-1]) / CAPITAL - 1.0,
        "sharpe": daily * math.sqrt(DAYS_A_YEAR),
        "sortino": float(returns.mean()) / below * math.sqrt(DAYS_A_YEAR),
        "max_drawdown": float(np.max(1.0 - equity / peak)),
        "win_rate": float(np.clip(0.48 + daily, 0.0, 1.0)),
        "profit_factor": math.exp(6.0 * daily),
        "fees": trades * 4.1,
        "funding": trades * 0.3,
        "liquidation": 0.0,
        "slippage": trades * 2.2,
        "turnover": trades / 3.0,
        "exposure": float(draw.uniform(0.2, 0.8)),
        "excess_sharpe": None,
        "days": len(returns),
        "skew": skew,
        "kurtosis": kurtosis,
    }


def make_table(
    over: Mapping[str, Sequence[float]],
    *,
    seed: int = 7,
    days: int = 730,
    edge: float = 0.0008,
    failed: int = 0,
    idle: int = 0,
    pruned: int = 0,
    drawn: int | None = None,
) -> pl.DataFrame:
    """A table without `psr` and `dsr`: a grid, or `drawn` settings between each key's ends."""
    draw = np.random.default_rng(seed)
    if drawn is None:
        grid = np.array(list(itertools.product(*over.values())), dtype=np.float64)
    else:
        ends = np.array([[values[0], values[-1]] for values in over.values()])
        # Whole bars and hours are drawn whole.
        step = np.where(ends[:, 1] > 1e9, HOUR_NS, np.where(ends[:, 1] > 2, 1.0, 1e-6))
        grid = np.round(draw.uniform(ends[:, 0], ends[:, 1], (drawn, len(over))) / step) * step
    returns = _returns(grid, days, edge, draw)
    sums, squares, _ = blocks_of(returns)
    odd = draw.permutation(len(grid)).tolist()
    lost = dict.fromkeys(odd[:failed], "failed")
    lost |= dict.fromkeys(odd[failed : failed + pruned], "pruned")
    still = set(odd[failed + pruned : failed + pruned + idle])
    rows = []
    for number, values in enumerate(grid.tolist()):
        status = lost.get(number, "done")
        row: dict[str, Any] = {"setting": number, **dict(zip(over, values, strict=True))}
        row |= {"status": status, "problem": None, "bars": None, "trades": None}
        row |= dict.fromkeys((*FIGURES, "days", "skew", "kurtosis", "block_sums", "block_squares"))
        if status == "failed":
            row["problem"] = PROBLEMS[number % 7 == 0]
        elif status == "done":
            row |= {"bars": days * 24, **_row(returns[number], draw)}
            row |= {"block_sums": sums[number].tolist(), "block_squares": squares[number].tolist()}
        if number in still and status == "done":
            row |= dict.fromkeys(FIGURES, 0.0) | {"final_equity": CAPITAL, "trades": 0}
            row |= dict.fromkeys(("sharpe", "sortino", "win_rate", "profit_factor", "skew"))
            row |= {"excess_sharpe": None}
            row |= {"kurtosis": None, "block_sums": [0.0] * 16, "block_squares": [0.0] * 16}
        rows.append(row)
    return pl.DataFrame(rows, schema=_schema(over))


def _schema(over: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    counts = dict.fromkeys(("bars", "trades"), pl.Int64)
    return {
        "setting": pl.Int64,
        **dict.fromkeys(over, pl.Float64),
        "status": pl.String,
        "problem": pl.String,
        **counts,
        **dict.fromkeys(FIGURES, pl.Float64),
        "days": pl.Int64,
        "skew": pl.Float64,
        "kurtosis": pl.Float64,
        "block_sums": pl.List(pl.Float64),
        "block_squares": pl.List(pl.Float64),
    }


def make_manifest(
    over: Mapping[str, Sequence[str]], *, method: str = "grid", **more: Any
) -> dict[str, Any]:
    """A manifest that fits; values, or the two ends of what is drawn, as a file writes them."""
    kind, name = ("draw", "ends") if method == "random" else ("list", "values")
    axes = [{"key": key, "kind": kind, name: list(texts)} for key, texts in over.items()]
    return {
        "strategy": "sma-cross",
        "sweep_id": "20251009T080000Z-1a2b",
        "septet": "0.1.0",
        "goal": "sharpe",
        "first_decision": "2023-01-26T00:00:00Z",
        "space": {"over": axes, "where": "", "method": method, "trials": 0, "seed": 7},
        "strategy_text": "version: 1\nname: sma-cross\n",
        **more,
    }
