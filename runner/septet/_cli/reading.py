"""Reads the folder of a run, which may be untrusted: defects become messages."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from septet._cli.terminal import OutputError
from septet.errors import InputError, JournalError, SeptetError

__all__ = ["of_runs"]

_PASSED_ON: Final = (
    SeptetError, click.exceptions.ClickException, click.exceptions.Exit, click.Abort,
    BrokenPipeError, OutputError,
)  # fmt: skip


def of_runs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command that reads folders of runs end with a message for any defect in them.

    A journal that cannot be read is wrong input here, and leaves with status 2. Values that no run
    writes may stand in any field of a folder's documents and make anything fail.
    """

    @wraps(command)
    def guarded(*words: Any, **chosen: Any) -> Any:
        try:
            return command(*words, **chosen)
        except JournalError as problem:
            raise InputError(problem.message, hint=problem.hint) from problem
        except _PASSED_ON:
            raise
        except Exception as problem:  # any value may stand in any field, and make anything fail
            last = traceback.extract_tb(problem.__traceback__)[-1]
            raise InputError(
                f"the run cannot be read: {type(problem).__name__}: {str(problem)[:200]} "
                f"({Path(last.filename).name}:{last.lineno})",
                hint="what its folder holds was not written by this septet; where nobody "
                "changed it, report these words as a bug",
            ) from problem

    return guarded
