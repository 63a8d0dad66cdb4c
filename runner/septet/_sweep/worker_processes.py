"""Other processes of a sweep, whose main module is septet's own.

A process that `multiprocessing` starts imports the script of its parent: one that is not written
for it (without ``if __name__ == "__main__"``) would run again in each of them. These are started
by a text that imports septet alone, and are sent objects of septet alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle  # nosec B403
import queue
import select
import struct
import subprocess  # nosec B404
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Final

__all__ = ["WorkerLost", "WorkerProcesses", "serve"]

_HEAD: Final = struct.Struct("<Q")
"""The length of a message between the processes."""
_LOOK_S: Final = 1.0
"""How often a process that gives no answer is asked whether it still runs."""
# Ctrl-C reaches every process of a terminal; the first one ends the others.
_PROGRAM: Final = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from importlib import import_module; "
    "from septet._sweep.worker_processes import serve; "
    "serve(getattr(import_module(sys.argv[1]), sys.argv[2]), int(sys.argv[3]))"
)


class WorkerLost(Exception):
    """A process ended without its answer."""


class _Worker:
    """One other process."""

    def __init__(self, opens: Callable[..., Callable[[Any], Any]]) -> None:
        self._answers, theirs = os.pipe()
        paths = [os.path.abspath(each) for each in sys.path]
        try:
            self._process = subprocess.Popen(  # nosec B603
                [
                    sys.executable, "-c", _PROGRAM,
                    opens.__module__, opens.__name__, str(theirs), *paths,
                ],
                pass_fds=(theirs,), stdin=subprocess.PIPE,
            )  # fmt: skip
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)

    def send(self, message: bytes) -> None:
        """Send something; a process that has ended raises when its answer is read."""
        stream = self._process.stdin
        assert stream is not None
        with contextlib.suppress(BrokenPipeError):
            stream.write(_HEAD.pack(len(message)) + message)
            stream.flush()

    def receive(self) -> Any:
        """Return the next answer.

        Raises
        ------
        WorkerLost
            If the process ended without one.
        """
        (size,) = _HEAD.unpack(self._read(_HEAD.size))
        return pickle.loads(self._read(size))  # nosec B301

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            # What a plugin started there may keep the pipe open after the process has ended.
            while not select.select([self._answers], [], [], _LOOK_S)[0]:
                if self._process.poll() is not None:
                    raise WorkerLost
            more = os.read(self._answers, min(size - len(found), 1 << 20))
            if not more:
                raise WorkerLost
            found += more
        return found

    def kill(self) -> None:
        """End the process, whatever it does; who waits for its answer is told so."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close what led to a process that has ended; nobody reads of it any more."""
        os.close(self._answers)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


def _read_task(stream: BinaryIO) -> bytes | None:
    """Return a message; None where the stream ends before it is whole."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size: int = _HEAD.unpack(head)[0]
    message = stream.read(size)
    return message if len(message) == size else None


class WorkerProcesses:
    """A number of processes that answer tasks.

    Parameters
    ----------
    number
        How many.
    opens
        A function of a module of septet, called once in each process; what it returns is called
        with each task.
    given
        What `opens` is called with.
    """

    def __init__(
        self, number: int, opens: Callable[..., Callable[[Any], Any]], given: Sequence[Any]
    ) -> None:
        self._workers: list[_Worker] = []
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(number)
        beginning = pickle.dumps(tuple(given))
        try:
            for _ in range(number):
                worker = _Worker(opens)
                self._workers.append(worker)
                worker.send(beginning)
                self._free.put(worker)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [each._process.pid for each in self._workers]

    def answers(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the answer to each task, in their order.

        Raises
        ------
        WorkerLost
            If a process ended before its answer.
        """
        return list(self._threads.map(self._answer, tasks))

    def _answer(self, task: Any) -> Any:
        worker = self._free.get()
        try:
            worker.send(pickle.dumps(task))
            return worker.receive()
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for each in self._workers:
            each.kill()
        self._threads.shutdown()  # each thread has read the end of its process
        for each in self._workers:
            each.close()


def serve(opens: Callable[..., Callable[[Any], Any]], answers: int) -> None:
    """Answer tasks until the process that sends them ends or has no more."""
    # Neither a plugin nor what it starts may read the tasks.
    tasks = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    with tasks, os.fdopen(answers, "wb") as out:
        beginning = _read_task(tasks)
        if beginning is None:
            return
        answer = opens(*pickle.loads(beginning))  # nosec B301
        while (task := _read_task(tasks)) is not None:
            found = pickle.dumps(answer(pickle.loads(task)))  # nosec B301
            out.write(_HEAD.pack(len(found)) + found)
            out.flush()
