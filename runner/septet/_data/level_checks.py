"""Warnings about closes that jump between price levels and prices that step to another level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from septet._data import adjust
from septet._data.alternation import Alternation, Turns
from septet._data.bar_checks import Rows
from septet._data.bars import Floats, Ints
from septet._data.defects import EXAMPLES, Findings
from septet._data.level_blocks import LevelBlocks, LevelEdge, likely_blocks, mixed_blocks
from septet._data.mixed_rows import Change, LevelChanges
from septet._data.price_steps import STEP_FACTOR, price_gaps
from septet._data.stamps import iso
from septet_schemas.data import Policies

__all__ = ["LEVEL_SIGN", "PriceLevels", "refuse_levels"]

LEVEL_SIGN: Final = "level_sign"
_NEARLY_SHARE: Final = 0.7
_LEVELS_HINT: Final = (
    "keep the rows of one symbol and one source, or add a column symbol that states whose each row "
    "is; if the prices are right: policy: {price_levels: keep}"
)

_STEP_HINT: Final = (
    "keep the rows of one symbol, in one currency and unit; a split needs a column split and "
    "adjust: splits, or an adjusted close; if the prices are right: policy: {price_step: keep}"
)


_LIKELY_TEXT: Final = (
    "closes that jump to another price level and back, with none between, as if rows of another "
    "symbol or source were among them"
)


def refuse_levels(findings: Findings, time_ns: Ints, close: Floats) -> None:
    """Reject closes that jump between separate price levels, like rows of two symbols.

    Raises
    ------
    DataError
        If there are any, unless the policy for `price_levels` keeps them.
    """
    changes = LevelChanges()
    changes.add(time_ns, close)
    _check_changes(findings, changes.finish())


@dataclass
class PriceLevels:
    """Checks the price levels of a series read in parts, however it is divided.

    The checks are for jumps between separate levels, steps to a new level, blocks of rows, and
    alternating rows on another level. An error proved before the last row is raised at once.
    """

    bar_ns: int
    policies: Policies
    reset_after: int
    _changes: LevelChanges = field(init=False, default_factory=LevelChanges)
    _turns: Alternation = field(init=False, default_factory=Alternation)
    _blocks: LevelBlocks = field(init=False)
    _steps: list[_Step] = field(init=False, default_factory=list)
    _last: tuple[float, float, float] | None = field(init=False, default=None)
    _rows: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Start without rows."""
        self._blocks = LevelBlocks(self.bar_ns)

    def add(
        self, findings: Findings, time_ns: Ints, rows: Rows, missing_before: Callable[[], Ints],
        *, is_last: bool = False,
    ) -> None:  # fmt: skip
        """Add the bars that follow the previous ones, prices above zero.

        `missing_before` counts the missing bars of the calendar before each row: after more than
        `reset_after` of them any price is possible, and a step is only a warning. The last bars are
        checked by `finish`.

        Raises
        ------
        DataError
            If a policy is `refuse` for a defect that these bars prove.
        """
        if not len(time_ns):
            return
        self._take_steps(time_ns, rows, missing_before)
        self._changes.add(time_ns, rows.close)
        self._blocks.add(time_ns, rows.high, rows.low, rows.close)
        self._turns.add(time_ns, rows.open, rows.high, rows.low, rows.close)
        self._rows += len(time_ns)
        if is_last:
            return
        if self.policies.price_levels != "keep":
            _check_changes(findings, self._changes.found)
            _refuse_blocks(findings, mixed_blocks(self._blocks.edges))
            _refuse_turns(findings, self._turns.certain)
        if self.policies.price_step == "refuse" and self.policies.price_levels != "keep":
            self._check_steps(findings, ())

    def finish(self, findings: Findings) -> None:
        """Check all bars together.

        Raises
        ------
        DataError
            If a policy is `refuse` for a defect found.
        """
        changes = self._changes.finish()
        _check_changes(findings, changes)
        self._check_steps(findings, [each.row for each in changes], last=True)
        edges = self._blocks.finish()
        mixed = [] if changes else mixed_blocks(edges)  # do not count the same rows twice
        _refuse_blocks(findings, mixed)
        self._turns.finish()
        _refuse_turns(findings, [] if changes or mixed else self._turns.certain)
        if self.policies.price_levels == "keep" or changes or mixed:
            return
        likely = likely_blocks(edges)
        if likely:
            findings.warn(LEVEL_SIGN, len(likely), _shown_edges(likely), _LIKELY_TEXT)
        if self._turns.likely:
            _warn_of_turns(findings, self._turns.likely)

    def _take_steps(self, time_ns: Ints, rows: Rows, missing_before: Callable[[], Ints]) -> None:
        bars, shift = (rows.high, rows.low, rows.close), 0
        if self._last is not None:
            bars = tuple(  # type: ignore[assignment]
                np.concatenate(([was], each)) for was, each in zip(self._last, bars, strict=True)
            )
            shift = 1
        self._last = float(rows.high[-1]), float(rows.low[-1]), float(rows.close[-1])
        steps, wide = price_gaps(bars)
        if not len(steps):
            return
        missing = missing_before()
        for at, size in zip(steps.tolist(), wide.tolist(), strict=True):
            row = at - shift
            after_hole = bool(missing[row] > self.reset_after)
            far = size >= STEP_FACTOR and not after_hole
            closes = float(bars[2][at - 1]), float(bars[2][at])
            self._steps.append(_Step(self._rows + row, int(time_ns[row]), closes, far))

    def _check_steps(self, findings: Findings, known: Sequence[int], *, last: bool = False) -> None:
        """Check steps that are not changes between levels."""
        apart = set(known)
        steps = [each for each in self._steps if each.row not in apart]
        for kind, far, hint in (("price_step", True, _STEP_HINT), ("price_gap", False, "")):
            some = [each for each in steps if each.is_far is far]
            if last or far:
                shown = [_shown(each.open_ns, *each.closes) for each in some[:EXAMPLES]]
                findings(kind, len(some), shown, hint=hint)


class _Step(msgspec.Struct, frozen=True):
    """A step over prices without a trade; `is_far` if it is large enough for a policy to reject."""

    row: int
    open_ns: int
    closes: tuple[float, float]
    is_far: bool


def _check_changes(findings: Findings, changes: list[Change]) -> None:
    shown = [_shown(each.open_ns, each.before, each.close) for each in changes[:EXAMPLES]]
    findings("price_levels", len(changes), shown, hint=_LEVELS_HINT)


def _refuse_blocks(findings: Findings, mixed: list[LevelEdge]) -> None:
    findings("price_levels", len(mixed), _shown_edges(mixed), hint=_LEVELS_HINT)


def _refuse_turns(findings: Findings, turns: list[Turns]) -> None:
    if turns:
        most = _clearest(turns)
        findings("price_levels", most.rows, (iso(most.open_ns),), _turns_text(most), _LEVELS_HINT)


def _warn_of_turns(findings: Findings, turns: list[Turns]) -> None:
    most = _clearest(turns)
    findings.warn(LEVEL_SIGN, most.rows, (iso(most.open_ns),), _turns_text(most))


def _clearest(turns: list[Turns]) -> Turns:
    """Return the alternation with the shortest period among those that explain nearly the most.

    An alternation every 5 rows also appears as one every row and one every 15 rows. Of equal
    periods the one with the most rows is returned.
    """
    most = max(each.share for each in turns)
    some = [each for each in turns if each.share >= _NEARLY_SHARE * most]
    return min(some, key=lambda each: (each.every, -each.rows))


def _turns_text(turns: Turns) -> str:
    order = {0: "in no fixed order", 1: "row by row"}.get(turns.every, f"every {turns.every} rows")
    return (
        f"rows in which two price levels {100.0 * turns.size:.2g} % apart take turns, {order}, as "
        "if rows of two symbols or sources were mixed"
    )


def _shown_edges(edges: list[LevelEdge]) -> list[str]:
    return [
        f"{iso(each.open_ns)} {each.closes[0]:.10g} -> {each.closes[1]:.10g}"
        for each in edges[:EXAMPLES]
    ]


def _shown(open_ns: int, before: float, close: float) -> str:
    """Format the closes before and after a jump, and the split that would explain it."""
    split = adjust.likely_split(close / before)
    return f"{iso(open_ns)} {before:.10g} -> {close:.10g}" + (
        f", as a split of {split} would" if split else ""
    )
