"""Selection of a stream or of polls for each kind of market data of an exchange."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from septet.errors import DataError
from septet_plugins.data.ccxt_messages import FLAGGED

__all__ = ["OWN_EVENTS", "Served", "served"]

_METHODS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "bars": (("watchOHLCV", "watch_ohlcv"),),
    "trades": (("watchTrades", "watch_trades"),),
    "quotes": (("watchBidsAsks", "watch_bids_asks"), ("watchTicker", "watch_ticker")),
    "book": (("watchOrderBook", "watch_order_book"),),
}
"""Requested kind -> abilities of an exchange that provide it, best first."""
OWN_EVENTS: Final[Mapping[Any, str]] = {
    "depthUpdate": "book", "trade": "trades", "bookTicker": "quotes", None: "quotes",
}  # fmt: skip
"""Names of the Binance events that are read without ccxt's parsers; spot quotes have no name."""


class Served(NamedTuple):
    """How each kind is provided, the client's method of the streamed ones, and notes."""

    how: dict[str, Literal["stream", "poll"]]
    methods: dict[str, str]
    notes: tuple[str, ...]


def served(client: Any, kinds: Iterable[str]) -> Served:
    """Return how kinds of market data are provided.

    Raises
    ------
    DataError
        For a kind that no feed provides.
    """
    how, methods, notes = dict[str, Literal["stream", "poll"]](), dict[str, str](), list[str]()
    for kind in sorted(kinds):
        if kind not in _METHODS:
            raise DataError(f"no feed serves {kind!r}", hint=f"it is one of {list(_METHODS)}")
        able = [method for has, method in _METHODS[kind] if client.has.get(has) is True]
        how[kind] = "stream" if able else "poll"
        if able:
            methods[kind] = able[0]
        else:
            notes.append(f"{client.id} streams no {kind}: they are polled")
    if how.get("bars") == "stream" and client.id not in FLAGGED:
        notes.append(f"{client.id} does not state when a bar is final: a poll confirms it")
    return Served(how, methods, tuple(notes))
