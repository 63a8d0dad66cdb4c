"""What is said of closes that jump between price levels, and of prices that step to another one."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data import adjust
from septet._data.bars import Floats, Ints
from septet._data.findings import EXAMPLES, Findings
from septet._data.judge import Rows
from septet._data.mixture import level_changes
from septet._data.price_steps import STEP_FACTOR, price_gaps
from septet._data.stamps import iso

__all__ = ["judge_levels", "judge_step", "refuse_levels"]

_STEP_HINT: Final = (
    "keep the rows of one symbol, in one currency and unit; a split needs a column split and "
    "adjust: splits, or an adjusted close; if the prices are right: policy: {price_step: keep}"
)


def refuse_levels(found: Findings, time_ns: Ints, close: Floats) -> Ints:
    """Judge closes that jump between separate price levels, as those of two symbols do.

    Returns the rows at which they jump.

    Raises
    ------
    DataError
        If there are any, unless the policy for `price_levels` keeps them.
    """
    rows = level_changes(close)
    shown = [_shown(time_ns, close, j) for j in rows[:EXAMPLES].tolist()]
    found(
        "price_levels", len(rows), shown,
        hint="keep the rows of one symbol and one source, or add a column symbol that says whose "
        "each row is; if the prices are right: policy: {price_levels: keep}",
    )  # fmt: skip
    return rows


def judge_levels(
    found: Findings, time_ns: Ints, ordinal: Ints, rows: Rows, reset_after: int
) -> None:
    """Judge jumps between price levels, and steps to another level that last.

    `ordinal` counts the bars of the calendar: after more than `reset_after` missing bars prices
    may be anywhere, and a step is a warning.

    Raises
    ------
    DataError
        For what the policies refuse.
    """
    known = refuse_levels(found, time_ns, rows.close)
    steps, wide = price_gaps((rows.high, rows.low, rows.close))
    if not len(steps):
        return
    new = ~np.isin(steps, known)
    missing = ordinal[steps] - ordinal[steps - 1] - 1
    _judge(found, time_ns, rows.close, steps[new], wide[new], missing[new] > reset_after)


def judge_step(found: Findings, time_ns: Ints, rows: Rows, *, after_hole: bool) -> None:
    """Judge the step between two bars, the last of one part of a series and the first of the next.

    Raises
    ------
    DataError
        For what the policies refuse.
    """
    steps, wide = price_gaps((rows.high, rows.low, rows.close))
    _judge(found, time_ns, rows.close, steps, wide, np.full(len(steps), after_hole))


def _judge(
    found: Findings,
    time_ns: Ints,
    close: Floats,
    steps: Ints,
    wide: Floats,
    after_hole: np.ndarray,
) -> None:
    far = (wide >= STEP_FACTOR) & ~after_hole
    for kind, mask, hint in (("price_step", far, _STEP_HINT), ("price_gap", ~far, "")):
        rows = steps[mask]
        shown = [_shown(time_ns, close, row) for row in rows[:EXAMPLES].tolist()]
        found(kind, len(rows), shown, hint=hint)


def _shown(time_ns: Ints, close: Floats, row: int) -> str:
    """Say from where to where a close went, and which split that would be."""
    split = adjust.likely_split(float(close[row] / close[row - 1]))
    return f"{iso(time_ns[row])} {close[row - 1]:.10g} -> {close[row]:.10g}" + (
        f", as a split of {split} would" if split else ""
    )
