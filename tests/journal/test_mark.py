"""The mark after the loss of power: what was never promised may be gone, nothing else."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet._journal import journal_writer, verify, write_ahead_tail
from septet._journal.journal_files import COUNT, Mark, beside, make_mark, read_mark
from septet._journal.journal_writer import Durability, Journal
from septet._journal.lease import boot_id
from septet._journal.write_ahead_tail import tail_of
from septet._live.start import doubts, require_newest_copy
from septet.errors import JournalError
from tests.journal.drawn import HEAD, bar, order
from tests.journal.test_write_ahead_tail import Disk

LIVE = msgspec.structs.replace(HEAD, mode="live")


def _put(journal: Journal, *numbers: int) -> None:
    """Store entries, each committed by itself."""
    for number in numbers:
        journal.append(bar(number), (order(number),))
        journal.commit()


def _made(path: Path, promised: int, more: int, durability: Durability) -> Path:
    """Leave a journal as a kill does: so many entries with a sync after them, and some more."""
    (path / "live").mkdir(parents=True)
    with Journal.create(path / "live" / "j", LIVE, durability=durability) as journal:
        _put(journal, *range(1, promised + 1))
        journal.commit(durable=True)
        _put(journal, *range(promised + 1, promised + more + 1))
        journal.move()
        shutil.copytree(path / "live", path / "killed")
    return path / "killed" / "j"


def _cut(path: Path, last: int) -> None:
    """Let the database end at an entry; the tail stays."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM entries WHERE seq > ?", (last,))


def _another_boot(monkeypatch: pytest.MonkeyPatch, name: str = "another") -> None:
    monkeypatch.setattr(verify, "boot_id", lambda: name)
    monkeypatch.setattr(journal_writer, "boot_id", lambda: name)


def test_the_mark_knows_what_was_synced(tmp_path: Path) -> None:
    mark = beside(tmp_path / "j")
    with Journal.create(tmp_path / "j", LIVE, durability="power") as journal:
        assert read_mark(mark) == Mark(0, 0, "power", boot_id())
        _put(journal, 1, 2)
        assert read_mark(mark).promised == 0
        journal.commit(durable=True)
        _put(journal, 3)
        assert read_mark(mark) == Mark(3, 2, "power", boot_id())
    assert read_mark(mark) == Mark(3, 3, "power", boot_id())
    with Journal.open(tmp_path / "j", durability="process") as journal:
        _put(journal, 4)
        journal.commit(durable=True)
        assert read_mark(mark) == Mark(4, 3, "process", boot_id())
    assert read_mark(mark).promised == 4
    assert read_mark(tmp_path / "none") == Mark()


def test_a_tail_that_begins_again_promises_what_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 3_000)
    with Journal.create(tmp_path / "j", LIVE, durability="power") as journal:
        _put(journal, *range(1, 7))
        assert journal._tail.used > 1_500
        journal.move()
        _put(journal, 7)
        assert (read_mark(beside(tmp_path / "j")).promised, journal.seq) == (6, 7)


CASES = {  # durability, boot, last entry: what is found
    ("power", "another", 9): "",
    ("power", "another", 8): "power",
    ("power", "another", 5): "power",
    ("power", "another", 4): "copy",
    ("power", "same", 8): "copy",
    ("power", "same", 4): "copy",
    ("process", "another", 8): "either",
    ("process", "another", 0): "either",
    ("process", "same", 8): "copy",
    ("old", "another", 8): "copy",
    ("old", "same", 8): "copy",
    ("zeros", "another", 8): "",
}


@pytest.mark.parametrize(("durability", "boot", "last"), CASES)
def test_what_is_gone_and_where_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, boot: str, last: int
) -> None:
    path = _made(tmp_path, 5, 4, durability if durability == "process" else "power")
    if durability == "old":
        beside(path).write_bytes(COUNT.pack(9))
    elif durability == "zeros":  # its file was made and nothing of it written
        beside(path).write_bytes(bytes(64))
    if last < 9:
        tail_of(path).unlink()
        _cut(path, last)
    if boot == "another":
        _another_boot(monkeypatch)
    case = CASES[durability, boot, last]
    for _ in range(2):  # as often as it is tried
        with Journal.open(path, durability="power") as journal:
            found = journal.findings
            assert found.last == last
            if case in ("", "power"):
                require_newest_copy(journal)
                assert doubts(journal, 1) == []
                break
            assert found.lost_with == case
            text = "is an old copy: " if case == "copy" else "old copy, or lost its end with the"
            with pytest.raises(JournalError, match=text):
                require_newest_copy(journal)
    if case == "power":
        many = "1 entry" if last == 8 else f"{9 - last} entries"
        assert str(found) == (
            f"good up to entry {last}; {many} after that lost with the power, for which nothing "
            "had left yet"
        )
    else:
        assert found.ok == (case == "")
    with Journal.open(path) as journal:  # what goes on makes it the newest
        _put(journal, last + 1)
    with Journal.open(path) as journal:
        assert journal.findings.ok
        require_newest_copy(journal)


def test_more_than_the_mark_knows_of_is_no_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot after an entry that is gone, or a tail that begins later: an old database."""
    path = tmp_path / "a" / "j"
    path.parent.mkdir()
    with Journal.create(path, LIVE, durability="power") as journal:
        _put(journal, 1, 2, 3)
        journal.snapshot(b"s")
    beside(path).write_bytes(replace(read_mark(beside(path)), promised=1).packed())
    _cut(path, 2)
    _another_boot(monkeypatch)
    with Journal.open(path) as journal:
        assert (journal.findings.lost, journal.findings.lost_with) == (1, "copy")
    with Journal.create(tmp_path / "j", LIVE, durability="power") as journal:
        _put(journal, 1, 2, 3)
        journal.move()
        shutil.copyfile(tmp_path / "j", tmp_path / "k")
        shutil.copyfile(tmp_path / "j-wal", tmp_path / "k-wal")
        _put(journal, 4, 5)
        journal.move()
        journal._restart()
        _put(journal, 6)
        shutil.copyfile(tmp_path / "j-tail", tmp_path / "k-tail")
    beside(tmp_path / "k").write_bytes(Mark(3, 1, "power", "").packed())
    with Journal.open(tmp_path / "k") as journal:
        found = journal.findings
        assert (found.last, found.lost, found.lost_with) == (3, 3, "copy")


def test_a_torn_tail_of_what_was_never_promised_is_no_reason_to_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _made(tmp_path, 5, 4, "power")
    _cut(path, 5)
    whole = tail_of(path).read_bytes()
    places = [n for n in range(len(whole)) if whole.startswith(write_ahead_tail._MAGIC, n)]
    _another_boot(monkeypatch)
    for torn, power in ((places[6], True), (places[3], False)):
        tail_of(path).write_bytes(whole[:torn] + bytes(40) + whole[torn + 40 :])
        if not power:
            _cut(path, 3)
        copied = shutil.copytree(path.parent, tmp_path / f"{torn}") / "j"
        with Journal.open(copied, durability="power") as journal:
            found = journal.findings
            assert found.torn
            assert found.kept
            assert ("lost with the power" in str(found)) == power
            require_newest_copy(journal)
            assert bool(doubts(journal, 1)) != power


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("seed", range(2))
def test_the_power_goes_at_every_write_and_the_mark_is_late_or_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, durability: Durability
) -> None:
    """No start is refused that lost nothing promised; an old copy is, whatever the mark."""
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 6_000)
    chance, live = random.Random(seed), tmp_path / "live"
    live.mkdir()
    journal = Journal.create(live / "j", LIVE, durability=durability)
    found: list[tuple[int, int, Path, bytes]] = []
    marks: list[tuple[bytes, int]] = []
    with monkeypatch.context() as patched:
        disk = Disk(live, patched, seed)

        def look() -> None:
            mark = beside(live / "j").read_bytes()
            if not marks or marks[-1][0] != mark:
                marks.append((mark, len(found)))
            late = chance.choice(marks)[0]
            cut = disk.cut(tmp_path / f"{len(found)}")
            found.append((disk.promised, journal.seq, cut, chance.choice((mark, late))))

        disk.look = look
        for number in range(1, 40):
            journal.append(bar(number), (order(number),))
            durable = chance.random() < 0.2
            if durable or chance.random() < 0.7:
                journal.commit(durable=durable)
                if durable and durability == "power":
                    disk.promised = journal.seq
                look()
            if chance.random() < 0.1:
                journal.move()
    newest = read_mark(beside(live / "j"))
    journal.close()
    _another_boot(monkeypatch)
    losses = 0
    for promised, seq, path, mark in found:
        beside(path).write_bytes(mark)
        known = read_mark(beside(path))
        with Journal.open(path, durability=durability) as again:
            place = f"seed {seed}, {path}"
            assert promised <= again.seq <= seq, place
            lost = known.committed > again.seq
            losses += lost and not again.findings.torn
            if durability == "power":
                require_newest_copy(again)
                assert doubts(again, 1) == [], place
                assert not lost or "lost with the power" in str(again.findings), place
            elif lost and not again.findings.torn:
                with pytest.raises(JournalError, match="or lost its end with the power"):
                    require_newest_copy(again)
        beside(path).write_bytes(newest.packed())  # and as an old copy
        with Journal.open(path, durability=durability) as again:
            assert newest.promised is not None
            if again.seq < newest.promised:
                with pytest.raises(JournalError, match="is an old copy: "):
                    require_newest_copy(again)
        shutil.rmtree(path.parent)
    assert len(found) > 50
    assert losses or durability == "power"


def test_a_mark_that_cannot_be_synced_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        make_mark(tmp_path / "mark", Mark(1, 1, "power", ""))
