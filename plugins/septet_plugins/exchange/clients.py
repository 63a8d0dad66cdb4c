"""Builds ccxt clients from the file: addresses, options, error tables, secrets."""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from septet.errors import DataError, InputError
from septet.plugin import SecretRef
from septet_plugins.exchange.sessions import guard_sessions

__all__ = [
    "ReadSecret",
    "Scrub",
    "Terms",
    "allowed_hosts",
    "check_exchange",
    "is_test",
    "make_client",
    "opened_client",
    "read_secret",
    "stream_hosts",
]

ReadSecret = Callable[[SecretRef], str]
_QUERY: Final = re.compile(r"\?[^\s\"']*")
_KEEP_ALIVE_MS: Final = 5_000
"""Interval of pings. With ccxt's default a dead connection is noticed after minutes, with this
after 10 s."""
_TABLES: Final = {"swap": "linear", "future": "linear", "delivery": "inverse", "option": "option"}
"""Error table of a host, by `defaultType`, for exchanges with a table for each host."""
_LONGEST_TEXT: Final = 400
_SHORTEST_SECRET: Final = 4
"""Minimum length of a secret that is removed: shorter ones would garble texts."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Connection terms of an exchange, without secrets."""

    exchange: str
    sandbox: bool = False
    urls: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    streaming: Mapping[str, Any] = field(default_factory=dict)
    timeout_ms: int = 10_000
    rate_limit: bool = True


class Scrub:
    """Removes secrets and query strings from texts that are shown."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        long = [each for each in secrets if len(each) >= _SHORTEST_SECRET]
        self._secrets = tuple(sorted(long, key=len, reverse=True))

    def __call__(self, what: object) -> str:
        """Return a text without secrets; an error is shown with its class."""
        text = f"{type(what).__name__}: {what}" if isinstance(what, BaseException) else str(what)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _QUERY.sub("", text)[:_LONGEST_TEXT]

    def __repr__(self) -> str:
        return "Scrub()"


def read_secret(reference: SecretRef) -> str:
    """Read a secret by its reference; a relative path is relative to the working folder."""
    try:
        if reference.scheme == "env":
            value = os.environ.get(reference.name, "")
        else:
            value = Path(reference.name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the secret {reference} cannot be read: {type(error).__name__}") from None
    if not value:
        raise InputError(f"the secret {reference} is empty or not set")
    return value


def check_exchange(name: str) -> None:
    """Reject an exchange that ccxt does not know, and any exchange if ccxt is not installed."""
    try:
        import ccxt
    except ImportError as error:
        raise InputError(
            f"the exchange {name} needs the package ccxt: {error}",
            hint="pip install 'septet[ccxt]'",
        ) from error
    if name not in ccxt.exchanges:
        close = difflib.get_close_matches(name, ccxt.exchanges, n=3)
        raise DataError(
            f"ccxt knows no exchange {name!r}",
            hint=f"did you mean {' or '.join(close)}?" if close else "see ccxt.exchanges",
        )


async def opened_client(
    terms: Terms, secrets: Mapping[str, str] | None = None, *, rate_limit: bool | None = None
) -> Any:
    """Build a client as `make_client` does, without blocking the event loop.

    The imports of the first client of a process, ccxt and the TLS context, are done in a thread.
    """
    await asyncio.to_thread(_load, terms.exchange)
    return make_client(terms, secrets, rate_limit=rate_limit)


def _load(exchange: str) -> None:
    check_exchange(exchange)
    from ccxt.async_support.base.exchange import certifi

    _tls_context(certifi.where())


def make_client(
    terms: Terms, secrets: Mapping[str, str] | None = None, *, rate_limit: bool | None = None
) -> Any:
    """Build a client, with streams if the exchange has them; it opens no connection yet.

    `secrets` are ccxt's own names (apiKey, secret, password, uid).
    """
    check_exchange(terms.exchange)
    import ccxt.async_support
    import ccxt.pro

    home = ccxt.pro if terms.exchange in ccxt.pro.exchanges else ccxt.async_support
    options = _without_retries(terms.options)
    settings: dict[str, Any] = {
        "enableRateLimit": terms.rate_limit if rate_limit is None else rate_limit,
        "timeout": terms.timeout_ms,
        "options": {**options, "maxRetriesOnFailure": 0},
        "streaming": {"keepAlive": _KEEP_ALIVE_MS, **terms.streaming},
        **(secrets or {}),
    }
    if terms.urls:
        settings["urls"] = dict(terms.urls)
    client = getattr(home, terms.exchange)(settings)
    # At DEBUG ccxt logs every request with its headers, which contain the key.
    client.logger = logging.getLogger("septet.ccxt")
    client.logger.setLevel(logging.INFO)
    client.verbose = False
    client.timeout_on_exit = 0
    if terms.sandbox:
        if not client.urls.get("test"):
            raise DataError(f"{terms.exchange} has no sandbox")
        client.set_sandbox_mode(True)
    if terms.urls:
        _merge_error_tables(client)
    if client.verify and not client.options.get("include_OS_certificates"):
        client.ssl_context = _tls_context(client.cafile)
    guard_sessions(client)
    return client


@cache
def _tls_context(authorities: str) -> ssl.SSLContext:
    """Return the context that all clients of a process share.

    Otherwise each ccxt client would read the file of certificate authorities in the thread of the
    loop, and orders would wait whenever a feed reconnects.
    """
    return ssl.create_default_context(cafile=authorities)


def _without_retries(options: Mapping[str, Any]) -> dict[str, Any]:
    """Disable ccxt's own retries: an order is sent once."""
    return {
        key: _without_retries(value) if isinstance(value, Mapping) else value
        for key, value in options.items()
        if key != "maxRetriesOnFailure"
    }


def _merge_error_tables(client: Any) -> None:
    """Apply the exchange's error tables at addresses that are not its own.

    Some exchanges have a table for each host and select it by the beginning of the address, so that
    at any other address a rejection would look like an unknown outcome.
    """
    kind = str(client.options.get("defaultType") or "spot")
    table = client.exceptions.get(_TABLES.get(kind, kind))
    if not isinstance(table, Mapping):
        return
    for part in ("exact", "broad"):
        merged = {**client.exceptions.get(part, {}), **table.get(part, {})}
        client.exceptions[part] = merged


def _hosts(urls: Any, hostname: str = "hostname") -> Iterator[str]:
    if isinstance(urls, Mapping):
        for each in urls.values():
            yield from _hosts(each, hostname)
    elif isinstance(urls, str):
        address = urls.replace("{hostname}", hostname)
        host = urlsplit(address if "//" in address else f"//{address}").hostname
        if host:
            yield host


def allowed_hosts(client: Any, terms: Terms) -> frozenset[str]:
    """Return the only hosts that requests of a client may go to.

    Without `urls` they are the exchange's own hosts in ccxt. ccxt merges `urls` into these, so that
    addresses that are not given still point at the real exchange. A client of a test network or a
    local venue must never reach it, so only the hosts in `urls` are allowed.
    """
    own_urls = [client.urls.get(name) for name in ("api", "hostnames", "ws")]
    return stream_hosts(client, terms) or frozenset(
        host for urls in own_urls for host in _hosts(urls, str(client.hostname or "hostname"))
    )


def stream_hosts(client: Any, terms: Terms) -> frozenset[str] | None:
    """Return the only hosts to which streams may connect; None for an exchange's own streams.

    Some exchanges send the address of a stream in an answer, so that it is not known in advance.
    """
    if not terms.urls or not is_test(client, terms):
        return None
    return frozenset(_hosts(terms.urls))


def is_test(client: Any, terms: Terms) -> bool:
    """Whether the account is not on the exchange's real hosts."""
    if terms.sandbox:
        return True
    real = set(_hosts(client.describe()["urls"].get("api")))
    return bool(set(_hosts(terms.urls.get("api"))) - real)
