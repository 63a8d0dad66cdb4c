"""A bar assembler, bars of a minute to feed it, and a short form of what it emits."""

from __future__ import annotations

from typing import Any

from septet import messages as m
from septet._host.venues import BarSeen
from septet._live.market_data.bars import BarAssembler, BarRequest, BarRules
from septet._live.market_data.feed_grid import Gate, Grid
from septet_schemas.data import CandlesConfig, Policies

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_040 * SECOND // MINUTE * MINUTE
RULES = BarRules(give_up_ns=10**18)


def assembler(
    *symbols: str,
    rules: BarRules = RULES,
    policy: Policies | None = None,
    calendar: str = "24x7",
    bar_ns: int = MINUTE,
) -> BarAssembler:
    keys = CandlesConfig(policy=policy or Policies())
    grids = [Grid(calendar, bar_ns) for _ in symbols]
    gates = [Gate(s, grid, keys, "test") for s, grid in zip(symbols, grids, strict=True)]
    return BarAssembler(symbols, grids, gates, rules)


def seen(k: int, closed: bool | None = True, *, symbol: str = "A", **prices: float) -> BarSeen:
    base = 100.0 + k % 7
    row: dict[str, Any] = {
        "open": base, "high": base + 2, "low": base - 2, "close": base + 1, "volume": 5.0,
    }  # fmt: skip
    row |= prices
    return BarSeen(symbol, START + k * MINUTE, closed=closed, **row)


def opens(events: list[m.Event]) -> list[Any]:
    """Numbers of the bars given, and (first, last) of what was declared missing."""
    found: list[Any] = []
    for each in events:
        if isinstance(each, m.BarClosed):
            found.append((each.open_ns - START) // MINUTE)
        elif isinstance(each, m.Gapped):
            found.append(((each.first_ns - START) // MINUTE, (each.last_ns - START) // MINUTE))
    return found


def ask(one: BarAssembler, at_ns: int) -> BarRequest:
    (wanted,) = one.wanted(at_ns, at_ns)
    return wanted


def at(k: float) -> int:
    return START + int(k * MINUTE)


def started(k: int = 0, close: float = 100.0, **options: Any) -> BarAssembler:
    """An assembler that has had bar k - 1."""
    one = assembler("A", **options)
    one.resume("A", START + (k - 1) * MINUTE, close)
    return one
