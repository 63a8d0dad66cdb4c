"""Regular expressions that are compiled at their first use.

Python compiles one in some tenths of a millisecond. A run imports about fifty that it does not use:
for errors, for other formats and for blocks that its file does not contain.
"""

from __future__ import annotations

import re
from typing import Any, cast

__all__ = ["late_pattern"]

_METHODS = ("findall", "finditer", "fullmatch", "match", "pattern", "search", "split", "sub")


class _Late:
    """Proxy of a pattern, which takes over the pattern's methods at the first use."""

    def __init__(self, text: str, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"a late pattern has no {name}; it has {', '.join(_METHODS)}")
        compiled = re.compile(self._text, self._flags)
        vars(self).update({each: getattr(compiled, each) for each in _METHODS})
        return getattr(compiled, name)


def late_pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Return a proxy with the methods of ``re.compile(text, flags)``, compiled at the first use.

    It is not a `re.Pattern`: functions of `re` and of pydantic do not accept it.
    """
    return cast("re.Pattern[str]", _Late(text, int(flags)))
