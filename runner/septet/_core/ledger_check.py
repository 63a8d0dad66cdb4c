"""Checks that the books of a run add up: the results of all trades are the gain of equity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from septet._core.state import State
from septet._kernel import layout
from septet.errors import RunError

__all__ = ["check_books", "overflowed", "unexplained"]

SHARE: Final = 1e-9
"""Difference that is ignored, as a share of the capital."""
ROUNDING: Final = 1e-15
"""Rounding of sums, as a share of what was added up."""


def unexplained(state: State, capital: float, results: Iterable[float] | None = None) -> float:
    """Return the gain of equity not explained by trades (quote); zero if rounding explains it.

    NaN if a sum has overflowed.

    Parameters
    ----------
    state
        The state of a run, at any time.
    capital
        Equity before the first trade.
    results
        Results of all trades (quote), open ones and dust included; None takes those of the state.
    """
    A, B = state.A, state.B
    mark = B[:, layout.MARK]
    held = np.where(B[:, layout.UNITS] != 0.0, B[:, layout.UNITS] / B[:, layout.SCALE], 0.0)
    worth = np.where(held != 0.0, held * mark, 0.0)
    equity = _sum([A[layout.CASH], *worth.tolist()])
    if results is None:
        is_open = state.I[:, layout.OPEN_SIDE] != 0
        move = np.where(is_open, mark - B[:, layout.AVERAGE], mark)
        paid = layout.TRADE_FEES, layout.TRADE_FUNDING, layout.TRADE_LIQUIDATION
        booked = B[:, layout.TRADE_GROSS] - B[:, paid].sum(axis=1)
        open_results = np.where(held != 0.0, held * move, 0.0) - B[:, layout.DUST_COST]
        open_results += np.where(is_open, booked, 0.0)
        results = [A[layout.GAINED], -A[layout.LOST], *open_results.tolist()]
    missing = _sum([*results, capital, -equity])
    if math.isnan(missing):
        return math.nan
    largest = max(abs(equity), abs(float(A[layout.PEAK])), capital)
    summed = float(A[layout.TURNOVER]) + float(state.C[layout.ORDERS]) * largest
    return missing if not abs(missing) <= SHARE * capital + ROUNDING * summed else 0.0


def _sum(parts: Sequence[float]) -> float:
    """Return an exact sum, rounded once; NaN where a part, or the sum, is no finite number."""
    try:
        return math.fsum(parts) if all(map(math.isfinite, parts)) else math.nan
    except OverflowError:
        return math.nan


def overflowed(state: State, trades: Mapping[str, Any] | None = None) -> str:
    """Return the cause of an overflow of equity, as far as the numbers show it.

    Parameters
    ----------
    state
        The state of a run, at any time.
    trades
        Columns of its trades, where they are kept: the largest finite one shows the cause.
    """
    rows = np.asarray(trades["pnl"] if trades is not None else (), dtype=np.float64)
    numbers = np.flatnonzero(np.isfinite(rows))
    if trades is None or not len(numbers):
        A = state.A
        parts = ("cash", layout.CASH), ("funding paid", layout.FUNDING_PAID), ("fees", layout.FEES)
        return ", ".join(f"{name} {float(A[place]):.6g}" for name, place in parts)
    row = int(numbers[np.argmax(np.abs(rows[numbers]))])
    funding, fees = (float(np.asarray(trades[name])[row]) for name in ("funding", "fees"))
    result = float(rows[row])
    ended = np.asarray(trades["exit_time"])[row].astype("datetime64[ns]")
    causes = {
        f"funding, of which it {_flow(funding)}": abs(funding),
        f"fees, of which it {_flow(fees)}": abs(fees),
        "the move of the price": abs(result + funding + fees),
    }
    return (
        f"its largest trade that is still a number, {list(trades['symbol'])[row]} until "
        f"{ended.astype('datetime64[s]')}Z, made {result:.6g}, most of it by "
        f"{max(causes, key=causes.__getitem__)}"
    )


def _flow(cost: float) -> str:
    return f"received {-cost:.6g}" if cost < 0.0 else f"paid {cost:.6g}"


def check_books(state: State, capital: float, trades: Mapping[str, Any] | None = None) -> None:
    """Refuse the result of a run whose trades do not sum to the gain of its equity.

    `trades` are the columns of all trades, open ones and dust included; None takes the sums of the
    state.

    Raises
    ------
    RunError
        If more than a billionth of the capital is missing, or equity has overflowed.
    """
    missing = unexplained(state, capital, None if trades is None else trades["pnl"])
    if math.isnan(missing):
        raise RunError(
            f"equity has overflowed: {overflowed(state, trades)}; no figure of this run means "
            "anything",
            hint="look at what multiplies equity over and over: rates of funding or rebates of "
            "fees that no market charges, or prices in another unit; or end the run earlier",
        )
    if missing != 0.0:
        raise RunError(
            f"the books do not add up: the results of all trades are {missing:+.12g} away from "
            f"what the equity gained, expected at most {SHARE:g} of the capital ({capital:.12g})",
            hint="no figure of this run can be relied on; this is a fault of septet, report it",
        )
