"""Faults of the model and what a person does: positions that differ, losses, halts, tampering."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._drill.sim import run_schedule
from septet._drill.sim.core_subject import core_subjects
from septet._journal.journal_format import chained
from septet._kernel import layout
from septet.errors import JournalError
from tests.faults.fault_checks import MANY, assert_agreement, held
from tests.faults.process_harness import NS, ProcessHarness
from tests.faults.test_process import BARS, lived, made


def operated(harness: ProcessHarness, action: Any, reason: str = "news") -> m.Operated:
    return m.Operated(at_ns=harness.clock.now_ns(), action=action, name="ann", reason=reason)


def entries(harness: ProcessHarness) -> int:
    return sum(not each.reduces for each in harness.commands(m.Submit))


def test_m1_a_position_that_is_not_the_venues(tmp_path: Path) -> None:
    """Entries are off and an alarm is raised until they agree; a restart finds it, too."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            await harness.trade(harness.path_of(harness.chance.randint(1, BARS)))
            for _ in range(4):
                await harness.quote(harness.price)
            book, scale = harness.venue._account._B, harness.venue._account._B[0, layout.SCALE]
            moved = round(harness.chance.choice((0.5, 1.0, 3.0)) * scale)
            book[0, layout.UNITS] += moved
            await harness.bury()
            await harness.start()
            tripped = [each.rule for each in harness.commands(m.Tripped)]
            assert "position_mismatch:BTC/USDT" in tripped, f"seed {seed}: {tripped}"
            before = entries(harness)
            await harness.trade(harness.path_of(6))
            assert entries(harness) == before, f"seed {seed}"
            book[0, layout.UNITS] -= moved
            await harness.bury()
            await harness.start()
            cleared = [each.rule for each in harness.commands(m.Cleared)]
            assert "position_mismatch:BTC/USDT" in cleared, f"seed {seed}"
            await harness.trade(harness.path_of(3))
            await harness.rest()
            await assert_agreement(harness)
            held("M1")

    asyncio.run(scene())


def test_m3_a_loss_limit_trips_once(tmp_path: Path) -> None:
    """The halt closes the position and stays, through restarts, until a person resumes."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            while not harness.venue._account.held(0):
                await harness.trade(
                    harness.path_of(1) if harness.chance.random() < 0.5 else [harness.price * 1.01]
                )
            crash = harness.price * harness.chance.uniform(0.3, 0.6)
            closes = [round(crash * (1.0 + 0.01 * k), 2) for k in range(4)]
            harness.kill_at = {len(harness.moments) + harness.chance.randint(1, 25)}
            await harness.quote(round(crash, 2))
            await harness.trade(closes)
            await harness.rest()
            tripped = [each for each in harness.commands(m.Tripped) if each.rule == "drawdown"]
            assert len(tripped) == 1, f"seed {seed}: {len(tripped)}"
            assert harness.venue._account.held(0) == 0.0
            before = entries(harness)
            await harness.trade([round(closes[-1] * (1.0 + 0.01 * k), 2) for k in range(6)])
            assert entries(harness) == before, f"seed {seed}: traded after the loss limit"
            await harness.rest()
            await assert_agreement(harness)
            held("M3")

    asyncio.run(scene())


def test_m4_a_decision_that_the_replay_does_not_make(tmp_path: Path) -> None:
    """A row that was written anew with a chain that fits is found by feeding the core again."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = await lived(tmp_path / f"{seed}", seed)
            harness.journal.move()
            await harness.bury()
            forge(harness)
            assert harness.differences() == 1, f"seed {seed}"
            with closing(sqlite3.connect(harness.path)) as db, db:
                db.execute("DELETE FROM snapshots")
            with pytest.raises(JournalError, match="replay differs at entry"):
                await harness.start()
            await harness.bury()
            held("M4")

    asyncio.run(scene())


def forge(harness: ProcessHarness) -> None:
    """Change one stored decision and make every hash after it anew."""
    with closing(sqlite3.connect(harness.path)) as db, db:
        rows = db.execute("SELECT * FROM entries ORDER BY seq").fetchall()
        digest = db.execute("SELECT hash FROM head").fetchone()[0]
        places = [k for k, row in enumerate(rows) if '"kind":"decided"' in row[4]]
        place = harness.chance.choice(places)
        for k, (seq, at_ns, kind, event, commands, _) in enumerate(rows):
            if k == place:
                commands = commands.replace('"kind":"decided"', '"kind":"decided","late":true', 1)
            digest = chained(digest, seq, at_ns, kind, event.encode(), commands.encode())
            db.execute(
                "UPDATE entries SET commands = ?, hash = ? WHERE seq = ?", (commands, digest, seq)
            )


@pytest.mark.parametrize("action", ["halt", "flatten"])
def test_o1_killed_at_any_moment(tmp_path: Path, action: str) -> None:
    """Blocked at once and durably, cancelled until nothing is open, through deaths on the way."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            closes = harness.path_of(BARS)
            await harness.trade(closes[: harness.chance.randint(3, BARS - 4)])
            await harness.quote(harness.price, harness.chance.randint(1, 20) * NS)
            harness.deaf_cancels = harness.chance.randint(0, 3)
            harness.kill_at = {len(harness.moments) + harness.chance.randint(2, 20)}
            cancels = harness.cancels
            harness.put(operated(harness, action))
            await harness.wait_until_idle()
            if harness.dead:
                await harness.bury()
                await harness.start()
            if action not in {e.action for e, _ in harness.rows() if isinstance(e, m.Operated)}:
                harness.put(operated(harness, action))  # the file of the switch is still there
            before = entries(harness)
            await harness.trade(harness.path_of(6))
            await harness.rest(12)
            assert entries(harness) == before, f"seed {seed}: entered after the kill switch"
            assert harness.cancels > cancels
            working = [each.submit for each in harness.venue._working() if not each.submit.reduces]
            assert working == [], f"seed {seed}"
            if action == "flatten":
                assert harness.venue._account.held(0) == 0.0, f"seed {seed}"
            await assert_agreement(harness)
            held("O1")

    asyncio.run(scene())


def test_o1_a_halt_takes_the_stop_and_the_living_process_watches_its_level(
    tmp_path: Path,
) -> None:
    """Killed after a halt nothing protects what is held; the next start sells below the level."""

    async def scene() -> None:
        for seed, dies in ((2, False), (4, True)):  # with an even seed the venue holds the stops
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            while not harness.venue._account.held(0):
                await harness.trade([harness.price * 1.01])
            await harness.rest(2)
            assert len(harness.venue._working()) == 1
            harness.put(operated(harness, "halt"))
            await harness.wait_until_idle()
            assert harness.venue._working() == []
            if dies:
                await harness.bury()
            await harness.quote(round(harness.price * 0.9, 2))
            if dies:
                assert harness.venue._account.held(0) > 0.0, f"seed {seed}"
            await harness.rest(2)  # which starts it again
            assert harness.venue._account.held(0) == 0.0, f"seed {seed}"
            await assert_agreement(harness)
            held("O1")

    asyncio.run(scene())


def test_o2_killed_twice_and_resumed_twice(tmp_path: Path) -> None:
    """Twice is once; after a resume it trades again, and both books still agree."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            closes = harness.path_of(BARS)
            await harness.trade(closes[: harness.chance.randint(2, 8)])
            for action in ("halt", harness.chance.choice(("halt", "flatten")), "halt"):
                harness.put(operated(harness, action))
                if harness.chance.random() < 0.5:
                    await harness.wait_until_idle()
            await harness.wait_until_idle()
            if harness.chance.random() < 0.5:
                await harness.bury()
                await harness.start()
            tripped = [each.rule for each in harness.commands(m.Tripped)]
            assert tripped.count("operator_halt") == 1, f"seed {seed}: {tripped}"
            before = entries(harness)
            await harness.trade(harness.path_of(4))
            assert entries(harness) == before
            harness.put(
                operated(harness, "resume", "looked"), operated(harness, "resume", "looked")
            )
            await harness.trade(harness.path_of(BARS))
            assert entries(harness) > before, f"seed {seed}: it does not trade again"
            await harness.rest()
            await assert_agreement(harness)
            held("O2")

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["M1 position moved", "O1 kill"])
def test_simulated_among_deaths_and_faults_of_the_venue(name: str) -> None:
    done = seed = 0
    while done < (MANY if MANY > 20 else 3):
        seed += 1
        only = frozenset({name, "P1 crash", "N1 answer lost", "E14 fill lost", "E9 partial fill"})
        done += run_schedule(seed, core_subjects, only=only).faults[name] > 0
    held(name.partition(" ")[0], done)
