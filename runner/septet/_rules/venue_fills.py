"""Fills reported by a venue or a paper account: booked as they arrive, unexpected ones too."""

from __future__ import annotations

from math import nan

from septet._kernel.layout import (
    GRID_BOUGHT,
    GRID_ENTRY,
    LIMIT,
    STATUS_CANCELLED,
    STATUS_FILLED,
    STOP,
)
from septet._kernel.ledger import floor_units, reduce_only
from septet._kernel.match import liquidation_charge
from septet._rules.account import revalue
from septet._rules.compile_marks import kernel, routine
from septet._rules.grid_orders import (
    end_grid_entries,
    end_grid_orders,
    end_grid_trade,
    waits_too_small,
)
from septet._rules.halts import check_halts_between
from septet._rules.ledger import (
    book_amounts,
    charge_liquidation,
    end_order,
    end_queued,
    place_order,
)
from septet._rules.levels import (
    begin_again,
    begin_steps,
    protective_level,
    read_distances,
    target_level,
)
from septet._rules.orders import send_exit
from septet._rules.queued import release
from septet._rules.records import Fill, Order
from septet._rules.reentry import block_after, block_after_fill, block_side
from septet._rules.resting import end_beside, end_rungs, end_steps, end_take
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    EXITS,
    GRID,
    HALTS,
    LEARNS_FROM_TRADES,
    LEVERAGE,
    LIQUIDATES_HERE,
    LIQUIDATION_FEE,
    PORTFOLIO,
    PROTECTIVE,
    QUEUES,
    R_ADD,
    R_ENTRY,
    R_GONE,
    R_GRID,
    R_GRID_EXIT,
    R_INCREASE,
    R_LATE_FILL,
    R_LIQUIDATION,
    R_OTHER_SIDE,
    R_REBALANCE,
    R_REVERSAL,
    R_TAKE,
    RUNGS,
    SENDS_TAKES,
    STEPS,
    TAKES_AT,
    TARGETS,
    TOUCHES,
    learn_from_trade,
)
from septet._rules.stops import liquidate, newest_bar, touch
from septet._rules.venue_grid import count_level, end_sent_level, level_of_order, touch_grid
from septet._rules.venue_steps import (
    begin_ladder,
    count_add,
    end_sent_add,
    end_sent_take,
    fill_sent_add,
    fill_sent_take,
    move_stop,
    touch_adds,
    touch_takes,
)

__all__ = [
    "book_reported", "book_venue_fill", "closes_all", "fill_level", "fill_queued", "follow_fill",
    "take_in_fill", "take_price", "touch_levels", "venue_ended", "venue_triggered",
]  # fmt: skip


@routine
def book_venue_fill(k, fill: Fill, net_units, fee, given_up, run: Run):
    """Book a fill; an entry that waited for it begins to work.

    Returns 1 if it closed a trade. `given_up` is 1 if the strategy had cancelled the order.
    """
    order_id, units, time_ns = fill.order_id, fill.units, fill.time_ns
    if STEPS and run.moved_ns[k] != time_ns:
        move_stop(k, newest_bar(k, run), run)
    if QUEUES and (order_id >= 0 and run.queued_id[k] == order_id + 1):
        return fill_queued(k, fill, net_units, fee, run)
    if SENDS_TAKES and (run.take_units[k] != 0.0 and run.take_id[k] == order_id):
        done = fill_sent_take(k, units, run)
        closed = book_reported(k, fill._replace(reason=R_TAKE), net_units, fee, run)
        if done == 1:
            end_beside(k, order_id, 0.0, STATUS_FILLED, R_TAKE, time_ns, run)
        if QUEUES:
            release(k, run)
        return closed
    if GRID and order_id >= 0:  # a level or an add that is only watched has the number -1
        at = level_of_order(k, order_id, run)
        if at >= 0:
            return fill_level(k, at, fill, net_units, fee, run)
    if RUNGS and order_id >= 0:
        of_add = fill_sent_add(k, order_id, units, run)
        if of_add > 0:
            closed = book_reported(k, fill._replace(reason=R_ADD), net_units, fee, run)
            if of_add == 2:
                end_beside(k, order_id, 0.0, STATUS_FILLED, R_ADD, time_ns, run)
            return closed
    closed = take_in_fill(k, fill, net_units, fee, given_up, run)
    if QUEUES:
        release(k, run)
    if RUNGS:
        begin_ladder(k, time_ns, run)
    return closed


@routine
def fill_queued(k, fill: Fill, net_units, fee, run: Run):
    """Book a fill of the entry queued behind an exit, which reduces the exit."""
    side, time_ns = run.open_side[k], fill.time_ns
    closed = book_amounts(k, fill, net_units, fee, run)
    if LEARNS_FROM_TRADES and closed == 1:
        learn_from_trade(run)
    if STEPS:
        follow_fill(k, side, closed, 1, time_ns, run)
    unfilled = run.queued_units[k] - fill.units
    if unfilled * run.queued_units[k] <= 0.0 or abs(unfilled) < run.lot[k]:
        end_queued(k, STATUS_FILLED, fill.reason, time_ns, run)
    else:
        run.queued_units[k] = unfilled
    if run.working[k] == 1 and run.reduces[k] == 1:
        run.order_units[k] = reduce_only(run.order_units[k], run.units[k])
        if abs(run.order_units[k]) < run.lot[k]:
            end_order(k, STATUS_CANCELLED, run.order_reason[k], time_ns, run)
    release(k, run)
    return closed


@routine
def fill_level(k, at, fill: Fill, net_units, fee, run: Run):
    """Book a fill of a level of the grid of k, which holds what it has bought net of fees."""
    enters = run.B[k, at + GRID_ENTRY] != 0.0
    reason, time_ns = R_GRID if enters else R_GRID_EXIT, fill.time_ns
    before, adds = abs(run.units[k]), enters and waits_too_small(k, run)
    done = count_level(k, at, fill.units, run)
    closed = book_reported(k, fill._replace(reason=reason), net_units, fee, run)
    change = abs(run.units[k]) - before
    if closed == 0:
        change = change if enters else min(0.0, change)
        bought = max(0.0, run.B[k, at + GRID_BOUGHT] + change)
        run.B[k, at + GRID_BOUGHT] = bought if bought >= run.lot[k] or enters else 0.0
    if adds and closed == 0:
        begin_again(k, fill.units, 0, time_ns, run)
    if done == 1:
        end_beside(k, fill.order_id, 0.0, STATUS_FILLED, reason, time_ns, run)
    if run.open_side[k] != 0:
        end_grid_entries(k, -1.0 * run.open_side[k], R_OTHER_SIDE, time_ns, run)
    return closed


@routine
def book_reported(k, fill: Fill, net_units, fee, run: Run):
    """Book a fill in the account, a liquidation with its charge; return 1 if it closed a trade."""
    order_id, reason, time_ns = fill.order_id, fill.reason, fill.time_ns
    side, before = run.open_side[k], run.units[k]
    if LIQUIDATES_HERE:
        charge, row = 0.0, run.log_rows
        if reason == R_LIQUIDATION and run.open_side[k] * fill.units < 0.0:
            charge = liquidation_charge(
                1.0 * run.open_side[k], abs(fill.units) / run.scale[k], fill.price,
                run.average_price[k], LEVERAGE, fee, LIQUIDATION_FEE,
                run.margin_funding[k] * (abs(fill.units) / abs(run.units[k])),
            )  # fmt: skip
            charge_liquidation(k, charge, run)
    closed = book_amounts(k, fill, net_units, fee, run)
    if LIQUIDATES_HERE:
        run.LF[row, 5] = charge
    if LEARNS_FROM_TRADES and closed == 1:
        learn_from_trade(run)
    if (EXITS or HALTS) and closed == 1:
        block_after_fill(k, side, order_id, reason, run)
        if reason == R_GONE:  # closed by others, which the signal does not know
            block_side(k, side, run)
    if GRID and closed == 1:
        end_grid_trade(k, reason, time_ns, run)
    if STEPS:
        decided = run.working[k] == 1 and run.order_id[k] == order_id and run.reduces[k] == 0
        if GRID:
            decided = decided or reason == R_GRID
        follow_fill(k, side, closed, 1 if decided else 0, time_ns, run)
    again = order_id >= 0 and run.begins_again[k] == order_id + 1
    if again and (side != 0 and run.open_side[k] == side):
        begin_again(k, run.units[k] - before, 0, time_ns, run)
    return closed


@routine
def follow_fill(k, side, closed, decided, time_ns, run: Run):
    """Begin or end the steps of a trade with a fill; `side` is that of the position before it.

    A position without an entry that was `decided` here gets the distances known now.
    """
    run.moved_ns[k] = time_ns if run.open_side[k] != 0 else 0
    if closed == 1:
        end_steps(k, side, time_ns, run)
    if run.open_side[k] != 0 and (closed == 1 or side == 0):
        if decided == 0:
            read_distances(k, newest_bar(k, run), 1.0 * run.open_side[k], time_ns, run)
        begin_steps(k, time_ns, run)


@routine
def take_in_fill(k, fill: Fill, net_units, fee, given_up, run: Run):
    """Book a fill of an order that is not queued; the rest keeps working.

    A late fill causes an exit.
    """
    units, time_ns, lot = fill.units, fill.time_ns, run.lot[k]
    before = run.units[k]
    working = run.working[k] == 1 and run.order_id[k] == fill.order_id
    reason, decision_price = fill.reason, fill.decision_price
    if working:
        reason = run.order_reason[k]
        decision_price = run.decision_price[k]
    closed = book_reported(
        k, fill._replace(reason=reason, decision_price=decision_price), net_units, fee, run
    )
    held = run.units[k]
    if working:
        if run.reduces[k] == 0:
            run.exit_to_retry[k] = 0
            if ADDS_WHEN and reason == R_ADD:
                count_add(k, run)
        unfilled = run.order_units[k] - units
        if run.reduces[k] == 1:
            unfilled = reduce_only(unfilled, held)
        over = unfilled * run.order_units[k] <= 0.0
        run.order_units[k] = unfilled
        if over or abs(unfilled) < lot:
            end_order(k, STATUS_FILLED, reason, time_ns, run)
        elif run.reduces[k] == 1 and run.open_side[k] == 0:  # the rest is dust
            end_order(k, STATUS_CANCELLED, reason, time_ns, run)
        return closed
    leaving = given_up == 1
    if run.working[k] == 1:  # no more is sent than is still to be filled
        unfilled = run.order_units[k]
        if run.reduces[k] == 1:
            leaving = (
                leaving
                or run.order_reason[k] != R_REBALANCE
                or (PORTFOLIO and abs(unfilled) >= floor_units(abs(before), lot))
            )
            unfilled = reduce_only(unfilled, held)
        elif unfilled * units > 0.0:
            unfilled = max(0.0, unfilled - units) if unfilled > 0.0 else min(0.0, unfilled - units)
        run.order_units[k] = unfilled
        if abs(unfilled) < lot:
            end_order(k, STATUS_CANCELLED, R_LATE_FILL, time_ns, run)
    if leaving and (abs(held) > abs(before) or held * before < 0.0):  # unwanted units
        send_exit(k, R_LATE_FILL, time_ns, run)
    return closed


@kernel
def closes_all(k, run: Run):
    """Whether the working reduction of k closes the whole position: a weight of zero."""
    return abs(run.order_units[k]) >= floor_units(abs(run.units[k]), run.lot[k])


@routine
def venue_ended(k, order_id, status, time_ns, run: Run):
    """Process the end of k's order at the venue; an unfilled exit continues, unless a target."""
    if QUEUES and run.queued_id[k] == order_id + 1:
        end_queued(k, status, R_INCREASE if PORTFOLIO else R_ENTRY, time_ns, run)
        return
    if SENDS_TAKES and (run.take_units[k] != 0.0 and run.take_id[k] == order_id):
        end_sent_take(k, status, time_ns, run)
        return
    if GRID and order_id >= 0:
        at = level_of_order(k, order_id, run)
        if at >= 0:
            end_sent_level(k, at, order_id, status, time_ns, run)
            return
    if RUNGS and (order_id >= 0 and end_sent_add(k, order_id, status, time_ns, run) == 1):
        return
    if run.working[k] == 0 or run.order_id[k] != order_id:
        return
    reason = run.order_reason[k]
    if run.reduces[k] == 0 and run.units[k] * run.order_units[k] < 0.0:
        run.exit_to_retry[k] = R_REVERSAL + 1
    elif (
        run.reduces[k] == 1
        and (
            (reason != R_REBALANCE or (PORTFOLIO and closes_all(k, run)))
            and run.order_type[k] != LIMIT  # a target rests at its level
        )
        and status != STATUS_FILLED
    ):
        run.exit_to_retry[k] = reason + 1
        if EXITS or HALTS:  # what is left may be too small to be sent, and stay for long
            block_after(k, run.open_side[k], reason, run)
    end_order(k, status, reason, time_ns, run)
    if QUEUES:
        release(k, run)
    if RUNGS:
        begin_ladder(k, time_ns, run)


@routine
def venue_triggered(k, code, time_ns, run: Run):
    """Process the trigger of the stop or target of k with a reason; it now works."""
    if STEPS:
        move_stop(k, newest_bar(k, run), run)
    kind = STOP
    level = run.mark[k]
    if PROTECTIVE:
        level, _ = protective_level(k, newest_bar(k, run), time_ns, run)
    limit, trigger = nan, level
    for target in TARGETS:
        if code == target.code:
            kind = LIMIT
            level, _ = target_level(k, newest_bar(k, run), time_ns, run)
            limit, trigger = level, nan
    if run.working[k] == 1:
        end_order(k, STATUS_CANCELLED, code, time_ns, run)
    if RUNGS:
        end_rungs(k, code, time_ns, run)
    if GRID:
        end_grid_orders(k, code, time_ns, run)
    if SENDS_TAKES:
        end_take(k, code, time_ns, run)
    held = run.units[k]
    units = -floor_units(held, run.lot[k]) if held > 0.0 else floor_units(-held, run.lot[k])
    if units != 0.0:
        if kind == STOP:
            block_side(k, run.open_side[k], run)
        place_order(
            k,
            Order(
                kind=kind, units=units, reason=code, decision_price=level,
                limit=limit, trigger=trigger,
            ),
            time_ns, 0, 1, time_ns, run,
        )  # fmt: skip


@routine
def take_price(k, price, exit_price, entry_price, now_ns, run: Run):
    """Process a price of k between bars: mark the position, test halts, stops, takes and adds.

    The order at one price is: a stop or a target, then takes, then adds.
    """
    run.mark[k] = price
    revalue(run)
    if HALTS:
        check_halts_between(now_ns, run)
    if LIQUIDATES_HERE:
        liquidate(k, price, now_ns, run)
    touch_levels(k, exit_price, entry_price, now_ns, run)


@routine
def touch_levels(k, exit_price, entry_price, now_ns, run: Run):
    """Test the levels of k: at the price at which it could be closed, and added to."""
    if STEPS:
        move_stop(k, newest_bar(k, run), run)
    if TOUCHES:
        touch(k, exit_price, now_ns, run)
    if TAKES_AT:
        touch_takes(k, exit_price, now_ns, run)
    if RUNGS:
        begin_ladder(k, now_ns, run)
        touch_adds(k, entry_price, now_ns, run)
    if GRID:
        touch_grid(k, exit_price, entry_price, now_ns, run)
