"""Impossible values for the venue's answers, reports and prices."""

from __future__ import annotations

import copy
from typing import Any, Final

from septet._drill.venue.amounts import text, units
from septet._drill.venue.faults import Injector, PlannedFault
from septet._drill.venue.venue_request import VenueRequest, VenueResponse

__all__ = ["VALUES", "false_report", "in_future", "redirect", "falsify", "falsify_answer"]

Body = dict[str, Any]
VALUES: Final[tuple[Any, ...]] = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1", "1e30", "", "abc", None, -1, 10**30, [], {},
)  # fmt: skip
"""What no number of a venue is."""
_AHEAD_MS: Final = 3_600_000


def falsify(body: Any, name: str, value: Any) -> tuple[Any, int]:
    """Return a copy of a body with each field of a name replaced, and how many there were.

    In a row without names `name` is the place of the field.
    """
    if isinstance(body, dict):
        found = {key: falsify(each, name, value) for key, each in body.items() if key != name}
        count = sum(each for _, each in found.values()) + (name in body)
        return {
            key: value if key == name else found[key][0] for key in body
        }, count  # fmt: skip
    if isinstance(body, list):
        if name.isdigit() and len(body) > int(name) and not isinstance(body[0], (dict, list)):
            return [value if k == int(name) else each for k, each in enumerate(body)], 1
        parts = [falsify(each, name, value) for each in body]
        return [each for each, _ in parts], sum(count for _, count in parts)
    return body, 0


def falsify_answer(
    request: VenueRequest, response: VenueResponse, faults: Injector
) -> VenueResponse:
    """Put an impossible value into an answer, if a fault acts.

    One that another fault holds back is left as it is: whether the client reads it is not known.
    """
    if (
        response.mode != "send"
        or response.status != 200
        or response.raw is not None
        or response.hold_ms
    ):
        return response
    occasion = f"{request.method} {request.path.rpartition('/')[2]}"
    client_id, body = request.params.get("newClientOrderId", ""), response.body
    orders = [each for each in (body if isinstance(body, list) else [body]) if _is_order(each)]
    only = _FALSE_CODES if not orders else _FALSE_CODES | _FALSE_STATUS
    planned = faults.due_fault(occasion, request.params.get("symbol", ""), client_id, only=only)
    if planned is not None and planned.fault.code in _FALSE_STATUS:
        for each in orders:
            status, executed = _status(planned, each["origQty"])
            each.update(status=status, executedQty=executed)
            if planned.fault.code == "A19" and "fills" in each:
                each["fills"] = []
    elif planned is not None and "body" in planned.fault.parameters:
        response.raw = planned.word_of("body").encode()
    elif planned is not None:
        response.body, count = falsify(response.body, _field(planned), _value(planned))
        faults.note(planned, detail=f"{count} of {_field(planned)}", counts=False)
    return response


_FALSE_CODES: Final = frozenset({"A2"})
_FALSE_STATUS: Final = frozenset({"A18", "A19"})


def _is_order(body: Any) -> bool:
    return isinstance(body, dict) and body.keys() >= {"status", "origQty", "executedQty"}


def _status(planned: PlannedFault, quantity: str) -> tuple[str, str]:
    """Return a status of an order, and what of it was executed: a contradiction, or a false end."""
    if planned.fault.code == "A19":
        return planned.word_of("status", "EXPIRED"), text(0)
    part = text(units(quantity) // 2)
    return {
        "nothing": ("FILLED", text(0)), "part": ("FILLED", part),
        "partly": ("PARTIALLY_FILLED", text(0)), "new": ("NEW", part),
    }[planned.word_of("kind", "nothing")]  # fmt: skip


def _field(planned: PlannedFault) -> str:
    return planned.word_of("field", "executedQty")


def _value(planned: PlannedFault) -> Any:
    return planned.fault.parameters.get("value", "1e400")


def redirect(planned: PlannedFault, request: VenueRequest) -> VenueResponse:
    """Return an answer that redirects a request."""
    host = "" if planned.word_of("to", "same") == "same" else planned.word_of("to")
    status = int(planned.number_of("status", 307))
    return VenueResponse(status, {}, {"Location": f"{host}{request.path}"})


def false_report(event: Body, planned: PlannedFault, number: int) -> list[Body]:
    """Return the events that are sent in place of one about an order or an execution."""
    if planned.fault.code == "A19":
        status = planned.word_of("status", "EXPIRED")
        return [{**event, "x": status, "X": status, "l": text(0), "z": text(0), "t": -1}]
    if planned.fault.code == "A18":
        status, all_of_it = _status(planned, event["q"])
        return [{**event, "X": status, "z": all_of_it}]
    if planned.fault.code == "A2":
        return [falsify(event, planned.word_of("field", "n"), _value(planned))[0]]
    more = copy.deepcopy(event)
    kind = planned.word_of("kind", "beyond")
    executed = units(event["z"]) + units(event["q"])
    more.update(t=-1 if kind == "no_id" else 10**12 + number, l=event["q"], z=text(executed))
    if kind == "again":  # the order has ended, and is filled once more
        more.update(z=event["q"])
    more.update(X="FILLED", n="0.00000000")
    return [event, more]


def in_future(body: Body, planned: PlannedFault) -> Body:
    """Return a message of the market that is stamped ahead of every clock."""
    ahead = int(planned.number_of("ahead_ms", _AHEAD_MS))
    now = int(body.get("E") or body.get("T") or planned.number_of("now_ms", 0))
    return {**body, "E": now + ahead, "T": now + ahead}
