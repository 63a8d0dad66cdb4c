"""Matches a position in steps with a bar: its stop, takes and adds. The path inside is unknown.

At the open, reductions of all symbols come first (exits that were sent, then the stop or the takes
that the open has passed), then what increases, then a stop that lies beyond the open by now. Inside
the bar: where the stop is touched, first the resting adds before it that were traded through, then
the stop closes all; else the takes, nearest first, then the adds. What fills inside a bar moves the
stop at its close.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.layout import (
    GRID_PRICE,
    INCREASES,
    LIMIT,
    MARKET,
    STATUS_CANCELLED,
    STATUS_EXPIRED,
    STATUS_FILLED,
    STOP,
)
from septet._kernel.ledger import floor_units
from septet._kernel.match import match_open, round_against, too_small
from septet._kernel.touch import passes, touches
from septet._rules.adds import place_ladder
from septet._rules.compile_marks import kernel, routine
from septet._rules.fills import (
    affordable_units,
    book_matched,
    meet_open,
    meet_within,
    replace_expired_flip,
    share_of_volume,
    use_volume,
)
from septet._rules.grid import (
    fill_grid_at_open,
    fill_grid_entry,
    fill_part_of_grid_entry,
    nearest_grid_entry,
    note_rested,
    rest_again_at_open,
)
from septet._rules.grid_orders import end_grid_orders
from septet._rules.levels import tighten
from septet._rules.queued import release
from septet._rules.records import Fill, RungColumns
from septet._rules.reentry import block_side
from septet._rules.resting import end_beside, end_rungs, end_take, rests_as_limit
from septet._rules.run_state import Run
from septet._rules.settings import (
    GRID,
    LIQUIDATES,
    ONE_SYMBOL,
    PARTICIPATION,
    PORTFOLIO,
    PORTFOLIO_SLOT,
    QUEUES,
    R_ADD,
    R_CASH,
    R_LIQUIDATION,
    R_UNFILLED,
    RESTS,
    RUNGS,
    SPOT,
    TAKES_WHEN,
    slippage_at_fill,
)
from septet._rules.stops import (
    exit_is_working,
    is_bust,
    price_of_liquidation,
    price_of_stop,
    retry_exit,
    trigger_exit,
)
from septet._rules.takes import fill_takes, meet_take

__all__ = [
    "close_at_stop", "exit_has_met", "fill_grid_within", "fill_part_of_rung", "fill_rung",
    "fill_rungs_at_open", "fill_rungs_within", "increase_at_open", "meet_opens_in_steps",
    "nearest_stop", "place_late_ladder", "reduce_at_open", "rung_price_at_open", "stop_at_open",
    "stop_new_trade", "within_in_steps",
]  # fmt: skip


# ---------------------------------------------------------------- the open


@kernel
def meet_opens_in_steps(t, now_ns, count, run: Run):
    """Match orders and levels with the opens of all symbols: reductions, increases, moved stops."""
    for n in range(count):
        k = 0 if ONE_SYMBOL else run.active_symbol[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0:
            reduce_at_open(k, i, run)
    entries = run.C[PORTFOLIO_SLOT + INCREASES] if PORTFOLIO else count
    for n in range(entries):
        k = run.increased[n] if PORTFOLIO else 0 if ONE_SYMBOL else run.active_symbol[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0:
            increase_at_open(k, i, t, run)
    for n in range(count):
        k = 0 if ONE_SYMBOL else run.active_symbol[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0 and run.open_side[k] != 0:
            tighten(k, max(i - 1, 0), run.open_ns[k, i], 0, run)
            stop_at_open(k, i, run)
        if GRID and i >= 0:
            rest_again_at_open(k, t, i, run)


@routine
def reduce_at_open(k, i, run: Run):
    """Fill the exits that were sent at the open of bar i, then the takes and the stop it passed.

    Last the exit that replaces a flip without an open in time.
    """
    if run.is_synthetic[k, i] == 1:
        return
    if LIQUIDATES and is_bust(k, i, run):
        stop_at_open(k, i, run)
    if TAKES_WHEN:  # a take was sent before the reduction of the same time, and fills before it
        takes_first = run.take_units[k] != 0.0 and run.take_id[k] < run.order_id[k]
        if takes_first:
            meet_take(k, i, run)
    if run.working[k] == 1 and run.reduces[k] == 1:
        meet_open(k, i, run)
    if TAKES_WHEN and (run.take_units[k] != 0.0 and not takes_first):
        meet_take(k, i, run)
    if run.open_side[k] != 0:
        fill_takes(k, i, run.open[k, i], run.open_ns[k, i], 1, run)
        stop_at_open(k, i, run)
    if not SPOT and not ONE_SYMBOL and (run.working[k] == 1 and run.missing_bars[k, i] > 0):
        replace_expired_flip(k, i, run)


@kernel
def nearest_stop(k, opened, run: Run):
    """Return the stop or liquidation of k that is reached first from `opened`, and its reason."""
    level, reason = run.stop_price[k], run.stop_reason[k]
    if LIQUIDATES:
        side = 1.0 * run.open_side[k]
        price = price_of_liquidation(k, run)
        if level != level or side * (price - level) > 0.0 or touches(side, opened, price):
            level, reason = price, R_LIQUIDATION
    return level, reason


@kernel
def is_too_small_at(k, i, level, opened, run: Run):
    """Whether the position of k is too small to be sold at a stop: such a stop does not rest."""
    sellable = floor_units(abs(run.units[k]), run.lot[k])
    worth = price_of_stop(k, i, level, opened, run)  # the resting stop was filled at its trigger
    return too_small(sellable, run.scale[k], worth, run.min_notional[k], run.min_units[k])


@kernel
def stop_that_acts(k, i, opened, run: Run):
    """Return the nearest stop or liquidation of k, and its reason.

    While an exit waits, a stop at which k is still too small to be sold is left out.
    """
    level, reason = nearest_stop(k, opened, run)
    waits = run.exit_to_retry[k] != 0 and reason != R_LIQUIDATION and level == level
    if waits and is_too_small_at(k, i, level, opened, run):
        level = nan
        if LIQUIDATES:
            level, reason = price_of_liquidation(k, run), R_LIQUIDATION
    return level, reason


@kernel
def exit_has_met(k, i, run: Run):
    """Whether a working exit of all of k was matched with bar i, and used all of its volume."""
    met = exit_is_working(k, run) and run.active_ns[k] <= run.open_ns[k, i]
    return met and (not LIQUIDATES or not is_bust(k, i, run))


@routine
def stop_at_open(k, i, run: Run):
    """Close the position of k if the open of bar i is beyond its stop."""
    opened = run.open[k, i]
    side = 1.0 * run.open_side[k]
    if side == 0.0 or run.is_synthetic[k, i] == 1:
        return
    if PARTICIPATION and exit_has_met(k, i, run):
        return
    level, reason = stop_that_acts(k, i, opened, run)
    if touches(side, opened, level):
        close_at_stop(k, i, level, opened, opened, reason, run.open_ns[k, i], run)


@routine
def close_at_stop(k, i, level, opened, reach, reason, time_ns, run: Run):
    """Close all of k at its stop, which the price `reach` has touched.

    A position too small to be sold waits, and its side is blocked; a liquidation does not wait.
    """
    side = 1.0 * run.open_side[k]
    if GRID:
        end_grid_orders(k, reason, time_ns, run)
    if reason != R_LIQUIDATION and is_too_small_at(k, i, level, opened, run):
        if run.exit_to_retry[k] == 0:
            block_side(k, run.open_side[k], run)
        retry_exit(k, reason, run)
        if LIQUIDATES:
            level, reason = price_of_liquidation(k, run), R_LIQUIDATION
        if not LIQUIDATES or not touches(side, reach, level):
            return
    at = opened if touches(side, opened, level) else level
    slippage = slippage_at_fill(k, i, run)
    price = round_against(at * (1.0 - side * slippage), -side, run.tick[k])
    if RUNGS:
        end_rungs(k, reason, time_ns, run)
    if TAKES_WHEN:
        end_take(k, reason, time_ns, run)
    trigger_exit(k, i, STOP, level, opened, price, 0, reason, time_ns, run)


@routine
def increase_at_open(k, i, t, run: Run):
    """Match resting adds, then the working entry or add, with the open of bar i."""
    if run.is_synthetic[k, i] == 1:
        return
    open_ns = run.open_ns[k, i]
    if RUNGS:
        if PARTICIPATION:
            place_late_ladder(k, i, t, open_ns, run)
        rungs_meet_open(k, i, open_ns, run)
    if GRID:
        fill_grid_at_open(k, i, run)
    if QUEUES:
        release(k, run)
    if run.working[k] == 1 and run.reduces[k] == 0:
        meet_open(k, i, run)
    if RUNGS and run.ladder[k] == 0:
        if PARTICIPATION:
            place_late_ladder(k, i, t, open_ns, run)
        elif run.open_side[k] != 0 and run.working[k] == 0:
            place_ladder(k, max(i - 1, 0), max(t - 1, 0), open_ns, run)
        if run.ladder[k] != 0:  # this open may have passed their prices already
            rungs_meet_open(k, i, open_ns, run)


@routine
def rungs_meet_open(k, i, open_ns, run: Run):
    """Fill the resting adds of k whose prices the open of bar i has passed."""
    if PARTICIPATION:
        fill_rungs_at_open(k, i, open_ns, run)
    else:
        for rung in RUNGS:
            if run.B[k, rung.units] != 0.0:
                level = run.B[k, rung.price]
                price = rung_price_at_open(k, i, level, run)
                if price == price:
                    maker = 1 if rests_as_limit(k, level, run) and run.ladder[k] == 2 else 0
                    fill_rung(k, rung.units, rung.price, rung.order, price, maker, open_ns, 0, run)


@routine
def place_late_ladder(k, i, t, time_ns, run: Run):
    """Place the resting adds of k once its first order has ended; a market add may still work."""
    if run.open_side[k] == 0 or run.ladder[k] != 0 or run.exit_to_retry[k] != 0:
        return
    if run.working[k] == 0 or run.order_reason[k] == R_ADD:
        place_ladder(k, max(i - 1, 0), max(t - 1, 0), time_ns, run)


@kernel
def rung_price_at_open(k, i, level, run: Run):
    """Price at which a resting add of k fills at the open of bar i, or NaN."""
    side = 1.0 * run.open_side[k]
    kind = LIMIT if rests_as_limit(k, level, run) else STOP
    arrives = 0 if run.ladder[k] == 2 else 1
    return match_open(
        kind, side, level, level, run.open[k, i], slippage_at_fill(k, i, run), run.tick[k], arrives
    )


# ---------------------------------------------------------------- inside the bar


@routine
def within_in_steps(k, i, t, now_ns, run: Run):
    """Match the stop, takes and adds of k with bar i after its open."""
    if run.is_synthetic[k, i] == 1:
        return
    if RESTS and (run.working[k] == 1 and run.order_type[k] != MARKET):
        meet_within(k, i, now_ns, run)
    if run.open_side[k] != 0:
        meet_levels_within(k, i, now_ns, run)
    elif GRID:
        fill_grid_within(k, i, nan, now_ns, run)
        stop_new_trade(k, i, now_ns, run)
    if GRID:
        note_rested(k, i, run)
    if RUNGS and PARTICIPATION:
        place_late_ladder(k, i, t, now_ns, run)
    elif RUNGS and (run.open_side[k] != 0 and run.working[k] == 0 and run.ladder[k] == 0):
        place_ladder(k, max(i - 1, 0), max(t - 1, 0), now_ns, run)


@routine
def meet_levels_within(k, i, now_ns, run: Run):
    """Close all at a touched stop, after the adds before it; otherwise fill takes, then adds."""
    side = 1.0 * run.open_side[k]
    if PARTICIPATION and exit_has_met(k, i, run):
        return
    opened = run.average_price[k] if run.began_in_bar[k] == 1 else run.open[k, i]
    level, reason = stop_that_acts(k, i, opened, run)
    worst = run.low[k, i] if side > 0.0 else run.high[k, i]
    if touches(side, worst, level):
        fill_rungs_within(k, i, level, now_ns, run)
        if GRID:
            fill_grid_within(k, i, level, now_ns, run)
        close_at_stop(k, i, level, opened, worst, reason, now_ns, run)
        return
    reach = run.close[k, i]  # for a trade that began inside the bar only the close is certain
    if run.began_in_bar[k] == 0:
        reach = run.high[k, i] if side > 0.0 else run.low[k, i]
    fill_takes(k, i, reach, now_ns, 0, run)
    fill_rungs_within(k, i, nan, now_ns, run)
    if GRID:
        fill_grid_within(k, i, nan, now_ns, run)
        stop_new_trade(k, i, now_ns, run)  # the grid may have entered again


@routine
def fill_grid_within(k, i, stop, now_ns, run: Run):
    """Fill the entries of the grid of k that bar i has traded through, nearest to its open first.

    If there is a stop, or they begin a trade with one, only entries before the stop fill.
    """
    while True:
        at = nearest_grid_entry(k, i, run)
        if at < 0:
            return
        price, last = run.B[k, at + GRID_PRICE], stop
        if run.began_in_bar[k] == 1 and run.open_side[k] != 0:
            last, _ = nearest_stop(k, run.average_price[k], run)
        if touches(1.0 * run.open_side[k], price, last):
            return
        if PARTICIPATION:
            fill_part_of_grid_entry(k, i, at, price, 1, now_ns, 1, run)
        else:
            fill_grid_entry(k, at, price, 1, now_ns, 1, run)


@routine
def stop_new_trade(k, i, now_ns, run: Run):
    """Close a trade that a grid began inside bar i, if the bar has touched its stop."""
    if run.open_side[k] == 0 or run.began_in_bar[k] == 0 or run.exit_to_retry[k] != 0:
        return
    side, opened = 1.0 * run.open_side[k], run.average_price[k]
    level, reason = nearest_stop(k, opened, run)
    worst = run.low[k, i] if side > 0.0 else run.high[k, i]
    if touches(side, worst, level):
        close_at_stop(k, i, level, opened, worst, reason, now_ns, run)


# ---------------------------------------------------------------- resting adds


@routine
def fill_rungs_within(k, i, stop, now_ns, run: Run):
    """Fill the resting adds of k that bar i has traded through, nearest to its open first.

    If there is a stop, only adds before it fill. Adds placed inside the bar wait.
    """
    if run.ladder[k] == 1 and run.began_in_bar[k] == 1:
        return
    side = 1.0 * run.open_side[k]
    worst = run.low[k, i] if side > 0.0 else run.high[k, i]
    best = run.high[k, i] if side > 0.0 else run.low[k, i]
    while run.open_side[k] != 0:
        column, near = -1, math.inf
        for rung in RUNGS:
            units, level = run.B[k, rung.units], run.B[k, rung.price]
            limits = rests_as_limit(k, level, run)
            reached = passes(-side, worst, level) if limits else touches(-side, best, level)
            before = stop != stop or passes(side, level, stop)
            if PARTICIPATION and (limits and share_of_volume(k, i, units, run) == 0.0):
                before = False  # it keeps resting
            if units != 0.0 and reached and before and abs(level - run.open[k, i]) < near:
                column, near = rung.units, abs(level - run.open[k, i])
        if column < 0:
            return
        for rung in RUNGS:
            if column == rung.units:
                level = run.B[k, rung.price]
                price, maker = level, 1
                if not rests_as_limit(k, level, run):
                    slippage = slippage_at_fill(k, i, run)
                    price = round_against(level * (1.0 + side * slippage), side, run.tick[k])
                    maker = 0
                if PARTICIPATION:
                    fill_part_of_rung(
                        k, i,
                        RungColumns(
                            units=rung.units, price=rung.price, order=rung.order, filled=rung.filled
                        ),
                        price, maker, now_ns, 1, run,
                    )  # fmt: skip
                else:
                    fill_rung(k, rung.units, rung.price, rung.order, price, maker, now_ns, 1, run)


@routine
def fill_rung(k, units_at, price_at, order_at, price, maker, time_ns, intrabar, run: Run):
    """Fill a resting add as far as cash allows; the rest ends."""
    ordered, order_id = run.B[k, units_at], int(run.B[k, order_at])
    units = affordable_units(k, ordered, price, maker, run)
    run.B[k, units_at] = 0.0
    if units != 0.0:
        book_matched(
            k,
            Fill(
                units=units, price=price, maker=maker, time_ns=time_ns, order_id=order_id,
                reason=R_ADD, decision_price=run.B[k, price_at], intrabar=intrabar,
            ),
            run,
        )  # fmt: skip
        run.adds[k] = run.adds[k] + 1
    if units == ordered:
        end_beside(k, order_id, 0.0, STATUS_FILLED, R_ADD, time_ns, run)
    else:
        end_beside(k, order_id, ordered - units, STATUS_CANCELLED, R_CASH, time_ns, run)


@routine
def fill_rungs_at_open(k, i, open_ns, run: Run):
    """Match the resting adds of k with the open of bar i, in the order of placement."""
    done = -1.0
    while True:
        number, first = -1, math.inf
        for rung in RUNGS:
            if run.B[k, rung.units] != 0.0 and done < run.B[k, rung.order] < first:
                number, first = rung.number, run.B[k, rung.order]
        if number < 0:
            return
        done = first
        for rung in RUNGS:
            if number == rung.number:
                level = run.B[k, rung.price]
                price = rung_price_at_open(k, i, level, run)
                if price == price:
                    maker = 1 if rests_as_limit(k, level, run) and run.ladder[k] == 2 else 0
                    fill_part_of_rung(
                        k, i,
                        RungColumns(
                            units=rung.units, price=rung.price, order=rung.order, filled=rung.filled
                        ),
                        price, maker, open_ns, 0, run,
                    )  # fmt: skip


@routine
def fill_part_of_rung(
    k, i, at: RungColumns, price, maker, time_ns, intrabar, run: Run
):  # fmt: skip
    """Fill a resting add as far as volume and cash allow.

    Units of a limit order beyond the volume keep resting; those of a stop order, whose trigger was
    reached, expire with the bar. Units beyond the cash are cancelled.
    """
    ordered, order_id = run.B[k, at.units], int(run.B[k, at.order])
    within_volume = share_of_volume(k, i, ordered, run)
    units = affordable_units(k, within_volume, price, maker, run)
    limits = rests_as_limit(k, run.B[k, at.price], run)
    unfilled = ordered - units
    run.B[k, at.units] = unfilled
    if units != 0.0:
        use_volume(k, i, units, run)
        book_matched(
            k,
            Fill(
                units=units, price=price, maker=maker, time_ns=time_ns, order_id=order_id,
                reason=R_ADD, decision_price=run.B[k, at.price], intrabar=intrabar,
            ),
            run,
        )  # fmt: skip
        if run.B[k, at.filled] == 0.0:
            run.adds[k] = run.adds[k] + 1
        run.B[k, at.filled] = run.B[k, at.filled] + abs(units)
    if unfilled == 0.0:
        end_beside(k, order_id, 0.0, STATUS_FILLED, R_ADD, time_ns, run)
    elif units != within_volume:
        run.B[k, at.units] = 0.0
        end_beside(k, order_id, unfilled, STATUS_CANCELLED, R_CASH, time_ns, run)
    elif not limits:
        run.B[k, at.units] = 0.0
        end_beside(k, order_id, unfilled, STATUS_EXPIRED, R_UNFILLED, time_ns, run)
