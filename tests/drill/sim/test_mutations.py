"""The simulation can fail: bugs put in on purpose are found within a few seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._core.guards import Guards
from septet._core.orders import (
    changed_ids,
    disputes,
    finality,
    manager,
    unconfirmed_ends,
    unexplained,
    unnamed_fills,
    venue_reports,
)
from septet._core.orders.lifecycle import OrderLifecycle, trade_key
from septet._core.orders.records import Child
from septet._drill.sim import Failure, run_schedule
from septet._drill.sim.shell import SimShell

SEEDS = (272, *range(1, 61))
"""The first shows a bug that few seeds show."""
Patch = pytest.MonkeyPatch


def resends_what_is_uncertain(patch: Patch) -> None:
    """The classic: no answer is taken for a no, and a reduction is sent again."""

    def uncertain(lifecycle: OrderLifecycle, event: m.Uncertain) -> None:
        child = lifecycle.records.children.get(event.client_id)
        if child is not None and not child.is_final:
            lifecycle.finish(child, "rejected", "never_accepted", event.at_ns)

    patch.setattr(venue_reports, "_uncertain", uncertain)


def posts_the_same_id_again(patch: Patch) -> None:
    mark_unknown = OrderLifecycle.mark_unknown

    def again(lifecycle: OrderLifecycle, child: Any, now_ns: int, text: str) -> None:
        mark_unknown(lifecycle, child, now_ns, text)
        lifecycle.commands.append(
            m.Submit(
                client_id=child.client_id, parent=child.parent, symbol=0,
                side="buy" if child.sign > 0 else "sell", order_type=child.kind,
                quantity=child.quantity, reduces=child.reduces, deadline_ns=now_ns + 10**9,
            )
        )  # fmt: skip

    patch.setattr(OrderLifecycle, "mark_unknown", again)


def accepts_not_found_at_once(patch: Patch) -> None:
    not_found = venue_reports._not_found

    def accept(lifecycle: OrderLifecycle, event: m.NotFound) -> None:
        child = lifecycle.records.children.get(event.client_id)
        if child is not None and not child.is_final and event.by == "query":
            lifecycle.finish(child, "rejected", "never_accepted", event.at_ns)
        else:
            not_found(lifecycle, event)

    patch.setattr(venue_reports, "_not_found", accept)


def accepts_that_a_failed_cancel_cancelled(patch: Patch) -> None:
    not_found = venue_reports._not_found

    def accept(lifecycle: OrderLifecycle, event: m.NotFound) -> None:
        child = lifecycle.records.children.get(event.client_id)
        if child is not None and not child.is_final and event.by == "cancel":
            lifecycle.finish(child, "cancelled", "not there", event.at_ns)
        else:
            not_found(lifecycle, event)

    patch.setattr(venue_reports, "_not_found", accept)


def counts_a_fill_twice(patch: Patch) -> None:
    """No trade id is remembered: of a partial fill the repeat fits into its order."""
    book = OrderLifecycle.book

    def forgetful(lifecycle: OrderLifecycle, child: Any, fill: m.Filled, now_ns: int) -> None:
        lifecycle.records.trades.pop(trade_key(fill, child.client_id), None)
        book(lifecycle, child, fill, now_ns)

    patch.setattr(OrderLifecycle, "is_booked", lambda lifecycle, child, fill: False)
    patch.setattr(OrderLifecycle, "book", forgetful)


def books_what_its_order_has_no_room_for(patch: Patch) -> None:
    patch.setattr(disputes, "_fault", lambda child, fill: "")


def does_not_look_for_lost_fills(patch: Patch) -> None:
    patch.setattr(OrderLifecycle, "_misses", lambda lifecycle, child: False)


def lets_states_go_back(patch: Patch) -> None:
    seen = venue_reports._seen

    def accept(lifecycle: OrderLifecycle, child: Child, event: m.OrderSeen, now_ns: int) -> None:
        state = event.state
        if not child.is_final and not lifecycle.is_final(state) and state != child.state:
            child.state = state
            lifecycle.changed(child)
        seen(lifecycle, child, event, now_ns)

    patch.setattr(venue_reports, "_seen", accept)


def forgets_the_kill_switch_in_a_restart(patch: Patch) -> None:
    started = venue_reports.started

    def forget(lifecycle: OrderLifecycle, event: m.Started) -> None:
        lifecycle.records.kill = ""
        lifecycle.commands += lifecycle.guards.clear("operator_halt", "a restart")
        started(lifecycle, event)

    patch.setattr(venue_reports, "started", forget)


def kills_only_once(patch: Patch) -> None:
    def halt(orders: manager.Orders, now_ns: int) -> None:
        orders.records.kill = "done"
        orders._lifecycle.commands.append(m.CancelAll(symbols=(0,)))

    patch.setattr(manager.Orders, "halt", halt)


def says_the_kill_is_done_at_the_first_look(patch: Patch) -> None:
    look = venue_reports._open_orders

    def hasty(lifecycle: OrderLifecycle, event: m.OpenOrders) -> None:
        if lifecycle.records.kill == "cancelling":
            lifecycle.records.kill = "done"
            lifecycle.alert("info", "kill_done", "it will be")
        look(lifecycle, event)

    patch.setattr(venue_reports, "_open_orders", hasty)


def takes_a_short_filled_for_cancelled(patch: Patch) -> None:
    seen = venue_reports._seen

    def trusting(
        lifecycle: OrderLifecycle, child: Child, event: m.Acked | m.OrderSeen, now_ns: int
    ) -> None:
        if event.state == "filled" and event.filled < child.quantity - child.tolerance:
            event = msgspec.structs.replace(event, state="cancelled")
        seen(lifecycle, child, event, now_ns)

    patch.setattr(venue_reports, "_seen", trusting)


def accepts_an_end_without_a_query(patch: Patch) -> None:
    patch.setattr(unconfirmed_ends, "is_one", lambda lifecycle, child, seen: False)


def does_not_compare_positions(patch: Patch) -> None:
    patch.setattr(Guards, "compare", lambda guards, *numbers, **more: [])


def lets_commands_leave_before_they_are_stored(patch: Patch) -> None:
    store, leave = SimShell._store, SimShell._leave

    def late(shell: SimShell, rows: Sequence[tuple[m.Event, Sequence[m.Command]]]) -> bool:
        leave(shell, [each for _, commands in rows for each in commands])
        return store(shell, rows)

    patch.setattr(SimShell, "_store", late)
    patch.setattr(SimShell, "_leave", lambda shell, commands: None)


def overlooks_an_order_under_another_id(patch: Patch) -> None:
    patch.setattr(unexplained, "_seen_since", lambda lifecycle, child: [])
    patch.setattr(unexplained, "account_gap", lambda lifecycle, child: 0.0)


def counts_on_a_stop_that_is_unknown(patch: Patch) -> None:
    def protected(orders: manager.Orders, k: int) -> bool:
        return bool((stop := orders.records.stops.get(k)) and stop.child)

    patch.setattr(manager.Orders, "protected", protected)


def overlooks_an_id_that_contains_ours(patch: Patch) -> None:
    """An order that a gateway has named anew is somebody else's."""
    patch.setattr(changed_ids, "read", lambda lifecycle, seen, now_ns: seen)


def cancels_by_an_id_that_the_venue_does_not_know(patch: Patch) -> None:
    """The answer named the venue's id, and the order is shown under another client id."""
    patch.setattr(changed_ids, "note_id", lambda lifecycle, child, seen: None)


def draws_a_random_number(patch: Patch) -> None:
    """What is not in the journal must not be in the commands."""
    drawn = iter(range(10**9))
    wake = manager.Orders._wake

    def jitter(orders: manager.Orders, now_ns: int) -> None:
        wake(orders, now_ns)
        if orders.records.live:
            orders._lifecycle.commands.append(m.Wake(at_ns=now_ns + 10**9 + next(drawn)))

    patch.setattr(manager.Orders, "_wake", jitter)


def leaves_executions_without_an_id_to_others(patch: Patch) -> None:
    """Those of another copy of the run are listed without a client id, too."""
    patch.setattr(unnamed_fills, "note", lambda lifecycle, fill: None)


def counts_the_bound_through_a_jump_of_the_clock(patch: Patch) -> None:
    """ "No such order" is final at once where the clock jumps ahead."""
    patch.setattr(finality, "jumped", lambda lifecycle, event: None)


ANSWERS = frozenset({"N1 answer lost", "N3 answer late", "N5 reset", "E1 server error"})
READS = ANSWERS | {"E16 stale read", "N4 request late", "N6 cancel unanswered"}
FILLS = frozenset({"E12 fill twice", "E14 fill lost", "E13 disorder", "E9 partial fill"})
OTHER_ID = frozenset({"E23 other id"})
COPIES = frozenset({"A11 older copy", "E14 fill unnamed"})
JUMPS = frozenset({"P7 clock moved", "N4 request late"})
KILLS = frozenset({"O1 kill", "P1 crash", "N2 request lost", "N4 request late", "E1 server error"})
BUGS: Sequence[tuple[Callable[[Patch], None], frozenset[str]]] = (
    (resends_what_is_uncertain, ANSWERS),
    (posts_the_same_id_again, ANSWERS),
    (accepts_not_found_at_once, READS),
    (accepts_that_a_failed_cancel_cancelled, READS | {"E11 fill beats cancel"}),
    (counts_a_fill_twice, FILLS),
    (books_what_its_order_has_no_room_for, frozenset({"A3 overfill"})),
    (takes_a_short_filled_for_cancelled, frozenset({"A18 false status"})),
    (accepts_an_end_without_a_query, frozenset({"A19 false end"})),
    (does_not_look_for_lost_fills, FILLS),
    (lets_states_go_back, FILLS | ANSWERS),
    (forgets_the_kill_switch_in_a_restart, KILLS),
    (kills_only_once, KILLS),
    (says_the_kill_is_done_at_the_first_look, KILLS),
    (does_not_compare_positions, frozenset({"M1 position moved", "E18 external order"})),
    (lets_commands_leave_before_they_are_stored, frozenset({"P1 crash at write"})),
    (overlooks_an_order_under_another_id, OTHER_ID),
    (overlooks_an_id_that_contains_ours, frozenset({"E23 longer id"})),
    (cancels_by_an_id_that_the_venue_does_not_know, OTHER_ID | {"E23 answered", "O1 kill"}),
    (counts_on_a_stop_that_is_unknown, OTHER_ID),
    (draws_a_random_number, frozenset({"P1 crash"})),
    (leaves_executions_without_an_id_to_others, COPIES),
    (counts_the_bound_through_a_jump_of_the_clock, JUMPS),
)


@pytest.mark.parametrize(("bug", "faults"), BUGS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_bug_is_found(
    bug: Callable[[Patch], None], faults: frozenset[str], monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    for seed in SEEDS:
        try:
            run_schedule(seed, only=faults)
        except Failure as failure:
            found = str(failure)
            break
    else:
        pytest.fail(f"{bug.__name__} was not found within {len(SEEDS)} seeds")
    assert f"seed {seed}:" in found
    assert "the last steps:" in found
