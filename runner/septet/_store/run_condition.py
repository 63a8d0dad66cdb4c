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
    """The kind of a run and its defects.

    `is_trading` is true for a paper or live run, with or without its journal. `journal` is the
    defect of the journal, `files` the files that differ from its record, or the tables of a
    backtest that cannot be opened. `figures` states the source of figures, verdict and tables: the
    journal, or the files (for a backtest, and if the journal is unreadable or less complete).
    """

    is_trading: bool
    figures: Literal["journal", "files"]
    journal: JournalFinding | None
    files: FilesFinding | None

    @property
    def doubt(self) -> str:
        """Why the journal is unreliable, as a clause about the run; empty if it is reliable."""
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
        """Whether positions and open orders can be read from the journal, reliable or not."""
        finding = self.journal
        return self.is_trading and (finding is None or finding.kind not in ("gone", "unreadable"))


def condition_of(run: Run, *, listed: bool = False) -> RunCondition:
    """Return the kind of a run and its defects.

    With `listed` no table of a backtest is opened, and a journal is verified once until it is
    written again (`listed_journals`).
    """
    from septet._store.listed_journals import listed_finding

    has_journal = os.path.isfile(run.folder / JOURNAL)
    kept = listed and has_journal and "finding" not in run.__dict__
    finding = listed_finding(run) if kept else run.finding
    return RunCondition(
        is_trading=has_journal or finding is not None,  # a backtest has no journal to miss
        figures="files" if run.reads_files else "journal",
        journal=finding,
        files=run.files_finding or (None if listed else run.tables_finding),
    )
