"""What the words of each kind of rule are called in the text of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["OF_ACCOUNT", "WORDS"]

PRICED: Final = {
    "equity": "equity", "cash": "cash", "gross": "gross", "price": "price", "side": "side",
    "held": "held / scale", "notional": "notional", "fee": "fee", "slippage": "slippage",
    "cost": "cost",
}  # fmt: skip
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "signal": {
        "up": "up", "down": "down", "confidence": "confidence", "side": "side",
        "held_bars": "I[k, HELD]", "average_price": "B[k, AVERAGE]", "price": "price",
    },
    "sizing": {**PRICED, "up": "up", "down": "down", "confidence": "confidence"},
    "limit": {
        **PRICED, "wanted": "side * wanted", "cash_available": "cash_available", "k": "k",
        "now_ns": "now_ns", "entries_this_minute": "sent", "limit_price": "limit_price",
    },
    "stop": {
        "average_price": "average_price", "high_water": "high_water", "side": "side",
        "entry_ns": "entry_ns", "now_ns": "now_ns",
    },
    "halt": {
        "equity": "equity", "peak": "A[PEAK]", "day_base": "A[DAY_BASE]", "now_ns": "now_ns",
        "losses_in_a_row": "C[LOSSES]",
    },
    "order": {"side": "side", "price": "price", "tick": "B[k, TICK]"},
}  # fmt: skip
"""What the words of each kind's vocabulary are called in the text."""
OF_ACCOUNT: Final = {"side", "held_bars", "average_price"}
"""Words that tell a signal of the account; without them it can be asked ahead of time."""
