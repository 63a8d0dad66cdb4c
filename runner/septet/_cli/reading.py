"""Commands that read the folder of a run, which may be untrusted: defects become messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from septet._app.reading import reading_run
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

    It is wrong input then, and the status is 2.
    """

    @wraps(command)
    def guarded(*words: Any, **chosen: Any) -> Any:
        with reading_run(*_PASSED_ON):
            return command(*words, **chosen)

    return guarded


def report_finding(run: Run, *, err: bool, shows: bool = True) -> int:
    """Print what is wrong with the journal of a run; return the exit status that it asks for.

    Whoever reads a journal calls this first. `err` prints to stderr, for a command whose stdout is
    read by programs. `shows` says that the command goes on with what can be read.
    """
    from septet._store.journal_view import LiveRun

    finding = run.finding
    if finding is None:
        return 0
    if shows and not isinstance(run, LiveRun):
        echo(f"{finding.message}; what follows are its tables as they were last written", err=err)
    elif shows:
        echo(f"{finding.message}; what follows is what can be read of it", err=err)
    else:
        echo(finding.message, err=err)
    echo(f"  {finding.hint}", err=err)
    return finding.exit_status


def problem_of(run: Run) -> dict[str, str]:
    """Return what is wrong with the journal of a run, as a part of a document; else empty."""
    finding = run.finding
    return {} if finding is None else {"problem": f"{finding.message}; {finding.hint}"}
