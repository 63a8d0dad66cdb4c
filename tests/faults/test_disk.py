"""Faults of the disk: full, cut, slow, locked, gone back in time, of another schema."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from septet import messages as m
from septet._drill.sim import run_schedule
from septet._drill.sim.core_subject import cores
from septet._journal.form import FORMAT
from septet._journal.log import Journal
from septet.errors import InputError, JournalError
from tests.faults.desk import NS, Desk
from tests.faults.judge import MANY, held, insist
from tests.faults.test_process import BARS, lived, made

CUT = "inside commit"


def test_s1_the_disk_is_full_for_a_while(tmp_path: Path) -> None:
    """Nothing is sent without a durable intent, and what waited is stored in order."""

    async def scene() -> None:
        for seed in range(MANY):
            desk = Desk(made(tmp_path / f"{seed}"), seed)
            await desk.start()
            for close in desk.path_of(BARS):
                if desk.chance.random() < 0.4:
                    desk.full = desk.chance.randint(1, 50)
                await desk.bar(close)
            desk.full = 0
            await desk.rest()
            said = [name for _, name, _ in desk.told if name.startswith("journal")]
            assert said[:2] == ["journal_failed", "journal_works"], f"seed {seed}"
            await insist(desk)
            held("S1")

    asyncio.run(scene())


def test_s1_the_disk_stays_full(tmp_path: Path) -> None:
    """Cancels still leave, the run ends by itself, and a start with room goes on."""

    async def scene() -> None:
        for seed in range(MANY):
            desk = Desk(made(tmp_path / f"{seed}"), seed)
            await desk.start()
            closes = desk.path_of(BARS)
            full = desk.chance.randint(2, BARS - 3)
            await desk.trade(closes[:full])
            desk.full, posts, cancels = 1_000_000, len(desk.posts), desk.cancels
            now_ns = desk.clock.now_ns()
            desk.put(m.Operated(at_ns=now_ns, action="halt", name="ann", reason="disk"))
            await desk.trade(closes[full:])
            assert len(desk.posts) == posts, f"seed {seed}: sent without a durable intent"
            assert desk.cancels > cancels, f"seed {seed}: the kill switch waits for the disk"
            assert desk.ended is not None
            assert (await desk.ended).why == "journal"
            await desk.bury()
            desk.full = 0
            await desk.start()
            await desk.trade(desk.path_of(3))
            await desk.rest()
            await insist(desk)
            held("S1")

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["S1 append fails", "S2 torn tail"])
def test_simulated_among_deaths_and_faults_of_the_venue(name: str) -> None:
    done = seed = 0
    while done < (MANY if MANY > 20 else 3):
        seed += 1
        only = frozenset({name, "P1 crash at write", "N1 answer lost", "E14 fill lost"})
        done += run_schedule(seed, cores, only=only).faults[name] > 0
    held(name.partition(" ")[0], done)


def test_s2_a_write_torn_by_the_loss_of_power(tmp_path: Path) -> None:
    """What was being written is cut anywhere; nothing had left because of it."""

    async def scene() -> None:
        whole = await lived(tmp_path / "whole", 2)
        places = [place for place, name in enumerate(whole.moments, 1) if name == CUT]
        await insist(whole)
        for place in random.Random(2).sample(places, MANY):
            desk = await lived(tmp_path / f"{place}", 2, (place,))
            assert desk.starts == 2
            await insist(desk)
            held("S2")

    asyncio.run(scene())


def test_s2_a_corrupt_middle_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        for seed in range(MANY):
            desk = await lived(tmp_path / f"{seed}", seed)
            await desk.bury()
            with closing(sqlite3.connect(desk.path)) as db, db:
                rows = db.execute("SELECT max(seq) FROM entries").fetchone()[0]
                seq = desk.chance.randint(1, rows - 1)
                db.execute("UPDATE entries SET event = event || ' ' WHERE seq = ?", (seq,))
            with pytest.raises(JournalError, match=f"entry {seq} was changed"):
                Journal.open(desk.path, mark=desk.mark, full=True)
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
            desk = Desk(made(tmp_path / f"{seed}"), seed)
            await desk.start()
            for close in desk.path_of(BARS):
                desk.slow_ns = desk.chance.choice((0, 0, NS, 20 * NS))
                if desk.chance.random() < 0.2:
                    with locked(desk.path):
                        await desk.quote(close)
                await desk.bar(close)
            desk.slow_ns = 0
            await desk.rest()
            late = [
                name for name, times in desk.posts.items()
                if 0 < desk.orders[name].deadline_ns < times[0]
            ]  # fmt: skip
            assert late == [], f"seed {seed}"
            await insist(desk)
            held("S3")

    asyncio.run(scene())


def test_s4_an_old_backup_of_the_run(tmp_path: Path) -> None:
    """The mark beside the machine's other state says how much is gone."""

    async def scene() -> None:
        for seed in range(MANY):
            desk, lost = await restored(tmp_path / f"{seed}", seed)
            with closing(Journal.open(desk.path, mark=desk.mark)) as journal:
                assert journal.findings.lost == lost > 0, f"seed {seed}"
            held("S4")

    asyncio.run(scene())


def test_s4_an_old_backup_on_another_machine(tmp_path: Path) -> None:
    """Without the mark the venue's fills say it: entries stay off until a person has looked."""

    async def scene() -> None:
        for seed in range(MANY):
            desk, _ = await restored(tmp_path / f"{seed}", seed)
            desk.mark.unlink()
            posts = dict(desk.posts)
            await desk.start()
            rules = [each.rule for each in desk.commands(m.Fired)]
            assert "safe_mode" in rules, f"seed {seed}"
            await desk.trade(desk.path_of(4))
            entries = [
                each for each in desk.commands(m.Submit)
                if not each.reduces and each.client_id not in posts
            ]  # fmt: skip
            assert entries == [], f"seed {seed}"
            again = [name for name, times in desk.posts.items() if len(times) > 1]
            assert again == [], f"seed {seed}: an id was used twice"
            await desk.bury()
            held("S4")

    asyncio.run(scene())


async def restored(folder: Path, seed: int) -> tuple[Desk, int]:
    """Live on after a copy was made, until something was traded; put the copy back."""
    desk = Desk(made(folder), seed)
    await desk.start()
    await desk.trade(desk.path_of(BARS))
    desk.journal.move()
    with closing(sqlite3.connect(desk.path)) as db, closing(sqlite3.connect(folder / "copy")) as to:
        db.backup(to)
    rows, fills = len(desk.rows()), len(desk.venue._fills)
    while len(desk.venue._fills) < fills + 2:
        await desk.trade(desk.path_of(4))
    await desk.rest()
    lost = len(desk.rows()) - rows
    await desk.bury()
    for end in ("-wal", "-shm", "-tail"):
        Path(f"{desk.path}{end}").unlink(missing_ok=True)
    (folder / "copy").replace(desk.path)
    return desk, lost


def test_s5_a_journal_of_another_schema(tmp_path: Path) -> None:
    """Refused before anything is changed, with what to do."""

    async def scene() -> None:
        for seed in range(MANY):
            desk = await lived(tmp_path / f"{seed}", seed)
            await desk.bury()
            other = desk.chance.choice([each for each in range(100) if each != FORMAT])
            with closing(sqlite3.connect(desk.path)) as db, db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.execute(f"PRAGMA user_version = {other}")
            before = desk.path.read_bytes()
            with pytest.raises(InputError) as said:
                Journal.open(desk.path, mark=desk.mark)
            assert said.value.hint
            assert desk.path.read_bytes() == before
            held("S5")

    asyncio.run(scene())
