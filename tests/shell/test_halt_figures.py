"""What a run reports of a halt: the figure that its rule has read, and the limit in force."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from septet._results.number_texts import halt_figures
from septet._results.result import HaltEvent
from septet._shell.result_tables import halts_of
from tests.core.cases import CALM, SIGNALS, bars_of
from tests.core.settings import Settings
from tests.core.world import run_core, session_of


def halts(signals: str, rows: list[Any], rule: str, **keys: Any) -> list[HaltEvent]:
    """Run a strategy without costs with one halt; return what tripped."""
    settings = Settings(
        symbols=("AAA/USDT",), model=True, maker=0.0, taker=0.0, slippage=0.0, amount=50.0,
        sizing="fixed_quantity", after=1000, threshold=0.1, halts={rule: keys},
    )  # fmt: skip
    session = session_of(settings, [bars_of(rows)], 0)
    ran = run_core(session, chances=[[SIGNALS[each] for each in signals]])
    log: Any = SimpleNamespace(LI=ran.log[0], LF=ran.log[1])
    return halts_of(session, log)


def test_losses_in_a_row_are_a_count():
    rows = [CALM, *[(100, 101, 98, 99), (99, 100, 97, 98)] * 5]
    (found,) = halts("LSLS-------", rows, "losses_in_a_row", count=2, then="block_entries")
    assert (found.value, found.threshold) == (2.0, 2.0)
    assert halt_figures(found) == "2 losses in a row, limit 2"


def test_a_drawdown_is_from_the_peak_since_the_last_resume():
    """10,000 and 50 units: 9,000 at 80 is a tenth below it, and 8,100 at 62 a tenth below 9,000."""
    rows = [CALM, CALM, *[(each, each + 1, each - 1, each) for each in (90, 80, 80, 80, 75, 62)]]
    keys = {"above": 0.08, "then": "block_entries", "resume": 2}
    found = halts("L-------", rows, "drawdown", **keys)
    assert [halt.value for halt in found] == pytest.approx([0.1, 0.1])
    assert halt_figures(found[1]) == "10.0 %, limit 8.0 %"
