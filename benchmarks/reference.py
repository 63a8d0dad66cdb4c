"""What every engine must find: the moving-average cross in exact whole numbers, one plain loop.

Prices are multiplied by 2^20 and rounded to integers, so that sums neither drift nor tie by
accident. The fills use the prices themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Exact", "difference", "exact", "exact_sweep", "table_difference"]

SCALE = 2.0**20
NEAR = 5e-5
"""Largest difference of final equity that is called none, in units of the account."""


class Exact:
    """Round trips as (entry, exit) signal bars, and the final equity."""

    def __init__(self, trips: Any, final_equity: float) -> None:
        self.trips = trips
        self.final_equity = final_equity


def _loop(opened: Any, close: Any, scaled: Any, terms: Any, pairs: Any) -> Any:
    fast, slow, first = int(terms[0]), int(terms[1]), int(terms[2])
    cash, fee = terms[3], terms[4]
    held, entered, trips, wanted = 0.0, 0, 0, 0
    known, before, quick, lazy = False, 0, 0, 0
    for i in range(close.size):
        if wanted > 0 and held == 0.0:
            cash, held, entered = cash - opened[i] * (1.0 + fee), 1.0, i - 1
        elif wanted < 0 and held != 0.0:
            cash, held = cash + opened[i] * (1.0 - fee), 0.0
            pairs[trips, 0], pairs[trips, 1] = entered, i - 1
            trips += 1
        wanted = 0
        quick += scaled[i] - (scaled[i - fast] if i >= fast else 0)
        lazy += scaled[i] - (scaled[i - slow] if i >= slow else 0)
        if i >= slow - 1:
            spread = quick * slow - lazy * fast
            if known and i >= first and spread > 0 and before <= 0:
                wanted = 1
            elif known and i >= first and spread < 0 and before >= 0:
                wanted = -1
            known, before = True, spread
    return trips, cash + held * close[-1]


def _compiled() -> Any:
    import numba

    return numba.njit(_loop)


def _solve(loop: Any, market: dict[str, Any], setup: dict[str, Any], fast: int, slow: int) -> Exact:
    close = market["close"]
    pairs = np.empty((len(close) // 2 + 1, 2), np.int64)
    scaled = np.rint(close * SCALE).astype(np.int64)
    terms = np.array([fast, slow, setup["first"], setup["capital"], setup["fee"]])
    trips, equity = loop(market["open"], close, scaled, terms, pairs)
    return Exact(pairs[:trips], float(equity))


def exact(market: dict[str, Any], setup: dict[str, Any]) -> Exact:
    """Round trips and final equity of the one setting of W1; every cross counts."""
    return _solve(_compiled(), market, {**setup, "first": 0}, setup["fast"], setup["slow"])


def exact_sweep(market: dict[str, Any], setup: dict[str, Any]) -> Any:
    """Round trips and final equity of every setting of W2, float64 (settings, 2)."""
    loop = _compiled()
    found = []
    for fast in setup["fasts"]:
        for slow in setup["slows"]:
            each = _solve(loop, market, setup, fast, slow)
            found.append((len(each.trips), each.final_equity))
    return np.array(found)


def difference(found: Any, equity: float | None, truth: Exact) -> str:
    """Describe briefly how an answer differs from the exact one; `found` is (trips, 2)."""
    ours = {(int(a), int(b)) for a, b in truth.trips}
    theirs = {(int(a), int(b)) for a, b in found}
    words = f"the same {len(ours):,}"
    if ours != theirs:
        words = f"{len(ours & theirs):,} of {len(ours):,}, and {len(theirs - ours):,} others"
    gap = 0.0 if equity is None else equity - truth.final_equity
    return words if abs(gap) <= NEAR else f"{words}; final equity {gap:+,.4f}"


def table_difference(found: Any, truth: Any) -> str:
    """Describe how the table of a sweep, (settings, 2), differs from the exact one."""
    if found.shape != truth.shape:
        return f"{len(found):,} settings instead of {len(truth):,}"
    trips = int((found[:, 0] != truth[:, 0]).sum())
    gap = float(np.abs(found[:, 1] - truth[:, 1]).max())
    if trips == 0 and gap <= NEAR:
        return f"the same {int(truth[:, 0].sum()):,}"
    return f"{trips:,} of {len(truth):,} settings differ; equity by up to {gap:,.4f}"
