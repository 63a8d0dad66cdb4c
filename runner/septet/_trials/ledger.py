"""The ledger: one append-only SQLite file of the user with every backtest and sweep.

A trial is a plan on data. The same plan on the same months is one trial, however often it runs and
whichever client runs it: each client and each hypothesis has a row, and the count is of plans.
Trials never expire, since selection bias does not. Each row contains the hash of the row before, so
that every run detects a row that was changed or removed: see `ledger_mark`. If the ledger cannot
answer it reports the reason; it never returns 1 for an unknown number.

With `SEPTET_TRIALS=off` there is no ledger, and verdicts state this.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import msgspec
import numpy as np

from septet._files import make_folders, open_append, require_regular_files
from septet._journal.state_folder import state_folder
from septet._results.previous_trials import Tries
from septet._trials.effective import effective_number
from septet._trials.ledger_mark import read_mark, signs_of_ledger, write_mark
from septet._trials.months import Month

if TYPE_CHECKING:
    from septet._data.bars import Floats

__all__ = [
    "BLOCKS",
    "OFF",
    "Known",
    "Ledger",
    "LedgerError",
    "Row",
    "Trial",
    "has_begun",
    "is_off",
    "ledger_path",
]

OFF: Final = "the ledger of trials is off (SEPTET_TRIALS=off)"
FORMAT: Final = 3
BLOCKS: Final = -1
"""The first day of returns that are sums over blocks of days."""
OVERLAP: Final = 0.25
"""Share of a run's months that another trial must have in common with it to count."""
MOST_ROWS: Final = 2_000
"""How many trials, the newest first, are compared by their daily returns."""
Row: TypeAlias = tuple[int, str, str, str, str, str]
"""Time (UTC ns), strategy, face, client, hypothesis and plan."""
_BUSY_MS: Final = 10_000
_SCHEMA: Final = """
CREATE TABLE months (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, count INTEGER NOT NULL)
  STRICT;
CREATE TABLE month (
  id INTEGER NOT NULL REFERENCES months, closes TEXT NOT NULL, asset TEXT NOT NULL) STRICT;
CREATE INDEX month_closes ON month (closes);
CREATE INDEX month_asset ON month (asset);
CREATE TABLE trials (
  seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, plan BLOB NOT NULL, file BLOB NOT NULL,
  months INTEGER NOT NULL REFERENCES months, strategy TEXT NOT NULL, first_day INTEGER NOT NULL,
  returns BLOB NOT NULL, face TEXT NOT NULL, client TEXT NOT NULL, hypothesis TEXT NOT NULL,
  hash BLOB NOT NULL, UNIQUE (plan, months, client, hypothesis)) STRICT;
CREATE INDEX trials_file ON trials (file);
CREATE TRIGGER trials_stay BEFORE DELETE ON trials BEGIN SELECT RAISE (ABORT, 'append only'); END;
CREATE TRIGGER trials_same BEFORE UPDATE ON trials BEGIN SELECT RAISE (ABORT, 'append only'); END;
"""


class LedgerError(Exception):
    """The ledger cannot be read or written; the text is the reason, for a verdict."""

    @property
    def hint(self) -> str:
        """What to do; a full or read-only disk is not a fault of the file."""
        if isinstance(self.__cause__, OSError | sqlite3.OperationalError):
            return "leave the file as it is; it needs a disk with room that may be written to"
        return (
            "put the file back from a copy, or move it and the file `-mark` beside it away: a "
            "ledger is then begun, and what was tried before is not known"
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """A plan on data, as stored.

    `plan` is a digest of the resolved values, plugins and models. `file` is the same without
    models, because more data give more models: it identifies the file that was tried. `returns` are
    daily returns from day `first_day` on (days since 1970), one per calendar day, NaN on days
    without one, stored as float32; for a setting of a sweep they are sums over blocks of days, and
    `first_day` is `BLOCKS`.
    """

    plan: bytes
    file: bytes
    strategy: str
    first_day: int
    returns: Floats
    face: str = "command line"
    client: str = ""
    hypothesis: str = ""


class Known(msgspec.Struct, frozen=True):
    """The ledger's answer for some months: a number of plans, and when the file was first tried."""

    tries: Tries
    file_first_ns: int | None = None


def ledger_path() -> Path:
    """Return the path of this user's ledger."""
    return state_folder() / "trials.sqlite"


def has_begun(path: Path) -> bool:
    """Whether a ledger exists, or once existed."""
    return path.exists() or read_mark(path) is not None


def is_off() -> bool:
    """Whether the user has switched the ledger off."""
    return os.environ.get("SEPTET_TRIALS", "").strip().lower() in ("off", "0", "no")


class Ledger:
    """The open ledger; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path, mark = path, read_mark(path)
        if mark is not None and not path.exists():
            raise LedgerError(f"{path} is missing: it had {_rows(mark.seq)}")
        signs = signs_of_ledger(path)
        try:
            make_folders(path.parent.parent, path.parent.name, mode=0o700)
            if path.exists():
                require_regular_files(path)
            else:
                os.close(open_append(path, mode=0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1_000)
        except (OSError, sqlite3.Error) as problem:
            raise LedgerError(f"{path} cannot be used: {problem}") from problem
        try:
            self._prepare()
            if mark is None or mark.signs != signs:
                self.verify_rows()
        except sqlite3.Error as problem:
            self._db.close()
            raise LedgerError(f"{path} cannot be used: {problem}") from problem
        except LedgerError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            with self._writing():
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _statements(_SCHEMA):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {FORMAT}")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise LedgerError(
                f"{self.path} has format {version}, and this septet writes {FORMAT}; moved away, "
                "another is begun"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and write its state to the mark."""
        last = None
        with suppress(sqlite3.Error):  # a mark that stays is verified
            last = self._db.execute("SELECT seq, hash FROM trials ORDER BY seq DESC LIMIT 1")
            last = last.fetchone()
        self._db.close()
        if last is not None:
            write_mark(self.path, *last)

    # ------------------------------------------------------------ writing

    def record(self, months: Sequence[Month], trials: Iterable[Trial], now_ns: int) -> int:
        """Write trials on some months; return how many of them are new.

        Raises
        ------
        LedgerError
            The file is locked, damaged or read-only, or the disk is full.
        """
        try:
            with self._writing():
                months_id = self._id_of_months(months)
                last_row = self._db.execute(
                    "SELECT seq, hash FROM trials ORDER BY seq DESC LIMIT 1"
                )
                seq, last = last_row.fetchone() or (0, b"")
                new = 0
                for trial in trials:
                    row = _row(trial, months_id, now_ns)
                    digest = _chained(last, row)
                    inserted = self._db.execute(
                        "INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (seq + 1, *row, digest),
                    )
                    if inserted.rowcount == 1:
                        seq, last, new = seq + 1, digest, new + 1
                return new
        except sqlite3.Error as problem:
            raise LedgerError(f"{self.path} cannot be written: {problem}") from problem

    def _id_of_months(self, months: Sequence[Month]) -> int:
        text = "\n".join(f"{each.closes} {each.asset}" for each in sorted(set(months)))
        digest = hashlib.sha256(text.encode()).digest()
        existing = self._db.execute("SELECT id FROM months WHERE digest = ?", (digest,)).fetchone()
        if existing:
            return int(existing[0])
        distinct_months = sorted(set(months))
        inserted = self._db.execute(
            "INSERT INTO months (digest, count) VALUES (?, ?)", (digest, len(distinct_months))
        )
        rows = [(inserted.lastrowid, each.closes, each.asset) for each in distinct_months]
        self._db.executemany("INSERT INTO month VALUES (?, ?, ?)", rows)
        return int(inserted.lastrowid or 0)

    # ------------------------------------------------------------ reading

    def is_empty(self) -> bool:
        """Whether it has no trials yet."""
        return self._db.execute("SELECT 1 FROM trials LIMIT 1").fetchone() is None

    def known(self, months: Sequence[Month], file: bytes = b"", *, declared: int = 0) -> Known:
        """Return the number of plans tried on months that overlap these by a quarter or more.

        Two months are the same if they have the same closes, the same hash of a column, or the same
        asset. `declared` tries made elsewhere are added.

        Raises
        ------
        LedgerError
            The file cannot be read, or its rows were changed.
        """
        try:
            self._find_overlapping(months)
            counted = self._db.execute(
                "SELECT count(DISTINCT plan) FROM trials WHERE months IN (SELECT id FROM shared)"
            ).fetchone()[0]
            newest = self._db.execute(
                "SELECT plan, first_day, returns FROM trials "
                "WHERE months IN (SELECT id FROM shared) ORDER BY seq DESC LIMIT ?",
                (MOST_ROWS,),
            ).fetchall()
            first = self._db.execute(
                "SELECT min(at_ns) FROM trials WHERE file = ?", (file,)
            ).fetchone()[0]
        except sqlite3.Error as problem:
            raise LedgerError(f"{self.path} cannot be read: {problem}") from problem
        rows = {plan: (day, np.frombuffer(data, "<f4")) for plan, day, data in reversed(newest)}
        tries = counted + max(0, declared)
        days = [each for each in rows.values() if each[0] != BLOCKS]
        sums = [(0, values) for day, values in rows.values() if day == BLOCKS]
        worth = effective_number(tries, _aligned(days), _aligned(sums))
        return Known(Tries(tries, worth, max(0, declared)), first)

    def _find_overlapping(self, months: Sequence[Month]) -> None:
        """Fill the table `shared` with the sets of months that have enough of these in common."""
        distinct_months = sorted(set(months))
        with closing(self._db.cursor()) as cursor:
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS ours (closes TEXT, asset TEXT)")
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS shared (id INTEGER PRIMARY KEY)")
            cursor.execute("DELETE FROM ours")
            cursor.execute("DELETE FROM shared")
            cursor.executemany(
                "INSERT INTO ours VALUES (?, ?)",
                [(each.closes, each.asset) for each in distinct_months],
            )
            cursor.execute(
                "INSERT INTO shared SELECT id FROM ("
                "SELECT m.id AS id, o.asset AS ours FROM ours o JOIN month m USING (closes) UNION "
                "SELECT id, asset FROM month WHERE asset IN (SELECT asset FROM ours)) "
                "GROUP BY id HAVING count(DISTINCT ours) >= ?",
                (OVERLAP * len({each.asset for each in distinct_months}),),
            )

    def months_of(self, strategy: str) -> tuple[Month, ...]:
        """Return the months on which plans with this name were tried.

        Raises
        ------
        LedgerError
            The file cannot be read.
        """
        try:
            rows = self._db.execute(
                "SELECT DISTINCT closes, asset FROM month WHERE id IN "
                "(SELECT months FROM trials WHERE strategy = ?)",
                (strategy,),
            ).fetchall()
        except sqlite3.Error as problem:
            raise LedgerError(f"{self.path} cannot be read: {problem}") from problem
        return tuple(Month(*each) for each in rows)

    def rows(self, months: Sequence[Month] | None = None) -> list[Row]:
        """Return rows in the order of writing: all, or those that `known` counts for some months.

        Raises
        ------
        LedgerError
            The file cannot be read.
        """
        try:
            if months is not None:
                self._find_overlapping(months)
                return self._db.execute(
                    "SELECT at_ns, strategy, face, client, hypothesis, lower(hex(plan)) FROM trials"
                    " WHERE months IN (SELECT id FROM shared) ORDER BY seq"
                ).fetchall()
            return self._db.execute(
                "SELECT at_ns, strategy, face, client, hypothesis, lower(hex(plan)) FROM trials"
                " ORDER BY seq"
            ).fetchall()
        except sqlite3.Error as problem:
            raise LedgerError(f"{self.path} cannot be read: {problem}") from problem

    def strategies(self) -> list[tuple[str, int, int, int]]:
        """Return strategies with their plans and the times of the first and last try (UTC ns).

        Raises
        ------
        LedgerError
            The file cannot be read.
        """
        try:
            return self._db.execute(
                "SELECT strategy, count(DISTINCT plan), min(at_ns), max(at_ns) FROM trials "
                "GROUP BY strategy ORDER BY max(at_ns)"
            ).fetchall()
        except sqlite3.Error as problem:
            raise LedgerError(f"{self.path} cannot be read: {problem}") from problem

    def verify_rows(self) -> int:
        """Verify the hashes of all rows; return the number of rows.

        Raises
        ------
        LedgerError
            A row was changed or removed, or the mark has a later row than the file.
        """
        mark, last, count = read_mark(self.path), b"", 0
        rows = self._db.execute(
            "SELECT seq, at_ns, plan, file, months, strategy, first_day, returns, face, client, "
            "hypothesis, hash FROM trials ORDER BY seq"
        )
        for seq, *row, digest in rows:
            if seq != count + 1 or _chained(last, tuple(row)) != digest:
                raise LedgerError(f"{self.path}: row {count + 1} is not the one that was written")
            last, count = digest, seq
            if mark is not None and seq == mark.seq and digest.hex() != mark.digest:
                raise LedgerError(f"{self.path}: row {seq} is not the one that was written")
        if mark is not None and mark.seq > count:
            raise LedgerError(
                f"{self.path} lacks its end: it had {_rows(mark.seq)} and has {count:,}"
            )
        return count


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _statements(script: str) -> Iterator[str]:
    part = ""
    for line in script.splitlines():
        part += line + "\n"
        if sqlite3.complete_statement(part):
            yield part
            part = ""


def _row(trial: Trial, months_id: int, now_ns: int) -> tuple[object, ...]:
    returns = np.ascontiguousarray(trial.returns, "<f4").tobytes()
    return (
        now_ns, trial.plan, trial.file, months_id, trial.strategy, trial.first_day, returns,
        trial.face, trial.client, trial.hypothesis,
    )  # fmt: skip


def _chained(last: bytes, row: tuple[object, ...]) -> bytes:
    parts = [last]
    for value in row:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts += (len(data).to_bytes(8, "little"), data)
    return hashlib.sha256(b"".join(parts)).digest()


def _aligned(rows: Sequence[tuple[int, Floats]]) -> Floats:
    """Align returns on the days that any of them has; NaN elsewhere; shape (N, n)."""
    non_empty = [(day, values) for day, values in rows if len(values)]
    if not non_empty:
        return np.zeros((0, 0))
    first = min(day for day, _ in non_empty)
    end = max(day + len(values) for day, values in non_empty)
    aligned = np.full((len(non_empty), end - first), np.nan)
    for row, (day, values) in enumerate(non_empty):
        aligned[row, day - first : day - first + len(values)] = values
    return aligned
