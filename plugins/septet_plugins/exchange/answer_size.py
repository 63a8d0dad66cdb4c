"""Limits the size of a venue's answers, counted while they are unpacked.

Both the bytes and the number of values are bounded: the client converts each value in Python, so
that a few megabytes of `{}` would block the process for minutes.

A few megabytes of gzip may unpack to gigabytes, which would block it as well. An answer is read in
pieces, and discarded once it is too large; the call then ends like one with an unreadable answer.
The client bounds messages of streams, except those that an exchange compresses itself: these are
unpacked here, up to the bound.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

__all__ = ["AnswerTooLarge", "bound_answer", "bounded_adapter", "check_message"]

MOST_READ: Final = 32 << 20
"""Bytes of the answer to a read request: the markets of a large exchange are a third of that."""
MOST_DONE: Final = 1 << 20
"""Bytes of the answer to a request that changes something: an order, a cancel."""
MOST_MESSAGE: Final = 10 << 20
"""Bytes of a message of a stream; ccxt sets the same bound for those that aiohttp unpacks."""
MOST_LISTED: Final = 200_000
"""Objects and lists in an answer: the markets of a large exchange are a quarter of that."""
MOST_OWN: Final = 20_000
"""The same in an answer about the account, and in a message: pages have at most a thousand rows."""
MOST_VALUES: Final = 20
"""Mean number of values in each of them."""
_PIECE: Final = 1 << 16
_ASKS: Final = ("GET", "HEAD")
_SIGNS: Final = ("key", "sign", "authorization")
_GZIP: Final = 16 + zlib.MAX_WBITS


class AnswerTooLarge(Exception):
    """The venue's answer exceeds the size limit; it was not read to the end."""


def _bound_of(method: str) -> int:
    return MOST_READ if method.upper() in _ASKS else MOST_DONE


def _check_values(body: bytes | bytearray, method: str, url: Any, headers: Any) -> None:
    """Raise `AnswerTooLarge` if the answer to a request contains too many values."""
    most = MOST_OWN if method.upper() not in _ASKS or _is_signed(url, headers) else MOST_LISTED
    _count(body, most, f"the answer to {method} {_address(url)}")


def _count(body: bytes | bytearray, most: int, what: str) -> None:
    if len(body) <= most:
        return
    if body.count(b"{") + body.count(b"[") > most:
        raise AnswerTooLarge(f"{what} holds more than {most:,} objects and lists")
    if body.count(b",") > MOST_VALUES * most:
        raise AnswerTooLarge(f"{what} holds more than {MOST_VALUES * most:,} values")


def _is_signed(url: Any, headers: Any) -> bool:
    """Whether a request is about the account: it has a key in a header, or is signed at its end."""
    return any(word in str(each).lower() for each in (*headers, url) for word in _SIGNS)


def _address(url: Any) -> str:
    return str(url).partition("?")[0]


def _too_large(method: str, url: Any, most: int) -> AnswerTooLarge:
    return AnswerTooLarge(f"the answer to {method} {_address(url)} is larger than {most >> 20} MiB")


class _Bounded:
    """Body of an aiohttp answer, read only up to its bound."""

    def __init__(self, response: Any) -> None:
        self._content, self._response = response.content, response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, size: int = -1) -> bytes:
        """Read the whole body in pieces: read at once it would be unpacked before it is counted."""
        method, body = self._response.method, bytearray()
        most = _bound_of(method)
        async for piece in self._content.iter_any():
            body += piece
            if len(body) > most:
                raise _too_large(method, self._response.url, most)
        request = self._response.request_info
        _check_values(body, method, request.url, request.headers)
        return bytes(body)


def bound_answer(response: Any) -> None:
    """Limit the size of the answer to an aiohttp request."""
    response.content = _Bounded(response)


def bounded_adapter() -> Any:
    """Return a `requests` adapter that reads answers only up to their bound."""
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
            _check_values(body, request.method, request.url, request.headers)
            response._content = bytes(body)
            return response

    return Adapter()


def check_message(ws: Any, data: Any) -> None:
    """Raise `AnswerTooLarge` for a message of a stream that is too large after unpacking.

    The client has bounded uncompressed messages; only their values are counted here.
    """
    if isinstance(data, str):
        if len(data) > MOST_OWN:
            _count(data.encode("utf-8", "replace"), MOST_OWN, "a message")
    elif isinstance(data, bytes):
        packed = ws.gunzip or ws.inflate
        _count(_unpacked(ws, data) if packed else data, MOST_OWN, "a message")


def _unpacked(ws: Any, data: bytes) -> bytes:
    unpack = zlib.decompressobj(_GZIP if ws.gunzip else -zlib.MAX_WBITS)
    body, compressed = bytearray(), data
    while compressed:
        body += unpack.decompress(compressed, _PIECE)
        if len(body) > MOST_MESSAGE:
            raise AnswerTooLarge(f"a message is larger than {MOST_MESSAGE >> 20} MiB unpacked")
        compressed = unpack.unconsumed_tail
    return bytes(body)
