"""Blocks of entries that monitors ask for: the same for a batch and for the event path.

A block acts on the decisions of its time; entries that work then are cancelled after them, since
the bar that has just ended may have filled them before anything was known.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from septet._core.batch import grow_log
from septet._core.state import Arrays, CompiledPlan, Floats, Ints
from septet._kernel import layout
from septet._kernel import ledger as _ledger

__all__ = ["NOTHING", "Change", "MonitorHook", "cancel_entries", "cancel_entry", "clear_decisions"]

ledger: Any = _ledger  # plain functions whose arguments are numbers and arrays
MONITOR: Final = 4
"""Place of the reason `monitor` among those that no rule has."""


class Change(NamedTuple):
    """What monitors change at a time: blocks added or ended, and working entries cancelled."""

    blocks: int = 0
    cancels: bool = False


NOTHING: Final = Change()


class MonitorHook(Protocol):
    """Who is asked at each decision time whether entries are blocked."""

    def before(self, t: int) -> Change:
        """Bars are in and judged; nothing of the time at cursor `t` has happened yet."""
        ...

    def after(self, t: int, LI: Ints, LF: Floats) -> Change:
        """The time was traded, and logged these rows; with a change it is traded again."""
        ...

    def matched(self, LI: Ints, LF: Floats) -> None:
        """Take in what bars that were missed have logged; nothing is decided in them."""
        ...


def cancel_entries(plan: CompiledPlan, arrays: Arrays, time_ns: int) -> None:
    """Cancel the working entries of all symbols."""
    C, whole = arrays["C"], arrays["I"]
    if int(C[layout.LOG]) + 4 * len(whole) + 8 > len(arrays["LI"]):
        grow_log(plan, arrays)
    reason = plan.facts.outside_reasons + MONITOR
    for k in range(len(whole)):
        cancel_entry(k, reason, time_ns, arrays)


def cancel_entry(k: int, reason: int, time_ns: int, arrays: Arrays) -> None:
    """Cancel the entry of a symbol: one that works, or one that waits for an exit."""
    whole = arrays["I"]
    rest = (arrays["C"], arrays["B"], whole, arrays["LI"], arrays["LF"])
    if whole[k, layout.WORKING] == 1 and whole[k, layout.REDUCES] == 0:
        ledger.end_order(k, layout.STATUS_CANCELLED, reason, time_ns, *rest)
    if whole[k, layout.QUEUED_ID] != 0:
        ledger.end_queued(k, layout.STATUS_CANCELLED, reason, time_ns, *rest)


def clear_decisions(plan: CompiledPlan, arrays: Arrays, t: int) -> None:
    """Forget what was decided from cursor `t` on: it is traded again, and zeros stay unwritten."""
    T, D, F, at = arrays["T"], arrays["D"], arrays["F"], plan.facts.decision_row
    for k in range(len(D)):
        rows = T[layout.ROW + k, t:]
        first = int(rows[rows >= 0].min(initial=D.shape[2]))
        D[k, :, first:] = 0
        if at is not None:
            F[k, at : at + layout.F_DECISION, first:] = 0.0
