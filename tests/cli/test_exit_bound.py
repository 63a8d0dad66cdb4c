"""A live run's process ends, whatever a thread of a library waits for."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAITS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

started = Event()

def wait():
    started.set()
    Event().wait()

ThreadPoolExecutor(1).submit(wait)
started.wait()
import septet._live.process
from septet.cli import main
sys.argv = ["septet", *sys.argv[1:]]
main()
"""
"""A pool waits for what never comes, as apprise's does for a service that answers byte by byte."""


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["no-such-command"], 2)])
def test_a_pool_that_waits_for_ever_does_not_keep_the_process(words: list[str], status: int):
    done = subprocess.run(
        [sys.executable, "-c", WAITS, *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    assert (done.stdout + done.stderr).strip()
