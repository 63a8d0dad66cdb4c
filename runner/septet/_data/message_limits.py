"""Limits of what a message may quote of a data file; SECURITY.md promises these numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from septet._text import shortened
from septet_schemas.late_patterns import late_pattern

__all__ = [
    "CELLS_SHOWN", "CELL_CHARACTERS", "COLUMN_CHARACTERS", "HEADER_CHARACTERS", "SYMBOLS_SHOWN",
    "SYMBOL_CHARACTERS", "shown_cell", "shown_columns",
]  # fmt: skip

HEADER_CHARACTERS: Final = 200
"""Of the names of columns in the first line of a file, together."""
SYMBOLS_SHOWN: Final = 12
"""Of a column that is taken for symbols."""
SYMBOL_CHARACTERS: Final = 30
"""Of one of them."""
CELLS_SHOWN: Final = 3
"""Of cells that are no times or numbers, for each kind of defect."""
CELL_CHARACTERS: Final = 30
"""Of one of them."""


COLUMN_CHARACTERS: Final = 40
"""Of a name that is shown; a longer one is none of a column."""
_COLUMN: Final = late_pattern(rf"[\w .%$#()/+-]{{1,{COLUMN_CHARACTERS}}}")


def shown_columns(names: Sequence[str]) -> str:
    """Write the names of columns; what is no name is not quoted, but counted.

    The first line of a file that is no table is no header: it may hold anything.
    """
    shown = [name for name in names if _COLUMN.fullmatch(name)]
    others = len(names) - len(shown)
    text = shortened(", ".join(shown), HEADER_CHARACTERS)
    if others:
        text += f"{' and ' if text else ''}{others} whose text is no name of a column"
    return text


def shown_cell(value: object) -> str:
    """Write a cell that is no time or number as it stands in the file, cut."""
    text = str(value)
    return repr(text[:CELL_CHARACTERS]) + ("..." if len(text) > CELL_CHARACTERS else "")
