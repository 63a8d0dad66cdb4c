"""Regular buys of a fixed amount, fees included, from available cash; sent when due, or dropped.

They skip `min_interval`, the block of re-entry and the regime; every other check applies.
"""

from __future__ import annotations

from septet._kernel.layout import MARKET
from septet._rules.compile_marks import routine
from septet._rules.enter import (
    buying_power,
    cap,
    describe_entry,
    rejection_by_order_limits,
    rejection_of_increase,
    rejection_of_size,
    take_costs,
    tighter,
)
from septet._rules.ledger import place_order
from septet._rules.levels import is_too_small, rejection_of_stops, restart_counts
from septet._rules.records import Order
from septet._rules.resting import leaving_units
from septet._rules.run_state import Run
from septet._rules.settings import (
    BUY_AMOUNT,
    LATENCY_NS,
    ONE_SYMBOL,
    R_BUY_EVERY,
    R_CASH,
    R_EXIT,
    SLIPPAGE_HINT,
    SPOT,
    SYMBOLS,
    TABLES,
    TAKER_FEE,
    TIME_IN_FORCE,
)

__all__ = ["buy", "buy_regularly", "cash_at_hand", "rejection_of_buy"]


@routine
def buy_regularly(t, now_ns, run: Run):
    """Buy every symbol that has a bar at T, in universe order."""
    for k in range(SYMBOLS):
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0:
            buy(k, t, i, now_ns, run)


@routine
def rejection_of_buy(k, i, now_ns, run: Run):
    """Return the reason to reject a buy of k whatever its amount, or -1."""
    rejected = rejection_of_increase(k, run.is_late, 0, run)
    if rejected >= 0:
        return rejected
    if run.open_side[k] != 0 and leaving_units(k, run) == abs(run.units[k]):
        return R_EXIT
    if run.working[k] == 1:  # its place is taken: missing bars can delay what is due
        return R_EXIT if run.reduces[k] == 1 else R_BUY_EVERY
    if run.open_side[k] == 0 or is_too_small(k, run.close[k, i], run):  # it reads its distances
        return rejection_of_stops(k, i, 1.0, run.close[k, i], now_ns, run)
    return -1


@routine
def cash_at_hand(now_ns, run: Run):
    """Return the buying power without the expected proceeds of working reductions (quote)."""
    cash = buying_power(now_ns, run)
    for k in range(SYMBOLS):
        leaving = leaving_units(k, run) / run.scale[k] * run.mark[k]
        cash -= leaving * (1.0 - SLIPPAGE_HINT) * (1.0 - TAKER_FEE)
    return cash


@routine
def buy(k, t, i, now_ns, run: Run):
    """Send the buy of k that is due at bar i, as far as limits and cash allow."""
    run.target_side[k] = 1.0
    working = describe_entry(k, i, False, run)
    run.target_side[k] = 0.0
    requested, units, capped = BUY_AMOUNT / run.candidate_cost, 0.0, -1
    rejected = rejection_of_buy(k, i, now_ns, run)
    if rejected < 0:
        run.candidate_requested = requested
        take_costs(k, working, False, run)
        units, capped = cap(k, t, i, now_ns, requested, 1.0, run)
        if SPOT:
            room = max(0.0, cash_at_hand(now_ns, run) / run.candidate_cost) * run.scale[k]
            units, capped = tighter(units, capped, room, R_CASH, run.lot[k])
        rejected = rejection_of_size(k, units, capped, run)
        if rejected < 0:
            rejected = rejection_by_order_limits(k, i, now_ns, units, run)
    if TABLES:
        run.requested[k, i] = requested
        run.granted[k, i] = units / run.scale[k] if rejected < 0 else 0.0
        run.capped_code[k, i] = capped + 1
        run.rejected_code[k, i] = rejected + 1
    if rejected >= 0:
        return
    row = place_order(
        k,
        Order(
            kind=MARKET, units=units, reason=R_BUY_EVERY, decision_price=run.candidate_price
        ),
        now_ns + LATENCY_NS, TIME_IN_FORCE, 0, now_ns, run,
    )  # fmt: skip
    run.LF[row, 6] = run.equity
    run.exit_to_retry[k] = 0
    if is_too_small(k, run.close[k, i], run):
        restart_counts(k, i, now_ns, run)
