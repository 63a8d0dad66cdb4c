"""Interrupts that come while the compiler's library calls back into Python.

ctypes prints an exception that leaves such a callback and goes on; the compiler then fails for
lack of its answer. Ctrl-C and a request to end would so look like a fault of the compiler.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from septet.errors import Cancelled

__all__ = ["interruptible"]


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise an interrupt that a callback has lost, whatever else follows from its loss.

    Only the main thread receives interrupts; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    lost: list[BaseException] = []
    before = sys.unraisablehook

    def keep(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt | Cancelled):
            lost.append(unraisable.exc_value)
        else:
            before(unraisable)

    sys.unraisablehook = keep
    try:
        yield
    except Exception:  # whatever the compiler raises for lack of the answer
        if not lost:
            raise
    finally:
        sys.unraisablehook = before
    if lost:
        raise lost[0]
