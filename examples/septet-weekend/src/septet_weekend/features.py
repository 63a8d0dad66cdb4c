"""A compiled feature with a flat state and a memory that ends with the week."""

import numpy as np
import numpy.typing as npt

from septet.plugin import Config, Input, anchored, feature
from septet.plugin.numeric import State

__all__ = ["WeekToDate", "week_to_date"]

Floats = npt.NDArray[np.float64]


class WeekToDate(Config):
    """Change of a price since the first bar of the week (Monday 00:00 UTC), as a fraction."""

    of: Input = "close"
    """The column whose change is taken."""


@feature(WeekToDate, state=("week", "base"), memory=lambda config: anchored("week"))
def week_to_date(i: int, of: Floats, week: Floats, state: State) -> float:
    """Return ``of[i] / base - 1`` with the first positive value of the week as base.

    Parameters
    ----------
    i
        Cursor of this bar.
    of
        Prices, shape (bars,), quote currency. A NaN gives NaN for its own bar only.
    week
        Number of the week of each bar.
    state
        The week seen last and its base; both are zero before the first bar.

    Returns
    -------
    float
        A fraction: 0 at the first bar of a week, 0.02 when the price is 2 % above it. It sees
        this bar and earlier ones of the same week, never a later one.
    """
    if week[i] != state.week or not state.base > 0.0:
        state.week = week[i]
        state.base = of[i]
    change: float = of[i] / state.base - 1.0
    return change
