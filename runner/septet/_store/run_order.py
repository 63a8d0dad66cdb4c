"""Which of several folders is the latest run: by the run's id, not by the folder's name.

A folder may have been copied or renamed. Of copies of one run the one that was written last is
the one that runs, or ran last: a backup beside a live run must not be taken for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from septet._files import read_bounded
from septet._text import decode_json
from septet_schemas.late_patterns import late_pattern

__all__ = ["run_id_in", "run_order"]

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


def run_order(folder: Path) -> tuple[str, int, str]:
    """Return what folders of runs are sorted by: the id, the last write, the name."""
    return run_id_in(folder), max(map(_written_ns, _paths(folder))), folder.name


def _paths(folder: Path) -> list[Path]:
    return [folder / name for name in _WRITTEN]


def _written_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0
