"""Finds and cancels an order by client id, as each exchange allows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from septet_plugins.execution.ccxt_account import NEWEST_FIRST
from septet_plugins.execution.ccxt_link import Rest
from septet_plugins.execution.ccxt_orders import Ids

__all__ = ["Lookup", "Missing", "Unanswered"]

_BY_CLIENT_ID: Final[Mapping[str, str]] = {
    "binance": "origClientOrderId",
    "binanceus": "origClientOrderId",
    "okx": "clOrdId",
    "okxus": "clOrdId",
    "myokx": "clOrdId",
    "kucoin": "clientOid",
    "bitget": "clientOrderId",
}
"""Exchanges whose query and cancel of one order accept a client id, and its parameter in ccxt."""
_LISTS_BY_CLIENT_ID: Final[Mapping[str, str]] = {
    "bybit": "orderLinkId",
    "bybiteu": "orderLinkId",
    "bybitid": "orderLinkId",
}
"""Exchanges whose lists of open and of ended orders can be filtered by client id."""
_CANCEL_BY_CLIENT_ID: Final[Mapping[str, str]] = {
    **_BY_CLIENT_ID,
    **_LISTS_BY_CLIENT_ID,
    "kraken": "clientOrderId",
}
_FULL_PAGE: Final = 50
"""Number of ended orders in an answer from which on older orders may be missing."""
_PAGES: Final = 40
_MS: Final = 1_000_000
Executions = Callable[[str, int], Awaitable[bool]]
"""Reads and forwards the executions of a symbol since a time; returns whether all could be read."""


class Missing(Exception):
    """The venue reports that it has no such order."""


class Unanswered(Exception):
    """The venue did not report whether there is such an order."""


class Lookup:
    """Queries one order; the result is an order, `Missing`, or an error of the client.

    If an exchange cannot be queried by client id, its lists are read, page by page back to the time
    at which the order was sent. If the lists do not reach that far, executions decide: an order
    that is not open, and whose executions since it was sent are all reported, is no longer active.
    """

    def __init__(self, rest: Rest, ids: Ids, executions: Executions) -> None:
        self._rest, self._ids, self._executions = rest, ids, executions
        self._has = rest.client.has

    def by_client_id(self) -> bool:
        """Whether one query by client id is enough."""
        return self._rest.client.id in {**_BY_CLIENT_ID, **_LISTS_BY_CLIENT_ID}

    async def find(
        self, client_id: str, venue_order_id: str, symbol: str, since_ns: int = 0, *,
        by_venue_id: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the order, which was sent after `since_ns` (wall time; 0 for unknown).

        With `by_venue_id` the exchange lists it under another client id.

        Raises
        ------
        Missing
            If the venue reports that there is none, or none that is still active.
        Unanswered
            If its answer does not decide that.
        """
        import ccxt

        name = _BY_CLIENT_ID.get(self._rest.client.id)
        try:
            if name is not None and not by_venue_id:
                return await self._one(None, symbol, {name: self._ids.there(client_id)})
            narrows = self._rest.client.id in _LISTS_BY_CLIENT_ID and not by_venue_id
            if venue_order_id and self._has.get("fetchOrder") is True and not narrows:
                return await self._one(venue_order_id, symbol, {})
        except ccxt.OrderNotFound as error:
            raise Missing(str(error)) from error
        own_id = "" if by_venue_id else client_id
        return await self._in_lists(own_id, venue_order_id, symbol, since_ns)

    async def _one(self, venue_id: str | None, symbol: str, params: Any) -> dict[str, Any]:
        order = await self._rest.ask("fetch_order", venue_id, symbol, params)
        if not isinstance(order, dict) or not order.get("id"):
            raise Unanswered("the answer names no order")
        return order

    async def _in_lists(
        self, client_id: str, venue_id: str, symbol: str, since_ns: int
    ) -> dict[str, Any]:
        """Search open orders, then ended ones; an order is absent only if both lists are complete.

        A list filtered by client id is complete, whatever the size of its pages. Without a client
        id only the venue's id is compared.
        """
        there = self._ids.there(client_id) if client_id else None
        narrow = _LISTS_BY_CLIENT_ID.get(self._rest.client.id) if client_id else None
        params = {} if narrow is None else {narrow: there}

        def ours(orders: list[Any]) -> dict[str, Any] | None:
            for each in orders:
                is_named = there is not None and each.get("clientOrderId") == there
                if is_named or (venue_id and each.get("id") == venue_id):
                    order: dict[str, Any] = each
                    return order
            return None

        open_, *ended = self._lists()
        orders = await self._rest.ask(open_, symbol, params=params)
        if (match := ours(orders)) is not None:
            return match
        most = self._rest.client.feature_value(symbol, "fetchOpenOrders", "limit")
        open_is_whole = not most or len(orders) < most
        is_complete = open_is_whole and bool(ended)
        for name in ended:
            orders = await self._rest.ask(name, symbol, params=params)
            if (match := ours(orders)) is not None:
                return match
            if len(orders) >= _FULL_PAGE:
                match, reaches = await self._in_pages(name, symbol, since_ns, ours, _newest(orders))
                if match is not None:
                    return match
                is_complete = is_complete and reaches
        if is_complete:
            raise Missing("it is neither among the open nor among the ended orders")
        if open_is_whole and since_ns and await self._executions(symbol, since_ns):
            raise Missing("it is not open, and what it has executed is reported")
        raise Unanswered("the exchange's lists do not reach far enough back to tell")

    async def _in_pages(
        self, name: str, symbol: str, since_ns: int,
        ours: Callable[[list[Any]], dict[str, Any] | None], newest_ms: int,
    ) -> tuple[dict[str, Any] | None, bool]:  # fmt: skip
        """Read a list of ended orders from a time on; return the order, or whether it was complete.

        Pages go back from the newest order at exchanges known for that, else forward from `since`.
        A full first page with the newest order shows neither: there may be no further pages.
        """
        if not since_ns:
            return None, False
        backwards = self._rest.client.id in NEWEST_FIRST
        start_ms, ids_seen = since_ns // _MS, set[str]()
        until: dict[str, int] = {}
        for _ in range(_PAGES):
            page = await self._rest.ask(name, symbol, start_ms, None, dict(until))
            if (match := ours(page)) is not None:
                return match, True
            new = [each for each in page if str(each.get("id")) not in ids_seen]
            ids_seen |= {str(each.get("id")) for each in new}
            times = [int(each["timestamp"]) for each in page if each.get("timestamp")]
            if not new:
                return None, all(start_ms <= each <= until.get("until", each) for each in times)
            if len(times) < len(page):
                return None, False
            if backwards:
                until = {"until": min(times)}
            elif len(ids_seen) == len(page) >= _FULL_PAGE and max(times) >= newest_ms:
                return None, False
            else:
                start_ms = max(times)
        return None, False

    def _lists(self) -> list[str]:
        names = ["fetch_open_orders"]
        if self._has.get("fetchOrders") is True:
            return [*names, "fetch_orders"]
        if self._has.get("fetchCanceledAndClosedOrders") is True:
            return [*names, "fetch_canceled_and_closed_orders"]
        if self._has.get("fetchClosedOrders") is True:
            names.append("fetch_closed_orders")
            if self._has.get("fetchCanceledOrders") is True:
                names.append("fetch_canceled_orders")
        return names

    async def cancel(
        self, rest: Rest, client_id: str, venue_order_id: str, symbol: str, *,
        by_venue_id: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Cancel an order through `rest`; errors are the client's own, or `Missing`."""
        name = _CANCEL_BY_CLIENT_ID.get(rest.client.id)
        if name is not None and not by_venue_id:
            params = {name: self._ids.there(client_id)}
            answer = await rest.ask("cancel_order", None, symbol, params, urgent=True)
        else:
            if not venue_order_id:
                order = await self.find(client_id, "", symbol)
                venue_order_id = str(order["id"])
            answer = await rest.ask("cancel_order", venue_order_id, symbol, urgent=True)
        return answer if isinstance(answer, dict) else {}


def _newest(orders: list[Any]) -> int:
    """Return the time of the newest of some orders (ms)."""
    return max((int(each.get("timestamp") or 0) for each in orders), default=0)
