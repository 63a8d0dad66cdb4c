"""Reading of a run's folder, which may be untrusted: defects become error messages."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from septet.errors import InputError, JournalError, SeptetError

__all__ = ["reading_run"]


@contextmanager
def reading_run(*passed_on: type[BaseException]) -> Iterator[None]:
    """Turn any defect in the folder of a run into an error with a message.

    An unreadable journal counts as wrong input. Any field of a folder's documents may have values
    that no run writes, and cause any exception; `passed_on` are exceptions with other causes.

    Raises
    ------
    InputError
        In place of what was raised.
    """
    passed: tuple[type[BaseException], ...] = (SeptetError, *passed_on)
    try:
        yield
    except JournalError as problem:
        raise InputError(problem.message, hint=problem.hint) from problem
    except passed:
        raise
    except Exception as problem:  # any field may have any value, and cause any exception
        last = traceback.extract_tb(problem.__traceback__)[-1]
        raise InputError(
            f"the run cannot be read: {type(problem).__name__}: {str(problem)[:200]} "
            f"({Path(last.filename).name}:{last.lineno})",
            hint="what its folder holds was not written by this septet; where nobody "
            "changed it, report these words as a bug",
        ) from problem
