"""Turns a candidate into an order: its size, caps, prices and final checks.

The file's sizing, limits and orders read the candidate's values in `run.candidate_price` and
others.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.layout import LIMIT, MARKET, STOP, STOP_LIMIT, TOLERANCE
from septet._kernel.ledger import floor_units
from septet._kernel.match import regime_allows, round_against, too_small
from septet._kernel.maths import logarithm
from septet._rules.checked import count_invalid, is_label
from septet._rules.compile_marks import kernel, routine
from septet._rules.grid_orders import grid_worth
from septet._rules.hours import rejection_of_hours
from septet._rules.ledger import place_order
from septet._rules.levels import (
    is_too_small,
    price_of_entry,
    rejection_of_stops,
    restart_counts,
)
from septet._rules.orders import send_exit
from septet._rules.position_count import has_place
from septet._rules.queued import place_behind_exit
from septet._rules.records import Order
from septet._rules.resting import rests_as_limit, rung_worth
from septet._rules.run_state import Run
from septet._rules.settings import (
    BROKEN_ORDER,
    BROKEN_REGIME,
    CAPS,
    CASH_BUFFER,
    CHECKED_ORDER,
    CHECKED_REGIME,
    CHECKED_SIZE,
    CHECKS_ORDER,
    CHECKS_REGIME,
    CHECKS_SIZE,
    CORRELATION_SLOT,
    EXPLAINED,
    GRID,
    HOURS,
    KEEPS_CASH,
    LATENCY_NS,
    LEVERAGE,
    LIMITS_POSITIONS,
    MAKER_FEE,
    MIN_INTERVAL,
    NOTIONAL_SLOT,
    ORDER_LIMITS,
    PORTFOLIO,
    PRO_RATA,
    QUEUES,
    R_CASH,
    R_ENTRY,
    R_HALTED,
    R_LATE,
    R_LOT,
    R_MARGIN,
    R_MAX_POSITIONS,
    R_MIN_INTERVAL,
    R_MIN_NOTIONAL,
    R_OPPOSITE,
    R_REBALANCE,
    R_REENTRY_BLOCKED,
    R_REGIME,
    R_SIZE,
    R_TOO_SMALL,
    REBALANCE_BAND,
    REBALANCES,
    REENTRY,
    REGIME_MASK,
    REGIMES,
    RUNGS,
    SENDS_TAKES,
    SLIPPAGE_HINT,
    SPOT,
    STEPS,
    SYMBOLS,
    TABLES,
    TAKER_FEE,
    TIME_IN_FORCE,
    VENUE_FILLS,
    order_prices,
    probability_up,
    regime,
    size,
    slippage_at_decision,
)

__all__ = [
    "buying_power", "cap", "correlate", "cost_of_rungs", "describe_entry", "enter", "gross_now",
    "is_price", "place_entry", "rejection_before_size", "rejection_by_order_limits",
    "rejection_of_increase", "rejection_of_size", "rejection_of_order",
    "requested_size", "take_costs", "tighter", "trim", "units_of_resize",
]  # fmt: skip


@routine
def buying_power(now_ns, run: Run):
    """Return the cash free for entries (quote), net of what working orders need and bring."""
    cash = run.cash - CASH_BUFFER * run.equity if KEEPS_CASH else run.cash
    for k in range(SYMBOLS):
        if run.working[k] == 1:
            worth = run.order_units[k] / run.scale[k] * run.mark[k]
            if run.reduces[k] == 0:
                cash -= abs(worth) * (1.0 + SLIPPAGE_HINT) * (1.0 + TAKER_FEE)
            elif worth < 0.0:
                cash += abs(worth) * (1.0 - SLIPPAGE_HINT) * (1.0 - TAKER_FEE)
        if SENDS_TAKES and run.take_units[k] < 0.0:
            worth = run.take_units[k] / run.scale[k] * run.mark[k]
            cash += abs(worth) * (1.0 - SLIPPAGE_HINT) * (1.0 - TAKER_FEE)
        if RUNGS:
            cash -= abs(rung_worth(k, run))
        if GRID:
            cash -= grid_worth(k, run)
        if QUEUES and run.queued_id[k] != 0:
            worth = run.queued_units[k] / run.scale[k] * run.mark[k]
            cash -= abs(worth) * (1.0 + SLIPPAGE_HINT) * (1.0 + TAKER_FEE)
    if RUNGS or GRID:
        cash -= cost_of_rungs(run)
    return cash


@routine
def cost_of_rungs(run: Run):
    """Return the fees and slippage expected of all resting adds and grid levels (quote)."""
    cost = 0.0
    if GRID:
        for k in range(SYMBOLS):
            if VENUE_FILLS:  # with venue fills a level is sent as a market order
                cost += grid_worth(k, run) * ((1.0 + SLIPPAGE_HINT) * (1.0 + TAKER_FEE) - 1.0)
            else:
                cost += grid_worth(k, run) * MAKER_FEE
    if RUNGS:
        for k in range(SYMBOLS):
            for rung in RUNGS:
                units, level = run.B[k, rung.units], run.B[k, rung.price]
                if units != 0.0:
                    rate = MAKER_FEE
                    if not rests_as_limit(k, level, run):
                        rate = (1.0 + SLIPPAGE_HINT) * (1.0 + TAKER_FEE) - 1.0
                    cost += abs(units) / run.scale[k] * level * rate
    return cost


@routine
def gross_now(flip, run: Run):
    """Return the sum of |notional| after working orders fill, and that of these orders (quote).

    Stores the value of each symbol, and leaves out the position of `flip`.
    """
    gross, working = 0.0, 0.0
    for k in range(SYMBOLS):
        units = run.units[k]
        if run.working[k] == 1:
            units += run.order_units[k]
            working += abs(run.order_units[k]) / run.scale[k] * run.mark[k]
        if SENDS_TAKES:
            units += run.take_units[k]
            working += abs(run.take_units[k]) / run.scale[k] * run.mark[k]
        if QUEUES and run.queued_id[k] != 0:
            units += run.queued_units[k]
            working += abs(run.queued_units[k]) / run.scale[k] * run.mark[k]
        if k == flip:
            units = 0.0
        worth = units / run.scale[k] * run.mark[k]
        if RUNGS:
            worth += rung_worth(k, run)
        if GRID:  # both sides count while flat: which one will fill is not known
            worth += -grid_worth(k, run) if worth < 0.0 else grid_worth(k, run)
        run.A[NOTIONAL_SLOT + k] = worth
        gross += abs(worth)
    return gross, working


@routine
def correlate(k, t, window, least, run: Run):
    """Correlate the log returns of k with those of every symbol over the common bars before t."""
    first = max(0, t - window)
    for other_k in range(SYMBOLS):
        count, before_a, before_b = 0, nan, nan
        sum_a, sum_b, sum_aa, sum_bb, sum_ab = 0.0, 0.0, 0.0, 0.0, 0.0
        for u in range(first, t + 1):
            i, j = run.bar[k, u], run.bar[other_k, u]
            if i < 0 or j < 0:
                continue
            a, b = run.close[k, i], run.close[other_k, j]
            if before_a == before_a:
                x, y = logarithm(a / before_a), logarithm(b / before_b)
                count += 1
                sum_a += x
                sum_b += y
                sum_aa += x * x
                sum_bb += y * y
                sum_ab += x * y
            before_a, before_b = a, b
        value = nan
        if count >= least:
            spread = (count * sum_aa - sum_a * sum_a) * (count * sum_bb - sum_b * sum_b)
            if spread > 0.0:
                value = (count * sum_ab - sum_a * sum_b) / math.sqrt(spread)
        run.A[CORRELATION_SLOT + other_k] = value


@routine
def enter(k, t, i, now_ns, share, run: Run):
    """Step 8 for one candidate: size, caps, lots, wire; an order, or a rejection with its rule.

    With a negative `share` cash and margin are left out and an accepted entry is only planned: see
    `pro_rata.py`. Returns its units, not yet in whole lots where no limit capped it, or 0.
    """
    side = run.target_side[k]
    flips = run.open_side[k] != 0 and side != 1.0 * run.open_side[k]
    working = describe_entry(k, i, flips, run)
    size_base, rejected, capped = 0.0, -1, -1
    resizes = REBALANCES and run.open_side[k] != 0 and not flips
    if REBALANCES and resizes:
        size_base, rejected = units_of_resize(k, i, now_ns, run)
        if rejected < 0 and not size_base > 0.0:
            if size_base < 0.0:
                trim(k, i, -size_base, now_ns, run)
            return 0.0
    if rejected < 0:
        rejected = rejection_before_size(k, i, now_ns, side, run)
    if STEPS and (rejected < 0 and (not resizes or is_too_small(k, run.close[k, i], run))):
        rejected = rejection_of_stops(k, i, side, price_of_entry(k, i, run), now_ns, run)
    if rejected < 0:
        if not resizes:
            size_base = requested_size(k, i, now_ns, run)
        if not 0.0 < size_base < math.inf:
            rejected = R_SIZE
    requested, granted, units = 0.0, 0.0, 0.0
    if rejected < 0:
        requested = side * size_base
        run.candidate_requested = requested
        take_costs(k, working, flips, run)
        units, capped = cap(k, t, i, now_ns, size_base, share, run)
        rejected = rejection_of_size(k, units, capped, run)
        if rejected < 0:
            # a planned entry is checked with one lot: only a share of its units will be sent
            wired = run.lot[k] if PRO_RATA and share < 0.0 else units
            rejected = rejection_of_order(k, i, now_ns, side, wired, run)
        if rejected < 0:
            granted = side * units / run.scale[k]
    if TABLES:
        run.requested[k, i] = requested
        run.granted[k, i] = granted
        run.capped_code[k, i] = capped + 1
        run.rejected_code[k, i] = rejected + 1
    if rejected < 0:
        if PRO_RATA and share < 0.0:
            return units if capped >= 0 else size_base * run.scale[k]
        place_entry(k, i, now_ns, side * units, flips, run)
    elif flips:
        send_exit(k, R_OPPOSITE, now_ns, run)
    return 0.0


@kernel
def take_costs(k, working, flips, run: Run):
    """Deduct costs of working orders, and of closing before a flip, from the candidate's equity."""
    price, cost = run.candidate_price, run.candidate_cost
    run.candidate_equity = run.candidate_equity - (cost / price - 1.0) * working
    if RUNGS or GRID:
        run.candidate_equity = run.candidate_equity - cost_of_rungs(run)
    if flips:
        closed = abs(run.units[k]) / run.scale[k]
        run.candidate_equity = run.candidate_equity - (cost - price) * closed


@routine
def describe_entry(k, i, flips, run: Run):
    """Set the figures of a candidate; return the notional of all working orders (quote)."""
    run.candidate_side = run.target_side[k]
    run.candidate_held = run.units[k] / run.scale[k]
    run.candidate_price = run.close[k, i]
    run.candidate_up = probability_up(k, i, run)
    run.candidate_slippage = slippage_at_decision(k, i, run)
    run.candidate_fee = TAKER_FEE
    run.candidate_cost = (
        run.candidate_price * (1.0 + run.candidate_slippage) * (1.0 + run.candidate_fee)
    )
    run.candidate_equity = run.equity
    run.candidate_limit = nan
    run.candidate_gross, working = gross_now(k if flips else -1, run)
    run.candidate_notional = run.A[NOTIONAL_SLOT + k]
    return working


@kernel
def requested_size(k, i, now_ns, run: Run):
    """Return the requested size (base); unless it is positive and finite nothing is entered."""
    size_base = size(k, i, now_ns, run)
    if CHECKS_SIZE and not 0.0 < size_base < math.inf:
        count_invalid(CHECKED_SIZE, k, now_ns, run)
    return size_base


@routine
def units_of_resize(k, i, now_ns, run: Run):
    """Return how far a position is below its target (base), and why it may not be resized.

    Negative if the position is too large; zero within the band.
    """
    target = requested_size(k, i, now_ns, run)
    if not 0.0 < target < math.inf:
        return 0.0, R_SIZE
    shortfall = target - abs(run.candidate_held)
    if abs(shortfall) <= (REBALANCE_BAND + TOLERANCE) * target:
        shortfall = 0.0
    return shortfall, -1


@routine
def rejection_of_increase(k, is_late, is_add, run: Run):
    """Return the reason to reject any increase of k now, or -1; an add needs no free place."""
    if run.blocked > 0:
        return R_HALTED
    if is_late == 1:
        return R_LATE
    if HOURS:
        rejected = rejection_of_hours(k, run)
        if rejected >= 0:
            return rejected
    if LIMITS_POSITIONS and (is_add == 0 and not has_place(k, run)):
        return R_MAX_POSITIONS
    return -1


@routine
def rejection_before_size(k, i, now_ns, side, run: Run):
    """Return the reason to reject an entry of k whatever its size, or -1."""
    rejected = rejection_of_increase(k, run.is_late, 0, run)
    if rejected >= 0:
        return rejected
    if REENTRY != "immediate" and (
        (side > 0.0 and run.blocked_long[k] != 0) or (side < 0.0 and run.blocked_short[k] != 0)
    ):
        return R_REENTRY_BLOCKED
    if run.bars_since_entry[k] < MIN_INTERVAL:
        return R_MIN_INTERVAL
    if CHECKS_REGIME and not is_label(regime(k, i, run)):
        count_invalid(CHECKED_REGIME, k, now_ns, run)
        return BROKEN_REGIME
    if REGIMES and not regime_allows(regime(k, i, run), REGIME_MASK):
        return R_REGIME
    return -1


@kernel
def tighter(units, capped, room, reason, lot):
    """Cap units at the lots that fit into `room`; the reason is that of the last cap."""
    if room >= units:
        return units, capped
    floored = floor_units(room, lot)
    if floored >= units:
        return units, capped
    return (floored if floored == floored else 0.0), reason


@routine
def cap(k, t, i, now_ns, requested, share, run: Run):
    """Return the lots that limits allow of the request (base), and the tightest or -1.

    With a negative `share` they are those that everything but cash and margin allows.
    """
    scale, lot = run.scale[k], run.lot[k]
    units, capped = floor_units(requested * scale, lot), -1
    if not PORTFOLIO:  # in a rebalance the amounts accumulate from one increase to the next
        run.cash_available = buying_power(now_ns, run)
    for limit in CAPS:
        if limit.correlates:
            correlate(k, t, limit.window, limit.least, run)
        most = limit.most(k, i, now_ns, run)
        if limit.checked and not most >= 0.0:
            count_invalid(limit.rule, k, now_ns, run)
            units, capped = tighter(units, capped, 0.0, limit.broken, lot)
        else:
            units, capped = tighter(units, capped, max(0.0, most) * scale, limit.code, lot)
    if PRO_RATA and share < 0.0:
        return units, capped
    if SPOT:
        room = max(0.0, run.cash_available / run.candidate_cost) * scale
        return tighter(units, capped, room, R_CASH, lot)
    price, cost = run.candidate_price, run.candidate_cost
    equity = run.candidate_equity
    if KEEPS_CASH:
        equity -= CASH_BUFFER * run.equity
    free = LEVERAGE * equity - run.candidate_gross
    room = max(0.0, free / (price + LEVERAGE * (cost - price))) * scale
    return tighter(units, capped, room, R_MARGIN, lot)


@routine
def rejection_of_size(k, units, capped, run: Run):
    """Return the reason to reject an order of this size, or -1."""
    if not units > 0.0:
        return capped if capped >= 0 else R_LOT
    if abs(units) < run.min_units[k]:
        return R_LOT
    if too_small(units, run.scale[k], run.candidate_price, run.min_notional[k], 0.0):
        return R_MIN_NOTIONAL
    return -1


@kernel
def is_price(price):
    """Whether an order may have this price: above zero, or NaN for no price."""
    return price != price or 0.0 < price < math.inf


@routine
def rejection_of_order(k, i, now_ns, side, units, run: Run):
    """Set the prices of the order; return the reason to reject it, or -1.

    Limit and trigger are rounded to a tick, never to a better price than requested.
    """
    limit_price, trigger_price = order_prices(k, i, run)
    if CHECKS_ORDER and not (is_price(limit_price) and is_price(trigger_price)):
        count_invalid(CHECKED_ORDER, k, now_ns, run)
        return BROKEN_ORDER
    run.candidate_limit = round_against(limit_price, -side, run.tick[k])
    run.candidate_trigger = round_against(trigger_price, side, run.tick[k])
    return rejection_by_order_limits(k, i, now_ns, units, run)


@routine
def rejection_by_order_limits(k, i, now_ns, units, run: Run):
    """Return the reason to reject an order of this many units now, or -1."""
    for limit in ORDER_LIMITS:
        most = limit.most(k, i, now_ns, run)
        if limit.checked and not most >= 0.0:
            count_invalid(limit.rule, k, now_ns, run)
            return limit.broken
        if not most * run.scale[k] >= units:
            return limit.code
    return -1


@routine
def place_entry(k, i, now_ns, units, flips, run: Run):
    """Place an entry order; a flip closes the position with it, or before it if the entry rests."""
    limit_price, trigger_price = run.candidate_limit, run.candidate_trigger
    kind = MARKET
    if trigger_price == trigger_price:
        kind = STOP_LIMIT if limit_price == limit_price else STOP
    elif limit_price == limit_price:
        kind = LIMIT
    if QUEUES and (flips and kind != MARKET):
        row = place_behind_exit(k, kind, units, now_ns, run)
    else:
        if flips:
            units = units - run.units[k]
        row = place_order(
            k,
            Order(
                kind=kind, units=units, reason=R_ENTRY, decision_price=run.candidate_price,
                limit=limit_price, trigger=trigger_price,
            ),
            now_ns + LATENCY_NS, TIME_IN_FORCE, 0, now_ns, run,
        )  # fmt: skip
    run.LF[row, 4] = run.target_confidence[k]
    run.LF[row, 5] = run.candidate_up
    run.LF[row, 6] = run.equity
    for slot in EXPLAINED:
        run.LF[row, slot.column] = run.A[slot.place]
    run.bars_since_entry[k] = 0
    run.exit_to_retry[k] = 0
    if not flips and is_too_small(k, run.close[k, i], run):
        restart_counts(k, i, now_ns, run)


@routine
def trim(k, i, surplus, now_ns, run: Run):
    """Reduce the position of k to its target (base); nothing blocks a reduction."""
    side = -1.0 if run.units[k] > 0.0 else 1.0
    units = floor_units(surplus * run.scale[k], run.lot[k])
    rejected = -1
    if not units > 0.0 or too_small(
        units, run.scale[k], run.close[k, i], run.min_notional[k], run.min_units[k]
    ):
        rejected = R_TOO_SMALL  # it is requested again at the next bar
    if TABLES:
        run.requested[k, i] = side * surplus
        run.granted[k, i] = side * units / run.scale[k] if rejected < 0 else 0.0
        run.rejected_code[k, i] = rejected + 1
    if rejected < 0:
        place_order(
            k,
            Order(
                kind=MARKET, units=side * units, reason=R_REBALANCE, decision_price=run.close[k, i]
            ),
            now_ns + LATENCY_NS, 0, 1, now_ns, run,
        )  # fmt: skip
