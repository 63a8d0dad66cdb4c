"""No answer of a venue is larger than it can be: what is over is not read, whatever it unpacks to.

A few megabytes of gzip may unpack to gigabytes, for which the process would stand still. An answer
is read piece by piece, and given up once it is too large; the call then ends as one whose answer
cannot be read. Messages of streams are bounded by the client, but for those that an exchange packs
itself: these are unpacked here first, up to the bound.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

__all__ = ["AnswerTooLarge", "bound_answer", "bounded_adapter", "check_packed"]

MOST_READ: Final = 32 << 20
"""Bytes of the answer to a question: the markets of a large exchange are a third of that."""
MOST_DONE: Final = 1 << 20
"""Bytes of the answer to a request that does something: an order, a cancel."""
MOST_MESSAGE: Final = 10 << 20
"""Bytes of a message of a stream, as ccxt bounds those that aiohttp unpacks."""
_PIECE: Final = 1 << 16
_GZIP: Final = 16 + zlib.MAX_WBITS


class AnswerTooLarge(Exception):
    """The venue answered with more than an answer can be; it was not read to its end."""


def _bound_of(method: str) -> int:
    return MOST_READ if method.upper() in ("GET", "HEAD") else MOST_DONE


def _too_large(method: str, url: Any, most: int) -> AnswerTooLarge:
    address = str(url).partition("?")[0]
    return AnswerTooLarge(f"the answer to {method} {address} is larger than {most >> 20} MiB")


class _Bounded:
    """The body of an answer of aiohttp, of which no more than its bound is read."""

    def __init__(self, response: Any) -> None:
        self._content, self._response = response.content, response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, size: int = -1) -> bytes:
        """Read the whole body piece by piece: at once it would be unpacked before it is counted."""
        method, body = self._response.method, bytearray()
        most = _bound_of(method)
        async for piece in self._content.iter_any():
            body += piece
            if len(body) > most:
                raise _too_large(method, self._response.url, most)
        return bytes(body)


def bound_answer(response: Any) -> None:
    """Let the answer to a request of aiohttp be read up to its bound only."""
    response.content = _Bounded(response)


def bounded_adapter() -> Any:
    """Return an adapter of requests whose answers are read up to their bound only."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def send(self, request: Any, *args: Any, **keys: Any) -> Any:
            response = super().send(request, *args, **keys)
            most, body = _bound_of(request.method), bytearray()
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > most:
                    response.close()
                    raise _too_large(request.method, request.url, most)
            response._content = bytes(body)
            return response

    return Adapter()


def check_packed(ws: Any, data: Any) -> None:
    """Raise `AnswerTooLarge` for a packed message of a stream that is too large unpacked."""
    if not isinstance(data, bytes) or not (ws.gunzip or ws.inflate):
        return
    unpack = zlib.decompressobj(_GZIP if ws.gunzip else -zlib.MAX_WBITS)
    size, left = 0, data
    while left:
        size += len(unpack.decompress(left, _PIECE))
        if size > MOST_MESSAGE:
            raise AnswerTooLarge(f"a message is larger than {MOST_MESSAGE >> 20} MiB unpacked")
        left = unpack.unconsumed_tail
