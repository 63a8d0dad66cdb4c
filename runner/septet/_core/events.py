"""What goes into the core, and what comes out.

Time arrives as an event like everything else; the core reads no clock.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["Barrier", "Command", "Event", "Halted", "Lifted", "OrderEnded", "Place", "Traded"]


class Barrier(msgspec.Struct, frozen=True):
    """Every symbol due at a decision time has delivered, or its grace has passed.

    `columns` (symbols, c) holds the values of the plan's columns and `facts` (symbols, 4) the
    open time, age, missing bars and made-up flag of each bar, as `septet._kernel.layout` lays
    out X and M; a symbol without a bar has an age below zero. `decides` False only advances the
    features: history before the first decision. `late` decisions exit but do not enter.
    """

    time_ns: int
    day: int
    columns: npt.NDArray[np.float64]
    facts: npt.NDArray[np.int64]
    decides: bool = True
    late: bool = False


Event = Barrier


class Place(msgspec.Struct, frozen=True):
    """An order wants to leave."""

    time_ns: int
    symbol: int
    order: int
    kind: int
    units: float
    limit_price: float
    trigger_price: float
    reason: int


class OrderEnded(msgspec.Struct, frozen=True):
    """An order is filled, cancelled or expired."""

    time_ns: int
    symbol: int
    order: int
    status: int
    reason: int


class Traded(msgspec.Struct, frozen=True):
    """The simulated market filled a part of an order."""

    time_ns: int
    symbol: int
    order: int
    units: float
    price: float
    fee: float


class Halted(msgspec.Struct, frozen=True):
    """A halt fired."""

    time_ns: int
    halt: int
    equity: float


class Lifted(msgspec.Struct, frozen=True):
    """A halt was lifted."""

    time_ns: int
    halt: int


Command = Place | OrderEnded | Traded | Halted | Lifted
