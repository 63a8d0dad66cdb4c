"""Matches the working order with a bar, and books its fills."""

from __future__ import annotations

from septet._kernel.layout import (
    LIMIT,
    MARKET,
    STATUS_CANCELLED,
    STATUS_FILLED,
    STOP,
    STOP_LIMIT,
)
from septet._kernel.ledger import floor_units, reduce_only
from septet._kernel.match import cap_units, liquidation_charge, match_open, match_within
from septet._kernel.touch import touches
from septet._rules.compile_marks import kernel, routine
from septet._rules.grid_orders import end_grid_trade
from septet._rules.ledger import book_fill, charge_liquidation, end_order
from septet._rules.levels import begin_again, begin_steps
from septet._rules.missing_bars import bars_left_at
from septet._rules.orders import expire
from septet._rules.records import Fill
from septet._rules.reentry import block_after_fill
from septet._rules.resting import end_steps
from septet._rules.run_state import Run
from septet._rules.settings import (
    ADDS_WHEN,
    EXITS,
    FEE_IN_KIND,
    GRID,
    HALTS,
    LEARNS_FROM_TRADES,
    LEVERAGE,
    LIQUIDATES,
    LIQUIDATION_FEE,
    MAKER_FEE,
    ONE_FEE,
    PARTICIPATION,
    R_ADD,
    R_CASH,
    R_LIQUIDATION,
    R_NO_MARKET,
    RESTS,
    SPOT,
    STEPS,
    TAKER_FEE,
    VOLUME_SHARE,
    learn_from_trade,
    slippage_at_fill,
)

__all__ = [
    "affordable_units", "book_matched", "execute", "meet_open", "meet_within",
    "replace_expired_flip", "share_of_volume", "use_volume",
]  # fmt: skip


@routine
def book_matched(k, fill: Fill, run: Run):
    """Book a fill that is simulated here; return 1 if it closed a trade, else 0."""
    reason, time_ns = fill.reason, fill.time_ns
    rate = TAKER_FEE if ONE_FEE else MAKER_FEE if fill.maker == 1 else TAKER_FEE
    if LIQUIDATES:
        charge, row = 0.0, run.log_rows
        if reason == R_LIQUIDATION:
            closed_amount = abs(fill.units) / run.scale[k]
            charge = liquidation_charge(
                1.0 * run.open_side[k], closed_amount, fill.price, run.average_price[k], LEVERAGE,
                closed_amount * fill.price * rate, LIQUIDATION_FEE,
                run.margin_funding[k] * (abs(fill.units) / abs(run.units[k])),
            )  # fmt: skip
            charge_liquidation(k, charge, run)
    side, before = run.open_side[k], run.units[k]
    closed = book_fill(k, fill, rate, 1 if FEE_IN_KIND else 0, run)
    if LIQUIDATES:
        run.LF[row, 5] = charge
    if LEARNS_FROM_TRADES and closed == 1:
        learn_from_trade(run)
    if (EXITS or HALTS) and closed == 1:
        block_after_fill(k, side, fill.order_id, reason, run)
    if STEPS:
        if closed == 1:
            end_steps(k, side, time_ns, run)
        if GRID and closed == 1:
            end_grid_trade(k, reason, time_ns, run)
        if run.open_side[k] != 0 and (closed == 1 or side == 0):
            begin_steps(k, time_ns, run)
    again = fill.order_id >= 0 and run.begins_again[k] == fill.order_id + 1
    if again and (side != 0 and run.open_side[k] == side):
        begin_again(k, run.units[k] - before, fill.intrabar, time_ns, run)
    return closed


@kernel
def affordable_units(k, units, price, maker, run: Run):
    """Return the units of a buy that cash covers, in whole lots; else the units unchanged."""
    if SPOT and units > 0.0:
        if FEE_IN_KIND:
            rate = 0.0
        elif ONE_FEE:
            rate = TAKER_FEE
        else:
            rate = MAKER_FEE if maker == 1 else TAKER_FEE
        room = max(0.0, run.cash) * run.scale[k] / (price * (1.0 + rate))
        if units > room:
            return min(units, floor_units(room, run.lot[k]))
    return units


@kernel
def share_of_volume(k, i, units, run: Run):
    """Return how many of these units (signed) the remaining volume of bar i can fill."""
    return cap_units(
        units, run.volume_used[k], run.volume[k, i], run.scale[k], run.lot[k], VOLUME_SHARE
    )


@routine
def use_volume(k, i, units, run: Run):
    """Return how many of these units (signed) bar i can fill, and count them as volume used."""
    part = share_of_volume(k, i, units, run)
    run.volume_used[k] = run.volume_used[k] + abs(part)
    return part


@routine
def execute(k, i, price, maker, time_ns, intrabar, run: Run):
    """Fill the working order of k at a price, as far as position, volume and cash allow."""
    units = run.order_units[k]
    lot = run.lot[k]
    short = 0
    if run.reduces[k] == 1:
        units = reduce_only(units, run.units[k])
        run.order_units[k] = units
    if PARTICIPATION:
        units = cap_units(
            units, run.volume_used[k], run.volume[k, i], run.scale[k], lot, VOLUME_SHARE
        )
    if SPOT and units > 0.0:
        afford = affordable_units(k, units, price, maker, run)
        if units > afford:
            units = afford
            short = 1
    if units != 0.0:
        if PARTICIPATION:
            run.volume_used[k] = run.volume_used[k] + abs(units)
        book_matched(
            k,
            Fill(
                units=units, price=price, maker=maker, time_ns=time_ns, order_id=run.order_id[k],
                reason=run.order_reason[k], decision_price=run.decision_price[k], intrabar=intrabar,
            ),
            run,
        )  # fmt: skip
        if ADDS_WHEN and run.order_reason[k] == R_ADD:
            run.adds[k] = run.adds[k] + run.adds_working[k]
            run.adds_working[k] = 0
        if run.reduces[k] == 0:  # levels of an old position too small to sell are cancelled
            run.exit_to_retry[k] = 0
    unfilled = run.order_units[k] - units
    run.order_units[k] = unfilled
    if abs(unfilled) < lot:
        end_order(k, STATUS_FILLED, run.order_reason[k], time_ns, run)
    elif run.reduces[k] == 1 and run.open_side[k] == 0:  # the rest is dust
        end_order(k, STATUS_CANCELLED, run.order_reason[k], time_ns, run)
    elif short == 1:
        end_order(k, STATUS_CANCELLED, R_CASH, time_ns, run)
    elif RESTS and run.order_type[k] == STOP:  # the trigger was reached: the rest has no trigger
        run.order_type[k] = MARKET
    elif RESTS and run.order_type[k] == STOP_LIMIT:
        run.order_type[k] = LIMIT


@routine
def meet_open(k, i, run: Run):
    """Match the working order of k with the open of bar i."""
    open_ns = run.open_ns[k, i]
    if open_ns < run.active_ns[k] or run.is_synthetic[k, i] == 1:
        return
    if run.missing_bars[k, i] > 0 and run.reduces[k] == 0:
        run.bars_left[k] = bars_left_at(k, i, run)
        if run.bars_left[k] <= 0:
            expire(k, R_NO_MARKET, open_ns, run)
            if run.working[k] == 0:
                return
    kind = run.order_type[k]
    side = 1.0 if run.order_units[k] > 0.0 else -1.0
    opened = run.open[k, i]
    slippage = slippage_at_fill(k, i, run)
    arrives = 0
    if RESTS and (kind == LIMIT and run.reduces[k] == 0):
        arrives = 1 if i == 0 or run.open_ns[k, i - 1] < run.active_ns[k] else 0
    price = match_open(
        kind, side, run.limit_price[k], run.trigger_price[k], opened, slippage, run.tick[k], arrives
    )
    if price == price:
        execute(k, i, price, 1 if kind == LIMIT and arrives == 0 else 0, open_ns, 0, run)
    elif RESTS and (kind == STOP_LIMIT and touches(-side, opened, run.trigger_price[k])):
        run.order_type[k] = LIMIT


@routine
def replace_expired_flip(k, i, run: Run):
    """Fill the exit that replaces a flip of k which has found no open before that of bar i.

    It is a reduction: it fills before the entries of all symbols.
    """
    if run.reduces[k] == 1 or run.units[k] * run.order_units[k] >= 0.0:
        return
    if run.open_ns[k, i] < run.active_ns[k] or run.is_synthetic[k, i] == 1:
        return
    if bars_left_at(k, i, run) <= 0:
        expire(k, R_NO_MARKET, run.open_ns[k, i], run)
        if run.working[k] == 1:
            meet_open(k, i, run)


@routine
def meet_within(k, i, now_ns, run: Run):
    """Match the resting order of k with the rest of bar i."""
    if run.open_ns[k, i] < run.active_ns[k] or run.is_synthetic[k, i] == 1:
        return
    kind = run.order_type[k]
    side = 1.0 if run.order_units[k] > 0.0 else -1.0
    slippage = slippage_at_fill(k, i, run)
    price = match_within(
        kind, side, run.limit_price[k], run.trigger_price[k], run.high[k, i], run.low[k, i],
        slippage, run.tick[k],
    )  # fmt: skip
    if price == price:
        execute(k, i, price, 1 if kind == LIMIT else 0, now_ns, 1, run)
    elif kind == STOP_LIMIT and touches(
        -side, run.high[k, i] if side > 0.0 else run.low[k, i], run.trigger_price[k]
    ):
        run.order_type[k] = LIMIT
