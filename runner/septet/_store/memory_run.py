"""A finished run that is not stored, or just was: its tables are read from memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._data.stamps import iso
from septet._store.manifest import manifest_of
from septet._store.run_folder import OPTIONAL_TABLES, Run, run_id_at
from septet._store.tables import empty, order_times, stored_frames, thin_bars
from septet.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._results.result import RunResult

__all__ = ["MemoryRun", "WrittenRun"]

_NOWHERE: Final = Path(os.devnull)
"""No file can lie below it, so whoever looks for one finds none."""


class MemoryRun(Run):
    """The run of a result, with the tables that would be stored of it."""

    tables_finding = None

    def __init__(self, result: RunResult, *, now_ns: int, run_id: str = "") -> None:
        self.now_ns = now_ns
        self._id = run_id or run_id_at(result.facts.strategy, now_ns)
        self._result: RunResult | None = result
        super().__init__(_NOWHERE / self._id)

    @property
    def run_id(self) -> str:
        """The id under which it would be stored."""
        return self._id

    @property
    def result(self) -> RunResult:
        """What the run handed over.

        Raises
        ------
        InputError
            If it was let go.
        """
        if self._result is None:
            raise InputError(
                f"run {self._id} was closed, and was not saved",
                hint="read its figures and tables, or save() it, before close()",
            )
        return self._result

    @property
    def is_empty(self) -> bool:
        """Whether its result was let go before its figures were read."""
        return self._result is None and "summary" not in self.__dict__

    def release(self) -> None:
        """Let the result and its tables go; figures that were read stay."""
        self._result = None
        for name in ("frames", "display"):
            self.__dict__.pop(name, None)

    @cached_property
    def frames(self) -> dict[str, pl.DataFrame]:
        """The tables by name, but for the bars."""
        return stored_frames(self.result)

    @cached_property
    def display(self) -> tuple[pl.DataFrame, dict[str, int]]:
        """The bars that are stored, and how many bars each of them joins, by symbol."""
        result = self.result
        return thin_bars(
            result.bars, split_ns=result.facts.first_decision_ns,
            alone_ns=order_times(result.orders),
        )  # fmt: skip

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The document of summary.json."""
        from septet._results.summary import summarise

        return summarise(self.result, self.frames, run_id=self._id)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The document of manifest.json."""
        return manifest_of(self._id, iso(self.now_ns), self.result, self.display[1])

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """What was wrong with the data and what was done about it."""
        return [asdict(finding) for finding in self.result.findings]

    @property
    def strategy_text(self) -> str:
        """The strategy file as it was."""
        return self.result.strategy_text

    @property
    def left_out(self) -> tuple[str, ...]:
        """Tables the run was asked not to make."""
        return tuple(self.result.left_out)

    def has(self, name: str) -> bool:
        """Whether the run has a table of that name."""
        return name == "bars" or name in self.frames

    def scan(self, name: str, *, whole: bool = True) -> pl.LazyFrame:
        """Scan a table lazily.

        Raises
        ------
        InputError
            If it was left out.
        """
        if name == "bars":
            return self.display[0].lazy()
        if name in self.frames:
            return self.frames[name].lazy()
        if name in OPTIONAL_TABLES:
            return empty(name).lazy()
        raise InputError(
            f"run {self._id} has no {name}: they were left out",
            hint="run it again with tables=True: the result is the same",
        )

    def table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns; dictionary-encoded text comes as text."""
        import polars as pl

        frame = self.scan(name)
        read = (frame if columns is None else frame.select(columns)).collect()
        encoded = [key for key, dtype in read.schema.items() if dtype in (pl.Categorical, pl.Enum)]
        return read.with_columns(pl.col(encoded).cast(pl.String)) if encoded else read


class WrittenRun(Run):
    """A run that was just stored: its tables are still in memory, and no file is read for them."""

    def __init__(self, folder: Path, run: MemoryRun) -> None:
        super().__init__(folder)
        self._run = run

    def scan(self, name: str, *, whole: bool = True) -> pl.LazyFrame:
        """Scan a table lazily."""
        return self._run.scan(name, whole=whole)

    def table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns; dictionary-encoded text comes as text."""
        return self._run.table(name, columns)
