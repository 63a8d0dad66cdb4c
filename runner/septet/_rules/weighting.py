"""Steps 3 to 5 of a rebalance: weights, their caps and limits, and the turnover they may have.

They use only data and the previous weights. Weights are signed shares of equity.
"""

from __future__ import annotations

from septet._kernel.layout import KEEPS_UNITS, KEEPS_WEIGHT, WEIGHT_EDGE
from septet._rules.compile_marks import kernel, routine
from septet._rules.forecasting import forecast_weights
from septet._rules.ranking import choose, is_known
from septet._rules.run_state import Run
from septet._rules.settings import (
    CAPS_TURNOVER,
    CAPS_WEIGHT,
    GROSS,
    GROSS_LIMIT,
    GROUPS,
    HAS_BETA,
    HAS_NET,
    LIMITS_GROSS,
    LIMITS_POSITION,
    LONG_SLOTS,
    MAX_TURNOVER,
    MAX_WEIGHT,
    NET_TARGET,
    ONE_SYMBOL,
    PORTFOLIO_USE,
    POSITION_LIMIT,
    SHORT_SLOTS,
    SHORTS,
    SPOT,
    SYMBOLS,
    WEIGHT_BY,
    beta_at,
    given_weight,
)

__all__ = [
    "cap_side", "drift_weights", "find_weights", "limit_turnover", "limit_weights", "may_move",
    "neutralise", "proportion_of", "read_betas", "scale_down", "take_given_weights", "weigh_side",
]  # fmt: skip


@routine
def drift_weights(run: Run):
    """Compute the previous weights after the price changes since they were set."""
    total_value = 1.0
    for k in range(SYMBOLS):
        before = run.target_weight[k]
        if before != 0.0:
            worth = before * run.mark[k] / run.target_close[k]
            run.drifted_weight[k] = worth
            total_value += worth - before
        else:
            run.drifted_weight[k] = 0.0
    for k in range(SYMBOLS):
        run.drifted_weight[k] = run.drifted_weight[k] / total_value


@kernel
def proportion_of(k, side, place, count, run: Run):
    """Return the value that a chosen symbol's weight is proportional to; `place` 1 is the best."""
    if WEIGHT_BY == "score":
        return max(0.0, side * run.rank_value[k])
    if WEIGHT_BY == "rank":
        return 1.0 * (count + 1 - place)
    if WEIGHT_BY == "inverse_volatility":
        return 1.0 / run.proportion[k]
    return 1.0


@routine
def weigh_side(side, ranks, budget, slots, run: Run):
    """Step 3 for a side: its budget by proportion, times filled over slots; the rest is cash."""
    count = 0
    for n in range(ranks):
        k = run.long_rank[n] if side > 0 else run.short_rank[n]
        if run.role[k] == side:
            count += 1
    place, filled, proportions = 0, 0, 0.0
    for n in range(ranks):
        k = run.long_rank[n] if side > 0 else run.short_rank[n]
        if run.role[k] == side:
            place += 1
            run.proportion[k] = proportion_of(k, side, place, count, run)
            proportions += run.proportion[k]
            if run.proportion[k] > 0.0:
                filled += 1
    for n in range(ranks):
        k = run.long_rank[n] if side > 0 else run.short_rank[n]
        if run.role[k] == side and run.proportion[k] > 0.0:
            run.new_weight[k] = side * (budget * filled / slots) * run.proportion[k] / proportions


@routine
def take_given_weights(t, run: Run):
    """Take weights from a feature: NaN keeps the units, and a sum above `GROSS` is scaled down.

    Returns 1 where it was.
    """
    for k in range(SYMBOLS):
        i = t if ONE_SYMBOL else run.bar[k, t]
        run.role[k] = KEEPS_UNITS
        run.new_weight[k] = run.drifted_weight[k]
        if i >= 0:
            weight = given_weight(k, i, run)
            if is_known(weight):
                run.role[k] = 1 if weight > 0.0 else -1 if weight < 0.0 else 0
                run.new_weight[k] = max(0.0, weight) if SPOT else weight
    if HAS_BETA:
        read_betas(t, run)
    return scale_down(GROSS, run)


@routine
def read_betas(t, run: Run):
    """Read the betas that weights are multiplied by.

    A symbol whose beta is unknown keeps its units; what is kept counts with the beta that was last
    known at a rebalance.
    """
    for k in range(SYMBOLS):
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i < 0:
            continue  # it keeps its units already
        beta = beta_at(k, i, run)
        if is_known(beta):
            run.beta[k] = beta
        else:
            run.role[k] = KEEPS_UNITS
            run.new_weight[k] = run.drifted_weight[k]


@routine
def scale_down(most, run: Run):
    """Scale the weights that may move so that all |weights| sum to `most`; return 1 if scaled."""
    fixed, movable = 0.0, 0.0
    for k in range(SYMBOLS):
        if run.role[k] == KEEPS_UNITS:
            fixed += abs(run.new_weight[k])
        else:
            movable += abs(run.new_weight[k])
    if not (movable > 0.0 and fixed + movable > most + WEIGHT_EDGE):
        return 0
    factor = max(0.0, most - fixed) / movable
    for k in range(SYMBOLS):
        if run.role[k] != KEEPS_UNITS:
            run.new_weight[k] = run.new_weight[k] * factor
    return 1


@kernel
def may_move(k, run: Run):
    """Whether the cap of a single weight applies to k: its weight is not kept."""
    return run.role[k] != KEEPS_WEIGHT and run.role[k] != KEEPS_UNITS


@routine
def cap_side(side, run: Run):
    """Step 4, first: move weight above `MAX_WEIGHT` to the side's other symbols, repeatedly."""
    while True:
        excess, below_cap = 0.0, 0.0
        for k in range(SYMBOLS):
            weight = side * run.new_weight[k]
            if weight > MAX_WEIGHT + WEIGHT_EDGE and may_move(k, run):
                excess += weight - MAX_WEIGHT
                run.new_weight[k] = side * MAX_WEIGHT
        if excess == 0.0:
            return
        for k in range(SYMBOLS):
            weight = side * run.new_weight[k]
            if 0.0 < weight < MAX_WEIGHT - WEIGHT_EDGE and may_move(k, run):
                below_cap += weight
        if below_cap == 0.0:
            return
        for k in range(SYMBOLS):
            weight = side * run.new_weight[k]
            if 0.0 < weight < MAX_WEIGHT - WEIGHT_EDGE and may_move(k, run):
                run.new_weight[k] = run.new_weight[k] + side * excess * weight / below_cap


@routine
def limit_weights(run: Run):
    """Step 4, second: apply the limits of position, groups and gross exposure to all weights."""
    if LIMITS_POSITION:
        for k in range(SYMBOLS):
            if run.role[k] != KEEPS_UNITS:
                run.new_weight[k] = max(-POSITION_LIMIT, min(POSITION_LIMIT, run.new_weight[k]))
    for group in GROUPS:
        fixed, movable = 0.0, 0.0
        for k in range(SYMBOLS):
            if group.holds(k, run):
                if run.role[k] == KEEPS_UNITS:
                    fixed += abs(run.new_weight[k])
                else:
                    movable += abs(run.new_weight[k])
        if movable > 0.0 and fixed + movable > group.most + WEIGHT_EDGE:
            factor = max(0.0, group.most - fixed) / movable
            for k in range(SYMBOLS):
                if group.holds(k, run) and run.role[k] != KEEPS_UNITS:
                    run.new_weight[k] = run.new_weight[k] * factor
    if LIMITS_GROSS:
        scale_down(GROSS_LIMIT, run)


@routine
def neutralise(run: Run):
    """Step 4, third: scale down the larger side until the sum, or the beta, is the target."""
    total, long, short = 0.0, 0.0, 0.0
    for k in range(SYMBOLS):
        weight = run.new_weight[k]
        exposed = weight
        if HAS_BETA and weight != 0.0:
            exposed = weight * run.beta[k]
        total += exposed
        if run.role[k] != KEEPS_UNITS:
            if weight > 0.0:
                long += exposed
            elif weight < 0.0:
                short += exposed
    beyond = total - NET_TARGET
    side = long if beyond > 0.0 else short
    if beyond == 0.0 or side == 0.0 or beyond != beyond:
        return
    factor = min(1.0, max(0.0, (side - beyond) / side))
    for k in range(SYMBOLS):
        if run.role[k] != KEEPS_UNITS and run.new_weight[k] * beyond > 0.0:
            run.new_weight[k] = run.new_weight[k] * factor


@routine
def limit_turnover(run: Run):
    """Step 5: scale all changes by one factor if they sum to more than `MAX_TURNOVER`.

    Returns the requested sum of |changes|, and the factor.
    """
    turnover = 0.0
    for k in range(SYMBOLS):
        turnover += abs(run.new_weight[k] - run.drifted_weight[k])
    factor = 1.0
    if CAPS_TURNOVER and turnover > MAX_TURNOVER + WEIGHT_EDGE:
        factor = MAX_TURNOVER / turnover
        for k in range(SYMBOLS):
            start = run.drifted_weight[k]
            run.new_weight[k] = start + factor * (run.new_weight[k] - start)
    return turnover, factor


@routine
def find_weights(t, run: Run):
    """Steps 1 to 5 at T: `new_weight` of every symbol.

    Returns the requested turnover, the factor on the changes, and 1 where given weights were above
    `GROSS`.
    """
    drift_weights(run)
    scaled = 0
    if PORTFOLIO_USE == "top":
        longs, shorts = choose(t, run)
        slots = LONG_SLOTS + SHORT_SLOTS
        if HAS_NET:
            long_budget = (GROSS + NET_TARGET) / 2.0
            short_budget = (GROSS - NET_TARGET) / 2.0
        else:
            long_budget = GROSS * LONG_SLOTS / slots
            short_budget = GROSS * SHORT_SLOTS / slots
        weigh_side(1, longs, long_budget, LONG_SLOTS, run)
        if SHORTS:
            weigh_side(-1, shorts, short_budget, SHORT_SLOTS, run)
    elif PORTFOLIO_USE == "weights":
        scaled = take_given_weights(t, run)
    else:
        forecast_weights(t, run)
        if HAS_BETA:
            read_betas(t, run)
    if CAPS_WEIGHT:
        cap_side(1, run)
        if not SPOT:
            cap_side(-1, run)
    limit_weights(run)
    if HAS_NET:
        neutralise(run)
    turnover, factor = limit_turnover(run)
    return turnover, factor, scaled
