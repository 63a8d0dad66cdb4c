"""One decision time, in the order in which everything happens at it.

Bars that a paper or live run missed are only matched against orders, and their closes are marks if
fills are simulated. Halts are tested and decisions made at the newest bar only.
"""

from __future__ import annotations

from septet._kernel.layout import ONLY_MATCHED, REBALANCE_DUE
from septet._rules.account import list_all, list_held, mark, reset_order_count
from septet._rules.bars import match_bar
from septet._rules.buying import buy_regularly
from septet._rules.compile_marks import kernel
from septet._rules.decide import decide
from septet._rules.grid import rest_grids
from septet._rules.halts import check_halts
from septet._rules.level_rows import keep_levels
from septet._rules.rebalance import note_due, rebalance
from septet._rules.run_state import Run
from septet._rules.settings import (
    BUYS,
    GRID,
    HALTS,
    LEVEL_ROWS,
    PORTFOLIO,
    PORTFOLIO_SLOT,
    RUNGS,
    VENUE_FILLS,
)

__all__ = ["step"]


@kernel
def step(t, run: Run):
    """Run one decision time, in order."""
    now_ns = run.known_ns[t]
    if VENUE_FILLS and RUNGS:
        run.newest_time = t
    if PORTFOLIO:
        note_due(t, run)
    reset_order_count(now_ns, run)
    count = list_all(run)
    match_bar(t, now_ns, count, run)
    if VENUE_FILLS and run.is_late == ONLY_MATCHED:  # the current position was not held then
        return
    held = list_held(run)
    mark(t, held, run)
    if run.is_late == ONLY_MATCHED:
        return
    if HALTS:
        check_halts(t, now_ns, run)
    decide(t, now_ns, count, run)
    if PORTFOLIO and run.C[PORTFOLIO_SLOT + REBALANCE_DUE] == 1:
        rebalance(t, now_ns, run)
    if BUYS and run.DUE[t] == 1:
        buy_regularly(t, now_ns, run)
    if GRID:
        rest_grids(t, now_ns, run)
    if LEVEL_ROWS:
        keep_levels(t, now_ns, count, run)
