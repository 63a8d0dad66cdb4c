"""The state of an order, from its status and its quantities together.

Nothing is made of a status that its quantities contradict: it is handed on with them as it was
reported, and the core asks again. ccxt calls an order closed whether it was filled or has ended
otherwise, and open whether or not a part of it is filled; the exchange's own word decides.
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
"""Sums of fills are rounded by exchanges: this share of a quantity is none."""
_STATUSES: Final = frozenset(
    {
        "open", "closed", "canceled", "canceling", "expired", "expiring", "rejected", "pending",
        "PENDING_NEW",
    }
)  # fmt: skip
"""What ccxt calls the state of an order; a word that it hands on unread is the exchange's own."""
_STATES: Final[Mapping[str, m.OrderState]] = {
    "canceled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
}
_OWN_WORDS: Final = ("X", "status", "orderStatus", "order_status", "state")
"""Where the raw order of Binance, Bybit, Kraken and OKX holds the exchange's own word."""
_OWN_STATES: Final[Mapping[str, m.OrderState]] = {
    "new": "open",
    "live": "open",
    "partiallyfilled": "partially_filled",
}
_ENDINGS: Final = ("cancel", "expire", "reject", "deactivat")
"""What the word of an order contains that ended otherwise than by being filled."""

_REPORTS_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "binance": ("type", "o"),
    "binanceus": ("type", "o"),
    "kraken": ("ordertype", "order_type"),
}
"""Where the raw order of an exchange at which stops rest holds its type; ccxt renames some."""
_TYPES: Final[Mapping[str, m.OrderKind]] = {
    "limit_maker": "limit",
    "stop_loss": "stop",
    "stop_loss_limit": "stop_limit",
}


def state_of(order: Mapping[str, Any]) -> m.OrderState:
    """Return the state of an order; quantities that contradict it do not change it.

    Raises
    ------
    Unreadable
        If its state has no name that is known, or its quantities are no numbers.
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
    """Return the exchange's own word, without what differs in its spelling; "" for none."""
    info = order.get("info")
    words = [info.get(key) for key in _OWN_WORDS] if isinstance(info, Mapping) else []
    first_word = next((each for each in words if isinstance(each, str) and each), "")
    return first_word.replace("_", "").replace("-", "").lower()


def order_type_of(exchange: str, order: Mapping[str, Any]) -> str:
    """Return the type of an order, or the exchange's word for one that is never asked for.

    It is "" where the exchange does not report it, and at exchanges at which no stop rests: what
    they make of a market order, a limit order for example, is theirs.
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
    """Return the price that triggers an order; exchanges write none as zero.

    Raises
    ------
    Unreadable
        If it is no price.
    """
    for name in ("stopLossPrice", "triggerPrice", "takeProfitPrice"):
        if order.get(name):
            return read_price(order[name], name)
    return None


def amounts_of(order: Mapping[str, Any]) -> tuple[float | None, float]:
    """Return the quantity of an order and what of it is filled.

    Raises
    ------
    Unreadable
        If one is no number, or more is filled than there is.
    """
    amount_field = order.get("amount")
    amount = None if amount_field is None else read_quantity(amount_field, "quantity")
    filled = read_quantity(order.get("filled") or 0.0, "filled")
    if amount and filled > amount * (1.0 + _ROUNDED):
        raise Unreadable("filled", filled, f"at most the order's quantity, {amount:.12g}")
    return amount, filled


def contradicts_itself(order: Mapping[str, Any]) -> bool:
    """Whether the status of an order cannot go with its quantities, or its executions with them.

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
    """Return the total executed quantity of an execution's order, if its report has it."""
    info = trade.get("info")
    if not isinstance(info, Mapping) or info.get("e") != "executionReport":
        return None
    return _quantity(info.get("z"))


def _quantity(value: Any) -> float | None:
    """Return a quantity; None for what is none, which is reported where it is taken."""
    try:
        return read_quantity(value, "quantity")
    except UNUSUAL:
        return None
