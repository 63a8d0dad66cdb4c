"""Elements of the settings' lists for a position in steps: distances, takes and adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from septet._rules.run_state import Run

__all__ = ["AddWhen", "FixedDistance", "Rung", "TakeAt", "TakeWhen"]


class FixedDistance(Protocol):
    """A distance that is read when an entry is decided: two columns of B, and its value then.

    `read` holds it until the trade begins, `fixed` from then on (quote). Without one that is
    `required` nothing is entered. One that is `signed` may lie below zero.
    """

    read: int
    fixed: int
    required: bool
    signed: bool

    def distance(self, k: int, i: int, run: Run) -> float:
        """Return the distance at bar `i` (quote)."""
        ...


class TakeAt(Protocol):
    """A take at a level: its number, the share of the entered units it sells, and its effect.

    Where volume caps fills, its column `rest` of B holds the unfilled units.
    """

    number: int
    size: float
    moves_stop: bool
    rest: int

    def level(self, k: int, side: float, average_price: float, run: Run) -> float:
        """Return the price of the level; NaN where it is unknown."""
        ...


class TakeWhen(Protocol):
    """A take by a condition, as `TakeAt`."""

    number: int
    size: float
    moves_stop: bool

    def is_met(self, k: int, i: int, run: Run) -> float:
        """Return 1 where the condition is true at bar `i`."""
        ...


class Rung(Protocol):
    """A resting add: its number, its columns of B, the share of the first order that it adds.

    Where a venue fills orders, `order` is -1 until it is sent, and `filled` counts from then on, as
    it does where volume caps fills.
    """

    number: int
    price: int
    units: int
    order: int
    filled: int
    size: float

    def level(self, k: int, side: float, first_price: float, run: Run) -> float:
        """Return its price; NaN where it is unknown."""
        ...


class AddWhen(Protocol):
    """An add by a condition: its number, how often, and two columns of B.

    `sent` counts its orders in the trade, `since` the bars since the last one, else since the entry
    was decided.
    """

    number: int
    size: float
    times: int
    min_interval: int
    sent: int
    since: int

    def is_met(self, k: int, i: int, run: Run) -> float:
        """Return 1 where the condition is true at bar `i`."""
        ...
