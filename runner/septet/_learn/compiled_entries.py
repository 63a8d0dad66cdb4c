"""Compiled entries of this room, kept on disk between processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

from septet._kernel.step import jit, jit_entry, with_compiled_helpers

__all__ = ["compiled"]


# pickle is imported for the name of its error: nothing is unpickled here.
@cache
def compiled(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """Compile a kernel once; it lets go of the interpreter lock, so two threads share rows.

    A kernel and its helpers stand in one file, whose change makes the kept copy stale.
    """
    copy = with_compiled_helpers(function)
    try:
        entry: Callable[..., Any] = jit_entry(copy, signature, nogil=True)
    except (EOFError, OSError, pickle.UnpicklingError):  # a kept copy that is damaged
        entry = jit(copy, nogil=True)
    return entry
