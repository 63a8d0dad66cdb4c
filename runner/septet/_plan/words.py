"""What the words of each kind of rule are called in the text of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["OF_ACCOUNT", "WORDS"]

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
        "confidence": "B[k, WANT_CONFIDENCE]",
    },
    "limit": {
        **PRICED, "wanted": "A[CANDIDATE_WANTED]", "cash_available": "A[CASH_AVAILABLE]",
        "k": "k", "now_ns": "now_ns", "entries_this_minute": "C[SENT]",
        "limit_price": "A[CANDIDATE_LIMIT]",
    },
    "stop": {
        "average_price": "average_price", "high_water": "high_water", "side": "side",
        "entry_ns": "entry_ns", "now_ns": "now_ns",
    },
    "halt": {
        "equity": "equity", "day_base": "A[DAY_BASE]", "now_ns": "now_ns",
    },
    "order": {"side": "A[CANDIDATE_SIDE]", "price": "A[CANDIDATE_PRICE]", "tick": "B[k, TICK]"},
}  # fmt: skip
"""What the words of each kind's vocabulary are called in the text."""
OF_ACCOUNT: Final = {"side", "held_bars", "average_price"}
"""Words that tell a signal of the account; without them it can be asked ahead of time."""
