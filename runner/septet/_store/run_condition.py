"""The kind of a stored run, its defects, and the source of its figures.

Every list, page, line and document of a run asks here, so that all of them report the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import msgspec

from septet._store.damage_messages import JOURNAL

if TYPE_CHECKING:
    from septet._journal.journal_check import JournalFinding
    from septet._store.files_check import FilesFinding
    from septet._store.run_folder import Run

__all__ = ["RunCondition", "condition_of"]


class RunCondition(msgspec.Struct, frozen=True):
    """What a run is and what is wrong with it.

    `is_trading` is true of a paper or live run, whether it has its journal or not. `journal` is
    what is wrong with that, `files` which files are not those that it records, or which tables of
    a backtest cannot be opened. `figures` states where figures, verdict and tables come from: the
    journal, or the files beside it (of a backtest, and where the journal cannot be read or holds
    less than they do).
    """

    is_trading: bool
    figures: Literal["journal", "files"]
    journal: JournalFinding | None
    files: FilesFinding | None

    @property
    def doubt(self) -> str:
        """Why the journal cannot be relied on, as a clause about the run; empty where it can."""
        return "" if self.journal is None else self.journal.what

    @property
    def problem(self) -> str:
        """All findings with their hints as text; empty if there are none."""
        findings = [each for each in (self.journal, self.files) if each is not None]
        return ". ".join(f"{each.message}; {each.hint}" for each in findings)

    @property
    def exit_status(self) -> int:
        """The exit status of a command that shows the run."""
        findings = [each for each in (self.journal, self.files) if each is not None]
        return max((each.exit_status for each in findings), default=0)

    @property
    def is_held_known(self) -> bool:
        """Whether positions and open orders can be read from the journal, be they doubtful."""
        finding = self.journal
        return self.is_trading and (finding is None or finding.kind not in ("gone", "unreadable"))


def condition_of(run: Run, *, listed: bool = False) -> RunCondition:
    """Return what a run is and what is wrong with it.

    With `listed` it is one of a list: no table of a backtest is opened, and a journal is verified
    once for as long as it is not written (`listed_journals`).
    """
    from septet._store.listed_journals import listed_finding

    has_journal = os.path.isfile(run.folder / JOURNAL)
    kept = listed and has_journal and "finding" not in run.__dict__
    finding = listed_finding(run) if kept else run.finding
    return RunCondition(
        is_trading=has_journal or finding is not None,  # it is found gone of no backtest
        figures="files" if run.reads_files else "journal",
        journal=finding,
        files=run.files_finding or (None if listed else run.tables_finding),
    )
