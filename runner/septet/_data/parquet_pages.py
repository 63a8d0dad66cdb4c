"""Checks that the counts and sizes in a Parquet file agree, before a reader relies on them.

The reader reserves memory for the number of values that a page declares. A page of minus one
values, or of 2**58, ends the process where memory cannot be had, and no exception is raised that
could become a message. So the description at the end of the file and the head of each page are read
here first (they are written in Thrift's compact form), and every count is compared with the file
and with the one above it.

How much a column takes in memory is bounded by the same heads. A text of five megabytes that stands
once in a dictionary, or is written as "like the one before", takes some kilobytes of the file for
any number of rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from septet._files import open_regular

__all__ = ["ColumnSize", "FileSize", "check_pages"]

_MAGIC: Final = b"PAR1"
_LONGEST_FOOTER: Final = 16 << 20
_LONGEST_HEAD: Final = 1 << 20
_FIRST_READ: Final = 512
_MAX_NESTING: Final = 16
_MAX_COUNT: Final = (1 << 31) - 1
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_NUMBERS: Final = frozenset({_I16, _I32, _I64})

# Of a struct, by the numbers of its fields: a name for a number, a text or a list of texts that is
# kept, a map for a struct inside, a function for each struct of a list.
_Wanted = Mapping[int, Any]
_ELEMENT: Final[_Wanted] = {1: "type", 2: "width", 4: "name", 5: "children"}
_CHUNK: Final[_Wanted] = {
    3: {3: "path", 5: "values", 6: "unpacked", 7: "packed", 9: "data_at", 11: "dictionary_at"}
}
_PAGE: Final[_Wanted] = {
    1: "kind", 2: "unpacked", 3: "packed", 5: {1: "values", 2: "encoding"}, 7: {1: "entries"},
    8: {1: "values", 4: "encoding"},
}  # fmt: skip
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_OF_DICTIONARY: Final = frozenset({2, 8})
"""Encodings of a page that holds indices into the dictionary."""
_LIKE_BEFORE: Final = 7
"""The encoding of a page whose texts share a prefix with the previous text."""
_TEXT, _FIXED = 6, 7
_NUMBER_BYTES: Final = 8
_VIEW_BYTES: Final = 16


class ColumnSize(msgspec.Struct):
    """The most memory that a column of a file may take, according to the heads of its pages.

    `unpacked` is the size of its pages; `values` adds the fixed size of each value, and `copied`
    the longest text that it may have. `repeats` states whether texts are stored as a prefix of the
    previous text, which no reader stores only once.
    """

    is_text: bool = False
    unpacked: int = 0
    values: int = 0
    longest: int = 0
    copied: int = 0
    repeats: bool = False

    def add(self, part: ColumnSize) -> None:
        """Add a part of the column, or another column below the same name."""
        self.is_text |= part.is_text
        self.unpacked += part.unpacked
        self.values += part.values
        self.longest = max(self.longest, part.longest)
        self.copied += part.copied
        self.repeats |= part.repeats


class FileSize(msgspec.Struct, frozen=True):
    """The number of rows of a file, and the most memory that each of its columns may take."""

    rows: int
    columns: dict[str, ColumnSize]


class _Short(ValueError):
    """The bytes end before the struct does."""


class _Thrift:
    """Reads structs in Thrift's compact form; fields that are not wanted are skipped."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, wanted: _Wanted, depth: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {}
        field = 0
        if depth > _MAX_NESTING:
            raise ValueError("its description is nested too deeply")
        while True:
            head = self._byte()
            kind, step = head & 15, head >> 4
            if kind == 0:
                return found
            field = field + step if step else self._zigzag()
            self._field(wanted.get(field), kind, found, depth)

    def _field(self, wanted: Any, kind: int, found: dict[str, Any], depth: int) -> None:
        is_number = isinstance(wanted, str) and wanted not in ("name", "path")
        if is_number and kind in _NUMBERS:
            found[wanted] = self._zigzag()
        elif wanted == "name" and kind == _BINARY:
            found[wanted] = self._bytes()
        elif wanted == "path" and kind == _LIST:
            size, element = self._list()
            if element != _BINARY:
                raise ValueError("its description is of another kind")
            found[wanted] = [self._bytes() for _ in range(size)]
        elif isinstance(wanted, Mapping) and kind == _STRUCT:
            found |= self.struct(wanted, depth + 1)
        elif callable(wanted) and kind == _LIST:
            size, element = self._list()
            if element != _STRUCT:
                raise ValueError("its description is of another kind")
            for _ in range(size):
                wanted(self, depth + 1)
        elif wanted is not None:
            raise ValueError("its description is of another kind")
        else:
            self._skip(kind, depth)

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise _Short("its description ends early")
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of its description is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        size = head >> 4
        size = self._varint() if size == 15 else size
        if size > len(self.data):
            raise _Short("a list of its description is longer than it")
        return size, head & 15

    def _move(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise _Short("its description ends early")
        self.at += count

    def _bytes(self) -> bytes:
        self._move(length := self._varint())
        return self.data[self.at - length : self.at]

    def _skip(self, kind: int, depth: int, *, inside: bool = False) -> None:
        if depth > _MAX_NESTING:
            raise ValueError("its description is nested too deeply")
        if kind in (_TRUE, _FALSE):
            self._move(int(inside))
        elif kind == _BYTE:
            self._move(1)
        elif kind in _NUMBERS:
            self._varint()
        elif kind == _DOUBLE:
            self._move(8)
        elif kind == _BINARY:
            self._move(self._varint())
        elif kind in (_LIST, _SET):
            size, element = self._list()
            for _ in range(size):
                self._skip(element, depth + 1, inside=True)
        elif kind == _STRUCT:
            self.struct({}, depth + 1)
        else:
            raise ValueError("its description is of another kind")


def check_pages(path: Path) -> FileSize:
    """Reject a Parquet file whose counts or sizes contradict each other or the file.

    Returns its number of rows, and the most memory that each column may take, by its name.

    Raises
    ------
    ValueError
        With the contradiction. An OSError is raised if the file cannot be read.
    """
    with open_regular(path) as file:
        handle = file.fileno()
        size = os.fstat(handle).st_size
        tail = os.pread(handle, 8, size - 8) if size >= 12 else b""
        if tail[4:] != _MAGIC:
            raise ValueError("it does not end as a Parquet file does")
        length = int.from_bytes(tail[:4], "little")
        end = size - 8 - length
        if end < 4 or length > _LONGEST_FOOTER:
            raise ValueError(f"its description is {length:,} bytes long")
        footer = _Thrift(os.pread(handle, length, end))
        schema = _Schema()
        groups = _Groups(schema, lambda chunk, leaf: _check_chunk(handle, chunk, end, leaf))
        rows = footer.struct({2: schema.take, 3: "rows", 4: groups.take}).get("rows", -1)
        if rows != groups.rows:
            raise ValueError(f"it has {groups.rows:,} rows in its groups and names {rows:,}")
        return FileSize(groups.rows, groups.sizes)


class _Leaf(msgspec.Struct, frozen=True):
    """A column as it is stored; `name` is the name of the table's column to which it belongs."""

    name: bytes
    type: int
    width: int


class _Schema:
    """The columns of a file, in the order in which each row group has them."""

    def __init__(self) -> None:
        self.leaves: list[_Leaf] = []
        self._open: list[int] = []
        """Number of elements still to come, for the root and for each nested element."""
        self._name = b""

    def take(self, footer: _Thrift, depth: int) -> None:
        found = footer.struct(_ELEMENT, depth)
        children, name = found.get("children", 0), found.get("name", b"")
        if children < 0:
            raise ValueError("its columns are not described")
        if len(self._open) == 1:
            self._name = name
        if self._open:
            self._open[-1] -= 1
        if children:
            self._open.append(children)
        elif self._open:
            self.leaves.append(_Leaf(self._name, found.get("type", -1), found.get("width", 0)))
        while len(self._open) > 1 and self._open[-1] == 0:
            self._open.pop()


class _Groups:
    """The row groups of a file, one after the other."""

    def __init__(
        self, schema: _Schema, check: Callable[[dict[str, Any], _Leaf], ColumnSize]
    ) -> None:
        self._schema, self._check, self.rows = schema, check, 0
        self.sizes: dict[str, ColumnSize] = {}

    def take(self, footer: _Thrift, depth: int) -> None:
        chunks: list[dict[str, Any]] = []

        def chunk(inner: _Thrift, below: int) -> None:
            found = inner.struct(_CHUNK, below)
            leaves = self._schema.leaves
            path = found.get("path")
            if len(chunks) >= len(leaves) or not path or path[0] != leaves[len(chunks)].name:
                raise ValueError("a group has other columns than the file")
            leaf = leaves[len(chunks)]
            name = leaf.name.decode("utf-8", "replace")
            self.sizes.setdefault(name, ColumnSize()).add(self._check(found, leaf))
            chunks.append(found)

        rows = footer.struct({1: chunk, 3: "rows"}, depth).get("rows", -1)
        if rows < 0 or any(each["values"] < rows for each in chunks):
            raise ValueError(f"a group of {rows:,} rows has columns of fewer values")
        if len(chunks) != len(self._schema.leaves):
            raise ValueError("a group has other columns than the file")
        self.rows += rows


def _check_chunk(handle: int, chunk: Mapping[str, Any], end: int, leaf: _Leaf) -> ColumnSize:
    """Check the pages of one column of a row group; return the most memory that it may take."""
    needed = ("values", "unpacked", "packed", "data_at")
    if not all(name in chunk for name in needed):
        raise ValueError("a column is not described")
    values, unpacked, packed = (chunk[name] for name in needed[:3])
    places = [each for each in (chunk["data_at"], chunk.get("dictionary_at", 0)) if each > 0]
    at = min(places, default=4)
    last = at + packed
    if values < 0 or unpacked < 0 or packed < 0 or at < 4 or last > end:
        raise ValueError("a column lies outside the file")
    left, size, dictionary = values, ColumnSize(is_text=leaf.type == _TEXT), 0
    while left and at < last:
        page, length = _page_at(handle, at, min(last - at, _LONGEST_HEAD))
        inside, whole = page.get("packed", -1), page.get("unpacked", -1)
        count = page.get("entries", page.get("values", -1))
        at += length + inside
        unpacked -= length + whole
        if inside < 0 or whole < 0 or at > last or unpacked < 0:
            raise ValueError("a page is larger than its column")
        if page.get("kind") in (_DATA, _DATA_2):
            left -= count
        elif page.get("kind") == _DICTIONARY:
            dictionary = max(dictionary, whole)
        else:
            continue
        if not 0 <= count <= _MAX_COUNT or left < 0:
            raise ValueError(f"a page states that it holds {count:,} values")
        size.add(_page_size(page, leaf, dictionary))
    if left:
        raise ValueError(f"a column lacks {left:,} of the {values:,} values that it names")
    return size


def _page_size(page: Mapping[str, Any], leaf: _Leaf, dictionary: int) -> ColumnSize:
    """Return the memory that a page takes; `dictionary` is the size of the column's dictionary."""
    size = ColumnSize(unpacked=page["unpacked"])
    if page["kind"] == _DICTIONARY:
        return size
    count = page.get("values", 0)
    if leaf.type != _TEXT:
        each = leaf.width if leaf.type == _FIXED else _NUMBER_BYTES
        size.values = count * max(_NUMBER_BYTES, each)
        return size
    encoding = page.get("encoding", -1)
    size.values = count * _VIEW_BYTES
    size.longest = dictionary if encoding in _OF_DICTIONARY else page["unpacked"]
    size.repeats = encoding == _LIKE_BEFORE
    shared = encoding in _OF_DICTIONARY or size.repeats
    size.copied = count * size.longest if shared else size.longest
    return size


def _page_at(handle: int, at: int, most: int) -> tuple[dict[str, Any], int]:
    """Read the head of a page; return it and its length."""
    size = _FIRST_READ
    while True:
        reader = _Thrift(os.pread(handle, min(size, most), at))
        try:
            return reader.struct(_PAGE), reader.at
        except _Short:
            if size >= most:
                raise
            size *= 8
