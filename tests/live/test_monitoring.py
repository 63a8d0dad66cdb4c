"""Monitors of a paper or live run: the readings of a backtest, journalled, replayed, and acting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from septet import messages as m
from septet._config import load
from septet._config.load import Loaded
from septet._data.bars import Instrument
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._kernel import layout
from septet._live.build_core import Build, core_of
from septet._live.fingerprints import fingerprints_of
from septet._live.journal_head import facts_of
from septet._live.market_data.feed_shelf import Shelf
from septet._live.market_data.opening import grids_of
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._live.stored_model import announce_stored, stored_of
from septet._live.train_worker import Work, fit, store
from septet._live.training import ready_event
from septet._live.wiring import core_terms
from septet._shell.backtest import backtest
from septet._shell.session import Session, open_session
from septet._store.projections import write_projections
from septet._store.tables import frames_of
from tests.live import diffs
from tests.live.test_core import bars_at, instruments
from tests.monitoring.test_monitor_readings import FILE

TAG = "sabcdefg"
MONITORS = """
  churn: {use: turnover, window: 6h, above: 60%, verdict: block}
  costs: {use: cost_share, trades: 5}
  streak: {use: losing_streak, trades: 6, verdict: halt}
"""
LEARNS = """
version: 1
name: drifting
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD, B/USD], bar: 1h, start: "2020-01-29 01:00"}
data:
  candles: {use: synthetic, bars: 2200, start: 2020-01-01, seed: 5, volatility: 60%}
features:
  ret_1: {use: log_return}
  level: {use: sma, period: 3}
model:
  use: sklearn
  estimator: LogisticRegression
  scale: standard
  label: {use: direction, horizon: 2 bars}
  training: {train: 15d, step: 31d, min_rows: 100, min_class: 10, on_drift: true}
signal: {use: confidence, threshold: 0.02}
risk:
  sizing: {use: fixed_fraction, fraction: 45%}
execution:
  simulation: {fee: 10bps, slippage: 5bps}
monitoring:
  model: {auc_window: 100, psi_window: 120}
"""


class Runner:
    """A core with its journal, its bars and its models, fed as a strategy run feeds them."""

    def __init__(self, loaded: Loaded, folder: Path, session: Session, *, snapshots: int) -> None:
        self.loaded, self.folder, self.session, self.snapshots = loaded, folder, session, snapshots
        self.build = self._built()
        self.stored = stored_of(loaded, self.build.plan)
        head = Head(
            run_id="run", strategy=loaded.strategy.name, mode="paper", account="", created_ns=1,
            origin_ns=0, fingerprints=fingerprints_of(loaded, self.build.plan.name),
            facts=facts_of(
                loaded, self.build, terms=core_terms(None, 1.0), tag=TAG, market_ns=0,
                stored=self.stored,
            ),
        )  # fmt: skip
        self.journal = Journal.create(folder / JOURNAL, head, durability="process")
        self.shelf = Shelf(loaded.strategy.universe.symbols, grids_of(loaded.strategy))
        self.trains: list[m.Train] = []
        self.commands: list[m.Command] = []

    def _built(self) -> Build:
        return core_of(
            self.loaded, tag=TAG, instruments=instruments(self.session), run_folder=self.folder
        )

    def handle(self, event: m.Event) -> None:
        commands = self.build.core.handle(event)
        self.journal.append(event, commands)
        self.shelf.take(event)
        self.commands += commands
        self.trains += [each for each in commands if isinstance(each, m.Train)]

    def train(self) -> None:
        """Fit what was asked for, as the training process does."""
        while self.trains:
            asked = self.trains.pop(0)
            loaded = self.loaded
            work = Work(
                loaded.tree, loaded.path, loaded.base_dir, self.shelf.market(asked.trained_to_ns),
                asked.number, asked.trained_to_ns, asked.cause,
            )  # fmt: skip
            place = self.folder / "models" / f"{asked.number:03d}"
            place.mkdir(parents=True)
            found = store(fit(work), place)
            if "failed" in found:
                self.handle(
                    m.ModelFailed(
                        at_ns=1, number=asked.number, trained_to_ns=asked.trained_to_ns,
                        text=found["failed"],
                    )
                )  # fmt: skip
                continue
            found["folder"] = f"models/{place.name}"
            self.handle(ready_event(1, asked.number, asked.trained_to_ns, found))

    def run(self, first_ns: int) -> None:
        known = self.session.aligned.T[layout.KNOWN].tolist()
        before = max(each for each in known if each < first_ns)
        self.handle(
            m.Started(
                at_ns=1, session=1, run_id="run", mode="paper", strategy="s", origin_ns=0,
                market_ns=before, fingerprints={},
            )
        )  # fmt: skip
        if self.stored is not None:
            self.handle(announce_stored(self.loaded, self.stored, self.folder, 1))
        for t, now_ns in enumerate(known):
            for bar in bars_at(self.session, t):
                self.handle(bar)
            present = tuple(bar.symbol for bar in bars_at(self.session, t))
            self.handle(
                m.DecisionTimeReached(
                    at_ns=now_ns, time_ns=now_ns, present=present, decides=now_ns >= first_ns
                )
            )
            if now_ns >= before:
                self.train()
            if self.snapshots and t % self.snapshots == self.snapshots - 1:
                kept = self.build.core.snapshot()
                self.build = self._built()
                self.build.core.restore(kept)
        self.journal.commit()
        self.journal.close()


def _written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "strategy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _paper(folder: Path, text: str, result: Any, *, snapshots: int = 0) -> Runner:
    path = _written(folder, text)
    session = open_session(load(path))
    runner = Runner(load(path, mode="paper"), folder, session, snapshots=snapshots)
    runner.run(int(result.equity["time"][0]))
    return runner


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Runner]:
    folder = tmp_path_factory.mktemp("traded")
    text = FILE.replace("plugins: [septet-odd]\n", "") + MONITORS
    result = backtest(load(_written(folder / "backtest", text)))
    return result, _paper(folder / "paper", text, result, snapshots=211)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Runner]:
    folder = tmp_path_factory.mktemp("learned")
    result = backtest(load(_written(folder / "backtest", LEARNS)))
    return result, _paper(folder / "paper", LEARNS, result, snapshots=307)


def _before_last(frame: pl.DataFrame, result: Any) -> pl.DataFrame:
    """Rows from before the last decision time: what is later is read at the next."""
    end = pl.lit(int(result.equity["time"][-1])).cast(pl.Datetime("ns"))
    found = frame.filter(pl.col("time") < end.dt.replace_time_zone("UTC"))
    return found.sort("time", "metric", "symbol", "value")


def test_live_readings_are_those_of_the_backtest(traded: tuple[Any, Runner]) -> None:
    result, runner = traded
    run = write_projections(runner.folder)
    table = pl.read_parquet(runner.folder / "monitoring.parquet")
    theirs = frames_of(result)["monitoring"]
    assert table.columns == theirs.columns
    mine = _before_last(table, result)
    assert {"churn", "costs", "streak", "slippage"} == set(mine["metric"])
    assert_frame_equal(
        mine, _before_last(theirs, result), check_exact=True, categorical_as_str=True,
        check_dtypes=False,
    )  # fmt: skip
    live, past = run.result.halts, result.halts
    assert [(each.rule, each.time_ns, each.resumed_ns) for each in live] == [
        (each.rule, each.time_ns, each.resumed_ns) for each in past
    ]
    assert {each.rule for each in past} == {"monitoring.churn:block", "monitoring.streak"}
    equity = [each.equity for each in runner.commands if isinstance(each, m.Ruled)]
    assert equity == list(result.equity["equity"])


def test_health_and_drift_are_those_of_the_backtest(learned: tuple[Any, Runner]) -> None:
    result, runner = learned
    write_projections(runner.folder)
    table = pl.read_parquet(runner.folder / "monitoring.parquet")
    mine = _before_last(table, result)
    assert {"auc", "psi:level", "psi:ret_1"} <= set(mine["metric"])
    assert_frame_equal(
        mine, _before_last(frames_of(result)["monitoring"], result), check_exact=True,
        categorical_as_str=True, check_dtypes=False,
    )  # fmt: skip
    trains = [each for each in runner.commands if isinstance(each, m.Train)]
    drift = [each.trained_to_ns for each in trains if each.cause == "drift"]
    assert drift
    times = [card["trained_to_ns"] for card in result.models]
    assert set(drift) <= set(times)
    step = 31 * 86_400 * 10**9
    assert [each for each in times if each % step] == drift
    equity = [each.equity for each in runner.commands if isinstance(each, m.Ruled)]
    assert equity == list(result.equity["equity"])


@pytest.mark.parametrize("which", ["traded", "learned"])
def test_replay_and_shadow_make_every_reading_again(
    which: str, request: pytest.FixtureRequest
) -> None:
    _, runner = request.getfixturevalue(which)
    for prove in (replay, shadow):
        found = prove(runner.folder)
        assert found.differences == 0, str(found.first)
    watched = [each for each in runner.commands if isinstance(each, m.Watched)]
    assert len(watched) > 50


@pytest.mark.parametrize(("alarm", "verdict"), [("500ms", "warn"), ("1s", "ok"), ("2s", "ok")])
def test_an_answer_slower_than_the_alarm_is_read_and_reported(
    tmp_path: Path, alarm: str, verdict: str
) -> None:
    """The venue takes one second: a reading for each order, an alert for each that was too slow."""
    bars = diffs.walk(30)
    path = diffs.write_file(tmp_path, bars)
    sets = ["execution.simulation.fills=quotes", f"monitoring.fills.latency_alarm={alarm}"]
    traded = [Instrument("BTC/USDT", diffs.LOT, diffs.TICK, 0.0, 1e-8)]
    (tmp_path / "live").mkdir()
    run = diffs.Runner(load(path, mode="paper", sets=sets), tmp_path / "live", traded, {})
    for n, bar in enumerate(bars[:-1]):
        run.bar(n, bar, bars[n + 1].open, diffs.Lives(venue_fills=True))
    run.journal.commit()
    run.journal.close()
    with Reader(tmp_path / "live" / JOURNAL) as journal:
        rows = [each for entry in journal.read() for each in entry.commands]
    sent = [each for each in rows if isinstance(each, m.Submit)]
    read = [each for each in rows if isinstance(each, m.Watched) and each.metric == "latency"]
    assert len(sent) > 2
    assert [(each.value, each.verdict, each.symbol) for each in read] == [
        (1.0, verdict, 0) for _ in sent
    ]
    reported = [
        each.text for each in rows if isinstance(each, m.Alerted) and each.event == "latency"
    ]
    assert len(reported) == (len(sent) if verdict == "warn" else 0)
    for text, order in zip(reported, sent, strict=False):
        assert text == f"the venue took 1 s to answer {order.client_id}, the bound 0.5 s"
    found = replay(tmp_path / "live")
    assert found.differences == 0, str(found.first)
