"""Probabilities of a file for each symbol decide in paper and live as in both backtests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet import messages as m
from septet._config import load
from septet._core.events import DecisionTime
from septet._data.bars import Instrument
from septet._journal.reader import Reader
from septet._kernel import layout
from septet._live import process
from septet._live.clock import ManualClock
from septet._live.process import LiveResult, run_live
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import _Inputs, _window_over, shadow
from septet._live.wiring import Wiring
from septet._shell.backtest import backtest
from septet._shell.session import plan_of
from tests.live.feeds import HOUR_NS, MARKET_NS, World
from tests.live.scripted import START_NS
from tests.live.virtual_time import VirtualTimeLoop

SYMBOLS = ("BTC/USDT", "ETH/USDT")
FILE = """\
version: 1
name: outside
account: {capital: 10000, currency: USDT}
universe: {symbols: [BTC/USDT, ETH/USDT], bar: 1h}
data:
  candles: {use: synthetic, bars: 300, seed: 4, start: 2023-11-05}
  forecast: {use: csv_series, path: "{symbol}.csv", known_after: 1m, max_age: 2h}
features:
  forecast: {use: series, of: forecast}
model: {use: series, of: forecast, label: {use: direction, horizon: 2 bars}}
signal: {use: confidence, threshold: 0.1}
risk:
  sizing: {use: kelly, fraction: 0.25, max: 20%, odds: {average_win: 1%, average_loss: 1%}}
  halts: {drawdown: {above: 90%, then: flatten, resume: manual}}
"""


def value(symbol: str, stamp_ns: int) -> float:
    """The value of a symbol's file at a time."""
    phase = SYMBOLS.index(symbol) * 1.7
    return round(0.5 + 0.4 * float(np.sin(stamp_ns / HOUR_NS / 2.0 + phase)), 6)


def write(folder: Path, scale: float = 1.0) -> None:
    """Write a forecast of each symbol for every hour around the market time of the runs."""
    stamps = [MARKET_NS + k * HOUR_NS for k in range(-300, 300)]
    for symbol in SYMBOLS:
        rows = {"time": stamps, "value": [scale * value(symbol, each) for each in stamps]}
        pl.DataFrame(rows).write_csv(folder / f"{symbol.replace('/', '')}.csv")


BAR_WALL_NS = 20_000_000_000


class Outside(World):
    """Runs in memory of the file above, in virtual time: no load makes a bar late."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.time = ManualClock(START_NS, speed=HOUR_NS / BAR_WALL_NS, market_ns=MARKET_NS)
        self.clock = self.time  # type: ignore[assignment]  # one that nobody waits for

    def file(self, name: str = "live") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(FILE, encoding="utf-8")
        return path

    def run(self, mode: str, bars: int) -> LiveResult:
        wiring = self.wiring
        if mode == "live":
            wiring = Wiring(self.core, lambda *_: self.venue, self.feed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "new_loop", lambda: VirtualTimeLoop(self.time))
            return run_live(
                [self.load("outside", mode=mode)], self.options(bars=bars),
                confirm=lambda question: True, clock=self.clock, wiring=wiring, signals=False,
            )  # fmt: skip


WEIGHED = (
    FILE[: FILE.index("signal:")]
    + """\
portfolio: {use: top, by: edge, long: 1, gross: 60%, rebalance: {every: 2 bars}}
risk: {halts: {drawdown: {above: 90%, then: flatten, resume: manual}}}
"""
)


MISSES = """\
version: 1
name: misses
universe: {symbols: [BTC/USDT, ETH/USDT], bar: 1h}
data: {candles: {use: synthetic}}
features: {fast: {use: sma, period: 3}}
portfolio: {use: top, by: fast, long: 1, rebalance: {every: 2 bars}}
risk: {}
"""


class Weighed(Outside):
    """Runs of a portfolio that holds the symbol of the larger probability."""

    def file(self, name: str = "live") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(WEIGHED, encoding="utf-8")
        return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setenv("SEPTET_COMPILE", "never")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    write(tmp_path)
    return Outside(tmp_path)


def _rows(folder: Path) -> list[tuple[m.Event, list[m.Command]]]:
    with Reader(folder / JOURNAL) as journal:
        return [(each.event, list(each.commands)) for each in journal.read()]


def _decided(rows: list[tuple[m.Event, list[m.Command]]]) -> list[m.Decided]:
    return [each for _, caused in rows for each in caused if isinstance(each, m.Decided)]


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_each_symbol_decides_by_its_own_file(world: Outside, mode: str) -> None:
    [(run, end)] = world.run(mode, 12).ends
    assert end.how == "finished", end.text
    rows = _rows(run.location.folder)
    [ready] = [event for event, _ in rows if isinstance(event, m.ModelReady)]
    assert (ready.rows, ready.trained_to_ns) == (0, 0)
    sure = [each for each in _decided(rows) if each.probability_up is not None]
    sure = [each for each in sure if np.isfinite(each.probability_up or np.nan)]
    assert {each.symbol for each in sure} == {0, 1}
    assert len(sure) >= 12
    for each in sure:  # that of the bar's close is known a minute on; the source is asked by bars
        hours = (each.time_ns - k * HOUR_NS for k in (1, 2))
        assert each.probability_up in [value(SYMBOLS[each.symbol], stamp) for stamp in hours]
    for prove in (replay, shadow):
        found = prove(run.location.folder)
        assert found.differences == 0, str(found.first)


def test_paper_decides_nothing_by_what_is_no_probability(world: Outside) -> None:
    write(world.folder, 100.0)
    [(run, end)] = world.run("paper", 6).ends
    assert end.how == "finished", end.text
    decided = _decided(_rows(run.location.folder))
    assert decided
    assert not [each for each in decided if each.requested]


def test_batch_and_events_decide_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_COMPILE", "never")
    write(tmp_path)
    path = tmp_path / "outside.yaml"
    path.write_text(FILE, encoding="utf-8")
    batch, events = (backtest(load(path), engine=each) for each in ("batch", "event"))
    assert pl.DataFrame(batch.fills).height > 10
    tables: list[tuple[Any, Any]] = [
        (batch.decisions, events.decisions), (batch.fills, events.fills),
        (batch.equity, events.equity),
    ]  # fmt: skip
    for one, other in tables:
        assert pl.DataFrame(one).equals(pl.DataFrame(other))


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_portfolio_of_probabilities_is_replayed_and_shadowed(world: Outside, mode: str) -> None:
    [(run, end)] = Weighed(world.folder).run(mode, 14).ends
    assert end.how == "finished", end.text
    rows = _rows(run.location.folder)
    placed = [each for _, caused in rows for each in caused if isinstance(each, m.Placed)]
    bought = [each for each in placed if (each.reason, each.side) == ("rebalance", "buy")]
    assert bought
    assert {each.reason for each in placed} == {"rebalance"}, "the label's horizon closes nothing"
    for prove in (replay, shadow):
        found = prove(run.location.folder)
        assert found.differences == 0, str(found.first)


def test_a_missing_bar_of_a_portfolio_is_part_of_its_shadow(tmp_path: Path) -> None:
    """A rebalance is due by the time before; the missing symbol has no row."""
    path = tmp_path / "x.yaml"
    path.write_text(MISSES, encoding="utf-8")
    plan = plan_of(load(path))
    state = plan.state(10_000.0, [Instrument(each) for each in SYMBOLS])
    times = []
    for n in range(4):
        facts = np.zeros((2, layout.M_ROWS), np.int64)
        facts[1, layout.AGE] = -1 if n == 2 else n
        columns = np.full((2, layout.X_FIXED), 100.0)
        times.append(DecisionTime((n + 1) * HOUR_NS, 0, columns, facts, True, False))
    window = _window_over(plan, state, _Inputs(times, [None] * 4, [4, 3]))
    assert window.arrays["T"][layout.ROW + 1, :4].tolist() == [0, 1, -1, 2]
    assert window.arrays["DUE"][:4].tolist() == [1, 0, 1, 0]
