"""Bounds of the memory of a Parquet file, checked before it is read and used."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from septet._data.parquet_pages import ColumnSize, FileSize, check_pages
from septet.errors import DataError

__all__ = [
    "columns_within_memory", "memory_bytes", "require_consistent_counts", "require_short_texts",
    "require_texts_within_memory",
]  # fmt: skip

_CELL_BYTES: Final = 8
_ALWAYS_BYTES: Final = 512 * 1024**2
"""Data up to this size in memory is read whatever its size on disk."""
_MAX_TIMES: Final = 100
"""Bytes in memory per byte on disk; bars need up to ten."""
_LONGEST_TEXT: Final = 1_024
_MAX_COLUMNS: Final = 2_000


def require_short_texts(path: Path) -> None:
    """Reject texts too long for a time, number or symbol; no text is copied for this check.

    A file can store one text once for a thousand million rows: reading numbers from all of them
    would take days, and a copy of the column would take all memory.

    Raises
    ------
    DataError
        With the column.
    """
    sizes = require_consistent_counts(path).columns
    names = [name for name, each in sizes.items() if each.is_text and each.longest > _LONGEST_TEXT]
    for name, (longest, _) in _text_sizes(path, names, sizes).items():
        if longest > _LONGEST_TEXT:
            raise DataError(
                f"{path}: column {name!r} holds texts of {longest:,} bytes, where times, numbers "
                f"and symbols have at most {_LONGEST_TEXT:,}",
                hint="write times and numbers as such",
            )


def require_consistent_counts(path: Path) -> FileSize:
    """Reject a Parquet file whose counts and sizes contradict each other or the file.

    Returns its number of rows, and the most memory that each column may take.

    Raises
    ------
    DataError
        With the values that contradict each other.
    """
    try:
        return check_pages(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path} cannot be read as Parquet: {why}", hint="write the file again"
        ) from error


def require_texts_within_memory(path: Path, wanted: Sequence[str] | None = None) -> None:
    """Reject a file whose long texts would not fit into memory if each row had its own copy.

    If `wanted` is given, only these columns are checked.

    Raises
    ------
    DataError
        With the column.
    """
    _require_texts(path, require_consistent_counts(path).columns, wanted)


def _require_texts(
    path: Path, sizes: Mapping[str, ColumnSize], wanted: Sequence[str] | None
) -> None:
    most = _most_bytes(path)
    names = [
        name
        for name, each in sizes.items()
        if each.is_text and each.longest > _LONGEST_TEXT and each.copied > most
        and (wanted is None or name in wanted)
    ]  # fmt: skip
    for name, (longest, all_bytes) in _text_sizes(path, names, sizes).items():
        if longest > _LONGEST_TEXT and all_bytes > most:
            raise DataError(
                f"{path}: column {name!r} holds texts of {longest:,} bytes, {all_bytes:,} in all "
                f"rows: more than {most:,} bytes of memory are not read at once",
                hint="write it without that column",
            )


def _text_sizes(
    path: Path, names: Sequence[str], sizes: Mapping[str, ColumnSize]
) -> dict[str, tuple[int, int]]:
    """Return the longest text of each column, and the bytes of the texts of all its rows.

    The reader stores a text once for all rows that have it; columns whose texts it would have to
    copy for that are rejected. Columns of lists and structures are left out: they are not read.
    """
    import polars as pl

    frame = pl.scan_parquet(path, glob=False)
    schema = frame.collect_schema() if names else {}
    expressions = []
    for name in names:
        kind = schema.get(name)
        if kind not in (pl.String, pl.Categorical, pl.Enum):
            continue
        if sizes[name].repeats and sizes[name].copied > _most_bytes(path):
            raise DataError(
                f"{path}: column {name!r} is written so that each text repeats the beginning of "
                "the one before (DELTA_BYTE_ARRAY); how long its texts are is not known before "
                "they are read",
                hint="write the column as plain text or with a dictionary",
            )
        column = pl.col(name)
        length = (column.str if kind == pl.String else column.cat).len_bytes()
        expressions += [length.max().alias(f"{name} max"), length.cast(pl.Int64).sum().alias(name)]
    row = frame.select(expressions).collect(engine="streaming").row(0) if expressions else ()
    read_names = [expression.meta.output_name() for expression in expressions[1::2]]
    return {name: (row[2 * k] or 0, row[2 * k + 1]) for k, name in enumerate(read_names)}


def _most_bytes(path: Path) -> int:
    """Return the most bytes of memory that the data read from a file may take."""
    return min(memory_bytes() // 2, max(_ALWAYS_BYTES, path.stat().st_size * _MAX_TIMES))


def columns_within_memory(path: Path, wanted: Sequence[str] | None = None) -> list[str]:
    """Check a Parquet file by its metadata; return the columns that hold plain values.

    A small file may declare one value as repeated a thousand million times, or nest lists. What
    would take more memory than half of the machine's, or a hundred times its size on the disk, is
    refused, and so are long texts that would if each row had its own; columns of lists and
    structures are left out. Of `wanted` only these are counted.
    """
    import polars as pl

    sound = require_consistent_counts(path)
    rows, sizes = sound.rows, sound.columns
    schema = pl.scan_parquet(path, glob=False).collect_schema()
    flat = [name for name, kind in schema.items() if not (kind.is_nested() or kind == pl.Binary)]
    flat = flat if wanted is None else [name for name in flat if name in wanted]
    size, most = path.stat().st_size, _most_bytes(path)
    counted = [sizes[name] for name in flat if name in sizes]
    needed = max(rows * _CELL_BYTES * max(1, len(flat)), sum(each.values for each in counted))
    needed = max(needed, sum(each.unpacked for each in counted))
    if needed > most or len(schema) > _MAX_COLUMNS:
        raise DataError(
            f"{path} has {rows:,} rows of {len(schema)} columns in {size:,} bytes: more than "
            f"{most:,} bytes of memory, or {_MAX_COLUMNS} columns, are not read at once",
            hint="write it in parts, or only the columns that are needed; septet run --chunk "
            "reads bars in stretches",
        )
    _require_texts(path, sizes, flat)
    return flat


def memory_bytes() -> int:
    """Return the physical memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
