"""Comparison with buy and hold: the market's return, and the excess at equal mean exposure.

A strategy that can only be long earns part of any rise by being there. What it adds by choosing
when is measured against its own mean exposure, held all the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from msgspec import structs

from septet._results import statistics as st
from septet._results.intervals import Z95, student

if TYPE_CHECKING:
    from collections.abc import Mapping

    from septet._data.bars import Floats

__all__ = [
    "Excess", "MIN_ANNUAL_NS", "above_holding", "alpha_beta", "annual_growth", "calmar",
    "excess_over", "returns_over",
]  # fmt: skip

MIN_ANNUAL_NS: Final = 30 * st.DAY_NS
"""Shorter spans are not made annual: a week times fifty-two does not estimate a year."""
_MIN_DAYS: Final = 30
# A spread below this share of the values is the rounding of their sums, not a spread.
_ROUNDING: Final = 1e-12


class Excess(msgspec.Struct, frozen=True):
    """Figures of the daily returns minus those of holding the mean exposure; None if undefined.

    `exposure` is the share of equity that was held beside. The ratios and `cagr` are annual.
    """

    exposure: float
    sharpe: float | None
    sortino: float | None
    cagr: float | None
    calmar: float | None

    def document(self) -> Mapping[str, Any]:
        """Return what summary.json holds."""
        return structs.asdict(self)


def annual_growth(initial: float, final: float, span_ns: int) -> float | None:
    """Return the yearly growth that makes `final` of `initial`, as a fraction (CAGR).

    ``(final / initial) ** (365 days / span) - 1``. -1 once everything is lost; None under 30
    days, or without a positive start.
    """
    if initial <= 0 or span_ns < MIN_ANNUAL_NS or not math.isfinite(final):
        return None
    if final <= 0:
        return -1.0
    logged = math.log(final / initial) * (st.YEAR_NS / span_ns)
    return math.expm1(logged) if logged < 700.0 else None


def calmar(growth: float | None, drawdown: float | None) -> float | None:
    """Return yearly growth over the deepest drawdown, both fractions; None without a fall."""
    if growth is None or drawdown is None or drawdown <= 0:
        return None
    return growth / drawdown


def alpha_beta(
    returns: Floats, market: Floats, days_a_year: float
) -> tuple[float | None, float | None]:
    """Least squares of daily returns on the market's: alpha (a year) and beta.

    ``beta = cov(r, m) / var(m)``, ``alpha = (mean r - beta mean m) days``, zero rate.

    Parameters
    ----------
    returns, market : arrays, shape (n,)
        Daily returns of the run and of holding, of the same days.

    Returns
    -------
    alpha, beta : float or None
        None under 30 days, or where the market did not move.
    """
    if len(returns) < _MIN_DAYS or not (np.isfinite(returns).all() and np.isfinite(market).all()):
        return None, None
    away = market - market.mean()
    spread = float(away @ away)
    if spread <= (_ROUNDING * float(np.abs(market).max())) ** 2 * len(market):
        return None, None
    beta = float(away @ returns) / spread
    return (float(returns.mean()) - beta * float(market.mean())) * days_a_year, beta


def excess_over(
    returns: Floats, market: Floats, exposure: float | None, days_a_year: float
) -> Excess | None:
    """Measure daily returns over holding `exposure` of the market's all the time.

    Parameters
    ----------
    returns, market : arrays, shape (n,)
        Daily returns of the run and of holding, of the same days.
    exposure : float or None
        Mean share of equity that was held.

    Returns
    -------
    Excess or None
        None where exposure or a return is undefined.
    """
    over = returns_over(returns, market, exposure)
    if over is None or exposure is None:
        return None
    worth = np.asarray(np.cumprod(1.0 + over), dtype=np.float64)
    span_ns = round(len(over) / days_a_year * st.YEAR_NS)
    growth = annual_growth(1.0, float(worth[-1]), span_ns) if np.all(worth > 0) else -1.0
    deepest = st.max_drawdown(worth, 1.0)
    return Excess(
        exposure,
        st.sharpe(over, days_a_year),
        st.sortino(over, days_a_year),
        growth,
        calmar(growth, deepest),
    )


def returns_over(returns: Floats, market: Floats, exposure: float | None) -> Floats | None:
    """Return daily returns minus those of holding `exposure` of the market, float64 (n,).

    `returns` and `market` are fractions, float64 (n,), and `exposure` a fraction of equity. None
    where there are no returns, or one is not finite.
    """
    if exposure is None or len(returns) == 0 or len(returns) != len(market):
        return None
    over = returns - exposure * market
    return over if bool(np.isfinite(over).all()) else None


def above_holding(excess: Mapping[str, Any] | None, days: int, days_a_year: float) -> bool | None:
    """Whether the mean daily return over holding is above zero, by Student's 95 % interval.

    None where that cannot be decided: no excess, no ratio of it, or under 30 days.
    """
    if excess is None or excess["sharpe"] is None or days < _MIN_DAYS:
        return None
    ratio = float(excess["sharpe"]) * math.sqrt(days / days_a_year)
    return ratio > student(Z95, days - 1)
