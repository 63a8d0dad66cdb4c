"""Conversion of raw messages and parsed items of an exchange to events of the feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from septet.plugin.live import BarSeen, PrintSeen, QuoteSeen
from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = [
    "FLAGGED", "bar_of", "closed_flags", "inner_of", "print_of", "print_of_raw", "quote_of_book",
    "quote_of_levels", "quote_of_raw", "quote_of_ticker",
]  # fmt: skip

Levels = tuple[tuple[float, float], ...]

FLAGGED: Final = frozenset(
    {"binance", "binanceus", "binanceusdm", "binancecoinm", "bybit", "okx", "okxus", "gate"}
)
"""Exchanges whose raw bars state whether they are final; elsewhere a poll confirms it."""
_MS: Final = 1_000_000


def closed_flags(exchange: str, message: Any) -> dict[int, bool]:
    """Return the bars of a raw message: open time in ms -> final."""
    if not isinstance(message, Mapping):
        return {}
    if exchange.startswith("binance"):
        inner = message.get("data") if "stream" in message else message
        bar = inner.get("k") if isinstance(inner, Mapping) else None
        return {int(bar["t"]): bool(bar["x"])} if isinstance(bar, Mapping) else {}
    if exchange == "gate":
        bar = message.get("result")
        has_final = isinstance(bar, Mapping) and "w" in bar
        return {int(bar["t"]) * 1_000: bool(bar["w"])} if has_final and bar is not None else {}
    rows = message.get("data")
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return {}
    if exchange == "bybit":
        return {
            int(row["start"]): bool(row["confirm"])
            for row in rows
            if isinstance(row, Mapping) and "confirm" in row
        }
    return {
        int(row[0]): str(row[8]) == "1"
        for row in rows
        if isinstance(row, Sequence) and not isinstance(row, str) and len(row) > 8
    }


def bar_of(
    symbol: str, row: Sequence[Any], closed: bool | None, source: Literal["stream", "poll"]
) -> BarSeen:
    """Return the bar of a ccxt row (open time in ms, open, high, low, close, volume)."""
    return BarSeen(
        symbol=symbol, open_ns=int(row[0]) * _MS, open=_number(row[1]), high=_number(row[2]),
        low=_number(row[3]), close=_number(row[4]), volume=_number(row[5]), closed=closed,
        source=source,
    )  # fmt: skip


def _number(value: Any) -> float:
    """Return a number of a bar, or NaN for anything else, which the policies of the file handle."""
    try:
        return float("nan") if value is None else float(value)
    except UNUSUAL:
        return float("nan")


def print_of(symbol: str, trade: Mapping[str, Any], now_ns: int) -> PrintSeen | None:
    """Return a public trade; None if it has no price."""
    if trade.get("price") is None or trade.get("amount") is None:
        return None
    stamp = trade.get("timestamp")
    return PrintSeen(
        symbol=symbol, venue_ns=now_ns if stamp is None else int(stamp) * _MS,
        trade_id=str(trade.get("id") or ""), price=float(trade["price"]),
        quantity=float(trade["amount"]),
    )  # fmt: skip


def inner_of(message: Any) -> Mapping[str, Any]:
    """Return a raw Binance message without the wrapper of combined streams."""
    inner = message
    if isinstance(message, Mapping) and "stream" in message:
        inner = message.get("data")
    return inner if isinstance(inner, Mapping) else {}


def print_of_raw(message: Mapping[str, Any], symbol: str) -> PrintSeen | None:
    """Return the trade in a Binance message; None leaves the message to ccxt's parser.

    ccxt's parser computes twenty fields, most of them unused, and takes longer than all later steps
    up to the journal. A test shows that both give the same trade.
    """
    try:
        return PrintSeen(
            symbol=symbol, venue_ns=int(message["T"]) * _MS, trade_id=str(int(message["t"])),
            price=float(message["p"]), quantity=float(message["q"]),
        )  # fmt: skip
    except UNUSUAL:
        return None


def quote_of_raw(message: Mapping[str, Any], symbol: str, now_ns: int) -> QuoteSeen | None:
    """Return the best prices in a Binance message; None leaves the message to ccxt's parser."""
    try:
        bid, ask, stamp = float(message["b"]), float(message["a"]), message.get("E")
        quote = QuoteSeen(
            symbol=symbol, venue_ns=now_ns if stamp is None else int(stamp) * _MS,
            bid=bid, bid_quantity=float(message["B"]), ask=ask,
            ask_quantity=float(message["A"]),
        )  # fmt: skip
    except UNUSUAL:
        return None
    return quote if bid and ask else None


def quote_of_ticker(ticker: Any, now_ns: int) -> QuoteSeen | None:
    """Return the best prices of a ticker; None if it has none."""
    if not isinstance(ticker, Mapping) or not ticker.get("bid") or not ticker.get("ask"):
        return None
    stamp = ticker.get("timestamp")
    return QuoteSeen(
        symbol=str(ticker.get("symbol")), venue_ns=now_ns if stamp is None else int(stamp) * _MS,
        bid=float(ticker["bid"]), bid_quantity=float(ticker.get("bidVolume") or 0.0),
        ask=float(ticker["ask"]), ask_quantity=float(ticker.get("askVolume") or 0.0),
    )  # fmt: skip


def quote_of_book(
    symbol: str, bids: Sequence[Sequence[Any]], asks: Sequence[Sequence[Any]], venue_ns: int
) -> QuoteSeen | str:
    """Return the top of a ccxt order book; a text states why it is invalid."""
    return quote_of_levels(symbol, _levels(bids), _levels(asks), venue_ns)


def _levels(rows: Sequence[Sequence[Any]]) -> Levels:
    return tuple([(float(each[0]), float(each[1])) for each in rows])


def quote_of_levels(symbol: str, bids: Levels, asks: Levels, venue_ns: int) -> QuoteSeen | str:
    """Return the top of a book of (price, quantity) rows; a text states why it is invalid."""
    if not bids or not asks:
        return "a side of the book is empty"
    (bid, bid_quantity), (ask, ask_quantity) = bids[0], asks[0]
    if bid >= ask:
        return f"crossed: {bid:g} >= {ask:g}"
    return QuoteSeen(
        symbol=symbol, venue_ns=venue_ns, bid=bid, bid_quantity=bid_quantity, ask=ask,
        ask_quantity=ask_quantity, bids=bids, asks=asks,
    )  # fmt: skip
