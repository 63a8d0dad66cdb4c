"""A backtest in a process of its own: it ends with whoever started it, and its try stays."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from septet._app.trial_records import listed_tries
from septet._jobs.backtest_process import Backtest, run_in_process
from septet.errors import Cancelled
from tests.dashboard.test_backtests import SLOW
from tests.dashboard.test_strategies import TEXT

SERVER = """\
import json, subprocess, sys

class Told(subprocess.Popen):
    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        print(self.pid, flush=True)

subprocess.Popen = Told
from septet._jobs.backtest_process import Backtest, run_in_process

run_in_process(
    Backtest(**json.loads(sys.argv[1])), lambda stage, *more: print(stage, flush=True)
)
"""
WITHIN_MS = 120_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "cross.yaml").write_text(TEXT)
    return tmp_path


def wanted(folder: Path, text: str) -> Backtest:
    return Backtest(
        workspace=str(folder / "files"), runs=str(folder / "runs"), file="cross.yaml", text=text,
        settings={}, face="page",
    )  # fmt: skip


def tries() -> int:
    return len(listed_tries()[1])


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a process is watched as Linux has it")
@pytest.mark.parametrize(
    ("text", "stage", "counted"), [(SLOW, "training", 0), (TEXT, "store", 1)], ids=["fit", "store"]
)
def test_it_ends_when_its_server_is_killed_and_its_try_stays(
    folder: Path, text: str, stage: str, counted: int
) -> None:
    """In a fit nothing asks whether to go on; what could be seen when it was stored is a try."""
    given = json.dumps(asdict(wanted(folder, text)))
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, given], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        watched = os.pidfd_open(int(server.stdout.readline()))
        try:
            assert any(line.strip() == stage for line in server.stdout)
            server.kill()
            poll = select.poll()
            poll.register(watched, select.POLLIN)
            assert poll.poll(WITHIN_MS), "it goes on without its server"
        finally:
            os.close(watched)
    assert tries() == counted


def test_a_backtest_that_is_cancelled_while_it_is_stored_stays_a_try(folder: Path) -> None:
    def progress(stage: str, done: int, total: int | None, text: str, /) -> None:
        if stage == "store":
            raise Cancelled("a person has cancelled it")

    with pytest.raises(Cancelled):
        run_in_process(wanted(folder, TEXT), progress)
    assert tries() == 1
