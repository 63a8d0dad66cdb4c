"""Findings of `check` on the weights that a feature gives to a portfolio."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._config.pydantic_problems import problem_at
from septet._data.bars import Floats
from septet._kernel import layout
from septet._shell.feature_values import FeatureValues
from septet.errors import Problem

__all__ = ["portfolio_inputs", "weight_problems"]

_PLACE: Final = ("portfolio", "weights")


def portfolio_inputs(values: FeatureValues) -> set[str]:
    """Return the features that a portfolio requires to hold anything: ranks, weights, forecasts."""
    portfolio = values.session.strategy.portfolio
    if portfolio.use == "weights":
        return {str(portfolio.weights)}
    if portfolio.use == "forecast" and portfolio.forecast is not None:
        return {*portfolio.forecast.of, portfolio.forecast.volatility}
    if portfolio.use != "top":
        return set()
    features = {str(portfolio.by)}
    if not isinstance(portfolio.weight, str):
        features.add(portfolio.weight.inverse_volatility)
    if portfolio.net is not None and portfolio.net.beta is not None:
        features.add(portfolio.net.beta)
    return features


def weight_problems(values: FeatureValues) -> list[Problem]:
    """Return problems of given weights: below zero on spot, never above zero, beyond gross.

    They are checked at the times at which a rebalance is due.
    """
    strategy, session = values.session.strategy, values.session
    portfolio = strategy.portfolio
    if portfolio.use != "weights":
        return []
    weights = _weights_when_due(values, str(portfolio.weights))
    finite = weights[np.isfinite(weights)]
    if not len(finite):
        return []
    problems = _unknown(values, weights)
    weights = np.where(np.isfinite(weights), weights, np.nan)
    share = float((finite < 0.0).mean())
    if strategy.account.type == "spot" and share > 0.0:
        problems.append(
            problem_at(
                session.loaded.tree, _PLACE,
                f"{share * 100:.3g} % of the weights are below zero, and a spot account cannot go "
                "short: it holds nothing there",
                hint="write account: {type: perpetual}, or a feature that is never below zero",
                severity="warning" if (finite > 0.0).any() or not values.complete else "error",
            )
        )  # fmt: skip
    sums = np.nansum(np.abs(weights), axis=0)
    is_above_gross = sums > portfolio.gross + 1e-9
    if is_above_gross.any():
        problems.append(
            problem_at(
                session.loaded.tree, _PLACE,
                f"the weights sum to more than gross ({portfolio.gross * 100:g}%) at "
                f"{int(is_above_gross.sum()):,} of {len(sums):,} rebalances looked at, to "
                f"{sums.max() * 100:.4g}% at most: they are scaled down to it",
                hint="divide the feature by the number of symbols that have a weight, or write a "
                "larger portfolio.gross",
                severity="warning",
            )
        )  # fmt: skip
    return problems


def _unknown(values: FeatureValues, weights: Floats) -> list[Problem]:
    """Report weights that become unknown after the first; the symbol's position is then kept."""
    counted = {}
    for symbol, each in zip(values.session.market.symbols, weights, strict=True):
        finite_rows = np.flatnonzero(np.isfinite(each))
        since_first = each[finite_rows[0] :] if len(finite_rows) else each
        counted[symbol] = int((~np.isfinite(since_first)).sum())
    if not any(counted.values()):
        return []
    rows = sorted(counted.items(), key=lambda each: -each[1])
    largest = ", ".join(f"{symbol} at {count:,}" for symbol, count in rows[:3] if count)
    other_count = sum(1 for _, count in rows[3:] if count)
    more = f" and {other_count} more" if other_count else ""
    return [
        problem_at(
            values.session.loaded.tree, _PLACE,
            f"weights are not known (NaN, infinite, or no bar) at some of the {weights.shape[1]:,} "
            f"rebalances looked at: {largest}{more}; a symbol without a weight keeps its units",
            hint="a weight of 0 closes: write a feature that is known there, if units are not "
            "to be kept",
            severity="warning",
        )
    ]  # fmt: skip


def _weights_when_due(values: FeatureValues, name: str) -> Floats:
    """Return weights by symbol and time of the rebalances, NaN where there is no bar."""
    aligned = values.aligned
    due = np.flatnonzero(values.session.aligned.DUE[-aligned.times :])
    weights = np.full((len(aligned.lengths), len(due)), np.nan)
    for k in range(len(aligned.lengths)):
        rows = aligned.T[layout.ROW + k, due]
        weights[k, rows >= 0] = values.column(name, k)[rows[rows >= 0]]
    return weights
