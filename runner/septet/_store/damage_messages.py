"""Messages about a run's folder that is damaged, and about a journal that is gone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._files import read_bounded
from septet._text import decode_json
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._journal.journal_check import JournalFinding

__all__ = ["JOURNAL", "LIVE_SIGNS", "damaged", "hint_for", "journal_finding", "mode_of"]

JOURNAL: Final = "journal.sqlite"
"""What a paper or live run has, and is read from."""
LIVE_SIGNS: Final = (JOURNAL, f"{JOURNAL}-tail", "log.jsonl")
"""What only a paper or live run leaves."""
_LONGEST: Final = 256 << 20
_TRADING: Final = ("paper", "live")
_BACKTEST: Final = "run the strategy again; the folder is safe to delete"
_EXPORT: Final = (
    "keep the folder: its journal is what counts, and positions and orders may be open; "
    "`septet runs export {folder}` writes the tables and the summary again from the journal"
)
_GONE: Final = (
    "keep the folder: positions and orders may be open, look at the venue; put journal.sqlite "
    "back from a backup, then `septet runs export {folder}` writes the tables again"
)
_UNKNOWN_MODE: Final = (
    "keep the folder: whether it is a backtest cannot be determined. Of a paper or live run the "
    "journal is what counts, and positions and orders may be open: look at the venue; with its "
    "journal.sqlite put back, `septet runs export {folder}` writes the tables again"
)


def mode_of(folder: Path) -> str:
    """Return the mode that the manifest of a run names; empty where it cannot be read."""
    try:
        manifest = decode_json(read_bounded(folder / "manifest.json", _LONGEST))
    except (OSError, ValueError, RecursionError):
        return ""
    facts = manifest.get("facts") if isinstance(manifest, Mapping) else None
    mode = facts.get("mode") if isinstance(facts, Mapping) else None
    return mode if isinstance(mode, str) else ""


def hint_for(folder: Path) -> str:
    """Return what to do about a damaged run: only a backtest's folder may be deleted."""
    if os.path.isfile(folder / JOURNAL):
        return _EXPORT.format(folder=folder)
    mode = mode_of(folder)
    if mode in _TRADING or any(os.path.lexists(folder / name) for name in LIVE_SIGNS):
        return _GONE.format(folder=folder)
    return _BACKTEST if mode == "backtest" else _UNKNOWN_MODE.format(folder=folder)


def damaged(folder: Path, what: str) -> InputError:
    """Return the error of a run that is damaged."""
    return InputError(f"the run in {folder} is damaged: {what}", hint=hint_for(folder))


def journal_finding(folder: Path) -> JournalFinding | None:
    """Return what is wrong with the journal of a run, in the words that every command reports.

    None of a journal that is whole, and of a backtest, which has none.
    """
    mode, has_journal = mode_of(folder), os.path.isfile(folder / JOURNAL)
    if not has_journal and mode not in _TRADING:
        return None
    from septet._journal.journal_check import JournalFinding, check_file

    if has_journal:
        return check_file(folder / JOURNAL, mode)
    what = (
        f"has lost its journal: {JOURNAL} is missing, and what it holds and what rests is not known"
    )
    return JournalFinding.of("gone", folder, mode, what, hint=_GONE.format(folder=folder))
