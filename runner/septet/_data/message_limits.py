"""How much of a data file a message may quote; SECURITY.md promises these numbers."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CELLS_SHOWN", "CELL_CHARACTERS", "HEADER_CHARACTERS", "SYMBOLS_SHOWN", "SYMBOL_CHARACTERS",
    "shown_cell",
]  # fmt: skip

HEADER_CHARACTERS: Final = 200
"""Of the first line of a file."""
SYMBOLS_SHOWN: Final = 12
"""Of a column that is taken for symbols."""
SYMBOL_CHARACTERS: Final = 30
"""Of one of them."""
CELLS_SHOWN: Final = 3
"""Of cells that are no times or numbers, for each kind of defect."""
CELL_CHARACTERS: Final = 30
"""Of one of them."""


def shown_cell(value: object) -> str:
    """Write a cell that is no time or number as it stands in the file, cut."""
    text = str(value)
    return repr(text[:CELL_CHARACTERS]) + ("..." if len(text) > CELL_CHARACTERS else "")
