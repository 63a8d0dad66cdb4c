"""The expressions in a plan's text for the parameter names of each kind of rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["LAYOUT", "OF_ACCOUNT", "WORDS", "views_of"]

LAYOUT: Final[Mapping[str, tuple[str, int]]] = {
    "T": ("int64", 2), "M": ("int64", 3), "X": ("float64", 3), "F": ("float64", 3),
    "D": ("int8", 3), "Y": ("float64", 3), "G": ("float64", 2), "S": ("float64", 2),
    "P": ("float64", 1), "PS": ("float64", 1), "PT": ("float64", 1), "A": ("float64", 1),
    "C": ("int64", 1), "B": ("float64", 2), "I": ("int64", 2), "LI": ("int64", 2),
    "LF": ("float64", 2), "RS": ("int64", 1), "RT": ("int64", 1),
    "N": ("int64", 1), "Q": ("int64", 1), "J": ("int64", 2), "W": ("float64", 2),
    "H": ("int64", 1), "U": ("float64", 2), "ASKED": ("float64", 1),
    "DUE": ("int64", 1),
}  # fmt: skip
"""Dtype and dimensions of the arrays of the layout."""
PRICED: Final = {
    "equity": "A[CANDIDATE_EQUITY]", "cash": "A[CASH]", "gross": "A[CANDIDATE_GROSS]",
    "price": "A[CANDIDATE_PRICE]", "side": "A[CANDIDATE_SIDE]", "held": "A[CANDIDATE_HELD]",
    "notional": "A[CANDIDATE_NOTIONAL]", "fee": "A[CANDIDATE_FEE]",
    "slippage": "A[CANDIDATE_SLIPPAGE]", "cost": "A[CANDIDATE_COST]",
}  # fmt: skip
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "signal": {
        "up": "up", "down": "down", "confidence": "confidence", "side": "side",
        "held_bars": "I[k, HELD]", "average_price": "B[k, AVERAGE]", "price": "price",
    },
    "sizing": {
        **PRICED, "up": "A[CANDIDATE_UP]", "down": "1.0 - A[CANDIDATE_UP]",
        "confidence": "B[k, TARGET_CONFIDENCE]", "stop_distance": "A[CANDIDATE_DISTANCE]",
    },
    "limit": {
        **PRICED, "requested": "A[CANDIDATE_REQUESTED]", "cash_available": "A[CASH_AVAILABLE]",
        "k": "k", "now_ns": "now_ns", "entries_this_minute": "C[SENT]",
        "limit_price": "A[CANDIDATE_LIMIT]",
    },
    "stop": {
        "average_price": "average_price", "high_water": "high_water", "side": "side",
        "entry_ns": "entry_ns", "now_ns": "now_ns",
        "entry_fee": "(B[k, ENTRY_FEES] * B[k, SCALE] / max(abs(B[k, UNITS]), B[k, LOT]))",
    },
    "halt": {
        "equity": "equity", "day_base": "A[DAY_BASE]", "now_ns": "now_ns",
    },
    "order": {"side": "A[CANDIDATE_SIDE]", "price": "A[CANDIDATE_PRICE]", "tick": "B[k, TICK]"},
}  # fmt: skip
"""What the words of each kind's vocabulary are called in the text."""
OF_ACCOUNT: Final = {"side", "held_bars", "average_price"}
"""Parameters that pass the account to a signal; without them it can be computed ahead."""


def views_of(arrays: Mapping[str, tuple[str, int]]) -> list[tuple[str, str, int]]:
    """Return name, dtype and dimensions of each kind of array an entry takes from its table."""
    return [(f"{dtype}_{count}d", dtype, count) for dtype, count in sorted(set(arrays.values()))]
