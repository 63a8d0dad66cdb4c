"""Checks that the body of an answer has the shape that the request asks for, before ccxt parses it.

ccxt treats a body that is not JSON (a literal NaN is enough) as a text, and a text, an empty object
or a list in the wrong place as an answer without content: an account without balances, no open
orders, no executions. Such a body must be an error, never an empty value, so that the request is
repeated. Answers of Binance are compared with the fields in its documentation; answers of other
exchanges must be an object or a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from septet.plugin.live import Unreadable

__all__ = ["check_body"]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Expected shape of a body: an object with `keys`, or a list of objects with `keys`.

    `rows` is the place of the rows: ``""`` for the body itself, the name of a field, or None for no
    rows. `columns` is the number of values of a row that is a list.
    """

    keys: tuple[str, ...] = ()
    rows: str | None = None
    columns: int = 0
    filled: bool = False


_ORDER: Final = ("symbol", "orderId", "clientOrderId", "status", "origQty", "executedQty")
_BINANCE: Final[Mapping[str, _Shape]] = {
    "account": _Shape(("asset", "free", "locked"), rows="balances"),
    "openOrders": _Shape(_ORDER, rows=""),
    "allOrders": _Shape(_ORDER, rows=""),
    "order": _Shape(_ORDER),
    "myTrades": _Shape(("symbol", "id", "orderId", "price", "qty", "time"), rows=""),
    "exchangeInfo": _Shape(("symbol", "status", "filters"), rows="symbols", filled=True),
    "time": _Shape(("serverTime",)),
    "klines": _Shape(rows="", columns=6),
    "depth": _Shape(("bids", "asks")),
}
"""Requests of the spot interface, by the last part of their address."""
_SPOT: Final = "/api/v3/"


def check_body(exchange: str, method: str, url: str, body: Any) -> None:
    """Raise `Unreadable` if a body is not JSON, or does not have the expected shape.

    Parameters
    ----------
    exchange
        Id of the exchange in ccxt.
    body
        The body as ccxt parsed it: an object, a list, or a text if it is neither.
    """
    path = urlsplit(url).path
    name = f"the answer to {method} {path}"
    if not isinstance(body, (dict, list)):
        if body or method == "GET":
            raise Unreadable(name, body, "JSON: an object or a list")
        return
    if method != "GET" or exchange != "binance" or _SPOT not in path:
        return
    shape = _BINANCE.get(path.rpartition("/")[2])
    if shape is not None:
        _check_shape(name, shape, body)


def _check_shape(name: str, shape: _Shape, body: Any) -> None:
    if shape.rows is None:
        _check_keys(name, shape.keys, body)
        return
    rows = body
    if shape.rows:
        _check_keys(name, (shape.rows,), body)
        name, rows = f"{shape.rows} in {name}", body[shape.rows]
    if not isinstance(rows, list) or (shape.filled and not rows):
        raise Unreadable(name, rows, "a list with rows" if shape.filled else "a list")
    for row in rows:
        if not shape.columns:
            _check_keys(f"a row of {name}", shape.keys, row)
        elif not isinstance(row, list) or len(row) < shape.columns:
            raise Unreadable(f"a row of {name}", row, f"a list of {shape.columns} values or more")


def _check_keys(name: str, keys: tuple[str, ...], body: Any) -> None:
    missing = [each for each in keys if not isinstance(body, dict) or each not in body]
    if missing:
        raise Unreadable(name, body, f"an object with {', '.join(keys)}")
