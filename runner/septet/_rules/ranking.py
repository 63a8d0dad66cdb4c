"""Steps 1 and 2 of a rebalance: which symbols are ranked, and which of them are chosen.

They use only data and the previous weights. `role` of a symbol is 1 or -1 where it is chosen for
a side, `KEEPS_WEIGHT` where it is held and has no bar or no rank, `KEEPS_UNITS` where its weight
is unknown, `BELOW_RANK` where it is ranked and not chosen, else 0.
"""

from __future__ import annotations

import math

from septet._kernel.layout import BELOW_RANK, KEEPS_WEIGHT
from septet._rules.compile_marks import kernel, routine
from septet._rules.run_state import Run
from septet._rules.settings import (
    HAS_BETA,
    HOLD_RANK,
    LONG_SLOTS,
    ONE_SYMBOL,
    SHORT_SLOTS,
    SHORTS,
    SYMBOLS,
    WEIGHT_BY,
    beta_at,
    may_be_long,
    may_be_short,
    value_of_rank,
    volatility_at,
)

__all__ = [
    "choose", "choose_held", "choose_others",
    "is_known", "is_on_side", "rank_all", "rank_long", "rank_short", "rank_symbol", "ranks_kept",
]  # fmt: skip


@kernel
def is_known(value):
    """Whether a number is finite."""
    return -math.inf < value < math.inf


@kernel
def is_on_side(where, held):
    """Whether a condition lets a symbol be ranked: unknown only if a weight of the side is held."""
    return where == 1.0 or (where != where and held)


@kernel
def ranks_kept(run: Run):
    """Return how many ranks of a side may be chosen from; the other side has the rest."""
    return min(SYMBOLS, max(HOLD_RANK, LONG_SLOTS + SHORT_SLOTS))


@kernel
def rank_long(k, count, run: Run):
    """Insert k into the ranks of the long side, ties in universe order; return their number."""
    value = run.rank_value[k]
    if count < ranks_kept(run):
        count += 1
    elif not value > run.rank_value[run.long_rank[count - 1]]:
        return count
    low, high = 0, count - 1
    while low < high:  # bisection: few comparisons; ranks behind are moved without any
        middle = (low + high) // 2
        if run.rank_value[run.long_rank[middle]] < value:
            high = middle
        else:
            low = middle + 1
    for n in range(count - 1, low, -1):
        run.long_rank[n] = run.long_rank[n - 1]
    run.long_rank[low] = k
    return count


@kernel
def rank_short(k, count, run: Run):
    """Insert k into the ranks of the short side: the same list from its other end."""
    value = run.rank_value[k]
    if count < ranks_kept(run):
        count += 1
    elif value > run.rank_value[run.short_rank[count - 1]]:
        return count
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if run.rank_value[run.short_rank[middle]] >= value:
            high = middle
        else:
            low = middle + 1
    for n in range(count - 1, low, -1):
        run.short_rank[n] = run.short_rank[n - 1]
    run.short_rank[low] = k
    return count


@kernel
def rank_symbol(k, i, longs, shorts, run: Run):
    """Step 1 for one symbol: rank it, or let it keep its weight; return the ranks of both sides.

    The third number is 1 where it is ranked on a side that has slots.
    """
    before = run.target_weight[k]
    run.role[k] = 0
    run.new_weight[k] = 0.0
    if i < 0:
        if before != 0.0:
            run.role[k] = KEEPS_WEIGHT
            run.new_weight[k] = before
        return longs, shorts, 0
    long_where = may_be_long(k, i, run)
    short_where = 0.0
    if SHORTS:
        short_where = may_be_short(k, i, run)
    run.rank_value[k] = value_of_rank(k, i, run)
    known = is_known(run.rank_value[k])
    if WEIGHT_BY == "inverse_volatility":
        run.proportion[k] = volatility_at(k, i, run)
        known = known and is_known(run.proportion[k]) and run.proportion[k] > 0.0
    if HAS_BETA:
        beta = beta_at(k, i, run)
        if is_known(beta):
            run.beta[k] = beta
        else:  # one that keeps its weight counts with the beta that was last known
            known = False
    if not known:
        where = long_where if before > 0.0 else short_where
        if before != 0.0 and where != 0.0:
            run.role[k] = KEEPS_WEIGHT
            run.new_weight[k] = before
        return longs, shorts, 0
    ranked = 0
    if LONG_SLOTS > 0 and is_on_side(long_where, before > 0.0):
        longs = rank_long(k, longs, run)
        ranked = 1
    if SHORTS and is_on_side(short_where, before < 0.0):
        shorts = rank_short(k, shorts, run)
        ranked = 1
    if ranked == 1:
        run.role[k] = BELOW_RANK
    return longs, shorts, ranked


@routine
def rank_all(t, run: Run):
    """Step 1: rank every symbol; return the ranks of both sides, and how many are ranked at all."""
    longs, shorts, count = 0, 0, 0
    for k in range(SYMBOLS):
        i = t if ONE_SYMBOL else run.bar[k, t]
        longs, shorts, ranked = rank_symbol(k, i, longs, shorts, run)
        count += ranked
    return longs, shorts, count


@kernel
def choose_held(side, slots, ranks, run: Run):
    """Choose names of a side that are held and of rank `HOLD_RANK` or better; return how many."""
    chosen = 0
    for n in range(min(ranks, HOLD_RANK)):
        k = run.long_rank[n] if side > 0 else run.short_rank[n]
        if chosen < slots and run.role[k] == BELOW_RANK and side * run.target_weight[k] > 0.0:
            run.role[k] = side
            chosen += 1
    return chosen


@kernel
def choose_others(side, slots, ranks, chosen, run: Run):
    """Fill a side's other slots with its best names that are not chosen."""
    for n in range(ranks):
        k = run.long_rank[n] if side > 0 else run.short_rank[n]
        if chosen < slots and run.role[k] == BELOW_RANK:
            run.role[k] = side
            chosen += 1
    return chosen


@routine
def choose(t, run: Run):
    """Steps 1 and 2: held names within `HOLD_RANK`, then the best others, up to the slots.

    If fewer symbols are ranked than both sides need, both shrink in proportion, rounded down.
    Returns the ranks of both sides.
    """
    longs, shorts, count = rank_all(t, run)
    long_slots, short_slots = LONG_SLOTS, SHORT_SLOTS
    for k in range(SYMBOLS):
        if run.role[k] == KEEPS_WEIGHT:
            if run.new_weight[k] > 0.0:
                long_slots -= 1
            else:
                short_slots -= 1
    long_slots, short_slots = max(0, long_slots), max(0, short_slots)
    need = long_slots + short_slots
    if count < need:
        long_slots, short_slots = long_slots * count // need, short_slots * count // need
    chosen_long = choose_held(1, long_slots, longs, run)
    if SHORTS:
        chosen_short = choose_held(-1, short_slots, shorts, run)
    choose_others(1, long_slots, longs, chosen_long, run)
    if SHORTS:
        choose_others(-1, short_slots, shorts, chosen_short, run)
    return longs, shorts
