"""Ratios of each setting of a sweep, and the selection bias of its table.

Everything is computed from the blocks of daily returns in the table, so that it needs neither
the number of days in a year nor the runs themselves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._results.selection_bias import (
    BLOCKS,
    Overfitting,
    backtest_overfitting,
    block_days,
    daily_sharpe,
    expected_maximum_of,
    probabilistic_sharpe,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "add_ratios", "compared_sharpe", "is_over_holding", "expected_best_daily", "sharpes_daily",
    "swept_keys", "table_overfitting", "tried", "with_compared_returns",
]  # fmt: skip

_BEFORE_KEYS: Final = "setting"
_AFTER_KEYS: Final = "status"


def swept_keys(table: pl.DataFrame) -> list[str]:
    """Return the paths of the swept keys, in the order of the table."""
    names = table.columns
    return names[names.index(_BEFORE_KEYS) + 1 : names.index(_AFTER_KEYS)]


def _daily(row: dict[str, Any]) -> float | None:
    sums, squares, days = row["block_sums"], row["block_squares"], row["days"]
    if row["status"] != "done" or row["compared"] is None or None in (sums, squares, days):
        return None
    if None in sums or None in squares or not math.isfinite(row["compared"]):
        return None
    return daily_sharpe(math.fsum(sums), math.fsum(squares), days)


def sharpes_daily(table: pl.DataFrame) -> list[float | None]:
    """Return the Sharpe ratio of each setting's compared daily returns.

    None if the table has none.
    """
    columns = [
        "status",
        compared_sharpe(table).alias("compared"),
        "days",
        "block_sums",
        "block_squares",
    ]
    return [_daily(row) for row in table.select(columns).iter_rows(named=True)]


def is_over_holding(table: pl.DataFrame) -> bool:
    """Return whether settings are compared over holding: none is, or was, ever short."""
    return table.get_column("excess_sharpe").null_count() < table.height


def with_compared_returns(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the compared returns: over holding if no setting was ever short.

    If rules could open shorts and no setting did, all settings are measured over holding their mean
    exposure, as in a run. If one was short, all are measured over zero.
    """
    import polars as pl

    if "over_sums" not in table.columns or is_over_holding(table):
        return table
    held = (pl.col("status") == "done") & (pl.col("exposure") > 0.0)
    active = table.filter(held.fill_null(False))
    if not active.height or active.get_column("over_sums").null_count():
        return table
    pairs = {
        "excess_sharpe": "over_sharpe", "skew": "over_skew", "kurtosis": "over_kurtosis",
        "block_sums": "over_sums", "block_squares": "over_squares",
    }  # fmt: skip
    never_short = pl.col("over_sums").is_not_null()
    return table.with_columns(
        pl.when(never_short).then(pl.col(over)).otherwise(pl.col(name)).alias(name)
        for name, over in pairs.items()
    )


def compared_sharpe(table: pl.DataFrame) -> pl.Expr:
    """Return the column of annual Sharpe ratios whose daily returns are stored in the blocks."""
    import polars as pl

    return pl.col("excess_sharpe" if is_over_holding(table) else "sharpe")


def tried(table: pl.DataFrame) -> int:
    """Return the settings that count as tried: those with a ratio, and pruned ones.

    A pruned setting was evaluated and rejected, so it counts. A setting that failed or never traded
    could not have been chosen.
    """
    known = sum(value is not None for value in sharpes_daily(table))
    return known + int((table.get_column("status") == "pruned").sum())


def expected_best_daily(table: pl.DataFrame) -> float | None:
    """Return the daily Sharpe ratio expected of the best of only worthless settings, or None."""
    return expected_maximum_of(sharpes_daily(table), tried(table), _days(table))


def _days(table: pl.DataFrame) -> int:
    """Return the median number of days, on which the error of a ratio depends."""
    median = table.get_column("days").drop_nulls().median()
    return int(median) if isinstance(median, int | float) else 0


def add_ratios(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the columns `psr` and `dsr` at its end, replaced if they exist.

    Probabilistic and deflated Sharpe ratio: both from 0 to 1, null where they are undefined. Needs
    all settings of the sweep, since the deflated ratio of each depends on the others. Sources: see
    `septet._results.selection_bias`.
    """
    import polars as pl

    table = with_compared_returns(table)
    daily = sharpes_daily(table)
    expected_best = expected_best_daily(table)
    rows = zip(
        daily,
        table.get_column("days").fill_null(0),
        table.get_column("skew"),
        table.get_column("kurtosis"),
        strict=True,
    )
    alone, among = [], []
    for sharpe, days, skew, kurtosis in rows:
        alone.append(probabilistic_sharpe(sharpe, days, skew, kurtosis))
        deflated = probabilistic_sharpe(sharpe, days, skew, kurtosis, expected_best or 0.0)
        among.append(None if expected_best is None else deflated)
    return table.drop("psr", "dsr", strict=False).with_columns(
        pl.Series("psr", alone, dtype=pl.Float64), pl.Series("dsr", among, dtype=pl.Float64)
    )


def table_overfitting(table: pl.DataFrame) -> Overfitting:
    """Return the overfitting of the choice among all settings with returns for the same days.

    Settings with another number of days than most cannot be compared and are left out, as are
    those that failed, were pruned or never traded.
    """
    import polars as pl

    comparable = table.filter(
        (pl.col("status") == "done")
        & pl.col("days").is_not_null()
        & (pl.col("block_sums").list.len() == BLOCKS)
        & (pl.col("block_squares").list.len() == BLOCKS)
    )
    if comparable.height == 0:
        return Overfitting(None, "no setting has daily returns", left_out=table.height)
    counts = (
        comparable.get_column("days").value_counts().sort(["count", "days"]).row(-1, named=True)
    )
    days = int(counts["days"])
    same = comparable.filter(pl.col("days") == days)
    overfitting = backtest_overfitting(
        _blocks(same, "block_sums"), _blocks(same, "block_squares"), block_days(days)
    )
    return Overfitting(
        overfitting.probability,
        overfitting.problem,
        overfitting.settings,
        table.height - overfitting.settings,
        overfitting.logits,
        overfitting.chosen_daily,
        overfitting.elsewhere_daily,
        overfitting.loss,
    )


def _blocks(table: pl.DataFrame, name: str) -> Any:
    values = table.get_column(name).explode().fill_null(math.nan).to_numpy()
    return np.asarray(values, dtype=np.float64).reshape(-1, BLOCKS)
