"""Commands that read a run's folder, which may be untrusted: defects become messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from septet._app.run_folder_errors import reading_run
from septet._cli.terminal import OutputError, echo

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["of_runs", "problem_of", "report_finding"]

_PASSED_ON: Final = (
    click.exceptions.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError,
    OutputError,
)  # fmt: skip


def of_runs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command that reads folders of runs end with a message for any defect in them.

    The defect counts as wrong input, with status 2.
    """

    @wraps(command)
    def guarded(*arguments: Any, **chosen: Any) -> Any:
        with reading_run(*_PASSED_ON):
            return command(*arguments, **chosen)

    return guarded


def report_finding(
    run: Run, *, err: bool, shows: bool = True, files: bool = True, tables: bool = False
) -> int:
    """Print the defects of a run's journal and files; return the exit status.

    Commands that read a run call this first. `err` prints to stderr, for a command whose stdout is
    read by programs. With `shows` the command continues with what is readable. Without `files` only
    the journal counts, since the command rewrites the files. With `tables` the tables of a backtest
    are opened, for a command that would not read them.
    """
    from septet._store.journal_view import LiveRun

    lived, status = isinstance(run, LiveRun), 0
    finding, changed = run.finding, run.files_finding if files else None
    if finding is not None:
        follows = "what can be read of it" if lived else "its tables as they were last written"
        _print_finding(finding.message, finding.hint, follows if shows else "", err=err)
        status = finding.exit_status
    if changed is not None:
        follows = "what its journal holds" if lived else "its tables as they are"
        _print_finding(changed.message, changed.hint, follows if shows else "", err=err)
        status = max(status, changed.exit_status)
    if tables and (unread := run.tables_finding) is not None:
        _print_finding(unread.message, unread.hint, "the figures of its summary.json", err=err)
        status = max(status, unread.exit_status)
    return status


def _print_finding(message: str, hint: str, follows: str, *, err: bool) -> None:
    verb = "is" if follows.startswith("what") else "are"
    echo(f"{message}; what follows {verb} {follows}" if follows else message, err=err)
    echo(f"  {hint}", err=err)


def problem_of(run: Run) -> dict[str, str]:
    """Return the defects of a run's journal and files, as a part of a document."""
    from septet._store.files_check import problem_text

    text = problem_text(run)
    return {"problem": text} if text else {}
