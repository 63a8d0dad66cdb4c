"""A run's folder: written atomically, read lazily.

``runs/<strategy>/<run id>/`` holds manifest.json, summary.json, resolved.json, findings.json,
strategy.yaml, the Parquet tables, report.html and models/. A run that fails leaves nothing that
looks like a result: the folder is built under a name that starts with a dot, and renamed last.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

from septet._data.parquet_bounds import columns_within_memory, require_texts_within_memory
from septet._files import make_folders, read_bounded, replace_file, replacing
from septet._results.result import (
    COUNT,
    NUMBER,
    SUMMARY,
    TABLES,
    TEXT,
    HaltEvent,
    RunFacts,
    RunResult,
)
from septet._store.damage_messages import JOURNAL, damaged, journal_finding, mode_in
from septet._store.facts_check import halts_in, wrong_fact
from septet._store.table_values import fits, impossible_value
from septet._store.tables import empty, with_optional
from septet._text import decode_json, dump_json
from septet.errors import DataError, InputError, RunError

if TYPE_CHECKING:
    import polars as pl

    from septet._journal.journal_check import JournalFinding
    from septet._store.files_check import FilesFinding

__all__ = [
    "JOURNAL",
    "HaltEvent",
    "Run",
    "RunFacts",
    "RunResult",
    "RunWriter",
    "run_id_at",
]

_LONGEST: Final = 256 << 20
"""Bytes of a document of a run's folder."""
LONGEST_TEXT: Final = 1 << 20
"""Bytes of a strategy file: none that is larger is run."""
_DOCUMENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("summary.json", "manifest.json", "resolved.json", "findings.json"), _LONGEST),
    "strategy.yaml": LONGEST_TEXT,
}
_SECOND_NS: Final = 1_000_000_000
OPTIONAL_TABLES: Final = ("predictions", "round_trips")
_ZSTD_LEVEL: Final = 1  # half the time of level 3, and curves come out one percent larger


def folder_name(strategy: str) -> str:
    """A strategy's name as a folder: no separators, no leading dot, never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", strategy).strip(".-") or "strategy"


def run_id_at(strategy: str, now_ns: int, attempt: int = 0) -> str:
    """Return the id of a run that is stored at a time; a further attempt has another."""
    stamp = datetime.fromtimestamp(now_ns // _SECOND_NS, UTC)
    return f"{stamp:%Y%m%dT%H%M%SZ}-{id_end(strategy, now_ns, attempt)}"


def id_end(named: str, now_ns: int, attempt: int = 0) -> str:
    """Return what follows the second in an id: ten hexadecimal digits.

    The first four are the time within the second in parts of 65,536, so that ids sort by time; the
    others are a hash of what it names.
    """
    part = min((now_ns % _SECOND_NS << 16) // _SECOND_NS + attempt, 0xFFFF)
    return f"{part:04x}{hashlib.sha256(f'{named}|{now_ns}|{attempt}'.encode()).hexdigest()[:6]}"


class RunWriter:
    """Builds one run's folder beside its final place; `commit` renames it.

    Used as a context manager: leaving without `commit`, for whatever reason, removes what was
    written.
    """

    def __init__(self, root: Path, strategy: str, *, now_ns: int | None = None) -> None:
        self.now_ns = time.time_ns() if now_ns is None else now_ns
        self._parent = Path(root) / folder_name(strategy)
        above = (self._parent, *self._parent.parents)
        self._new_folders = [path for path in reversed(above) if not path.exists()]
        self._committed = False
        self.run_id, self.folder = self._claim(strategy)

    def _claim(self, strategy: str) -> tuple[str, Path]:
        """Reserve a run id: the folder is made exclusively, so two runs never share one."""
        try:
            make_folders(self._parent.parent, self._parent.name)
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._unwritten("a folder", problem) from problem
            raise InputError(
                f"the run cannot be stored in {self._parent}: {problem.strerror}",
                hint="name a folder you may write to with --out",
            ) from problem
        for attempt in range(10_000):
            run_id = run_id_at(strategy, self.now_ns, attempt)
            folder = self._parent / f".{run_id}.partial"
            if (self._parent / run_id).exists():
                continue
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return run_id, folder
        raise AssertionError("ten thousand run ids in one second are taken")

    @property
    def final(self) -> Path:
        """Where the folder stands once committed."""
        return self._parent / self.run_id

    def write_table(self, name: str, frame: pl.DataFrame) -> None:
        """Store a table as zstd Parquet.

        Raises
        ------
        RunError
            If it cannot be written: a full disk, a quota, a limit.
        """
        import polars as pl

        path = self.folder / f"{name}.parquet"
        try:
            with replacing(path) as file:
                frame.write_parquet(file, compression="zstd", compression_level=_ZSTD_LEVEL)
        except (OSError, pl.exceptions.PolarsError) as problem:
            raise self._unwritten(path.name, problem) from problem

    def write_json(self, name: str, value: Any) -> None:
        """Store a document."""
        self.write_text(name, dump_json(value))

    def write_text(self, name: str, text: str) -> None:
        """Store a text file."""
        self.write_bytes(name, text.encode("utf-8"))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Store a file; `name` may have one folder in it."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{name!r} is outside the run's folder")
        try:
            make_folders(self.folder, *Path(name).parent.parts)
            replace_file(path, data)
        except OSError as problem:
            raise self._unwritten(name, problem) from problem

    def _unwritten(self, name: str, problem: Exception) -> RunError:
        """Return which file could not be written, and why."""
        reason = problem.strerror if isinstance(problem, OSError) else None
        why = reason or str(problem).strip().partition("\n")[0].rpartition("IO error: ")[2]
        return RunError(
            f"the run could not be stored: writing {name} to {self._parent}: {why}",
            hint="make room there or name another folder with --out, and run again; "
            "nothing of this run was left behind",
        )

    def commit(self) -> Path:
        """Make the folder a result: one rename, so a reader sees all of it or nothing."""
        try:
            self.folder.rename(self.final)
        except OSError as problem:
            raise self._unwritten(self.run_id, problem) from problem
        self._committed = True
        return self.final

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._committed:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in reversed(self._new_folders):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _is_figure(value: float | None) -> bool:
    """Whether a figure is none or finite, and a float64 holds it."""
    try:
        return value is None or math.isfinite(float(value))
    except OverflowError:
        return False


class Run:
    """A stored run; every part is read when it is asked for."""

    reads_files = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def run_id(self) -> str:
        """The run's id, which is its folder's name."""
        return str(self.summary.get("run_id", self.folder.name))

    @cached_property
    def finding(self) -> JournalFinding | None:
        """What is wrong with its journal; None where nothing is, and of a backtest."""
        documents = self.__dict__
        modes = [mode_in(documents["manifest"])] if "manifest" in documents else []
        modes += [str(documents["summary"]["mode"])] if "summary" in documents and modes else []
        return journal_finding(self.folder, *modes)

    @property
    def doubt(self) -> str:
        """Why its journal cannot be relied on, as a clause about the run; empty where it can."""
        return self.finding.what if self.finding is not None else ""

    @cached_property
    def files_finding(self) -> FilesFinding | None:
        """Which files are not those that its journal records; None where nothing is wrong."""
        from septet._store.files_check import files_finding

        return files_finding(self.folder)

    @cached_property
    def tables_finding(self) -> FilesFinding | None:
        """Which tables of a run without a journal cannot be opened; None where all can."""
        from septet._store.files_check import tables_finding

        return tables_finding(self)

    @property
    def files_problem(self) -> str:
        """Finding about files or tables, with its hint, as text; empty if there is none."""
        finding = self.files_finding or self.tables_finding
        return "" if finding is None else f"{finding.message}; {finding.hint}"

    def _json(self, name: str, kind: type) -> Any:
        path = self.folder / name
        try:
            value = decode_json(read_bounded(path, _LONGEST))
        except FileNotFoundError as problem:
            raise damaged(self.folder, f"{name} is missing") from problem
        except (OSError, ValueError, RecursionError) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise damaged(self.folder, f"{name} cannot be read ({why})") from problem
        if not isinstance(value, kind):
            raise damaged(self.folder, f"{name} holds a {type(value).__name__}")
        return value

    def require_document_sizes(self) -> None:
        """Refuse a run one of whose documents is larger than any that is read.

        Raises
        ------
        InputError
            With the first.
        """
        for name, most in _DOCUMENTS.items():
            path = self.folder / name
            if os.path.lexists(path) and path.lstat().st_size > most:
                raise damaged(self.folder, f"{name} is larger than {most >> 20} MiB")

    def require_summary(self) -> dict[str, Any]:
        """Return the summary of a run that can be shown and reported.

        Raises
        ------
        InputError
            If its summary, its manifest, or the facts or halts in that are damaged.
        """
        summary = self.summary
        self.facts, self.halts  # noqa: B018 - they raise what is wrong
        return summary

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json, with every key of `SUMMARY` and of its kind."""
        value: dict[str, Any] = self._json("summary.json", dict)
        kinds: dict[str, Any] = {TEXT: str, COUNT: int, NUMBER: (int, float, type(None))}
        for key, kind in SUMMARY.items():
            is_kind = key in value and isinstance(value[key], kinds[kind])
            if not is_kind or (kind == NUMBER and not _is_figure(value[key])):
                shown = f"{value[key]!r}" if key in value else "nothing"
                fault = f"summary.json should hold a {kind} under {key}, found {shown}"
                raise damaged(self.folder, fault)
        return value

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """manifest.json."""
        value: dict[str, Any] = self._json("manifest.json", dict)
        return value

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """findings.json: what was wrong with the data and what was done about it."""
        value: list[dict[str, Any]] = self._json("findings.json", list)
        return value

    @cached_property
    def facts(self) -> RunFacts:
        """The facts of the manifest."""
        try:
            fields = dict(self.manifest["facts"])
            fields["symbols"] = tuple(fields["symbols"])
            facts = RunFacts(**fields)
        except (KeyError, TypeError, ValueError) as problem:
            raise damaged(self.folder, f"manifest.json lacks its facts ({problem})") from problem
        wrong = wrong_fact(facts)
        if wrong:
            raise damaged(self.folder, f"the facts in manifest.json have {wrong}")
        return facts

    @cached_property
    def halts(self) -> list[HaltEvent]:
        """Halts that tripped, in order."""
        try:
            return halts_in(self.manifest)
        except ValueError as problem:
            raise damaged(self.folder, f"manifest.json has {problem}") from problem

    @property
    def strategy_text(self) -> str:
        """The strategy file as it was."""
        try:
            return read_bounded(self.folder / "strategy.yaml", LONGEST_TEXT).decode("utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise damaged(self.folder, f"strategy.yaml cannot be read ({why})") from problem

    @property
    def left_out(self) -> tuple[str, ...]:
        """Tables the run was asked not to make."""
        return tuple(str(name) for name in self.manifest.get("left_out", ()))

    def has(self, name: str) -> bool:
        """Whether the run has a table of that name."""
        return (self.folder / f"{name}.parquet").is_file()

    def scan(self, name: str, *, whole: bool = True) -> pl.LazyFrame:
        """Scan a table lazily; its numbers are checked before, unless `whole` is not set."""
        import polars as pl

        if not self.has(name):
            if name in OPTIONAL_TABLES:
                return empty(name).lazy()
            if name in self.left_out:
                raise InputError(
                    f"run {self.run_id} has no {name}: it was made with --fast, which leaves "
                    "them out",
                    hint="run the strategy again without --fast: the result is the same",
                )
            raise damaged(self.folder, f"{name}.parquet is missing")
        path = self.folder / f"{name}.parquet"
        try:
            require_texts_within_memory(path)
            impossible = impossible_value(path, name) if whole else ""
        except DataError as problem:
            raise damaged(self.folder, problem.message) from problem
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
            raise self._unreadable(name, problem) from problem
        if impossible:
            raise damaged(self.folder, impossible)
        return pl.scan_parquet(path, glob=False)

    def collected(
        self, name: str, frame: pl.LazyFrame, engine: Literal["auto", "streaming"] = "auto"
    ) -> pl.DataFrame:
        """Read what `frame` asks of a table.

        Raises
        ------
        InputError
            The table is damaged.
        """
        import polars as pl

        try:
            return frame.collect(engine=engine)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
            raise self._unreadable(name, problem) from problem

    def _unreadable(self, name: str, problem: BaseException) -> InputError:
        first = (str(problem).splitlines() or ["for no reason given"])[0]
        return damaged(self.folder, f"{name}.parquet cannot be read ({first})")

    def table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a table, or some of its columns; dictionary-encoded text comes as text."""
        return self.collected(name, self.rows(name, columns))

    def rows(
        self, name: str, columns: Sequence[str] | None = None, *, whole: bool = True
    ) -> pl.LazyFrame:
        """Scan what `table` reads, with its columns and types checked: `collected` reads it.

        A caller that reads a part of the rows checks their numbers, and sets `whole` to False.

        Raises
        ------
        InputError
            The table is damaged, or would take too much memory as a whole.
        """
        import polars as pl

        try:
            frame = with_optional(name, self.scan(name, whole=whole))
            path = self.folder / f"{name}.parquet"
            if self.reads_files and path.exists():  # a run in memory has none
                columns_within_memory(path, columns)
            schema = frame.collect_schema()
        except DataError as problem:
            raise damaged(self.folder, problem.message) from problem
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
            raise self._unreadable(name, problem) from problem
        lacking = [key for key in (columns or TABLES[name]) if key not in schema]
        if lacking:
            raise damaged(self.folder, f"{name}.parquet lacks the columns {lacking}")
        kinds = {key: schema[key] for key in (columns or schema)}
        for key, dtype in kinds.items():
            kind = TABLES[name].get(key, NUMBER)
            if not fits(dtype, kind):
                raise damaged(self.folder, f"{name}.parquet holds {dtype} in {key}, not a {kind}")
        texts = [key for key, dtype in kinds.items() if dtype in (pl.Categorical, pl.Enum)]
        frame = frame if columns is None else frame.select(columns)
        return frame.with_columns(pl.col(texts).cast(pl.String)) if texts else frame
