"""Estimates the size of a strategy's data before any of it is read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from septet._config.load import Loaded

__all__ = ["data_blocks", "data_bytes"]

_BAR_BYTES: Final = 48
_MOST_PACKED: Final = 10
"""Approximate ratio of size in memory to size on disk of a compressed or Parquet file."""


def data_bytes(loaded: Loaded) -> int:
    """Estimate the size in bytes of a strategy's data, uncompressed, without reading it."""
    from septet._data.source_files import file_forms
    from septet._data.wild_cards import has_wild_cards, matching_files

    symbols, found = tuple(loaded.strategy.universe.symbols), 0
    for _, block in data_blocks(loaded.strategy.data):
        path = getattr(block.config, "path", None)
        if path is None:
            found += len(symbols) * getattr(block.config, "bars", 0) * _BAR_BYTES
            continue
        forms = {path.replace("{symbol}", each) for name in symbols for each in file_forms(name)}
        for full in (Path(loaded.base_dir) / form for form in forms):
            for file in matching_files(full) if has_wild_cards(full) else [full]:
                with contextlib.suppress(OSError):
                    times = 1 if file.suffix in (".csv", ".tsv") else _MOST_PACKED
                    found += times * file.stat().st_size
    return found


def data_blocks(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield each block of the data layer that names a source, with its key."""
    yield "data.candles", data.candles
    if data.funding is not None:
        yield "data.funding", data.funding
    for name, block in data.series.items():
        yield f"data.{name}", block
