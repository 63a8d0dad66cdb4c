from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from septet._results.result import SUMMARY
from septet._results.summary import summarise
from septet._store.run_folder import Run
from septet._store.tables import frames_of
from tests.report.synthetic import CAPITAL, make_result


def summary_of(**change: Any) -> dict[str, Any]:
    result = replace(make_result(bars=900), **change)
    return summarise(result, frames_of(result), run_id="r1")


def test_keys_come_in_their_order() -> None:
    assert list(summary_of())[: len(SUMMARY)] == list(SUMMARY)


def test_figures_agree_with_the_tables(full_run: Run) -> None:
    summary, equity = full_run.summary, full_run.table("equity")
    trades, fills = full_run.table("trades"), full_run.table("fills")
    closed = [row for row in trades.iter_rows(named=True) if row["exit_reason"] != "open"]
    assert summary["trades"] == len(closed)
    assert summary["open_trades"] == trades.height - len(closed)
    assert summary["final_equity"] == equity["equity"][-1]
    assert summary["total_return"] == pytest.approx(equity["equity"][-1] / CAPITAL - 1)
    assert summary["fees"] == pytest.approx(math.fsum(fills["fee"]))
    assert summary["exposure"] == pytest.approx(float(np.mean(equity["exposure"].to_numpy())))
    assert summary["win_rate"] == sum(row["pnl"] > 0 for row in closed) / len(closed)
    assert summary["max_drawdown"] == pytest.approx(max(equity["drawdown"]))
    notional = math.fsum(q * p for q, p in zip(fills["quantity"], fills["price"], strict=True))
    facts = full_run.facts
    years = (facts.end_ns - facts.first_decision_ns) / 1e9 / 86_400 / 365
    assert summary["turnover"] == pytest.approx(
        notional / float(np.mean(equity["equity"].to_numpy())) / years
    )


def test_the_fixture_conserves_money(full_run: Run) -> None:
    """The tables the report is tested on agree with each other."""
    pnl = math.fsum(full_run.table("trades")["pnl"])
    assert full_run.summary["final_equity"] - CAPITAL == pytest.approx(pnl, abs=1e-6)


def test_slippage_is_measured_from_the_decision_price() -> None:
    columns: dict[str, Any] = {
        "limit_price": [None, None],
        "trigger_price": [None, None],
        "type": ["market"] * 2,
        "status": ["filled"] * 2,
        "reason": ["entry", "exit"],
        "ended_by": ["", ""],
        "filled": [1.0, 1.0],
        "confidence": [1.0] * 2,
        "probability_up": [None, None],
        "sizing_inputs": ["{}"] * 2,
    }
    orders = {
        "time": [1, 2],
        "symbol": ["A/B"] * 2,
        "order_id": ["x", "y"],
        "side": ["buy", "sell"],
        "quantity": [2.0, 2.0],
        "decision_price": [100.0, 110.0],
        **columns,
    }
    fills: dict[str, Any] = {
        "time": [1, 2],
        "symbol": ["A/B"] * 2,
        "venue": ["sim"] * 2,
        "order_id": ["x", "y"],
        "trade_id": ["1", "2"],
        "side": ["buy", "sell"],
        "quantity": [2.0, 2.0],
        "price": [101.0, 111.0],
        "fee": [0.01, 3.0],
        "fee_currency": ["A", "B"],
        "liquidation": [0.0] * 2,
        "liquidity": ["taker"] * 2,
    }
    result = make_result(bars=900)
    result = replace(result, orders=orders, fills=fills, facts=replace(result.facts, currency="B"))
    found = summarise(result, frames_of(result), run_id="r")
    # Bought one above (a cost of 2), sold one above (a gain of 2).
    assert found["slippage"] == pytest.approx(0.0)
    # A fee in what was bought counts at the fill's price.
    assert found["fees"] == pytest.approx(0.01 * 101 + 3.0)
    other = replace(result, facts=replace(result.facts, currency="EUR"))
    found = summarise(other, frames_of(other), run_id="r")
    assert found["fees"] == pytest.approx(1.01)
    assert found["fees_other"] == {"B": 3.0}
    # A fee in a third currency counts as it was booked.
    third = replace(result, fills=fills | {"fee_currency": ["A", "C"], "fee_quote": [1.01, 2.5]})
    found = summarise(third, frames_of(third), run_id="r")
    assert found["fees"] == pytest.approx(3.51)
    assert found["fees_other"] == {}


def test_rejections_are_counted_most_frequent_first(full_run: Run) -> None:
    decisions = full_run.table("decisions")["rejected_by"].to_list()
    counted = full_run.summary["rejections"]
    assert list(counted.values()) == sorted(counted.values(), reverse=True)
    assert counted == {name: decisions.count(name) for name in counted}
    assert "" not in counted


def test_a_run_without_anything_is_null_not_infinite() -> None:
    facts = replace(make_result(bars=900).facts, seconds=0.0)
    found = summary_of(
        trades=None, fills=None, orders=None, equity=None, decisions=None, bars={}, facts=facts
    )
    nulls = {name for name, value in found.items() if value is None}
    assert nulls == {
        "cagr",
        "sharpe",
        "sortino",
        "calmar",
        "alpha",
        "beta",
        "excess",
        "tries",
        "forward",
        "benchmark",
        "late_start",
        "max_drawdown",
        "round_trips",
        "round_trip_win_rate",
        "win_rate",
        "profit_factor",
        "turnover",
        "exposure",
        "bars_per_second",
        "buy_and_hold_return",
    }
    assert found["final_equity"] == CAPITAL
    assert found["verdict"].startswith("0 trades, too few to judge.")
    assert not [v for v in found.values() if isinstance(v, float) and not math.isfinite(v)]


def test_holding_starts_at_the_first_decision() -> None:
    result = make_result(symbols=("BTC/USDT",), bars=900, first=600)
    close = result.bars["BTC/USDT"].close
    found = summarise(result, frames_of(result), run_id="r")
    assert found["buy_and_hold_return"] == pytest.approx(close[-1] / close[600] - 1)


def test_a_strategy_that_can_only_be_long_is_measured_over_its_exposure() -> None:
    only_long = make_result(bars=2_400)
    assert not only_long.facts.long_only, "the positions decide, where there are any"
    assert isinstance(only_long.trades, dict)
    sides = ["short", *list(only_long.trades["side"])[1:]]
    assert summary_of(trades={**only_long.trades, "side": sides})["excess"] is None
    assert summary_of(trades=None)["excess"] is None
    assert summary_of(trades=None, facts=replace(only_long.facts, long_only=True))["excess"]
    found = summarise(only_long, frames_of(only_long), run_id="r1")
    excess, verdict = found["excess"], found["verdict"]
    assert excess["exposure"] == found["exposure"]
    assert f"Over holding its mean exposure of {100 * excess['exposure']:.1f} %:" in verdict
    assert found["beta"] is not None


def test_the_benchmark_is_held_instead_of_the_universe() -> None:
    plain = make_result(bars=900)
    name = next(iter(plain.bars))
    found = summary_of(facts=replace(plain.facts, benchmark=name))
    table = plain.bars[name]
    at = int(np.searchsorted(table.known_ns, plain.facts.first_decision_ns, side="right")) - 1
    assert found["benchmark"] == name
    assert found["buy_and_hold_return"] == pytest.approx(table.close[-1] / table.close[at] - 1)
    assert f"holding {name}:" in found["verdict"]
