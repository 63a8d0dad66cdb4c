"""Hooks that receive every message of a ccxt.pro client, in order, without loss between two awaits.

`watch_*` only signals that something was received: messages received in between are overwritten. So
the hooks are placed where each message passes: `handle_message` of the exchange and of each socket,
`append` of the caches that its parsers fill, and `resolve`. An unreadable message would end ccxt's
receive loop while the socket stays open; here it closes the socket. A burst is processed a few
messages at a time (`socket_pace`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from septet.plugin.live import Tasks
from septet_plugins.exchange.answer_size import check_message
from septet_plugins.exchange.requests import Gate, check_host
from septet_plugins.exchange.socket_pace import Pace
from septet_plugins.exchange.unusual_messages import UNUSUAL

__all__ = ["Tap", "tapped"]

Raw = Callable[[Any, Any], bool]
Resolved = Callable[[Any, Any, str], None]
Lost = Callable[[Any, str], None]

_CLOSE_S: Final = 3.0


def tapped(kind: type[Any], size: int, take: Callable[[Any], None]) -> Any:
    """Return a cache of ccxt's own class that forwards each item when it is stored."""

    class Tapped(kind):  # type: ignore[misc]
        def append(self, item: Any) -> None:
            super().append(item)
            take(item)

    return Tapped(size)


class Tap:
    """The hooks on one client.

    `raw(ws, message)` sees each decoded message before ccxt's parsers and withholds it from them by
    returning True; `resolved(ws, result, hash)` receives each result; `lost(ws, reason)` the end of
    a socket, once, for any cause. Connections are opened to `hosts` only. A well-formed but
    unreadable message is passed to `skip`, which decides whether it is skipped. `tasks` owns
    background tasks. No connection is opened during a ban that `gate` knows of.
    """

    def __init__(
        self,
        exchange: Any,
        *,
        raw: Raw,
        resolved: Resolved,
        lost: Lost,
        hosts: frozenset[str] | None = None,
        skip: Callable[[Exception], bool] = lambda error: False,
        tasks: Tasks | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._gate = gate
        self._exchange, self._hosts, self._skip = exchange, hosts, skip
        self._tasks = tasks or Tasks("tap")
        self._raw, self._resolved, self._lost = raw, resolved, lost
        self._make, self._handle = exchange.client, exchange.handle_message
        self._gone: WeakSet[Any] = WeakSet()
        self._paces: dict[Any, Pace] = {}
        self._closing: set[asyncio.Future[None]] = set()
        exchange.client, exchange.handle_message = self._client, self._message

    def _client(self, url: str) -> Any:
        clients = self._exchange.clients or {}
        if url in clients:
            return clients[url]
        check_host(url, self._hosts)
        if self._gate is not None:
            self._gate.check_dial()
        ws = self._make(url)
        self._hook(ws)
        return ws

    def _message(self, ws: Any, message: Any) -> None:
        try:
            if not self._raw(ws, message):
                self._handle(ws, message)
        except Exception as error:  # an error with another meaning than unreadable is raised
            if not _is_unreadable(error) or not self._skip(error):
                raise

    def _hook(self, ws: Any) -> None:
        handle, receive = ws.handle_message, ws.receive
        resolve, reject = ws.resolve, ws.reject

        def taking(message: Any) -> None:
            try:
                check_message(ws, getattr(message, "data", None))
                handle(message)
            except Exception as error:  # the reason names it; the socket is closed
                self.drop(ws, f"a message could not be read ({type(error).__name__}: {error})")

        def resolving(result: Any, message_hash: Any = None) -> Any:
            self._resolved(ws, result, str(message_hash))
            return resolve(result, message_hash)

        def rejecting(result: Any, message_hash: Any = None) -> Any:
            for future in list(ws.futures.values()):
                future.add_done_callback(_seen)  # not all of them are awaited
            value = reject(result, message_hash)
            if message_hash is None:
                self.drop(ws, str(result))
            return value

        self._paces[ws] = pace = Pace(taking, self._tasks)
        ws.handle_message, ws.receive = pace.put, partial(pace.reading, receive)
        ws.resolve, ws.reject = resolving, rejecting

    def drop(self, ws: Any, reason: str) -> None:
        """Close a socket, so that the next `watch_*` opens a new one and subscribes again."""
        from ccxt import NetworkError

        if ws in self._gone:
            return
        self._gone.add(ws)
        if ws in self._paces:
            self._paces.pop(ws).flush()
        if self._exchange.clients.get(ws.url) is ws:
            del self._exchange.clients[ws.url]
        ws.error = ws.error or NetworkError(reason)
        ws.reject(ws.error)
        closing = self._tasks.once("close a socket", _close(ws), failed=_nothing)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._lost(ws, reason)

    def drop_all(self, reason: str) -> None:
        """Close every socket of the client."""
        for ws in list((self._exchange.clients or {}).values()):
            self.drop(ws, reason)

    async def closed(self) -> None:
        """Wait until the closing sockets are closed."""
        if self._closing:
            await asyncio.wait(self._closing)


def _nothing(text: str) -> None:
    """Do nothing: a socket that cannot be closed is already gone."""


def _is_unreadable(error: Exception) -> bool:
    """Whether an error means only that a message is invalid, or names an unknown symbol."""
    from ccxt import ArgumentsRequired, BadSymbol

    return isinstance(error, (*UNUSUAL, BadSymbol, ArgumentsRequired))


def _seen(future: Any) -> None:
    if not future.cancelled():
        future.exception()


async def _close(ws: Any) -> None:
    # It is already gone, or keeps sending and is not waited for.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(ws.aiohttp_close(), _CLOSE_S)
