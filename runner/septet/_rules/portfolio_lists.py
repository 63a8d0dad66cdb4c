"""Elements of a portfolio's lists in the settings: groups of symbols, and forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from septet._rules.run_state import Run

__all__ = ["Forecast", "Group"]


class Group(Protocol):
    """Symbols whose weights are limited together: at most `most` of |weights|."""

    most: float

    def holds(self, k: int, run: Run) -> bool:
        """Whether a symbol belongs to it."""
        ...


class Forecast(Protocol):
    """A forecast of a portfolio: its place among them, its share, and its column."""

    number: int
    share: float

    def column(self, run: Run) -> tuple[Any, int, int]:
        """Return where its values are: see `septet._kernel.forecast_sums`."""
        ...
