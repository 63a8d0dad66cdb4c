"""Reads Binance's messages about spot orders without ccxt's parsers.

ccxt builds a record of about forty fields from each answer and each report, which takes longer than
all other work for an order. Here only the fields that `Translator` uses are read, with ccxt's names
and arithmetic, so that later code is the same for every exchange. A message that is not exactly of
a known kind gives None and is left to ccxt, as are all other exchanges.
``tests/execution/test_direct.py`` compares the two results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = ["Direct", "Report", "read_directly"]


class Report(NamedTuple):
    """An execution and its order, in ccxt's fields; either may be missing."""

    fill: dict[str, Any] | None = None
    order: dict[str, Any] | None = None


class _Keys(NamedTuple):
    """Names of the fields of a message."""

    id: str
    symbol: str
    side: str
    type: str
    status: str
    price: str
    amount: str
    filled: str
    cost: str


_ANSWER: Final = _Keys(
    "orderId", "symbol", "side", "type", "status", "price", "origQty", "executedQty",
    "cummulativeQuoteQty",
)  # fmt: skip
_REPORT: Final = _Keys("i", "s", "S", "o", "X", "p", "q", "z", "Z")
_TRIGGER: Final[Mapping[_Keys, str]] = {_ANSWER: "stopPrice", _REPORT: "P"}
"""Field with the trigger of a stop; answers about other orders do not have it."""
_IN_ANSWER: Final = frozenset({*_ANSWER, "clientOrderId", "transactTime"})
_IN_REPORT: Final = frozenset({*_REPORT, "c", "C", "x", "l", "L", "n", "N", "T", "t", "m", "O"})
_OF_FILL: Final = ("t", "l", "L", "T")
_FOREIGN: Final = frozenset({"origClientOrderId", "code", "positionSide", "ps"})
"""Fields of answers to cancels, of rejections, and of reports about contracts."""
_BALANCES: Final = frozenset({"outboundAccountPosition", "balanceUpdate"})
"""Messages sent with every execution and ignored: balances are read from the account."""
_AT_MARKET: Final = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})
_NO_REPORT: Final = Report()


class Direct:
    """Parses the messages of one client about orders on these symbols."""

    def __init__(self, client: Any, symbols: Sequence[str]) -> None:
        from ccxt.base.precise import Precise

        self._symbols = {str(client.markets[symbol]["id"]): symbol for symbol in symbols}
        self._status, self._currency = client.parse_order_status, client.safe_currency_code
        self._ratio = Precise.string_div

    def take_up(self, client: Any, symbol: str) -> None:
        """Parse messages about a symbol that was not listed when the client was opened."""
        if client.markets[symbol].get("spot"):
            self._symbols[str(client.markets[symbol]["id"])] = symbol

    def answer(self, body: Any) -> dict[str, Any] | None:
        """Return the order in the answer to a new order."""
        try:
            return self._answer(body)
        except UNUSUAL:
            return None

    def _answer(self, body: Any) -> dict[str, Any] | None:
        if not isinstance(body, dict) or not body.keys() >= _IN_ANSWER or body.keys() & _FOREIGN:
            return None
        order = self._order(body, _ANSWER, body["clientOrderId"])
        if order is not None:
            order["timestamp"] = body.get("workingTime") or body["transactTime"]
            order["trades"] = [self._fill_in_answer(each) for each in body.get("fills") or ()]
        return order

    def report(self, event: Mapping[str, Any]) -> Report | None:
        """Return the report in a message of the account's stream."""
        try:
            return self._report(event)
        except UNUSUAL:
            return None

    def _report(self, event: Mapping[str, Any]) -> Report | None:
        kind = event.get("e")
        if kind in _BALANCES:
            return _NO_REPORT
        if kind != "executionReport" or not event.keys() >= _IN_REPORT or event.keys() & _FOREIGN:
            return None
        order = self._order(event, _REPORT, event["C"] or event["c"])
        if order is None or event["x"] != "TRADE":
            return None if order is None else Report(None, order)
        if not all(map(event.get, _OF_FILL)):
            return None
        return Report(self._fill(event, order), order)

    def _order(
        self, raw: Mapping[str, Any], keys: _Keys, client_id: str
    ) -> dict[str, Any] | None:  # fmt: skip
        symbol = self._symbols.get(raw[keys.symbol])
        if symbol is None or not all(map(raw.get, keys)):  # amounts are texts: "0.0" is truthy
            return None
        amount = float(raw[keys.amount])
        if not amount:
            return None
        filled, price = float(raw[keys.filled]), float(raw[keys.price]) or None
        average = None
        if filled > 0.0:
            average = float(self._ratio(raw[keys.cost], raw[keys.filled])) or None
        if price is None and raw[keys.type] in _AT_MARKET:
            price = average
        return {
            "info": raw, "id": str(raw[keys.id]), "clientOrderId": client_id, "symbol": symbol,
            "side": raw[keys.side].lower(), "status": self._status(raw[keys.status]),
            "amount": amount, "filled": filled, "price": price, "average": average,
            "triggerPrice": float(raw.get(_TRIGGER[keys]) or 0.0) or None,
        }  # fmt: skip

    def _fill(self, raw: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
        fee = None
        if raw["n"] not in (None, ""):
            fee = {"cost": raw["n"], "currency": self._currency(raw["N"])}
        return {
            "info": raw, "id": str(raw["t"]), "order": order["id"], "symbol": order["symbol"],
            "side": order["side"], "amount": float(raw["l"]), "price": float(raw["L"]),
            "timestamp": raw["T"], "takerOrMaker": "maker" if raw["m"] else "taker",
            "fee": fee,
        }  # fmt: skip

    def _fill_in_answer(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        fee = {
            "cost": raw["commission"], "currency": self._currency(raw["commissionAsset"])
        }  # fmt: skip
        return {
            "info": raw, "id": str(raw["tradeId"]), "amount": float(raw["qty"]),
            "price": float(raw["price"]), "fee": fee,
        }  # fmt: skip


def read_directly(client: Any, symbols: Sequence[str]) -> Direct | None:
    """Parse the answers to a client's orders here; return the parser, also for its stream.

    None, and nothing is changed, unless these are spot markets of Binance.
    """
    if client.id != "binance" or not all(client.markets[each].get("spot") for each in symbols):
        return None
    direct, parse = Direct(client, symbols), client.parse_order

    def parsing(order: Any, market: Any = None) -> Any:
        return direct.answer(order) or parse(order, market)

    client.parse_order = parsing
    return direct
