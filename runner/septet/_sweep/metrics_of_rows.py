"""Figures of many settings at once: the same definitions as a run's summary, over rows.

A run computes them from its tables; a setting from sums that the core counted while it traded
(maximum drawdown, sum of exposures, gains and losses of trades). These may differ from sums over
the tables in their last bits.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._core.checked_rules import invalid_answers
from septet._core.ledger_check import check_books
from septet._core.state import PlanFacts, State
from septet._data.calendars import sessions_per_year
from septet._data.day_calendars import market_day_calendar
from septet._kernel import layout
from septet._plan.run_terms import terms_of
from septet._results import statistics as st
from septet._results.invalid_answers import short_invalid_answers
from septet._results.selection_bias import BLOCKS
from septet._shell.session import Session
from septet._sweep.setting_row import EXCESS_COLUMNS, INVALID_ANSWERS, excess_columns

__all__ = ["Measured", "figures_of_many", "holding_growth"]

Floats = npt.NDArray[np.float64]
ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class Measured:
    """Measurements of each setting: accounts, counters, daily and mean equity (quote).

    Shape (settings,), except `A` (settings, slots of A), `C` (settings, slots of C) and `daily`
    (settings, days).
    """

    capital: Floats
    A: Floats
    C: npt.NDArray[np.int64]
    daily: Floats
    mean: Floats
    shorted: npt.NDArray[np.bool_]

    @classmethod
    def room(cls, settings: int, days: int, session: Session) -> Measured:
        """Allocate memory for a number of settings."""
        assembly = session.plan.assembly
        return cls(
            np.zeros(settings),
            np.zeros((settings, assembly.a_slots)),
            np.zeros((settings, assembly.c_slots), np.int64),
            np.zeros((settings, days)),
            np.zeros(settings),
            np.zeros(settings, np.bool_),
        )

    def keep(
        self,
        row: int,
        capital: float,
        state: State,
        daily: Floats,
        times: int,
        *,
        shorted: bool = False,
    ) -> None:
        """Store a setting that has just run, if its accounts are consistent."""
        check_books(state, capital)
        self.capital[row] = capital
        self.A[row], self.C[row], self.daily[row] = state.A, state.C, daily
        self.mean[row] = state.A[layout.SUMMED] / times
        self.shorted[row] = shorted or bool((state.I[:, layout.OPEN_SIDE] < 0).any())


def holding_growth(session: Session, days_ns: npt.NDArray[np.int64]) -> Floats | None:
    """Return the growth of the benchmark of long-only settings at `days_ns` (UTC ns)."""
    strategy = session.strategy
    held = {
        symbol: (table.known_ns, table.close)
        for symbol, table in session.market.bars.items()
        if len(table) and strategy.benchmark in (None, symbol)
    }
    first_ns = int(session.aligned.T[layout.KNOWN, session.first])
    return st.hold_growth(days_ns, held, first_ns) if held else None


def figures_of_many(
    measured: Measured, session: Session, held: Floats | None
) -> list[dict[str, Any]]:
    """Return the metrics of every setting, in order; undefined ones are None.

    `held` is the result of `holding_growth` for the measured days, or for more.
    """
    A, C = measured.A, measured.C
    known = session.aligned.T[layout.KNOWN]
    times = session.aligned.times - session.first
    span = (int(known[-1]) - int(known[session.first])) / st.YEAR_NS
    trades, lost = C[:, layout.TRADES], A[:, layout.LOST]
    with np.errstate(all="ignore"):
        figures = {
            INVALID_ANSWERS: np.array(_breaks(session.plan.facts, C), object),
            "bars": np.full(
                len(A), (session.aligned.bar_rows[:, session.first :] >= 0).sum(), np.int64
            ),
            "trades": trades,
            "final_equity": A[:, layout.EQUITY],
            "total_return": A[:, layout.EQUITY] / measured.capital - 1.0,
            "max_drawdown": A[:, layout.DEEPEST],
            "win_rate": C[:, layout.WINS] / trades,
            "profit_factor": A[:, layout.GAINED] / np.where(lost > 0, lost, np.nan),
            "fees": A[:, layout.FEES],
            "funding": A[:, layout.FUNDING_PAID],
            "liquidation": A[:, layout.LIQUIDATION_PAID],
            "slippage": A[:, layout.SLIPPAGE],
            "turnover": A[:, layout.TURNOVER]
            / np.where(measured.mean > 0, measured.mean, np.nan)
            / span,
            "exposure": A[:, layout.EXPOSED] / (times - C[:, layout.UNVALUED]),
        }
        a_year = sessions_per_year(market_day_calendar(session.market))
        exposure = np.asarray(figures["exposure"], dtype=np.float64)
        if held is None or terms_of(session.strategy).long_only:
            figures |= _daily(measured.daily, a_year, held, exposure) | _no_excess(len(A))
        else:
            figures |= _daily(measured.daily, a_year)
            figures |= _excess_over_holding(measured, a_year, held, exposure)
    columns = {name: _plain(values) for name, values in figures.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _breaks(facts: PlanFacts, C: npt.NDArray[np.int64]) -> list[str | None]:
    """Return the rules that gave invalid answers in each setting."""
    if not facts.checked:
        return [None] * len(C)
    return [short_invalid_answers(invalid_answers(facts, row)) for row in C]


def _no_excess(count: int) -> dict[str, Any]:
    return {name: np.full(count, None, object) for name in EXCESS_COLUMNS}


def _excess_over_holding(
    measured: Measured, days_a_year: float, held: Floats, exposure: Floats
) -> dict[str, Any]:
    """Return `EXCESS_COLUMNS`; None for settings that were short, or never held anything."""
    over = _daily(measured.daily, days_a_year, held, exposure)
    sharpe, names = over["excess_sharpe"], ("skew", "kurtosis", "block_sums", "block_squares")
    columns, empty = _no_excess(len(sharpe)), dict.fromkeys(EXCESS_COLUMNS)
    traded = (measured.C[:, layout.TRADES] > 0) | (measured.A[:, layout.EXPOSED] > 0.0)
    for row in np.flatnonzero(traded & ~measured.shorted & (over["days"] > 0)):
        daily = {name: _plain(over[name][row : row + 1])[0] for name in names}
        figures = excess_columns(_plain(sharpe[row : row + 1])[0], daily)
        for name in empty:
            columns[name][row] = figures[name]
    return columns


def _plain(values: Any) -> list[Any]:
    """Convert to Python values; values that are not finite become None."""
    listed: list[Any] = values.tolist()
    if listed and isinstance(listed[0], float):
        return [value if math.isfinite(value) else None for value in listed]
    return listed


def _daily(
    samples: Floats,
    days_a_year: float,
    held: Floats | None = None,
    exposure: Floats | None = None,
) -> dict[str, Any]:
    """Return ratios of each setting's daily returns, and moments of the compared returns.

    `samples` is equity at the start of each day (quote), shape (settings, days); `held` is the
    growth of holding at these times, shape (days or more,), and `exposure` a fraction of equity,
    shape (settings,). The compared returns are those minus `exposure` times the returns of `held`;
    without `held` they are the returns. Ratios are annual; NaN where undefined.
    """
    count, days = samples.shape
    known = days >= 2
    returns = samples[:, 1:] / samples[:, :-1] - 1.0 if known else np.zeros((count, 0))
    sound = np.all(samples[:, :-1] > 0, axis=1) & np.all(np.isfinite(returns), axis=1) & known
    returns = np.where(sound[:, None], returns, 0.0)
    downside = np.sqrt((np.minimum(returns, 0.0) ** 2).sum(axis=1) / max(1, days - 2))
    many, year = sound & (days > 2), math.sqrt(days_a_year)
    ratios = {
        "sharpe": _sharpe(returns, many) * year,
        "sortino": _over(returns, downside, many) * year,
        "excess_sharpe": np.full(count, np.nan),
    }
    if held is None or exposure is None:
        return ratios | _moments(returns, sound)
    market = np.diff(held[:days]) / held[: days - 1] if known else np.zeros(0)
    over = returns - exposure[:, None] * market
    sound = sound & np.all(np.isfinite(over), axis=1)
    over = np.where(sound[:, None], over, 0.0)
    ratios["excess_sharpe"] = _sharpe(over, sound & (days > 2)) * year
    return ratios | _moments(over, sound)


def _over(returns: Floats, spread: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean over a spread; NaN if the spread is only the rounding of the returns."""
    least = ROUNDING * np.abs(returns).max(axis=1, initial=0.0)
    mean = returns.mean(axis=1) if returns.shape[1] else np.zeros(len(returns))
    return np.asarray(mean / np.where(known & (spread > least), spread, np.nan))


def _sharpe(returns: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return the daily Sharpe ratios, with n - 1."""
    size = returns.shape[1]
    mean = returns.mean(axis=1) if size else np.zeros(len(returns))
    second = ((returns - mean[:, None]) ** 2).mean(axis=1) if size else np.zeros(len(returns))
    return _over(returns, np.sqrt(second * size / max(1, size - 1)), known)


def _moments(returns: Floats, sound: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return days, skewness, kurtosis and block sums of the returns of each setting."""
    count, size = returns.shape
    least = ROUNDING * np.abs(returns).max(axis=1, initial=0.0)
    mean = returns.mean(axis=1) if size else np.zeros(count)
    away = returns - mean[:, None]
    second = (away**2).mean(axis=1) if size else np.zeros(count)
    spread = np.where(sound & (size >= 2) & (np.sqrt(second) > least), second, np.nan)
    # slices keep the numbers of a row contiguous, so that sums do not depend on other rows
    ends = np.cumsum([0, *map(len, np.array_split(np.arange(size), BLOCKS))])
    blocks = [slice(start, end) for start, end in itertools.pairwise(ends.tolist())]
    squares = returns**2
    return {
        "days": np.where(sound, size, 0),
        "skew": (away**3).mean(axis=1) / spread**1.5 if size else np.full(count, np.nan),
        "kurtosis": (away**4).mean(axis=1) / spread**2 if size else np.full(count, np.nan),
        "block_sums": np.stack([returns[:, block].sum(axis=1) for block in blocks], axis=1),
        "block_squares": np.stack([squares[:, block].sum(axis=1) for block in blocks], axis=1),
    }
