"""The live core, fed a history as if it arrived, decides what the backtest decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._kernel import layout
from septet._live.build_core import Build, core_of
from septet._shell.backtest import backtest
from septet._shell.session import Session, open_session

STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"
SNAPSHOT_EVERY = 997
FEW_TREES = ("model.params.n_estimators=10",)
"""For the demo where its model is any model: its forest is most of the time otherwise."""


@dataclass
class Seen:
    """What a core reported, in order."""

    decided: list[m.Decided] = field(default_factory=list)
    ruled: list[m.Ruled] = field(default_factory=list)
    traded: list[m.Traded] = field(default_factory=list)
    trains: list[m.Train] = field(default_factory=list)

    def take(self, commands: list[m.Command]) -> None:
        for each in commands:
            if isinstance(each, m.Decided):
                self.decided.append(each)
            elif isinstance(each, m.Ruled):
                self.ruled.append(each)
            elif isinstance(each, m.Traded):
                self.traded.append(each)
            elif isinstance(each, m.Train):
                self.trains.append(each)


def instruments(session: Session) -> list[Instrument]:
    market = session.market
    return [market.instruments.get(symbol) or Instrument(symbol) for symbol in market.symbols]


def feed(build: Build, session: Session, first_ns: int, models: list[m.ModelReady]) -> Seen:
    """Feed every bar as it became known; now and then go on from a snapshot."""
    core, aligned, seen = build.core, session.aligned, Seen()
    by_time = {each.trained_to_ns: each for each in models}
    answered, known = 0, [int(each) for each in aligned.T[layout.KNOWN, : aligned.times]]
    if models:
        seen.take(core.handle(started(1, max(each for each in known if each < first_ns))))
    for t, now_ns in enumerate(known):
        bars = bars_at(session, t)
        for bar in bars:
            seen.take(core.handle(bar))
        present = tuple(bar.symbol for bar in bars)
        decision_time = m.DecisionTimeReached(
            at_ns=now_ns, time_ns=now_ns, present=present, decides=now_ns >= first_ns
        )
        seen.take(core.handle(decision_time))
        for asked in seen.trains[answered:]:
            seen.take(core.handle(fitted(asked, by_time, now_ns)))
        answered = len(seen.trains)
        if t % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1:
            core.restore(core.snapshot())
    return seen


def fitted(asked: m.Train, by_time: dict[int, m.ModelReady], now_ns: int) -> m.Event:
    """Return what a fit gives: the model of the backtest, or that there is none."""
    if asked.trained_to_ns in by_time:
        return msgspec.structs.replace(by_time[asked.trained_to_ns], number=asked.number)
    return m.ModelFailed(
        at_ns=now_ns, number=asked.number, trained_to_ns=asked.trained_to_ns, text="no rows"
    )


def bars_at(session: Session, t: int) -> list[m.BarClosed]:
    """The bars that became known at a time, as events."""
    aligned, found = session.aligned, []
    now_ns = int(aligned.T[layout.KNOWN, t])
    for k, symbol in enumerate(session.market.symbols):
        table, i = session.market.bars[symbol], int(aligned.T[layout.ROW + k, t])
        if i >= 0:
            names = ("open", "high", "low", "close", "volume")
            prices: dict[str, Any] = {name: float(getattr(table, name)[i]) for name in names}
            found.append(
                m.BarClosed(
                    at_ns=now_ns, symbol=k, open_ns=int(table.open_ns[i]), known_ns=now_ns, **prices
                )
            )
    return found


def ready_models(result: Any, folder: Path) -> list[m.ModelReady]:
    """Store the models of a backtest as a run would; return what announces them, in order."""
    for place, data in result.model_files.items():
        target = folder / "models" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    folders = sorted(path.name for path in (folder / "models").iterdir())
    found = []
    for number, (name, card) in enumerate(zip(folders, result.models, strict=True)):
        ready = m.ModelReady(
            at_ns=0, number=number, fingerprint=str(card["model_sha256"]),
            trained_to_ns=int(card["trained_to_ns"]), ready_ns=int(card["ready_ns"]),
            expires_ns=2**62, folder=f"models/{name}",
        )  # fmt: skip
        found.append(ready)
    return found


def compare(seen: Seen, result: Any, features: list[str]) -> None:
    """Every number of decisions, fills and equity has the same bits."""
    assert np.array_equal([each.equity for each in seen.ruled], result.equity["equity"])
    assert np.array_equal([each.cash for each in seen.ruled], result.equity["cash"])
    for name in ("price", "quantity", "fee"):
        found = [getattr(each, name) for each in seen.traded]
        assert np.array_equal(found, result.fills[name]), name
    assert [each.market_ns for each in seen.traded] == list(result.fills["time"])
    rows = np.array([np.frombuffer(each.features) for each in seen.decided])
    for column, name in enumerate(features):
        bits = np.ascontiguousarray(rows[:, column]).view(np.int64)
        assert np.array_equal(bits, np.array(result.decisions[name]).view(np.int64)), name
    for name in ("requested", "granted", "confidence"):
        found = [getattr(each, name) for each in seen.decided]
        assert np.array_equal(found, result.decisions[name]), name


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("sma-cross", ""), ("perpetual-trend", ""), ("us-stocks", "2002-06-30"),
        ("us-stocks-momentum", "2002-06-30"),
    ],
)  # fmt: skip
def test_the_core_decides_what_the_backtest_decided(name: str, end: str, tmp_path: Path) -> None:
    path = STRATEGIES / f"{name}.yaml"
    loaded = load(path, sets=[f"universe.end={end}"] if end else [])
    result: Any = backtest(loaded, engine="batch")
    session = open_session(loaded)
    build = core_of(
        load(path, mode="paper"), tag="sabcdefg", instruments=instruments(session),
        run_folder=tmp_path, calendars=dict(session.market.calendars),
    )  # fmt: skip
    seen = feed(build, session, int(result.decisions["time"][0]), [])
    compare(seen, result, list(build.features))


def test_models_that_arrive_predict_as_those_of_the_walk(tmp_path: Path) -> None:
    path, sets = STRATEGIES / "demo.yaml", ["universe.end=2021-11-12", "signal.regime.window=3d"]
    sets.extend(FEW_TREES)
    loaded = load(path, sets=sets)
    result: Any = backtest(loaded, engine="batch")
    session = open_session(loaded)
    ready = ready_models(result, tmp_path)
    assert len(ready) > 2
    build = core_of(
        load(path, mode="paper", sets=sets), tag="sabcdefg", instruments=instruments(session),
        run_folder=tmp_path,
    )  # fmt: skip
    seen = feed(build, session, int(result.decisions["time"][0]), ready)
    compare(seen, result, list(build.features))
    asked = [each.trained_to_ns for each in seen.trains]
    assert {each.trained_to_ns for each in ready} <= set(asked)


def started(session: int, market_ns: int) -> m.Started:
    return m.Started(
        at_ns=market_ns, session=session, run_id="r", mode="paper", strategy="demo", origin_ns=0,
        market_ns=market_ns, fingerprints={},
    )  # fmt: skip


def test_a_model_that_fell_due_while_nobody_ran_waits_for_the_bars_that_were_missed(
    tmp_path: Path,
) -> None:
    path = STRATEGIES / "demo.yaml"
    session = open_session(load(path))
    build = core_of(
        load(path, mode="paper"), tag="sabcdefg", instruments=instruments(session),
        run_folder=tmp_path,
    )  # fmt: skip
    core, bar_ns, week = build.core, 900 * 10**9, 7 * 86_400 * 10**9
    times = [int(each) for each in session.aligned.T[layout.KNOWN, : session.aligned.times]]
    due_ns = -(-times[100] // week) * week
    before, after = times.index(due_ns - bar_ns), times.index(due_ns)

    def bars(first: int, last: int, *, decides: bool) -> Seen:
        seen = Seen()
        for t in range(first, last + 1):
            for bar in bars_at(session, t):
                seen.take(core.handle(bar))
            reached = m.DecisionTimeReached(
                at_ns=times[t], time_ns=times[t], present=(0,), decides=decides and t == last
            )
            seen.take(core.handle(reached))
        return seen

    fresh, restarted = Seen(), Seen()
    fresh.take(core.handle(started(1, times[before])))
    assert fresh.trains, "the first model is asked for at once: its history was read"
    for each in fresh.trains:
        core.handle(fitted(each, {}, times[before]))
    bars(0, before, decides=True)
    restarted.take(core.handle(started(2, due_ns + bar_ns // 2)))
    assert not restarted.trains
    asked = bars(before + 1, after, decides=True).trains
    assert [each.trained_to_ns for each in asked] == [due_ns]


@pytest.mark.parametrize(("skew", "blocks"), [("5s", False), ("500ms", True)])
def test_the_clocks_may_be_as_far_apart_as_the_venue_of_the_file_sets(
    skew: str, blocks: bool, tmp_path: Path
) -> None:
    venue = f"execution.venues={{binance: {{use: ccxt, exchange: binance, skew: {skew}}}}}"
    loaded = load(STRATEGIES / "live-example.yaml", mode="live", sets=[venue])
    traded = [Instrument(each) for each in loaded.strategy.universe.symbols]
    core = core_of(loaded, tag="sabcdefg", instruments=traded, run_folder=tmp_path).core
    core.handle(started(1, 1))
    core.handle(m.Skewed(at_ns=2, venue="binance", skew_ns=1_000_000_000))
    assert core.guards.blocked(0) == ("clock_skew" if blocks else "")


def test_fits_that_take_longer_than_their_step_are_not_queued(tmp_path: Path) -> None:
    """One fit at a time; the newest that is due follows it, and the journal names the others."""
    sets = ["model.training.step=1h", *FEW_TREES]
    path = STRATEGIES / "demo.yaml"
    session = open_session(load(path))
    build = core_of(
        load(path, mode="paper", sets=sets), tag="sabcdefg", instruments=instruments(session),
        run_folder=tmp_path,
    )  # fmt: skip
    core, hour = build.core, 3_600 * 10**9
    known = [int(each) for each in session.aligned.T[layout.KNOWN, : session.aligned.times]]
    first = next(t for t, each in enumerate(known) if t and each % hour == 0)
    first_ns, times = known[first], iter(range(first + 1, len(known)))
    commands: list[m.Command] = list(core.handle(started(1, first_ns)))
    alerts: list[m.Alerted] = []

    def trains(commands: list[m.Command]) -> list[tuple[int, int]]:
        alerts.extend(each for each in commands if isinstance(each, m.Alerted))
        return [
            (each.number, (each.trained_to_ns - first_ns) // hour)
            for each in commands
            if isinstance(each, m.Train)
        ]

    def decide(bars: int) -> list[tuple[int, int]]:
        asked = []
        for n in range(bars):
            t = next(times)
            for bar in bars_at(session, t):
                core.handle(bar)
            reached = m.DecisionTimeReached(
                at_ns=known[t], time_ns=known[t], present=(0,), decides=True
            )
            asked += trains(core.handle(reached))
            if n % 3 == 1:
                core.restore(core.snapshot())
        return asked

    def done(number: int, hours: int) -> list[tuple[int, int]]:
        to_ns = first_ns + hours * hour
        return trains(
            core.handle(m.ModelFailed(at_ns=1, number=number, trained_to_ns=to_ns, text="none"))
        )

    asked = trains(commands)
    assert asked == [(0, -1), (1, 0)]
    assert [done(*each) for each in asked] == [[], []]
    assert decide(4) == [(2, 1)]
    assert decide(14) == [], "it is still being fitted"
    late = [each for each in alerts if each.event == "model_late"]
    assert [each.level for each in late] == ["warning"]
    assert "model 2 with data up to" in late[0].text
    assert "3600 s later" in late[0].text
    alerts.clear()
    assert done(2, 1) == [(3, 4)], "at once, with the newest data"
    skipped = [each for each in alerts if each.event == "model_skipped"]
    assert [each.level for each in skipped] == ["info"]
    assert "2 fits" in skipped[0].text
    assert decide(5) == []
    assert not [each for each in alerts if each.event == "model_late"], "it was reported"
    assert done(3, 4) == [(4, 5)]
    assert done(4, 5) == [], "in time again"
    assert decide(4) == [(5, 6)]
    assert decide(4) == []
    assert [each.event for each in alerts][-1] == "model_late"
