"""Upper bound of the time that the process of a live run takes to exit after its work.

Python waits at its exit for every thread of a pool. A library that sends an alert may wait in one
for an answer that never ends, and the next start would wait for the lease of this process.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Final

__all__ = ["EXIT_S", "bound_exit"]

EXIT_S: Final = 2.0
"""Seconds from the end of a live run's work to the end of its process."""


def bound_exit(status: int) -> None:
    """End this process with a status after `EXIT_S`, whatever its threads wait for.

    A process that did not trade is not bounded: what it still does is its work.
    """
    if "septet._live.process" in sys.modules:
        timer = threading.Timer(EXIT_S, _exit, (status,))
        timer.daemon = True  # a daemon thread does not delay a normal exit
        timer.start()


def _exit(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, full, or another thread's
            stream.flush()
    os._exit(status)
