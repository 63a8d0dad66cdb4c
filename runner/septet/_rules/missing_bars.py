"""Entries of a symbol whose scheduled bar is missing: those without an open in time expire.

A time without a bar of k has, in place of the bar's number, the open of the newest scheduled bar of
k that did not come: see `NO_BAR` in `septet._kernel.layout`. With one symbol there is no such time.
"""

from __future__ import annotations

from septet._kernel.layout import MARKET, NO_BAR, STATUS_EXPIRED
from septet._rules.compile_marks import routine
from septet._rules.ledger import end_queued
from septet._rules.orders import expire
from septet._rules.run_state import Run
from septet._rules.settings import BAR_NS, QUEUES, R_NO_MARKET, TIME_IN_FORCE

__all__ = ["bars_left_at", "expire_without_open"]


@routine
def bars_left_at(k, i, run: Run):
    """Return the time in force (bars) of k's entry at the open of bar i, after missing bars.

    Zero for a market order without an open less than one bar after it began to work.
    """
    if run.order_type[k] == MARKET and run.open_ns[k, i - 1] < run.active_ns[k]:
        return run.bars_left[k] if run.open_ns[k, i] - run.active_ns[k] < BAR_NS else 0
    early = (run.active_ns[k] - run.open_ns[k, i - 1]) // BAR_NS - 1
    return run.bars_left[k] - max(0, run.missing_bars[k, i] - max(0, early))


@routine
def expire_without_open(k, t, now_ns, run: Run):
    """Expire the entries of k that have found no open in time, where k has no bar at T.

    A market order is given one bar, a resting one its time in force. The bars that are missing
    between two decision times count as one here, and all of them at the next bar.
    """
    cell = run.bar[k, t]
    queued = QUEUES and run.queued_id[k] != 0
    works = run.working[k] == 1 and run.reduces[k] == 0
    if (not queued and not works) or cell >= -1 or cell == run.bar[k, t - 1]:
        return
    if run.bar[k, t - 1] >= -1:
        run.bars_missed[k] = 0
    opened = cell - NO_BAR
    if QUEUES and queued:
        if opened >= run.queued_active_ns[k]:
            run.bars_missed[k] = run.bars_missed[k] + 1
            if run.queued_bars[k] <= run.bars_missed[k]:
                end_queued(k, STATUS_EXPIRED, R_NO_MARKET, now_ns, run)
    elif opened >= run.active_ns[k]:
        run.bars_missed[k] = run.bars_missed[k] + 1
        at_market = run.order_type[k] == MARKET and run.bars_left[k] == TIME_IN_FORCE
        if at_market or run.bars_left[k] <= run.bars_missed[k]:
            expire(k, R_NO_MARKET, now_ns, run)
