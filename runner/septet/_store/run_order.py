"""Selects the latest run of several folders by the run's id, not by the folder's name.

A folder may have been copied or renamed. Of copies of one run the one that a process holds is the
one that runs, otherwise the one that was written last ran last: a backup beside a live run must not
be taken for it, though it may have been written a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from septet._files import read_bounded
from septet._text import decode_json
from septet_schemas.late_patterns import late_pattern

__all__ = ["in_order", "run_id_in"]

_ID: Final = late_pattern(r"\d{8}T\d{6}Z-[0-9a-f]+")
_WRITTEN: Final = ("journal.sqlite", "journal.sqlite-tail", "journal.sqlite-wal", "log.jsonl")
_LONGEST: Final = 64 << 20


def run_id_in(folder: Path) -> str:
    """Return the id of the run in a folder, whatever the folder is called."""
    if _ID.fullmatch(folder.name):
        return folder.name
    manifest = folder / "manifest.json"
    try:
        return str(decode_json(read_bounded(manifest, _LONGEST))["run_id"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return folder.name


def in_order(folders: Iterable[Path]) -> list[Path]:
    """Return folders of runs by their ids; of copies of one run the one in use comes last."""
    by_id: dict[str, list[Path]] = {}
    for each in folders:
        by_id.setdefault(run_id_in(each), []).append(each)
    return [each for _, copies in sorted(by_id.items()) for each in _by_use(copies)]


def _by_use(copies: Sequence[Path]) -> Sequence[Path]:
    if len(copies) == 1:
        return copies
    return sorted(copies, key=_use)


def _use(folder: Path) -> tuple[bool, int, str]:
    from septet._journal.lease import RUN_LOCK
    from septet._journal.lock import is_locked

    written_ns = max(map(_written_ns, _paths(folder)))
    return is_locked(folder / RUN_LOCK), written_ns, folder.name


def _paths(folder: Path) -> list[Path]:
    return [folder / name for name in _WRITTEN]


def _written_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0
