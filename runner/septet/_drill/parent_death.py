"""Runs a module in a process that ends with the process that started it, however that ends.

On Linux the kernel sends the child SIGTERM as soon as its parent is gone, killed or not: no handler
of the parent has to run. For the kernel the parent is the thread that started the child, which has
to live as long as the child. Elsewhere only a parent that ends in order ends its children.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

from septet._kernel.garbage_collection import collect_seldom

__all__ = ["command_of", "main"]

_PARENT_DEATH_SIGNAL: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def command_of(module: str, *words: str) -> list[str]:
    """Return the command that runs a module as a child of this process, and ends with it."""
    return [sys.executable, "-m", "septet._drill.parent_death", f"{os.getpid()}", module, *words]


def _end_with(parent: int) -> None:
    """Ask for SIGTERM at the end of the parent; send it now if the parent has ended already."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the module that the second word names, with the words after it."""
    parent, module, *words = sys.argv[1:]
    _end_with(int(parent))
    collect_seldom()
    sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
