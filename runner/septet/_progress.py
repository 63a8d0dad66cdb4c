"""How work reports how far it is, and how it is asked to stop: one protocol each, everywhere."""

from __future__ import annotations

from typing import Protocol

from septet.errors import Cancelled

__all__ = ["Cancel", "Progress", "stoppable"]


class Progress(Protocol):
    """Called as work goes on: ``(stage, done, total, text)``.

    `stage` is one word for the kind of work: ``data``, ``plan``, ``run``, ``training``,
    ``stretches``, ``sweep``, ``download``, ``replay``; a message has the stage ``note``. `done` of
    `total` are finished; `total` is None where it is not known. `text` is the rest in words. What
    it raises ends the work.
    """

    def __call__(self, stage: str, done: int, total: int | None, text: str, /) -> None:
        """Report `done` of `total` of a stage."""


class Cancel(Protocol):
    """Asked between two parts of work whether to go on; a `threading.Event` fits."""

    def is_set(self) -> bool:
        """Whether the work is to stop."""


def stoppable(progress: Progress | None, cancel: Cancel | None) -> Progress:
    """Return a progress that raises `Cancelled` once `cancel` is set."""

    def report(stage: str, done: int, total: int | None, text: str, /) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"cancelled during {stage}")
        if progress is not None:
            progress(stage, done, total, text)

    return report
