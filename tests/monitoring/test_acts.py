"""Verdicts act: entries are blocked or halted from the next decision on, in both paths alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from septet._config import load
from septet._host.monitoring import Reading
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._shell.monitor_actions import Acts
from septet._store.tables import frames_of
from tests.monitoring.test_monitor_readings import FILE, _host

QUIET = "  churn: {use: turnover, window: 6h, above: 60%, verdict: warn}\n"
CASES = {
    "halt": QUIET.replace("warn", "halt"),
    "block": QUIET.replace("warn", "block"),
    "streak": "  losses: {use: losing_streak, trades: 4, verdict: halt}\n",
    "both": QUIET.replace("warn", "block")
    + "  losses: {use: losing_streak, trades: 7, verdict: halt}\n",
}
RESTING = "  order: {use: limit, offset: 30bps, time_in_force: 3 bars}\n"


def _ran(folder: Path, monitoring: str, engine: str, *, order: str = "") -> Any:
    text = FILE.replace("bars: 1500", "bars: 700")
    text = text.replace("\nmonitoring:\n", f"\n{order}monitoring:\n")
    path = folder / "strategy.yaml"
    path.write_text(text + monitoring, encoding="utf-8")
    return backtest(load(path, host=_host()), engine=engine)


@pytest.mark.parametrize("order", ["", RESTING], ids=["market", "limit"])
@pytest.mark.parametrize("case", list(CASES))
def test_both_paths_act_alike(case: str, order: str, tmp_path: Path) -> None:
    batch, event = (_ran(tmp_path, CASES[case], each, order=order) for each in ("batch", "event"))
    assert batch.halts == event.halts
    others = frames_of(event)
    for name, frame in frames_of(batch).items():
        assert_frame_equal(frame, others[name], check_exact=True)


def test_a_halt_lets_no_entry_through_until_a_person_resumes(tmp_path: Path) -> None:
    quiet, halted = (
        _ran(tmp_path, QUIET.replace("warn", each), "batch") for each in ("warn", "halt")
    )
    bad = quiet.monitoring.filter(pl.col("verdict") == "warn", pl.col("metric") == "churn")
    (halt,) = halted.halts
    assert (halt.rule, halt.then, halt.resume) == ("monitoring.churn", "cancel_all", "manual")
    assert halt.resumed_ns is None
    first = bad["time"].cast(pl.Int64)[0]
    times = np.asarray(halted.equity["time"])
    assert halt.time_ns == times[np.searchsorted(times, first, side="right")]
    orders = frames_of(halted)["orders"]
    later = orders.filter(pl.col("time").cast(pl.Int64) >= halt.time_ns)
    assert set(later["side"]) <= {"sell"}
    before = frames_of(quiet)["orders"].filter(pl.col("time").cast(pl.Int64) < halt.time_ns)
    mine = orders.filter(pl.col("time").cast(pl.Int64) < halt.time_ns)
    assert mine.height == before.height
    decided = frames_of(halted)["decisions"]
    assert "halted" in set(decided["rejected_by"])
    made = summarise(halted, frames_of(halted), run_id="r")
    assert made["verdict"].startswith("halted on")


def test_a_block_ends_with_the_next_reading_without_it(tmp_path: Path) -> None:
    ran = _ran(tmp_path, CASES["block"], "batch")
    assert len(ran.halts) > 2
    for each in ran.halts[:-1]:
        assert each.rule == "monitoring.churn:block"
        assert each.resumed_ns is not None
        assert each.resumed_ns > each.time_ns
    orders = frames_of(ran)["orders"].filter(pl.col("side") == "buy")
    times = orders["time"].cast(pl.Int64).to_numpy()
    for each in ran.halts:
        end = each.resumed_ns if each.resumed_ns is not None else 2**62
        assert not ((times >= each.time_ns) & (times < end)).any()


def test_what_a_verdict_changes() -> None:
    def reading(verdict: Any, metric: str = "m", symbol: str = "") -> Reading:
        return Reading(1, metric, 1.0, 2.0, verdict, 3, symbol)

    acts = Acts()
    assert not acts.take("a", [reading("ok"), reading("warn"), reading("retrain")])
    (on,) = acts.take("a", [reading("block")])
    assert (on.rule, on.on, on.cancels) == ("monitoring.a:block", True, False)
    assert not acts.take("a", [reading("block", symbol="X")])
    assert not acts.take("a", [reading("ok")])  # that of X still holds
    (off,) = acts.take("a", [reading("warn", symbol="X")])
    assert not off.on
    (halt,) = acts.take("b", [reading("halt"), reading("halt")])
    assert (halt.rule, halt.cancels, halt.clears_when) == ("monitoring.b", True, "manual")
    again = Acts()
    again.restore(acts.kept())
    assert not again.take("b", [reading("halt")])
    assert again.resume() == ["monitoring.b"]
    assert again.take("b", [reading("halt")])
