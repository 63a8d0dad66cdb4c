"""What is said of closes that jump between price levels, and of prices that step to another one."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data import adjust
from septet._data.bar_checks import Rows
from septet._data.bars import Floats, Ints
from septet._data.defects import EXAMPLES, Findings
from septet._data.level_blocks import LevelBlocks, LevelEdge, likely_blocks, mixed_blocks
from septet._data.mixture import level_changes
from septet._data.price_steps import STEP_FACTOR, price_gaps
from septet._data.stamps import iso

__all__ = ["LEVEL_SIGN", "judge_blocks", "judge_levels", "judge_step", "refuse_levels"]

LEVEL_SIGN: Final = "level_sign"
_LEVELS_HINT: Final = (
    "keep the rows of one symbol and one source, or add a column symbol that says whose each row "
    "is; if the prices are right: policy: {price_levels: keep}"
)

_STEP_HINT: Final = (
    "keep the rows of one symbol, in one currency and unit; a split needs a column split and "
    "adjust: splits, or an adjusted close; if the prices are right: policy: {price_step: keep}"
)


_LIKELY: Final = (
    "closes that jump to another price level and back, with none between, as if rows of another "
    "symbol or source were among them"
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
    found("price_levels", len(rows), shown, hint=_LEVELS_HINT)
    return rows


def judge_blocks(found: Findings, blocks: LevelBlocks, policy: str, *, last: bool = True) -> None:
    """Judge jumps to another price level and back: refused if proved, warned about if likely.

    Before the last bar nothing is warned about, and nothing is kept.

    Raises
    ------
    DataError
        If rows of two symbols or sources are mixed, unless the policy for `price_levels` keeps
        them.
    """
    edges = blocks.finish() if last else blocks.edges
    if not last and policy == "keep":
        return
    mixed = mixed_blocks(edges)
    if mixed:
        found("price_levels", len(mixed), _shown_edges(mixed), hint=_LEVELS_HINT)
    elif last and policy != "keep":
        likely = likely_blocks(edges)
        if likely:
            found.warn(LEVEL_SIGN, len(likely), _shown_edges(likely), _LIKELY)


def _shown_edges(edges: list[LevelEdge]) -> list[str]:
    return [
        f"{iso(each.open_ns)} {each.closes[0]:.10g} -> {each.closes[1]:.10g}"
        for each in edges[:EXAMPLES]
    ]


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
