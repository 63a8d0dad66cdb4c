"""Faults of the process: killed anywhere, blocked, failing, stopped on request, in a loop."""

from __future__ import annotations

import asyncio
import itertools
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._core.live_core import LiveCore
from septet._drill.sim import run_schedule
from septet._drill.sim.core_subject import core_subjects
from septet._journal.journal_writer import Journal
from septet._live.start import CRASH_WINDOW_NS
from septet.errors import JournalError
from tests.faults.fault_checks import MANY, assert_agreement, held
from tests.faults.process_harness import MINUTE, NS, ProcessHarness

BARS = 12
EACH = max(2, MANY // 10)
"""How often the process dies at each kind of moment."""
SIMULATED = MANY if MANY > 20 else 3
WORLD = (
    "N1 answer lost", "N2 request lost", "E9 partial fill", "E14 fill lost", "E15 fill first",
    "E16 stale read",
)  # fmt: skip
"""What else goes wrong meanwhile."""


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


async def lived(folder: Path, seed: int, kill_at: tuple[int, ...] = ()) -> ProcessHarness:
    """Live through bars of a seed, dying where asked, and come to rest."""
    harness = ProcessHarness(made(folder), seed, kill_at=kill_at)
    await harness.start()
    await harness.trade(harness.path_of(BARS))
    await harness.rest()
    return harness


def test_p1_killed_before_and_after_each_step_of_an_order(tmp_path: Path) -> None:
    """Intent stored, sent, answered, outcome stored; and every other write and request."""

    async def scene() -> None:
        whole = await lived(tmp_path / "whole", 2)
        names = whole.moments[:]
        assert len(whole.venue._fills) >= 4, "a run without trades shows nothing"
        await assert_agreement(whole)
        draw = random.Random(1)
        for name in sorted(set(names)):
            places = [place for place, each in enumerate(names, 1) if each == name]
            for place in draw.sample(places, min(len(places), EACH)):
                harness = await lived(tmp_path / f"{place}", 2, (place,))
                assert harness.starts == 2
                await assert_agreement(harness)
                held("P1")

    asyncio.run(scene())


def test_p2_killed_again_while_it_recovers(tmp_path: Path) -> None:
    """Recovery is cut short at each of its own steps, again and again."""

    async def scene() -> None:
        for seed in range(MANY):
            draw = random.Random(seed)
            first = draw.randint(10, 60)
            more = [first + draw.randint(1, 9) for _ in range(draw.randint(1, 3))]
            harness = await lived(tmp_path / f"{seed}", seed, (first, *more))
            assert harness.starts >= 3
            await assert_agreement(harness)
            held("P2")

    asyncio.run(scene())


def test_p3_a_second_instance(tmp_path: Path) -> None:
    """Whoever comes second is refused at any moment; the first has noticed nothing."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            for close in harness.path_of(BARS):
                if harness.chance.random() < 0.3:
                    with pytest.raises(JournalError, match="another process writes this journal"):
                        Journal.open(harness.path, mark=harness.mark)
                await harness.bar(close)
            with pytest.raises(JournalError, match="another process writes this journal"):
                Journal.open(harness.path, mark=harness.mark)
            await harness.rest()
            await assert_agreement(harness)
            held("P3")

    asyncio.run(scene())


def test_p4_a_loop_that_stood_still(tmp_path: Path) -> None:
    """What was decided long ago is not sent, and what happened meanwhile is booked."""

    async def scene() -> None:
        for seed in range(MANY):
            draw = random.Random(seed)
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            closes = harness.path_of(BARS)
            still = draw.randrange(4, BARS)
            await harness.trade(closes[:still])
            for event in not_received(harness, closes[still]):
                harness.shell.put(event)  # the bar is there, and nobody takes it for half a minute
            harness.clock.advance(draw.randint(30, 90) * NS)
            await harness.wait_until_idle()
            await harness.trade(closes[still + 1 :])
            await harness.rest()
            late = [
                name for name, times in harness.posts.items()
                if 0 < harness.orders[name].deadline_ns < times[0]
            ]  # fmt: skip
            assert late == [], f"seed {seed}"
            await assert_agreement(harness)
            held("P4")

    asyncio.run(scene())


def not_received(harness: ProcessHarness, close: float) -> list[m.Event]:
    harness.clock.advance(MINUTE)
    now_ns = harness.clock.now_ns()
    bar = m.BarClosed(
        at_ns=now_ns, symbol=0, open_ns=now_ns - MINUTE, known_ns=now_ns, open=close, high=close,
        low=close, close=close, volume=1.0,
    )  # fmt: skip
    harness.bars.append(bar)
    harness.reached_ns = now_ns
    return [bar, m.DecisionTimeReached(at_ns=now_ns, time_ns=now_ns, present=(0,))]


def test_p5_an_exception_of_the_strategy(tmp_path: Path) -> None:
    """The strategy's shell ends and says where; the journal is whole, and a restart goes on."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            harness.change_core = partial(Failing, at=20 + 7 * seed % 80)
            await harness.start()
            await harness.trade(harness.path_of(BARS))
            assert harness.ended is not None
            ended = await harness.ended
            assert ended.why == "core"
            assert "ZeroDivisionError" in ended.text
            await harness.bury()
            harness.change_core = lambda core: core
            await harness.start()
            await harness.trade(harness.path_of(4))
            await harness.rest()
            await assert_agreement(harness)
            held("P5")

    asyncio.run(scene())


class Failing:
    """A core with a strategy's bug that shows at its n-th event."""

    def __init__(self, core: LiveCore, at: int) -> None:
        self.core, self.left = core, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def handle(self, event: m.Event) -> list[m.Command]:
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError("a strategy's bug")
        return self.core.handle(event)


def test_p6_asked_to_stop_at_any_moment(tmp_path: Path) -> None:
    """Entries off at once, what is under way is booked, and the next start goes on."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            await harness.trade(harness.path_of(harness.chance.randint(3, BARS)))
            for event in not_received(harness, harness.price * harness.chance.uniform(0.97, 1.03)):
                harness.put(event)
            for _ in range(harness.chance.randint(0, 12)):
                await asyncio.sleep(0)  # so many turns of the loop, and then the signal
            now_ns = harness.clock.now_ns()
            harness.shell.put_first(
                m.Operated(at_ns=now_ns, action="stop", name="septet", reason="SIGTERM")
            )
            await harness.shell.drain()
            assert await harness.shell.wait_for_calls(1.0) >= 0
            await harness.shell.drain()
            rows = harness.rows()
            [stopped] = [k for k, (event, _) in enumerate(rows) if isinstance(event, m.Operated)]
            late = [
                each for _, caused in rows[stopped:] for each in caused
                if isinstance(each, m.Submit) and not each.reduces
            ]  # fmt: skip
            assert late == [], f"seed {seed}"
            harness.journal.commit(True)
            harness.snapshot()
            harness.journal.end(clean=True, how="stopped", now_ns=now_ns)
            await harness.bury()
            await harness.start()
            await harness.trade(harness.path_of(4))
            await harness.rest()
            await assert_agreement(harness)
            held("P6")

    asyncio.run(scene())


def test_p7_the_clock_jumps_ahead(tmp_path: Path) -> None:
    """The machine slept, or its clock was set, at any moment: before, inside and after requests."""

    async def scene() -> None:
        for seed in range(MANY):
            draw = random.Random(seed)
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            strikes = set(draw.sample(range(1, 12), 3))

            def bend(
                name: str, answer: Any, harness: ProcessHarness = harness, left: Any = strikes
            ) -> Any:
                if name == "submit" and len(harness.posts) in left:
                    left.discard(len(harness.posts))
                    harness.clock.advance(harness.chance.randint(1, 7_200) * NS)
                return answer

            harness.bend = bend
            await harness.start()
            for close in harness.path_of(BARS):
                if draw.random() < 0.2:
                    harness.clock.advance(draw.randint(1, 7_200) * NS)
                await harness.bar(close)
            await harness.rest()
            await assert_agreement(harness)
            held("P7")

    asyncio.run(scene())


def test_p9_a_crash_loop_is_counted_from_the_journal(tmp_path: Path) -> None:
    """Unclean ends are counted whatever else is wrong; a clean one is none."""

    async def scene() -> None:
        for seed in range(MANY):
            draw = random.Random(seed)
            places = itertools.accumulate(draw.randint(9, 30) for _ in range(draw.randint(1, 5)))
            harness = await lived(tmp_path / f"{seed}", seed, tuple(places))
            counted = harness.journal.crashes_within(CRASH_WINDOW_NS * 100, harness.clock.now_ns())
            assert counted == harness.starts - 1, f"seed {seed}"
            await assert_agreement(harness)
            held("P9")

    asyncio.run(scene())


@pytest.mark.parametrize(
    "name", ["P1 crash", "P1 crash at write", "P2 crash in recovery", "P4 blocked"]
)
def test_simulated_among_faults_of_the_venue(name: str) -> None:
    """The same with answers lost, fills late and reads stale, in simulated time."""
    done, seeds = 0, itertools.count(1)
    while done < SIMULATED:
        only = frozenset({name, "P1 crash", *WORLD})
        done += run_schedule(next(seeds), core_subjects, only=only).faults[name] > 0
    held(name.partition(" ")[0], done)
