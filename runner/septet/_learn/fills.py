"""What fills cost against the price they were decided at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.health import Reading, Verdict

__all__ = ["fill_readings"]

_WINDOW: Final = 20


def fill_readings(
    time_ns: Ints,
    symbol: Sequence[str],
    side: Ints,
    price: Floats,
    decision_price: Floats,
    alarm: float,
    window: int = _WINDOW,
) -> list[Reading]:
    """Mean slippage of the last fills of each symbol, at every fill.

    Parameters
    ----------
    time_ns : int64 (n,)
        Times of the fills, never falling.
    symbol : sequence of str
        Symbol of every fill.
    side : int64 (n,)
        +1 bought, -1 sold.
    price, decision_price : float64 (n,)
        Price paid, and the close at which the order was decided (quote). NaN is left out.
    alarm : float
        Fraction of the price; a mean above it is a warning.
    window : int
        Fills of the symbol that are averaged, so many or as many as there are.

    Returns
    -------
    list of Reading
        Metric ``slippage``: positive is a cost. It sees fills up to its own.
    """
    costs = side * (price - decision_price) / decision_price
    last: dict[str, list[float]] = {}
    found = []
    for number in np.flatnonzero(np.isfinite(costs)).tolist():
        name = symbol[number]
        kept = [*last.get(name, []), float(costs[number])][-window:]
        last[name] = kept
        mean = float(np.mean(kept))
        verdict: Verdict = "warn" if mean > alarm else "ok"
        when = int(time_ns[number])
        found.append(Reading(when, "slippage", mean, alarm, verdict, len(kept), name))
    return found
