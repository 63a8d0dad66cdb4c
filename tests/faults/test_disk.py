"""Faults of the disk: full, cut, slow, locked, gone back in time, of another schema."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._drill.sim import run_schedule
from septet._drill.sim.core_subject import core_subjects
from septet._journal.journal_format import FORMAT
from septet._journal.journal_writer import Journal
from septet.errors import InputError, JournalError
from tests.faults.fault_checks import MANY, assert_agreement, held
from tests.faults.process_harness import NS, ProcessHarness
from tests.faults.test_process import BARS, lived, made

CUT = "inside commit"


def test_s1_the_disk_is_full_for_a_while(tmp_path: Path) -> None:
    """Nothing is sent without a durable intent, and what waited is stored in order."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            for close in harness.path_of(BARS):
                if harness.chance.random() < 0.4:
                    harness.full = harness.chance.randint(1, 50)
                await harness.bar(close)
            harness.full = 0
            await harness.rest()
            text = [name for _, name, _ in harness.reported if name.startswith("journal")]
            assert text[:2] == ["journal_failed", "journal_works"], f"seed {seed}"
            await assert_agreement(harness)
            held("S1")

    asyncio.run(scene())


def test_s1_the_disk_stays_full(tmp_path: Path) -> None:
    """Cancels still leave, the run ends by itself, and a start with room goes on."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            closes = harness.path_of(BARS)
            full = harness.chance.randint(2, BARS - 3)
            await harness.trade(closes[:full])
            harness.full, posts, cancels = 1_000_000, len(harness.posts), harness.cancels
            now_ns = harness.clock.now_ns()
            harness.put(m.Operated(at_ns=now_ns, action="halt", name="ann", reason="disk"))
            await harness.trade(closes[full:])
            assert len(harness.posts) == posts, f"seed {seed}: sent without a durable intent"
            assert harness.cancels > cancels, f"seed {seed}: the kill switch waits for the disk"
            assert harness.ended is not None
            assert (await harness.ended).why == "journal"
            await harness.bury()
            harness.full = 0
            await harness.start()
            await harness.trade(harness.path_of(3))
            await harness.rest()
            await assert_agreement(harness)
            held("S1")

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["S1 append fails", "S2 torn tail"])
def test_simulated_among_deaths_and_faults_of_the_venue(name: str) -> None:
    done = seed = 0
    while done < (MANY if MANY > 20 else 3):
        seed += 1
        only = frozenset({name, "P1 crash at write", "N1 answer lost", "E14 fill lost"})
        done += run_schedule(seed, core_subjects, only=only).faults[name] > 0
    held(name.partition(" ")[0], done)


def test_s2_a_write_torn_by_the_loss_of_power(tmp_path: Path) -> None:
    """What was being written is cut anywhere; nothing had left because of it."""

    async def scene() -> None:
        whole = await lived(tmp_path / "whole", 2)
        places = [place for place, name in enumerate(whole.moments, 1) if name == CUT]
        await assert_agreement(whole)
        for place in random.Random(2).sample(places, MANY):
            harness = await lived(tmp_path / f"{place}", 2, (place,))
            assert harness.starts == 2
            await assert_agreement(harness)
            held("S2")

    asyncio.run(scene())


def test_s2_a_corrupt_middle_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        for seed in range(MANY):
            harness = await lived(tmp_path / f"{seed}", seed)
            await harness.bury()
            with closing(sqlite3.connect(harness.path)) as db, db:
                rows = db.execute("SELECT max(seq) FROM entries").fetchone()[0]
                seq = harness.chance.randint(1, rows - 1)
                db.execute("UPDATE entries SET event = event || ' ' WHERE seq = ?", (seq,))
            with pytest.raises(JournalError, match=f"entry {seq} was changed"):
                Journal.open(harness.path, mark=harness.mark, full=True)
            held("S2")

    asyncio.run(scene())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database as a backup tool might."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_s3_a_slow_disk_and_a_locked_database(tmp_path: Path) -> None:
    """An order whose intent took too long to store does not leave; the rest waits."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            for close in harness.path_of(BARS):
                harness.slow_ns = harness.chance.choice((0, 0, NS, 20 * NS))
                if harness.chance.random() < 0.2:
                    with locked(harness.path):
                        await harness.quote(close)
                await harness.bar(close)
            harness.slow_ns = 0
            await harness.rest()
            late = [
                name for name, times in harness.posts.items()
                if 0 < harness.orders[name].deadline_ns < times[0]
            ]  # fmt: skip
            assert late == [], f"seed {seed}"
            await assert_agreement(harness)
            held("S3")

    asyncio.run(scene())


def test_s4_an_old_backup_of_the_run(tmp_path: Path) -> None:
    """The mark in the machine's state folder states how much is gone."""

    async def scene() -> None:
        for seed in range(MANY):
            harness, lost = await restored(tmp_path / f"{seed}", seed)
            with closing(Journal.open(harness.path, mark=harness.mark)) as journal:
                assert journal.findings.lost == lost > 0, f"seed {seed}"
            held("S4")

    asyncio.run(scene())


@pytest.mark.parametrize("names", [True, False])
def test_s4_an_old_backup_on_another_machine(tmp_path: Path, names: bool) -> None:
    """Without the mark the venue's fills show it: entries stay off until a person has looked.

    Lists of executions name the client ids of their orders, or do not, as those of Binance.
    """

    def without_names(call: str, answer: Any) -> Any:
        if call != "fills":
            return answer
        return [msgspec.structs.replace(each, client_id="", listed=True) for each in answer]

    async def scene() -> None:
        for seed in range(MANY):
            harness, _ = await restored(tmp_path / f"{seed}", seed)
            harness.bend = harness.bend if names else without_names
            harness.mark.unlink()
            posts = dict(harness.posts)
            await harness.start()
            rules = [each.rule for each in harness.commands(m.Tripped)]
            assert "safe_mode" in rules, f"seed {seed}"
            await harness.trade(harness.path_of(4))
            entries = [
                each for each in harness.commands(m.Submit)
                if not each.reduces and each.client_id not in posts
            ]  # fmt: skip
            assert entries == [], f"seed {seed}"
            again = [name for name, times in harness.posts.items() if len(times) > 1]
            assert again == [], f"seed {seed}: an id was used twice"
            await harness.bury()
            held("S4")

    asyncio.run(scene())


async def restored(folder: Path, seed: int) -> tuple[ProcessHarness, int]:
    """Live on after a copy was made, until something was traded; put the copy back."""
    harness = ProcessHarness(made(folder), seed)
    await harness.start()
    await harness.trade(harness.path_of(BARS))
    harness.journal.move()
    with (
        closing(sqlite3.connect(harness.path)) as db,
        closing(sqlite3.connect(folder / "copy")) as to,
    ):
        db.backup(to)
    rows, fills = len(harness.rows()), len(harness.venue._fills)
    while len(harness.venue._fills) < fills + 2:
        await harness.trade(harness.path_of(4))
    await harness.rest()
    lost = len(harness.rows()) - rows
    await harness.bury()
    for end in ("-wal", "-shm", "-tail"):
        Path(f"{harness.path}{end}").unlink(missing_ok=True)
    (folder / "copy").replace(harness.path)
    return harness, lost


def test_s5_a_journal_of_another_schema(tmp_path: Path) -> None:
    """Refused before anything is changed, with what to do."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = await lived(tmp_path / f"{seed}", seed)
            await harness.bury()
            other = harness.chance.choice([each for each in range(100) if each != FORMAT])
            with closing(sqlite3.connect(harness.path)) as db, db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.execute(f"PRAGMA user_version = {other}")
            before = harness.path.read_bytes()
            with pytest.raises(InputError) as caught:
                Journal.open(harness.path, mark=harness.mark)
            assert caught.value.hint
            assert harness.path.read_bytes() == before
            held("S5")

    asyncio.run(scene())
