"""Checks that a signed request of a stop contains its trigger, without which it fills at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from septet.plugin.data import decode_json

__all__ = ["trigger_fault"]

_TYPES: Final = ("ordertype", "orderType", "ordType", "type")
"""In this order: for Kraken, `type` is the side."""
_PLAIN: Final = ("market", "limit", "limit_maker")
"""Order types that exchanges execute or place in the book at once, whatever other fields are
sent."""
_PRICES: Final[Mapping[str, tuple[str, ...]]] = {
    "binance": ("stopPrice",),
    "binanceus": ("stopPrice",),
    "kraken": ("price",),
}
"""Field in which an exchange expects the trigger."""


def trigger_fault(exchange: str, url: str, body: Any, trigger: str) -> str:
    """Return why the exchange would ignore the trigger of a request, or an empty text."""
    fields = dict(_fields(url, body))
    kind = next((fields[key] for key in _TYPES if key in fields), "")
    if not kind or kind.lower() in _PLAIN:
        return f"{exchange} would read a stop as an order of type {kind or 'unknown'!r}"
    names = _PRICES.get(exchange, ())
    if not any(_same(fields.get(name), trigger) for name in names):
        field_names = " or ".join(names) or "any known field"
        return f"the request to {exchange} has no trigger price {trigger} in {field_names}"
    return ""


def _fields(url: str, body: Any) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(urlsplit(url).query)
    text = body.decode() if isinstance(body, bytes) else str(body or "")
    if not text.lstrip().startswith("{"):
        yield from parse_qsl(text)
        return
    fields = decode_json(text)
    yield from ((key, str(value)) for key, value in fields.items())


def _same(trigger_found: str | None, trigger: str) -> bool:
    try:
        return trigger_found is not None and Decimal(trigger_found) == Decimal(trigger)
    except InvalidOperation:
        return False
