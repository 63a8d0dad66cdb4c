"""A request and its response, over REST or WebSocket."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Literal

from septet._drill.venue.amounts import units
from septet._drill.venue.orders import Rejection

__all__ = ["VenueRequest", "VenueResponse", "number_of", "signed_by", "whole_of"]


@dataclass(slots=True)
class VenueRequest:
    """A request: method, path and parameters; `payload` is the signed text."""

    method: str
    path: str
    params: dict[str, str]
    payload: str = ""
    api_key: str = ""
    number: int = 0


@dataclass(slots=True)
class VenueResponse:
    """The response to a request. `mode`: sent, connection closed, or held back for a while."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    mode: Literal["send", "abort", "hang"] = "send"
    raw: bytes | None = None
    hold_ms: float = 0.0

    @classmethod
    def rejected(cls, rejection: Rejection) -> VenueResponse:
        """Return the answer that carries a rejection."""
        return cls(rejection.status, {"code": rejection.code, "msg": rejection.text})


def signed_by(secret: str, payload: str) -> str:
    """Return the signature of a payload."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def whole_of(params: dict[str, str], name: str) -> int | None:
    """Return a whole number among parameters, None if it is not there; Rejection if it is none."""
    given = params.get(name)
    if given is None or given == "":
        return None
    try:
        return int(given)
    except ValueError:
        raise Rejection(-1100, f"Illegal characters found in parameter '{name}'.") from None


def number_of(params: dict[str, str], name: str) -> int:
    """Return an amount among parameters in units, 0 if it is not there; Rejection if malformed."""
    given = params.get(name)
    if not given:
        return 0
    try:
        amount = units(given)
    except ValueError as error:
        if "decimals" in str(error):
            raise Rejection(-1111, f"Parameter '{name}' has too much precision.") from None
        raise Rejection(-1100, f"Illegal characters found in parameter '{name}'.") from None
    if amount < 0:
        raise Rejection(-1100, f"Illegal characters found in parameter '{name}'.")
    return amount
