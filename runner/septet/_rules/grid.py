"""A grid: while flat its levels are laid at T; each buys, sells one level up, then rests again.

A level whose units are too few to be sold buys again, and sells them with the next ones. If the
whole position is too small the levels are laid as while flat, and its exit waits. Entries are
placed nearest first, and only where the limits allow their whole size. At an open, only a level
that has just filled there is placed again at once; all others wait for T. The first fill of one
side cancels the entries of the other. While an exit closes all of the position nothing rests.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.layout import (
    GRID_ACTIVE,
    GRID_BOUGHT,
    GRID_CHANGED,
    GRID_ENTRY,
    GRID_EXIT,
    GRID_ORDER,
    GRID_OUT,
    GRID_PRICE,
    GRID_RESTED,
    GRID_UNITS,
    LIMIT,
    STATUS_CANCELLED,
    STATUS_EXPIRED,
    STATUS_FILLED,
)
from septet._kernel.ledger import floor_units, reduce_only
from septet._kernel.match import match_open, round_against, too_small
from septet._kernel.touch import passes
from septet._rules.compile_marks import kernel, routine
from septet._rules.enter import (
    cap,
    cost_of_rungs,
    describe_entry,
    rejection_by_order_limits,
    rejection_of_increase,
    rejection_of_size,
)
from septet._rules.fills import affordable_units, book_matched, share_of_volume, use_volume
from septet._rules.grid_orders import (
    column_of_level,
    cost_of_entry,
    end_grid_entries,
    end_level,
    remove_grid,
    side_of_level,
    waits_too_small,
)
from septet._rules.levels import begin_again, rejection_of_distances
from septet._rules.orders import send_exit
from septet._rules.records import Fill
from septet._rules.resting import end_beside, leaving_units, log_limit
from septet._rules.run_state import Run
from septet._rules.settings import (
    GRID_LEVELS,
    GRID_ROWS,
    GRID_SIZE,
    GRID_STEP,
    LATENCY_NS,
    ONE_SYMBOL,
    PARTICIPATION,
    R_CASH,
    R_GRID,
    R_GRID_EXIT,
    R_GRID_MOVED,
    R_LATE_FILL,
    R_OTHER_SIDE,
    R_TOO_SMALL,
    R_UNFILLED,
    SYMBOLS,
    TABLES,
    TAKER_FEE,
    VENUE_FILLS,
    grid_centre,
    slippage_at_fill,
)
from septet._rules.venue_grid import count_sent, share_out, watch_again

__all__ = [
    "book_grid_entry", "can_sell", "fill_grid_at_open", "fill_grid_entry", "fill_grid_exit",
    "fill_part_of_grid_entry", "gather_remainders", "hold_by_levels", "is_active", "lay_side",
    "nearest_grid_entry", "nearest_grid_exit", "note_rested", "place_grid_entry",
    "place_grid_exit", "rest_again", "rest_again_at_open", "rest_grid", "rest_grids",
    "units_of_no_level",
]  # fmt: skip


# ---------------------------------------------------------------- at a decision time


@routine
def rest_grids(t, now_ns, run: Run):
    """Place the grid orders of all symbols that have a bar at T, in universe order."""
    for k in range(SYMBOLS):
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i >= 0:
            rest_grid(k, t, i, now_ns, run)


@routine
def rest_grid(k, t, i, now_ns, run: Run):
    """Recompute the grid of k while it is flat; otherwise place the missing orders of its levels.

    Orders that a venue may still fill are not moved.
    """
    is_free = not VENUE_FILLS or count_sent(k, run) == 0
    if run.open_side[k] != 0 and run.exit_to_retry[k] == 0:
        if VENUE_FILLS:
            watch_again(k, run)
            hold_by_levels(k, i, now_ns, run)
        if is_free:
            gather_remainders(k, now_ns, run)
    if is_free and (run.open_side[k] == 0 or waits_too_small(k, run)):
        remove_grid(k, R_GRID_MOVED, now_ns, run)
        centre = grid_centre(k, i, run)
        if not 0.0 < centre < math.inf:
            return
        lay_side(k, i, 0, centre, now_ns, run)
        if GRID_ROWS > GRID_LEVELS:
            lay_side(k, i, GRID_LEVELS, centre, now_ns, run)
    rest_again(k, t, i, now_ns + LATENCY_NS, now_ns, 0, run)


@routine
def gather_remainders(k, now_ns, run: Run):
    """Assign all units of k to its nearest level if no level can sell what it holds.

    If that level cannot sell them either, the position is closed, or its exit waits.
    """
    held, lot = abs(run.units[k]), run.lot[k]
    if leaving_units(k, run) >= floor_units(held, lot):
        return
    side, first = 1.0 * run.open_side[k], -1
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        if side_of_level(n) == side and run.B[k, at + GRID_PRICE] > 0.0:
            if first < 0:
                first = at
            if run.B[k, at + GRID_EXIT] != 0.0 or can_sell(k, at, run.B[k, at + GRID_BOUGHT], run):
                return
    if first < 0 or not can_sell(k, first, held, run):
        send_exit(k, R_GRID_EXIT, now_ns, run)
        return
    for n in range(GRID_ROWS):
        run.B[k, column_of_level(n) + GRID_BOUGHT] = 0.0
    run.B[k, first + GRID_BOUGHT] = floor_units(held, lot)
    unfilled = run.B[k, first + GRID_ENTRY]
    if unfilled != 0.0:
        end_level(k, first, unfilled, R_GRID_MOVED, now_ns, run)
        run.B[k, first + GRID_ENTRY] = 0.0


@kernel
def can_sell(k, at, units, run: Run):
    """Whether so many units are enough for an exit of the level at column `at`."""
    floored = floor_units(units, run.lot[k])
    price = run.B[k, at + GRID_OUT]
    return floored >= run.lot[k] and not too_small(
        floored, run.scale[k], price, run.min_notional[k], run.min_units[k]
    )


@routine
def units_of_no_level(k, run: Run):
    """Return the whole lots of k that no level has bought; they leave with the next exit."""
    excess = abs(run.units[k])
    for n in range(GRID_ROWS):
        excess -= floor_units(run.B[k, column_of_level(n) + GRID_BOUGHT], run.lot[k])
    return floor_units(max(0.0, excess), run.lot[k])


@routine
def hold_by_levels(k, i, now_ns, run: Run):
    """With venue fills, assign units of k that no level has bought to the nearest level.

    A position without a grid was adopted, or filled late: the levels of its side are set now. A
    position on a side without levels is closed.
    """
    first = 0 if run.open_side[k] > 0 else GRID_LEVELS
    if first >= GRID_ROWS:
        send_exit(k, R_LATE_FILL, now_ns, run)
        return
    at = column_of_level(first)
    if run.B[k, at + GRID_PRICE] == 0.0:
        centre = grid_centre(k, i, run)
        if 0.0 < centre < math.inf:
            lay_side(k, i, first, centre, now_ns, run)
    share_out(k, at, run)


@routine
def lay_side(k, i, first, centre, now_ns, run: Run):
    """Set prices and units of the levels from `first` on, one step after another from the centre.

    No level is set where a required distance of the stop is unknown.
    """
    side = side_of_level(first)
    rejected = rejection_of_distances(k, i, side, now_ns, run)
    if rejected >= 0:
        if TABLES:
            run.rejected_code[k, i] = rejected + 1
        return
    exact, out = centre, round_against(centre, side, run.tick[k])
    for n in range(first, first + GRID_LEVELS):
        at = column_of_level(n)
        exact *= 1.0 - side * GRID_STEP
        price = round_against(exact, -side, run.tick[k])
        worth = GRID_SIZE * run.equity
        run.B[k, at + GRID_PRICE] = price
        run.B[k, at + GRID_OUT] = out
        run.B[k, at + GRID_UNITS] = floor_units(
            worth / cost_of_entry(price, run) * run.scale[k], run.lot[k]
        )
        out = price


@routine
def rest_again(k, t, i, active_ns, time_ns, at_open, run: Run):
    """Place the missing orders of the grid of k: the exit of a level that bought, else its entry.

    A level whose units are too few to be sold places its entry, which adds to them. Levels nearest
    to the centre come first; at the same step the buy comes before the sale.
    """
    if run.exit_to_retry[k] != 0 and not waits_too_small(k, run):
        return
    held = 1.0 * run.open_side[k]
    if held != 0.0 and leaving_units(k, run) == abs(run.units[k]):
        return
    for step in range(GRID_ROWS):
        n = step
        if GRID_ROWS > GRID_LEVELS:
            n = step // 2 + step % 2 * GRID_LEVELS
        at, side = column_of_level(n), side_of_level(n)
        works = run.B[k, at + GRID_ENTRY] != 0.0 or run.B[k, at + GRID_EXIT] != 0.0
        waits = at_open == 1 and run.B[k, at + GRID_CHANGED] == 0.0
        if run.B[k, at + GRID_PRICE] > 0.0 and side * held >= 0.0 and not works and not waits:
            run.B[k, at + GRID_CHANGED] = 0.0
            if place_grid_exit(k, at, side, active_ns, time_ns, run) == 0:
                place_grid_entry(k, t, i, at, side, active_ns, time_ns, at_open, run)


@routine
def place_grid_exit(k, at, side, active_ns, time_ns, run: Run):
    """Place the exit of what a level has bought one level up; return 0 if that is too little."""
    units, price = floor_units(run.B[k, at + GRID_BOUGHT], run.lot[k]), run.B[k, at + GRID_OUT]
    if units == 0.0:
        return 0
    units += units_of_no_level(k, run)
    if not can_sell(k, at, units, run):
        return 0
    run.B[k, at + GRID_BOUGHT] = units
    if VENUE_FILLS:  # the engine watches its price
        run.B[k, at + GRID_ORDER] = -1.0
    else:
        run.B[k, at + GRID_ORDER] = log_limit(k, -side * units, price, R_GRID_EXIT, time_ns, run)
    run.B[k, at + GRID_EXIT] = -side * units
    run.B[k, at + GRID_ACTIVE] = (active_ns + 999_999) // 1_000_000
    run.B[k, at + GRID_RESTED] = 0.0
    return 1


@routine
def place_grid_entry(k, t, i, at, side, active_ns, time_ns, at_open, run: Run):
    """Place the entry of a level if the limits allow its whole size; bar i is the newest known."""
    price, requested = run.B[k, at + GRID_PRICE], floor_units(run.B[k, at + GRID_UNITS], run.lot[k])
    is_late = run.is_late if at_open == 0 else 0  # an open precedes the decision row that is late
    capped, rejected = -1, rejection_of_increase(k, is_late, 0, run)
    if rejected < 0:
        working = describe_entry(k, i, False, run)
        market = (1.0 + run.candidate_slippage) * (1.0 + TAKER_FEE)
        run.candidate_side = side
        run.candidate_price = price
        run.candidate_cost = cost_of_entry(price, run)
        run.candidate_notional = side * abs(run.candidate_notional)
        run.candidate_equity = run.candidate_equity - (market - 1.0) * working - cost_of_rungs(run)
        run.candidate_requested = side * requested / run.scale[k]
        units, capped = cap(k, t, i, time_ns, requested / run.scale[k], 1.0, run)
        # a level that does not fit whole is not placed
        rejected = capped if units < requested else rejection_of_size(k, units, capped, run)
        if rejected < 0:
            rejected = rejection_by_order_limits(k, i, time_ns, units, run)
    if TABLES and at_open == 0:
        run.requested[k, i] = run.requested[k, i] + side * requested / run.scale[k]
        if rejected < 0:
            run.granted[k, i] = run.granted[k, i] + side * requested / run.scale[k]
            if run.rejected_code[k, i] == R_TOO_SMALL + 1:  # of an exit that waits
                run.rejected_code[k, i] = 0
        else:
            run.rejected_code[k, i] = rejected + 1
            run.capped_code[k, i] = capped + 1
    if rejected >= 0:
        return
    if VENUE_FILLS:
        run.B[k, at + GRID_ORDER] = -1.0
    else:
        run.B[k, at + GRID_ORDER] = log_limit(k, side * requested, price, R_GRID, time_ns, run)
    run.B[k, at + GRID_ENTRY] = side * requested
    run.B[k, at + GRID_ACTIVE] = (active_ns + 999_999) // 1_000_000
    run.B[k, at + GRID_RESTED] = 0.0


# ---------------------------------------------------------------- the open


@kernel
def is_active(k, at, i, run: Run):
    """Whether the resting order of a level may meet bar i."""
    return int(run.B[k, at + GRID_ACTIVE]) * 1_000_000 <= run.open_ns[k, i]


@routine
def fill_grid_at_open(k, i, run: Run):
    """Match the entries of the grid of k with the open of bar i, in the order of placement."""
    done = -1.0
    while True:
        level_at, first = -1, math.inf
        for n in range(GRID_ROWS):
            at = column_of_level(n)
            order = run.B[k, at + GRID_ORDER]
            if run.B[k, at + GRID_ENTRY] != 0.0 and done < order < first:
                level_at, first = at, order
        if level_at < 0:
            return
        done = first
        if is_active(k, level_at, i, run):
            rested = 1 if run.B[k, level_at + GRID_RESTED] == 1.0 else 0
            side = 1.0 if run.B[k, level_at + GRID_ENTRY] > 0.0 else -1.0
            level = run.B[k, level_at + GRID_PRICE]
            price = match_open(
                LIMIT, side, level, nan, run.open[k, i], slippage_at_fill(k, i, run),
                run.tick[k], 1 - rested,
            )  # fmt: skip
            if PARTICIPATION and price == price:
                fill_part_of_grid_entry(k, i, level_at, price, rested, run.open_ns[k, i], 0, run)
            elif price == price:
                fill_grid_entry(k, level_at, price, rested, run.open_ns[k, i], 0, run)


@routine
def book_grid_entry(k, at, units, price, maker, time_ns, order_id, intrabar, run: Run):
    """Book a fill of the entry of a level, which holds the whole lots of it net of fees."""
    before, adds = abs(run.units[k]), waits_too_small(k, run)
    book_matched(
        k, Fill(
            units=units, price=price, maker=maker, time_ns=time_ns, order_id=order_id,
            reason=R_GRID, decision_price=run.B[k, at + GRID_PRICE], intrabar=intrabar,
        ), run,
    )  # fmt: skip
    bought = floor_units(abs(run.units[k]) - before, run.lot[k])
    run.B[k, at + GRID_BOUGHT] = run.B[k, at + GRID_BOUGHT] + bought
    if adds:
        begin_again(k, units, intrabar, time_ns, run)


@routine
def fill_grid_entry(k, at, price, maker, time_ns, intrabar, run: Run):
    """Fill the entry of a level as far as cash allows; cancel the entries of the other side."""
    ordered, order_id = run.B[k, at + GRID_ENTRY], int(run.B[k, at + GRID_ORDER])
    units = affordable_units(k, ordered, price, maker, run)
    run.B[k, at + GRID_ENTRY] = 0.0
    run.B[k, at + GRID_CHANGED] = 1.0
    if units != 0.0:
        book_grid_entry(k, at, units, price, maker, time_ns, order_id, intrabar, run)
    if units == ordered:
        end_beside(k, order_id, 0.0, STATUS_FILLED, R_GRID, time_ns, run)
    else:
        end_beside(k, order_id, ordered - units, STATUS_CANCELLED, R_CASH, time_ns, run)
    if run.open_side[k] != 0:
        end_grid_entries(k, -1.0 * run.open_side[k], R_OTHER_SIDE, time_ns, run)


@routine
def fill_part_of_grid_entry(k, i, at, price, maker, time_ns, intrabar, run: Run):
    """Fill the entry of a level as far as volume and cash allow.

    If no volume is left it keeps resting; after a partial fill the rest expires with the bar.
    """
    ordered, order_id = run.B[k, at + GRID_ENTRY], int(run.B[k, at + GRID_ORDER])
    part = share_of_volume(k, i, ordered, run)
    if part == 0.0:
        return
    units = affordable_units(k, part, price, maker, run)
    run.B[k, at + GRID_ENTRY] = 0.0
    run.B[k, at + GRID_CHANGED] = 1.0
    if units != 0.0:
        use_volume(k, i, units, run)
        book_grid_entry(k, at, units, price, maker, time_ns, order_id, intrabar, run)
    if units == ordered:
        end_beside(k, order_id, 0.0, STATUS_FILLED, R_GRID, time_ns, run)
    elif units == part:
        end_beside(k, order_id, ordered - units, STATUS_EXPIRED, R_UNFILLED, time_ns, run)
    else:
        end_beside(k, order_id, ordered - units, STATUS_CANCELLED, R_CASH, time_ns, run)
    if run.open_side[k] != 0:
        end_grid_entries(k, -1.0 * run.open_side[k], R_OTHER_SIDE, time_ns, run)


@routine
def rest_again_at_open(k, t, i, run: Run):
    """Place the next orders of levels of k that filled at the open of bar i, for the rest of it."""
    if run.is_synthetic[k, i] == 0:
        open_ns = run.open_ns[k, i]
        rest_again(k, max(t - 1, 0), max(i - 1, 0), open_ns, open_ns, 1, run)


# ---------------------------------------------------------------- inside the bar


@routine
def nearest_grid_exit(k, i, reach, run: Run):
    """Return column (or -1) and price of the level exit that is passed first on the way to `reach`.

    At equal prices the order placed first comes first.
    """
    side = 1.0 * run.open_side[k]
    level_at, nearest, first = -1, nan, math.inf
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        price, order = run.B[k, at + GRID_OUT], run.B[k, at + GRID_ORDER]
        if run.B[k, at + GRID_EXIT] != 0.0 and passes(side, reach, price):
            nearer = nearest != nearest or side * (price - nearest) < 0.0
            if is_active(k, at, i, run) and (nearer or (price == nearest and order < first)):
                level_at, nearest, first = at, price, order
    return level_at, nearest


@routine
def fill_grid_exit(k, i, at, at_open, time_ns, run: Run):
    """Fill the exit of a level at its price, or at an open beyond it; place its entry again."""
    side, level = 1.0 * run.open_side[k], run.B[k, at + GRID_OUT]
    price, maker = level, 1
    if at_open == 1:
        price = run.open[k, i]
        if run.B[k, at + GRID_RESTED] == 0.0:  # it takes liquidity as it arrives
            slippage = slippage_at_fill(k, i, run)
            price = max(
                side * round_against(price * (1.0 - side * slippage), -side, run.tick[k]),
                side * level,
            ) * side  # fmt: skip
            maker = 0
    ordered, order_id = run.B[k, at + GRID_EXIT], int(run.B[k, at + GRID_ORDER])
    units = reduce_only(ordered, run.units[k])
    run.B[k, at + GRID_EXIT] = 0.0
    run.B[k, at + GRID_BOUGHT] = 0.0
    run.B[k, at + GRID_CHANGED] = 1.0
    if PARTICIPATION:
        available = units
        units = use_volume(k, i, available, run)
        if units != available:  # the rest keeps resting
            run.B[k, at + GRID_EXIT] = available - units
            run.B[k, at + GRID_BOUGHT] = abs(available - units)
            run.B[k, at + GRID_CHANGED] = 0.0
    book_matched(
        k, Fill(
            units=units, price=price, maker=maker, time_ns=time_ns, order_id=order_id,
            reason=R_GRID_EXIT, decision_price=level, intrabar=1 - at_open,
        ), run,
    )  # fmt: skip
    if PARTICIPATION and units != available:
        return
    end_beside(k, order_id, ordered - units, STATUS_FILLED, R_GRID_EXIT, time_ns, run)


@routine
def nearest_grid_entry(k, i, run: Run):
    """Return the column of the entry nearest to the open that bar i has traded through, or -1.

    At equal distances the order placed first comes first.
    """
    level_at, near, first = -1, math.inf, math.inf
    for n in range(GRID_ROWS):
        at, side = column_of_level(n), side_of_level(n)
        price, order = run.B[k, at + GRID_PRICE], run.B[k, at + GRID_ORDER]
        worst = run.low[k, i] if side > 0.0 else run.high[k, i]
        away = abs(price - run.open[k, i])
        if (
            run.B[k, at + GRID_ENTRY] != 0.0
            and passes(-side, worst, price)
            and (not PARTICIPATION or share_of_volume(k, i, run.B[k, at + GRID_ENTRY], run) != 0.0)
        ):
            nearer = away < near or (away == near and order < first)
            if nearer and is_active(k, at, i, run):
                level_at, near, first = at, away, order
    return level_at


@routine
def note_rested(k, i, run: Run):
    """Mark the orders of the grid of k that worked in bar i as resting."""
    for n in range(GRID_ROWS):
        at = column_of_level(n)
        works = run.B[k, at + GRID_ENTRY] != 0.0 or run.B[k, at + GRID_EXIT] != 0.0
        if works and is_active(k, at, i, run):
            run.B[k, at + GRID_RESTED] = 1.0
