"""Whether the books of a run add up: the results of all trades are what equity gained."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from septet._core.state import State
from septet._kernel import layout
from septet.errors import RunError

__all__ = ["check_books", "unexplained"]

SHARE: Final = 1e-9
"""What may be missing, as a share of the capital."""
ROUNDING: Final = 1e-15
"""Rounding of sums, as a share of what was added up."""


def unexplained(state: State, capital: float, results: Iterable[float] | None = None) -> float:
    """Return what equity gained and no trade explains (quote); zero where rounding explains it.

    Parameters
    ----------
    state
        The state of a run, at any time.
    capital
        Equity before the first trade.
    results
        Results of all trades, those that are open and dust included; None: as the state has them.
    """
    A, B = state.A, state.B
    mark = B[:, layout.MARK]
    held = np.where(B[:, layout.UNITS] != 0.0, B[:, layout.UNITS] / B[:, layout.SCALE], 0.0)
    worth = np.where(held != 0.0, held * mark, 0.0)
    equity = math.fsum([A[layout.CASH], *worth.tolist()])
    if results is None:
        is_open = state.I[:, layout.OPEN_SIDE] != 0
        move = np.where(is_open, mark - B[:, layout.AVERAGE], mark)
        paid = layout.TRADE_FEES, layout.TRADE_FUNDING, layout.TRADE_LIQUIDATION
        booked = B[:, layout.TRADE_GROSS] - B[:, paid].sum(axis=1)
        made = np.where(held != 0.0, held * move, 0.0) - B[:, layout.DUST_COST]
        made += np.where(is_open, booked, 0.0)
        results = [A[layout.GAINED], -A[layout.LOST], *made.tolist()]
    missing = math.fsum([*results, capital, -equity])
    largest = max(abs(equity), abs(float(A[layout.PEAK])), capital)
    summed = float(A[layout.TURNOVER]) + float(state.C[layout.ORDERS]) * largest
    return missing if not abs(missing) <= SHARE * capital + ROUNDING * summed else 0.0


def check_books(state: State, capital: float, results: Iterable[float] | None = None) -> None:
    """Refuse the result of a run whose trades do not explain what its equity gained.

    Raises
    ------
    RunError
        If more than a billionth of the capital is missing.
    """
    missing = unexplained(state, capital, results)
    if missing != 0.0:
        raise RunError(
            f"the books do not add up: the results of all trades are {missing:+.12g} away from "
            f"what the equity gained, expected at most {SHARE:g} of the capital ({capital:.12g})",
            hint="no figure of this run can be relied on; this is a fault of septet, report it",
        )
