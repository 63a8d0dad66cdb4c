"""Models fitted beside a run are those of a backtest's walk on the same bars, to the bit."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet import messages as m
from septet._config import load
from septet._data.bars import MarketData
from septet._data.load import load_market
from septet._learn.schedule import TrainingRule, training_times
from septet._live.market_data.feed_grid import Grid
from septet._live.market_data.feed_shelf import Shelf
from septet._live.train_worker import HEAD, Work
from septet._live.training import ModelTrainer, TrainingTimes, load_served
from septet._shell.backtest import backtest
from septet.errors import ModelError
from septet_schemas.cron import Cron

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
STRATEGY = """\
version: 1
name: trained
seed: 3
universe: {symbols: [BTC/USD], bar: 15m}
data: {candles: {use: sample}}
features:
  ret: {use: log_return}
  rsi: {use: rsi, period: 10}
  tall: {use: roc, period: 2, bar: 1h}
model:
  use: sklearn
  estimator: LogisticRegression
  scale: standard
  label: {use: direction, horizon: 2 bars}
  training: {train: 21d, step: 14d, expire_after: 60d}
signal: {use: confidence, threshold: 0.01}
risk:
  sizing: {use: fixed_fraction, fraction: 40%}
"""


def events_of(market: MarketData) -> Iterator[m.BarClosed]:
    for k, symbol in enumerate(market.symbols):
        table = market.bars[symbol]
        columns = (table.open_ns, table.known_ns, table.open, table.high, table.low, table.close)
        for row in zip(*(each.tolist() for each in (*columns, table.volume)), strict=True):
            yield m.BarClosed(
                at_ns=0, symbol=k, open_ns=row[0], known_ns=row[1], open=row[2], high=row[3],
                low=row[4], close=row[5], volume=row[6], source="history",
            )  # fmt: skip


def shelf_of(market: MarketData, **options: Any) -> Shelf:
    grids = [Grid(market.calendars[symbol], market.bar_ns) for symbol in market.symbols]
    return Shelf(market.symbols, grids, **options).fold(events_of(market))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, MarketData]:
    path = tmp_path_factory.mktemp("training") / "trained.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    loaded = load(path)
    return loaded, load_market(loaded)


def trained(trainer: ModelTrainer, number: int, trained_to_ns: int) -> m.ModelReady | m.ModelFailed:
    return asyncio.run(trainer.train(number, trained_to_ns))


def test_a_shelf_holds_what_a_backtest_reads(prepared: tuple[Any, MarketData]) -> None:
    _, market = prepared
    table = market.bars["BTC/USD"]
    shelf = shelf_of(market)
    again = shelf.market().bars["BTC/USD"]
    for name in ("open_ns", "known_ns", "open", "high", "low", "close", "volume", "session"):
        assert np.array_equal(getattr(table, name), getattr(again, name)), name
    half = int(table.known_ns[len(table) // 2])
    assert int(shelf.bars(0, half).known_ns[-1]) == half
    assert shelf.first_known_ns() == table.known_ns[0]
    short = shelf_of(market, keep_ns=10 * DAY).bars(0)
    assert 10 * DAY <= short.known_ns[-1] - short.known_ns[0] <= 12.5 * DAY + 15 * 60 * 10**9
    assert np.array_equal(short.close, table.close[-len(short) :])


def test_a_series_is_kept_with_when_it_was_known() -> None:
    shelf = Shelf(["A"], [Grid("24x7", HOUR)], max_ages_ns={"fear": DAY})
    for stamp, known, value in ((1, 5, 1.0), (2, 9, 2.0), (1, 7, 3.0)):
        shelf.take(m.SeriesPoint(at_ns=0, name="fear", stamp_ns=stamp, known_ns=known, value=value))
    table = shelf.market(8).series["fear"]
    assert (table.known_ns.tolist(), table.value.tolist()) == ([5, 7], [1.0, 3.0])
    assert table.max_age_ns == DAY


def test_a_child_fits_the_model_of_the_walk(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    import lightgbm  # noqa: F401 - here, and not in the child: what took no part is no matter

    loaded, market = prepared
    whole = backtest(loaded)
    files = whole.model_files
    cards = {name: data for name, data in files.items() if name.endswith("card.json")}
    second = sorted(cards)[1]
    wanted = second.removesuffix("/card.json")
    walk = whole.models[1]
    trainer = ModelTrainer(loaded, shelf_of(market), tmp_path, lambda: 7)
    loaded.path.write_text("no: strategy", encoding="utf-8")  # somebody edits it meanwhile
    event = trained(trainer, 1, int(walk["trained_to_ns"]))
    assert isinstance(event, m.ModelReady), event
    assert event.folder == f"models/{wanted}"
    assert event.fingerprint == walk["model_sha256"]
    assert event.ready_ns == walk["ready_ns"]
    assert event.expires_ns == event.trained_to_ns + 60 * DAY
    for name in ("card.json", "model.npz"):
        assert (tmp_path / event.folder / name).read_bytes() == files[f"{wanted}/{name}"]
    assert sorted(each.name for each in (tmp_path / event.folder).iterdir()) == [
        "card.json", "model.npz",
    ]  # fmt: skip
    served = load_served(tmp_path, event, walk["features"])
    assert 0.0 < served.predict_row(np.zeros(3)) < 1.0
    with pytest.raises(ModelError, match="a model of the run is gone") as gone:
        load_served(tmp_path / "moved", event)
    assert "models folder" in str(gone.value.hint)
    with pytest.raises(ModelError, match="not the one the journal names"):
        load_served(tmp_path, m.ModelReady(**{**_fields(event), "fingerprint": "0" * 64}))


def _fields(event: m.ModelReady) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_a_window_without_a_model_states_why(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    loaded, market = prepared
    early = int(market.bars["BTC/USD"].known_ns[100])
    event = trained(ModelTrainer(loaded, shelf_of(market), tmp_path, lambda: 7), 0, early)
    assert isinstance(event, m.ModelFailed)
    assert "fewer than 500" in event.text
    assert (event.at_ns, event.trained_to_ns) == (7, early)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_child_that_takes_too_long_is_ended(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    loaded, market = prepared
    trainer = ModelTrainer(
        loaded, shelf_of(market), tmp_path, lambda: 7, timeout_s=0.01, attempts=1
    )
    event = trained(trainer, 0, int(market.bars["BTC/USD"].known_ns[-1]))
    assert isinstance(event, m.ModelFailed)
    assert "longer than 0.01 s" in event.text
    assert trainer.pid is None


def test_a_child_that_is_killed_is_started_again(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    loaded, market = prepared
    logged: list[str] = []
    trainer = ModelTrainer(loaded, shelf_of(market), tmp_path, lambda: 7, log=logged.append)
    moment = int(market.bars["BTC/USD"].known_ns[-1])

    async def run() -> m.ModelReady | m.ModelFailed:
        task = asyncio.create_task(trainer.train(0, moment))
        while trainer.pid is None:
            await asyncio.sleep(0)
        os.kill(trainer.pid, signal.SIGKILL)
        return await task

    assert isinstance(asyncio.run(run()), m.ModelReady)
    [line] = logged
    assert line.startswith("model 0: the training process ended with status -9")
    assert line.endswith("it is fitted once more")


def test_a_trainer_that_is_closed_kills_and_trains_no_more(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    loaded, market = prepared
    trainer = ModelTrainer(loaded, shelf_of(market), tmp_path, lambda: 7)
    moment = int(market.bars["BTC/USD"].known_ns[-1])

    async def run() -> m.ModelReady | m.ModelFailed:
        task = asyncio.create_task(trainer.train(0, moment))
        while trainer.pid is None:
            await asyncio.sleep(0)
        trainer.close()
        return await task

    event = asyncio.run(run())
    assert isinstance(event, m.ModelFailed)
    assert trainer.pid is None


def test_a_training_that_is_cancelled_leaves_no_child_to_the_loop(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    """As a run does that ends meanwhile; the child was a zombie, and its pipes stayed open."""
    loaded, market = prepared
    trainer = ModelTrainer(loaded, shelf_of(market), tmp_path, lambda: 7)
    moment = int(market.bars["BTC/USD"].known_ns[-1])

    async def run() -> None:
        task = asyncio.create_task(trainer.train(0, moment))
        while trainer.pid is None:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert trainer.pid is None, "it has ended and is reaped"

    asyncio.run(run())


def test_a_child_ends_with_whoever_started_it(
    prepared: tuple[Any, MarketData], tmp_path: Path
) -> None:
    loaded, market = prepared
    work = Work(loaded.tree, loaded.path, loaded.base_dir, market, 0, 0)
    data = pickle.dumps(work)
    command = [sys.executable, "-m", "septet._live.train_worker", str(tmp_path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(HEAD.pack(len(data)) + data)
    child.stdin.close()
    assert child.wait(60) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("calendar", ["24x7", "XNYS"])
@pytest.mark.parametrize("cron", [None, Cron("0 3 * * 1"), Cron("0 15 * * *")])
def test_the_schedule_is_that_of_the_walk(cron: Cron | None, calendar: str) -> None:
    step = 5 * DAY if cron is None else cron.longest_ns
    rule = TrainingRule(20 * DAY, step, HOUR, cron=cron)
    if calendar == "XNYS":
        rule = TrainingRule(
            20 * DAY, step, 0, ready_bars=3, calendar=calendar, bar_ns=HOUR // 2, cron=cron
        )
    first = 20_000 * DAY + 5 * HOUR
    times = TrainingTimes(rule, rule.first_whole_ns(first, HOUR))
    for hours in range(0, 24 * 60, 7):
        now = first + hours * HOUR
        later = training_times(rule, rule.first_whole_ns(first, HOUR), now + 30 * DAY, now)
        walk = [each for each in later if each <= now]
        assert times.needed(now) == walk
        newest = walk[-1] if walk else None
        assert times.due(now, None) == newest
        if newest is not None:
            assert times.due(now, newest) is None
            assert times.due(now, newest - 1) == newest
        following = times.following(now)
        assert following is not None
        assert following > now
        assert times.between(now + 1, following) == [following]
