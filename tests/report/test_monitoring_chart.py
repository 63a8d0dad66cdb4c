"""The chart of a monitor: a line for each symbol, and which is which."""

from __future__ import annotations

import re
from typing import Any

import pytest

from septet._report.run_charts import health_still


def drawn(symbols: list[str]) -> set[str]:
    """Return how the lines of one metric are drawn: colour and dash."""
    readings: list[dict[str, Any]] = [
        {"metric": "auc", "symbol": each, "t": [0, 3_600_000], "value": [0.5, 0.6 + 0.01 * place],
         "compared": [], "verdict": ["ok", "ok"], "threshold": [None, None]}
        for place, each in enumerate(symbols)
    ]  # fmt: skip
    page = health_still({"health": readings}, "auc")
    for each in symbols if len(symbols) > 1 else []:
        assert each in page
    return set(re.findall(r'd="[^"]*" fill="none" (stroke="[^"]*"[^>]*)', page))


@pytest.mark.parametrize("count", [1, 2, 7, 9])
def test_each_symbol_has_a_line_of_its_own(count: int) -> None:
    assert len(drawn([f"S{place}/USDT" for place in range(count)])) == count
