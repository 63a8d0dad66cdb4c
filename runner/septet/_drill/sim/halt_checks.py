"""What must be true of a run that a person has halted, by the journal and the venue's record."""

from __future__ import annotations

from collections.abc import Sequence

from septet import messages as m
from septet._drill.sim.market import was_open
from septet._drill.sim.venue import SimVenue

__all__ = ["halts", "left_open", "stays_closed"]

Rows = Sequence[tuple[m.Event, Sequence[m.Command]]]


def halts(rows: Rows) -> list[str]:
    """While a person has halted the run nothing is sent that could make a position larger."""
    wrong, halted = list[str](), False
    reduces = dict[int, bool]()
    for event, commands in rows:
        if isinstance(event, m.Operated) and event.action in ("halt", "flatten", "resume"):
            halted = event.action != "resume"
        for each in commands:
            if isinstance(each, m.Submit):
                reduces[each.parent] = each.reduces
                if halted and not each.reduces:
                    wrong.append(f"{each.client_id} was sent while the run was halted")
            if isinstance(each, m.Amend) and halted and not reduces.get(each.parent, False):
                wrong.append(f"{each.new_client_id} was sent while the run was halted")
    return wrong


def left_open(venue: SimVenue, *, killed: bool) -> list[str]:
    """After the kill switch nothing of ours is open."""
    if not killed:
        return []
    return [
        f"{order.asked.client_id} is open after the kill switch" for order in venue.market.working()
    ]


def stays_closed(rows: Rows, venue: SimVenue) -> list[str]:
    """Once the kill switch reports that it is done, no entry is open until the run resumes."""
    entries = {
        each.client_id
        for _, commands in rows
        for each in commands
        if isinstance(each, m.Submit) and not each.reduces
    }
    wrong, done_ns = list[str](), 0
    ends = [(event.at_ns, event, commands) for event, commands in rows]
    for at_ns, event, commands in [*ends, (rows[-1][0].at_ns + 1, None, ())]:
        if done_ns and (event is None or isinstance(event, m.Operated)):
            wrong += [
                f"{order.asked.client_id} was open after the kill switch had reported its end"
                for order in venue.market.engine.orders.values()
                if order.asked.own_id in entries and was_open(order, done_ns, at_ns)
            ]
            done_ns = 0
        if any(isinstance(each, m.Alerted) and each.event == "kill_done" for each in commands):
            done_ns = at_ns
    return wrong
