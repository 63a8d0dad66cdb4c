"""Fields that a strategy file may add to its orders: none that changes what is ordered.

A file may come from somebody else, and orders are checked before the client builds the request. So
a field is sent only if it is known to change no part of the order, and no option may lend or
borrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic_core import PydanticCustomError

__all__ = ["ORDER_FIELDS", "added_fields", "spot_options"]

ORDER_FIELDS: Final = (
    "broker", "brokerId", "selfTradePrevention", "selfTradePreventionMode",
    "self_trade_prevention_id", "smpType", "stp", "stpMode", "stp_act", "stptype", "tag",
)  # fmt: skip
"""Fields by which exchanges prevent self-trades, and labels of brokers."""
_LONGEST: Final = 64
_LENDS: Final = re.compile(r"margin|leverage|sideeffect|loan|borrow|hedge|^test$", re.I)
_MARKET_TYPES: Final = ("defaultType", "defaultSubType", "type")


def added_fields(params: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are sent with every order, if none of them can change the order.

    Raises
    ------
    PydanticCustomError
        If a field is not in `ORDER_FIELDS`, or its value is not a short text or number.
    """
    for name, value in params.items():
        if name not in ORDER_FIELDS:
            raise PydanticCustomError(
                "order_field",
                "a file may not set the field {field} of an order",
                {
                    "field": name[:_LONGEST],
                    "expected": f"only {', '.join(ORDER_FIELDS[:-1])} or {ORDER_FIELDS[-1]}",
                    "hint": "what an order is, septet decides and checks: remove the field",
                },
            )
        if (
            isinstance(value, bool)
            or not isinstance(value, str | int)
            or len(str(value)) > _LONGEST
        ):
            raise PydanticCustomError(
                "order_field",
                "the field {field} of an order is a short text or a whole number",
                {"field": name, "expected": f"at most {_LONGEST} characters"},
            )
    return params


def spot_options(options: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the options of a client, if none of them leaves the spot account.

    Raises
    ------
    PydanticCustomError
        If an option names margin, leverage, loans, hedging or test orders, or another market type.
    """
    for name, value in _leaves(options or {}):
        lends = bool(value) and _LENDS.search(name)  # an empty list of pairs does not lend
        if lends or (name in _MARKET_TYPES and value != "spot"):
            raise PydanticCustomError(
                "client_option",
                "the option {option} would send orders elsewhere than to the spot account",
                {
                    "option": name[:_LONGEST],
                    "expected": "options that leave orders as they are",
                    "hint": "live trades spot without margin: remove the option",
                },
            )
    return options


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every key of a tree with its value."""
    for name, value in tree.items():
        yield str(name), value
        if isinstance(value, Mapping):
            yield from _leaves(value)
