"""Checks of the files of a run: against its journal, and of a backtest that its tables open.

Every command that shows such a run reports what is found here, in these words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from septet._files import open_regular, size_and_hash
from septet._results.result import TABLES
from septet._store.damage_messages import JOURNAL, damaged, hint_for
from septet._store.run_condition import condition_of
from septet.errors import InputError, SeptetError

if TYPE_CHECKING:
    from septet._journal.files_record import FilesRecord
    from septet._store.run_folder import Run

__all__ = ["FILES", "FilesFinding", "files_finding", "problem_text", "tables_finding"]

FILES: Final = (
    "summary.json", "manifest.json", "findings.json", "resolved.json", "strategy.yaml",
    *(f"{name}.parquet" for name in TABLES),
)  # fmt: skip
"""Files that are read of a run's folder, apart from its journal."""
_MADE: Final = ("summary.json", *(f"{name}.parquet" for name in TABLES))
"""Files that only a stop or an export writes."""
_ADDED: Final = "added"
"""Files that the sentence names last."""
_NAMED: Final = 4
_KEPT_HASHES: Final = 4096
_LARGEST: Final = 4 << 30
"""Largest size of a file: an untrusted record may state any size, and sparse files cost nothing."""
_EXPORT: Final = (
    "`septet runs export {folder}` writes them again from the journal; copy the folder before, if "
    "you need to know what was changed"
)
_REMOVE: Final = "; remove what was added"


class FilesFinding(msgspec.Struct, frozen=True):
    """Files of a run that differ from its journal's record, or are unreadable.

    `what` states it of "the run", `message` names the folder.
    """

    message: str
    what: str
    hint: str

    @property
    def exit_status(self) -> int:
        """Exit status of a command that shows the run from its journal."""
        return 1


def files_finding(folder: Path) -> FilesFinding | None:
    """Return the defects of the files that a stop or an export wrote; None if there are none.

    None as well for a backtest; for a run in progress or killed, which is read from its journal
    only; and for a run whose journal is unreadable, which is reported instead.
    """
    path = folder / JOURNAL
    if not os.path.isfile(path):
        return None
    from septet._journal.files_record import read_files_record
    from septet._journal.lease import holder_of
    from septet._journal.reader import Reader

    with suppress(SeptetError, OSError), Reader(path) as reader:
        sessions = reader.sessions()
        if holder_of(folder) is not None or (sessions and sessions[-1].clean is None):
            return None
        try:
            fault = _compare(folder, read_files_record(reader))
        except SeptetError:
            fault = (
                "has a journal whose record of its tables and documents was changed, or is damaged"
            )
        if not fault:
            return None
        mode = reader.head.mode
        hint = _EXPORT.format(folder=folder) + (_REMOVE if fault.endswith(f" {_ADDED}") else "")
        return FilesFinding(f"the {mode} run in {folder} {fault}", f"the run {fault}", hint)
    return None


def tables_finding(run: Run) -> FilesFinding | None:
    """Return the tables of a run without a journal that cannot be opened; None if all can.

    A table is opened, and its columns and their types are read, not its rows. A missing table
    counts, unless the run was configured not to write it.
    """
    if os.path.lexists(run.folder / JOURNAL):
        return None
    reasons = []
    for name in TABLES:
        try:
            if name not in run.left_out:
                run.rows(name)
        except InputError as problem:
            reasons.append(problem.message.removeprefix(damaged(run.folder, "").message))
    if not reasons:
        return None
    reasons = list(dict.fromkeys(reasons))  # without a manifest the reason is the same for all
    more = f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    fault = f"is damaged: {'; '.join(reasons[:_NAMED])}{more}"
    message = f"the run in {run.folder} {fault}"
    return FilesFinding(message, f"the run {fault}", hint_for(run.folder))


def problem_text(run: Run) -> str:
    """Return the defects of a run's journal and files; empty if there are none."""
    return condition_of(run).problem


def _compare(folder: Path, record: FilesRecord | None) -> str:
    """Return the differences of the files from a journal's record; empty if there are none."""
    if record is None:
        if not any(os.path.lexists(folder / name) for name in _MADE):
            return ""
        return "has tables and documents that its journal does not record"
    parts = []
    for names, word in _differences(folder, record.files):
        shown = ", ".join(names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        parts += [f"{shown}{more} {word}"] if names else []
    return f"has files that are not those its journal records: {'; '.join(parts)}" if parts else ""


def _differences(folder: Path, files: Mapping[str, tuple[int, str]]) -> list[tuple[list[str], str]]:
    """Return the names of files that were changed, are missing, or were added."""
    known = [name for name in FILES if name in files]
    present = [name for name in FILES if os.path.lexists(folder / name)]
    return [
        ([each for each in known if each in present and not _is(folder / each, *files[each])],
         "changed"),
        ([each for each in known if each not in present], "missing"),
        ([each for each in present if each not in files], _ADDED),
    ]  # fmt: skip


def _is(path: Path, size: int, digest: str) -> bool:
    """Whether a file has the given size and SHA-256; a file of another size is not read."""
    try:
        state = path.lstat()
        if state.st_size != size or size > _LARGEST:
            return False
        signs = size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev
        return _read_hash(path, signs) == digest
    except OSError:
        return False


@lru_cache(_KEPT_HASHES)
def _read_hash(path: Path, signs: tuple[int, ...]) -> str:
    """Hash a file once until it is written again: lists of runs are built repeatedly."""
    with open_regular(path, follow=False) as file:
        return size_and_hash(file)[1]
