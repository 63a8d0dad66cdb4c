"""Reading the folder of a run, which may be untrusted: defects become messages."""

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

    A journal that cannot be read is wrong input here. Values that no run writes may stand in any
    field of a folder's documents and make anything fail; `passed_on` are exceptions that are none
    of that.

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
    except Exception as problem:  # any value may stand in any field, and make anything fail
        last = traceback.extract_tb(problem.__traceback__)[-1]
        raise InputError(
            f"the run cannot be read: {type(problem).__name__}: {str(problem)[:200]} "
            f"({Path(last.filename).name}:{last.lineno})",
            hint="what its folder holds was not written by this septet; where nobody "
            "changed it, report these words as a bug",
        ) from problem
