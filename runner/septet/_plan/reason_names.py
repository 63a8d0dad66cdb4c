"""Names of the reasons of orders, rejections and trades that every plan has, in their order."""

from __future__ import annotations

from typing import Final

from septet._kernel import layout

__all__ = ["FIXED_REASONS", "MODEL_REASONS", "VENUE_REASONS"]

FIXED_REASONS: Final = (
    "entry", "exit", "opposite", "after", "below", "rebalance", "halted", "late", "reentry_blocked",
    "min_interval", "regime", "short_as_flat", "size", "cash", "margin", "lot", "min_notional",
    "no_market", "unfilled", "liquidation", "reversal", "too_small",
)  # fmt: skip
VENUE_REASONS: Final = (
    "late_fill", "operator", "adopted", "unknown", "monitor", "gone",
    "foreign_order",
)  # fmt: skip
"""Why orders and fills are that no rule asked for; they follow all other reasons."""
MODEL_REASONS: Final = ("no_model", "expired", "not_finite")

assert FIXED_REASONS.index("entry") == layout.ENTRY
assert FIXED_REASONS.index("reversal") == layout.REVERSAL
