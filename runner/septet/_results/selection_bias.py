"""Selection bias of the best of many backtests.

Trying many settings and keeping the best finds chance as well as merit. Three figures show how
much: the probabilistic Sharpe ratio of one setting alone, the deflated Sharpe ratio of one
setting among all that were tried, and the probability that choosing the best was overfitting.

Every Sharpe ratio here is one of daily returns, not annual: mean over standard deviation (the
sample's, with n - 1), zero rate. An undefined figure is None with a reason in words; nothing
here warns or raises over numbers that a sweep may bring.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from septet._data.bars import Floats, Ints

__all__ = [
    "BLOCKS",
    "Overfitting",
    "backtest_overfitting",
    "block_days",
    "daily_sharpe",
    "deflated_sharpe",
    "expected_maximum_sharpe",
    "expected_maximum_of",
    "probabilistic_sharpe",
    "why_undefined",
]

BLOCKS: Final = 16
_MIN_DAYS: Final = 3
_DAYS_A_BLOCK: Final = 2
_EULER_GAMMA: Final = 0.577_215_664_901_532_9
_NORMAL: Final = NormalDist()
# A variance below this share of the mean square is the rounding of sums, not a spread.
_ROUNDING: Final = 1e-12
# Daily Sharpe ratios that differ by less are equal: sums of the same days in another order.
_TIE: Final = 1e-10
# Ratios held at once while splits are walked through: a few arrays that stay in the cache.
_CELLS: Final = 1 << 15


def block_days(days: int) -> Ints:
    """Days in each of the sixteen blocks that `days` days in order are cut into, shape (16,).

    The first blocks have one day more where the days do not divide, as in `np.array_split`.
    """
    least, rest = divmod(days, BLOCKS)
    return np.array([least + (block < rest) for block in range(BLOCKS)], dtype=np.int64)


def _ratio(sums: Floats, squares: Floats, days: Floats) -> Floats:
    """Sharpe ratios from sums and sums of squares; 0 where there is no spread."""
    mean = sums / days
    variance = squares - sums * mean
    spread = variance > _ROUNDING * squares
    variance[~spread] = 1.0
    variance /= days - 1.0
    np.sqrt(variance, out=variance)
    mean /= variance
    mean[~spread] = 0.0
    return mean


def daily_sharpe(total: float, squares: float, days: int) -> float | None:
    """Sharpe ratio of daily returns from their sum, their sum of squares and their number.

    None where a value is not finite, with fewer than two days, or without any spread.
    """
    if days < 2 or not (math.isfinite(total) and math.isfinite(squares)):
        return None
    mean = total / days
    variance = squares - total * mean
    if variance <= _ROUNDING * squares:
        return None
    return mean / math.sqrt(variance / (days - 1))


def why_undefined(
    sharpe_daily: float | None, days: int, skew: float | None, kurtosis: float | None
) -> str:
    """Return why a setting has no probabilistic Sharpe ratio; empty if it has one.

    Parameters as in `probabilistic_sharpe`; None and NaN are undefined.
    """
    if days < _MIN_DAYS:
        return f"{days} days of returns, at least {_MIN_DAYS} are needed"
    if sharpe_daily is None or not math.isfinite(sharpe_daily):
        return "the Sharpe ratio is undefined: the daily returns have no spread"
    if skew is None or kurtosis is None or not (math.isfinite(skew) and math.isfinite(kurtosis)):
        return "skewness or kurtosis of the daily returns is undefined"
    if _adjustment(sharpe_daily, skew, kurtosis) <= 0:
        return f"no returns can have a skewness of {skew:.3g} and a kurtosis of {kurtosis:.3g}"
    return ""


def _adjustment(sharpe_daily: float, skew: float, kurtosis: float) -> float:
    """Variance of the estimated ratio, times the number of days less one."""
    return 1.0 - skew * sharpe_daily + (kurtosis - 1.0) / 4.0 * sharpe_daily**2


def probabilistic_sharpe(
    sharpe_daily: float | None,
    days: int,
    skew: float | None,
    kurtosis: float | None,
    benchmark_daily: float = 0.0,
) -> float | None:
    """Probability that the true Sharpe ratio is above a benchmark, seen for itself alone.

    ``Z((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2))`` with Z the
    distribution function of the standard normal.

    Parameters
    ----------
    sharpe_daily, benchmark_daily : float
        SR and SR*, of daily returns, not annual.
    days : int
        n, the number of daily returns.
    skew, kurtosis : float
        Moments of the daily returns, of the population; kurtosis is 3 for a normal one.

    Returns
    -------
    float or None
        From 0 to 1. None where `why_undefined` gives a reason, or without a benchmark.

    References
    ----------
    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2).
    """
    if why_undefined(sharpe_daily, days, skew, kurtosis) or not math.isfinite(benchmark_daily):
        return None
    assert sharpe_daily is not None
    assert skew is not None
    assert kurtosis is not None
    error = math.sqrt(_adjustment(sharpe_daily, skew, kurtosis) / (days - 1))
    # By erfc, since one plus erf has no digits left in the lower tail.
    return 0.5 * math.erfc((benchmark_daily - sharpe_daily) / error / math.sqrt(2.0))


def expected_maximum_sharpe(trials: int, deviation_daily: float) -> float | None:
    """Sharpe ratio that the best of some worthless, independent settings reaches by chance.

    ``s ((1 - g) Z'(1 - 1/N) + g Z'(1 - 1/(N e)))`` with Z' the inverse of the standard normal's
    distribution function and g the constant of Euler and Mascheroni. The true ratios are zero.

    Parameters
    ----------
    trials : int
        N, the number of settings tried. One setting is not chosen: 0.
    deviation_daily : float
        s, the standard deviation (n - 1) of the settings' daily Sharpe ratios.

    Returns
    -------
    float or None
        Of daily returns. None without a setting or without a finite deviation.

    References
    ----------
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio
    Management 40(5).
    """
    if trials < 1 or not (math.isfinite(deviation_daily) and deviation_daily >= 0):
        return None
    if trials == 1:
        return 0.0
    top = -_NORMAL.inv_cdf(1.0 / trials)
    beyond = -_NORMAL.inv_cdf(1.0 / (trials * math.e))
    return deviation_daily * ((1.0 - _EULER_GAMMA) * top + _EULER_GAMMA * beyond)


def expected_maximum_of(
    trials_sharpe_daily: Sequence[float | None] | Floats, trials: int, days: int = 0
) -> float | None:
    """Benchmark of the deflated ratio: what chance gives the best of `trials` settings.

    Values that are not finite do not count towards the deviation. Of `days` daily returns the
    ratio of a worthless setting has an error of ``1 / sqrt(n - 1)``: settings that lie further
    apart than that differ by more than chance, for example by their costs, and the deviation is
    bounded by it.
    """
    known = np.array([v for v in trials_sharpe_daily if v is not None], dtype=np.float64)
    known = known[np.isfinite(known)]
    deviation = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    if days > 1:
        deviation = min(deviation, 1.0 / math.sqrt(days - 1))
    return expected_maximum_sharpe(trials, deviation) if len(known) else None


def deflated_sharpe(
    sharpe_daily: float | None,
    trials_sharpe_daily: Sequence[float | None] | Floats,
    days: int,
    skew: float | None,
    kurtosis: float | None,
    *,
    trials: int | None = None,
) -> float | None:
    """Probability that the true Sharpe ratio is above zero, for one chosen among many.

    The probabilistic Sharpe ratio against `expected_maximum_sharpe` of all that were tried.
    Settings count as independent, which is strict where neighbours are alike; their ratios then
    lie close together, which lowers the benchmark.

    Parameters
    ----------
    sharpe_daily, days, skew, kurtosis
        Of the setting in question, as for `probabilistic_sharpe`.
    trials_sharpe_daily : array, shape (N,)
        Daily Sharpe ratios of every setting that was tried; NaN and None do not count.
    trials : int, optional
        How many were tried, if some of them have no ratio (pruned ones); else those that have.

    Returns
    -------
    float or None
        From 0 to 1; None where the probabilistic one is, or if no setting has a ratio.

    References
    ----------
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio
    Management 40(5).
    """
    known = [v for v in trials_sharpe_daily if v is not None and math.isfinite(v)]
    benchmark_daily = expected_maximum_of(known, len(known) if trials is None else trials)
    if benchmark_daily is None:
        return None
    return probabilistic_sharpe(sharpe_daily, days, skew, kurtosis, benchmark_daily)


def _no_logits() -> Floats:
    return np.empty(0, dtype=np.float64)


class Overfitting(msgspec.Struct, frozen=True, eq=False):
    """What choosing the best setting of one half of the days was worth in the other half.

    `probability` is the share of splits with a logit of at most 0: the setting that was best in
    one half was not above the middle of the settings in the other half. None if undefined, and
    `problem` is the reason. `logits` has one value for each of the 12,870 splits, in no promised
    order. `chosen_daily` and `elsewhere_daily` are the mean Sharpe ratios (of daily returns) of
    the chosen in its own half and in the other; `loss` is the share of splits in which the
    other half's was below zero. `settings` were compared, `left_out` could not be.
    """

    probability: float | None
    problem: str = ""
    settings: int = 0
    left_out: int = 0
    logits: Floats = msgspec.field(default_factory=_no_logits)
    chosen_daily: float | None = None
    elsewhere_daily: float | None = None
    loss: float | None = None


def _halves() -> Floats:
    """Return each way to choose half of the blocks, one of every complementary pair, as 0 and 1."""
    picked = list(itertools.combinations(range(1, BLOCKS), BLOCKS // 2 - 1))
    mask = np.zeros((len(picked), BLOCKS))
    mask[:, 0] = 1.0
    np.put_along_axis(mask, np.array(picked), 1.0, axis=1)
    return mask


def _rank_best(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Floats]:
    """Rank (from 1, ties in the middle), own and other ratio of the best inside; one per row."""
    rows = np.arange(len(inside))
    best = inside.argmax(axis=1)
    chosen = outside[rows, best]
    below = np.count_nonzero(outside < (chosen - _TIE)[:, None], axis=1)
    not_above = np.count_nonzero(outside <= (chosen + _TIE)[:, None], axis=1)
    return (below + not_above + 1) / 2.0, inside[rows, best], chosen


def _splits(sums: Floats, squares: Floats, days: Floats) -> tuple[Floats, Floats, Floats]:
    """Ranks and ratios of all splits, few at a time: memory does not grow with their number."""
    halves = _halves()
    all_sums, all_squares, all_days = sums.sum(axis=1), squares.sum(axis=1), days.sum()
    step = max(1, _CELLS // len(sums))
    ranked: list[tuple[Floats, Floats, Floats]] = []
    for begin in range(0, len(halves), step):
        mask = halves[begin : begin + step]
        half_sums, half_squares = mask @ sums.T, mask @ squares.T
        half_days = (mask @ days)[:, None]
        first_half = _ratio(half_sums, half_squares, half_days)
        second_half = _ratio(all_sums - half_sums, all_squares - half_squares, all_days - half_days)
        ranked += [_rank_best(first_half, second_half), _rank_best(second_half, first_half)]
    rank, chosen, elsewhere = (np.concatenate(part) for part in zip(*ranked, strict=True))
    return rank, chosen, elsewhere


def _usable(sums: Floats, squares: Floats, days: Floats) -> npt.NDArray[np.bool_]:
    """Return the settings whose values are finite and whose returns have a spread."""
    known = np.isfinite(np.hstack((sums, squares)))
    finite = np.asarray(known.all(axis=1), dtype=np.bool_)
    total = np.where(finite[:, None], sums, 0.0).sum(axis=1)
    square = np.where(finite[:, None], squares, 0.0).sum(axis=1)
    spread: npt.NDArray[np.bool_] = square - total * total / days.sum() > _ROUNDING * square
    return finite & spread


def backtest_overfitting(
    block_sums: npt.ArrayLike, block_squares: npt.ArrayLike, block_days: npt.ArrayLike
) -> Overfitting:
    """Probability of backtest overfitting, by combinatorially symmetric cross-validation.

    The days are cut into sixteen blocks in order. For each of the C(16, 8) = 12,870 choices of
    eight blocks the setting with the highest Sharpe ratio inside is ranked by its ratio in the
    other eight: ``logit = ln(rank / (N + 1 - rank))``, rank 1 the worst of N, ties in the
    middle. The probability is the share of logits of at most 0. About one half is what pure
    chance gives; a choice that carries over gives nearly 0.

    Parameters
    ----------
    block_sums, block_squares : array, shape (N, 16)
        Sums, and sums of squares, of the daily returns of each setting in each block.
    block_days : array, shape (16,)
        Days in each block, the same for all settings.

    Returns
    -------
    Overfitting
        Without a probability, and with the reason, for fewer than two comparable settings,
        fewer than two days a block, or settings that are all alike. Settings with a value
        that is not finite or without any spread are left out and counted. A setting that did
        nothing in one half has a ratio of 0 there.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2015), The Probability of Backtest Overfitting,
    Journal of Computational Finance 20(4).
    """
    sums = np.asarray(block_sums, dtype=np.float64).reshape(-1, BLOCKS)
    squares = np.asarray(block_squares, dtype=np.float64).reshape(-1, BLOCKS)
    days = np.asarray(block_days, dtype=np.float64)
    assert sums.shape == squares.shape
    assert days.shape == (BLOCKS,)
    if days.min() < _DAYS_A_BLOCK:
        problem = f"{int(days.sum())} days are too few: {BLOCKS} blocks of {_DAYS_A_BLOCK} days"
        return Overfitting(None, f"{problem} at least are compared", left_out=len(sums))
    usable = _usable(sums, squares, days)
    count, left_out = int(usable.sum()), int((~usable).sum())
    if count < 2:
        alone = "one setting was" if count == 1 else "no setting was"
        problem = f"{alone} comparable, and a choice needs at least two"
        return Overfitting(None, problem, count, left_out)
    rank, chosen, elsewhere = _splits(sums[usable], squares[usable], days)
    logits = np.log(rank / (count + 1.0 - rank))
    if not logits.any():
        problem = "all settings have the same Sharpe ratio on all days, so none was chosen"
        return Overfitting(None, problem, count, left_out)
    return Overfitting(
        probability=float(np.mean(logits <= 0.0)),
        settings=count,
        left_out=left_out,
        logits=logits,
        chosen_daily=float(chosen.mean()),
        elsewhere_daily=float(elsewhere.mean()),
        loss=float(np.mean(elsewhere < 0.0)),
    )
