"""A position in steps meets a bar: its stop, its takes and its adds, the path inside being unknown.

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
    AFTER_FILL,
    GRID_PRICE,
    INCREASES,
    LIMIT,
    MARKET,
    STATUS_CANCELLED,
    STATUS_FILLED,
    STOP,
)
from septet._kernel.ledger import floor_units, reduce_only
from septet._kernel.match import match_open, round_against, too_small
from septet._rules.adds import place_ladder
from septet._rules.fills import affordable_units, fill, meet_open, meet_within
from septet._rules.form import kernel, routine
from septet._rules.grid import (
    fill_grid_at_open,
    fill_grid_entry,
    fill_grid_exit,
    nearest_grid_entry,
    nearest_grid_exit,
    note_rested,
    rest_again_at_open,
)
from septet._rules.grid_orders import end_grid_orders
from septet._rules.ledger import end_order
from septet._rules.levels import target_level, tighten
from septet._rules.queued import release
from septet._rules.reentry import block_side
from septet._rules.resting import (
    end_beside,
    end_rungs,
    end_take,
    leaving_units,
    log_beside,
    rests_as_limit,
)
from septet._rules.run_state import Run
from septet._rules.settings import (
    BUYS,
    GRID,
    LATENCY_NS,
    LIQUIDATES,
    ONE_SYMBOL,
    PORTFOLIO,
    PORTFOLIO_SLOT,
    QUEUES,
    R_ADD,
    R_CASH,
    R_LIQUIDATION,
    R_REVERSAL,
    R_TAKE,
    RESTS,
    RUNGS,
    SPOT,
    TAKES_AT,
    TAKES_WHEN,
    TARGETS,
    VENUE_FILLS,
    slippage_at_fill,
)
from septet._rules.stops import (
    is_bust,
    price_of_liquidation,
    price_of_stop,
    reason_of_exit,
    retry_exit,
    trigger_exit,
)
from septet._rules.venue_grid import sent_exit_units

__all__ = [
    "close_at_stop", "fill_grid_within", "fill_rung", "fill_rungs_within", "fill_takes",
    "increase_at_open", "meet_opens_in_steps", "meet_take", "nearest_stop", "reduce_at_open",
    "rung_price_at_open", "sell_part", "stop_at_open", "stop_new_trade", "take_at_close",
    "take_at_level", "target_at_level", "units_to_take", "within_in_steps",
]  # fmt: skip


# ---------------------------------------------------------------- the open


@kernel
def meet_opens_in_steps(t, now_ns, count, run: Run):
    """Orders and levels meet the opens of all symbols: reductions, increases, moved stops."""
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
    """Exits that were sent fill at the open of bar i; then the stop, or takes, it has passed."""
    if run.is_synthetic[k, i] == 1:
        return
    if LIQUIDATES and is_bust(k, i, run):
        stop_at_open(k, i, run)
    if run.working[k] == 1 and run.reduces[k] == 1:
        meet_open(k, i, run)
    if TAKES_WHEN and run.take_units[k] != 0.0:
        meet_take(k, i, run)
    if run.open_side[k] != 0 and stop_at_open(k, i, run) == 0:
        fill_takes(k, i, run.open[k, i], run.open_ns[k, i], 1, run)


@routine
def meet_take(k, i, run: Run):
    """The take of k that was decided at a close fills at the open of bar i."""
    open_ns = run.open_ns[k, i]
    if open_ns < run.take_active_ns[k]:
        return
    asked, order_id = run.take_units[k], run.take_id[k]
    units = reduce_only(asked, run.units[k])
    run.take_units[k] = 0.0
    if units != 0.0:
        side = 1.0 if units > 0.0 else -1.0
        price = round_against(
            run.open[k, i] * (1.0 + side * slippage_at_fill(k, i, run)), side, run.tick[k]
        )
        if run.break_even[k] == AFTER_FILL:
            run.break_even[k] = 1
        fill(k, units, price, 0, open_ns, order_id, R_TAKE, 0, run.take_price[k], run)
    end_beside(k, order_id, asked - units, STATUS_FILLED, R_TAKE, open_ns, run)


@kernel
def nearest_stop(k, opened, run: Run):
    """Stop or liquidation of k, whichever the price meets first from `opened`, and its reason."""
    level, reason = run.stop_price[k], run.stop_reason[k]
    if LIQUIDATES:
        side = 1.0 * run.open_side[k]
        price = price_of_liquidation(k, run)
        if level != level or side * (price - level) > 0.0 or side * (opened - price) <= 0.0:
            level, reason = price, R_LIQUIDATION
    return level, reason


@routine
def stop_at_open(k, i, run: Run):
    """Close what the open of bar i has carried beyond its stop; return 1 where it has."""
    opened = run.open[k, i]
    side = 1.0 * run.open_side[k]
    if side == 0.0 or run.is_synthetic[k, i] == 1 or run.exit_to_retry[k] != 0:
        return 0
    level, reason = nearest_stop(k, opened, run)
    if level != level or side * (opened - level) > 0.0:
        return 0
    slippage = slippage_at_fill(k, i, run)
    price = round_against(opened * (1.0 - side * slippage), -side, run.tick[k])
    close_at_stop(k, i, level, opened, price, reason, run.open_ns[k, i], run)
    return 1


@routine
def close_at_stop(k, i, level, opened, price, reason, time_ns, run: Run):
    """The stop closes all of k; what is too small to be sold waits, and blocks its side."""
    sellable = floor_units(abs(run.units[k]), run.lot[k])
    worth = price_of_stop(k, i, level, opened, run)  # what rested was taken there at its trigger
    if GRID:
        end_grid_orders(k, reason, time_ns, run)
    if reason != R_LIQUIDATION and too_small(sellable, run.scale[k], worth, run.min_notional[k]):
        if run.exit_to_retry[k] == 0:
            block_side(k, run.open_side[k], run)
        retry_exit(k, reason, run)
        return
    if RUNGS:
        end_rungs(k, reason, time_ns, run)
    if TAKES_WHEN:
        end_take(k, reason, time_ns, run)
    trigger_exit(k, i, STOP, level, opened, price, 0, reason, time_ns, run)


@routine
def increase_at_open(k, i, t, run: Run):
    """Resting adds, then the working entry or add, meet the open of bar i."""
    if run.is_synthetic[k, i] == 1:
        return
    open_ns = run.open_ns[k, i]
    for rung in RUNGS:
        if run.B[k, rung.units] != 0.0:
            level = run.B[k, rung.price]
            price = rung_price_at_open(k, i, level, run)
            if price == price:
                maker = 1 if rests_as_limit(k, level, run) and run.ladder[k] == 2 else 0
                fill_rung(k, rung.units, rung.price, rung.order, price, maker, open_ns, 0, run)
    if GRID:
        fill_grid_at_open(k, i, run)
    if QUEUES:
        release(k, run)
    if run.working[k] == 1 and run.reduces[k] == 0:
        meet_open(k, i, run)
    if RUNGS and (run.open_side[k] != 0 and run.working[k] == 0 and run.ladder[k] == 0):
        place_ladder(k, max(i - 1, 0), max(t - 1, 0), open_ns, run)


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
    """The stop, the takes and the adds of k meet what bar i does after its open."""
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
    if RUNGS and (run.open_side[k] != 0 and run.working[k] == 0 and run.ladder[k] == 0):
        place_ladder(k, max(i - 1, 0), max(t - 1, 0), now_ns, run)


@routine
def meet_levels_within(k, i, now_ns, run: Run):
    """The stop closes all after the adds before it; else takes fill, then adds."""
    side = 1.0 * run.open_side[k]
    if run.exit_to_retry[k] != 0:
        return
    opened = run.average_price[k] if run.began_in_bar[k] == 1 else run.open[k, i]
    level, reason = nearest_stop(k, opened, run)
    worst = run.low[k, i] if side > 0.0 else run.high[k, i]
    if level == level and side * (worst - level) <= 0.0:
        fill_rungs_within(k, i, level, now_ns, run)
        if GRID:
            fill_grid_within(k, i, level, now_ns, run)
        at = opened if side * (opened - level) <= 0.0 else level
        slippage = slippage_at_fill(k, i, run)
        price = round_against(at * (1.0 - side * slippage), -side, run.tick[k])
        close_at_stop(k, i, level, opened, price, reason, now_ns, run)
        return
    reach = run.close[k, i]  # of a trade that began inside the bar only the close is certain
    if run.began_in_bar[k] == 0:
        reach = run.high[k, i] if side > 0.0 else run.low[k, i]
    fill_takes(k, i, reach, now_ns, 0, run)
    fill_rungs_within(k, i, nan, now_ns, run)
    if GRID:
        fill_grid_within(k, i, nan, now_ns, run)
        stop_new_trade(k, i, now_ns, run)  # one that left its grid may have entered it again


@routine
def fill_grid_within(k, i, stop, now_ns, run: Run):
    """Fill the entries of the grid of k that bar i has traded through, nearest to its open first.

    With a stop, or the stop of a trade that they have begun, those that lie before it alone.
    """
    while True:
        at = nearest_grid_entry(k, i, run)
        if at < 0:
            return
        price, last = run.B[k, at + GRID_PRICE], stop
        if run.began_in_bar[k] == 1 and run.open_side[k] != 0:
            last, _ = nearest_stop(k, run.average_price[k], run)
        if 1.0 * run.open_side[k] * (price - last) <= 0.0:
            return
        fill_grid_entry(k, at, price, 1, now_ns, 1, run)


@routine
def stop_new_trade(k, i, now_ns, run: Run):
    """Close a trade that a grid began inside bar i, if the bar has touched its stop."""
    if run.open_side[k] == 0 or run.began_in_bar[k] == 0 or run.exit_to_retry[k] != 0:
        return
    side, opened = 1.0 * run.open_side[k], run.average_price[k]
    level, reason = nearest_stop(k, opened, run)
    worst = run.low[k, i] if side > 0.0 else run.high[k, i]
    if level == level and side * (worst - level) <= 0.0:
        at = opened if side * (opened - level) <= 0.0 else level
        slippage = slippage_at_fill(k, i, run)
        price = round_against(at * (1.0 - side * slippage), -side, run.tick[k])
        close_at_stop(k, i, level, opened, price, reason, now_ns, run)


# ---------------------------------------------------------------- takes


@routine
def units_to_take(k, portion, price, run: Run):
    """Count a take as done; return the units that it sells, 0 where they are too small to be sold.

    So much of all that was entered stays as the takes so far leave, rounded up to the lot; nothing
    where that is below the minimum notional.
    """
    taken = run.taken_share[k] + portion
    run.taken_share[k] = taken
    lot, scale = run.lot[k], run.scale[k]
    stays = 0.0
    if taken < 1.0 - 1e-12:
        stays = -floor_units(-run.entered_units[k] * (1.0 - taken), lot)
    if too_small(stays, scale, price, run.min_notional[k]):
        stays = 0.0
    leaving = leaving_units(k, run)
    if GRID and VENUE_FILLS:
        leaving += sent_exit_units(k, run)
    units = floor_units(abs(run.units[k]) - leaving - stays, lot)
    if units < lot or too_small(units, scale, price, run.min_notional[k]):
        return 0.0
    return units


@routine
def take_at_close(k, i, now_ns, run: Run):
    """Send the takes of k whose condition is true at bar i, as one order at market.

    While one works none is added to it.
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
            k, MARKET, run.take_units[k], nan, nan, price, R_TAKE, now_ns, run
        )


@routine
def fill_takes(k, i, reach, time_ns, at_open, run: Run):
    """Fill every take and target of k that lies before `reach`, nearest first.

    A flip that works closes all of k: no take sells a part of what it was sent for.
    """
    side = 1.0 * run.open_side[k]
    turns = not SPOT and reason_of_exit(k, run) == R_REVERSAL
    average_price = run.average_price[k]
    tried = 0
    while run.open_side[k] != 0 and run.exit_to_retry[k] == 0:
        number, nearest = -1, nan
        for take in TAKES_AT:
            if not turns and (run.takes_done[k] >> take.number) & 1 == 0:
                level = take.level(k, side, average_price, run)
                level = round_against(level, side, run.tick[k])
                if side * (reach - level) > 0.0 and not side * (level - nearest) >= 0.0:
                    number, nearest = take.number, level
        at, price = -1, nan
        if GRID:
            at, price = nearest_grid_exit(k, i, reach, run)
        if TARGETS and tried == 0:
            level, reason = target_level(k, max(i - 1, 0), time_ns, run)
            before = not side * (level - nearest) >= 0.0 and not side * (level - price) > 0.0
            if side * (reach - level) > 0.0 and before:
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
                take_at_level(
                    k, i, take.number, take.size, take.moves_stop, nearest, at_open, time_ns, run
                )


@routine
def take_at_level(k, i, number, portion, moves_stop, level, at_open, time_ns, run: Run):
    """A take fills at its level, or at an open beyond it."""
    price = run.open[k, i] if at_open == 1 else level
    run.takes_done[k] = run.takes_done[k] | (1 << number)
    units = units_to_take(k, portion, price, run)
    if units > 0.0:
        if moves_stop:
            run.break_even[k] = 1
        sell_part(k, units, level, price, R_TAKE, at_open, time_ns, run)


@routine
def target_at_level(k, i, level, reason, at_open, time_ns, run: Run):
    """A target closes all of k at its level, or at an open beyond it; a regular buy goes on."""
    price = run.open[k, i] if at_open == 1 else level
    units = floor_units(abs(run.units[k]), run.lot[k])
    if too_small(units, run.scale[k], price, run.min_notional[k]):
        if GRID:
            end_grid_orders(k, reason, time_ns, run)
        retry_exit(k, reason, run)
        return
    if run.working[k] == 1 and (not BUYS or run.reduces[k] == 1):
        end_order(k, STATUS_CANCELLED, reason, time_ns, run)
    sell_part(k, units, level, price, reason, at_open, time_ns, run)


@routine
def sell_part(k, units, level, price, reason, at_open, time_ns, run: Run):
    """So many units of k are closed by a limit order at a level, which was there all along."""
    signed = -units if run.open_side[k] > 0 else units
    order_id = log_beside(k, LIMIT, signed, level, nan, level, reason, time_ns, run)
    fill(k, signed, price, 1, time_ns, order_id, reason, 1 - at_open, level, run)
    end_beside(k, order_id, 0.0, STATUS_FILLED, reason, time_ns, run)


# ---------------------------------------------------------------- resting adds


@routine
def fill_rungs_within(k, i, stop, now_ns, run: Run):
    """Fill the resting adds of k that bar i has traded through, nearest to its open first.

    With a stop, those that lie before it alone. Adds that were placed inside the bar wait.
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
            reached = side * (level - worst) > 0.0 if limits else side * (best - level) >= 0.0
            before = stop != stop or side * (level - stop) > 0.0
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
                fill_rung(k, rung.units, rung.price, rung.order, price, maker, now_ns, 1, run)


@routine
def fill_rung(k, units_at, price_at, order_at, price, maker, time_ns, intrabar, run: Run):
    """A resting add fills, as far as cash lets it; what is left ends."""
    asked, order_id = run.B[k, units_at], int(run.B[k, order_at])
    units = affordable_units(k, asked, price, maker, run)
    run.B[k, units_at] = 0.0
    if units != 0.0:
        fill(k, units, price, maker, time_ns, order_id, R_ADD, intrabar, run.B[k, price_at], run)
        run.adds[k] = run.adds[k] + 1
    if units == asked:
        end_beside(k, order_id, 0.0, STATUS_FILLED, R_ADD, time_ns, run)
    else:
        end_beside(k, order_id, asked - units, STATUS_CANCELLED, R_CASH, time_ns, run)
