"""Clients as the file describes them: which hosts, which error tables, whose account."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

import pytest

from septet.errors import DataError
from septet_plugins.exchange import clients
from septet_plugins.exchange.clients import (
    Terms,
    allowed_hosts,
    check_exchange,
    is_test,
    make_client,
    stream_hosts,
)

LOCAL = {"api": {"public": "http://127.0.0.1:1/api/v3", "private": "http://127.0.0.1:1/api/v3"}}


@pytest.mark.parametrize(
    ("terms", "test", "hosts"),
    [
        (Terms("binance"), False, None),
        (Terms("binance", sandbox=True), True, None),
        (Terms("binance", urls=LOCAL), True, {"127.0.0.1"}),
        (Terms("binance", urls={"api": {"public": "https://api.binance.com/api/v3"}}), False, None),
        (Terms("kraken", urls={"api": {"public": "https://testnet.example"}}), True,
         {"testnet.example"}),
    ],
)  # fmt: skip
def test_an_account_outside_the_exchanges_own_hosts_is_a_test(
    terms: Terms, test: bool, hosts: Any
) -> None:
    client = make_client(terms)
    assert is_test(client, terms) is test
    assert stream_hosts(client, terms) == hosts
    if hosts is not None:
        assert allowed_hosts(client, terms) == hosts


@pytest.mark.parametrize(
    ("terms", "host", "other"),
    [
        (Terms("binance"), "api.binance.com", "testnet.binance.vision"),
        (Terms("binance", sandbox=True), "testnet.binance.vision", "api.binance.com"),
        (Terms("bybit"), "api.bybit.com", "api-testnet.bybit.com"),
        (Terms("bybit", sandbox=True), "api-testnet.bybit.com", "api.bybit.com"),
        (Terms("htx"), "api.huobi.pro", "hostname"),
    ],
)
def test_requests_go_to_the_hosts_that_ccxt_names_and_to_no_others(
    terms: Terms, host: str, other: str
) -> None:
    hosts = allowed_hosts(make_client(terms), terms)
    assert host in hosts
    assert other not in hosts
    assert not {"github.com", "example.com"} & hosts


@pytest.mark.parametrize(("kind", "table"), [("spot", "spot"), ("swap", "linear")])
def test_error_codes_are_known_at_other_addresses(kind: str, table: str) -> None:
    plain = make_client(Terms("binance"))
    hosts = plain.exceptions[table]["exact"]
    own = {code: error for code, error in hosts.items() if code not in plain.exceptions["exact"]}
    assert own, "the exchange keeps a table per host"
    client = make_client(Terms("binance", urls=LOCAL, options={"defaultType": kind}))
    assert {code: client.exceptions["exact"].get(code) for code in own} == own


def test_the_clients_own_retries_are_off_wherever_they_were_on() -> None:
    options = {"maxRetriesOnFailure": 3, "order": {"maxRetriesOnFailure": 3, "x": 1}}
    client = make_client(Terms("binance", options=options))
    assert client.options["maxRetriesOnFailure"] == 0
    assert client.options["order"] == {"x": 1}
    assert client.streaming["keepAlive"] == 5_000
    assert make_client(Terms("binance", streaming={"keepAlive": 9})).streaming["keepAlive"] == 9


def test_an_exchange_that_does_not_exist() -> None:
    with pytest.raises(DataError, match="did you mean binance"):
        check_exchange("binanc")
    with pytest.raises(DataError, match="has no sandbox"):
        make_client(Terms("kraken", sandbox=True))


def test_the_first_client_reads_the_file_of_authorities_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes tens of milliseconds, for which the loop of the process would stand still."""
    made, create = list[int](), ssl.create_default_context

    def noted(*args: Any, **keys: Any) -> Any:
        made.append(threading.get_ident())
        return create(*args, **keys)

    monkeypatch.setattr(ssl, "create_default_context", noted)
    clients._tls_context.cache_clear()

    async def case() -> None:
        for _ in range(2):
            client = await clients.opened_client(Terms("binance"))
            assert client.ssl_context is clients._tls_context(client.cafile)

    asyncio.run(case())
    assert len(made) == 1
    assert made[0] != threading.get_ident()


def test_clients_that_are_opened_again_do_not_read_the_file_of_authorities_again() -> None:
    first, second = (make_client(Terms("binance")) for _ in range(2))
    context = first.ssl_context
    assert context is second.ssl_context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()
    own = make_client(Terms("binance", options={"include_OS_certificates": True}))
    assert own.ssl_context is None, "ccxt adds to it"
