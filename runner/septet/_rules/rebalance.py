"""The time of a rebalance, and its steps 6 to 8: orders for the gaps between weights and account.

A rebalance that is due and cannot act as a whole (halt, late decision, missing bars) moves to the
first decision time at which it can. Reductions are sent first, then increases from the largest
gap, each sized, capped and checked like an entry; they fill in this order.
"""

from __future__ import annotations

from math import nan

from septet._kernel.layout import (
    BELOW_RANK,
    INCREASES,
    KEEPS_UNITS,
    KEEPS_WEIGHT,
    MARKET,
    REBALANCE,
    REBALANCE_DUE,
    STATUS_CANCELLED,
    WEIGHT_EDGE,
)
from septet._kernel.ledger import floor_units
from septet._kernel.match import too_small
from septet._rules.compile_marks import kernel, routine
from septet._rules.enter import (
    buying_power,
    cap,
    gross_now,
    rejection_before_size,
    rejection_of_order,
    rejection_of_size,
)
from septet._rules.forecasting import count_members
from septet._rules.hours import rejection_of_hours
from septet._rules.ledger import end_order, log_row, place_order
from septet._rules.levels import is_too_small, rejection_of_stops, restart_counts
from septet._rules.orders import send_exit
from septet._rules.queued import cancel_queued, queue_entry
from septet._rules.records import Order
from septet._rules.run_state import Run
from septet._rules.settings import (
    CAPS_TURNOVER,
    DRIFT,
    HOURS,
    LATENCY_NS,
    NOTIONAL_SLOT,
    ONE_SYMBOL,
    PORTFOLIO_SLOT,
    PORTFOLIO_USE,
    QUEUES,
    QUORUM,
    R_BELOW_RANK,
    R_CASH,
    R_DRIFT,
    R_HALTED,
    R_INCREASE,
    R_KEEPS_UNITS,
    R_KEEPS_WEIGHT,
    R_LATE,
    R_LOT,
    R_MIN_NOTIONAL,
    R_NET_TARGET,
    R_NOT_RANKED,
    R_QUORUM,
    R_REBALANCE,
    R_REVERSAL,
    R_TOO_SMALL,
    R_WRONG_SIGN,
    SENDS_TAKES,
    SLIPPAGE_HINT,
    SPOT,
    STEPS,
    SYMBOLS,
    TABLES,
    TAKER_FEE,
    TAKES_AT,
    TAKES_WHEN,
    TIME_IN_FORCE,
    TO_EDGE,
    slippage_at_decision,
)
from septet._rules.weighting import find_weights

__all__ = [
    "changes_side", "closes_remainder", "describe_increase", "explain_weight", "increase",
    "is_unpriced", "keep_weights", "list_increase", "note_due", "reason_to_wait", "rebalance",
    "reduce", "reduce_to", "reject_change", "send_changes", "send_increases", "stop_increase",
    "weight_after_takes",
]  # fmt: skip


@kernel
def note_due(t, run: Run):
    """Record that a rebalance is due."""
    if run.DUE[t] == 1:
        run.C[PORTFOLIO_SLOT + REBALANCE_DUE] = 1


@routine
def reason_to_wait(t, run: Run):
    """Return the reason why a rebalance cannot act as a whole at T, or -1."""
    if run.blocked > 0:
        return R_HALTED
    if run.is_late == 1:
        return R_LATE
    if not run.equity > 0.0:
        return R_CASH
    if HOURS:
        for k in range(SYMBOLS):
            if run.bar[k, t] >= 0:
                closed = rejection_of_hours(k, run)
                if closed >= 0:
                    return closed
    if not ONE_SYMBOL:
        present = 0
        for k in range(SYMBOLS):
            if run.bar[k, t] >= 0:
                present += 1
        if present < QUORUM * count_members(t, run) - 1e-9:
            return R_QUORUM
    return -1


@routine
def rebalance(t, now_ns, run: Run):
    """Make a rebalance that is due, as a whole at T or not at all; return 1 if it was made."""
    reason = reason_to_wait(t, run)
    if reason >= 0:
        log_row(REBALANCE, now_ns, -1, -1, reason, 0, run)
        return 0
    run.C[PORTFOLIO_SLOT + REBALANCE_DUE] = 0
    turnover, factor, scaled = find_weights(t, run)
    gross, net = 0.0, 0.0
    for k in range(SYMBOLS):
        gross += abs(run.new_weight[k])
        net += run.new_weight[k]
    row = log_row(REBALANCE, now_ns, -1, -1, R_REBALANCE, scaled, run)
    run.LF[row, 0] = turnover
    run.LF[row, 1] = factor
    run.LF[row, 2] = gross
    run.LF[row, 3] = net
    run.LF[row, 4] = run.equity
    if TABLES:
        for k in range(SYMBOLS):
            explain_weight(k, t, factor, run)
    send_changes(t, now_ns, run)
    keep_weights(run)
    return 1


@routine
def explain_weight(k, t, factor, run: Run):
    """Store in the decision of k its weight, the reason for losing it, and the turnover factor."""
    i = t if ONE_SYMBOL else run.bar[k, t]
    role = run.role[k]
    explained = role == KEEPS_UNITS or (PORTFOLIO_USE == "top" and abs(role) == 1)
    if i < 0 or (run.new_weight[k] == 0.0 and run.target_weight[k] == 0.0 and not explained):
        return
    run.weight[k, i] = weight_after_takes(k, run)
    if CAPS_TURNOVER:
        run.turnover_factor[k, i] = factor
    if role == KEEPS_WEIGHT:
        run.rejected_code[k, i] = R_KEEPS_WEIGHT + 1
    elif role == KEEPS_UNITS:
        run.rejected_code[k, i] = R_KEEPS_UNITS + 1
    elif role == BELOW_RANK:
        run.rejected_code[k, i] = R_BELOW_RANK + 1
    elif PORTFOLIO_USE == "top" and role == 0:
        run.rejected_code[k, i] = R_NOT_RANKED + 1
    elif PORTFOLIO_USE == "top" and run.new_weight[k] == 0.0:
        # a chosen name has a part of its side's budget unless its score has the wrong sign
        wrong = not run.proportion[k] > 0.0
        run.rejected_code[k, i] = (R_WRONG_SIGN if wrong else R_NET_TARGET) + 1
    else:
        run.rejected_code[k, i] = 0


@routine
def keep_weights(run: Run):
    """Store the weights and their closes as the previous ones of the next rebalance."""
    for k in range(SYMBOLS):
        weight = run.new_weight[k]
        run.target_weight[k] = weight if abs(weight) > WEIGHT_EDGE else 0.0
        run.target_close[k] = run.mark[k]


@routine
def reject_change(k, t, reason, run: Run):
    """Store the reason why a change of k is not traded."""
    i = t if ONE_SYMBOL else run.bar[k, t]
    if TABLES and i >= 0:
        run.rejected_code[k, i] = reason + 1


@kernel
def stop_increase(k, now_ns, run: Run):
    """End an increase of k that an earlier rebalance has sent."""
    if run.working[k] == 1 and run.reduces[k] == 0:
        end_order(k, STATUS_CANCELLED, R_INCREASE, now_ns, run)
    if QUEUES:
        cancel_queued(k, R_INCREASE, now_ns, run)


@routine
def send_changes(t, now_ns, run: Run):
    """Steps 6 to 8: reductions in universe order, then increases from the largest gap."""
    count = 0
    for k in range(SYMBOLS):
        stop_increase(k, now_ns, run)
        run.proportion[k] = 0.0
        if run.role[k] == KEEPS_UNITS or is_unpriced(k, t, run):
            continue
        leaving = abs(run.order_units[k]) if run.working[k] == 1 else 0.0
        if SENDS_TAKES:
            leaving += abs(run.take_units[k])
        leaves = (run.working[k] == 1 or leaving > 0.0) and leaving >= floor_units(
            abs(run.units[k]), run.lot[k]
        )
        if leaves and (SPOT or not changes_side(k, run)):
            continue  # an exit decided now, or still working, takes precedence
        gap = reduce_to(k, t, now_ns, run)
        if gap != 0.0:
            run.proportion[k] = gap
            count = list_increase(k, count, run)
    run.C[PORTFOLIO_SLOT + INCREASES] = count
    send_increases(t, now_ns, run)


@kernel
def is_unpriced(k, t, run: Run):
    """Whether k has a weight and no bar at T: its gap is unknown, and it is not traded.

    A weight of 0 needs no price: it closes what is held.
    """
    if ONE_SYMBOL:
        return False
    return run.bar[k, t] < 0 and abs(weight_after_takes(k, run)) > WEIGHT_EDGE


@kernel
def changes_side(k, run: Run):
    """Whether k is to be held on the other side once the exit that a rebalance has sent is done."""
    reason = run.order_reason[k]
    return (
        run.working[k] == 1
        and reason in (R_REBALANCE, R_REVERSAL)
        and run.new_weight[k] * run.open_side[k] < -WEIGHT_EDGE
    )


@kernel
def list_increase(k, count, run: Run):
    """Put k among the increases, the largest gap first, ties in universe order."""
    gap = abs(run.proportion[k])
    n = count
    while n > 0 and abs(run.proportion[run.increased[n - 1]]) < gap:
        run.increased[n] = run.increased[n - 1]
        n -= 1
    run.increased[n] = k
    return count + 1


@kernel
def weight_after_takes(k, run: Run):
    """Return the weight of k, reduced by the share of the position that takes have sold."""
    weight = run.new_weight[k]
    if (TAKES_AT or TAKES_WHEN) and weight * run.open_side[k] > 0.0:
        weight *= max(0.0, 1.0 - run.taken_share[k])
    return weight


@kernel
def reduce_to(k, t, now_ns, run: Run):
    """Send the reduction of k to its weight; return the missing notional (quote, signed), or 0.

    Differences below `DRIFT` are not traded; openings, closings and changes of side always are.
    """
    weight, equity = weight_after_takes(k, run), run.equity
    if abs(weight) <= WEIGHT_EDGE:
        weight = 0.0
    held = 1.0 * run.open_side[k]
    worth = run.units[k] / run.scale[k] * run.mark[k]
    if SENDS_TAKES:  # a take decided now, or still working, takes precedence
        worth = (run.units[k] + run.take_units[k]) / run.scale[k] * run.mark[k]
    if weight == 0.0:
        if held != 0.0:
            send_exit(k, R_REBALANCE, now_ns, run)
            if run.exit_to_retry[k] != 0:
                reject_change(k, t, R_TOO_SMALL, run)
        return 0.0
    if run.exit_to_retry[k] in (R_REBALANCE + 1, R_REVERSAL + 1):
        run.exit_to_retry[k] = 0
    if held == 0.0:
        return weight * equity - worth
    if weight * held < 0.0:
        send_exit(k, R_REBALANCE, now_ns, run)
        return weight * equity  # an exit that is too small to be sent is part of the increase
    distance = weight - worth / equity
    if abs(distance) < DRIFT - WEIGHT_EDGE:
        reject_change(k, t, R_DRIFT, run)
        return 0.0
    if TO_EDGE:
        weight -= DRIFT if distance > 0.0 else -DRIFT
    gap = weight * equity - worth
    if abs(gap) <= WEIGHT_EDGE * equity:
        gap = 0.0  # the rounding of a sum
    if gap * held >= 0.0:
        if run.working[k] == 1:  # a part of an earlier reduction
            end_order(k, STATUS_CANCELLED, R_REBALANCE, now_ns, run)
        return gap
    reduce(k, t, -gap * held, now_ns, run)
    return 0.0


@routine
def reduce(k, t, surplus, now_ns, run: Run):
    """Reduce k by this amount (quote), in whole lots and at least the minimum notional."""
    side = -1.0 * run.open_side[k]
    price = run.mark[k]
    units = floor_units(surplus / price * run.scale[k], run.lot[k])
    active_ns = now_ns + LATENCY_NS
    rejected = -1
    if not units > 0.0 or too_small(
        units, run.scale[k], price, run.min_notional[k], run.min_units[k]
    ):
        rejected = R_TOO_SMALL
    i = t if ONE_SYMBOL else run.bar[k, t]
    if TABLES and i >= 0:
        run.requested[k, i] = side * surplus / price
        run.granted[k, i] = side * units / run.scale[k] if rejected < 0 else 0.0
        run.rejected_code[k, i] = rejected + 1
    if rejected >= 0:
        return
    if run.working[k] == 1:  # a part of an earlier one: this one includes its unfilled rest
        active_ns = min(active_ns, run.active_ns[k])
        end_order(k, STATUS_CANCELLED, R_REBALANCE, now_ns, run)
    place_order(
        k, Order(kind=MARKET, units=side * units, reason=R_REBALANCE, decision_price=price),
        active_ns, 0, 1, now_ns, run,
    )  # fmt: skip


@routine
def send_increases(t, now_ns, run: Run):
    """Step 8: every increase, under the limits in its order; each sees those before it."""
    count = run.C[PORTFOLIO_SLOT + INCREASES]
    if count == 0:
        return
    gross, working = gross_now(-1, run)
    run.cash_available = buying_power(now_ns, run)
    for n in range(count):
        k = run.increased[n]
        i = t if ONE_SYMBOL else run.bar[k, t]
        before = run.A[NOTIONAL_SLOT + k]
        closed = before if not SPOT and closes_remainder(k, run) else 0.0
        run.A[NOTIONAL_SLOT + k] = before - closed
        describe_increase(k, i, gross - abs(closed), working + abs(closed), run)
        units = increase(k, t, i, now_ns, run)
        if units == 0.0:
            run.A[NOTIONAL_SLOT + k] = before
        else:
            worth = units / run.scale[k] * run.mark[k]
            run.A[NOTIONAL_SLOT + k] = before - closed + worth
            gross += abs(before - closed + worth) - abs(before)
            working += abs(closed) + abs(worth)
            run.cash_available = run.cash_available - abs(worth) * (1.0 + SLIPPAGE_HINT) * (
                1.0 + TAKER_FEE
            )


@kernel
def closes_remainder(k, run: Run):
    """Whether an increase of k also closes a position of the other side too small to be sent."""
    return run.working[k] == 0 and run.open_side[k] * run.proportion[k] < 0.0


@kernel
def describe_increase(k, i, gross, working, run: Run):
    """Set the figures of an increase, as those of a candidate for an entry."""
    side = 1.0 if run.proportion[k] > 0.0 else -1.0
    price = run.close[k, i]
    run.target_side[k] = side
    run.target_confidence[k] = 1.0
    run.candidate_side = side
    run.candidate_held = run.units[k] / run.scale[k]
    run.candidate_price = price
    run.candidate_up = nan
    run.candidate_slippage = slippage_at_decision(k, i, run)
    run.candidate_fee = TAKER_FEE
    cost = price * (1.0 + run.candidate_slippage) * (1.0 + run.candidate_fee)
    run.candidate_cost = cost
    run.candidate_equity = run.equity - (cost / price - 1.0) * working
    run.candidate_limit = nan
    run.candidate_gross = gross
    run.candidate_notional = run.A[NOTIONAL_SLOT + k]


@kernel
def increase(k, t, i, now_ns, run: Run):
    """Size, cap, check and send one increase; return its units, signed, or 0.

    A rejected increase is not retried.
    """
    side = run.candidate_side
    rejected, capped = rejection_before_size(k, i, now_ns, side, run), -1
    requested = abs(run.proportion[k]) / run.candidate_cost
    units = 0.0
    small = 1.0 * run.open_side[k] == side and is_too_small(k, run.close[k, i], run)
    if STEPS and (rejected < 0 and (1.0 * run.open_side[k] != side or small)):
        rejected = rejection_of_stops(k, i, side, run.close[k, i], now_ns, run)
    if rejected < 0:
        run.candidate_requested = side * requested
        units, capped = cap(k, t, i, now_ns, requested, 1.0, run)
        rejected = rejection_of_size(k, units, capped, run)
        if rejected in (R_LOT, R_MIN_NOTIONAL):  # one reason for both (step 7)
            rejected = R_TOO_SMALL
        if rejected < 0:
            rejected = rejection_of_order(k, i, now_ns, side, units, run)
    run.target_side[k] = 0.0
    if TABLES:
        run.requested[k, i] = side * requested
        run.granted[k, i] = side * units / run.scale[k] if rejected < 0 else 0.0
        run.capped_code[k, i] = capped + 1
        run.rejected_code[k, i] = rejected + 1
    if rejected >= 0:
        return 0.0
    run.exit_to_retry[k] = 0
    run.bars_since_entry[k] = 0
    if QUEUES and run.working[k] == 1:  # a position of the other side is closed first
        row = queue_entry(k, MARKET, side * units, now_ns, run)
    else:
        closed = run.units[k] if not SPOT and closes_remainder(k, run) else 0.0
        row = place_order(
            k,
            Order(
                kind=MARKET, units=side * units - closed, reason=R_INCREASE,
                decision_price=run.candidate_price,
            ),
            now_ns + LATENCY_NS, TIME_IN_FORCE, 0, now_ns, run,
        )  # fmt: skip
        if small:
            restart_counts(k, i, now_ns, run)
    run.LF[row, 4] = 1.0
    run.LF[row, 6] = run.equity
    return side * units
