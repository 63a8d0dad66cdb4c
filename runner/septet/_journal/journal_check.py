"""Checks that a run's journal holds everything that was written, for its readers.

Every command that reads a journal reports these findings, in these words.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from septet._journal.disk_reserve import reserve_of
from septet._journal.journal_files import projected_seq, read_mark
from septet._journal.lease import holder_of, mark_path
from septet._journal.reader import Reader, guarded, understood
from septet._journal.verify import walk, walk_at_rest
from septet._journal.write_ahead_tail import read_tail, tail_of
from septet.errors import JournalError, SeptetError

__all__ = [
    "FindingKind", "JournalFinding", "query_readable", "doubt_of", "require_verified_journal",
    "check", "check_file", "is_without_tail", "missing_entries_text", "open_to_check",
]  # fmt: skip

Answer = TypeVar("Answer")
FindingKind = Literal["gone", "unreadable", "changed", "torn", "short"]
_KEEP: Final = "keep the folder: positions and orders may be open, look at the venue; "
_HINTS: Final[dict[str, str]] = {
    "unreadable": _KEEP + "put journal.sqlite back from a backup, with journal.sqlite-wal and "
    "journal.sqlite-tail if it has them",
    "changed": _KEEP + "put journal.sqlite back from a backup. What follows from a changed "
    "journal proves nothing, and no start continues it: `septet run FILE --fresh` begins another "
    "run",
    "torn": _KEEP + "the next start of the run cuts the journal back to its last good entry, "
    "keeps the damaged file beside it and reports what was lost; a backup that has more entries "
    "is better",
    "short": _KEEP + "put a newer copy of the folder back if there is one, journal.sqlite-wal and "
    "journal.sqlite-tail included; without one the next start reports the loss: a paper run "
    "continues, a live run continues only after a power loss, and else `septet run FILE --fresh` "
    "begins another run",
}


@dataclass(frozen=True, slots=True)
class JournalFinding:
    """The reason why the journal of a run cannot be trusted, or not up to its end.

    ``gone``: the file is missing. ``unreadable``: it cannot be opened. ``changed``: it is not what
    was written. ``torn``: its end cannot be read. ``short``: the last entries are missing, of which
    the mark, a snapshot or the manifest knows, or the tail of a run that has not ended. `what`
    describes it of "the run", `message` names the folder. Entries up to `last` are intact; `lost`
    is how many are missing after the last one, None if that is unknown.
    """

    kind: FindingKind
    message: str
    what: str
    hint: str
    last: int = 0
    lost: int | None = 0

    @classmethod
    def of(
        cls, kind: FindingKind, folder: Path, mode: str, fault: str, *, hint: str = "",
        last: int = 0, lost: int | None = 0,
    ) -> JournalFinding:  # fmt: skip
        """Make the finding of a run's folder; `mode` is the run's, empty if it is not known."""
        name = f"the {mode} run in {folder}" if mode else f"the run in {folder}"
        return cls(kind, f"{name} {fault}", f"the run {fault}", hint or _HINTS[kind], last, lost)

    @property
    def exit_status(self) -> int:
        """The exit status of a command that read the journal."""
        return 1 if self.kind == "short" else 2

    @property
    def is_usable(self) -> bool:
        """Whether the remaining entries can be verified: they are intact, but incomplete."""
        return self.kind == "short"

    def error(self) -> JournalError:
        """Return the error of a command that cannot use such a journal."""
        return JournalError(self.message, hint=self.hint)


def open_to_check(path: Path) -> Reader:
    """Open a journal, a file with fewer pages than its header states included; nothing is written.

    Raises
    ------
    SeptetError
        It cannot be opened.
    """
    with suppress(JournalError):
        return Reader(path)
    return Reader(path, salvage=True)


def query_readable(path: Path, ask: Callable[[Reader], Answer]) -> Answer:
    """Query a journal; a damaged one is read up to its last intact entry.

    Raises
    ------
    SeptetError
        It cannot be read, for another reason than that it is damaged or was changed.
    """
    with open_to_check(path) as reader:
        try:
            with understood(path):
                return ask(reader)
        except JournalError:
            finding = check(reader)
            if finding is None or finding.is_usable:
                raise
            reader.read_until = finding.last
            with understood(path):
                return ask(reader)


def check_file(path: Path, mode: str = "") -> JournalFinding | None:
    """Check the journal at a path; `mode` is what is known of the run if it cannot be opened."""
    try:
        with open_to_check(path) as reader:
            return check(reader)
    except SeptetError as problem:
        why = problem.message.removeprefix(f"{path}: ")
        fault = f"has a journal that cannot be read: {why}"
        return JournalFinding.of("unreadable", path.parent, mode, fault, hint=problem.hint)


def check(reader: Reader) -> JournalFinding | None:
    """Return what is wrong with a journal, by its hash chain and the records of its end.

    Those are the mark of this machine, the snapshots, the manifest beside it, which states up to
    which entry the tables were made, and the tail, which a run has until it has ended. None if all
    of it is there as it was written.
    """
    folder, head = reader.path.parent, reader.head
    committed = read_mark(mark_path(head.run_id)).committed  # first: the run may be active
    expected = max(committed, projected_seq(reader.path, head.run_id))
    with guarded(reader.path, "verifying"):
        if holder_of(folder) is not None:
            findings = walk(reader, expected=expected)
        else:
            findings = walk_at_rest(reader, expected=expected, committed=committed)
    if findings.broken:
        fault = f"has a journal that was changed: {findings.broken}"
        return JournalFinding.of("changed", folder, head.mode, fault, last=findings.last)
    if findings.torn:
        fault = f"has a journal that is damaged at its end: {findings}"
        lost_count = findings.lost or 0
        return JournalFinding.of(
            "torn", folder, head.mode, fault, last=findings.last, lost=lost_count
        )
    lost = findings.lost
    if not lost and is_without_tail(reader):
        lost = None
    if lost != 0:
        fault = f"has a journal that lacks its end: {missing_entries_text(lost, findings.last)}"
        return JournalFinding.of("short", folder, head.mode, fault, last=findings.last, lost=lost)
    return None


def is_without_tail(reader: Reader) -> bool:
    """Whether a journal is a part of one that was being written: its newest entries are missing.

    A run has a tail until it has ended, and beside it its reserve; a copy of its journal without
    the tail lacks what was not moved into the database yet.
    """
    path = reader.path
    with guarded(tail_of(path), "reading the tail"):
        if tail_of(path).exists() and not read_tail(tail_of(path), reader.first_hash).alien:
            return False
    if not reserve_of(path).exists() and reader.has_ended:  # after the tail: a run may be starting
        return False
    return holder_of(path.parent) is None


def doubt_of(reader: Reader) -> str:
    """Return what is wrong with a journal as a clause about the run; empty if nothing is."""
    try:
        finding = check(reader)
    except JournalError as problem:
        return f"the run has a journal that cannot be read: {problem.message}"
    return finding.what if finding is not None else ""


def require_verified_journal(reader: Reader) -> int | None:
    """Verify a journal before a proof; return how many of its last entries it lacks.

    None where it lacks an unknown number.

    Raises
    ------
    JournalError
        The journal was changed (the message names the place), or its end is torn.
    """
    finding = check(reader)
    if finding is not None and not finding.is_usable:
        raise finding.error()
    return finding.lost if finding is not None else 0


def missing_entries_text(count: int | None, last: int) -> str:
    """Return the text that a journal lacks its last entries; None means an unknown number."""
    if count is None:
        return (
            f"how many entries are gone after entry {last:,} is not known: the run had not ended, "
            "and its journal.sqlite-tail is missing"
        )
    many = "1 entry is" if count == 1 else f"{count:,} entries are"
    return f"{many} gone after entry {last:,}"
