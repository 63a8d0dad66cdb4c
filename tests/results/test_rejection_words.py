"""The document lists every word that a decision may be rejected by, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from septet._plan.portfolio import PORTFOLIO_REASONS
from septet._plan.reason_names import FIXED_REASONS, MODEL_REASONS

ROOT = Path(__file__).resolve().parents[2]

OF_ORDERS = {
    "entry", "opposite", "after", "below", "rebalance", "no_market", "unfilled", "liquidation",
    "reversal", "quorum",
}  # fmt: skip
"""Reasons of orders, fills, trades and waiting rebalances, which reject no decision."""
OF_PLUGINS = {
    "no_rule_true", "conflict", "below_threshold", "closed_hours", "flat_at_close", "stop_unknown",
    "max_positions", "position", "groups", "correlated", "gross_exposure", "price_collar",
    "max_order_value", "orders_per_minute", "invalid:",
}  # fmt: skip
"""Reasons of septet's signals and limits, and of what not every plan has."""


def test_the_table_of_reasons_is_complete() -> None:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    table = text.partition("| `rejected_by` | the decision |\n|---|---|\n")[2].partition("\n\n")[0]
    words = {
        word for line in table.splitlines()
        for word in re.findall(r"`([a-z_]+:?)`", line.split("|")[1])
    }  # fmt: skip
    names = {*FIXED_REASONS, *MODEL_REASONS, *PORTFOLIO_REASONS.values()}
    assert words == (names - OF_ORDERS) | OF_PLUGINS
