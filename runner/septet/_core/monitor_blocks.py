"""Blocks of entries set by monitors, for the batch path and the event path alike.

A block acts on the decisions of its time; entries that work then are cancelled after them, since
the bar that has just ended may have filled them before anything was known.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from septet._core.batch import grow_log
from septet._core.state import Arrays, CompiledPlan, Floats, Ints
from septet._kernel import layout

__all__ = ["NOTHING", "Change", "MonitorHook", "cancel_entries", "clear_decisions"]

MONITOR: Final = 4
"""Place of the reason `monitor` among those that no rule has."""


class Change(NamedTuple):
    """Changes by monitors at a time: blocks added or ended, and working entries cancelled."""

    blocks: int = 0
    cancels: bool = False


NOTHING: Final = Change()


class MonitorHook(Protocol):
    """Called at each decision time to decide whether entries are blocked."""

    def before(self, t: int) -> Change:
        """Called once bars are observed and predicted, before the time at cursor `t` is traded."""
        ...

    def after(self, t: int, LI: Ints, LF: Floats) -> Change:
        """Called after the time was traded with these rows; with a change it is traded again."""
        ...

    def matched(self, LI: Ints, LF: Floats) -> None:
        """Process the rows of missed bars; nothing is decided in them."""
        ...


def cancel_entries(plan: CompiledPlan, arrays: Arrays, time_ns: int) -> None:
    """Cancel the working entries of all symbols."""
    if int(arrays["C"][layout.LOG]) + 4 * len(arrays["I"]) + 8 > len(arrays["LI"]):
        grow_log(plan, arrays)
    plan.by_hand.cancel_by_hand(plan.facts.venue_reasons + MONITOR, time_ns, arrays.whole)


def clear_decisions(plan: CompiledPlan, arrays: Arrays, t: int) -> None:
    """Clear the decisions from cursor `t` on: they are traded again, and zeros stay unwritten."""
    T, D, F, at = arrays["T"], arrays["D"], arrays["F"], plan.facts.decision_row
    for k in range(len(D)):
        rows = T[layout.ROW + k, t:]
        first = int(rows[rows >= 0].min(initial=D.shape[2]))
        D[k, :, first:] = 0
        if at is not None:
            F[k, at:, first:] = 0.0
