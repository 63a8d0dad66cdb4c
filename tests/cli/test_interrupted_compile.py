"""Ctrl-C while a plan is compiled, at the command and in Python: nothing half-written is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import septet
from septet._agents.guide import EXAMPLE

_SCRIPT = """
import signal, sys
from numba.core import event
import septet
from septet.errors import Cancelled


class Interrupt(event.Listener):
    # A person presses Ctrl-C once, in the middle of the compiler's work.
    passes = 0

    def on_start(self, event):
        self.passes += 1
        if self.passes == 40:
            signal.raise_signal(signal.SIGINT)

    def on_end(self, event):
        pass


strategy = septet.load(sys.argv[1])
with event.install_listener("numba:run_pass", Interrupt()) as pressed:
    try:
        septet.run(strategy)
    except Cancelled as error:
        print(error)
assert pressed.passes >= 40
print(septet.run(strategy).summary.trades)
"""


def _stored(cache: Path) -> list[str]:
    """Return what an interrupted compiler may not leave: machine code, and half of any file."""
    kept = {".py", ".json", ""}
    return [each.name for each in cache.rglob("*") if each.is_file() and each.suffix not in kept]


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_ctrl_c_while_a_plan_is_compiled(tmp_path: Path) -> None:
    cache, runs, file = tmp_path / "cache", tmp_path / "runs", tmp_path / "cross.yaml"
    file.write_text(EXAMPLE)
    environment = {**os.environ, "SEPTET_CACHE": str(cache), "SEPTET_COMPILE": "always"}
    words = [sys.executable, "-m", "septet.cli", "run", str(file), "--out", str(runs)]
    with subprocess.Popen(
        words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as command:  # fmt: skip
        assert command.stderr is not None
        line = next(each for each in command.stderr if "compiling" in each)
        command.send_signal(signal.SIGINT)
        printed, reported = command.communicate(timeout=200)
    assert command.returncode == 130, line + reported
    assert printed == ""
    assert "Traceback" not in reported
    assert not runs.exists() or list(runs.iterdir()) == []
    assert _stored(cache) == []

    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(file)], env=environment, capture_output=True,
        text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trades = septet.run(septet.load(file)).summary.trades
    assert done.stdout.splitlines() == ["interrupted during the run", str(trades)]
