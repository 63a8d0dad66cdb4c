"""Drawings as this page may hold them: its policy allows no style in an attribute."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["at_both_widths", "without_style"]

_STYLE: Final = re.compile(r'(<svg\b[^>]*?) style="max-width:100%;height:auto"')
_WIDE: Final = 1040
_NARROW: Final = 400


def without_style(markup: str) -> str:
    """Return the markup without the styles of its drawings; style.css says the same."""
    return _STYLE.sub(r"\1", markup)


def at_both_widths(draw: Callable[[float], str]) -> str:
    """Return a drawing for wide and one for narrow windows, of which style.css shows one.

    A drawing shrinks with its window, and its letters with it: below a width they are too small.
    """
    wide = draw(_WIDE)
    if not wide:
        return ""
    both = f'<div class="wide-still">{wide}</div><div class="narrow-still">{draw(_NARROW)}</div>'
    return without_style(both)
