"""Processes of a sweep: they import septet, and never the script that called it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from septet._child_process import ChildLost
from septet._sweep.worker_processes import WorkerProcesses
from tests.python.samples import written

SCRIPT = """\
import os, sys
with open("lines.txt", "a") as file:
    file.write(f"begins {os.getpid()}\\n")
import septet
from septet._sweep import backtest_evaluator

backtest_evaluator._START_SECONDS = 0.0
opened = []
begin = backtest_evaluator._open_pool
backtest_evaluator._open_pool = lambda *given: opened.append(begin(*given)) or opened[0]
swept = septet.sweep(septet.load(sys.argv[1]), {"features.fast.period": [*range(2, 12)]}, threads=2)
with open("lines.txt", "a") as file:
    file.write(f"ends with {len(opened)} pools, {swept.settings['status'].to_list().count('done')}")
"""


def answering(first: int) -> Callable[[int], tuple[int, int]]:
    """Return what adds to a number, and says in which process."""
    return lambda task: (first + task, os.getpid())


def dying(first: int) -> Callable[[int], int]:
    """Return what ends its process."""
    return lambda task: os._exit(first + task)


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_a_plain_script_runs_once(tmp_path: Path, how: str) -> None:
    """It has no ``if __name__ == "__main__"``; a text on stdin could not be imported at all."""
    path = written(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py" if how == "file" else "-", str(path)],
        cwd=tmp_path, input=SCRIPT if how == "stdin" else "", capture_output=True, text=True,
        env={**os.environ, "SEPTET_COMPILE": "never"}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "lines.txt").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == ["begins", "ends with 1 pools,"]
    assert lines[1].endswith(" 10")


def test_answers_come_in_the_order_of_the_tasks() -> None:
    pool = WorkerProcesses(2, answering, (100,))
    try:
        found = pool.answers(range(20))
        assert [number for number, _ in found] == [*range(100, 120)]
        assert {pid for _, pid in found} <= set(pool.pids)
        assert os.getpid() not in pool.pids
    finally:
        pool.close()
    for pid in pool.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("how", ["by itself", "from outside"])
def test_a_process_that_ends_is_lost(how: str) -> None:
    pool = WorkerProcesses(2, dying if how == "by itself" else answering, (3,))
    try:
        if how == "from outside":
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(ChildLost):
            pool.answers([1, 2, 3])
    finally:
        pool.close()
