"""Small markets by hand: rows of prices, letters for signals, and what came of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.market import HOUR, START, Market, bars_of
from tests.fidelity.positions.settings import Signal, Sizing, Strategy
from tests.fidelity.positions.simulator import Result, simulate

__all__ = ["LETTERS", "Row", "fills", "hour", "market", "one", "portfolio", "what"]

Row = Sequence[float] | None
LETTERS = {"L": 1.0, "S": -1.0, "x": 0.0, "-": math.nan}
RULES = Signal(long_if="side > 0", short_if="side < 0", exit_if="side == 0")
LONG_ONLY = Signal(long_if="side > 0", exit_if="side == 0")


def hour(time_ns: int) -> float:
    """Return a time in hours since the start."""
    return (time_ns - START) / HOUR


def market(
    rows: Mapping[str, Any], features: Mapping[str, Mapping[str, Sequence[float]]],
    **keys: Any,
) -> Market:  # fmt: skip
    """Make an hourly market; features have one value a row and lose those of missing bars."""
    bars = {name: bars_of(each) for name, each in rows.items()}
    columns = {
        feature: {
            name: [v for v, row in zip(values, rows[name], strict=True) if row is not None]
            for name, values in by_name.items()
        }
        for feature, by_name in features.items()
    }
    return Market(HOUR, bars, columns, **keys)


def one(
    signals: str, rows: Sequence[Row], features: Mapping[str, Sequence[float]] | None = None,
    **keys: Any,
) -> Result:  # fmt: skip
    """Run one symbol `A`: a letter a bar (L long, S short, x exit, - none), ten units a trade.

    Costs are none unless given; a perpetual account where a signal is short.
    """
    columns = {"side": {"A": [LETTERS[each] for each in signals]}}
    columns |= {name: {"A": list(values)} for name, values in (features or {}).items()}
    short = "S" in signals or keys.get("account") == "perpetual"
    base: dict[str, Any] = {
        "account": "perpetual" if short else "spot", "signal": RULES if short else LONG_ONLY,
        "sizing": Sizing("fixed_quantity", 10),
    }  # fmt: skip
    return simulate(Strategy(**(base | keys)), market({"A": rows}, columns))


def portfolio(
    rows: Mapping[str, Any], features: Mapping[str, Mapping[str, Sequence[float]]],
    late: frozenset[tuple[str, int]] = frozenset(), **keys: Any,
) -> Result:  # fmt: skip
    """Run a portfolio."""
    return simulate(Strategy(**keys), market(rows, features, late=late))


def fills(result: Result) -> list[tuple[Any, ...]]:
    """Return (hours since the start, signed units, price) of every fill."""
    return [(hour(f.time_ns), float(f.units), float(f.price)) for f in result.fills]


def what(result: Result) -> list[tuple[float, str, str]]:
    """Return (hours since the start, finding, of what) of every finding."""
    return [(hour(f.time_ns), f.what, f.of) for f in result.findings]


def total(result: Result) -> float:
    """Return by how much trades and equity disagree."""
    trades = sum((t.result for t in [*result.trades, *result.open_trades]), exact(0))
    return float(trades - (result.curve[-1][1] - result.capital))
