"""Takes and targets of a position in steps: units sold, time and price.

Where a share of a bar's volume caps fills, the rest of a take at a level keeps resting there, and
that of a take by a condition continues at market. The rest of a target, which closes all, rests.
"""

from __future__ import annotations

from math import nan

from septet._kernel.layout import AFTER_FILL, MARKET, STATUS_CANCELLED, STATUS_FILLED
from septet._kernel.ledger import floor_units, reduce_only
from septet._kernel.match import round_against, too_small
from septet._kernel.touch import passes
from septet._rules.compile_marks import routine
from septet._rules.fills import book_matched, use_volume
from septet._rules.grid import fill_grid_exit, nearest_grid_exit
from septet._rules.grid_orders import end_grid_orders
from septet._rules.ledger import end_order
from septet._rules.levels import target_level
from septet._rules.orders import continue_exit
from septet._rules.records import Fill, Order
from septet._rules.resting import end_beside, leaving_units, log_beside, log_limit
from septet._rules.run_state import Run
from septet._rules.settings import (
    BUYS,
    GRID,
    LATENCY_NS,
    PARTICIPATION,
    R_REVERSAL,
    R_TAKE,
    SPOT,
    TAKES_AT,
    TAKES_WHEN,
    TARGETS,
    VENUE_FILLS,
    slippage_at_fill,
)
from septet._rules.stops import reason_of_exit, retry_exit, volume_left
from septet._rules.venue_grid import sent_exit_units

__all__ = [
    "fill_takes", "meet_take", "sell_part", "take_at_close", "take_at_level",
    "take_part_at_level", "target_at_level", "units_to_take",
]  # fmt: skip


@routine
def meet_take(k, i, run: Run):
    """Fill the take of k that was decided at a close at the open of bar i."""
    open_ns = run.open_ns[k, i]
    if open_ns < run.take_active_ns[k]:
        return
    ordered, order_id = run.take_units[k], run.take_id[k]
    units = reduce_only(ordered, run.units[k])
    run.take_units[k] = 0.0
    if PARTICIPATION:
        available = units
        units = use_volume(k, i, available, run)
    if units != 0.0:
        side = 1.0 if units > 0.0 else -1.0
        price = round_against(
            run.open[k, i] * (1.0 + side * slippage_at_fill(k, i, run)), side, run.tick[k]
        )
        if run.break_even[k] == AFTER_FILL:
            run.break_even[k] = 1
        book_matched(
            k,
            Fill(
                units=units, price=price, maker=0, time_ns=open_ns, order_id=order_id,
                reason=R_TAKE, decision_price=run.take_price[k],
            ),
            run,
        )  # fmt: skip
    if PARTICIPATION and available != units:  # the rest continues at market
        run.take_units[k] = available - units
        return
    end_beside(k, order_id, ordered - units, STATUS_FILLED, R_TAKE, open_ns, run)


@routine
def units_to_take(k, portion, price, run: Run):
    """Count a take as done; return the units that it sells, 0 where they are too small to be sold.

    The units kept are the part of all entered units that no take so far sells, rounded up to the
    lot; zero where they are below the minimum notional.
    """
    taken_share = run.taken_share[k] + portion
    run.taken_share[k] = taken_share
    lot, scale = run.lot[k], run.scale[k]
    kept_units = 0.0
    if taken_share < 1.0 - 1e-12:
        kept_units = -floor_units(-run.entered_units[k] * (1.0 - taken_share), lot)
    if too_small(kept_units, scale, price, run.min_notional[k], run.min_units[k]):
        kept_units = 0.0
    leaving = leaving_units(k, run)
    if GRID and VENUE_FILLS:
        leaving += sent_exit_units(k, run)
    if PARTICIPATION:
        for take in TAKES_AT:
            leaving += run.B[k, take.rest]
    units = floor_units(abs(run.units[k]) - leaving - kept_units, lot)
    if units < lot or too_small(units, scale, price, run.min_notional[k], run.min_units[k]):
        return 0.0
    return units


@routine
def take_at_close(k, i, now_ns, run: Run):
    """Send the takes of k whose condition is true at bar i, as one order at market.

    While one is working, no other is added.
    """
    if run.take_units[k] != 0.0:
        return
    side, price = 1.0 * run.open_side[k], run.close[k, i]
    if VENUE_FILLS:
        run.takes_sent[k], run.takes_halted[k] = 0, 0
    for take in TAKES_WHEN:
        if (run.takes_done[k] >> take.number) & 1 == 0 and (
            leaving_units(k, run) < abs(run.units[k]) and take.is_met(k, i, run) == 1.0
        ):
            run.takes_done[k] = run.takes_done[k] | (1 << take.number)
            if VENUE_FILLS:
                run.takes_sent[k] = run.takes_sent[k] | (1 << take.number)
            units = units_to_take(k, take.size, price, run)
            run.take_units[k] = run.take_units[k] - side * units
            if units > 0.0 and take.moves_stop and run.break_even[k] == 0:
                run.break_even[k] = AFTER_FILL
    if run.take_units[k] != 0.0:
        run.take_price[k] = price
        run.take_active_ns[k] = now_ns + LATENCY_NS
        run.take_id[k] = log_beside(
            k,
            Order(kind=MARKET, units=run.take_units[k], reason=R_TAKE, decision_price=price),
            now_ns, run,
        )  # fmt: skip


@routine
def fill_takes(k, i, reach, time_ns, at_open, run: Run):
    """Fill every take and target of k that lies before `reach`, nearest first.

    While orders work that close all of k, a flip included, or an exit waits, no take sells a part
    of it, and none counts as done.
    """
    side = 1.0 * run.open_side[k]
    free = floor_units(abs(run.units[k]) - leaving_units(k, run), run.lot[k])
    closes = free == 0.0 or (not SPOT and reason_of_exit(k, run) == R_REVERSAL)
    average_price = run.average_price[k]
    tried = 0
    while run.open_side[k] != 0:
        if PARTICIPATION and volume_left(k, i, run) <= 0.0:  # nothing more fills in this bar
            return
        number, nearest = -1, nan
        for take in TAKES_AT:
            if not (closes or run.exit_to_retry[k] != 0) and (
                (run.takes_done[k] >> take.number) & 1 == 0
                or (PARTICIPATION and run.B[k, take.rest] > 0.0)
            ):
                level = take.level(k, side, average_price, run)
                level = round_against(level, side, run.tick[k])
                if passes(side, reach, level) and not side * (level - nearest) >= 0.0:
                    number, nearest = take.number, level
        at, price = -1, nan
        if GRID:
            at, price = nearest_grid_exit(k, i, reach, run)
        if TARGETS and tried == 0:
            level, reason = target_level(k, max(i - 1, 0), time_ns, run)
            before = not side * (level - nearest) >= 0.0 and not side * (level - price) > 0.0
            if passes(side, reach, level) and before:
                tried = 1
                target_at_level(k, i, level, reason, at_open, time_ns, run)
                continue
        if GRID and at >= 0 and not side * (price - nearest) >= 0.0:
            fill_grid_exit(k, i, at, at_open, time_ns, run)
            continue
        if number < 0:
            return
        for take in TAKES_AT:
            if number == take.number:
                if PARTICIPATION:
                    take_part_at_level(
                        k, i, take.number, take.size, take.moves_stop, take.rest, nearest, at_open,
                        time_ns, run,
                    )  # fmt: skip
                else:
                    take_at_level(
                        k, i, take.number, take.size, take.moves_stop, nearest, at_open, time_ns,
                        run,
                    )  # fmt: skip


@routine
def take_at_level(k, i, number, portion, moves_stop, level, at_open, time_ns, run: Run):
    """Fill a take at its level, or at an open beyond it."""
    price = run.open[k, i] if at_open == 1 else level
    run.takes_done[k] = run.takes_done[k] | (1 << number)
    units = units_to_take(k, portion, price, run)
    if units > 0.0:
        if moves_stop:
            run.break_even[k] = 1
        sell_part(k, units, level, price, R_TAKE, at_open, time_ns, run)


@routine
def take_part_at_level(
    k, i, number, portion, moves_stop, rest_at, level, at_open, time_ns, run: Run
):  # fmt: skip
    """Fill a take, or its unfilled rest, as far as the volume of bar i allows."""
    price = run.open[k, i] if at_open == 1 else level
    rest = run.B[k, rest_at]
    if rest > 0.0:
        rest = min(rest, floor_units(abs(run.units[k]) - leaving_units(k, run), run.lot[k]))
    else:
        run.takes_done[k] = run.takes_done[k] | (1 << number)
        rest = units_to_take(k, portion, price, run)
        if rest > 0.0 and moves_stop:
            run.break_even[k] = 1
    run.B[k, rest_at] = 0.0
    if rest > 0.0:
        units = use_volume(k, i, rest, run)
        run.B[k, rest_at] = rest - units
        sell_part(k, units, level, price, R_TAKE, at_open, time_ns, run)


@routine
def target_at_level(k, i, level, reason, at_open, time_ns, run: Run):
    """Close all of k at its target, or at an open beyond it; a regular buy continues."""
    price = run.open[k, i] if at_open == 1 else level
    units = floor_units(abs(run.units[k]), run.lot[k])
    if too_small(units, run.scale[k], level, run.min_notional[k], run.min_units[k]):
        if GRID and run.exit_to_retry[k] == 0:
            end_grid_orders(k, reason, time_ns, run)
        retry_exit(k, reason, run)
        return
    if PARTICIPATION:
        leaving, active_ns = reason_of_exit(k, run), run.active_ns[k]
        replaced = run.order_id[k]
        available = units
        units = use_volume(k, i, available, run)
    if run.working[k] == 1 and (not BUYS or run.reduces[k] == 1):
        end_order(k, STATUS_CANCELLED, reason, time_ns, run)
    sell_part(k, units, level, price, reason, at_open, time_ns, run)
    if PARTICIPATION and (units != available and leaving >= 0):
        continue_exit(k, leaving, replaced, active_ns, time_ns, run)


@routine
def sell_part(k, units, level, price, reason, at_open, time_ns, run: Run):
    """Close this many units of k by a limit order that has rested at a level."""
    signed = -units if run.open_side[k] > 0 else units
    order_id = log_limit(k, signed, level, reason, time_ns, run)
    book_matched(
        k,
        Fill(
            units=signed, price=price, maker=1, time_ns=time_ns, order_id=order_id,
            reason=reason, decision_price=level, intrabar=1 - at_open,
        ),
        run,
    )  # fmt: skip
    end_beside(k, order_id, 0.0, STATUS_FILLED, reason, time_ns, run)
