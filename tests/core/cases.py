"""Small markets by hand: a few bars, a signal for each, and what came of them in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.core.compare import tables_of
from tests.core.settings import HOUR, START, Bars, Settings, made_bars
from tests.core.world import run_core, session_of

__all__ = ["CALM", "Simulated", "bars_of", "simulate"]

CALM = (100.0, 101.0, 99.0, 100.0)
SIGNALS = {"L": 1.0, "S": 0.0, "-": 0.5, "?": math.nan, "l": 0.8, "s": 0.2}


def bars_of(rows: Sequence[Sequence[float]], volume: float = 1e6, skip: Sequence[int] = ()) -> Bars:
    """Make bars from (open, high, low, close[, volume]); `skip` leaves hours out."""
    hours = [n for n in range(len(rows) + len(skip)) if n not in skip]
    table = [(*row, volume)[:5] for row in rows]
    columns = [np.array(each, dtype=np.float64) for each in zip(*table, strict=True)]
    return made_bars(START + HOUR * np.array(hours, dtype=np.int64), columns)


class Simulated:
    """The tables of a run, times as bars after the start."""

    def __init__(self, tables: dict[str, list[tuple[Any, ...]]]) -> None:
        hour = lambda time: (time - START) / HOUR  # noqa: E731
        self.fills = [(hour(f[0]), f[3] / 1e8, f[4]) for f in tables["fills"]]
        self.fees = [f[5] for f in tables["fills"]]
        self.makers = [f[6] for f in tables["fills"]]
        self.orders = [(hour(o[0]), o[2], o[3] / 1e8, o[6]) for o in tables["orders"]]
        self.ended = [(hour(e[0]), e[3], e[4]) for e in tables["ended"]]
        self.trades = [(t[1], t[12], t[7]) for t in tables["trades"]]
        self.liquidations = [t[10] for t in tables["trades"]]
        self.fundings = [t[9] for t in tables["trades"]] + tables["open_funding"]
        self.rejected = [d[7] for d in tables["decisions"]]
        self.capped = [d[6] for d in tables["decisions"]]
        self.requested = [d[4] for d in tables["decisions"]]
        self.granted = [d[5] for d in tables["decisions"]]
        self.signals = [d[2] for d in tables["decisions"]]
        self.halts = [(hour(h[0]), h[1], h[2]) for h in tables["halts"]]
        self.equity = [c[1] for c in tables["curve"]]
        self.cash = [c[2] for c in tables["curve"]]


def simulate(signals: str | Sequence[str], *markets: Bars, **keys: Any) -> Simulated:
    """Run a strategy without costs whose signal at each bar is given by a letter.

    L long, S short (l and s with less confidence), - none, ? no answer of the model.
    """
    names = ("AAA/USDT", "BBB/USDT", "CCC/USDT")[: len(markets)]
    base: dict[str, Any] = {
        "symbols": names, "model": True, "maker": 0.0, "taker": 0.0, "slippage": 0.0,
        "sizing": "fixed_quantity", "amount": 1.0, "after": 1000, "threshold": 0.1,
    }  # fmt: skip
    s = Settings(**(base | keys))
    letters = [signals] if isinstance(signals, str) else list(signals)
    chances = [[SIGNALS[each] for each in line] for line in letters]
    return Simulated(tables_of(run_core(session_of(s, markets, 0), chances=chances)))
