"""Drawings as this page may hold them: its policy allows no style in an attribute."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["at_both_widths", "both_widths", "without_style"]

_STYLE: Final = re.compile(r'(<svg\b[^>]*?) style="max-width:100%;height:auto"')
_WIDE_PX: Final = 1040
_NARROW_PX: Final = 400


def without_style(markup: str) -> str:
    """Return the markup without the styles of its drawings; style.css has the same."""
    return _STYLE.sub(r"\1", markup)


def at_both_widths(draw: Callable[[float], str]) -> str:
    """Return a drawing for wide and one for narrow windows, of which style.css shows one.

    A drawing shrinks with its window, and its letters with it: below a width they are too small.
    """
    wide = draw(_WIDE_PX)
    return both_widths(wide, draw(_NARROW_PX)) if wide else ""


def both_widths(wide: str, narrow: str) -> str:
    """Return two drawings of one thing, of which style.css shows the one that fits the window.

    Without a narrow one the other fits both.
    """
    if not narrow:
        return without_style(wide)
    both = f'<div class="wide-still">{wide}</div><div class="narrow-still">{narrow}</div>'
    return without_style(both)
