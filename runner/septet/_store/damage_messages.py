"""Messages about a damaged run folder, and about a missing journal."""

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

__all__ = [
    "JOURNAL", "LIVE_SIGNS", "damaged", "hint_for", "is_trading", "journal_finding", "mode_in",
    "mode_of",
]  # fmt: skip

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
    return mode_in(manifest)


def mode_in(manifest: object) -> str:
    """Return the mode that a manifest names; empty where it names none."""
    facts = manifest.get("facts") if isinstance(manifest, Mapping) else None
    mode = facts.get("mode") if isinstance(facts, Mapping) else None
    return mode if isinstance(mode, str) else ""


def is_trading(folder: Path) -> bool:
    """Whether a folder is that of a paper or live run, whatever of it is missing.

    Its manifest names such a mode, or it holds what only such a run leaves.
    """
    return any(os.path.lexists(folder / name) for name in LIVE_SIGNS) or mode_of(folder) in _TRADING


def hint_for(folder: Path) -> str:
    """Return what to do about a damaged run: only a backtest's folder may be deleted."""
    if os.path.isfile(folder / JOURNAL):
        return _EXPORT.format(folder=folder)
    if is_trading(folder):
        return _GONE.format(folder=folder)
    return _BACKTEST if mode_of(folder) == "backtest" else _UNKNOWN_MODE.format(folder=folder)


def damaged(folder: Path, fault: str) -> InputError:
    """Return the error of a run that is damaged."""
    return InputError(f"the run in {folder} is damaged: {fault}", hint=hint_for(folder))


def journal_finding(folder: Path, *modes: str) -> JournalFinding | None:
    """Return what is wrong with the journal of a run, in the words that every command reports.

    None of a journal that is whole, and of a backtest, which has none. `modes` are those that its
    documents name; without them its manifest is read.
    """
    has_journal = os.path.isfile(folder / JOURNAL)
    named = [mode for mode in modes or (mode_of(folder),) if mode in _TRADING]
    if not (has_journal or named or any(os.path.lexists(folder / name) for name in LIVE_SIGNS)):
        return None
    mode = named[0] if named else ""
    from septet._journal.journal_check import JournalFinding, check_file

    if has_journal:
        return check_file(folder / JOURNAL, mode)
    fault = (
        f"has lost its journal: {JOURNAL} is missing, and what it holds and what rests is not known"
    )
    return JournalFinding.of("gone", folder, mode, fault, hint=_GONE.format(folder=folder))
