"""The command line beside Python, to be compared with it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command, command_of

__all__ = ["septet_command"]


@pytest.fixture
def septet_command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process."""
    return command_of(capsys)
