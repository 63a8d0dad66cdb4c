"""Appending, committing, snapshots, and what the journal knows of its own past."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from septet import messages as m
from septet._journal import journal_writer
from septet._journal import lock as locks
from septet._journal.journal_format import FORMAT
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet.errors import InputError, JournalError
from tests.journal.drawn import HEAD, bar, filled, order, spoil


def test_what_is_committed_is_seen_at_once_and_what_waits_is_not(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 5) as journal, Reader(tmp_path / "j") as reader:
        assert [entry.seq for entry in reader.read()] == [1, 2, 3, 4, 5]
        assert journal.append(bar(6), ()) == 6
        assert (reader.last_seq, journal.seq, journal.waiting) == (5, 6, 1)
        assert journal.commit() == 1
        assert reader.last_seq == 6
        assert reader.head == journal.head == HEAD


def test_reading_goes_on_across_chunks_and_stops_where_asked(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 2_345, every=100) as journal:
        assert [entry.seq for entry in journal.read()] == list(range(1, 2_346))
        assert [entry.seq for entry in journal.read(7, 9)] == [8, 9]
        assert [entry.seq for entry in journal.read(2_345)] == []
        assert journal.entry(999) is not None
        assert journal.entry(0) is None


def test_kinds_of_events_may_be_chosen(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 20) as journal:
        journal.append(m.Ticked(at_ns=21, market_ns=21), ())
        journal.commit()
        assert [entry.seq for entry in journal.read(0, None, ("ticked",))] == [21]
        assert [entry.seq for entry in journal.read(17, 21, ("bar", "gap"))] == [18, 19, 20]
        assert [entry.seq for entry in journal.read(0, 19, ("ticked",))] == []


def test_a_reader_follows_a_run(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 1_500) as journal, Reader(tmp_path / "j") as reader:
        entries = reader.read()
        for _ in range(1_200):
            next(entries)
        journal.append(bar(1_501), ())
        journal.commit()
        assert [entry.seq for entry in entries] == list(range(1_201, 1_502))


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    filled(tmp_path / "j", 3).close()
    with Journal.open(tmp_path / "j") as journal:
        assert journal.findings.ok
        assert journal.append(bar(4), ()) == 4
        journal.commit()
        assert journal.verify().ok
    with pytest.raises(InputError, match="already"):
        Journal.create(tmp_path / "j", HEAD)
    with pytest.raises(InputError, match="no journal at"):
        Journal.open(tmp_path / "none")


def test_the_last_three_snapshots_are_kept(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 1) as journal:
        for number in range(2, 7):
            journal.append(bar(number), ())
            journal.snapshot(b"state %d" % number)
        assert [each.state for each in journal.snapshots()] == [b"state 6", b"state 5", b"state 4"]
        assert [each.seq for each in journal.snapshots()] == [6, 5, 4]
        assert journal.verify().ok


def test_opening_verifies_from_the_newest_good_snapshot_on(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 10) as journal:
        journal.snapshot(b"state")
        journal.append(bar(11), ())
        journal.commit()
    with Journal.open(tmp_path / "j") as journal:
        assert (journal.findings.first, journal.findings.last) == (11, 11)
    with Journal.open(tmp_path / "j", full=True) as journal:
        assert (journal.findings.first, journal.findings.last) == (1, 11)


def test_the_highest_order_number_is_known(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 8) as journal:
        facts = journal.tail_facts()
        assert (facts.seq, facts.at_ns, facts.order) == (8, 1_008, 7)
    with Journal.create(tmp_path / "empty", HEAD) as journal:
        facts = journal.tail_facts()
        assert (facts.seq, facts.at_ns, facts.order) == (0, 0, -1)


def test_an_old_copy_is_seen_where_the_mark_is_kept_elsewhere(tmp_path: Path) -> None:
    mark = tmp_path / "elsewhere" / "mark"
    with Journal.create(tmp_path / "j", HEAD, mark=mark) as journal:
        journal.append(bar(1), ())
        journal.commit()
    old = (tmp_path / "j").read_bytes()
    with Journal.open(tmp_path / "j", mark=mark) as journal:
        assert journal.findings.ok
        for number in range(2, 9):
            journal.append(bar(number), ())
        journal.commit()
    (tmp_path / "j").write_bytes(old)
    with Journal.open(tmp_path / "j", mark=mark) as journal:
        assert (journal.findings.last, journal.findings.lost) == (1, 7)


def test_crashes_are_counted(tmp_path: Path) -> None:
    minute = 60 * 10**9
    with Journal.create(tmp_path / "j", HEAD) as journal:
        for number, clean in enumerate([True, None, False, None, None]):
            began = number * minute
            session = journal.begin(pid=1, host="h", boot="b", now_ns=began)
            assert session == number + 1
            journal.note_live()
            if clean is not None:
                journal.end(clean=clean, how="signal", now_ns=began + 1)
        now = 5 * minute
        # Killed: the second when the third began, the fourth when the fifth did; the third reported
        # that it failed, and the fifth may be running.
        assert journal.crashes_within(10 * minute, now) == 3
        assert journal.crashes_within(2 * minute, now) == 1
        assert journal.crashes_within(10 * minute, 60 * minute) == 0
        journal.begin(pid=1, host="h", boot="b", now_ns=now)
        assert journal.crashes_within(10 * minute, now) == 4
        assert [each.clean for each in journal.sessions()] == [True, None, False, None, None, None]


def test_a_start_that_failed_before_it_was_live_is_no_crash(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", HEAD) as journal:
        for number in range(9):
            journal.begin(pid=1, host="h", boot="b", now_ns=number)
            if number % 2:
                journal.end(clean=False, how="no answer", now_ns=number)
        assert journal.crashes_within(10**9, 9) == 0
        journal.begin(pid=1, host="h", boot="b", now_ns=9)
        journal.note_live()
        journal.end(clean=False, how="a bug", now_ns=10)
        assert journal.crashes_within(10**9, 10) == 1
        text = [each.how for each in journal.sessions() if each.clean is not None]
        assert text == [*["the start failed: no answer"] * 4, "a bug"]


def test_the_log_beside_the_database_stays_small(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 1) as journal:
        wal = tmp_path / "j-wal"
        for number in range(2, 12_000):
            journal.append(bar(number), (order(number),))
            journal.commit()
        assert wal.stat().st_size < (journal_writer.WAL_PAGES + 50) * 8_300
        assert journal.checkpoint_if_idle()
        assert not journal.checkpoint_if_idle()
        before = wal.stat().st_size
        journal.append(bar(12_000), ())
        journal.commit()
        assert wal.stat().st_size == before  # begun again at its start


def test_a_journal_with_other_pages_goes_on(tmp_path: Path) -> None:
    filled(tmp_path / "j", 100).close()
    pages = ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 8192", "VACUUM")
    spoil(tmp_path / "j", *pages)
    with Journal.open(tmp_path / "j", full=True) as journal:
        assert journal.findings.ok
        for number in range(101, 201):
            journal.append(bar(number), ())
            journal.commit()
        assert journal.verify().ok
        assert [entry.seq for entry in journal.read()] == list(range(1, 201))
        assert journal._db.execute("PRAGMA page_size").fetchone() == (8_192,)


def test_there_is_one_writer(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 1), pytest.raises(JournalError, match="another process writes"):
        Journal.open(tmp_path / "j")
    Journal.open(tmp_path / "j").close()


def test_the_lock_does_not_live_on_in_a_child(tmp_path: Path) -> None:
    """Neither after a close, nor after an end that releases nothing."""
    journal = filled(tmp_path / "j", 1)
    other = locks.lock(tmp_path / "other")
    assert other is not None
    (reading, writing), (heard, ready) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(ready, b"x")
        os.read(reading, 1)
        os._exit(0)
    journal.close()
    try:
        Journal.open(tmp_path / "j").close()
        os.read(heard, 1)
        locks._held.discard(other)
        os.close(other)
        assert not locks.is_locked(tmp_path / "other")
    finally:
        os.close(heard)
        os.close(ready)
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("other", [FORMAT - 1, FORMAT + 1])
def test_another_schema_is_refused_with_what_to_do(tmp_path: Path, other: int) -> None:
    filled(tmp_path / "j", 1).close()
    db = sqlite3.connect(tmp_path / "j", isolation_level=None)
    db.execute(f"PRAGMA user_version = {other}")
    db.close()
    for opening in (Journal.open, Reader):
        with pytest.raises(
            InputError,
            match=rf"format {other}; this septet reads and writes {FORMAT}(.|\n)*--fresh",
        ):
            opening(tmp_path / "j")


def test_something_else_is_not_taken_for_a_journal(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "other")
    db.execute("CREATE TABLE t (a)")
    db.close()
    (tmp_path / "text").write_text("not a database" * 100)
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="no journal of septet"):
        Reader(tmp_path / "other")
    with pytest.raises(JournalError, match="not a database"):
        Reader(tmp_path / "text")
    with pytest.raises(JournalError, match="empty"):
        Reader(tmp_path / "empty")
