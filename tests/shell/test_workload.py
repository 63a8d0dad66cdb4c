"""The reference workload through the whole runner: exact round trips and exact money."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._kernel import layout
from septet._shell.backtest import run_batch
from septet._shell.event_backtest import run_events
from septet._shell.session import open_session

STRATEGY = """\
version: 1
name: w1
account: {capital: 10000000}
universe: {symbols: [BTC/USDT], bar: 1m}
data:
  candles: {use: synthetic, series: w1, bars: %d}
features:
  fast: {use: sma, period: 20}
  slow: {use: sma, period: 100}
signal: {use: rules, long_if: "crosses_above(fast, slow)", exit_if: "crosses_below(fast, slow)"}
risk:
  sizing: {use: fixed_quantity, quantity: 1}
execution:
  venues:
    sim: {use: simulated, fee: 10bps, slippage: 0bps}
"""


def opened(folder: Path, bars: int):
    path = folder / "w1.yaml"
    path.write_text(STRATEGY % bars, encoding="utf-8")
    return open_session(load(path))


def counted(outcome) -> tuple[int, str]:
    return len(outcome.rows(layout.TRADE)), f"{outcome.G[layout.G_EQUITY, -1]:.4f}"


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        # compiling takes less than a million bars of plain Python
        pytest.param(1_000_000, (6_911, "9482113.8188"), marks=pytest.mark.compiled),
        (100_000, (702, "9959067.8576")),
    ],
)
def test_the_reference_workload_is_exact(tmp_path, bars, expected):
    outcome, *_ = run_batch(opened(tmp_path, bars))
    assert counted(outcome) == expected


def test_the_event_path_gives_the_same_log_on_the_reference_workload(tmp_path):
    session = opened(tmp_path, 20_000)
    batch, *_ = run_batch(session)
    events, *_ = run_events(session)
    assert len(batch.LI) > 400
    assert batch.LI.tobytes() == events.LI.tobytes()
    assert batch.LF.tobytes() == events.LF.tobytes()
    first = session.first
    for row in (layout.G_EQUITY, layout.G_CASH, layout.G_EXPOSURE):
        assert batch.G[row, first:].tobytes() == events.G[row, first:].tobytes()
