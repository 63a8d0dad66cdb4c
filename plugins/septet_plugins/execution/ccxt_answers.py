"""Classifies the answer to an order as definitely rejected or unknown.

Only an explicit answer of the venue is a rejection. After a timeout, a server error, an error
without a class in ccxt, and any other exception the order may exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from septet_plugins.exchange.requests import Barred, Wire

__all__ = ["REJECTION_CODES", "Verdict", "echo_fault", "classify_error"]

REJECTION_CODES: Final[Mapping[str, str]] = {
    # ccxt's class -> code of the rejection; "" is uncertain. The most specific class decides.
    "InsufficientFunds": "funds",
    "DDoSProtection": "rate",
    "RateLimitExceeded": "rate",
    "InvalidNonce": "clock",
    "ChecksumError": "",
    "BadSymbol": "symbol",
    "BadRequest": "bad_request",
    "ArgumentsRequired": "bad_request",
    "MarketClosed": "market_closed",
    "AuthenticationError": "auth",
    "InvalidOrder": "filter",
    "OrderImmediatelyFillable": "crosses",
    "OrderNotFillable": "not_fillable",
    "DuplicateOrderId": "duplicate",
    "OrderNotFound": "",
    "OrderNotCached": "",
}
"""Everything else is uncertain, including a plain ExchangeError and every OperationFailed."""

_DUPLICATE: Final = re.compile(r"duplicate|already exist|already been used|repeated", re.I)
_FILTER: Final = re.compile(
    r"filter|notional|lot_?size|percent_price|precision|min(imum)? (order|amount|size)", re.I
)
_OURS: Final = ("cancelled", "unsupported")
"""Reasons for which a request was not sent and never can be."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` of a rejection and who rejected the order; an empty code means unknown."""

    code: str
    by: Literal["venue", "gate", "local"] = "venue"

    @property
    def is_rejected(self) -> bool:
        """Whether the order was definitely not accepted."""
        return bool(self.code)


def classify_error(error: BaseException, wire: Wire) -> Verdict:
    """Classify an error raised instead of an answer to an order."""
    code = _code(error)
    if not wire.sent:
        if isinstance(error, Barred):
            return Verdict(error.code, "local" if error.code in _OURS else "gate")
        return Verdict(code or "local", "local")
    if wire.status >= 500:
        return Verdict("")
    return Verdict(code)


def _code(error: BaseException) -> str:
    class_names = [
        each.__name__ for each in type(error).__mro__ if each.__module__.startswith("ccxt")
    ]
    code = next((REJECTION_CODES[name] for name in class_names if name in REJECTION_CODES), "")
    if code in ("filter", "bad_request"):
        if _DUPLICATE.search(str(error)):
            return "duplicate"
        if _FILTER.search(str(error)):
            return "filter"
    return code


def echo_fault(order: Mapping[str, Any] | None, market: Mapping[str, Any], client_id: str) -> str:
    """Return why an answer does not show that this order was accepted, or an empty text.

    A different side or quantity is a fault of the order, not of the answer, and is forwarded as the
    venue reports it.
    """
    if not isinstance(order, Mapping) or order.get("id") in (None, ""):
        return "the answer names no order"
    if order.get("clientOrderId") in (None, ""):
        return "the answer does not repeat the client id"
    if order["clientOrderId"] != client_id:
        return f"the answer is about another order ({order['clientOrderId']})"
    info = order.get("info")
    market_id = info.get("symbol") or info.get("instId") if isinstance(info, Mapping) else None
    if order.get("symbol") != market["symbol"] or market_id not in (None, market["id"]):
        return f"the answer is about another symbol ({market_id or order.get('symbol')})"
    if order.get("side") not in ("buy", "sell"):
        return "the answer does not state which side"
    return ""
