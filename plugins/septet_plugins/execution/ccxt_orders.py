"""Translates orders and fills between ccxt's dictionaries and septet's events."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import septet.messages as m
from septet.plugin.live import (
    Clock,
    Unreadable,
    read_choice,
    read_id,
    read_number,
    read_price,
    read_quantity,
    read_stamp_ns,
)
from septet_plugins.exchange.client_ids import id_parameter, length_fault
from septet_plugins.exchange.markets import (
    lot_of,
    plain,
    price_step,
    round_price,
    round_quantity,
)
from septet_plugins.exchange.unusual_messages import UNUSUAL
from septet_plugins.execution.ccxt_states import (
    amounts_of,
    cumulative_of,
    order_type_of,
    state_of,
    trigger_of,
)

__all__ = ["IdReader", "Ids", "Placed", "Translator", "order_types", "place"]

_MS: Final = 1_000_000
_REMEMBERED: Final = 100_000

_DASH_BECOMES: Final = {"okx": "Z", "okxus": "Z", "myokx": "Z"}
"""Exchanges that accept only letters and digits; septet's ids are lower case, so the conversion can
be undone."""
_PREFIX: Final = {"gate": "t-", "gateeu": "t-", "gateio": "t-"}
_NUMBERED: Final = frozenset({"binance", "binanceus", "binanceusdm", "binancecoinm"})
"""Exchanges at which ids of orders and executions are whole numbers."""
_ENOUGH: Final = 8
"""Number of ids that are all whole numbers after which all others must be."""
_FILL_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "binance": ("c", "clientOrderId"),
    "binanceus": ("c", "clientOrderId"),
}
"""Field of the client id in an exchange's raw execution; the usual names are below."""
_USUAL_FILL_IDS: Final = (
    "clientOrderId", "clOrdId", "orderLinkId", "clientOid", "client_order_id", "client_oid",
    "cl_ord_id", "text",
)  # fmt: skip
_MOST_FEE: Final = 0.05
"""Largest fee as a share of the notional; the core bounds fees of all venues alike."""
_FEE_ROUNDED: Final = 1e-8
_FEE_KEYS: Final = ("commission", "n", "execFee", "fee")
"""Fields of the fee in raw executions of Binance, Bybit, OKX and Kraken."""
_SIDES: Final = ("buy", "sell")


class Ids:
    """Conversion of client ids to an exchange's alphabet and back."""

    def __init__(self, exchange: str) -> None:
        self._dash = _DASH_BECOMES.get(exchange, "-")
        self._prefix = _PREFIX.get(exchange, "")

    def there(self, client_id: str) -> str:
        """Return the client id in the exchange's alphabet."""
        return self._prefix + client_id.replace("-", self._dash)

    def back(self, text: Any) -> str:
        """Return the client id for an id at the exchange; ids of others are unchanged."""
        own_part = str(text or "").removeprefix(self._prefix)
        return own_part.replace(self._dash, "-") if self._dash != "-" else own_part


class IdReader:
    """Parses ids of one kind: if a venue's ids are whole numbers, any other text is invalid.

    For most venues this is inferred from the first ids.
    """

    def __init__(self, numbered: bool) -> None:
        self._numbered, self._mixed, self._seen = numbered, False, 0

    def read(self, value: Any, name: str) -> str:
        """Return an id.

        Raises
        ------
        Unreadable
            If it is invalid, or unlike all others of the venue.
        """
        text = read_id(value, name)
        if not text.isdecimal():
            if self._numbered:
                raise Unreadable(name, value, "a whole number, as every id of this venue is")
            self._mixed = True
        elif not self._mixed:
            self._seen += 1
            self._numbered = self._numbered or self._seen >= _ENOUGH
        return text


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as it is sent: decimal texts, already rounded."""

    type: str
    quantity: str
    price: str | None
    trigger: str | None
    params: Mapping[str, Any]


def place(client: Any, symbol: str, order: m.Submit, client_id: str) -> Placed | str:
    """Round an order in the safe direction; a text states why it cannot be sent.

    A limit is never worse than requested. A trigger of a reduction acts earlier rather than later,
    that of an entry later rather than earlier.
    """
    if too_long := length_fault(client.id, client_id):
        return too_long
    market = client.markets[symbol]
    quantity = round_quantity(order.quantity, lot_of(client, market))
    if quantity <= 0:
        return f"{order.quantity!r} is less than one lot of {symbol}"
    buy = order.side == "buy"
    params: dict[str, Any] = {id_parameter(client.id): client_id}
    price = trigger = None
    if order.limit_price is not None:
        tick = price_step(client, market, order.limit_price)
        price = round_price(order.limit_price, tick, up=not buy)
    if order.trigger_price is not None:
        tick = price_step(client, market, order.trigger_price)
        trigger = round_price(order.trigger_price, tick, up=buy != order.reduces)
        params["stopLossPrice"] = plain(trigger)  # entries too: Kraken reads no triggerPrice
    if any(each is not None and each <= 0 for each in (price, trigger)):
        return "a price is not above zero once it is rounded"
    fault = _rounds_again(client, symbol, quantity, price, trigger)
    if fault:
        return fault
    return Placed(
        "limit" if order.order_type in ("limit", "stop_limit") else "market",
        plain(quantity),
        None if price is None else plain(price),
        None if trigger is None else plain(trigger),
        params,
    )


def _rounds_again(
    client: Any, symbol: str, quantity: Decimal, price: Decimal | None, trigger: Decimal | None
) -> str:
    """Return what ccxt would change silently before sending."""
    precision = client.markets[symbol].get("precision") or {}
    if (
        precision.get("amount") is not None
        and Decimal(client.amount_to_precision(symbol, plain(quantity))) != quantity
    ):
        return f"ccxt would round the quantity {plain(quantity)} of {symbol} again"
    for value in (price, trigger) if precision.get("price") is not None else ():
        if value is not None and Decimal(client.price_to_precision(symbol, plain(value))) != value:
            return f"ccxt would round the price {plain(value)} of {symbol} again"
    return ""


def order_types(client: Any, symbols: Sequence[str]) -> frozenset[str]:
    """Return the order types that every symbol accepts as ordinary orders.

    At other exchanges stops are separate objects (algo orders), which are not supported: there the
    engine holds the stop.
    """
    types = {"market", "limit"}
    if client.id in ("binance", "binanceus"):
        types_of_symbols = [
            set(client.markets[symbol]["info"].get("orderTypes") or ()) for symbol in symbols
        ]
        if types_of_symbols and all("STOP_LOSS" in each for each in types_of_symbols):
            types.add("stop")
        if types_of_symbols and all("STOP_LOSS_LIMIT" in each for each in types_of_symbols):
            types.add("stop_limit")
    elif client.id == "kraken":
        types |= {"stop", "stop_limit"}
    return frozenset(types)


class Translator:
    """Converts ccxt's orders and trades to events; stores the symbol and owner of each order."""

    def __init__(self, client: Any, venue: str, symbols: Sequence[str], clock: Clock) -> None:
        self.ids = Ids(client.id)
        self.symbols = tuple(symbols)
        self.numbers = {symbol: number for number, symbol in enumerate(symbols)}
        self._client, self._venue, self._clock = client, venue, clock
        self._spot: dict[str, int] = {}
        for symbol in symbols:
            self.take_up(symbol)
        currencies = (
            code for each in client.markets.values() for code in (each["base"], each["quote"])
        )
        self._currencies = {*(client.currencies or ()), *currencies}
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._fill_ids = _FILL_IDS.get(client.id, _USUAL_FILL_IDS)
        numbered = client.id in _NUMBERED
        self._order_ids, self._trade_ids = IdReader(numbered), IdReader(numbered)

    def take_up(self, symbol: str) -> None:
        """Store the exchange's own name of a symbol, if it is listed."""
        if symbol in self._client.markets:
            self._spot[str(self._client.markets[symbol]["id"])] = self.numbers[symbol]

    def symbol(self, number: int) -> str:
        """Return the symbol of the universe by its number."""
        return self.symbols[number]

    def know(self, currencies: Iterable[str]) -> None:
        """Add currencies of the account: fees may be paid in them."""
        self._currencies.update(currencies)

    def remember(self, venue_order_id: str, client_id: str) -> None:
        """Store the client id of an order: executions often contain only the venue's id."""
        if venue_order_id and client_id:
            self._owners[venue_order_id] = client_id
            if len(self._owners) > _REMEMBERED:
                self._owners.popitem(last=False)

    def order(self, order: Mapping[str, Any], by: Any = "stream") -> m.OrderSeen | None:
        """Return an order as the venue reports it; None if it is not on the run's symbols.

        Raises
        ------
        Unreadable
            If one of its values is impossible.
        """
        number = self._number(order)
        if number is None or order.get("side") is None:
            return None
        side, state = read_choice(order["side"], "side", _SIDES), state_of(order)
        amount, filled = amounts_of(order)
        venue_id = self._order_ids.read(order["id"], "order id") if order.get("id") else ""
        client_id = self.ids.back(_own_id(order)) or self._owners.get(venue_id, "")
        self.remember(venue_id, client_id)
        return m.OrderSeen(
            at_ns=self._clock.now_ns(), client_id=client_id, venue_order_id=venue_id,
            symbol=number, side=side, state=state,  # type: ignore[arg-type]
            quantity=amount or 0.0, filled=filled, price=_price(order, "price"),
            average_price=_price(order, "average"), by=by,
            trigger_price=trigger_of(order), order_type=order_type_of(self._client.id, order),
        )  # fmt: skip

    def cancel_fault(self, answer: Mapping[str, Any], order: m.Cancel) -> str:
        """Return why the answer to a cancel does not describe the order, or "".

        An answer that names another order is not stored: its executions would be booked for this
        run.
        """
        if answer.get("status") is None:
            return "the answer does not state what became of the order"
        own_id, venue_id = self.ids.back(_own_id(answer)), str(answer.get("id") or "")
        if own_id and own_id != order.client_id and not order.by_venue_id:
            return f"the answer is about {own_id}"
        if venue_id and order.venue_order_id not in ("", venue_id):
            return f"the answer is about order {venue_id}, and ours is {order.venue_order_id}"
        if answer.get("symbol") is not None and self._number(answer) != order.symbol:
            return f"the answer is about {answer['symbol']}"
        return ""

    def number_of(self, item: Any) -> int:
        """Return the number of the symbol of an unreadable message, or -1."""
        symbol = item.get("symbol") if isinstance(item, Mapping) else None
        return self.numbers.get(symbol, -1) if isinstance(symbol, str) else -1

    def _number(self, order: Mapping[str, Any]) -> int | None:
        """Return the number of an order's symbol.

        If a contract has the same name as a spot market, the client may confuse them, although the
        exchange reports the kind.
        """
        number, info = self.numbers.get(str(order.get("symbol"))), order.get("info")
        if number is None and isinstance(info, Mapping) and info.get("category") == "spot":
            return self._spot.get(str(info.get("symbol")))
        return number

    def acked(self, order: Mapping[str, Any], client_id: str) -> m.Acked:
        """Return the acceptance of an order whose answer was checked.

        Raises
        ------
        Unreadable
            If one of its values is impossible.
        """
        state, (amount, filled) = state_of(order), amounts_of(order)
        price, venue_id = _price(order, "price"), self._order_ids.read(order["id"], "order id")
        self.remember(venue_id, client_id)
        return m.Acked(
            at_ns=self._clock.now_ns(), client_id=client_id, venue_order_id=venue_id,
            state=state, side=order["side"], quantity=amount, price=price, filled=filled,
            trigger_price=trigger_of(order), order_type=order_type_of(self._client.id, order),
        )  # fmt: skip

    def fill(
        self, trade: Mapping[str, Any], client_id: str = "", *, listed: bool = False
    ) -> m.Filled | None:
        """Return an execution; None if it is not on the run's symbols.

        Raises
        ------
        Unreadable
            If one of its values is impossible, or it has no trade id.
        """
        number = self.numbers.get(str(trade.get("symbol")))
        if number is None:
            return None
        trade_id, now = self._trade_ids.read(trade.get("id"), "trade id"), self._clock.now_ns()
        quantity = read_quantity(trade.get("amount"), "quantity")
        price = read_price(trade.get("price"), "price")
        if not quantity:
            raise Unreadable("quantity", quantity, "an execution of something")
        side = read_choice(trade.get("side"), "side", _SIDES)
        stamp = trade.get("timestamp")
        venue_ns = now if stamp is None else read_stamp_ns(stamp, "time", now)
        maker = trade.get("takerOrMaker") == "maker"
        fee, currency, unread = self._fee(trade, number, quantity, price)
        if unread:
            fee, currency = self._listed_fee(number, side == "buy", maker, quantity, price)
        venue_id = self._order_ids.read(trade["order"], "order id") if trade.get("order") else ""
        client_id = client_id or self._owner(trade, venue_id)
        self.remember(venue_id, client_id)
        return m.Filled(
            at_ns=now, venue=self._venue, symbol=number, trade_id=trade_id,
            client_id=client_id, venue_order_id=venue_id, venue_ns=venue_ns,
            market_ns=self._market_ns(venue_ns), side=side,  # type: ignore[arg-type]
            quantity=quantity, price=price, fee=fee, fee_currency=currency,
            maker=maker, listed=listed, fee_unread=unread,
            cumulative=None if listed else cumulative_of(trade),
        )  # fmt: skip

    def _listed_fee(
        self, number: int, buys: bool, maker: bool, quantity: float, price: float
    ) -> tuple[float, str]:
        """Return the fee of a fill by the venue's schedule, in the received currency."""
        market = self._client.markets.get(self.symbols[number]) or {}
        try:
            rate = read_number(market.get("maker" if maker else "taker"), "rate", 0.0, _MOST_FEE)
        except Unreadable:
            return 0.0, ""
        base, quote = self.base_and_quote(number)
        return (rate * quantity, base) if buys else (rate * quantity * price, quote)

    def _fee(
        self, trade: Mapping[str, Any], number: int, quantity: float, price: float
    ) -> tuple[float, str, str]:
        """Return the fee of a fill and its currency: `fee`, else the first of `fees`.

        The third value states why it cannot be read: an unreadable fee does not discard the
        execution.
        """
        try:
            fee = trade.get("fee")
            if not (isinstance(fee, Mapping) and fee.get("cost") is not None):
                fees = (each for each in trade.get("fees") or () if each.get("cost"))
                fee = next(fees, fee)
            amount, currency = (fee.get("cost"), fee.get("currency")) if fee else (None, None)
            if amount is None and not currency:
                amount = _raw_fee(trade)  # the client omits values that are not numbers
            if amount is None and not currency:
                return 0.0, "", ""
            cost = read_number(amount, "fee")
            if (cost or currency) and currency not in self._currencies:
                raise Unreadable("currency of the fee", currency, "a currency of the venue")
            base, quote = self.base_and_quote(number)
            most = {base: quantity, quote: quantity * price}.get(str(currency), math.inf)
            if abs(cost) > _MOST_FEE * most + _FEE_ROUNDED:
                raise Unreadable("fee", cost, f"at most {100 * _MOST_FEE:g} % of what was traded")
        except UNUSUAL as error:
            return 0.0, "", str(error)
        return cost, str(currency or quote), ""  # a stated fee of zero has a currency

    def _market_ns(self, venue_ns: int) -> int:
        """Return the market time of a wall time; the same unless time is accelerated."""
        speed = self._clock.speed
        if speed == 1.0:
            return venue_ns
        return self._clock.market_ns() - round((self._clock.now_ns() - venue_ns) * speed)

    def _owner(self, trade: Mapping[str, Any], venue_id: str) -> str:
        client_id = trade.get("clientOrderId")
        info = trade.get("info")
        if not client_id and isinstance(info, Mapping):
            client_id = next((info[key] for key in self._fill_ids if info.get(key)), "")
        return self.ids.back(client_id) or self._owners.get(venue_id, "")

    def base_and_quote(self, number: int) -> tuple[str, str]:
        """Return the currencies of a symbol; for one that is not listed, those of its name."""
        market = self._client.markets.get(self.symbols[number])
        if market is None:
            base, _, quote = self.symbols[number].partition("/")
            return base, quote.partition(":")[0]
        return str(market["base"]), str(market["quote"])


def _own_id(order: Mapping[str, Any]) -> Any:
    """Return the id an order was sent with.

    In the answer to a cancel the first id is the cancel's own. Kraken's stream also contains the
    number of a group of orders (0 for none), which ccxt reads as the id.
    """
    info, named = order.get("info"), order.get("clientOrderId")
    if not isinstance(info, Mapping):
        return named
    groups = [str(info[key]) for key in ("userref", "order_userref") if info.get(key) is not None]
    own_id = info.get("origClientOrderId") or info.get("cl_ord_id")
    return own_id or ("" if named is not None and str(named) in groups else named)


def _raw_fee(trade: Mapping[str, Any]) -> Any:
    """Return the fee that the exchange itself reported; None if there is none."""
    info = trade.get("info")
    named = [info.get(key) for key in _FEE_KEYS] if isinstance(info, Mapping) else []
    return next((each for each in named if each not in (None, "")), None)


def _price(order: Mapping[str, Any], name: str) -> float | None:
    """Return a price of an order; exchanges send zero for none."""
    return read_price(order[name], name) if order.get(name) else None
