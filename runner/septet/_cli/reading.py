"""Commands that read the folder of a run, which may be untrusted: defects become messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import click

from septet._app.reading import reading_run
from septet._cli.terminal import OutputError

__all__ = ["of_runs"]

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
