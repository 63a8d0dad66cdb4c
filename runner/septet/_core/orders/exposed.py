"""Positions that lack the stop or the exit they should have: a block, so that no state is green.

Each cause is a critical alert of its own, which is one line of a log. The block stays for as long
as the cause does: it is on the page, in `septet runs show` and in `/healthz`, and no entry enlarges
the position meanwhile. A position that others have sold or withdrawn, as a person has accepted by a
resume (`position_mismatch`), is not one of these: nothing is left to protect.
"""

from __future__ import annotations

from typing import Final

from septet import messages as m
from septet._core.orders import stops
from septet._core.orders.lifecycle import OrderLifecycle

__all__ = ["CAUSES", "UNPROTECTED", "report"]

UNPROTECTED: Final = "unprotected"
CAUSES: Final = frozenset(
    {
        "exit_unconfirmed", "exit_unfilled", "reduction_waits", "rejected_order", "stop_lost",
        "stop_overdue", "stop_unplaced",
    }
)  # fmt: skip
"""Critical alerts after which a position has neither a stop that acts nor an exit."""


def report(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Block the symbols of such alerts among the commands; clear those that are protected again."""
    guards = lifecycle.guards
    for each in list(lifecycle.commands):
        if not isinstance(each, m.Alerted) or each.level != "critical" or each.event not in CAUSES:
            continue
        if each.symbol < 0 or not lifecycle.is_gone(each.symbol):
            lifecycle.commands += guards.trip(
                UNPROTECTED, now_ns, symbol=each.symbol, text=f"{each.event}: {each.text}"
            )
    for k in guards.symbols_of(UNPROTECTED):
        if not _is_exposed(lifecycle, k):
            by = "nothing is held, or its stop rests"
            lifecycle.commands += guards.clear(UNPROTECTED, by, symbol=k)


def _is_exposed(lifecycle: OrderLifecycle, k: int) -> bool:
    """Whether a position still waits for an exit, or for the stop that was requested."""
    records = lifecycle.records
    if abs(lifecycle.position(k)) < lifecycle.instrument(k).lot or lifecycle.is_gone(k):
        return False
    if any(records.works[number].parent.reduces for number in records.queues.get(k, ())):
        return True
    stop, child = records.stops.get(k), stops.standing(lifecycle, k)
    if stop is None or stop.quantity == 0.0:
        return False
    return child is None or not child.exists or stop.overdue
