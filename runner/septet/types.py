"""What passes between the layers: frozen, slotted, typed; every unit is in the name.

Times are UTC nanoseconds since the epoch. Quantities at these edges are decimals in the base
currency; inside the core they are whole units of the instrument's precision.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

import msgspec

__all__ = [
    "Bar",
    "Fill",
    "FillId",
    "Liquidity",
    "Order",
    "OrderId",
    "OrderIntent",
    "OrderStatus",
    "OrderType",
    "Position",
    "Prediction",
    "Side",
    "Signal",
    "Symbol",
    "Venue",
    "Wish",
]

Symbol = NewType("Symbol", str)
Venue = NewType("Venue", str)
OrderId = NewType("OrderId", str)
FillId = NewType("FillId", str)


class Side(StrEnum):
    """Direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"


class Wish(StrEnum):
    """What a signal wants; `NONE` keeps what is there."""

    LONG = "long"
    SHORT = "short"
    FLAT = "flat"
    NONE = "none"


class OrderType(StrEnum):
    """How an order meets the market."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class OrderStatus(StrEnum):
    """Life of an order; it never goes backwards."""

    INTENT = "intent"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Liquidity(StrEnum):
    """Whether a fill made or took liquidity."""

    MAKER = "maker"
    TAKER = "taker"


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """One closed bar, known at `known_ns`."""

    symbol: Symbol
    open_ns: int
    known_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Prediction(msgspec.Struct, frozen=True):
    """A model's judgement of one symbol at one time."""

    symbol: Symbol
    time_ns: int
    probability_up: float
    probability_down: float
    confidence: float
    model_id: str


class Signal(msgspec.Struct, frozen=True):
    """A wish with its confidence, or none and why."""

    symbol: Symbol
    time_ns: int
    wish: Wish
    confidence: float
    reason: str = ""


class OrderIntent(msgspec.Struct, frozen=True):
    """A sized order that passed every check, not yet sent."""

    order_id: OrderId
    symbol: Symbol
    time_ns: int
    side: Side
    order_type: OrderType
    quantity: float
    reduces: bool
    reason: str
    limit_price: float | None = None
    trigger_price: float | None = None
    expires_ns: int | None = None


class Order(msgspec.Struct, frozen=True):
    """An intent and what became of it."""

    intent: OrderIntent
    status: OrderStatus
    filled_quantity: float = 0.0
    average_price: float | None = None
    status_reason: str = ""
    venue_order_id: str | None = None


class Fill(msgspec.Struct, frozen=True):
    """One execution, counted once by (venue, symbol, fill_id)."""

    fill_id: FillId
    order_id: OrderId
    symbol: Symbol
    venue: Venue
    time_ns: int
    side: Side
    quantity: float
    price: float
    fee: float
    fee_currency: str
    liquidity: Liquidity


class Position(msgspec.Struct, frozen=True):
    """What is held of one symbol: the sum of its fills."""

    symbol: Symbol
    quantity: float
    average_price: float | None
