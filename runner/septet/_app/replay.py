"""Replays the journal of a run through the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from septet.errors import InputError

if TYPE_CHECKING:
    from septet._live.replay import Replayed
    from septet._progress import Progress
    from septet._store.run_folder import Run

__all__ = ["replay_document", "replay_run"]


def replay_run(
    run: Run,
    *,
    shadow: bool = False,
    progress: Progress | None = None,
    log: Callable[[str], None] | None = None,
) -> Replayed:
    """Compare every command of a paper or live run; with `shadow` its decisions with a backtest's.

    Raises
    ------
    InputError
        If the run has no journal, or cannot be built again here.
    JournalError
        If its journal is missing, was changed, or cannot be read to its end.
    """
    from septet._live.replay import JOURNAL
    from septet._live.replay import replay as replay_journal
    from septet._live.shadow import shadow as shadow_journal

    folder = run.folder
    if run.finding is not None and not run.finding.is_usable:
        raise run.finding.error()
    if not (folder / JOURNAL).exists():
        raise InputError(
            f"{folder} has no journal: it is a backtest's", hint="replay a paper or a live run"
        )
    work = shadow_journal if shadow else replay_journal
    return work(folder, progress=progress, log=log)


def replay_document(result: Replayed) -> dict[str, Any]:
    """Return it as plain data."""
    return {**asdict(result), "changed": list(result.changed)}
