"""Limits the size of a venue's answers, counted as they are unpacked.

Bytes are bounded, and so are the values they hold: the client takes each of them up in Python, for
which a few megabytes of `{}` would hold up the process for minutes.

A few megabytes of gzip may unpack to gigabytes, for which the process would stand still. An answer
is read piece by piece, and given up once it is too large; the call then ends as one whose answer
cannot be read. Messages of streams are bounded by the client, but for those that an exchange packs
itself: these are unpacked here first, up to the bound.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

__all__ = ["AnswerTooLarge", "bound_answer", "bounded_adapter", "check_message"]

MOST_READ: Final = 32 << 20
"""Bytes of the answer to a question: the markets of a large exchange are a third of that."""
MOST_DONE: Final = 1 << 20
"""Bytes of the answer to a request that does something: an order, a cancel."""
MOST_MESSAGE: Final = 10 << 20
"""Bytes of a message of a stream, as ccxt bounds those that aiohttp unpacks."""
MOST_LISTED: Final = 200_000
"""Objects and lists in an answer: the markets of a large exchange are a quarter of that."""
MOST_OWN: Final = 20_000
"""Those in an answer about the account, and in a message: pages have a thousand rows at most."""
MOST_VALUES: Final = 20
"""Values for each of them, on the average."""
_PIECE: Final = 1 << 16
_ASKS: Final = ("GET", "HEAD")
_SIGNS: Final = ("key", "sign", "authorization")
_GZIP: Final = 16 + zlib.MAX_WBITS


class AnswerTooLarge(Exception):
    """The venue's answer exceeds the size limit; it was not read to its end."""


def _bound_of(method: str) -> int:
    return MOST_READ if method.upper() in _ASKS else MOST_DONE


def _check_values(body: bytes | bytearray, method: str, url: Any, headers: Any) -> None:
    """Raise `AnswerTooLarge` where the answer to a request holds more values than it can."""
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
    """Whether a request is about the account: a key is in a header, or a signature in its end."""
    return any(word in str(each).lower() for each in (*headers, url) for word in _SIGNS)


def _address(url: Any) -> str:
    return str(url).partition("?")[0]


def _too_large(method: str, url: Any, most: int) -> AnswerTooLarge:
    return AnswerTooLarge(f"the answer to {method} {_address(url)} is larger than {most >> 20} MiB")


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
        request = self._response.request_info
        _check_values(body, method, request.url, request.headers)
        return bytes(body)


def bound_answer(response: Any) -> None:
    """Limit the size of the answer to a request of aiohttp."""
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
            _check_values(body, request.method, request.url, request.headers)
            response._content = bytes(body)
            return response

    return Adapter()


def check_message(ws: Any, data: Any) -> None:
    """Raise `AnswerTooLarge` for a message of a stream that is too large, unpacked if it is packed.

    What is not packed has been bounded by the client; its values are counted here.
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
