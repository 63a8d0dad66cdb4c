"""Checks that a signed order contains its complete client id, which is needed to find it again."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal
from urllib.parse import unquote_plus, urlsplit

from pydantic_core import PydanticCustomError

__all__ = [
    "IdClass", "client_id_class", "id_notes", "id_parameter", "require_client_ids", "length_fault",
    "sent_id_fault",
]  # fmt: skip

_LONGEST: Final[Mapping[str, int]] = {
    "binance": 36, "binanceus": 36, "binanceusdm": 36, "binancecoinm": 36,
    "bybit": 36, "bybiteu": 36, "bybitid": 36, "cryptocom": 36,
    "gate": 30, "gateeu": 30, "gateio": 30,
    "kraken": 18, "kucoin": 40, "okx": 32, "okxus": 32, "myokx": 32,
}  # fmt: skip
"""Largest length of a client id; Gate's includes the prefix. Kraken does not cut ids, but rejects
longer ones."""
_PARAMETERS: Final[Mapping[str, str]] = {"coinbase": "client_order_id", "cryptocom": "client_oid"}
"""Exchanges at which ccxt silently drops `clientOrderId`: their own parameter name is used."""

IdClass = Literal["takes", "does not", "unknown"]
_TAKES: Final = frozenset((
    "alpaca", "bigone", "binance", "binancecoinm", "binanceus", "bingx", "bitget", "bitrue",
    "bitstamp", "blockchaincom", "blofin", "btcmarkets", "btse", "bybit", "bybiteu", "bybitid",
    "bydfi", "coinbase", "coinbaseexchange", "coinmate", "coinsph", "cryptocom", "cryptomus",
    "deepcoin", "foxbit", "gate", "gateeu", "hashkey", "kraken", "krakenfutures", "kucoin",
    "kucoinfutures", "latoken", "lbank", "mexc", "myokx", "okx", "okxus", "onetrading", "phemex",
    "poloniex", "tokocrypto", "toobit", "upbit", "weex", "whitebit", "woo", "xt", "zebpay",
))  # fmt: skip
"""Exchanges whose signed order contains the id where ccxt's client reads it. A test signs all."""
_WITHOUT: Final = frozenset((
    "bequant", "bit2c", "bitbank", "bitflyer", "bitopro", "bitso", "bitteam", "btcbox", "btcturk",
    "coincheck", "coinone", "coinspot", "deribit", "digifinex", "fmfwio", "hitbtc", "hollaex",
    "independentreserve", "indodax", "luno", "mercado", "mudrex", "p2b", "paymium", "zaif",
))  # fmt: skip
"""Exchanges at which ccxt sends the id as an unknown parameter, and does not read it."""


def client_id_class(exchange: str) -> IdClass:
    """Return whether an exchange takes client order ids through ccxt.

    ``unknown`` are those whose client signs an order only with a real key or after a real answer.
    """
    if exchange in _WITHOUT:
        return "does not"
    return "takes" if exchange in _TAKES else "unknown"


def id_notes(exchange: str) -> list[str]:
    """Return the finding of `check --world` for an exchange with unknown support of client ids."""
    if client_id_class(exchange) != "unknown":
        return []
    return [
        f"whether {exchange} takes client order ids is not known: an order whose request lacks its "
        "id is not sent"
    ]


def require_client_ids(exchange: str) -> str:
    """Return the id of an exchange that may accept client order ids.

    Raises
    ------
    PydanticCustomError
        It accepts none: an order whose answer is lost could not be found, and could be sent twice.
    """
    if client_id_class(exchange) != "does not":
        return exchange
    raise PydanticCustomError(
        "exchange",
        "{exchange} takes no client order id through ccxt: without one an order whose answer is "
        "lost cannot be found, and an order could be sent twice",
        {
            "exchange": exchange,
            "expected": "an exchange that takes client order ids, such as binance or kraken",
            "hint": f"name another exchange; bars of {exchange} can be read all the same: data: "
            f"{{candles: {{use: ccxt, exchange: {exchange}}}}}",
        },
    )


def id_parameter(exchange: str) -> str:
    """Return the parameter name under which ccxt passes a client id to an exchange."""
    return _PARAMETERS.get(exchange, "clientOrderId")


def length_fault(exchange: str, client_id: str) -> str:
    """Return why an exchange would reject a client id for its length, or an empty text."""
    most = _LONGEST.get(exchange)
    if most is None or len(client_id) <= most:
        return ""
    return f"the client id {client_id} has {len(client_id)} characters; {exchange} takes {most}"


def sent_id_fault(
    exchange: str, method: str, url: str, headers: Any, body: Any, client_id: str
) -> str:
    """Return why an order could not be found by its client id, or an empty text.

    Requests that a client sends before the order, and its login, need no id.
    """
    if method == "GET" or "login" in urlsplit(url).path:
        return ""
    whole_id = re.compile(rf"(?<![\w.-]){re.escape(client_id)}(?![\w.-])")
    if any(whole_id.search(text) for text in _texts(url, headers, body)):
        return ""
    return f"the request to {exchange} has no client id {client_id}"


def _texts(url: str, headers: Any, body: Any) -> Iterator[str]:
    """Yield the content of a request as plain text: some exchanges require base 64."""
    values = headers.values() if isinstance(headers, Mapping) else ()
    text = body.decode() if isinstance(body, bytes) else str(body or "")
    yield unquote_plus(url)
    for each in (text, *map(str, values)):
        yield unquote_plus(each)
        try:
            yield base64.b64decode(each, validate=True).decode()
        except (binascii.Error, ValueError):
            continue
