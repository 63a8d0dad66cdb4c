"""The working order of a symbol: exits that are sent, and entries that end."""

from __future__ import annotations

from septet._kernel.layout import MARKET, STATUS_CANCELLED, STATUS_EXPIRED
from septet._kernel.ledger import floor_units
from septet._kernel.match import too_small
from septet._rules.compile_marks import routine
from septet._rules.grid_orders import end_grid_orders, waits_too_small
from septet._rules.ledger import end_order, place_order
from septet._rules.records import Order
from septet._rules.reentry import block_after
from septet._rules.resting import end_rungs, end_take
from septet._rules.run_state import Run
from septet._rules.settings import (
    EXITS,
    GRID,
    HALTS,
    LATENCY_NS,
    R_REVERSAL,
    RUNGS,
    SENDS_TAKES,
    SPOT,
    VENUE_FILLS,
)

__all__ = ["continue_exit", "expire", "go_on", "send_exit"]


@routine
def send_exit(k, reason, now_ns, run: Run):
    """Make a market order that closes the position of k the working order; nothing blocks it.

    An exit below the minimum notional is retried. An exit that replaces a market flip fills at the
    time of the flip: only the opening part of the flip is dropped. What takes that were sent close
    alone needs no exit.
    """
    active_ns = now_ns + LATENCY_NS
    if RUNGS:
        end_rungs(k, reason, now_ns, run)
    if GRID:
        end_grid_orders(k, reason, now_ns, run)
    held = run.units[k]
    units = -floor_units(held, run.lot[k]) if held > 0.0 else floor_units(-held, run.lot[k])
    if run.working[k] == 1:
        if run.reduces[k] == 1 and abs(run.order_units[k]) >= abs(units):
            return
        if SENDS_TAKES and not VENUE_FILLS:
            sent_units = abs(run.order_units[k]) + abs(run.take_units[k])
            if run.reduces[k] == 1 and sent_units >= abs(units):
                return
        if not SPOT and (
            run.reduces[k] == 0 and run.order_type[k] == MARKET and run.order_units[k] * units > 0.0
        ):
            active_ns = min(active_ns, run.active_ns[k])
        end_order(k, STATUS_CANCELLED, reason, now_ns, run)
    small = too_small(units, run.scale[k], run.mark[k], run.min_notional[k], run.min_units[k])
    if SENDS_TAKES:
        if not VENUE_FILLS and abs(run.take_units[k]) >= abs(units) > 0.0:
            return
        end_take(k, reason, now_ns, run)
    if units == 0.0:
        return
    if small:
        if run.exit_to_retry[k] == 0:
            run.exit_to_retry[k] = reason + 1
            if EXITS or HALTS:  # the position may stay for long: its side is not entered meanwhile
                block_after(k, run.open_side[k], reason, run)
        return
    run.exit_to_retry[k] = 0
    row = place_order(
        k, Order(kind=MARKET, units=units, reason=reason, decision_price=run.mark[k]),
        active_ns, 0, 1, now_ns, run,
    )  # fmt: skip
    run.LF[row, 6] = run.equity


@routine
def go_on(k, now_ns, run: Run):
    """Send again an exit that could not be sent, or that ended before it was filled.

    One that is still too small keeps its reason, and does not renew the block of its side; nor does
    the fill of one that is sent. A grid continues to trade meanwhile.
    """
    if GRID and waits_too_small(k, run):
        return
    reason = run.exit_to_retry[k] - 1
    run.exit_to_retry[k] = 0
    if run.open_side[k] != 0:
        if EXITS or HALTS:
            blocked_long, blocked_short = run.blocked_long[k], run.blocked_short[k]
            orders = run.orders
        send_exit(k, reason, now_ns, run)
        if EXITS or HALTS:
            if run.exit_to_retry[k] != 0:
                run.blocked_long[k], run.blocked_short[k] = blocked_long, blocked_short
            elif run.orders != orders:
                run.waited_exit[k] = run.order_id[k] + 1


@routine
def continue_exit(k, reason, replaced, active_ns, time_ns, run: Run):
    """Send what is left of the exit `replaced`, which a target has ended, as of its own time."""
    waited = run.waited_exit[k] == replaced + 1
    send_exit(k, reason, time_ns, run)
    run.active_ns[k] = active_ns
    if (EXITS or HALTS) and (waited and run.working[k] == 1):
        run.waited_exit[k] = run.order_id[k] + 1


@routine
def expire(k, reason, time_ns, run: Run):
    """Expire an entry order; the position that it would have closed is closed by a market exit."""
    if SPOT and not VENUE_FILLS:
        end_order(k, STATUS_EXPIRED, reason, time_ns, run)
    else:
        turns = run.units[k] * run.order_units[k] < 0.0
        if not VENUE_FILLS:
            active_ns = run.active_ns[k]
        end_order(k, STATUS_EXPIRED, reason, time_ns, run)
        if turns:
            send_exit(k, R_REVERSAL, time_ns, run)
            if not VENUE_FILLS:  # it was sent with the entry: a reduction waits for any open
                run.active_ns[k] = active_ns
