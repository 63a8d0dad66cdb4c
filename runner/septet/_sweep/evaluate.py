"""Protocols of evaluators, which run settings: in this process, in others, or in stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from septet._sweep.space import Setting

__all__ = ["Evaluator", "GiveUp", "Grow", "Staged", "Streaming"]

Grow = Callable[[int, float, int], int]
"""Size of the next block from the size of the last, its seconds, and the least size."""


class Evaluator(Protocol):
    """Runs blocks of settings; it is closed when the sweep ends or is stopped."""

    def evaluate(self, block: Sequence[Setting]) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order.

        A setting that fails is a row with its reason, never an error.
        """
        ...

    def close(self) -> None:
        """End threads and processes; called once, also after an interruption."""
        ...


@runtime_checkable
class Streaming(Evaluator, Protocol):
    """An evaluator that runs several blocks at once."""

    def stream(self, waiting: Iterator[Setting], grow: Grow) -> Iterator[list[dict[str, Any]]]:
        """Run settings in blocks of its own choice, and yield the rows of each as it ends."""
        ...


GiveUp = Callable[[int, Mapping[int, float | None]], Mapping[int, str]]
"""Called at the end of each stage with the current goal by the number of each running setting;
returns those that are pruned, with the reason."""


@runtime_checkable
class Staged(Evaluator, Protocol):
    """An evaluator that can prune settings before the end of the history."""

    def evaluate_in_stages(
        self, block: Sequence[Setting], shares: Sequence[float], give_up: GiveUp
    ) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order; nothing is run twice.

        `give_up` is called at these `shares` of the history, in rising order. A setting that runs
        to the end has the same row as without stages.
        """
        ...
