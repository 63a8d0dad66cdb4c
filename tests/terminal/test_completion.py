"""The completion of the shells, as docs/terminal.md gives it, from a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def completed(shell: str, **words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from septet.cli import main; main()"],
        env={**os.environ, "_SEPTET_COMPLETE": shell, **words},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "script"),
    [("bash", "complete -o"), ("zsh", "#compdef septet"), ("fish", "complete --no-files")],
)
def test_each_shell_gets_its_script(shell: str, script: str) -> None:
    assert script in completed(f"{shell}_source")


def test_commands_and_options_are_completed() -> None:
    found = completed("bash_complete", COMP_WORDS="septet to", COMP_CWORD="1")
    assert found.splitlines() == ["plain,top"]
    found = completed("bash_complete", COMP_WORDS="septet top --o", COMP_CWORD="2")
    assert {"plain,--once", "plain,--out"} <= set(found.splitlines())
