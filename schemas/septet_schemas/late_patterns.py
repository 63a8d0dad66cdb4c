"""Regular expressions that are compiled when they are first used.

Python compiles one in some tenths of a millisecond. A run imports some fifty that it has no use
for: those for mistakes, for other formats and for blocks that its file does not have.
"""

from __future__ import annotations

import re
from typing import Any, cast

__all__ = ["late_pattern"]

_METHODS = ("findall", "finditer", "fullmatch", "match", "pattern", "search", "split", "sub")


class _Late:
    """Stands for a pattern, and takes over its methods at the first use."""

    def __init__(self, text: str, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"a late pattern has no {name}; it has {', '.join(_METHODS)}")
        compiled = re.compile(self._text, self._flags)
        vars(self).update({each: getattr(compiled, each) for each in _METHODS})
        return getattr(compiled, name)


def late_pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Return what has the methods of ``re.compile(text, flags)``, compiled at the first use.

    It is no `re.Pattern`: functions of `re` and of pydantic do not take it.
    """
    return cast("re.Pattern[str]", _Late(text, int(flags)))
