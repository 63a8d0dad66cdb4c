"""Handles interrupts that arrive while the compiler's library calls back into Python.

ctypes prints an exception raised in such a callback and continues; the compiler then fails since
it has no result. Ctrl-C and a termination signal would look like a failure of the compiler.
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
    """Raise an interrupt that a callback has lost, in place of the error that follows from it.

    Only the main thread receives interrupts; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    lost: list[BaseException] = []
    previous_hook = sys.unraisablehook

    def keep(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt | Cancelled):
            lost.append(unraisable.exc_value)
        else:
            previous_hook(unraisable)

    sys.unraisablehook = keep
    try:
        yield
    except Exception:  # whatever the compiler raises for lack of the answer
        if not lost:
            raise
    finally:
        sys.unraisablehook = previous_hook
    if lost:
        raise lost[0]
