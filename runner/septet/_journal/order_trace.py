"""The steps of one order, with the time between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._journal.fold import order_id
from septet._journal.journal_format import Entry
from septet._journal.reader import Reader

__all__ = ["client_ids", "trace"]

_ORDER_MARKS: Final = (b'"kind":"submit"', b'"kind":"changed"', b'"kind":"amend"')


def client_ids(reader: Reader, reference: str) -> dict[str, str]:
    """Return the client ids of an order that is given by either kind of id."""
    owners: dict[str, str] = {}
    for entry in reader.read():
        if not any(word in entry.commands_json for word in _ORDER_MARKS):
            continue
        for command in msgspec.json.decode(entry.commands_json):
            name = command.get("new_client_id") or command.get("client_id")
            number = command.get("parent", command.get("order"))
            if name and number is not None:
                owners[name] = order_id(number) if number >= 0 else name
    order_of_reference = owners.get(reference, reference)
    return {name: order for name, order in owners.items() if order == order_of_reference}


def trace(reader: Reader, reference: str, symbol: int, time_ns: int) -> list[dict[str, Any]]:
    """Steps of an order from its bar to its last fill.

    Parameters
    ----------
    reader
        The journal.
    reference
        The order's id (``o1``) or a client id.
    symbol, time_ns
        The number of its symbol in universe order, and when it was decided (market time, UTC ns).

    Returns
    -------
    One dict a step: seq, at_ns (wall time), step, text, and `ms`, milliseconds since the step
    before.
    """
    own_ids = client_ids(reader, reference)
    order = next(iter(own_ids.values()), reference)
    rows: list[tuple[Entry, str, str]] = []
    for entry in reader.read():
        rows += [(entry, *row) for row in _steps(entry, order, own_ids, symbol, time_ns)]
    steps: list[dict[str, Any]] = []
    previous_ns = rows[0][0].at_ns if rows else 0
    for entry, step, text in rows:
        ms = (entry.at_ns - previous_ns) / 1e6
        previous_ns = entry.at_ns
        steps.append({"seq": entry.seq, "at_ns": entry.at_ns, "step": step, "text": text, "ms": ms})
    return steps


def _steps(
    entry: Entry, order: str, own_ids: dict[str, str], symbol: int, time_ns: int
) -> Iterator[tuple[str, str]]:
    """Yield the steps of an order in an entry."""
    if entry.kind == "bar":
        bar = entry.event
        if isinstance(bar, m.BarClosed) and (bar.symbol, bar.known_ns) == (symbol, time_ns):
            yield "bar", f"close {bar.close:.12g} ({bar.source})"
    elif entry.kind in _EVENTS:
        event = entry.event
        if getattr(event, "client_id", None) in own_ids:
            yield entry.kind, _EVENTS[entry.kind](event)
    elif entry.kind == "decision_time":
        decision_time = entry.event
        if isinstance(decision_time, m.DecisionTimeReached) and decision_time.time_ns == time_ns:
            yield "decision_time", "late" if decision_time.late else "on time"
    if entry.commands_json == b"[]":
        return
    for command in entry.commands:
        yield from _command(command, order, own_ids, symbol, time_ns)


def _command(
    command: m.Command, order: str, own_ids: dict[str, str], symbol: int, time_ns: int
) -> Iterator[tuple[str, str]]:
    match command:
        case m.Decided() if (command.symbol, command.time_ns) == (symbol, time_ns):
            yield "decision", f"{command.signal}, granted {command.granted:.12g}"
        case m.Submit() if command.client_id in own_ids:
            price = "" if command.limit_price is None else f" at {command.limit_price:.12g}"
            yield (
                "submit",
                f"{command.client_id}: {command.side} {command.quantity:.12g} "
                f"{command.order_type}{price}",
            )
        case m.Cancel() | m.Query() if command.client_id in own_ids:
            yield type(command).__name__.lower(), command.client_id
        case m.Amend() if command.client_id in own_ids:
            yield "amend", f"{command.client_id} becomes {command.new_client_id}"
        case m.Changed() if command.client_id in own_ids or order_id(command.order) == order:
            why = f" ({command.reason})" if command.reason else ""
            # Fills inside the engine are booked at once, and are not counted here.
            is_engine_fill = command.state == "filled" and not command.filled
            filled = "" if is_engine_fill else f", {command.filled:.12g} filled"
            yield "state", f"{command.state}{filled}{why}"
        case m.Traded() if order_id(command.order) == order and command.order >= 0:
            yield (
                "booked",
                f"{command.trade_id}: {command.side} {command.quantity:.12g} at "
                f"{command.price:.12g}, position {command.position:.12g}",
            )


_EVENTS: Final[dict[str, Any]] = {
    "acked": lambda event: f"{event.state} as {event.venue_order_id}",
    "rejected": lambda event: f"{event.code}: {event.text} (by {event.by})",
    "uncertain": lambda event: event.text,
    "order_seen": lambda event: f"{event.state}, {event.filled:.12g} filled (by {event.by})",
    "not_found": lambda event: f"the venue knows no such order (asked by {event.by})",
    "cancel_failed": lambda event: event.text,
    "filled": lambda event: f"{event.trade_id}: {event.quantity:.12g} at {event.price:.12g}",
}
