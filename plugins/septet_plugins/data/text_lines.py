"""Lines of a text table: rows whose quoted cells contain line breaks, and the line of each row."""

from __future__ import annotations

import io
import itertools
import re
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from septet.errors import DataError
from septet_plugins.data.text_bytes import read_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Protocol

    import polars as pl

    class LineForm(Protocol):
        """Settings of a text file that determine which of its lines are rows."""

        @property
        def skip_lines(self) -> int: ...

        @property
        def comment(self) -> str | None: ...

        @property
        def encoding(self) -> str: ...


__all__ = ["NUMBER", "TextRows", "cells_of", "head_rows", "row_lines", "uneven_line"]

NUMBER: Final = re.compile(r"^[-+]?[\d.,]+(?:[eE][-+]?\d+)?$")
_QUOTED: Final = re.compile(r'"[^"]*"')
_PARTS: Final = re.compile(r"^[-+]?\d{1,9} \d{1,9}$")
_HEAD_BYTES: Final = 4_000_000
_HEAD_ROWS: Final = 500
_LINES_OF_A_ROW: Final = 100
"""A quotation mark that no line among so many closes does not open a cell."""


def head_rows(data: bytes, form: LineForm) -> list[tuple[int, str]]:
    """Return the first rows that are neither empty nor comments, each with its line (from 1)."""
    first = 0
    for _ in range(form.skip_lines):
        first = data.find(b"\n", first) + 1
        if first == 0:
            return []
    text = data[first : first + _HEAD_BYTES].decode(errors="ignore")
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    rows = _rows(enumerate(lines, form.skip_lines + 1), form)
    return list(itertools.islice(rows, _HEAD_ROWS))


def _rows(lines: Iterable[tuple[int, str]], form: LineForm) -> Iterator[tuple[int, str]]:
    """Join lines that a quoted cell separates; skip empty lines and comments."""
    rows_held: list[tuple[int, str]] = []
    quotes = 0
    for number, line in lines:
        if not rows_held and (not line or (form.comment and line.startswith(form.comment))):
            continue
        rows_held.append((number, line))
        quotes += line.count('"')
        if quotes % 2 == 0:
            yield rows_held[0][0], "\n".join(each for _, each in rows_held)
        elif len(rows_held) < _LINES_OF_A_ROW:
            continue
        else:
            yield from rows_held
        rows_held, quotes = [], 0
    yield from rows_held


def cells_of(row: str, delimiter: str) -> list[str]:
    """Split a row into cells; a delimiter inside quotes does not separate."""
    masked = _QUOTED.sub(lambda found: found[0].replace(delimiter, "\0"), row)
    cells = (cell.replace("\0", delimiter) for cell in masked.split(delimiter))
    return [cell.strip().strip('"') for cell in cells]


def uneven_line(data: bytes, path: Path, form: LineForm, delimiter: str) -> DataError | None:
    """Return the first row with more fields than the first row, and a number of it with a comma."""
    width = 0
    lines = enumerate(io.BytesIO(data), 1)
    texts = (
        (number, raw.decode(errors="replace").rstrip("\r\n"))
        for number, raw in lines
        if number > form.skip_lines
    )
    for number, line in _rows(texts, form):
        cells = cells_of(line, delimiter)
        width = width or len(cells)
        if len(cells) <= width or width < 2:
            continue
        text = f"line {number} has {len(cells)} fields, the first line has {width}"
        text = f"{path} cannot be read as a table: {text}"
        pairs = itertools.pairwise(cells)
        split_number = next(
            (
                f"{left_part},{right_part}"
                for left_part, right_part in pairs
                if _PARTS.match(f"{left_part} {right_part}")
            ),
            "",
        )
        if (
            delimiter == ","
            and split_number
            and all(NUMBER.match(cell) for cell in cells[1:] if cell)
        ):
            return DataError(
                f"{text}: the comma ends a field, also within a number such as {split_number[:60]}",
                hint="write numbers with a point (12.5), or separate the columns with ; and write "
                "decimal: ','",
            )
        if len(cells) == width + 1 and not cells[-1]:
            return DataError(
                f"{text}: the row ends with a {delimiter!r} that the first line lacks",
                hint=f"end the first line with {delimiter!r} as well, or take it off the rows",
            )
        return DataError(
            text,
            hint="give every row the same fields, put text in quotes, and write skip_lines: for "
            "lines above the table",
        )
    return None


def row_lines(data: bytes, form: LineForm, *, header: bool) -> npt.NDArray[np.int64]:
    """Return the line number of each row of a table, from 1.

    The table parser counts an empty line as a row and skips comments.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if not len(text) or text[-1] != ord("\n"):
        ends = np.append(ends, len(text))
    if b'"' in data:
        quotes = np.flatnonzero(text == ord('"'))
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    begins = np.concatenate(([0], ends[:-1] + 1)).astype(np.int64)
    breaks = np.flatnonzero(text == ord("\n"))
    lines = np.searchsorted(breaks, begins) + 1
    is_read = lines > form.skip_lines
    if form.comment:
        mark = form.comment.encode()
        is_read &= np.array([not data.startswith(mark, int(at)) for at in begins])
    lines, begins = lines[is_read], begins[is_read]
    if header:
        filled = np.array([data[at : at + 1] not in (b"\n", b"\r", b"") for at in begins[:1_000]])
        first = int(np.argmax(filled)) + 1 if filled.any() else 0
        lines = lines[first:]
    return lines


class TextRows:
    """Line numbers of the rows of a text file, computed at the first use."""

    def __init__(
        self,
        path: Path,
        form: LineForm,
        *,
        header: bool,
        rows: int,
        times: pl.Series | None = None,
        kept: pl.Series | None = None,
    ) -> None:
        """Store the file, the number of its rows, and its times if the table does not contain them.

        `kept` are the numbers of the remaining rows if some were removed.
        """
        self._path, self._form, self._header, self._count = path, form, header, rows
        self._times, self._kept = times, kept

    def place(self, row: int) -> str:
        """Return `line` and its number, or nothing if the counts of rows and lines do not match."""
        lines = self._lines
        if lines is None:
            return ""
        return f"line {lines[row if self._kept is None else self._kept[row]]}"

    def time(self, row: int) -> str | None:
        """Return the time of a row as written in the file, if it was to be parsed by a format."""
        return None if self._times is None else str(self._times[row] or "")

    @cached_property
    def _lines(self) -> npt.NDArray[np.int64] | None:
        try:
            data = read_utf8(self._path, self._form.encoding)
        except DataError:  # the file has changed since it was read
            return None
        lines = row_lines(data, self._form, header=self._header)
        if self._kept is None:
            return lines if len(lines) == self._count else None
        return lines if len(self._kept) and len(lines) > int(self._kept[-1]) else None
