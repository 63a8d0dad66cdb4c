"""Orders as ccxt's real clients sign them: the request is taken out before anything leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ccxt.async_support as ccxt

from septet import messages as m
from septet.plugin.live import Clock
from septet_plugins.exchange.requests import Barred, Gate, call, hook_client
from septet_plugins.execution.ccxt_answers import classify_error
from septet_plugins.execution.ccxt_orders import Placed, place
from tests.execution.helpers import WallTime

__all__ = ["INFO", "SYMBOL", "Sent", "catch", "made", "sent_by", "signed"]

SYMBOL = "BTC/USDT"
INFO = {"orderTypes": ["LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"]}
_ANSWERS = {
    "user/query-api": {
        "retCode": 0, "retMsg": "", "result": {"unified": 1, "uta": 1, "userID": "1"},
    },
    "account/info": {"retCode": 0, "retMsg": "", "result": {"unifiedMarginStatus": 5}},
    "account/mode": {"code": "200000", "data": {"selfAccountMode": "CLASSIC"}},
}  # fmt: skip
"""What two exchanges are asked before the first order."""


class Sent(Exception):
    """Carries a signed request out of the client before it leaves: method, URL, headers, body."""


def made(exchange: str, **more: str) -> Any:
    """Make a client with a key and one market; `more` are further credentials."""
    client = getattr(ccxt, exchange)(
        {"apiKey": "key", "secret": "c2VjcmV0", "password": "p", **more}
    )
    market = {
        "id": "BTCUSDT", "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "baseId": "BTC",
        "quoteId": "USDT", "type": "spot", "spot": True, "contract": False, "active": True,
        "margin": False, "swap": False, "future": False, "option": False, "linear": None,
        "inverse": None, "settle": None, "taker": 0.001, "maker": 0.001, "info": INFO,
        "precision": {"amount": 0.0001, "price": 0.01}, "limits": {"amount": {}, "price": {}},
    }  # fmt: skip
    client.timeout_on_exit = 0  # no connection is open that would have to end
    client.set_markets([market])
    return client


def catch(client: Any) -> None:
    """Let each request of a client end as `Sent`, but those whose answer comes before an order."""

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        known = next((each for path, each in _ANSWERS.items() if path in url), None)
        if method == "GET" and known is not None:
            return known
        raise Sent(method, url, headers, body)

    client.fetch = fetch


async def sent_by(client: Any, *order: Any) -> Any:
    """Return the request that `create_order` of a caught client signs."""
    try:
        await client.create_order(SYMBOL, *order)
    except Sent as sent:
        return sent.args
    finally:
        await client.close()


async def signed(
    exchange: str,
    order: m.Submit,
    there: str,
    *,
    params: Mapping[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
    traced_id: bool = True,
    clock: Clock | None = None,
) -> Any:
    """Return what ccxt signs for an order of ours, or how it was refused; nothing leaves.

    `params` replaces those of the order, `renamed` gives some of them other names. `traced_id` is
    whether the request has to carry the id `there`.
    """
    client = made(exchange)
    catch(client)
    hook_client(client, Gate(clock or WallTime()), lambda *_: None)
    placed = place(client, SYMBOL, order, there)
    assert isinstance(placed, Placed)
    chosen = dict(placed.params if params is None else params)
    for name, other in (renamed or {}).items():
        chosen[other] = chosen.pop(name)
    with call(trigger=placed.trigger or "", client_id=there if traced_id else "") as wire:
        try:
            return await sent_by(
                client, placed.type, order.side, placed.quantity, placed.price, chosen
            )
        except Barred as error:
            assert not wire.sent
            return classify_error(error, wire), str(error)
