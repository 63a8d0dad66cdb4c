"""A resting entry of the other side: a separate market order closes the position first.

The exit is the working order. The entry is queued behind it, and becomes the working order as soon
as nothing of the other side is held.
"""

from __future__ import annotations

from septet._kernel.layout import STATUS_CANCELLED, STATUS_EXPIRED
from septet._rules.compile_marks import routine
from septet._rules.ledger import end_queued, log_order, place_order
from septet._rules.orders import send_exit
from septet._rules.records import Order
from septet._rules.run_state import Run
from septet._rules.settings import (
    LATENCY_NS,
    OPPOSITE_EXITS,
    PORTFOLIO,
    R_ENTRY,
    R_EXIT,
    R_INCREASE,
    R_OPPOSITE,
    R_UNFILLED,
    TIME_IN_FORCE,
)

__all__ = [
    "cancel_queued", "count_down_queued", "drop_unwanted", "place_behind_exit", "queue_entry",
    "release",
]  # fmt: skip


@routine
def place_behind_exit(k, kind, units, now_ns, run: Run):
    """Close the position of k at market, and queue an entry of the other side; return its row.

    A position below the minimum notional cannot be closed alone: the entry closes it with it.
    """
    send_exit(k, R_OPPOSITE, now_ns, run)
    if run.working[k] == 1:
        return queue_entry(k, kind, units, now_ns, run)
    return place_order(
        k,
        Order(
            kind=kind, units=units - run.units[k], reason=R_ENTRY,
            decision_price=run.candidate_price,
            limit=run.candidate_limit, trigger=run.candidate_trigger,
        ),
        now_ns + LATENCY_NS, TIME_IN_FORCE, 0, now_ns, run,
    )  # fmt: skip


@routine
def queue_entry(k, kind, units, now_ns, run: Run):
    """Make an entry of k that waits for the working exit, log it, and return its row."""
    limit, trigger = run.candidate_limit, run.candidate_trigger
    reason = R_INCREASE if PORTFOLIO else R_ENTRY
    price = run.candidate_price
    row = log_order(
        k,
        Order(
            kind=kind, units=units, reason=reason, decision_price=price,
            limit=limit, trigger=trigger,
        ),
        now_ns, run,
    )  # fmt: skip
    run.queued_id[k] = run.LI[row, 3] + 1
    run.queued_type[k] = kind
    run.queued_units[k] = units
    run.queued_limit[k] = limit
    run.queued_trigger[k] = trigger
    run.queued_price[k] = price
    run.queued_active_ns[k] = now_ns + LATENCY_NS
    run.queued_bars[k] = TIME_IN_FORCE
    return row


@routine
def release(k, run: Run):
    """Make the queued entry of k the working order once no position of the other side is held."""
    units = run.queued_units[k]
    if run.queued_id[k] == 0 or run.working[k] == 1 or run.open_side[k] * units < 0.0:
        return
    run.working[k] = 1
    run.order_id[k] = run.queued_id[k] - 1
    run.order_type[k] = run.queued_type[k]
    run.order_reason[k] = R_INCREASE if PORTFOLIO else R_ENTRY
    run.order_units[k] = units
    run.limit_price[k] = run.queued_limit[k]
    run.trigger_price[k] = run.queued_trigger[k]
    run.decision_price[k] = run.queued_price[k]
    run.reduces[k] = 0
    run.active_ns[k] = run.queued_active_ns[k]
    run.bars_left[k] = run.queued_bars[k]
    run.queued_id[k] = 0
    run.queued_units[k] = 0.0


@routine
def count_down_queued(k, i, now_ns, run: Run):
    """Count bar i towards the time in force of k's queued entry; expire it when that is over."""
    if run.queued_id[k] == 0 or run.open_ns[k, i] < run.queued_active_ns[k]:
        return
    if run.is_synthetic[k, i] == 0:
        run.queued_bars[k] = run.queued_bars[k] - 1
    if run.queued_bars[k] <= 0:
        end_queued(k, STATUS_EXPIRED, R_UNFILLED, now_ns, run)


@routine
def drop_unwanted(k, target, now_ns, run: Run):
    """Cancel the queued entry of k unless the signal is of its side or none; the exit goes on."""
    if target == 0.0:
        cancel_queued(k, R_EXIT, now_ns, run)
    elif OPPOSITE_EXITS and target * run.queued_units[k] < 0.0:
        cancel_queued(k, R_OPPOSITE, now_ns, run)


@routine
def cancel_queued(k, reason, now_ns, run: Run):
    """Cancel the queued entry of k, if there is one."""
    if run.queued_id[k] != 0:
        end_queued(k, STATUS_CANCELLED, reason, now_ns, run)
