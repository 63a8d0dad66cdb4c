"""Work in one background thread that releases the GIL: compression, hashing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Background"]

T = TypeVar("T")


class Background(Generic[T]):
    """A call that runs on a thread of its own from now on; `result` waits for what it gives.

    A process that ends does not wait for it, so whoever starts it asks for its result.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._raised: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as problem:  # raised again by `result`, in the thread that asks
            self._raised = problem

    def result(self) -> T:
        """Wait, and give what the call gave or raise what it raised."""
        self._thread.join()
        if self._raised is not None:
            raise self._raised
        return self._results[0]

    def wait(self) -> None:
        """Wait for the end, whatever it was."""
        self._thread.join()
