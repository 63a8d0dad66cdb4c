"""Running the command line inside the test's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from septet.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit status and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def command_of(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what runs the command line, and takes what it prints."""

    def command(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        code = left.value.code
        assert isinstance(code, int)
        return Outcome(code, printed.out, printed.err)

    return command


@pytest.fixture
def septet(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_of(capsys)
