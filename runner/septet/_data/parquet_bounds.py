"""How much a Parquet file may become in memory, judged before it is read and used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._data.parquet_pages import check_pages
from septet.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["columns_within_memory", "insist_short_texts", "insist_sound", "memory_bytes"]

_CELL_BYTES: Final = 8
_ALWAYS_BYTES: Final = 512 * 1024**2
"""Read whatever its size on the disk."""
_MOST_TIMES: Final = 100
"""Bytes in memory for one on the disk: bars take up to ten."""
_LONGEST_TEXT: Final = 1_024
_MOST_COLUMNS: Final = 2_000


def insist_short_texts(frame: pl.DataFrame, path: Path) -> None:
    """Refuse texts that no time, number or symbol has.

    One text is stored once and shown in a thousand million rows: reading numbers from all of them
    would take days.
    """
    import polars as pl
    import polars.selectors as cs

    texts = frame.select(cs.string(include_categorical=True)).cast(pl.String)
    for name in texts.columns:
        longest = texts[name].str.len_bytes().max()
        if isinstance(longest, int) and longest > _LONGEST_TEXT:
            raise DataError(
                f"{path}: column {name!r} holds texts of {longest:,} bytes, where times, numbers "
                f"and symbols have at most {_LONGEST_TEXT:,}",
                hint="write times and numbers as such",
            )


def insist_sound(path: Path) -> None:
    """Refuse a Parquet file whose counts and sizes contradict each other or the file.

    Raises
    ------
    DataError
        With what contradicts what.
    """
    try:
        check_pages(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path} cannot be read as Parquet: {why}", hint="write the file again"
        ) from error


def columns_within_memory(path: Path, wanted: Sequence[str] | None = None) -> list[str]:
    """Judge a Parquet file by its metadata; return the columns that hold plain values.

    A small file may say that one value is repeated a thousand million times, or nest lists. What
    would take more memory than half of the machine's, or a hundred times its size on the disk, is
    refused; columns of lists and structures are left out. Of `wanted` only these are counted.
    """
    import polars as pl

    insist_sound(path)
    frame = pl.scan_parquet(path, glob=False)
    schema = frame.collect_schema()
    flat = [name for name, kind in schema.items() if not (kind.is_nested() or kind == pl.Binary)]
    flat = flat if wanted is None else [name for name in flat if name in wanted]
    rows = int(frame.select(pl.len()).collect().item())
    size, needed = path.stat().st_size, rows * _CELL_BYTES * max(1, len(flat))
    most = min(memory_bytes() // 2, max(_ALWAYS_BYTES, size * _MOST_TIMES))
    if needed > most or len(schema) > _MOST_COLUMNS:
        raise DataError(
            f"{path} has {rows:,} rows of {len(schema)} columns in {size:,} bytes: more than "
            f"{most:,} bytes of memory, or {_MOST_COLUMNS} columns, are not read at once",
            hint="write it in parts, or only the columns that are needed; septet run --chunk "
            "reads bars in stretches",
        )
    return flat


def memory_bytes() -> int:
    """Memory of this machine, physical."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
