"""The arrays that plain steps receive: inputs that cannot be made writeable, slots of their own.

A view that is only marked as read-only is marked as writeable again by its holder, and its `base`
is the array itself. The arrays made here stand on memory that knows no owner: the flag cannot be
set, and `base` leads to no other array.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

import numpy as np

__all__ = ["detached", "read_only_of", "sealed"]

_READ: Final = 0x100
_WRITE: Final = 0x200
_memory: Any = ctypes.pythonapi.PyMemoryView_FromMemory
_memory.restype = ctypes.py_object
_memory.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)


def read_only_of(array: Any) -> Any:
    """Return the same numbers, to read alone, whatever its holder does with flags or `base`."""
    return _on_memory(array, _READ)


def detached(array: Any) -> Any:
    """Return the same numbers, to read and to write, without a way to the array around them."""
    return _on_memory(array, _WRITE)


def _on_memory(array: Any, access: int) -> Any:
    if not array.size:
        return np.zeros(array.shape, array.dtype)
    if not array.flags.c_contiguous:
        assert access == _READ, "slots of a step lie side by side"
        array = np.ascontiguousarray(array)
    memory = _memory(array.ctypes.data, array.nbytes, access)
    # the array lives as long as what stands on it
    weakref.finalize(memory, _release, array).atexit = False
    return np.frombuffer(memory, array.dtype).reshape(array.shape)


def _release(array: Any) -> None:
    """Do nothing: the call that waits for the end of a memory holds its array until then."""


def sealed(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """Return a plain step, of parameters `names`, that is given its arrays so.

    An array that is given again, bar after bar, is made once.
    """
    pairs: list[tuple[Any, Any]] = [(None, None)] * len(names)

    @wraps(function)
    def called(*originals: Any) -> Any:
        arguments = list(originals)
        for position, each in enumerate(originals):
            if isinstance(each, np.ndarray):
                pair = pairs[position]
                if pair[0] is not each:
                    make_array = detached if names[position] == "state" else read_only_of
                    pairs[position] = pair = each, make_array(each)
                arguments[position] = pair[1]
        return function(*arguments)

    return called
