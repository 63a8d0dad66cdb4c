"""The monitors of what is traded, against numbers small enough to check by head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet.plugin.live import FillRows, Reading, RunView, TradeRows
from septet_plugins.monitoring.trading import (
    CostShare,
    LosingStreak,
    Turnover,
    cost_share,
    losing_streak,
    turnover,
)

HOUR_NS = 3_600_000_000_000


def _fills(rows: list[tuple[int, int, int, float, float, float]]) -> FillRows:
    """Fills from hour, symbol, side, quantity, price, decision price; a fee of 0.1 each."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    hour, symbol, side = (each.astype(np.int64) for each in table[:3])
    fee = np.full(len(rows), 0.1)
    return FillRows(hour * HOUR_NS, symbol, side, table[3], table[4], table[5], fee)


def _trades(rows: list[tuple[float, ...]]) -> TradeRows:
    """Trades from entry hour, exit hour, symbol, profit, slippage (0); fees of 0.2 each."""
    table = np.array([(*row, 0.0)[:5] for row in rows], dtype=np.float64).reshape(-1, 5).T
    start, end, symbol = (each.astype(np.int64) for each in table[:3])
    ones = np.ones(len(rows))
    return TradeRows(
        start * HOUR_NS, end * HOUR_NS, symbol, symbol * 0 + 1, ones, ones, ones, table[3],
        ones * 0.2, ones * 0.0, ones * 0.0, table[4],
    )  # fmt: skip


def _run(fills: Any = (), trades: Any = (), hours: int = 100, equity: float = 100.0) -> RunView:
    time_ns = np.arange(hours, dtype=np.int64) * HOUR_NS
    level = np.full(hours, equity)
    none = np.zeros(hours)
    return RunView(
        ("A", "B"), HOUR_NS, time_ns, level, level, none, _fills(list(fills)),
        _trades(list(trades)),
    )  # fmt: skip


def _summary(readings: list[Reading]) -> list[tuple[int, float, str, int]]:
    return [(each.time_ns // HOUR_NS, each.value, each.verdict, each.window) for each in readings]


def test_turnover_adds_up_both_sides_within_the_window() -> None:
    rows = [(1, 0, 1, 2.0, 25.0, 25.0), (3, 1, -1, 1.0, 60.0, 60.0), (5, 0, -1, 1.0, 10.0, 10.0)]
    found = turnover(Turnover.model_validate({"window": "4h", "above": "100%"})).read(_run(rows))
    # At hour 5 the fill of hour 1 is four hours old, and the window is open on that side.
    assert _summary(found) == [(1, 0.5, "ok", 1), (3, 1.1, "halt", 2), (5, 0.7, "ok", 2)]
    assert {each.threshold for each in found} == {1.0}


def test_turnover_takes_fills_of_one_time_together_and_its_own_edge_is_no_alarm() -> None:
    rows = [(2, 0, 1, 1.0, 50.0, 50.0), (2, 1, 1, 1.0, 50.0, 50.0)]
    config = Turnover.model_validate({"above": "100%", "verdict": "warn"})
    assert _summary(turnover(config).read(_run(rows))) == [(2, 1.0, "ok", 2)]
    assert _summary(turnover(config).read(_run(rows, equity=99.0)))[0][2] == "warn"


def test_turnover_without_equity_is_an_alarm() -> None:
    rows = [(2, 0, 1, 1.0, 50.0, 50.0)]
    (found,) = turnover(Turnover()).read(_run(rows, equity=-10.0))
    assert found.verdict == "halt"


def test_costs_are_a_share_of_what_the_good_trades_gained() -> None:
    trades = [(1, 3, 0, 1.4, 0.4), (3, 4, 1, -1.2, 0.5)]
    config = CostShare.model_validate({"trades": 2, "above": "50%"})
    (found,) = cost_share(config).read(_run((), trades))
    # Costs 0.2 + 0.4 and 0.2 + 0.5; before costs the first gained 2.0 and the second lost.
    assert found.value == pytest.approx(1.3 / 2.0)
    assert (found.time_ns, found.verdict, found.window) == (4 * HOUR_NS, "warn", 2)


def test_without_a_gain_there_is_no_share_of_it() -> None:
    config = CostShare.model_validate({"trades": 1})
    assert cost_share(config).read(_run((), [(1, 2, 0, -3.0)])) == []
    assert cost_share(CostShare()).read(_run((), [(1, 2, 0, 3.0)])) == []


def test_losses_in_a_row_are_counted_over_all_symbols() -> None:
    trades = [(1, 2, 0, -1.0), (1, 3, 1, -1.0), (4, 5, 0, 0.0), (6, 7, 1, -1.0)]
    config = LosingStreak.model_validate({"trades": 2, "verdict": "halt"})
    found = losing_streak(config).read(_run((), trades))
    assert _summary(found) == [(2, 1, "ok", 1), (3, 2, "halt", 2), (5, 0, "ok", 0), (7, 1, "ok", 1)]


@st.composite
def _runs(draw: st.DrawFn) -> RunView:
    fills, trades = [], []
    for symbol in (0, 1):
        hours = sorted(draw(st.lists(st.integers(1, 90), max_size=12)))
        for number, hour in enumerate(hours):
            price = draw(st.floats(1.0, 50.0))
            fills.append((hour, symbol, 1 - 2 * (number % 2), 1.0, price, price * 1.01))
        for start, end in zip(hours[::2], hours[1::2], strict=False):
            trades.append((start, end, symbol, draw(st.floats(-5.0, 5.0))))
    return _run(sorted(fills), sorted(trades, key=lambda row: row[1]))


@given(_runs(), st.integers(0, 100), st.integers(1, 4))
def test_nothing_is_seen_before_it_was_known(run: RunView, hour: int, count: int) -> None:
    """Cut the future away: no earlier reading changes, and none appears."""
    monitors = [
        turnover(Turnover.model_validate({"window": "7h", "above": "20%"})),
        cost_share(CostShare.model_validate({"trades": count})),
        losing_streak(LosingStreak.model_validate({"trades": count})),
    ]
    time_ns = hour * HOUR_NS
    for each in monitors:
        wanted = [reading for reading in each.read(run) if reading.time_ns <= time_ns]
        assert each.read(run.until(time_ns)) == wanted


@given(_runs(), st.integers(0, 100), st.integers(1, 4), st.sampled_from(["warn", "block"]))
def test_what_was_read_before_is_left_out_and_nothing_else(
    run: RunView, hour: int, count: int, verdict: str
) -> None:
    monitors = [
        turnover(Turnover.model_validate({"window": "7h", "above": "20%", "verdict": verdict})),
        cost_share(CostShare.model_validate({"trades": count})),
        losing_streak(LosingStreak.model_validate({"trades": count})),
    ]
    since_ns = hour * HOUR_NS
    for each in monitors:
        asked = each.read(replace(run, since_ns=since_ns))
        wanted = [reading for reading in each.read(run) if reading.time_ns >= since_ns]
        assert [reading for reading in asked if reading.time_ns >= since_ns] == wanted
        assert len(asked) - len(wanted) <= 2, "all of it was read again"


def test_what_a_monitor_is_given_cannot_be_changed() -> None:
    run = _run([(1, 0, 1, 2.0, 25.0, 25.0)], [(1, 2, 0, -1.0)])
    for array in (run.equity, run.time_ns, run.fills.price, run.trades.pnl, run.until(0).equity):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True
        base = array.base
        while base is not None and not isinstance(base, bytes):
            with pytest.raises(ValueError, match="cannot set WRITEABLE"):
                base.flags.writeable = True
            base = base.base
