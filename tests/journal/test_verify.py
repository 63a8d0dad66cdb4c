"""Tampering of every kind is found, and its place reported."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from septet._journal.journal_format import first_hash
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._journal.verify import walk
from septet.errors import JournalError
from tests.journal.drawn import HEAD, filled, spoil

OTHER_HEAD = msgspec.json.encode(msgspec.structs.replace(HEAD, run_id="r2"))
TAMPERED = {
    "event": ("UPDATE entries SET event = replace(event, '1', '2') WHERE seq = 4", "entry 4 was"),
    "commands": ("UPDATE entries SET commands = '[]' WHERE seq = 5", "entry 5 was"),
    "time": ("UPDATE entries SET at_ns = at_ns + 1 WHERE seq = 6", "entry 6 was"),
    "kind": ("UPDATE entries SET kind = 'gap' WHERE seq = 7", "entry 7 was"),
    "hash": ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 8", "entry 8 was"),
    "last": ("UPDATE entries SET commands = '[1]' WHERE seq = 9", "entry 9 was"),
    "removed": ("DELETE FROM entries WHERE seq = 4", "entry 4 was removed: 5 follows 3"),
    "several removed": ("DELETE FROM entries WHERE seq IN (4, 5)", "entries 4 to 5 were removed"),
    "first removed": ("DELETE FROM entries WHERE seq = 1", "entry 1 was removed"),
    "swapped": (
        "UPDATE entries SET seq = -1 WHERE seq = 4; UPDATE entries SET seq = 4 WHERE seq = 5;"
        "UPDATE entries SET seq = 5 WHERE seq = -1",
        "entry 4 was",
    ),
    "inserted": (
        "INSERT INTO entries SELECT 10, at_ns, kind, event, commands, hash FROM entries "
        "WHERE seq = 9",
        "entry 10 was",
    ),
    "inserted far": (
        "INSERT INTO entries SELECT 12, at_ns, kind, event, commands, hash FROM entries "
        "WHERE seq = 9",
        "entries 10 to 11 were removed",
    ),
    "put before": (
        "INSERT INTO entries SELECT 0, at_ns, kind, event, commands, hash FROM entries "
        "WHERE seq = 9",
        "entry 0 was put before the first",
    ),
    "head and its hash": (
        f"UPDATE head SET text = '{OTHER_HEAD.decode()}', hash = x'{first_hash(OTHER_HEAD).hex()}'",
        "the head or entry 1 was",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found_and_refused(tmp_path: Path, name: str) -> None:
    statements, place = TAMPERED[name]
    filled(tmp_path / "j", 9).close()
    spoil(tmp_path / "j", *statements.split(";"))
    with Reader(tmp_path / "j") as reader:
        found = walk(reader)
        assert place in found.broken
        assert not found.ok
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(JournalError, match=place):
        Journal.open(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == before


def test_a_changed_head_is_found_at_once(tmp_path: Path) -> None:
    filled(tmp_path / "j", 2).close()
    spoil(tmp_path / "j", "UPDATE head SET text = replace(text, 'demo', 'demon')")
    with pytest.raises(JournalError, match="the head of the journal was changed"):
        Reader(tmp_path / "j")


def test_a_removed_end_is_found_by_the_mark(tmp_path: Path) -> None:
    filled(tmp_path / "j", 9).close()
    spoil(tmp_path / "j", "DELETE FROM entries WHERE seq > 6")
    with Journal.open(tmp_path / "j") as journal:
        assert (journal.findings.last, journal.findings.lost) == (6, 3)
        assert not journal.findings.ok
        assert "at most 3 are gone" in str(journal.findings)


def test_a_removed_end_is_found_by_a_snapshot(tmp_path: Path) -> None:
    with filled(tmp_path / "j", 9) as journal:
        journal.snapshot(b"state")
    (tmp_path / "j-mark").unlink()
    spoil(tmp_path / "j", "DELETE FROM entries WHERE seq > 6")
    with Reader(tmp_path / "j") as reader:
        assert walk(reader).lost == 3
    with Journal.open(tmp_path / "j") as journal:
        assert (journal.findings.last, journal.findings.lost) == (6, 3)


@pytest.mark.parametrize("column", ["state = x'00'", "hash = zeroblob(32)", "digest = x''"])
def test_a_changed_snapshot_is_found_and_not_used(tmp_path: Path, column: str) -> None:
    with filled(tmp_path / "j", 3) as journal:
        journal.snapshot(b"good")
        journal.append(b'{"kind":"ticked","at_ns":9,"market_ns":9}', b"[]")
        journal.snapshot(b"spoiled")
    spoil(tmp_path / "j", f"UPDATE snapshots SET {column} WHERE seq = 4")
    with Reader(tmp_path / "j") as reader:
        assert "the snapshot after entry 4 was changed" in walk(reader).broken
    with Journal.open(tmp_path / "j") as journal:
        assert [each.state for each in journal.snapshots()] == [b"good"]
        assert "1 snapshots are damaged" in str(journal.findings)
        journal.snapshot(b"new")
        assert journal.snapshots()[0].state == b"new"


def test_a_snapshot_of_another_journal_is_not_accepted(tmp_path: Path) -> None:
    for name, text in (("j", "one"), ("k", "two")):
        with filled(tmp_path / name, 3, text=text) as journal:
            journal.snapshot(text.encode())
    spoil(
        tmp_path / "j",
        f"ATTACH '{tmp_path / 'k'}' AS k",
        "DELETE FROM main.snapshots",
        "INSERT INTO main.snapshots SELECT * FROM k.snapshots",
    )
    with pytest.raises(JournalError, match="entry 3 is not the one that the snapshot"):
        Journal.open(tmp_path / "j")
