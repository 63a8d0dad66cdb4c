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
"""Most characters of all column names in the first line of a file."""
SYMBOLS_SHOWN: Final = 12
"""Most values shown of a column that is taken for symbols."""
SYMBOL_CHARACTERS: Final = 30
"""Most characters of one such value."""
CELLS_SHOWN: Final = 3
"""Most cells shown that are not times or numbers, for each kind of defect."""
CELL_CHARACTERS: Final = 30
"""Of one of them."""


COLUMN_CHARACTERS: Final = 40
"""Most characters of a column name; a longer text is not shown as a name."""
_COLUMN: Final = late_pattern(rf"[\w .%$#()/+-]{{1,{COLUMN_CHARACTERS}}}")


def shown_columns(names: Sequence[str]) -> str:
    """Format the names of columns; text that is not a valid name is counted and not quoted.

    If a file is not a table, its first line is not a header and may contain anything.
    """
    shown = [name for name in names if _COLUMN.fullmatch(name)]
    others = len(names) - len(shown)
    text = shortened(", ".join(shown), HEADER_CHARACTERS)
    if others:
        text += f"{' and ' if text else ''}{others} whose text is no name of a column"
    return text


def shown_cell(value: object) -> str:
    """Quote a cell that is not a time or a number, shortened."""
    text = str(value)
    return repr(text[:CELL_CHARACTERS]) + ("..." if len(text) > CELL_CHARACTERS else "")
