"""A machine's clock that ran ahead and is right again, through the whole of a run's market data."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._host.venues import BarSeen, QuoteSeen
from septet._live.clock import WallClock
from septet._live.process import _Process
from septet._live.strategy_run import StrategyRun
from tests.live.test_market import MINUTE, SECOND, START, Silent, make_handler


class Run:
    """A market-data handler on a machine whose two clocks are moved by hand, and what it put."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = START, 5 * SECOND
        self.clock = WallClock(wall=lambda: self.wall_ns, monotonic=lambda: self.monotonic_ns)
        self.put = list[m.Event]()
        self.handler = make_handler(Silent(), self.clock, self.put.append)
        self.handler.bars.resume("A", START - MINUTE, 100.0)
        self.handler.give([], catch_up_ns=0, fresh=True)
        self.handler.start()

    async def live(self, seconds: int) -> None:
        """Let seconds pass: the timers ring, quotes arrive, and bars when they close."""
        for _ in range(seconds):
            self.monotonic_ns += SECOND
            self.wall_ns += SECOND
            jump = self.clock.check()
            if jump is not None:
                self.handler.stood_still(str(jump), 20 * SECOND)
            self.handler._ring()
            await asyncio.sleep(0)
            true_ns = START + self.monotonic_ns - 5 * SECOND
            self.handler.receive(QuoteSeen("A", true_ns, 100.0, 1.0, 100.1, 1.0))
            if true_ns % MINUTE == 0:
                self.handler.receive(
                    BarSeen("A", true_ns - MINUTE, 100.0, 101.0, 99.0, 100.0, 1.0, closed=True)
                )


@pytest.mark.parametrize("seed", range(20))
def test_a9_no_bar_is_late_once_the_clock_is_right(seed: int) -> None:
    draw = random.Random(seed)
    ahead_s = 600 if seed == 0 else draw.randint(2, 900)

    async def scene() -> None:
        run = Run()
        await run.live(60 + draw.randint(1, 59))
        run.wall_ns += ahead_s * SECOND
        await run.live(6)
        run.wall_ns -= ahead_s * SECOND
        await run.live(0 if seed else 24)
        right = len(run.put)
        await run.live(2 * ahead_s + 600)
        await run.handler.close()
        reached = [each for each in run.put[right:] if isinstance(each, m.DecisionTimeReached)]
        decided = [each for each in reached if each.present]
        stamps = [each.at_ns for each in run.put]
        assert stamps == sorted(stamps), "time given to the core went back"
        assert len(decided) >= (2 * ahead_s + 600) // 60 - 1
        assert not [each for each in decided if each.late]
        assert all(each.decides for each in decided)
        states = {
            (each.stream, each.symbol): each.state
            for each in run.put
            if isinstance(each, m.FeedChanged)
        }
        assert set(states.values()) == {"live"}, "nothing blocks entries any more"

    asyncio.run(scene())


def test_the_core_is_told_of_a_jump_ahead_before_anything_has_a_stamp_after_it() -> None:
    """Its bounds are counted by stamps; a clock that is set back shortens none."""
    wall_ns, monotonic_ns, put = START, 5 * SECOND, list[Any]()
    clock = WallClock(wall=lambda: wall_ns, monotonic=lambda: monotonic_ns)
    run: Any = SimpleNamespace(clock=clock, put=put.append)
    run.clock_jumped = partial(StrategyRun.clock_jumped, run)
    process: Any = SimpleNamespace(
        clock=clock, _awake=lambda: [run], _notify=lambda *said: put.append(said),
        _stood_still=lambda *said: put.append(said),
    )  # fmt: skip
    for by_s, jumped in ((0, []), (120, [120 * SECOND]), (-60, [])):
        put.clear()
        wall_ns += by_s * SECOND
        _Process._check_clock(process)
        assert [each.jumped_ns for each in put if isinstance(each, m.Ticked)] == jumped
        if jumped:
            assert put[0].at_ns == START + 120 * SECOND
