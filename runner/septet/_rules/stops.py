"""Stops, targets and liquidations: levels of a position, and their match with bars and quotes."""

from __future__ import annotations

from math import nan

from septet._kernel.layout import LIMIT, MARKET, STATUS_CANCELLED, STATUS_EXPIRED, STOP
from septet._kernel.ledger import floor_units
from septet._kernel.match import (
    cap_units,
    liquidation_price,
    stop_price,
    target_price,
    too_small,
)
from septet._kernel.touch import passes, touches
from septet._rules.compile_marks import kernel, routine
from septet._rules.fills import execute
from septet._rules.ledger import end_order, place_order
from septet._rules.levels import protective_level, target_level
from septet._rules.orders import continue_exit, send_exit
from septet._rules.records import Order
from septet._rules.reentry import block_side
from septet._rules.run_state import Run
from septet._rules.settings import (
    LEVERAGE,
    LIQUIDATES,
    MAINTENANCE,
    PARTICIPATION,
    PROTECTIVE,
    R_LIQUIDATION,
    R_REBALANCE,
    R_REVERSAL,
    R_UNFILLED,
    SENDS_TAKES,
    TARGETS,
    VENUE_FILLS,
    VOLUME_SHARE,
    slippage_at_fill,
)

__all__ = [
    "all_is_leaving", "exit_is_working", "hold_back", "is_bust", "is_touched", "leave_touched",
    "liquidate", "newest_bar", "price_of_liquidation", "price_of_stop", "protect", "reached_target",
    "reason_of_exit", "retry_exit", "touch", "trigger_exit", "volume_left",
]  # fmt: skip


# ---------------------------------------------------------------- levels


@kernel
def price_of_liquidation(k, run: Run):
    """Return the mark at which k's position is liquidated, after funding paid from its margin."""
    side = 1.0 * run.open_side[k]
    funding = run.margin_funding[k] / (abs(run.units[k]) / run.scale[k])
    return liquidation_price(side, run.average_price[k], LEVERAGE, MAINTENANCE, funding)


@kernel
def is_bust(k, i, run: Run):
    """Whether k's position is liquidated at the open of bar i, before any order."""
    side = 1.0 * run.open_side[k]
    if side == 0.0 or run.is_synthetic[k, i] == 1:
        return False
    if run.working[k] == 1 and run.reduces[k] == 1 and run.order_reason[k] == R_LIQUIDATION:
        return False
    price = price_of_liquidation(k, run)
    return touches(side, run.open[k, i], price)


@kernel
def exit_is_working(k, run: Run):
    """Whether the working order of k closes all of its position."""
    if run.working[k] == 0 or run.reduces[k] == 0:
        return False
    return abs(run.order_units[k]) >= floor_units(abs(run.units[k]), run.lot[k])


@kernel
def all_is_leaving(k, run: Run):
    """Whether the working exit of k, or a take that is simulated here, closes all of its position.

    An exit that replaces a take of a venue ends it first.
    """
    if SENDS_TAKES and not VENUE_FILLS:
        held = floor_units(abs(run.units[k]), run.lot[k])
        if abs(run.take_units[k]) >= held > 0.0:
            return True
    return exit_is_working(k, run)


# ---------------------------------------------------------------- bars


@kernel
def retry_exit(k, reason, run: Run):
    """Mark an exit of k for retry; the first reason stays.

    Nothing waits where orders that were sent close all of the position.
    """
    if run.exit_to_retry[k] == 0 and not all_is_leaving(k, run):
        run.exit_to_retry[k] = reason + 1


@kernel
def reached_target(k, i, target, opened, run: Run):
    """Return the price at which the target of k certainly fills in bar i, or NaN.

    A trade that began inside the bar may have begun after its high (or low): only a close beyond
    the target proves that the target was traded through.
    """
    side = 1.0 * run.open_side[k]
    if run.began_in_bar[k] == 1 and touches(side, run.close[k, i], target):
        return nan
    return target_price(side, target, opened, run.high[k, i], run.low[k, i])


@kernel
def is_touched(k, i, level, opened, run: Run):
    """Whether bar i touches a level at which the position of k is stopped."""
    side = 1.0 * run.open_side[k]
    worst = run.low[k, i] if side > 0.0 else run.high[k, i]
    return touches(side, opened, level) or touches(side, worst, level)


@routine
def hold_back(k, i, only_open, level, level_reason, target, target_reason, opened, run: Run):
    """Withhold levels at which the position is too small to be sold: they do not rest.

    Returns the two levels, NaN for a withheld one. If the bar touches a withheld level, the exit is
    retried once the position is worth enough.
    """
    side = 1.0 * run.open_side[k]
    sellable = floor_units(abs(run.units[k]), run.lot[k])
    worth = level  # an order that rests at the venue was filled at its trigger
    if PROTECTIVE:
        worth = price_of_stop(k, i, level, opened, run)
    small = too_small(sellable, run.scale[k], worth, run.min_notional[k], run.min_units[k])
    small_target = too_small(sellable, run.scale[k], target, run.min_notional[k], run.min_units[k])
    from_open = run.began_in_bar[k] == 0
    if small_target and from_open and passes(side, opened, target):
        retry_exit(k, target_reason, run)
    touched = is_touched(k, i, level, opened, run)
    if small and touched and (only_open == 0 or touches(side, opened, level)):
        if run.exit_to_retry[k] == 0:
            block_side(k, run.open_side[k], run)
        retry_exit(k, level_reason, run)
    if small_target and only_open == 0 and reached_target(k, i, target, opened, run) > 0.0:
        retry_exit(k, target_reason, run)
    return (nan if small else level), (nan if small_target else target)


@routine
def protect(k, i, now_ns, only_open, run: Run):
    """Match the stops and targets of k with bar i from the fill on, or with its open only."""
    if run.is_synthetic[k, i] == 1:
        return
    if PARTICIPATION:  # an exit matched with this bar has used all of its volume
        met = exit_is_working(k, run) and run.active_ns[k] <= run.open_ns[k, i]
        if met and (not LIQUIDATES or not is_bust(k, i, run)):
            return
    side = 1.0 * run.open_side[k]
    opened = run.average_price[k] if run.began_in_bar[k] == 1 else run.open[k, i]
    known = max(i - 1, 0)  # a level is computed from values known when the bar opened
    level, level_reason = protective_level(k, known, now_ns, run)
    target, target_reason = target_level(k, known, now_ns, run)
    touched = is_touched(k, i, level, opened, run)
    reached = reached_target(k, i, target, opened, run)
    if (PROTECTIVE or TARGETS) and (touched or reached == reached):
        level, target = hold_back(
            k, i, only_open, level, level_reason, target, target_reason, opened, run
        )
        touched = is_touched(k, i, level, opened, run)
        reached = reached_target(k, i, target, opened, run)
    if LIQUIDATES:
        price = price_of_liquidation(k, run)
        if level != level or side * (price - level) > 0.0 or touches(side, opened, price):
            level, level_reason = price, R_LIQUIDATION
            touched = is_touched(k, i, level, opened, run)
    if not touched and reached != reached:
        return  # nearly every bar
    slippage = slippage_at_fill(k, i, run)
    high, low = run.high[k, i], run.low[k, i]
    stopped = stop_price(side, level, opened, high, low, slippage, run.tick[k])
    beyond = run.began_in_bar[k] == 0 and passes(side, opened, target)
    # an open beyond the target fills it first; if both are inside the bar, the stop
    if reached == reached and (beyond or stopped != stopped):
        if beyond or only_open == 0:
            time_ns = run.open_ns[k, i] if beyond else now_ns
            trigger_exit(k, i, LIMIT, target, opened, reached, 1, target_reason, time_ns, run)
        if not PARTICIPATION or only_open == 1 or run.open_side[k] == 0:
            return  # units of a target left unfilled at the open may still be stopped
    if stopped == stopped:
        at_open = touches(side, opened, level)
        if at_open or only_open == 0:
            first = at_open and run.began_in_bar[k] == 0
            time_ns = run.open_ns[k, i] if first else now_ns
            trigger_exit(k, i, STOP, level, opened, stopped, 0, level_reason, time_ns, run)


@kernel
def reason_of_exit(k, run: Run):
    """Return the reason for which k's working order closes its position, or -1 if it does not."""
    if run.working[k] == 0 or run.units[k] * run.order_units[k] >= 0.0:
        return -1
    if run.reduces[k] == 0:
        return R_REVERSAL
    return -1 if run.order_reason[k] == R_REBALANCE else run.order_reason[k]


@kernel
def volume_left(k, i, run: Run):
    """Return the units that the volume of bar i still allows."""
    every = abs(run.units[k])
    return cap_units(
        every, run.volume_used[k], run.volume[k, i], run.scale[k], run.lot[k], VOLUME_SHARE
    )


@kernel
def price_of_stop(k, i, level, opened, run: Run):
    """Return the market price when a level acted: the decision price of the exit.

    If bar i opened beyond the level, the market never traded at it. The gap counts from the level
    if the market was on its other side when it was set: at the previous close, and since the entry.
    A level that was already passed at that close, that lies beyond every price since the entry, or
    beyond the price of an entry into this bar, never rested, and acted at the open.
    """
    side = 1.0 * run.open_side[k]
    if not passes(-side, opened, level):
        return level
    entered_here = run.entry_ns[k] >= run.open_ns[k, i]
    was_passed = touches(side, run.close[k, max(i - 1, 0)], level)
    beyond_all = passes(-side, run.high_water[k], level)
    return opened if entered_here or was_passed or beyond_all else level


@routine
def trigger_exit(k, i, kind, level, opened, price, maker, reason, time_ns, run: Run):
    """Fill a resting stop or target, as far as the volume allows.

    The rest of a stop continues at market. The rest of a target keeps resting at its level, and
    fills when a later bar trades through it again.
    """
    if PARTICIPATION and (kind == LIMIT and volume_left(k, i, run) <= 0.0):
        return
    if PARTICIPATION:
        leaving, active_ns = reason_of_exit(k, run), run.active_ns[k]
        replaced = run.order_id[k]
    if run.working[k] == 1:
        end_order(k, STATUS_CANCELLED, reason, time_ns, run)
    held = run.units[k]
    units = -floor_units(held, run.lot[k]) if held > 0.0 else floor_units(-held, run.lot[k])
    side = run.open_side[k]
    limit = level if kind == LIMIT else nan
    trigger = level if kind == STOP else nan
    seen = level
    if PROTECTIVE and (kind == STOP and reason != R_LIQUIDATION):
        seen = price_of_stop(k, i, level, opened, run)
    place_order(
        k,
        Order(
            kind=kind, units=units, reason=reason, decision_price=seen,
            limit=limit, trigger=trigger,
        ),
        time_ns, 0, 1, time_ns, run,
    )  # fmt: skip
    execute(k, i, price, maker, time_ns, 0, run)
    if kind == STOP:
        block_side(k, side, run)
    if run.working[k] == 1:
        if kind == STOP:
            run.order_type[k] = MARKET
        else:
            end_order(k, STATUS_EXPIRED, R_UNFILLED, time_ns, run)
            if PARTICIPATION and leaving >= 0:
                continue_exit(k, leaving, replaced, active_ns, time_ns, run)


# ---------------------------------------------------------------- quotes


@kernel
def newest_bar(k, run: Run):
    """Return the cursor of the newest bar of k: its levels apply to later prices."""
    return max(run.N[k] - 1, 0)


@routine
def touch(k, exit_price, now_ns, run: Run):
    """Test the stops and targets held here at a price at which k's position could be closed."""
    side = 1.0 * run.open_side[k]
    if side == 0.0 or run.exit_to_retry[k] > 0 or exit_is_working(k, run):
        return
    level, reason = protective_level(k, newest_bar(k, run), now_ns, run)
    if touches(side, exit_price, level):
        block_side(k, run.open_side[k], run)
        leave_touched(k, reason, now_ns, run)
        return
    level, reason = target_level(k, newest_bar(k, run), now_ns, run)
    if passes(side, exit_price, level):
        leave_touched(k, reason, now_ns, run)


@routine
def leave_touched(k, reason, now_ns, run: Run):
    """Exit k, whose level was touched; a position too small to sell cancels no entry."""
    sellable = floor_units(abs(run.units[k]), run.lot[k])
    if too_small(sellable, run.scale[k], run.mark[k], run.min_notional[k], run.min_units[k]):
        retry_exit(k, reason, run)
    else:
        send_exit(k, reason, now_ns, run)


@routine
def liquidate(k, mark_price, now_ns, run: Run):
    """Liquidate k's position if the mark reaches its liquidation price."""
    side = 1.0 * run.open_side[k]
    if side == 0.0:
        return
    price = price_of_liquidation(k, run)
    if touches(side, mark_price, price):
        block_side(k, run.open_side[k], run)
        exits = run.working[k] == 1 and run.reduces[k] == 1
        if exits and run.order_reason[k] != R_LIQUIDATION:  # it comes before an exit that was sent
            end_order(k, STATUS_CANCELLED, R_LIQUIDATION, now_ns, run)
        send_exit(k, R_LIQUIDATION, now_ns, run)
