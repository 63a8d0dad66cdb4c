"""A stored run for tests that ask it a hundred times: its tables are read and checked once."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from septet._store.run_folder import Run

__all__ = ["ReadOnce"]


class ReadOnce(Run):
    """A stored run whose files nobody changes: each table is what the first reading gave."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tables: dict[str, pl.DataFrame] = {}

    def scan(self, name: str, *, whole: bool = True) -> pl.LazyFrame:
        """Scan a table in memory; the first time it is read, and its numbers are checked."""
        if name not in self._tables:
            self._tables[name] = self.collected(name, super().scan(name))
        return self._tables[name].lazy()
