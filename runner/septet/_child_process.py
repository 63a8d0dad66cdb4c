"""A process of this program beside the one that runs, and the messages between the two.

It is started by a text that imports septet alone, not by importing the script of its parent. It
reads what is asked of its standard input, and answers through a pipe of its own: what a plugin
prints there is no answer.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final

__all__ = ["ChildLost", "ChildProcess", "ChildSilent", "framed", "read_message", "search_path"]

_HEAD: Final = struct.Struct("<Q")
"""The length of a message."""
_POLL_S: Final = 1.0
"""How often a process that gives no answer is asked whether it still runs."""
_LOOK_S: Final = 0.1


class ChildLost(Exception):
    """The process ended without its answer."""


class ChildSilent(Exception):
    """The process gave no answer in time."""


class ChildProcess:
    """One other process.

    Parameters
    ----------
    program
        Text of Python. `sys.argv` holds the handle that it writes answers to, and `arguments`.
    arguments
        What else the program is given.
    options
        More for `subprocess.Popen`: environment, folder, what becomes of its output.
    """

    def __init__(self, program: str, arguments: Sequence[str], **options: Any) -> None:
        self._answers, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", program, str(theirs), *arguments],
                pass_fds=(theirs,), stdin=subprocess.PIPE, **options,
            )  # fmt: skip
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def send(self, message: bytes) -> None:
        """Send a message; that the process has ended is found when its answer is read."""
        stream = self._process.stdin
        assert stream is not None
        with contextlib.suppress(BrokenPipeError):
            stream.write(framed(message))
            stream.flush()

    def receive(
        self, ends: float = float("inf"), look: Callable[[], object] | None = None
    ) -> bytes:
        """Return the next answer.

        Parameters
        ----------
        ends
            Until when it is waited for, by `time.monotonic`.
        look
            Called ten times a second while it is waited for; what it raises ends the waiting.

        Raises
        ------
        ChildLost
            If the process ended without one.
        ChildSilent
            If none came in time.
        """
        (size,) = _HEAD.unpack(self._read(_HEAD.size, ends, look))
        return self._read(size, ends, look)

    def _read(self, size: int, ends: float, look: Callable[[], object] | None) -> bytes:
        found, poll_s = b"", _POLL_S if look is None else _LOOK_S
        while len(found) < size:
            if look is not None:
                look()
            left = ends - time.monotonic()
            if left <= 0.0:
                raise ChildSilent
            # What a plugin started there may keep the pipe open after the process has ended.
            if not select.select([self._answers], [], [], min(left, poll_s))[0]:
                if self._process.poll() is not None:
                    raise ChildLost
                continue
            more = os.read(self._answers, min(size - len(found), 1 << 20))
            if not more:
                raise ChildLost
            found += more
        return found

    def kill(self) -> None:
        """End the process, whatever it does; a thread that waits for its answer finds it lost."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the pipes to a process that has ended; nobody reads of it any more."""
        os.close(self._answers)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


def search_path() -> list[str]:
    """Return where modules are found, as seen from any working folder."""
    return [os.path.abspath(each) for each in sys.path]


def framed(message: bytes) -> bytes:
    """Return a message as it is sent: its length, then the message."""
    return _HEAD.pack(len(message)) + message


def read_message(stream: BinaryIO) -> bytes | None:
    """Return the next message; None where the stream ends before it is whole."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size: int = _HEAD.unpack(head)[0]
    message = stream.read(size)
    return message if len(message) == size else None
