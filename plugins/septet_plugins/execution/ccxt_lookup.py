"""Finding and cancelling an order by our own id, as each exchange allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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
"""Exchanges whose one-order query and cancel take our id, and under which name in ccxt."""
_LISTS_BY_CLIENT_ID: Final[Mapping[str, str]] = {
    "bybit": "orderLinkId",
    "bybiteu": "orderLinkId",
    "bybitid": "orderLinkId",
}
"""Exchanges whose lists of open and of ended orders can be narrowed to our id."""
_CANCEL_BY_CLIENT_ID: Final[Mapping[str, str]] = {
    **_BY_CLIENT_ID,
    **_LISTS_BY_CLIENT_ID,
    "kraken": "clientOrderId",
}
_FULL_PAGE: Final = 50
"""Ended orders in one answer from which on an older one may have been left out."""


class Missing(Exception):
    """The venue says that it knows no such order."""


class Unanswered(Exception):
    """The venue did not say whether there is such an order."""


class Lookup:
    """Asks for one order; the answer is an order, `Missing`, or an error of the client."""

    def __init__(self, rest: Rest, ids: Ids) -> None:
        self._rest, self._ids = rest, ids
        self._has = rest.client.has

    def by_client_id(self) -> bool:
        """Whether one question by our id is enough."""
        return self._rest.client.id in {**_BY_CLIENT_ID, **_LISTS_BY_CLIENT_ID}

    async def find(self, client_id: str, venue_order_id: str, symbol: str) -> dict[str, Any]:
        """Return the order.

        Raises
        ------
        Missing
            If the venue says that there is none.
        Unanswered
            If what it says leaves that open.
        """
        import ccxt

        name = _BY_CLIENT_ID.get(self._rest.client.id)
        try:
            if name is not None:
                return await self._one(None, symbol, {name: self._ids.there(client_id)})
            narrows = self._rest.client.id in _LISTS_BY_CLIENT_ID
            if venue_order_id and self._has.get("fetchOrder") is True and not narrows:
                return await self._one(venue_order_id, symbol, {})
        except ccxt.OrderNotFound as error:
            raise Missing(str(error)) from error
        return await self._in_lists(client_id, venue_order_id, symbol)

    async def _one(self, venue_id: str | None, symbol: str, params: Any) -> dict[str, Any]:
        order = await self._rest.ask("fetch_order", venue_id, symbol, params)
        if not isinstance(order, dict) or not order.get("id"):
            raise Unanswered("the answer names no order")
        return order

    async def _in_lists(self, client_id: str, venue_id: str, symbol: str) -> dict[str, Any]:
        """Look through open orders, then ended ones; absent only where both were whole.

        A list that is narrowed to our id is whole, however short its pages are.
        """
        there, whole = self._ids.there(client_id), True
        narrow = _LISTS_BY_CLIENT_ID.get(self._rest.client.id)
        params = {} if narrow is None else {narrow: there}
        for name in self._lists():
            orders = await self._rest.ask(name, symbol, params=params)
            for each in orders:
                if each.get("clientOrderId") == there or (venue_id and each.get("id") == venue_id):
                    found: dict[str, Any] = each
                    return found
            whole = whole and (name == "fetch_open_orders" or len(orders) < _FULL_PAGE)
        if whole and self._lists()[1:]:
            raise Missing("it is neither among the open nor among the ended orders")
        raise Unanswered("the exchange's lists do not reach far enough to say")

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
        self, rest: Rest, client_id: str, venue_order_id: str, symbol: str
    ) -> dict[str, Any]:
        """Cancel an order through `rest`; errors are the client's own, or `Missing`."""
        name = _CANCEL_BY_CLIENT_ID.get(rest.client.id)
        if name is not None:
            params = {name: self._ids.there(client_id)}
            answer = await rest.ask("cancel_order", None, symbol, params, urgent=True)
        else:
            if not venue_order_id:
                found = await self.find(client_id, "", symbol)
                venue_order_id = str(found["id"])
            answer = await rest.ask("cancel_order", venue_order_id, symbol, urgent=True)
        return answer if isinstance(answer, dict) else {}
