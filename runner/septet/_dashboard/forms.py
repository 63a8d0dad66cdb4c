"""The fields of a request: of its address, and of a form that it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["LARGEST_FORM", "TooLarge", "asked", "form_of", "too_large"]

LARGEST_FORM: Final = 16_384


class TooLarge(Exception):
    """A form is larger than any of this page."""


def asked(request: Request, name: str) -> str:
    """Return a parameter of the address; empty if it is not there."""
    return request.query_params.get(name, "")


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last of each name.

    Raises
    ------
    TooLarge
        If it has more than `LARGEST_FORM` bytes.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise TooLarge
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[-1] for name, values in fields.items()}


async def too_large(request: Request, problem: Exception) -> Response:
    """Answer a form that is too large."""
    return PlainTextResponse(f"The form is larger than {LARGEST_FORM} bytes.\n", 413)
