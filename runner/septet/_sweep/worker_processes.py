"""Other processes of a sweep, whose main module is septet's own.

A process that `multiprocessing` starts imports the script of its parent: one that is not written
for it (without ``if __name__ == "__main__"``) would run again in each of them. These are started
by a text that imports septet alone, and are sent objects of septet alone.
"""

from __future__ import annotations

import os
import pickle
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from septet._child_process import ChildProcess, framed, read_message, search_path

__all__ = ["WorkerProcesses", "serve"]

# Ctrl-C reaches every process of a terminal; the first one ends the others.
_PROGRAM: Final = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from septet._kernel.garbage_collection import collect_seldom; collect_seldom(); "
    "from importlib import import_module; "
    "from septet._sweep.worker_processes import serve; "
    "serve(getattr(import_module(sys.argv[2]), sys.argv[3]), int(sys.argv[1]))"
)


class WorkerProcesses:
    """A number of processes that answer tasks.

    Parameters
    ----------
    number
        How many.
    opens
        A function of a module of septet, called once in each process; its result is called
        with each task.
    given
        The arguments of `opens`.
    """

    def __init__(
        self, number: int, opens: Callable[..., Callable[[Any], Any]], opened_with: Sequence[Any]
    ) -> None:
        self._workers: list[ChildProcess] = []
        self._free: queue.SimpleQueue[ChildProcess] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(number)
        beginning = pickle.dumps(tuple(opened_with))
        arguments = [opens.__module__, opens.__name__, *search_path()]
        try:
            for _ in range(number):
                worker = ChildProcess(_PROGRAM, arguments)
                self._workers.append(worker)
                worker.send(beginning)
                self._free.put(worker)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [each.pid for each in self._workers]

    def answers(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the answer to each task, in their order.

        Raises
        ------
        ChildLost
            If a process ended before its answer.
        """
        return list(self._threads.map(self._answer, tasks))

    def _answer(self, task: Any) -> Any:
        worker = self._free.get()
        try:
            worker.send(pickle.dumps(task))
            return pickle.loads(worker.receive())  # noqa: S301
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End the processes at once."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for each in self._workers:
            each.kill()
        self._threads.shutdown()  # each thread has read the end of its process's output
        for each in self._workers:
            each.close()


def serve(opens: Callable[..., Callable[[Any], Any]], answers: int) -> None:
    """Answer tasks until the sending process ends or has no more."""
    # Neither a plugin nor what it starts may read the tasks.
    tasks = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    with tasks, os.fdopen(answers, "wb") as out:
        beginning = read_message(tasks)
        if beginning is None:
            return
        answer = opens(*pickle.loads(beginning))  # noqa: S301
        while (task := read_message(tasks)) is not None:
            out.write(framed(pickle.dumps(answer(pickle.loads(task)))))  # noqa: S301
            out.flush()
