"""Names that conditions may use: prices and features of a bar, the clock, the position.

Rules: `hour`, `weekday` (0 is Monday) and `month` are those of T in `time_zone`. Position words
come from fills, as they stand after the bar; all but `position` are NaN while flat.
"""

from __future__ import annotations

import math

from tests.fidelity.positions.account import Holding
from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.schedule import local_time
from tests.fidelity.positions.settings import Strategy

__all__ = ["POSITION_WORDS", "data_words", "position_words"]

POSITION_WORDS = (
    "position", "entry_price", "first_price", "last_price", "bars_held", "open_return",
    "best_return", "adds",
)  # fmt: skip


def data_words(s: Strategy, market: Market, symbol: str, time_ns: int) -> dict[str, float]:
    """Return prices, features and clock of a symbol's bar at T."""
    bar = market.bar(symbol, time_ns)
    assert bar is not None
    local = local_time(time_ns, s.time_zone)
    words = {
        "open": float(bar.open), "high": float(bar.high), "low": float(bar.low),
        "close": float(bar.close), "hour": float(local.hour), "month": float(local.month),
        "weekday": float(local.weekday()),
    }  # fmt: skip
    for name in market.features:
        words[name] = market.feature(name, symbol, time_ns)
    return words


def position_words(held: Holding, close: float) -> dict[str, float]:
    """Return the position's words at T.

    `entry_price` is the average cost, `first_price` and `last_price` those of the first and the
    last fill that entered; `open_return` compares the close, `best_return` the best price so far,
    with `entry_price`, before fees.
    """
    if not held.side:
        return {**dict.fromkeys(POSITION_WORDS, math.nan), "position": 0.0}
    entry = held.entry_price
    return {
        "position": float(held.side),
        "entry_price": float(entry),
        "first_price": float(held.first_price),
        "last_price": float(held.last_price),
        "bars_held": float(held.bars_held),
        "open_return": held.side * float(exact(close) / entry - 1),
        "best_return": held.side * float(held.best / entry - 1),
        "adds": float(held.adds),
    }
