"""Fills that a venue or a paper account reports: booked as they come, expected or not."""

from __future__ import annotations

from septet._kernel.layout import STATUS_CANCELLED, STATUS_FILLED
from septet._kernel.ledger import reduce_only
from septet._kernel.match import liquidation_charge
from septet._rules.form import routine
from septet._rules.ledger import book_outside, charge_liquidation, end_order
from septet._rules.orders import send_exit
from septet._rules.run import Run
from septet._rules.settings import (
    LEARNS_FROM_TRADES,
    LEVERAGE,
    LIQUIDATES_HERE,
    LIQUIDATION_FEE,
    R_LATE_FILL,
    R_LIQUIDATION,
    R_REBALANCE,
    learn_from_trade,
)

__all__ = ["book_venue_fill"]


@routine
def book_venue_fill(
    k, order_id, units, price, got, fee, maker, time_ns, reason, reference, given_up, run: Run
):  # fmt: skip
    """Book a fill; what is left of its order works on, or a late fill is answered by an exit.

    Returns 1 if it closed a trade. `given_up` is 1 where the order was no longer wanted.
    """
    lot = run.lot[k]
    before = run.units[k]
    working = run.working[k] == 1 and run.order_id[k] == order_id
    if working:
        reason = run.order_reason[k]
        reference = run.decision_price[k]
    if LIQUIDATES_HERE:
        charge, row = 0.0, run.log_rows
        if reason == R_LIQUIDATION and run.open_side[k] * units < 0.0:
            charge = liquidation_charge(
                1.0 * run.open_side[k], abs(units) / run.scale[k], price, run.average_price[k],
                LEVERAGE, fee, LIQUIDATION_FEE,
            )  # fmt: skip
            charge_liquidation(k, charge, run)
    closed = book_outside(
        k, units, price, got, fee, maker, time_ns, order_id, reason, 0, reference, run
    )
    if LIQUIDATES_HERE:
        run.LF[row, 5] = charge
    if LEARNS_FROM_TRADES and closed == 1:
        learn_from_trade(run)
    held = run.units[k]
    if working:
        left = run.order_units[k] - units
        if run.reduces[k] == 1:
            left = reduce_only(left, held)
        over = left * run.order_units[k] <= 0.0
        run.order_units[k] = left
        if over or abs(left) < lot:
            end_order(k, STATUS_FILLED, reason, time_ns, run)
        elif run.reduces[k] == 1 and run.open_side[k] == 0:  # the rest is dust
            end_order(k, STATUS_CANCELLED, reason, time_ns, run)
        return closed
    leaving = given_up == 1
    if run.working[k] == 1:  # never more is sent than what is still to be done
        left = run.order_units[k]
        if run.reduces[k] == 1:
            leaving = leaving or run.order_reason[k] != R_REBALANCE
            left = reduce_only(left, held)
        elif left * units > 0.0:
            left = max(0.0, left - units) if left > 0.0 else min(0.0, left - units)
        run.order_units[k] = left
        if abs(left) < lot:
            end_order(k, STATUS_CANCELLED, R_LATE_FILL, time_ns, run)
    if leaving and (abs(held) > abs(before) or held * before < 0.0):  # nobody wants what came
        send_exit(k, R_LATE_FILL, time_ns, run)
    return closed
