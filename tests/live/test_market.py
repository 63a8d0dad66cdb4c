"""The market-data handler of a run: what happens between a bar and its order, and what later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, PrintSeen, QuoteSeen
from septet._live.clock import LiveClock, ManualClock
from septet._live.market_data.bars import BarAssembler, BarRules
from septet._live.market_data.decision_times import DecisionTimes, Standing
from septet._live.market_data.feed_grid import Gate, Grid
from septet._live.market_data.handler import MarketDataHandler
from septet._live.market_data.opening import unmarked
from septet._live.market_data.quotes import PrintThrottle
from septet._live.market_data.watchdog import Watchdog
from septet._live.start import until_enough
from septet_schemas.data import CandlesConfig

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_040 * SECOND // MINUTE * MINUTE


class Silent:
    """A feed that reports nothing by itself; its history has the bars of minutes `has`."""

    def __init__(self, has: Sequence[int] = ()) -> None:
        self.has = has

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        return FeedFacts("silent", {}, {})

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        opened = [START + k * MINUTE for k in self.has]
        return [
            BarSeen(symbol, each, 100.0, 101.0, 99.0, 100.0, 1.0, closed=True, source="poll")
            for each in opened
            if since_ns <= each < until_ns
        ]

    async def close(self) -> None:
        pass


def make_handler(
    feed: Silent, clock: LiveClock, put: Callable[[m.Event], None]
) -> MarketDataHandler:
    grid = Grid("24x7", MINUTE)
    bars = BarAssembler(["A"], [grid], [Gate("A", grid, CandlesConfig(), "test")], BarRules())
    decision_times = DecisionTimes(
        Standing([grid]), clock, grace_ns=2 * SECOND, decide_within_ns=15 * SECOND
    )
    request = FeedRequest(("A",), MINUTE, frozenset({"bars", "quotes"}))
    return MarketDataHandler(
        feed, request, bars, decision_times, clock=clock, put=put, notify=lambda *reported: None,
        watchdog=Watchdog(clock),
    )  # fmt: skip


class Receiver:
    """A handler that is live from `START` on, and what it has put."""

    def __init__(self) -> None:
        self.clock, self.put = ManualClock(START), list[m.Event]()
        self.handler = make_handler(Silent(), self.clock, self.put.append)
        self.handler.bars.resume("A", START - MINUTE, 100.0)
        self.handler.give([], catch_up_ns=0, fresh=True)
        self.handler.start()
        self.put.clear()

    def bar(self, k: int) -> BarSeen:
        """Bar k, known at the end of minute k."""
        open_ns = START + (k - 1) * MINUTE
        return BarSeen("A", open_ns, 100.0, 101.0, 99.0, 100.0, 1.0, closed=True)

    def taken(self) -> list[tuple[str, int]]:
        """Return what was put since the last call: names, and the minutes of decision_times."""
        found = [
            (type(each).__name__, (getattr(each, "time_ns", START) - START) // MINUTE)
            for each in self.put
        ]
        self.put.clear()
        return found


@pytest.mark.parametrize("first", [0, 996, 999, 1_000, 1_001])
@pytest.mark.parametrize("length", [1, 2, 999, 2_500])
def test_history_goes_on_behind_a_hole_wherever_its_pages_end(first: int, length: int) -> None:
    has = [k for k in range(6_000) if not first <= k < first + length]
    handler = make_handler(Silent(has), ManualClock(START + 6_000 * MINUTE), lambda event: None)
    found = asyncio.run(handler.history(START))
    opened = [(each.open_ns - START) // MINUTE for each in found if isinstance(each, m.BarClosed)]
    assert opened == has
    missing = sum(
        (each.last_ns - each.first_ns) // MINUTE + 1 for each in found if isinstance(each, m.Gapped)
    )
    assert missing == (length if first else 0)  # a history begins with its first bar


def test_a_decision_time_is_reached_in_the_call_that_brought_its_bar() -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.reach(START + MINUTE)
        receiver.handler.receive(receiver.bar(1))
        # The stream is live before it decides, for nothing may be entered on a dead one.
        assert receiver.taken() == [
            ("BarClosed", 0),
            ("FeedChanged", 0),
            ("DecisionTimeReached", 1),
        ]
        receiver.clock.reach(START + 2 * MINUTE)
        receiver.handler.receive(receiver.bar(2))
        assert receiver.taken() == [("BarClosed", 0), ("DecisionTimeReached", 2)]
        await asyncio.sleep(0)
        assert receiver.taken() == []
        await receiver.handler.close()

    asyncio.run(scene())


def test_other_times_that_are_due_follow_in_the_next_callback() -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.reach(START + 2 * MINUTE + 2 * SECOND)
        receiver.handler.receive(receiver.bar(1))
        assert receiver.taken()[-1] == ("DecisionTimeReached", 1)
        await asyncio.sleep(0)
        assert receiver.taken() == [
            ("DecisionTimeReached", 2)
        ]  # without its bar, whose grace has passed
        await receiver.handler.close()
        receiver.handler.receive(receiver.bar(2))
        assert receiver.taken() == []

    asyncio.run(scene())


def test_fresh_data_clears_a_standstill_before_it_decides() -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.reach(START + MINUTE)
        receiver.handler.receive(receiver.bar(1))
        receiver.handler.stood_still("the loop stood still", 0)
        receiver.taken()
        receiver.clock.reach(START + 2 * MINUTE)
        receiver.handler.receive(receiver.bar(2))
        assert [name for name, _ in receiver.taken()] == [
            "BarClosed",
            "FeedChanged",
            "DecisionTimeReached",
        ]
        await receiver.handler.close()

    asyncio.run(scene())


def test_a_quote_has_its_receive_time_in_market_time() -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.advance(SECOND)
        receiver.handler.receive(QuoteSeen("A", START, 100.0, 1.0, 100.1, 1.0))
        [quoted] = [each for each in receiver.put if isinstance(each, m.Quoted)]
        assert quoted.market_ns == receiver.clock.market_ns()
        assert quoted.venue_ns == START
        await receiver.handler.close()

    asyncio.run(scene())


def test_no_more_decides_than_was_asked_for_however_late_the_end_comes() -> None:
    found: list[m.Event] = []
    put = until_enough(found.append, 2)
    for k in range(4):
        for decides in (False, True):
            put(m.DecisionTimeReached(at_ns=k, time_ns=k, present=(0,), decides=decides))
        put(m.Ticked(at_ns=k, market_ns=k))
    assert [each.at_ns for each in found if isinstance(each, m.DecisionTimeReached)] == [0, 0, 1, 1]
    assert sum(isinstance(each, m.Ticked) for each in found) == 4
    assert until_enough(found.append, None) == found.append


def reported(receiver: Receiver) -> list[tuple[str, str]]:
    """What was put since the last call, without bars and decision times: names, and what of it."""
    found = [
        (type(each).__name__, str(getattr(each, "about", "") or getattr(each, "state", "")))
        for each in receiver.put
        if not isinstance(each, m.Quoted)
    ]
    receiver.put.clear()
    return found


def test_prices_stamped_in_the_future_are_no_sign_of_life_and_silence_nothing() -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.handler.receive(QuoteSeen("A", START, 100.0, 1.0, 100.1, 1.0))
        assert reported(receiver) == [("FeedChanged", "live")]
        hour = 3_600 * SECOND
        for second in range(1, 40):
            receiver.clock.reach(START + second * SECOND)
            receiver.handler.receive(QuoteSeen("A", START + hour, 100.0, 1.0, 100.1, 1.0))
        receiver.handler._ring()
        text = reported(receiver)
        assert text.count(("Unreadable", "quote")) == 1
        assert ("FeedChanged", "stale") in text, "the watchdog received nothing"
        now = receiver.clock.now_ns()
        receiver.handler.receive(QuoteSeen("A", now - SECOND // 100, 102.0, 1.0, 102.1, 1.0))
        quoted = [each for each in receiver.put if isinstance(each, m.Quoted)]
        assert [each.bid for each in quoted] == [102.0]
        assert ("FeedChanged", "live") in reported(receiver)
        receiver.handler.receive(QuoteSeen("A", now + 5 * SECOND, 104.0, 1.0, 104.1, 1.0))
        receiver.clock.reach(now + SECOND)
        receiver.handler.receive(QuoteSeen("A", now + SECOND, 106.0, 1.0, 106.1, 1.0))
        quoted = [each for each in receiver.put if isinstance(each, m.Quoted)]
        assert [each.bid for each in quoted] == [104.0, 106.0]
        assert all(each.venue_ns <= each.at_ns for each in quoted)
        await receiver.handler.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "bar",
    [
        BarSeen("A", START + 86_400 * SECOND, 1.0, 1.0, 1.0, 1.0, 1.0, closed=True),
        BarSeen("A", 2**70, 1.0, 1.0, 1.0, 1.0, 1.0, closed=True),
        BarSeen("A", -1, 1.0, 1.0, 1.0, 1.0, 1.0, closed=True),
        BarSeen("A", START, 1e300, 1e300, 1e300, 1e300, 1.0, closed=True),
        BarSeen("A", START, 1.0, 1.0, 1.0, 1.0, 1e300, closed=True),
    ],
)
def test_a_bar_that_cannot_be_true_is_reported_and_no_sign_of_life(bar: BarSeen) -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.reach(START + MINUTE)
        receiver.handler.receive(bar)
        assert reported(receiver) == [("Unreadable", "bar")]
        receiver.handler.receive(receiver.bar(1))
        assert [name for name, _ in receiver.taken()] == [
            "BarClosed",
            "FeedChanged",
            "DecisionTimeReached",
        ]
        await receiver.handler.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("mode", "fills", "halts", "says"),
    [
        ("paper", "next_open", True, True),
        ("paper", "next_open", False, False),
        ("paper", "quotes", True, False),
        ("paper", "book", True, False),
        ("live", "next_open", True, False),
    ],
)
def test_a_start_reports_halts_that_see_no_price_between_bars(
    mode: Any, fills: str, halts: bool, says: bool
) -> None:
    """SEMANTICS, "Stops, halts": marks between bars are tested where there are any."""
    strategy: Any = SimpleNamespace(
        mode=mode, risk=SimpleNamespace(halts={"drawdown": 1} if halts else {}),
        universe=SimpleNamespace(symbols=["A"], bar=1), execution=SimpleNamespace(
            simulation=SimpleNamespace(fills=fills), venues={}),
    )  # fmt: skip
    assert bool(unmarked(strategy)) == says


@pytest.mark.parametrize("opened", [START - 5 * MINUTE, None])
def test_a_bar_of_another_time_is_no_sign_that_the_stream_is_alive(opened: int | None) -> None:
    """The same old bar, or one that has not begun: neither shows that the feed is alive."""

    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.reach(START + MINUTE)
        receiver.handler.receive(receiver.bar(1))
        receiver.put.clear()
        for second in range(1, 900, 5):
            receiver.clock.reach(START + MINUTE + second * SECOND)
            open_ns = opened or (receiver.clock.now_ns() // MINUTE + 1) * MINUTE
            receiver.handler.receive(
                BarSeen("A", open_ns, 100.0, 101.0, 99.0, 100.0, 1.0, closed=False)
            )
            receiver.handler._ring()
            await asyncio.sleep(0)
        found = [each.state for each in receiver.put if isinstance(each, m.FeedChanged)]
        assert "stale" in found or "down" in found
        await receiver.handler.close()

    asyncio.run(scene())


def test_a_trade_that_is_reported_again_is_no_sign_of_life() -> None:
    trades = PrintThrottle(["A"])
    reported = PrintSeen("A", START, "t1", 100.0, 1.0)
    assert trades.take(reported, START) is not None
    assert trades.took("A", START)
    assert trades.take(reported, START + SECOND) is None
    assert not trades.took("A", START + SECOND)


@pytest.mark.parametrize(
    "message",
    [
        m.Quoted(at_ns=1, symbol=0, venue_ns=1, bid=float("nan"), bid_quantity=1.0, ask=1.0,
                 ask_quantity=1.0),
        m.BarClosed(at_ns=1, symbol=0, open_ns=START, known_ns=START + MINUTE, open=1.0, high=1.0,
                    low=1.0, close=float("nan"), volume=1.0),
        BarSeen("A", START, "100", 101.0, 99.0, 100.0, 1.0, closed=True),  # type: ignore[arg-type]
        PrintSeen("A", START, "t1", "100", 1.0),  # type: ignore[arg-type]
        {"close": 100.0},
    ],
)  # fmt: skip
def test_a_feed_reports_what_a_feed_may_report(message: Any) -> None:
    async def scene() -> None:
        receiver = Receiver()
        receiver.clock.reach(START + MINUTE)
        receiver.handler.receive(message)
        assert [type(each) for each in receiver.put] == [m.Unreadable]
        await receiver.handler.close()

    asyncio.run(scene())
