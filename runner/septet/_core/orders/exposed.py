"""Positions that lack the stop or the exit they should have: a block, so that no state is green.

Each cause is a critical alert of its own, which is one line of a log. The block stays for as long
as the cause does: it is on the page, in `septet runs show` and in `/healthz`, and no entry enlarges
the position meanwhile: entries that rest are cancelled once its stop has not acted for long
(`missing_stops`). A position that others have sold or withdrawn, as a person has accepted by a
resume (`position_mismatch`), is not one of these: nothing is left to protect.
"""

from __future__ import annotations

from typing import Final

from septet import messages as m
from septet._core.orders import missing_stops, sending, stops
from septet._core.orders.lifecycle import OrderLifecycle

__all__ = ["CAUSES", "UNPROTECTED", "report", "tick"]

UNPROTECTED: Final = "unprotected"
CAUSES: Final = frozenset(
    {
        "exit_unconfirmed", "exit_unfilled", "reduction_waits", "rejected_order", "stop_lost",
        "stop_missing", "stop_overdue", "stop_unplaced",
    }
)  # fmt: skip
"""Critical alerts after which a position has neither a stop that acts nor an exit."""


def tick(lifecycle: OrderLifecycle, now_ns: int) -> None:
    """Report stops that have not acted for long, and cancel the entries that would add to them."""
    records = lifecycle.records
    for k, stop in records.stops.items():
        if not missing_stops.is_due(lifecycle, k, now_ns):
            continue
        if k not in lifecycle.guards.symbols_of(UNPROTECTED):
            text = missing_stops.describe(lifecycle, k)
            lifecycle.alert("critical", "stop_missing", text, k)
        for number in list(records.queues.get(k, ())):
            work = records.works[number]
            if work.children and not work.cancelled and work.parent.sign * stop.quantity > 0.0:
                sending.request_cancel(lifecycle, work, UNPROTECTED, now_ns)


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
        return stop is not None and stop.unplaced != ""
    return child is None or not missing_stops.acts(child) or stop.overdue or stop.is_far
