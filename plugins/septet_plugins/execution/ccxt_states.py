"""The state of an order, from both its status and its quantities.

A status that contradicts the quantities is not corrected: both are forwarded as reported, and the
core queries the order again. For ccxt an order is closed whether it was filled or ended otherwise,
and open whether or not it is partially filled; the exchange's own status decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import septet.messages as m
from septet.plugin.live import Unreadable, read_choice, read_price, read_quantity
from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = [
    "amounts_of", "contradicts_itself", "cumulative_of", "order_type_of", "state_of", "trigger_of",
]  # fmt: skip

_ROUNDED: Final = 1e-6
"""Exchanges round sums of fills: this share of a quantity counts as zero."""
_STATUSES: Final = frozenset(
    {
        "open", "closed", "canceled", "canceling", "expired", "expiring", "rejected", "pending",
        "PENDING_NEW",
    }
)  # fmt: skip
"""ccxt's statuses of an order; a status that ccxt does not translate is the exchange's own."""
_STATES: Final[Mapping[str, m.OrderState]] = {
    "canceled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
}
_OWN_WORDS: Final = ("X", "status", "orderStatus", "order_status", "state")
"""Fields of the exchange's own status in raw orders of Binance, Bybit, Kraken and OKX."""
_OWN_STATES: Final[Mapping[str, m.OrderState]] = {
    "new": "open",
    "live": "open",
    "partiallyfilled": "partially_filled",
}
_ENDINGS: Final = ("cancel", "expire", "reject", "deactivat")
"""Parts of the status of an order that ended otherwise than by being filled."""

_REPORTS_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "binance": ("type", "o"),
    "binanceus": ("type", "o"),
    "kraken": ("ordertype", "order_type"),
}
"""Field of the order type in raw orders of exchanges at which stops rest; ccxt renames some
types."""
_TYPES: Final[Mapping[str, m.OrderKind]] = {
    "limit_maker": "limit",
    "stop_loss": "stop",
    "stop_loss_limit": "stop_limit",
}


def state_of(order: Mapping[str, Any]) -> m.OrderState:
    """Return the state of an order; contradicting quantities do not change it.

    Raises
    ------
    Unreadable
        If its status is unknown, or its quantities are not numbers.
    """
    _, filled = amounts_of(order)
    status_field, own_word = order.get("status"), _own_word(order)
    status = "" if status_field is None else read_choice(status_field, "status", _STATUSES)
    if status == "closed":
        return "cancelled" if any(each in own_word for each in _ENDINGS) else "filled"
    if status in _STATES:
        return _STATES[status]
    state = _OWN_STATES.get(own_word) if status == "open" else None
    return state or ("partially_filled" if filled > 0.0 else "open")


def _own_word(order: Mapping[str, Any]) -> str:
    """Return the exchange's own status in normalised spelling; "" for none."""
    info = order.get("info")
    words = [info.get(key) for key in _OWN_WORDS] if isinstance(info, Mapping) else []
    first_word = next((each for each in words if isinstance(each, str) and each), "")
    return first_word.replace("_", "").replace("-", "").lower()


def order_type_of(exchange: str, order: Mapping[str, Any]) -> str:
    """Return the type of an order, or the exchange's name for a type that septet never requests.

    It is "" where the exchange does not report it, and at exchanges at which no stop rests: these
    may convert a market order, for example to a limit order.
    """
    info = order.get("info")
    if exchange not in _REPORTS_TYPE or not isinstance(info, Mapping):
        return ""
    described = info.get("descr")
    records = (info, described) if isinstance(described, Mapping) else (info,)
    named = (record.get(key) for record in records for key in _REPORTS_TYPE[exchange])
    word = next((each for each in named if isinstance(each, str) and each), "")
    word = word.lower().replace("-", "_")
    return _TYPES.get(word, word)


def trigger_of(order: Mapping[str, Any]) -> float | None:
    """Return the trigger price of an order; exchanges send zero for none.

    Raises
    ------
    Unreadable
        If it is not a price.
    """
    for name in ("stopLossPrice", "triggerPrice", "takeProfitPrice"):
        if order.get(name):
            return read_price(order[name], name)
    return None


def amounts_of(order: Mapping[str, Any]) -> tuple[float | None, float]:
    """Return the quantity and the filled quantity of an order.

    Raises
    ------
    Unreadable
        If one is not a number, or the filled quantity is larger than the quantity.
    """
    amount_field = order.get("amount")
    amount = None if amount_field is None else read_quantity(amount_field, "quantity")
    filled = read_quantity(order.get("filled") or 0.0, "filled")
    if amount and filled > amount * (1.0 + _ROUNDED):
        raise Unreadable("filled", filled, f"at most the order's quantity, {amount:.12g}")
    return amount, filled


def contradicts_itself(order: Mapping[str, Any]) -> bool:
    """Whether the status of an order contradicts its quantities, or its executions contradict them.

    Raises
    ------
    Unreadable
        If it cannot be read.
    """
    state, (amount, filled) = state_of(order), amounts_of(order)
    least = (amount or filled) * _ROUNDED
    if sum(_quantity(each.get("amount")) or 0.0 for each in order.get("trades") or ()) > (
        filled + least
    ):
        return True
    if state == "filled":
        return amount is not None and filled < amount - least
    if state == "partially_filled":
        return filled <= 0.0 or (amount is not None and filled >= amount - least)
    return state == "open" and filled > 0.0


def cumulative_of(trade: Mapping[str, Any]) -> float | None:
    """Return the total executed quantity of an execution's order, if the report contains it."""
    info = trade.get("info")
    if not isinstance(info, Mapping) or info.get("e") != "executionReport":
        return None
    return _quantity(info.get("z"))


def _quantity(value: Any) -> float | None:
    """Return a quantity, or None for anything else, which the caller reports."""
    try:
        return read_quantity(value, "quantity")
    except UNUSUAL:
        return None
