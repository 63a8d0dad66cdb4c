"""When a read of the venue is late enough to be final: the bound `answers_final_after`.

The bound is counted in wall time. If the local clock jumps ahead, less time has passed than the
difference of two stamps shows: the bound of what began before the jump counts anew from it, and a
read soon after it is complete only up to a time that is earlier by the jump.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from septet import messages as m

if TYPE_CHECKING:
    from septet._core.orders.lifecycle import OrderLifecycle

__all__ = ["complete_until_ns", "final_after_ns", "jumped"]


def final_after_ns(lifecycle: OrderLifecycle, since_ns: int) -> int:
    """Return after which wall time (UTC ns) a read must be sent to show what was so at a time."""
    bound_ns = lifecycle.timing.answers_final_after_ns
    return max(since_ns, lifecycle.records.jumped_ns) + bound_ns


def complete_until_ns(lifecycle: OrderLifecycle, asked_ns: int) -> int:
    """Return the wall time (UTC ns) up to which a read requested at `asked_ns` is complete."""
    records, until_ns = lifecycle.records, asked_ns - lifecycle.timing.answers_final_after_ns
    return until_ns if until_ns >= records.jumped_ns else until_ns - records.jumped_by_ns


def jumped(lifecycle: OrderLifecycle, event: m.Ticked) -> None:
    """Note that the local clock has jumped ahead; jumps within a bound of each other add up."""
    records, bound_ns = lifecycle.records, lifecycle.timing.answers_final_after_ns
    begun_ns = event.at_ns - event.jumped_ns
    if not records.jumped_ns or begun_ns > records.jumped_ns + bound_ns:
        records.jumped_by_ns = 0
    records.jumped_by_ns += event.jumped_ns
    if records.paused_ns > begun_ns:  # a pause that the venue asked for is not over sooner
        records.paused_ns += event.jumped_ns
    records.jumped_ns = event.at_ns
