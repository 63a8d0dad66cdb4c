"""Every command of docs/tutorial.md runs, in order, and prints what the page shows."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
INSTALLS = ("python3 -m venv", "pip install")
"""What these commands do is tested by tests/test_layout.py, which builds the wheel."""


def _examples() -> list[tuple[str, str]]:
    """Return each command and what the page shows of its output."""
    found = []
    text = PAGE.read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append((command, shown))
    return found


def _plain(text: str) -> str:
    """Return a text as its lines hold it: no escapes, no spaces at the ends, no empty lines."""
    lines = (line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines())
    return "\n".join(line for line in lines if line)


def test_the_tutorial_shows_what_happens(tmp_path: Path) -> None:
    ran = 0
    environment = {
        **os.environ,
        "SEPTET_COMPILE": "never",
        "SEPTET_STATE_DIR": str(tmp_path / "state"),
        "COLUMNS": "100",
    }
    for command, shown in _examples():
        if command.startswith(INSTALLS):
            continue
        words = shlex.split(command)
        assert words[0] == "septet", command
        done = subprocess.run(
            [sys.executable, "-m", "septet.cli", *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        fails = "error:" in shown
        assert done.returncode == (2 if fails else 0), f"{command}\n{done.stdout}{done.stderr}"
        printed = _plain(done.stderr if fails else done.stdout)
        wanted = _plain(shown) + ("" if shown.rstrip().endswith("...") else "...")
        matches = doctest.OutputChecker().check_output(
            wanted, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
        assert matches, f"$ {command}\nshown:\n{wanted}\nprinted:\n{printed}"
        ran += 1
    assert ran == 8
