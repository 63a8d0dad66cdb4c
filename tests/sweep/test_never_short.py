"""Which settings of a strategy that may go short are measured over holding: whole backtests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet._sweep.backtest_evaluator import BacktestEvaluator
from septet._sweep.setting_row import EXCESS_COLUMNS, frame_of
from septet._sweep.space import space_of
from septet._sweep.sweep_findings import findings_of
from septet._sweep.verdict import choice
from tests.sweep.files import BASE, swept

PERPETUAL = BASE.replace(
    "USD}", "USD, type: perpetual}\nperpetual: {funding: {rate: 1bps, every: 8h}}"
).replace("end: 2021-11-15", "end: 2021-10-18")
BEGIN_NS = 1_632_960_000_000_000_000  # 2021-09-30
KEY = "features.fast.period"


def rows_of(folder: Path, short_if: str) -> list[dict[str, Any]]:
    base = PERPETUAL.replace("exit_if: fast < slow", f"short_if: {short_if}")
    loaded = swept(folder, f"{{over: {{{KEY}: [10, 20]}}}}", base=base)
    space = space_of(loaded)
    return BacktestEvaluator(loaded, space, BEGIN_NS, 1, lambda text: None).evaluate(
        list(space.settings())
    )


@pytest.mark.parametrize("short_if", ["fast < slow * 0.5", "fast < slow"])
def test_what_happened_decides_and_not_what_might_have(tmp_path: Path, short_if: str) -> None:
    rows = rows_of(tmp_path, short_if)
    never = short_if != "fast < slow"
    assert all(row["status"] == "done" and row["exposure"] > 0.0 for row in rows), rows
    assert all((row[name] is not None) == never for row in rows for name in EXCESS_COLUMNS[3:])
    assert all(row["excess_sharpe"] is None for row in rows)
    found = findings_of(frame_of([KEY], rows), {"goal": "sharpe"})
    assert found.over_holding == never
    text = choice(found)
    if "PSR" in text:
        assert ("over holding the same exposure" in text) == never
        assert ("measured against zero and not against holding" in text) != never
