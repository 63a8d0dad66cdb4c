"""Connections: how many are open, and how long one may take to ask and to read its answer."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from septet._host.background_tasks import Tasks, Timer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

__all__ = ["Connections", "ListeningSocket", "Protocol", "max_connections"]

_HEADERS_S: Final = 10.0
"""From the connection, or from the last answer, to the last byte of the headers."""
_READ_S: Final = 30.0
"""How long an answer may wait for a client that does not read it."""
_MAX_CONNECTIONS: Final = 512

_Key = tuple[str, int]


def max_connections() -> int:
    """Return how many connections may be open: half of the files that the process may open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        _MAX_CONNECTIONS
        if files == resource.RLIM_INFINITY
        else max(16, min(_MAX_CONNECTIONS, files // 2))
    )


class Connections:
    """The open connections, the oldest first.

    When there are too many, the oldest that answers no visitor is closed: a program that opens
    connections and asks nothing closes its own. Used by the event loop only.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[_Key, socket.socket] = {}
        self._held: Counter[_Key] = Counter()

    def add(self, key: _Key, connection: socket.socket) -> None:
        """Count a connection, and close another one if there are too many."""
        self._open.pop(key, None)
        self._open[key] = connection
        if len(self._open) <= self.most:
            return
        # A connection whose handshake did not end has nobody who reports that it was closed.
        self._open = {key: each for key, each in self._open.items() if each.fileno() >= 0}
        for each in list(self._open):
            if len(self._open) <= self.most:
                return
            if not self._held[each]:
                self._close(each)
        if len(self._open) > self.most:
            self._close(key)

    def _close(self, key: _Key) -> None:
        """Close a connection in both directions: the loop sees its end and lets it go."""
        with contextlib.suppress(OSError):  # its other end has closed it already
            self._open.pop(key).shutdown(socket.SHUT_RDWR)

    def remove(self, key: _Key | None) -> None:
        """Count a connection that has ended no more."""
        if key is not None:
            self._open.pop(key, None)

    @contextlib.contextmanager
    def held(self, key: _Key | None) -> Iterator[None]:
        """Keep a connection while it answers a visitor."""
        if key is None:
            yield
            return
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)


class ListeningSocket(socket.socket):
    """A socket that counts what it accepts; before TLS begins, so that a handshake counts too."""

    connections: Connections | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, and who is at its other end."""
        connection, address = super().accept()
        if self.connections is not None:
            self.connections.add((str(address[0]), int(address[1])), connection)
        return connection, address


class Protocol(H11Protocol):
    """HTTP of one connection: closed if headers come too slowly, or the answer is not read.

    Neither bytes that trickle in nor an answer that is being sent extend the time.
    """

    counted: Connections

    _timers = Tasks("dashboard")
    _asking: Timer | None = None
    _reading: Timer | None = None

    @staticmethod
    def of(connections: Connections) -> type[H11Protocol]:
        """Return the protocol of a server with these connections."""
        return type("CountedProtocol", (Protocol,), {"counted": connections})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the headers."""
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let everything go."""
        self._headers_came()
        self.resume_writing()
        self.counted.remove(self.client)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def handle_events(self) -> None:
        """Handle what has come; with whole headers the wait for them ends."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._headers_came()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, and for the rest of this one's body."""
        answered = self.cycle
        super().on_response_complete()
        if self.cycle is answered:
            self._wait_for_headers()

    def pause_writing(self) -> None:
        """Begin to wait until the client reads."""
        super().pause_writing()
        if self._reading is None:
            self._reading = self._timers.later("unread answer", _READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        """End to wait: the client has read."""
        if self.flow is not None:
            super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _wait_for_headers(self) -> None:
        self._headers_came()
        self._asking = self._timers.later("headers", _HEADERS_S, self.transport.abort)

    def _headers_came(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
