"""Orders at the venue: requests, states, and the filters that they must satisfy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from septet._drill.venue.amounts import SCALE, floor_product, units
from septet._drill.venue.config import SymbolConfig

__all__ = ["FINAL", "WHOLE_PPM", "Asked", "Execution", "Fill", "Order", "Rejection", "Rules"]

FINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED"})
"""Statuses that an order does not leave."""
WHOLE_PPM = 10**6
"""Millionths of a quantity: all of it."""
Execution = Literal["NEW", "TRADE", "CANCELED", "EXPIRED", "REPLACED"]
_TYPES = {
    "MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
}  # fmt: skip


class Rejection(Exception):
    """A rejection of the venue: a code of Binance and its text."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A new order as requested; amounts in units, 0 where not given.

    `sent_as` is the client id of the request where the order is listed under another one.
    """

    symbol: str
    side: str
    type: str
    client_id: str
    quantity: int = 0
    quote_quantity: int = 0
    price: int = 0
    stop: int = 0
    tif: str = "GTC"
    by: str = "client"
    sent_as: str = ""

    @property
    def own_id(self) -> str:
        """The client id of the request."""
        return self.sent_as or self.client_id


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; `fee` in units of `fee_asset`."""

    trade_id: int
    order_id: int
    symbol: str
    buys: bool
    quantity: int
    price: int
    quote: int
    fee: int
    fee_asset: str
    maker: bool
    at_ms: int


@dataclass(slots=True)
class Order:
    """An order and its life so far; `past` holds (time, status, executed, quote) of each change.

    `portion` (millionths) of what could be executed next is executed, and nothing where it is 0.
    `then` is what happens to the rest: it waits to be resumed (``rest``) or expires (``expire``).
    """

    order_id: int
    asked: Asked
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    quantity: int = 0
    executed: int = 0
    quote_executed: int = 0
    locked: int = 0
    locked_asset: str = ""
    triggered: bool = True
    maker: bool = False
    reason: str = "NONE"
    portion: int = WHOLE_PPM
    then: str = ""
    fills: list[Fill] = field(default_factory=list)
    past: list[tuple[int, str, int, int]] = field(default_factory=list)

    @property
    def buys(self) -> bool:
        """Whether it buys the base."""
        return self.asked.side == "BUY"

    @property
    def left(self) -> int:
        """The quantity not yet executed."""
        return self.quantity - self.executed

    @property
    def at_market(self) -> bool:
        """Whether it takes any price once it works."""
        return self.asked.type in {"MARKET", "STOP_LOSS", "TAKE_PROFIT"}

    def note(self, now_ms: int) -> None:
        """Record the current state."""
        self.updated_ms = now_ms
        self.past.append((now_ms, self.status, self.executed, self.quote_executed))

    def as_of(self, at_ms: int) -> tuple[str, int, int] | None:
        """Return (status, executed, quote) at a time; None if the order did not exist."""
        seen: tuple[str, int, int] | None = None
        for when, status, executed, quote in self.past:
            if when > at_ms:
                break
            seen = (status, executed, quote)
        return seen


@dataclass(slots=True)
class Rules:
    """The filters of a symbol, in units; they may change while the venue runs."""

    symbol: str
    base: str
    quote: str
    tick: int
    lot: int
    min_quantity: int
    max_quantity: int
    market_max_quantity: int
    min_notional: int
    percent_up: int
    percent_down: int
    trading: bool = True

    @classmethod
    def of(cls, config: SymbolConfig) -> Rules:
        """Return the filters of a symbol's configuration."""
        return cls(
            symbol=config.id, base=config.base, quote=config.quote, tick=units(config.tick),
            lot=units(config.lot), min_quantity=units(config.min_quantity),
            max_quantity=units(config.max_quantity),
            market_max_quantity=units(config.market_max_quantity),
            min_notional=units(config.min_notional), percent_up=units(config.percent_up),
            percent_down=units(config.percent_down),
        )  # fmt: skip

    def check(self, asked: Asked, last: int) -> None:
        """Raise Rejection if an order breaks a filter; `last` is the last price."""
        if not self.trading:
            raise Rejection(-1013, "Market is closed.")
        self._shape(asked)
        if asked.quantity:
            _within(asked.quantity, self.min_quantity, self.max_quantity, self.lot, "LOT_SIZE")
            if asked.type == "MARKET" and asked.quantity > self.market_max_quantity:
                raise Rejection(-1013, "Filter failure: MARKET_LOT_SIZE")
        for price in (asked.price, asked.stop):
            if price and (price % self.tick or price < self.tick):
                raise Rejection(-1013, "Filter failure: PRICE_FILTER")
        if asked.price and not (
            floor_product(last, self.percent_down)
            <= asked.price
            <= floor_product(last, self.percent_up)
        ):
            raise Rejection(-1013, "Filter failure: PERCENT_PRICE")
        value = asked.quote_quantity or floor_product(
            asked.price or asked.stop or last, asked.quantity
        )
        if value < self.min_notional:
            raise Rejection(-1013, "Filter failure: NOTIONAL")

    def _shape(self, asked: Asked) -> None:
        """Raise Rejection if a field is missing, unknown or must not be there."""
        if asked.type not in _TYPES:
            raise Rejection(-1116, "Invalid orderType.")
        if asked.side not in {"BUY", "SELL"}:
            raise Rejection(-1117, "Invalid side.")
        if asked.tif not in {"GTC", "IOC", "FOK"}:
            raise Rejection(-1115, "Invalid timeInForce.")
        limit = "LIMIT" in asked.type
        if limit and not asked.price:
            raise _missing("price")
        if not limit and asked.price:
            raise Rejection(-1106, "Parameter 'price' sent when not required.")
        if ("STOP" in asked.type or "PROFIT" in asked.type) and not asked.stop:
            raise _missing("stopPrice")
        if not asked.quantity and not (asked.type == "MARKET" and asked.quote_quantity):
            raise _missing("quantity")


def _missing(name: str) -> Rejection:
    return Rejection(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def _within(amount: int, low: int, high: int, step: int, name: str) -> None:
    if amount < low or amount > high or (step and amount % step):
        raise Rejection(-1013, f"Filter failure: {name}")


assert SCALE == 10**8, "the texts of the filters are written with eight decimals"
