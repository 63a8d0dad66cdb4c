"""A quote that a newer, doubted one or a bar contradicts fills no order of the paper venue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._core.newest_quote import LASTING_NS, NewestQuote
from septet._host.venues import BarSeen, Market, QuoteSeen, StreamDown
from septet._live.clock import ManualClock
from septet._live.market_data.quotes import QuoteThrottle
from septet._live.paper.venue import PaperVenue
from septet_schemas.simulation import Simulation
from tests.live.test_market import MINUTE, START, Silent, make_handler
from tests.live.virtual_time import VirtualTimeLoop, run
from tests.scale import examples

MS = 1_000_000
STANDS_MS = 1_000
HALF = 0.01
LEVELS = (60.0, 75.0, 100.0, 130.0, 170.0)
"""Each is more than 10 % from the others."""


class Paper:
    """A market-data handler and the paper venue behind it, on a clock whose time is made up."""

    def __init__(self, clock: ManualClock, fills: str = "quotes") -> None:
        self.clock, self.put, self.events = clock, list[m.Event](), list[Any]()
        self.handler = make_handler(Silent(), clock, self.put.append)
        self.handler.bars.resume("A", START - MINUTE, 100.0)
        self.handler.give([], catch_up_ns=0, fresh=True)
        self.handler.start()
        market = Market("A", "A", "USDT", 1e-3, 0.01)
        self.venue = PaperVenue(
            name="paper", clock=clock, markets={"A": market}, cash=1e6, bar_ns=MINUTE, spot=False,
            simulation=Simulation(fills=fills, fee=0.001, slippage=0.0),
        )  # fmt: skip
        self.handler.quoted, self.handler.unquoted = self.venue.quoted, self.venue.silent
        self.ids = count(1)

    async def open(self) -> Paper:
        await self.venue.open(["A"], self.events.append)
        return self

    async def at(self, ms: float) -> None:
        due_ns = START + round(ms * MS) - self.clock.now_ns()
        await asyncio.sleep(due_ns / 1e9)

    def quote(self, price: float) -> None:
        bid, ask = price - HALF, price + HALF
        levels = ((bid, 100.0),), ((ask, 100.0),)
        self.handler.receive(QuoteSeen("A", self.clock.now_ns(), bid, 100.0, ask, 100.0, *levels))

    def bar(self, k: int, close: float, volume: float = 1.0) -> None:
        """Receive bar k, which has ended at the end of minute k."""
        open_ns = START + (k - 1) * MINUTE
        high, low = max(100.0, close), min(100.0, close)
        seen = BarSeen("A", open_ns, 100.0, high, low, close, volume, closed=True)
        self.handler.receive(seen)

    async def sell(self) -> str:
        name = f"t{next(self.ids)}"
        await self.venue.submit(
            m.Submit(
                client_id=name, parent=1, symbol=0, side="sell", order_type="market", quantity=1.0,
                reduces=False, deadline_ns=2**62,
            )
        )  # fmt: skip
        await asyncio.sleep(0)
        return name

    @property
    def fills(self) -> list[tuple[str, float]]:
        found = [each for each in self.events if isinstance(each, m.Filled)]
        return [(each.client_id, round(each.price + HALF, 6)) for each in found]

    @property
    def quotes(self) -> list[float]:
        """What the core received."""
        return [round(each.bid + HALF, 6) for each in self.put if isinstance(each, m.Quoted)]


def scene(what: Any, fills: str = "quotes") -> None:
    clock = ManualClock(START)

    async def played() -> None:
        paper = await Paper(clock, fills).open()
        try:
            await what(paper)
        finally:
            await paper.handler.close()

    run(VirtualTimeLoop(clock), played())


@pytest.mark.parametrize("fills", ["quotes", "book"])
@pytest.mark.parametrize("jump", [0.89, 0.78, 0.6, 1.11, 1.22, 1.4])
def test_an_order_during_a_doubt_fills_at_the_jump_once_it_is_confirmed(
    jump: float, fills: str
) -> None:
    async def what(paper: Paper) -> None:
        paper.quote(100.0)
        await paper.at(500)
        paper.quote(100.0 * jump)
        await paper.at(700)
        name = await paper.sell()
        paper.quote(100.0 * jump)
        await paper.at(1_490)
        assert paper.fills == []
        await paper.at(1_510)
        assert paper.fills == [(name, round(100.0 * jump, 6))]

    scene(what, fills)


def test_a_single_bad_quote_fills_nothing_and_an_order_waits_for_the_next_good_one() -> None:
    async def what(paper: Paper) -> None:
        paper.quote(100.0)
        await paper.at(500)
        paper.quote(50.0)
        await paper.at(600)
        name = await paper.sell()
        await paper.at(800)
        assert paper.fills == []
        paper.quote(100.5)
        assert paper.fills == [(name, 100.5)]
        await paper.at(3_000)
        assert 50.0 not in paper.quotes

    scene(what)


def test_a_bar_that_closes_near_a_doubted_quote_confirms_it_before_its_decision() -> None:
    async def what(paper: Paper) -> None:
        paper.quote(98.0)
        await paper.at(59_900)
        paper.quote(87.0)
        await paper.at(60_010)
        name = await paper.sell()
        assert paper.fills == []
        paper.put.clear()
        paper.bar(1, 91.0)
        assert paper.fills == [(name, 87.0)]
        kinds = [type(each) for each in paper.put if isinstance(each, m.Quoted | m.BarClosed)]
        assert kinds == [m.Quoted, m.BarClosed]
        assert paper.quotes == [87.0]

    async def other(paper: Paper) -> None:
        paper.quote(98.0)
        await paper.at(59_900)
        paper.quote(87.0)
        await paper.at(60_010)
        paper.bar(1, 94.0)
        await paper.sell()
        await paper.at(60_890)
        assert paper.fills == []

    scene(what)
    scene(other)


@pytest.mark.parametrize(
    ("quoted_ms", "close", "volume", "fills"),
    [
        (59_000, 95.0, 1.0, False),  # the bar closed beyond the quote, and later
        (59_000, 95.0, 0.0, True),  # nothing was traded: its close is an older price
        (59_000, 100.05, 1.0, True),  # as near as prices of one time are
        (60_005, 95.0, 1.0, True),  # the quote is newer than the bar
    ],
)
def test_a_quote_that_a_later_close_lies_beyond_fills_nothing(
    quoted_ms: float, close: float, volume: float, fills: bool
) -> None:
    async def what(paper: Paper) -> None:
        await paper.at(quoted_ms)
        paper.quote(100.0)
        await paper.at(60_010)
        paper.bar(1, close, volume)
        name = await paper.sell()
        assert paper.fills == ([(name, 100.0)] if fills else [])
        paper.quote(95.5)
        assert len(paper.fills) == 1

    scene(what)


@pytest.mark.parametrize("how", ["down", "all down", "silent", "suspended"])
def test_the_last_quote_of_a_stream_that_is_down_fills_nothing(how: str) -> None:
    async def what(paper: Paper) -> None:
        await paper.at(100)
        paper.quote(100.0)
        await paper.at(200)
        if how == "silent":
            await paper.at(40_000)
        elif how == "suspended":
            paper.handler.stood_still("the machine slept", 0)
        else:
            symbol, stream = ("A", "quotes") if how == "down" else ("", "")
            paper.handler.receive(StreamDown(stream=stream, symbol=symbol, reason="closed"))
        await paper.sell()
        assert paper.fills == []
        paper.quote(101.0)
        assert [price for _, price in paper.fills] == [101.0]

    scene(what)


def test_quotes_that_bars_contradict_fill_nothing() -> None:
    async def what(paper: Paper) -> None:
        newest = NewestQuote()
        paper.venue.is_contradicted = lambda k, bid, ask: not newest.may_use(bid, ask)
        newest.take(99.99, 100.01, START)
        for late_ns in (0, LASTING_NS):
            newest.take(99.99, 100.01, START + late_ns)
            newest.compare(95.0, START + late_ns)
        assert newest.is_contradicted
        await paper.sell()
        paper.quote(100.0)
        assert paper.fills == []
        paper.quote(95.0)
        assert [price for _, price in paper.fills] == [95.0]

    scene(what)


def test_a_price_that_goes_on_falling_is_not_doubted_for_more_than_a_second() -> None:
    """Each quote is too far from the one before: none of them stands for a second."""
    throttle = QuoteThrottle(["A"])
    given_, price = list[float](), 1_000.0
    for step in range(8):
        now_ns = step * 400 * MS
        seen = QuoteSeen("A", now_ns, price, 1.0, price + HALF, 1.0)
        found = throttle.take(seen, now_ns)
        given_ += [round(found.bid, 3)] if found is not None else []
        price *= 0.8
    assert given_ == [1_000.0, 512.0, 262.144]
    assert throttle.is_doubted("A")


def test_an_older_quote_does_not_pass_while_a_newer_one_is_doubted() -> None:
    throttle = QuoteThrottle(["A"])
    for at_ms, bid in ((0, 100.0), (10, 100.01), (20, 80.0)):
        throttle.take(QuoteSeen("A", at_ms * MS, bid, 1.0, bid + HALF, 1.0), at_ms * MS)
    assert throttle.due(300 * MS) == []
    assert throttle.next_wall_ns() == 1_020 * MS
    assert [each.bid for each in throttle.due(1_020 * MS)] == [80.0]


# ---------------------------------------------------------------- drawn


@dataclass(frozen=True)
class Step:
    ms: int
    price: float | None
    """None is an order."""


def drawn(seed: int) -> list[Step]:
    """Jumps, bad quotes and orders; no two things happen at the end of the same second."""
    draw, steps, at_ms, level = random.Random(seed), list[Step](), 50, 100.0
    times = list[int]()
    for _ in range(draw.randint(10, 60)):
        kind = draw.choice(("same", "same", "same", "jump", "bad", "order", "order"))
        if kind == "jump":
            level = draw.choice(LEVELS)
        price = draw.choice(LEVELS) if kind == "bad" else level
        while any(abs(at_ms - each - STANDS_MS) < 10 for each in times):
            at_ms += 11
        steps.append(Step(at_ms, None if kind == "order" else price))
        times += [] if kind == "order" else [at_ms]
        at_ms += draw.choice((15, 90, 210, 330, 480, 1_200))
    return steps


def expected(steps: Sequence[Step]) -> list[float]:
    """Return the prices of the orders' fills in their order, by the text of the documents.

    A quote more than 10 % from the last accepted one is not used until it has stood for a second,
    or all quotes of a second were that far away on the same side; of two then the nearer counts.
    """
    accepted, doubted, stands_ms, far_ms = 0.0, 0.0, 0, 0
    waiting, fills = 0, list[float]()

    def use(price: float) -> None:
        nonlocal waiting
        fills.extend([price] * waiting)
        waiting = 0

    end = Step(steps[-1].ms + 5_000, None)
    for step in (*steps, end):
        if doubted and step.ms - stands_ms >= STANDS_MS:
            accepted, doubted = doubted, 0.0
            use(accepted)
        if step.price is None:
            waiting += step is not end
            if accepted and not doubted:
                use(accepted)
            continue
        price = step.price
        if not accepted or price == accepted:
            accepted, doubted = price, 0.0
        elif not doubted or (doubted > accepted) != (price > accepted):
            doubted, stands_ms, far_ms = price, step.ms, step.ms
        elif price != doubted and step.ms - far_ms < STANDS_MS:
            doubted, stands_ms = price, step.ms
        elif price != doubted and abs(price - accepted) < abs(doubted - accepted):
            accepted, doubted = price, 0.0
        elif price != doubted:
            accepted, doubted, stands_ms, far_ms = doubted, price, step.ms, step.ms
        if not doubted:
            use(accepted)
    return fills


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 10**9))
def test_drawn_jumps_and_bad_quotes_fill_orders_as_documented(seed: int) -> None:
    steps = drawn(seed)

    async def what(paper: Paper) -> None:
        last = 0.0
        for step in steps:
            await paper.at(step.ms)
            before = len(paper.fills)
            if step.price is None:
                await paper.sell()
            else:
                last = step.price
                paper.quote(last)
            assert all(price == last for _, price in paper.fills[before:])
        await paper.at(steps[-1].ms + 5_000)
        assert [price for _, price in paper.fills] == expected(steps)

    scene(what)
