"""How much of a data file a message may quote; SECURITY.md promises these numbers."""

from __future__ import annotations

from typing import Final

__all__ = ["HEADER_CHARACTERS", "SYMBOLS_SHOWN", "SYMBOL_CHARACTERS"]

HEADER_CHARACTERS: Final = 200
"""Of the first line of a file."""
SYMBOLS_SHOWN: Final = 12
"""Of a column that is taken for symbols."""
SYMBOL_CHARACTERS: Final = 30
"""Of one of them."""
