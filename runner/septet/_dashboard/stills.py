"""Drawings as this page may hold them: its policy allows no style in an attribute."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_style"]

_STYLE: Final = re.compile(r'(<svg\b[^>]*?) style="max-width:100%;height:auto"')


def without_style(markup: str) -> str:
    """Return the markup without the styles of its drawings; style.css says the same."""
    return _STYLE.sub(r"\1", markup)
