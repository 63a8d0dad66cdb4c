"""The fields of a request: of its address, and of a form that it brings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from septet._dashboard.json_answer import JsonAnswer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = [
    "LARGEST_FORM", "TooLarge", "TooSlow", "asked", "body_of", "form_of", "too_large", "too_slow",
]  # fmt: skip

LARGEST_FORM: Final = 16_384
_SLOWEST_S: Final = 15.0


class TooLarge(Exception):
    """A form has more bytes than `most`, or too many fields."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class TooSlow(Exception):
    """A form did not come within its time."""


def asked(request: Request, name: str) -> str:
    """Return a parameter of the address; empty if it is not there."""
    return request.query_params.get(name, "")


async def body_of(
    request: Request, most: int = LARGEST_FORM, slowest_s: float | None = None
) -> bytearray:
    """Return the body of a request.

    Raises
    ------
    TooLarge
        If it has more than `most` bytes, or declares them.
    TooSlow
        If it has not come within `slowest_s` (without it `_SLOWEST_S`), or its sender has left.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > most:  # nothing of it is waited for
        raise TooLarge(most)
    body = bytearray()
    try:
        async with asyncio.timeout(_SLOWEST_S if slowest_s is None else slowest_s):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise TooLarge(most)
    except (TimeoutError, ClientDisconnect):  # who has left reads no answer
        raise TooSlow from None
    return body


async def form_of(request: Request, most: int = LARGEST_FORM) -> dict[str, str]:
    """Return the fields of a form, the last of each name.

    Raises
    ------
    TooLarge
        If it has more than `most` bytes, or more than 20 fields.
    """
    body = await body_of(request, most)
    text = body.decode("utf-8", "replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:  # more fields than any form of this page has
        raise TooLarge(most) from None
    return {name: values[-1] for name, values in fields.items()}


async def too_large(request: Request, problem: Exception) -> Response:
    """Answer a form that is too large."""
    assert isinstance(problem, TooLarge)
    most = f"{problem.most} bytes, or has more than 20 fields"
    return _refuse(request, 413, f"The form is larger than {most}.")


async def too_slow(request: Request, problem: Exception) -> Response:
    """Answer a form that does not come: the connection ends."""
    answer = _refuse(request, 408, f"The form did not come within {_SLOWEST_S:.0f} s.")
    answer.headers["connection"] = "close"
    return answer


def _refuse(request: Request, status: int, message: str) -> Response:
    if request.url.path.startswith("/api/"):
        found = {"ok": False, "error": "Refused", "message": message, "hint": ""}
        return JsonAnswer(found, status)
    return PlainTextResponse(f"{message}\n", status)
