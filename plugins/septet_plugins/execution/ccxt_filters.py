"""Filters of an account's symbols at its exchange, while symbols change, disappear and return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import septet.messages as m
from septet.plugin.live import Clock, Market, Notices, Tasks
from septet_plugins.exchange.listing import Listing, check_contracts
from septet_plugins.exchange.markets import market_of, markets_of
from septet_plugins.exchange.unusual_messages import UNUSUAL
from septet_plugins.execution.ccxt_link import Rest

__all__ = ["Filters"]


class Filters:
    """Known filters of each symbol of the run; `listing` has the listed symbols.

    Orders are rounded by the filters that the clients have: if the new filters of a symbol are
    missing or unreadable, the earlier ones stay in use.
    """

    def __init__(
        self, main: Rest, quick: Rest, symbols: Sequence[str], clock: Clock, notices: Notices,
        sink: Callable[[Any], None], tasks: Tasks,
    ) -> None:  # fmt: skip
        self._main, self._quick, self._clock = main, quick, clock
        self._notices, self._sink = notices, sink
        self.listing = Listing(main.client, symbols, self._report, tasks)
        self.came_back: Callable[[str], None] = lambda symbol: None
        check_contracts(main.client, self.listing.listed)
        quick.client.set_markets_from_exchange(main.client)
        self.known: dict[str, Market] = {}

    def read(self) -> dict[str, Market]:
        """Return the filters of the listed symbols that the client has just read.

        Raises
        ------
        RunError
            If they cannot be read.
        """
        self.known = markets_of(self._main.client, self.listing.listed)
        if self.listing.unlisted:
            self.listing.watch()
        return dict(self.known)

    async def _report(self) -> None:
        for each in await self.refresh() or ():
            self._sink(each)

    async def refresh(self) -> Sequence[m.FiltersChanged] | None:
        """Read the markets again; return the changes, None if they could not be read."""
        client, old = self._main.client, self._quick.client
        _, fault = await self._main.attempt("load_markets", True)
        if fault or not client.markets:
            client.set_markets_from_exchange(old)
            return None
        listed = [each for each in self.listing.symbols if each in client.markets]
        try:
            new = {symbol: market_of(client, symbol) for symbol in listed}
        except UNUSUAL as error:
            client.set_markets_from_exchange(old)
            self._notices.notify("filters", error)
            return None
        delisted, listed_again = self.listing.take()
        for symbol in self.listing.symbols:  # reports of it may still be received
            if symbol not in client.markets and symbol in old.markets:
                client.markets[symbol] = old.markets[symbol]
        old.set_markets_from_exchange(client)
        for symbol in sorted(listed_again):
            self.came_back(symbol)
        return self._changes(new, delisted, listed_again)

    def _changes(
        self, new: dict[str, Market], delisted: frozenset[str], listed_again: frozenset[str]
    ) -> list[m.FiltersChanged]:
        """Store the filters; return those that the run does not know yet."""
        changed = []
        for number, symbol in enumerate(self.listing.symbols):
            previous, now = self.known.get(symbol), new.get(symbol)
            if now is None and previous is not None:
                now = replace(previous, trading=False)
            if now is None:
                continue  # not listed since the start
            self.known[symbol] = now
            if now != previous or symbol in delisted or symbol in listed_again:
                changed.append(self._event(number, now, listed=symbol not in self.listing.unlisted))
        return changed

    def _event(self, number: int, each: Market, *, listed: bool) -> m.FiltersChanged:
        return m.FiltersChanged(
            at_ns=self._clock.now_ns(), symbol=number, lot=each.lot, tick=each.tick,
            min_notional=each.min_notional, trading=each.trading,
            min_quantity=each.min_quantity, max_quantity=each.max_quantity, listed=listed,
        )  # fmt: skip

    async def close(self) -> None:
        """Stop reading."""
        await self.listing.close()
