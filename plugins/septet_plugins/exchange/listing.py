"""Tracks which symbols of a run an exchange lists, while symbols disappear and return."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from septet.errors import DataError
from septet.plugin.live import Backoff, Kept, Tasks

__all__ = ["Listing", "check_contracts", "unlisted_of"]

_FIRST_S: Final = 2.0
_LONGEST_S: Final = 600.0
_DOUBT_EVERY_S: Final = 30.0
_APART_S: Final = 1.0
"""Minimum time between the first read that lacks a symbol and the read that confirms it."""


def unlisted_of(client: Any, symbols: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the symbols that are not listed, each with the closest listed names."""
    names = list(client.markets)
    return {
        symbol: tuple(difflib.get_close_matches(symbol, names, n=3))
        for symbol in symbols
        if symbol not in client.markets
    }


def check_contracts(client: Any, symbols: Iterable[str]) -> None:
    """Reject contracts whose size is not one unit of the base; the symbols are listed."""
    for symbol in symbols:
        market = client.markets[symbol]
        if market.get("contract") and float(market.get("contractSize") or 1.0) != 1.0:
            raise DataError(
                f"a contract of {symbol} at {client.id} is {market['contractSize']} "
                f"{market['base']}; only contracts of one are supported"
            )


class Listing:
    """Listed and unlisted symbols of a client.

    A symbol that the first read lacks is not listed. Later a symbol counts as unlisted if all reads
    of one second, at least two, lack it: a single read may be incomplete, and the symbol's exits
    would wait. While a symbol is missing, the markets are read again at increasing intervals; a
    symbol that returns is traded again.

    Parameters
    ----------
    client
        A client whose markets are loaded.
    read
        Reads the markets again, calls `take`, and acts on what that returns.
    """

    def __init__(
        self, client: Any, symbols: Iterable[str], read: Callable[[], Awaitable[object]],
        tasks: Tasks,
    ) -> None:  # fmt: skip
        self._client, self._read, self._tasks = client, read, tasks
        self.symbols = tuple(symbols)
        self.unlisted = unlisted_of(client, self.symbols)
        self._missing: dict[str, float] = {}
        self._kept: Kept | None = None
        self._doubted_s = -_DOUBT_EVERY_S

    @property
    def listed(self) -> tuple[str, ...]:
        """Listed symbols, in order."""
        return tuple(each for each in self.symbols if each not in self.unlisted)

    def take(self) -> tuple[frozenset[str], frozenset[str]]:
        """Compare with the markets just read; return the removed and the returned symbols.

        A symbol that has been missing for less than a second still counts as listed.
        """
        unlisted, now_s = unlisted_of(self._client, self.symbols), asyncio.get_running_loop().time()
        since = {
            each: self._missing.get(each, now_s) for each in unlisted if each not in self.unlisted
        }
        delisted = frozenset(
            each for each, since_s in since.items()
            if each in self._missing and now_s - since_s >= _APART_S
        )  # fmt: skip
        listed_again = frozenset(self.unlisted) - frozenset(unlisted)
        self._missing = {each: since_s for each, since_s in since.items() if each not in delisted}
        unlisted_now = {*self.unlisted, *delisted} - listed_again
        self.unlisted = {each: unlisted[each] for each in self.symbols if each in unlisted_now}
        if self.unlisted or self._missing:
            self.watch()
        return delisted, listed_again

    def doubt(self) -> None:
        """Read the markets again soon, after a request was rejected for its symbol."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._doubted_s + _DOUBT_EVERY_S:
            self._doubted_s = now_s
            self.watch()

    def watch(self) -> None:
        """Read the markets again now and, at increasing intervals, while a symbol is missing."""
        if self._kept is None or self._kept.done:
            self._kept = self._tasks.keep("unlisted symbols", self._ask, may_end=True)

    async def _ask(self) -> None:
        backoff = Backoff(_FIRST_S, _LONGEST_S)
        while True:
            await asyncio.sleep(backoff.wait_s())
            await self._read()
            if not (self.unlisted or self._missing):
                return

    async def close(self) -> None:
        """Stop reading."""
        if self._kept is not None:
            await self._kept.closed()
