"""The event loop of a live process: what libraries do to their sockets does not end it."""

from __future__ import annotations

import signal
import subprocess
import sys

CLOSED_UNDER_THE_LOOP = """
import asyncio, os, socket
from septet._live.process import new_loop

async def main():
    loop = asyncio.get_running_loop()
    for _ in range(3):
        watched, other = socket.socketpair()
        watched.setblocking(False)
        loop.add_reader(watched.fileno(), print)
        os.close(watched.detach())
        await asyncio.sleep(0.001)
        loop.remove_reader(other.fileno())
        other.close()
    print("goes on")

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""


CRASHES = """
import os, resource
from septet._live import process

def crashing(files):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()

process._require_one_account = crashing
process.run_live([], None)
"""


def test_a_process_that_a_library_aborts_leaves_a_traceback() -> None:
    """One that held a position ended without a line."""
    ended = subprocess.run(
        [sys.executable, "-c", CRASHES], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in ended.stderr
    assert "in crashing" in ended.stderr


def test_a_process_goes_on_when_a_descriptor_is_closed_while_its_loop_watches_it() -> None:
    """libuv aborts here, and ccxt brings uvloop along: it must not be used where it is present."""
    ended = subprocess.run(
        [sys.executable, "-c", CLOSED_UNDER_THE_LOOP], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "goes on\n"), ended.stderr
