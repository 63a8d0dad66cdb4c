"""What a run remembers between decision times, and what the core asks of a compiled plan."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["TILE", "CompiledPlan", "Floats", "Ints", "State"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TILE: Final = 2_048
"""Decision times that are observed, then traded, while they are in the cache."""


@dataclass
class State:
    """Everything a run remembers from one decision time to the next; a copy is a snapshot."""

    S: Floats
    A: Floats
    C: Ints
    B: Floats
    I: Ints

    def copy(self) -> State:
        """Return an independent copy."""
        return State(self.S.copy(), self.A.copy(), self.C.copy(), self.B.copy(), self.I.copy())


class CompiledPlan(Protocol):
    """The compiled rules of a strategy, as the core sees them."""

    parameters: Floats

    @property
    def module(self) -> ModuleType:
        """`observe` and `trade`, each over a stretch of times."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The universe, in its order."""
        ...

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of F and of Y."""
        ...

    @property
    def tables(self) -> tuple[Any, ...]:
        """Constant arrays of components."""
        ...

    def log(self, rows: int) -> tuple[Ints, Floats]:
        """Return an empty log with room for `rows` rows."""
        ...
