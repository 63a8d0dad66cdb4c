"""E24 in the run: a symbol that is no longer listed is blocked and named, the others go on."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._core.orders import Parent
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, StreamDown
from septet._live.clock import ManualClock
from septet._live.market_data.bars import BarAssembler, BarRules
from septet._live.market_data.decision_times import DecisionTimes, Standing
from septet._live.market_data.feed_grid import Gate, Grid
from septet._live.market_data.handler import MarketDataHandler
from septet._live.market_data.watchdog import Watchdog
from septet.errors import DataError
from septet_schemas.data import CandlesConfig
from tests.core.orders.bench import Bench
from tests.live.test_overdue_stops import protected, sales
from tests.live.test_start import Stage, rows

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_040 * SECOND // MINUTE * MINUTE
GONE = {"BTC/USDT": ("BTC/USDC", "BTCST/USDT")}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def leave_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = stage.venue.open

    async def without(*given: Any) -> Any:
        return dataclasses.replace(await usual(*given), markets={}, unlisted=GONE)

    monkeypatch.setattr(stage.venue, "open", without)


def test_e24_a_first_start_is_refused_with_the_closest_names(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out(stage, monkeypatch)
    with pytest.raises(DataError, match="memory lists no BTC/USDT") as refused:
        stage.run(mode="live")
    assert refused.value.hint == "did you mean BTC/USDC or BTCST/USDT?"
    assert stage.venue.closed


def test_e24_a_run_with_a_history_goes_on_and_asks_nothing_of_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stage.run(mode="live")
    assert before.exit_code == 0
    leave_out(stage, monkeypatch)
    stage.venue.calls.clear()
    result = stage.run(mode="live", bars=6)
    assert result.exit_code == 0
    found = [event for event, _ in rows(result) if isinstance(event, m.FiltersChanged)]
    assert [(each.symbol, each.listed, each.trading) for each in found] == [(0, False, False)]


def gone(at_ns: int, *, listed: bool = False) -> m.FiltersChanged:
    return m.FiltersChanged(
        at_ns=at_ns, symbol=0, lot=0.001, tick=0.01, min_notional=0.0, trading=listed,
        min_quantity=0.0, listed=listed,
    )  # fmt: skip


def test_e24_what_is_held_is_named_and_its_exit_waits_until_it_is_listed() -> None:
    core, _ = protected()
    assert core.engine.held(0) > 0.0
    found = core.handle(gone(START + 2 * SECOND))
    alerts = [each for each in found if isinstance(each, m.Alerted)]
    assert [each.level for each in alerts if each.event == "unlisted"] == ["error", "critical"]
    [text] = [each.text for each in alerts if each.level == "critical"]
    assert "no longer lists BTC/USDT" in text
    assert f"{core.engine.held(0):.12g} is held" in text
    assert core.guards.blocked(0) == "unlisted"
    at_ns = START + 3 * SECOND
    found = core.handle(
        m.Operated(at_ns=at_ns, action="flatten", name="Ann", reason="news", market_ns=at_ns)
    )
    for second in range(4, 200):
        at_ns = START + second * SECOND
        found += core.handle(m.Ticked(at_ns=at_ns, market_ns=at_ns))
    assert sales(found) == [], "no order of it can be sent"
    found = core.handle(gone(START + 200 * SECOND, listed=True))
    assert core.guards.blocked(0) == "operator_halt"


def test_e24_the_account_is_asked_at_once_what_the_feed_has_found() -> None:
    """Nothing of the symbol may be asked for minutes: what is held was named as late as that."""
    core, _ = protected()

    def down(seconds: int, stream: str) -> list[m.Command]:
        at_ns, why = START + seconds * SECOND, "v no longer lists BTC/USDT"
        event = m.FeedChanged(
            at_ns=at_ns, stream=stream, symbol=0, state="down", reason=why, unlisted=True
        )
        asked: list[m.Command] = [
            each for each in core.handle(event)
            if isinstance(each, m.Refresh) and each.what == "filters"
        ]  # fmt: skip
        return asked

    assert len(down(2, "bars")) == 1
    assert down(3, "quotes") == [], "it is one list, just asked for"
    core.handle(gone(START + 4 * SECOND))
    assert down(60, "bars") == [], "the account knows it"
    clock = ManualClock(1)
    dog = Watchdog(clock)
    dog.watch("bars", [Grid("24x7", MINUTE)], MINUTE)
    [found] = dog.down("bars", 0, "v no longer lists A", clock.now_ns(), unlisted=True)
    assert found.unlisted


def test_e24_an_entry_does_not_wait_for_the_exit_of_an_unlisted_symbol() -> None:
    """The exit may never end; the entry would expire at its deadline, every time."""
    bench = Bench()
    bench.hold(1.0)
    bench.handle(gone(bench.now))
    bench.core.place(parent(1, symbol=0, quantity=-1.0, reduces=True), bench.now)
    bench.core.place(parent(2, symbol=1, quantity=1.0, reduces=False), bench.now)
    bench.proceed()
    assert [each.symbol for each in bench.take(m.Submit)] == [1]
    bench.handle(gone(bench.now, listed=True))
    assert [each.symbol for each in bench.take(m.Submit)] == [0], "it is listed again"


def parent(number: int, *, symbol: int, quantity: float, reduces: bool) -> Parent:
    return Parent(
        number=number, symbol=symbol, quantity=quantity, kind="market", limit_price=None,
        trigger_price=None, reduces=reduces, closes_all=reduces, reason="", decided_price=100.0,
        deadline_ns=0, spends=not reduces, patience_ns=0, max_slippage=0.0, trace="",
    )  # fmt: skip


# ---------------------------------------------------------------- market data


class Feed:
    """A feed of two symbols that remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[FeedRequest] = []
        self.asked: list[str] = []

    async def open(self, request: FeedRequest, sink: Any) -> FeedFacts:
        self.requests.append(request)
        return FeedFacts("made up", {"bars": "stream"})

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> list[BarSeen]:
        self.asked.append(symbol)
        return []

    async def close(self) -> None:
        pass


def test_e24_decision_times_do_not_wait_for_it_and_no_bars_are_asked_for() -> None:
    async def scene() -> None:
        clock, feed, put, noted = ManualClock(START), Feed(), list[m.Event](), list[str]()
        names, grid = ["A", "B"], Grid("24x7", MINUTE)
        gates = [Gate(name, grid, CandlesConfig(), "test") for name in names]
        handler = MarketDataHandler(
            feed, FeedRequest(("A", "B"), MINUTE),
            BarAssembler(names, [grid] * 2, gates, BarRules()),
            DecisionTimes(
                Standing([grid] * 2), clock, grace_ns=2 * SECOND, decide_within_ns=15 * SECOND
            ),
            clock=clock, put=put.append, notify=lambda level, event, _: noted.append(event),
            watchdog=Watchdog(clock),
        )  # fmt: skip
        await handler.open()
        handler.receive(StreamDown("bars", "A", "v no longer lists A", unlisted=True))
        await handler.history(START - 2 * MINUTE)
        assert set(feed.asked) == {"B"}
        feed.asked.clear()
        await handler._open_anew()
        assert [each.goes_on for each in feed.requests] == [False, True]
        for name in names:
            handler.bars.resume(name, START - MINUTE, 100.0)
        handler.give([], catch_up_ns=0, fresh=True)
        handler.start()
        assert noted == ["unlisted"]
        for minute in range(1, 4):
            clock.reach(START + minute * MINUTE)
            put.clear()
            open_ns = START + (minute - 1) * MINUTE
            handler.receive(BarSeen("B", open_ns, 100.0, 101.0, 99.0, 100.0, 1.0, closed=True))
            [reached] = [each for each in put if isinstance(each, m.DecisionTimeReached)]
            assert (reached.present, reached.missing, reached.late) == ((1,), (0,), False)
        clock.advance(30 * SECOND)
        handler._ring()
        await asyncio.sleep(0)
        assert feed.asked == []
        handler.receive(
            BarSeen("A", START + 3 * MINUTE, 100.0, 101.0, 99.0, 100.0, 1.0, closed=False)
        )
        clock.advance(60 * SECOND)
        handler._ring()
        await asyncio.sleep(0)
        assert "A" in feed.asked, "it is listed again, and its bars are missing"
        await handler.close()

    asyncio.run(scene())


# ---------------------------------------------------------------- reconnects


def watched(clock: ManualClock) -> Watchdog:
    dog = Watchdog(clock)
    dog.watch("bars", [Grid("24x7", MINUTE)] * 2, 30 * SECOND)
    return dog


def dials(clock: ManualClock, dog: Watchdog, minutes: int) -> int:
    """Count the reconnects while only the second symbol brings data."""
    found = 0
    for _ in range(minutes * 60):
        clock.advance(SECOND)
        dog.received("bars", 1, clock.now_ns(), clock.market_ns())
        dog.check(clock.now_ns())
        found += dog.redial() is not None
    return found


def test_a_symbol_that_is_silent_alone_interrupts_the_others_ever_less_often() -> None:
    clock = ManualClock(START)
    dog = watched(clock)
    dog.received("bars", 0, clock.now_ns(), clock.market_ns())
    assert 2 <= dials(clock, dog, 20) <= 4
    assert dials(clock, dog, 120) <= 3
    clock.advance(SECOND)
    found = dog.received("bars", 0, clock.now_ns(), clock.market_ns())
    assert [each.state for each in found] == ["live"]


def test_the_streams_of_a_silent_symbol_share_its_reconnects() -> None:
    """Its quotes were connected anew with its bars, though they fell silent a moment later."""
    clock = ManualClock(START)
    dog = Watchdog(clock)
    for name in ("bars", "quotes"):
        dog.watch(name, [Grid("24x7", MINUTE)] * 2, 30 * SECOND)
    made = []
    for second in range(600):
        clock.advance(SECOND)
        for name in ("bars", "quotes"):
            for k in (0, 1) if second < 120 else (1,):
                dog.received(name, k, clock.now_ns(), clock.market_ns())
        dog.check(clock.now_ns())
        if dog.redial() is not None:
            made.append(second)
    assert len(made) <= 3, made
    assert made[1] - made[0] >= 5, made


def test_e24_no_reconnect_is_made_for_an_unlisted_symbol() -> None:
    clock = ManualClock(START)
    dog = watched(clock)
    found = dog.down("bars", 0, "v no longer lists A", clock.now_ns(), unlisted=True)
    assert [(each.state, each.reason) for each in found] == [("down", "v no longer lists A")]
    assert dog.down("bars", 0, "v no longer lists A", clock.now_ns(), unlisted=True) == []
    assert dials(clock, dog, 60) == 0
    dog.received("bars", 0, clock.now_ns(), clock.market_ns())
    assert dials(clock, dog, 10) > 0, "it was listed again, and fell silent"
