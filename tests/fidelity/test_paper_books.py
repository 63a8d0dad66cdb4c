"""A paper run of drawn strategies has the books of its backtest, and its shadow has them again.

What is cut, added to and turned around goes through the journal, its tables and the shadow.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from septet._config import load
from septet._live import build_core as built
from septet._live.replay import replay
from septet._live.shadow import shadow
from septet._shell.result_tables import equity_of, fills_of, orders_of, trades_of
from septet._shell.session import plan_of
from septet._store.journal_view import LiveRun
from septet.errors import ConfigError
from tests.core import drawn_cases
from tests.core.paths import Left, by_batch, plainly
from tests.core.world import file_of, session_of
from tests.fidelity.test_books import KINDS, check_trades
from tests.journal.test_fold import NOT_JOURNALLED
from tests.live.test_monitoring import Runner
from tests.scale import examples

RESIZED: dict[str, dict[str, Any]] = {
    "spot": KINDS["resizes"],
    "fees in what is bought": KINDS["resizes"] | {"received": True, "taker": 0.01, "lot": 0.1},
    "perpetual": KINDS["flips and resizes"] | {"sizing": "fixed_fraction", "amount": 0.5},
}
ALL: dict[str, Any] = {"model": False, "below": None, "halts": {}}
TABLES = {"orders": orders_of, "trades": trades_of, "equity": equity_of}


@pytest.fixture(autouse=True)
def plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans that a live core takes run as plain text; nothing is compiled."""

    def plain(*given: Any, **keys: Any) -> Any:
        plan = plan_of(*given, **keys)
        plan.run_plain()
        return plan

    monkeypatch.setattr(built, "plan_of", plain)


def check_tables(folder: Path, left: Left) -> None:
    """Compare the tables of a journal with those of a backtest, value by value."""
    run = LiveRun(folder)
    fills = fills_of(left.session, left.outcome, "sim")
    made = {name: table(left.session, left.outcome) for name, table in TABLES.items()}
    for name, table in {**made, "fills": fills}.items():
        for column, expected in table.items():
            if name == "orders" and column in NOT_JOURNALLED:
                continue
            series = run.table(name).get_column(column)
            found = series.to_physical() if column.endswith("time") else series
            pairs = list(zip_longest(found, expected))
            other = [(n, x, y) for n, (x, y) in enumerate(pairs) if x != y and (x == x or y == y)]
            assert not other, (name, column, other[:3])


@pytest.mark.parametrize("kind", RESIZED)
@given(st.data())
@settings(
    max_examples=examples(3),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_paper_run_has_the_books_of_its_backtest(kind: str, data: Any) -> None:
    s = data.draw(drawn_cases.settings(**(RESIZED[kind] | ALL)))
    # a live run makes no bars up: those of the market are bars without volume here
    bars = [replace(each, made_up=None) for each in data.draw(drawn_cases.markets(s, 80))]
    try:
        session = plainly(session_of(s, bars))
    except ConfigError:  # levels that contradict each other are refused by the file's checks
        reject()
    left = by_batch(session)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = folder / "made.yaml"
        path.write_text(file_of(s), encoding="utf-8")
        runner = Runner(load(path, mode="paper"), folder, session, snapshots=37)
        runner.run(int(session.aligned.T[0, session.first]))
        check_tables(folder, left)
        check_trades(s, trades_of(session, left.outcome))
        for prove in (replay, shadow):
            found = prove(folder)
            assert found.differences == 0, str(found.first)
