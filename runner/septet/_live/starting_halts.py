"""Halts that were asked for while a run was starting, and lie in the folder of another run.

A start has no folder at first, and no journal for long. A person who halts ``latest`` or a
strategy's name in that time means what is about to trade as well, and the file HALT is written
into the folder that was found. A start therefore takes such a halt into its own folder, and that
of an earlier start which ended before its run began.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from septet._journal.lease import RUN_LOCK
from septet._journal.lock import is_locked
from septet._live.kill_switch import HALT, Asked, ask_halt, read_halt
from septet._store.starting_runs import BEGUN

__all__ = ["take_up_halts"]


def take_up_halts(folder: Path, *, began_ns: int, now_ns: int) -> list[str]:
    """Write halts that other folders hold, and that are meant for a starting run, into its own.

    Return a text on each. `began_ns` is the wall time (UTC ns) at which the command began.

    Raises
    ------
    RunError
        The folder cannot be written to.
    """
    taken = []
    for other in _halted_beside(folder):
        halt = read_halt(other)
        if halt is None:
            continue
        is_unbegun = other.parent == folder.parent and _is_unbegun(other)
        if not (is_unbegun or (halt.asked_ns >= began_ns and _means(halt, other, folder))):
            continue
        standing = read_halt(folder)
        if standing is None or standing.asked_ns < halt.asked_ns:
            ask_halt(
                folder, flatten=halt.action == "flatten", name=halt.name or "file",
                reason=f"{halt.reason} (asked of {other.name} before this run began)",
                now_ns=max(now_ns, halt.asked_ns),
            )  # fmt: skip
            taken.append(f"{halt.name or 'a person'} halted {other.name} before this run began")
        if is_unbegun:
            _forget(other)
    return taken


def _means(halt: Asked, other: Path, folder: Path) -> bool:
    """Whether a halt that was written elsewhere was asked for by words that mean a run as well."""
    if halt.reference == "latest":
        return True
    return other.parent == folder.parent and halt.reference == folder.parent.name


def _is_unbegun(folder: Path) -> bool:
    """Whether no run ever began in a folder, and none is about to."""
    return not any(os.path.lexists(folder / name) for name in BEGUN) and not is_locked(
        folder / RUN_LOCK
    )


def _halted_beside(folder: Path) -> Iterator[Path]:
    """Return the other folders of runs under the same root that hold a halt."""
    for strategy in _folders(folder.parent.parent):
        for other in _folders(strategy):
            if other != folder and os.path.lexists(other / HALT):
                yield other


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _forget(folder: Path) -> None:
    """Remove the folder of a start that never began; other content keeps it, without the halt."""
    with suppress(OSError):
        for name in (HALT, "log.jsonl", RUN_LOCK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
