"""Counts invalid return values of third-party rules where they are read.

Each checked rule has a number. For it, C holds the number of times at which it gave an invalid
answer about a symbol, and the first of these times: see `septet._kernel.layout`.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.layout import CHECKED_FIRST, CHECKED_SLOTS, CHECKED_TIMES
from septet._rules.compile_marks import kernel, routine
from septet._rules.run_state import Run
from septet._rules.settings import BAR_NS, CHECKED_SLOT, REGIME_COUNT, SYMBOLS

__all__ = [
    "checked_level", "checked_target", "count_invalid", "is_label", "is_true", "usable_level",
    "usable_target",
]  # fmt: skip


@routine
def count_invalid(rule, k, time_ns, run: Run):
    """Count an invalid answer about k, once per decision time."""
    slot = CHECKED_SLOT + rule * (SYMBOLS + CHECKED_SLOTS)
    newest = slot + CHECKED_SLOTS + k
    if time_ns > run.C[newest]:
        run.C[newest] = time_ns
        times, first_ns = run.C[slot + CHECKED_TIMES], run.C[slot + CHECKED_FIRST]
        run.C[slot + CHECKED_TIMES] = times + 1
        if times == 0 or time_ns < first_ns:
            run.C[slot + CHECKED_FIRST] = time_ns


@kernel
def is_true(answer, rule, k, now_ns, run: Run):
    """Whether a rule's answer counts as true: any number but 0, NaN included."""
    if answer != 0.0 and answer != 1.0:
        count_invalid(rule, k, now_ns, run)
    return answer != 0.0


@kernel
def usable_level(k, side, level, run: Run):
    """Return the effective level of a stop: NaN if it is no price, unless it acts at once."""
    if side * (level - run.high_water[k]) >= 0.0 or 0.0 < level < math.inf:
        return level
    return nan


@kernel
def usable_target(k, side, level, run: Run):
    """Return the level of a target as it acts: NaN if it is no price, unless it acts at once."""
    if side * (level - run.average_price[k]) <= 0.0 or 0.0 < level < math.inf:
        return level
    return nan


@kernel
def checked_level(rule, k, side, level, known, run: Run):
    """Return the level of a stop; NaN if it is not a price that the market can reach.

    It must be a price worse than the best one since the entry. A price that is not acts at once.
    """
    if level == level:
        beyond = side * (level - run.high_water[k]) >= 0.0
        if beyond or not 0.0 < level < math.inf:
            count_invalid(rule, k, run.open_ns[k, known] + BAR_NS, run)
    return usable_level(k, side, level, run)


@kernel
def checked_target(rule, k, side, level, known, run: Run):
    """Return the level of a target, as `checked_level`: a price better than the entry's."""
    if level == level:
        beyond = side * (level - run.average_price[k]) <= 0.0
        if beyond or not 0.0 < level < math.inf:
            count_invalid(rule, k, run.open_ns[k, known] + BAR_NS, run)
    return usable_target(k, side, level, run)


@kernel
def is_label(label):
    """Whether a regime is the number of one of its labels, or not known (NaN)."""
    return label != label or (0.0 <= label < REGIME_COUNT and label == math.floor(label))
