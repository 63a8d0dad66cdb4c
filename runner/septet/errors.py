"""Every error septet raises on purpose.

::

    SeptetError                 one root; `exit_code` is what the command line returns
    ├── InputError          2   the input is wrong; nothing ran
    │   ├── ConfigError     2   the strategy file: every problem at once, each with its place
    │   ├── DataError       2   market data that cannot be used, and why
    │   ├── ModelError      2   a stored model that does not fit the file
    │   └── PluginError     2   a plugin that is unknown, ambiguous or cannot be imported
    ├── RunError            1   it arose while running
    │   └── JournalError    1   the journal cannot be written, read or trusted
    ├── HaltedError         3   a paper or live run was stopped by a halt
    └── Cancelled         130   whoever asked for the work stopped it; nothing of it is kept

A bug is never one of these: it keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "Cancelled",
    "ConfigError",
    "DataError",
    "HaltedError",
    "InputError",
    "JournalError",
    "ModelError",
    "PluginError",
    "Problem",
    "RunError",
    "SeptetError",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a strategy file, and where.

    `line` and `column` count from 1; 0 means the place is not in the file (a flag, an
    environment variable, the file as a whole). `severity` is ``error`` or ``warning``.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""
    expected: str = ""
    found: str = ""
    hint: str = ""
    severity: str = "error"

    @property
    def place(self) -> str:
        """``file:line:column``, or the file alone."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        message = f"warning: {self.message}" if self.severity == "warning" else self.message
        head = ": ".join(part for part in (self.place, self.key, message) if part)
        detail = [
            f"  {name}: {text}"
            for name, text in (
                ("expected", self.expected),
                ("found", self.found),
                ("hint", self.hint),
            )
            if text
        ]
        return "\n".join([head, *detail])


class SeptetError(Exception):
    """Root of every error that is meant for the user.

    `key` is the dotted key of the strategy file that it is about, below the block that was read,
    or from the top if it begins with a dot; `problem` is its place in the file, once known.
    `is_alerted` is whether the run that it ended has sent an alert about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.key = key
        self.problem: Problem | None = None
        self.is_alerted = False

    def __str__(self) -> str:
        if self.problem is not None:
            return str(self.problem)
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InputError(SeptetError):
    """The input is wrong; nothing ran."""

    exit_code: ClassVar[int] = 2


class ConfigError(InputError):
    """A strategy file with problems, all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(InputError):
    """Market data that cannot be used."""


class ModelError(InputError):
    """A stored model that does not fit the strategy file."""


class PluginError(InputError):
    """A plugin that is unknown, ambiguous, or cannot be imported."""


class RunError(SeptetError):
    """The input was right and the run failed all the same."""

    exit_code: ClassVar[int] = 1


class JournalError(RunError):
    """The journal of a run cannot be written, read or trusted; the message states which."""


class HaltedError(SeptetError):
    """A paper or live run was stopped by a halt."""

    exit_code: ClassVar[int] = 3


class Cancelled(SeptetError):
    """The work was stopped by whoever asked for it, and left nothing behind."""

    exit_code: ClassVar[int] = 130
