"""HTTP downloads with an upper bound of time and size.

The timeout of a socket restarts with each byte, so that a server that sends one byte a second would
keep a download open for ever. Here a timer ends every connection of the download at its deadline.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from septet.errors import RunError

__all__ = ["read_bounded"]


class _Deadline:
    """Closes the sockets of a download at its deadline."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.is_over = False
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._open:
                each.close()
            self._open.clear()

    def connect(self, address: Any, timeout: Any = None, source_address: Any = None) -> Any:
        """Connect within the remaining time.

        Keep a second reference to the socket to close it by.
        """
        remaining_s = self.until - time.monotonic()
        if remaining_s <= 0.0:
            raise TimeoutError("the time is over")
        connected = socket.create_connection(address, remaining_s, source_address)
        with self._lock:
            self._open.append(connected.dup())
            if self.is_over:
                _shut(connected)
        return connected

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            for each in self._open:
                _shut(each)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the server closed it first
        each.shutdown(socket.SHUT_RDWR)


def _handlers(deadline: _Deadline) -> list[urllib.request.BaseHandler]:
    """Return http and https handlers whose connections the deadline can close."""

    class Plain(http.client.HTTPConnection):
        def __init__(self, *words: Any, **keys: Any) -> None:
            super().__init__(*words, **keys)
            self._create_connection = deadline.connect

    class Secure(http.client.HTTPSConnection):
        def __init__(self, *words: Any, **keys: Any) -> None:
            super().__init__(*words, **keys)
            self._create_connection = deadline.connect

    class OverPlain(urllib.request.HTTPHandler):
        def http_open(self, req: Any) -> Any:
            return self.do_open(Plain, req)

    class OverSecure(urllib.request.HTTPSHandler):
        def https_open(self, req: Any) -> Any:
            return self.do_open(Secure, req)

    return [OverPlain(), OverSecure()]


def read_bounded(
    ask: urllib.request.Request, *handlers: Any, seconds: float, most_bytes: int, name: str
) -> bytes:
    """Return the body of an answer; at most `most_bytes` + 1 bytes are read.

    `others` are further handlers of urllib; `name` is the address in messages.

    Raises
    ------
    RunError
        The download took longer than `seconds`, with redirects, headers and body.
    OSError, ValueError, http.client.HTTPException
        The download failed.
    """
    data, error = b"", None
    with _Deadline(seconds) as deadline:
        opener = urllib.request.build_opener(*handlers, *_handlers(deadline))
        try:
            with opener.open(ask, timeout=seconds) as answer:
                data = answer.read(most_bytes + 1)
        except (OSError, ValueError, http.client.HTTPException) as caught:
            error = caught
            if isinstance(caught, urllib.error.HTTPError):
                caught.close()  # its body is not used, and its socket would stay open
        is_late = deadline.is_over or time.monotonic() >= deadline.until
    if is_late and len(data) <= most_bytes:
        raise RunError(
            f"{name} did not answer whole within {seconds:g} s",
            hint="raise timeout:, or try again",
        ) from error
    if error is not None:
        raise error
    return data
