"""Runs that are starting: a process holds the folder, and there is no journal yet.

Importing, compiling and reading history take seconds to minutes. A halt must reach the run in
that time as well, so its folder counts as that of a paper or live run while the lock in it is held.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from septet._store.damage_messages import JOURNAL, LIVE_SIGNS
from septet.errors import InputError

__all__ = ["BEGUN", "is_held", "is_live_folder", "is_starting", "starting_problem"]

BEGUN: Final = (JOURNAL, f"{JOURNAL}-tail", "manifest.json", "summary.json")
"""What no folder has whose run has not begun."""


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock in the folder of a paper or live run."""
    from septet._journal.lease import RUN_LOCK
    from septet._journal.lock import is_locked

    return is_locked(folder / RUN_LOCK)


def is_starting(folder: Path, names: Collection[str] | None = None) -> bool:
    """Whether a process begins a run in a folder and has made no journal yet.

    `names` are those in the folder, where they are known.
    """
    from septet._journal.lease import RUN_LOCK

    if names is not None and RUN_LOCK not in names:
        return False
    has_begun = any(os.path.lexists(folder / name) for name in BEGUN)
    return not has_begun and is_held(folder)


def is_live_folder(folder: Path) -> bool:
    """Whether a folder is that of a paper or live run, also of one that is starting."""
    return any(os.path.lexists(folder / name) for name in LIVE_SIGNS) or is_starting(folder)


def starting_problem(folder: Path) -> InputError:
    """Return the error of reading a run that is starting."""
    from septet._journal.lease import starting_process_in

    holder = starting_process_in(folder)
    process = f"process {holder.pid} on {holder.host}" if holder is not None else "its process"
    return InputError(
        f"run {folder.name} is starting: {process} has not made its journal yet",
        hint=f"wait until it has, or stop it from entering with `septet halt {folder}`",
    )
