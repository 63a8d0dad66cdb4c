"""The tail before the database: seen by readers, moved whole, safe at every write, and guarded."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._journal import verify, write_ahead_tail
from septet._journal.journal_writer import Durability, Journal
from septet._journal.reader import Reader
from septet._journal.verify import walk
from septet._journal.write_ahead_tail import tail_of
from septet.errors import JournalError
from tests.journal.drawn import HEAD, bar, order

ROOT = Path(__file__).resolve().parents[2]
BLOCK = 512


def _begun(path: Path, moved: int, stays: int, durability: Any = "process") -> Journal:
    """Make a journal with so many entries in the database, and so many in the tail."""
    journal = Journal.create(path, HEAD, durability=durability)
    for number in range(1, moved + stays + 1):
        journal.append(bar(number), (order(number),))
        journal.commit()
        if number == moved:
            journal.move()
    return journal


def _killed(path: Path, moved: int, stays: int) -> Path:
    """Leave such a journal as a killed process does; return the copy."""
    copy = path.with_name("killed")
    with _begun(path / "j", moved, stays):
        shutil.copytree(path, copy)
    return copy / "j"


def _seqs(path: Path) -> list[int]:
    with Reader(path) as reader:
        return [each.seq for each in reader.read()]


# ------------------------------------------------------------ who reads


def test_readers_see_both_parts_as_one(tmp_path: Path) -> None:
    with _begun(tmp_path / "j", 5, 4) as journal, Reader(tmp_path / "j") as reader:
        assert [each.seq for each in reader.read()] == list(range(1, 10))
        assert [each.seq for each in reader.read(6, 8)] == [7, 8]
        assert [each.seq for each in reader.read(3, 5, ("bar",))] == [4, 5]
        assert list(reader.read(0, None, ("ticked",))) == []
        assert (reader.last_seq, reader.tail_facts()) == (9, journal.tail_facts())
        assert (reader.tail_facts().order, reader.tail_facts().at_ns) == (9, 1_009)
        entry = reader.entry(8)
        assert entry is not None
        assert (entry.event, entry.commands) == (bar(8), [order(8)])
        assert (walk(reader).last, walk(reader).ok) == (9, True)
        before = list(map(repr, reader.read()))
        journal.move()
        assert list(map(repr, reader.read())) == before


def test_a_reader_beside_a_busy_writer_misses_nothing(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.writer", str(tmp_path / "j")], cwd=ROOT,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None
    text = 0
    try:
        for _ in range(40):
            text = int.from_bytes(writer.stdout.read(8), "little")
            with Reader(tmp_path / "j") as reader:
                assert reader.last_seq >= text
                after = max(0, text - 30)
                seqs = [each.seq for each in reader.read(after)]
                assert seqs == list(range(after + 1, after + 1 + len(seqs)))
                assert after + len(seqs) >= text
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_a_reader_that_stays_sees_what_a_new_one_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through entries that are added, laps that begin anew, and a tail that is another file."""
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 3_000)
    number, lapped = 4, 0
    _begun(tmp_path / "j", 0, 3).close()
    with Reader(tmp_path / "j") as stays:
        for _ in range(3):
            with Journal.open(tmp_path / "j") as journal:
                for _ in range(40):
                    used = journal._tail.used if journal._tail else 0
                    journal.append(bar(number), [])
                    journal.commit(durable=True)
                    lapped += bool(journal._tail and journal._tail.used < used)
                    number += 1
                    with Reader(tmp_path / "j") as new:
                        assert stays.last_seq == new.last_seq == number - 1
                        seen = [
                            [(each.seq, each.hash) for each in reader.read(number - 9)]
                            for reader in (stays, new)
                        ]
                        assert seen[0] == seen[1]
    assert lapped > 3


def test_it_is_gone_after_a_clean_end_and_none_is_needed(tmp_path: Path) -> None:
    _begun(tmp_path / "j", 3, 3).close()
    assert not tail_of(tmp_path / "j").exists()
    assert _seqs(tmp_path / "j") == [1, 2, 3, 4, 5, 6]
    with Journal.open(tmp_path / "j") as journal:
        assert journal.findings.ok


def test_an_entry_longer_than_the_tail_goes_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 5_000)
    for durability in ("process", "power"):
        with _begun(tmp_path / durability, 2, 3, durability) as journal:
            for number in (6, 7):
                journal.append(bar(number), b'["' + b"x" * 9_000 + b'"]')
                assert journal.commit(durable=True) == 1
            for number in range(8, 99):
                journal.append(bar(number), ())
                journal.commit(durable=number % 5 == 0)
            assert _seqs(journal.path) == list(range(1, 99))
            assert journal.verify().ok


def test_the_tail_begins_again_when_the_database_is_as_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with _begun(tmp_path / "process", 4, 0) as journal:
        assert journal._tail.used == write_ahead_tail._HEAD.size
        assert not synced
    assert synced.pop() >= 0  # a clean end is safe against everything
    assert not synced
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 5_000)
    with _begun(tmp_path / "power", 4, 0, "power") as journal:
        assert journal._tail.used > write_ahead_tail._HEAD.size  # not half full
        for number in range(5, 12):
            journal.append(bar(number), (order(number),))
            journal.commit()
        assert not synced
        journal.move()
        assert (journal._tail.used, synced) == (write_ahead_tail._HEAD.size, [journal._wal])


def test_what_is_long_goes_past_the_tail_where_that_saves_a_write(tmp_path: Path) -> None:
    for durability in ("process", "power"):
        with _begun(tmp_path / durability, 0, 3, durability) as journal:
            for number in range(4, 200):
                journal.append(bar(number), (order(number),))
            assert journal.commit() == 196
            assert _seqs(journal.path) == list(range(1, 200))
            assert (journal._tail.used == write_ahead_tail._HEAD.size) == (durability == "process")
            assert not journal.waiting


# ------------------------------------------------------------ killed, or without power


class Disk:
    """What the disk has of a journal: what was synced, and of later writes any blocks or none."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.folder, self.chance, self.images = folder, random.Random(seed), 0
        self.promised = self.committed = 0
        self.synced = {each.name: each.read_bytes() for each in folder.iterdir()}
        self._fdatasync, self._pwrite = os.fdatasync, os.pwrite
        self.look: Any = lambda: None
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)
        monkeypatch.setattr(os, "pwrite", self.pwrite)

    def fdatasync(self, handle: int) -> None:
        self.look()
        self._fdatasync(handle)
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        self.synced[name] = (self.folder / name).read_bytes()
        self.look()

    def pwrite(self, handle: int, data: bytes, place: int) -> int:
        self.look()
        done = self._pwrite(handle, data, place)
        self.look()
        return done

    def everything_is_synced(self) -> None:
        self.synced = {each.name: each.read_bytes() for each in self.folder.iterdir()}

    def cut(self, to: Path) -> Path:
        """Copy what is left when the power goes now. The database changes in checkpoints only."""
        to.mkdir()
        for each in self.folder.iterdir():
            now, then = each.read_bytes(), self.synced.get(each.name, b"")
            if each.name.endswith(("-wal", "-tail", "-mark")):
                then = then.ljust(len(now), b"\0")
                mixed = b"".join(
                    (now, then)[self.chance.random() < 0.5][place : place + BLOCK]
                    for place in range(0, len(now), BLOCK)
                )
                # SQLite itself syncs the head of its log before it begins it again.
                now = now[:32] + mixed[32:] if each.name.endswith("-wal") else mixed
            (to / each.name).write_bytes(now)
        return to / "j"


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_of_power_at_every_write_keeps_what_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 6_000)
    (tmp_path / "live").mkdir()
    journal = Journal.create(tmp_path / "live" / "j", HEAD, durability="power")
    found: list[tuple[int, int, Path]] = []
    with monkeypatch.context() as patched:
        disk = Disk(tmp_path / "live", patched, seed)

        def look() -> None:
            cut = disk.cut(tmp_path / f"{len(found)}")
            found.append((disk.promised, journal.seq, cut))

        disk.look = look
        for number in range(1, 60):
            text = "x" * disk.chance.choice((0, 0, 700, 1_500))
            reported = m.Alerted(level="info", event="x", text=text)
            journal.append(bar(number), (order(number), reported) if text else ())
            durable = disk.chance.random() < 0.2
            if disk.chance.random() < 0.7 or durable:
                journal.commit(durable=durable)
                disk.promised = journal.seq if durable else disk.promised
            if disk.chance.random() < 0.1:
                journal.move()
                look()
            if disk.chance.random() < 0.03:
                disk.look = lambda: None
                journal._log_bytes = 1 << 30
                journal.checkpoint_if_idle()
                disk.everything_is_synced()
                disk.look = look
    whole = [each.hash for each in journal.read()]
    journal.close()
    assert len(found) > 60
    for promised, seq, path in found:
        monkeypatch.setattr(verify, "boot_id", lambda: "another")
        with Journal.open(path) as again:
            assert promised <= again.seq <= seq, f"seed {seed}"
            assert [each.hash for each in again.read()] == whole[: again.seq], f"seed {seed}"
            assert again.findings.last == again.seq
            again.append(bar(again.seq + 1), ())
            again.commit()
            assert again.verify().ok
        shutil.rmtree(path.parent)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_kill_inside_any_write_loses_nothing_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    """The write is cut anywhere; behind it stands what stood there, zeros or an earlier lap."""
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 6_000)
    chance, live, killed = random.Random(5), tmp_path / "live", tmp_path / "killed"
    live.mkdir()
    journal = Journal.create(live / "j", HEAD, durability=durability)
    write = os.pwrite

    def dying(handle: int, data: bytes, place: int) -> int:
        shutil.copytree(live, killed)
        with tail_of(killed / "j").open("r+b") as file:
            write(file.fileno(), data[: chance.randrange(len(data))], place)
        return write(handle, data, place)

    for number in range(1, 80):
        journal.append(bar(number), (order(number),))
        if chance.random() < 0.3:
            continue
        committed = journal.seq - journal.waiting
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", dying)
            journal.commit(durable=chance.random() < 0.2)
        if not killed.exists():
            continue  # it went past the tail
        with Journal.open(killed / "j") as again:
            found = again.findings
            assert (found.lost, found.torn) == (0, "")
            assert committed <= again.seq <= journal.seq
            assert found.ok or "was being written when the process ended" in str(found)
            assert again.verify().ok
        shutil.rmtree(killed)
        if chance.random() < 0.2:
            journal.move()
    journal.close()


# ------------------------------------------------------------ changed by another hand


def _places(data: bytearray) -> list[int]:
    """Return where frames begin, and where the last ends."""
    places, found = [], write_ahead_tail._HEAD.size
    while data[found : found + 4] == write_ahead_tail._MAGIC:
        places.append(found)
        found += write_ahead_tail._FRAME.size + write_ahead_tail._FRAME.unpack_from(data, found)[1]
    return [*places, found]


def _changed(how: str, data: bytearray) -> None:
    places = _places(data)
    if how == "event":
        at = data.index(b'"kind":"bar"', places[1])
        data[at + 8 : at + 11] = b"bat"
    elif how == "hash":
        data[places[1] + 10] ^= 1
    elif how == "head of a frame":
        data[places[1] : places[1] + 4] = bytes(4)
    elif how == "first":
        data[places[0] + 200] ^= 1
    elif how == "last":
        data[places[-1] - 3] ^= 1
    elif how == "removed":
        data[places[1] : places[-1]] = (
            data[places[2] : places[-1]] + bytes(places[2] - places[1])
        )  # fmt: skip
    elif how == "a page of zeros":
        data[places[1] + 60 : places[2] - 60] = bytes(places[2] - places[1] - 120)


HOWS = {
    "event": 7, "hash": 7, "head of a frame": 7, "first": 6, "last": 9, "removed": 7,
    "a page of zeros": 7,
}  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_changed_tail_is_refused(tmp_path: Path, how: str) -> None:
    (tmp_path / "live").mkdir()
    path = _killed(tmp_path / "live", 5, 4)
    data = bytearray(tail_of(path).read_bytes())
    _changed(how, data)
    tail_of(path).write_bytes(data)
    with pytest.raises(JournalError, match=f"entry {HOWS[how]} was changed in the tail"):
        Journal.open(path)
    assert tail_of(path).read_bytes() == data
    assert _seqs(path) == list(range(1, HOWS[how]))


@pytest.mark.parametrize("how", HOWS)
def test_after_another_start_of_the_machine_it_is_cut_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "live").mkdir()
    path = _killed(tmp_path / "live", 5, 4)
    data = bytearray(tail_of(path).read_bytes())
    _changed(how, data)
    tail_of(path).write_bytes(data)
    monkeypatch.setattr(verify, "boot_id", lambda: "another")
    with Journal.open(path) as journal:
        found, last = journal.findings, HOWS[how] - 1
        assert (found.last, found.lost) == (last, 9 - last)
        assert f"entry {last + 1} is not whole in the tail" in found.torn
        assert Path(found.kept).read_bytes() == data
    with Journal.open(path) as journal:
        assert journal.seq == last


def test_a_removed_tail_is_found_by_the_mark(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    path = _killed(tmp_path / "live", 5, 4)
    tail_of(path).unlink()
    with Journal.open(path) as journal:
        assert (journal.findings.last, journal.findings.lost) == (5, 4)


def test_the_tail_of_another_journal_is_not_used(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "live").mkdir(parents=True)
    path = _killed(tmp_path / "one" / "live", 5, 4)
    head = tail_of(path).read_bytes()
    for data in (head[:50] + bytes(32) + head[82:], b"short"):
        tail_of(path).write_bytes(data)
        assert _seqs(path) == [1, 2, 3, 4, 5]
    with Journal.open(path) as journal:
        assert "of another journal and not used" in str(journal.findings)
        assert (journal.findings.last, journal.findings.lost) == (5, 4)


def test_an_older_database_is_mended_by_the_tail_or_reported(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    with _begun(tmp_path / "live" / "j", 5, 0) as journal:
        (tmp_path / "old").mkdir()
        shutil.copyfile(tmp_path / "live" / "j", tmp_path / "old" / "j")
        shutil.copyfile(tmp_path / "live" / "j-wal", tmp_path / "old" / "j-wal")
        for number in range(6, 10):
            journal.append(bar(number), ())
            journal.commit()
        journal.move()
        for name in ("j-tail", "j-mark"):
            shutil.copyfile(tmp_path / "live" / name, tmp_path / "old" / name)
        shutil.copytree(tmp_path / "old", tmp_path / "older")
        for number in range(10, 15):
            journal.append(bar(number), ())
            journal.commit()
        for name in ("j-tail", "j-mark"):
            shutil.copyfile(tmp_path / "live" / name, tmp_path / "older" / name)
    with Journal.open(tmp_path / "old" / "j") as journal:  # its tail begins where it ends
        assert (journal.seq, journal.findings.ok) == (9, True)
    with Journal.open(tmp_path / "older" / "j") as journal:
        assert (journal.findings.last, journal.findings.lost) == (5, 9)
        assert not journal.findings.torn
