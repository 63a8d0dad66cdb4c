"""Places of table rows in their source, for messages: a line of a file, a row of a frame.

A symbol's table may be some rows of a file, or rows of several files one after the other. Lines are
looked up when a message names them, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FrameRows", "JoinedRows", "PartRows", "SourceRows"]


class SourceRows(Protocol):
    """Names the rows of one table, numbered from 0 in reading order."""

    def place(self, row: int) -> str:
        """Return the place of a row, such as `line 7`; empty if unknown."""

    def time(self, row: int) -> str | None:
        """Return the time of a row as written in the source, if the table no longer has it."""


class FrameRows(msgspec.Struct, frozen=True):
    """Rows of a frame, by number."""

    def place(self, row: int) -> str:
        """Name a row by the number that polars and pandas use."""
        return f"row {row}"

    def time(self, row: int) -> str | None:
        """Return None: a frame has its times."""
        return None


class PartRows(msgspec.Struct, frozen=True):
    """Some rows of a table; `picked` holds their numbers there, None for all rows."""

    rows: SourceRows | None
    picked: pl.Series | None = None

    def place(self, row: int) -> str:
        """Name the row in the whole table."""
        return self.rows.place(self._number(row)) if self.rows is not None else ""

    def time(self, row: int) -> str | None:
        """Return the time of the row in the whole table."""
        return self.rows.time(self._number(row)) if self.rows is not None else None

    def _number(self, row: int) -> int:
        return row if self.picked is None else int(self.picked[row])


class JoinedRows(msgspec.Struct, frozen=True):
    """Rows of several files, concatenated: for each its path, its rows and their number."""

    parts: Sequence[tuple[Path, SourceRows, int]]

    def place(self, row: int) -> str:
        """Name the row in its file, and the file if there are several."""
        path, rows, number = self._part(row)
        place = rows.place(number)
        return f"{place} of {path.name}" if place and len(self.parts) > 1 else place

    def time(self, row: int) -> str | None:
        """Return the time of the row in its file."""
        _, rows, number = self._part(row)
        return rows.time(number)

    def _part(self, row: int) -> tuple[Path, SourceRows, int]:
        for path, rows, count in self.parts[:-1]:
            if row < count:
                return path, rows, row
            row -= count
        path, rows, _ = self.parts[-1]
        return path, rows, row
