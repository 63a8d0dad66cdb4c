"""A position in steps whose orders a venue fills: matches takes and resting adds with prices.

The stop may rest at the venue; takes and resting adds are watched. Each is a market order beside
the working one, sent once a price has passed its level; one take works at a time. So a reduction
never has to cancel a resting order first, and the venue needs no order groups. A fill moves the
stop from the next instant on: all fills of one instant are one move.
"""

from __future__ import annotations

from septet._kernel.layout import AFTER_FILL, MARKET, STATUS_CANCELLED, STATUS_FILLED
from septet._kernel.match import round_against
from septet._kernel.touch import passes, touches
from septet._rules.adds import place_ladder
from septet._rules.compile_marks import kernel, routine
from septet._rules.levels import tighten, tightened
from septet._rules.records import Order
from septet._rules.resting import end_beside, leaving_units, log_beside, rests_as_limit
from septet._rules.run_state import Run
from septet._rules.settings import R_ADD, R_TAKE, RUNGS, TAKES_AT, TAKES_WHEN
from septet._rules.stops import exit_is_working, newest_bar
from septet._rules.takes import units_to_take

__all__ = [
    "begin_ladder", "count_add", "count_takes_as_open", "end_sent_add", "end_sent_take",
    "fill_sent_add", "fill_sent_take", "move_stop", "stop_with_fills", "touch_adds", "touch_takes",
]  # fmt: skip


# ---------------------------------------------------------------- the stop


@routine
def move_stop(k, known, run: Run):
    """Tighten the stop of k after the fills that may move it; bar `known` is the newest known."""
    if run.moved_ns[k] != 0:
        tighten(k, known, run.moved_ns[k], 0, run)
        run.moved_ns[k] = 0


@routine
def stop_with_fills(k, run: Run):
    """Return the stop of k after the move by its newest fills, and its reason."""
    if run.moved_ns[k] != 0:
        return tightened(k, newest_bar(k, run), run.moved_ns[k], 0, run)
    return run.stop_price[k], run.stop_reason[k]


# ---------------------------------------------------------------- takes


@routine
def touch_takes(k, exit_price, now_ns, run: Run):
    """Send every take of k whose level lies before `exit_price`, as one order at market.

    None is sent while another works, or while the whole position is being closed.
    """
    side = 1.0 * run.open_side[k]
    if side == 0.0 or run.exit_to_retry[k] != 0 or run.take_units[k] != 0.0:
        return
    if exit_is_working(k, run):
        return
    average_price = run.average_price[k]
    run.takes_sent[k], run.takes_halted[k] = 0, 0
    for take in TAKES_AT:
        if (run.takes_done[k] >> take.number) & 1 == 0:
            level = take.level(k, side, average_price, run)
            level = round_against(level, side, run.tick[k])
            if passes(side, exit_price, level):
                run.takes_done[k] = run.takes_done[k] | (1 << take.number)
                run.takes_sent[k] = run.takes_sent[k] | (1 << take.number)
                units = units_to_take(k, take.size, exit_price, run)
                run.take_units[k] = run.take_units[k] - side * units
                if units > 0.0 and take.moves_stop and run.break_even[k] == 0:
                    run.break_even[k] = AFTER_FILL
    if run.take_units[k] != 0.0:
        run.take_price[k] = run.mark[k]
        run.take_active_ns[k] = now_ns
        run.take_id[k] = log_beside(
            k,
            Order(kind=MARKET, units=run.take_units[k], reason=R_TAKE, decision_price=run.mark[k]),
            now_ns, run,
        )  # fmt: skip


@routine
def fill_sent_take(k, units, run: Run):
    """Count a fill of the working take of k; return 1 once it is filled completely."""
    unfilled = run.take_units[k] - units
    done = 1 if unfilled * run.take_units[k] <= 0.0 or abs(unfilled) < run.lot[k] else 0
    run.take_units[k] = 0.0 if done == 1 else unfilled
    if run.break_even[k] == AFTER_FILL:
        run.break_even[k] = 1
    return done


@routine
def end_sent_take(k, status, time_ns, run: Run):
    """Process the end of the take of k at the venue; the next take includes its unsold units.

    A take that has sold nothing moves no stop. A take cancelled by a manual halt is not done.
    """
    unfilled = run.take_units[k]
    if run.takes_halted[k] != 0 and status == STATUS_CANCELLED:
        count_takes_as_open(k, run)
    run.take_units[k] = 0.0
    if run.break_even[k] == AFTER_FILL and status != STATUS_FILLED:
        run.break_even[k] = 0
    end_beside(k, run.take_id[k], unfilled, status, R_TAKE, time_ns, run)


@routine
def count_takes_as_open(k, run: Run):
    """Count the takes that a halt by a person has cancelled as not done: each is sent again."""
    for take in TAKES_AT:
        if (run.takes_halted[k] >> take.number) & 1 == 1:
            run.takes_done[k] = run.takes_done[k] & ~(1 << take.number)
            run.taken_share[k] = run.taken_share[k] - take.size
    for close in TAKES_WHEN:
        if (run.takes_halted[k] >> close.number) & 1 == 1:
            run.takes_done[k] = run.takes_done[k] & ~(1 << close.number)
            run.taken_share[k] = run.taken_share[k] - close.size
    run.takes_halted[k] = 0


# ---------------------------------------------------------------- adds


@kernel
def count_add(k, run: Run):
    """Count the adds that the working order of k makes, with its first fill."""
    run.adds[k] = run.adds[k] + run.adds_working[k]
    run.adds_working[k] = 0


@routine
def begin_ladder(k, time_ns, run: Run):
    """Decide the resting adds of k once its first order has ended; their prices are watched."""
    if run.open_side[k] != 0 and run.working[k] == 0 and run.ladder[k] == 0:
        place_ladder(k, newest_bar(k, run), run.newest_time, time_ns, run)


@routine
def touch_adds(k, entry_price, now_ns, run: Run):
    """Send every resting add of k that `entry_price` has passed, as an order of its own.

    A limit must be traded through, a stop must be reached, as with bars.
    """
    if run.blocked > 0 or run.open_side[k] == 0 or run.exit_to_retry[k] != 0:
        return
    if leaving_units(k, run) >= abs(run.units[k]):
        return
    side = 1.0 * run.open_side[k]
    for rung in RUNGS:
        units, level = run.B[k, rung.units], run.B[k, rung.price]
        limits = rests_as_limit(k, level, run)
        passed = passes(-side, entry_price, level) if limits else touches(-side, entry_price, level)
        if units != 0.0 and run.B[k, rung.order] < 0.0 and passed:
            run.B[k, rung.filled] = 0.0
            run.B[k, rung.order] = log_beside(
                k, Order(kind=MARKET, units=units, reason=R_ADD, decision_price=run.mark[k]),
                now_ns, run,
            )  # fmt: skip


@routine
def fill_sent_add(k, order_id, units, run: Run):
    """Count a fill of a resting add of k that was sent.

    Returns 0 if the order is none of these, 1 while it is filled in part, 2 once completely.
    """
    for rung in RUNGS:
        ordered = run.B[k, rung.units]
        if ordered != 0.0 and run.B[k, rung.order] == 1.0 * order_id:
            if run.B[k, rung.filled] == 0.0:
                run.adds[k] = run.adds[k] + 1
            run.B[k, rung.filled] = run.B[k, rung.filled] + units
            unfilled = ordered - units
            if unfilled * ordered > 0.0 and abs(unfilled) >= run.lot[k]:
                run.B[k, rung.units] = unfilled
                return 1
            run.B[k, rung.units] = 0.0
            return 2
    return 0


@routine
def end_sent_add(k, order_id, status, time_ns, run: Run):
    """End the resting add of k with this number, which is final at the venue; 0 if none has it."""
    for rung in RUNGS:
        unfilled = run.B[k, rung.units]
        if unfilled != 0.0 and run.B[k, rung.order] == 1.0 * order_id:
            run.B[k, rung.units] = 0.0
            end_beside(k, order_id, unfilled, status, R_ADD, time_ns, run)
            return 1
    return 0
