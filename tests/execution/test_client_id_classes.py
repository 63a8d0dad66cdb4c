"""Whether an exchange takes a client order id, by the request that its real client signs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
import pytest
from click.testing import CliRunner

from septet.cli import cli
from septet.errors import ConfigError
from septet_plugins.exchange.client_ids import (
    _texts,
    client_id_class,
    id_notes,
    id_parameter,
    sent_id_fault,
)
from septet_plugins.exchange.exchange_ids import known_exchange
from septet_plugins.execution.ccxt_orders import Ids
from septet_plugins.execution.venues import Ccxt
from tests.execution.signed_orders import SYMBOL, catch, made, sent_by
from tests.live.test_core import STRATEGIES

OWN = "a1b2c3d4zz-1"
CREDENTIALS = {
    "uid": "1", "login": "l", "token": "t", "accountId": "1",
    "walletAddress": "0x" + "1" * 40, "privateKey": "0x" + "2" * 64,
}  # fmt: skip


async def _request(exchange: str, name: str, there: str) -> Any:
    """Return the signed order with the id under a name; None where no order was signed."""
    client = made(exchange, **CREDENTIALS)
    catch(client)
    try:
        found = await sent_by(client, "limit", "buy", 1.0, 100.5, {name: there})
    except Exception:  # a key of another form, an answer that it needs first: it signs none here
        return None
    method, url = found[:2]
    return found if method != "GET" or "order" in url or "/buy" in url else None


def _has(exchange: str, request: Any, there: str) -> bool:
    _, url, headers, body = request
    return sent_id_fault(exchange, "POST", url, headers, body, there) == ""


def _reads(exchange: str, name: str) -> bool:
    """Whether the client finds the id in an order that has it under the name it was sent with."""
    client = made(exchange)
    try:
        order = client.parse_order({name: OWN, "id": "1", "symbol": SYMBOL}, client.market(SYMBOL))
    except Exception:
        return False
    return bool(order["clientOrderId"] == OWN)


def _signed_class(exchange: str) -> str:
    """Class of an exchange: an id that any other field could be is not one that it takes.

    A client that passes on what it does not know sends the id as it sends a word without meaning.
    Then it counts only if it is read from an order under that name.
    """
    name, there = id_parameter(exchange), Ids(exchange).there(OWN)
    request = asyncio.run(_request(exchange, name, there))
    if request is None:
        return "unknown"
    if not _has(exchange, request, there):
        return "does not"
    odd = asyncio.run(_request(exchange, "septetOdd", there))
    if odd is None or not _has(exchange, odd, there):
        return "takes"
    if _named(request, name):
        return "takes" if _reads(exchange, name) else "does not"
    return "takes"


def _named(request: Any, name: str) -> bool:
    """Whether a request has a field of the name, in plain text or in base 64."""
    _, url, headers, body = request
    return any(name in text for text in _texts(url, headers, body))


@pytest.mark.parametrize("exchange", ccxt.exchanges)
def test_the_guard_classifies_an_exchange_as_its_client_signs(exchange: str) -> None:
    assert client_id_class(exchange) == _signed_class(exchange)


def test_an_exchange_without_client_ids_is_refused_before_anything_runs() -> None:
    assert known_exchange("coinone") == "coinone"  # its bars may be read
    with pytest.raises(ValueError, match="coinone takes no client order id") as caught:
        Ccxt(exchange="coinone")
    assert "an order could be sent twice" in str(caught.value)
    assert Ccxt(exchange="binance").exchange == "binance"


def test_check_states_where_it_is_not_known() -> None:
    assert id_notes("binance") == []
    [note] = id_notes("bitfinex")
    assert note.startswith("whether bitfinex takes client order ids is not known")


def test_check_names_the_place_of_an_exchange_without_client_ids(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    text = (STRATEGIES / "demo.yaml").read_text(encoding="utf-8")
    assert "venues:" not in text
    added = "execution:\n  venues: {main: {use: ccxt, exchange: coinone}}\n"
    file.write_text(re.sub(r"(?m)^execution:\n", added, text), encoding="utf-8")
    done = CliRunner().invoke(cli, ["check", str(file), "--unchecked"])
    assert isinstance(done.exception, ConfigError), done.output
    [problem] = [each for each in done.exception.problems if "coinone" in each.message]
    assert problem.key == "execution.venues.main.exchange"
    assert problem.line > 0
    assert "name another exchange" in problem.hint
