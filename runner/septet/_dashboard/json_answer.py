"""Answers in JSON, whatever text is in them: a folder may have a name that is no Unicode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from septet._text import unicode_text

__all__ = ["JsonAnswer"]


class JsonAnswer(JSONResponse):
    """An answer in JSON; what is no Unicode stands in it as an escape, such as that of a byte."""

    def render(self, content: Any) -> bytes:
        """Write a document."""
        return super().render(_writable(content))


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return unicode_text(value)
    if isinstance(value, Mapping):
        return {_writable(key): _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    return value
