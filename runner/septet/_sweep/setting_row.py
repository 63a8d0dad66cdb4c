"""The row of one setting: the figures of a run's summary, and those needed for comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._results import statistics as st
from septet._results.selection_bias import BLOCKS
from septet._sweep.space import Setting, Space

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats
    from septet._results.result import RunResult

__all__ = [
    "COUNTS", "DAILY", "FIGURES", "INVALID_ANSWERS", "EXCESS_COLUMNS", "STATUSES", "daily_figures",
    "failed_row", "figures_of", "frame_of", "excess_columns", "row_of",
]  # fmt: skip

STATUSES: Final = ("done", "failed", "pruned")
"""Statuses of a setting in its row; only a guided search prunes settings (`pruned`)."""
COUNTS: Final = ("bars", "trades")
FIGURES: Final = (
    "final_equity", "total_return", "sharpe", "sortino", "max_drawdown", "win_rate",
    "profit_factor", "fees", "funding", "liquidation", "slippage", "turnover", "exposure",
    "excess_sharpe",
)  # fmt: skip
INVALID_ANSWERS: Final = "invalid_answers"
"""The rules that gave invalid answers, with counts; null if there are none."""
DAILY: Final = ("days", "skew", "kurtosis", "block_sums", "block_squares")


EXCESS_COLUMNS: Final = ("over_sharpe", "over_skew", "over_kurtosis", "over_sums", "over_squares")
"""The same over holding the mean exposure, for a setting that could have been short and never was.
These are compared instead if this holds for all settings."""


def daily_figures(returns: Floats) -> dict[str, Any]:
    """Moments and block sums of daily returns.

    Parameters
    ----------
    returns : array, shape (days,)
        The compared returns (fractions), in order: those of the run, or, where no rule can open a
        short, those over holding its mean exposure.

    Returns
    -------
    dict
        `days`; `skew` and `kurtosis` (population moments, 3 for a normal; None without a
        spread); `block_sums` and `block_squares` of sixteen blocks of days in order, their sizes
        as equal as possible.
    """
    skew = kurtosis = None
    if len(returns) >= 2 and bool(np.all(np.isfinite(returns))):
        away = returns - returns.mean()
        second = float(np.mean(away**2))
        if math.sqrt(second) > 1e-12 * float(np.abs(returns).max(initial=0.0)):
            skew = float(np.mean(away**3)) / second**1.5
            kurtosis = float(np.mean(away**4)) / second**2
    blocks = np.array_split(returns, BLOCKS)
    return {
        "days": len(returns),
        "skew": skew,
        "kurtosis": kurtosis,
        "block_sums": [math.fsum(block) for block in blocks],
        "block_squares": [math.fsum(block * block) for block in blocks],
    }


def figures_of(result: RunResult) -> dict[str, Any]:
    """Figures of a whole backtest: those of its summary, and of its daily returns."""
    from septet._results.invalid_answers import short_invalid_answers
    from septet._results.summary import held_in, summarise
    from septet._store.tables import frames_of

    facts, frames = result.facts, frames_of(result)
    summary = summarise(result, frames, run_id="")
    excess = summary["excess"] if facts.long_only else None  # one measure for all settings
    equity = frames["equity"]
    days_ns, samples = st.sample_days(
        equity.get_column("time").to_physical().to_numpy(),
        equity.get_column("equity").to_numpy(),
        sessions=facts.sessions,
        ends_inside=facts.ends_inside,
        session_close=facts.session_close,
        day_start=facts.day_start,
        time_zone=facts.time_zone,
    )
    summary["excess_sharpe"] = None if excess is None else excess["sharpe"]
    chosen = {name: summary[name] for name in (*COUNTS, *FIGURES)}
    chosen[INVALID_ANSWERS] = short_invalid_answers(result.invalid_answers)
    compared = st.daily_returns(samples)
    never_short: dict[str, Any] = dict.fromkeys(EXCESS_COLUMNS)
    if summary["excess"] is not None:
        growth = held_in(result, days_ns)
        assert growth is not None
        over = compared - summary["excess"]["exposure"] * st.daily_returns(growth)
        if excess is not None:
            compared = over
        else:
            never_short = excess_columns(summary["excess"]["sharpe"], daily_figures(over))
    return {**chosen, **daily_figures(compared), **never_short}


def excess_columns(sharpe: float | None, daily: dict[str, Any]) -> dict[str, Any]:
    """Return `EXCESS_COLUMNS` of returns over holding, whose annual Sharpe ratio is known."""
    names = ("skew", "kurtosis", "block_sums", "block_squares")
    return dict(zip(EXCESS_COLUMNS, (sharpe, *(daily[name] for name in names)), strict=True))


def row_of(space: Space, setting: Setting, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a setting that ran."""
    return {
        "setting": setting.number,
        **space.values(setting),
        "status": "done",
        "problem": None,
        **figures,
    }


def failed_row(
    space: Space, setting: Setting, problem: str, status: str = "failed"
) -> dict[str, Any]:
    """Return the row of a setting that failed, or was not run to the end (`pruned`)."""
    empty = dict.fromkeys((*COUNTS, *FIGURES, *DAILY, *EXCESS_COLUMNS, INVALID_ANSWERS))
    row = {"setting": setting.number, **space.values(setting), "status": status}
    return {**row, "problem": problem, **empty}


def frame_of(keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return rows as a table, with the same columns, order and types for every block."""
    import polars as pl

    listed = pl.List(pl.Float64)
    schema: dict[str, Any] = {
        "setting": pl.Int64,
        **dict.fromkeys(keys, pl.Float64),
        "status": pl.String,
        "problem": pl.String,
        **dict.fromkeys(COUNTS, pl.Int64),
        **dict.fromkeys(FIGURES, pl.Float64),
        "days": pl.Int64,
        "skew": pl.Float64,
        "kurtosis": pl.Float64,
        "block_sums": listed,
        "block_squares": listed,
        **dict.fromkeys(EXCESS_COLUMNS[:3], pl.Float64),
        **dict.fromkeys(EXCESS_COLUMNS[3:], listed),
        INVALID_ANSWERS: pl.String,
    }
    return pl.DataFrame(list(rows), schema=schema, orient="row")
