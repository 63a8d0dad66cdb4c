"""A journal whose tables are not ours: refused before any query of its author runs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from septet._journal import journal_writer, reader
from septet._journal.journal_format import TABLES
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet.errors import JournalError
from tests.journal.drawn import bar, filled

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "
HOSTILE = {
    "a view in place of the entries": (
        "DROP TABLE entries",
        "CREATE VIEW entries AS " + ENDLESS + "i AS seq, i AS at_ns, 'k' AS kind, '' AS event,"
        " '' AS commands, x'' AS hash FROM n WHERE i < 0",
    ),
    "a trigger that deletes": (
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    ),
    "a computed column": (
        "ALTER TABLE entries ADD COLUMN more TEXT GENERATED ALWAYS AS (hex(hash)) VIRTUAL",
    ),
    "an index over an expression": ("CREATE INDEX i ON entries (abs(seq))",),
    "another table": ("CREATE TABLE more (x)",),
    "no lease": ("DROP TABLE lease",),
    "a check of another kind": (
        "DROP TABLE lease",
        TABLES[3].replace("CHECK (one = 1)", "CHECK (one = length(randomblob(1000000)))"),
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("opening", [Journal.open, Reader, lambda path: Reader(path, salvage=True)])
def test_tables_that_are_not_ours_are_refused(tmp_path: Path, name: str, opening: object) -> None:
    path = tmp_path / "j"
    filled(path, 3).close()
    db = sqlite3.connect(path, isolation_level=None)
    for statement in HOSTILE[name]:
        db.execute(statement)
    db.close()
    assert callable(opening)
    with pytest.raises(JournalError, match="the tables are not those that septet makes"):
        opening(path)


def test_a_row_above_the_bound_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    filled(path, 3).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE entries SET event = ? WHERE seq = 2", ("x" * 20_000,))
    db.close()
    monkeypatch.setattr(reader, "MAX_ROW_BYTES", 10_000)
    with Reader(path) as journal, pytest.raises(JournalError, match="too big"):
        list(journal.read())


def test_an_entry_that_no_reader_would_load_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = filled(tmp_path / "j", 3)
    monkeypatch.setattr(journal_writer, "MAX_ROW_BYTES", 100)
    with pytest.raises(JournalError, match="larger than a journal takes"):
        journal.append(bar(4), b"[]")
    monkeypatch.undo()
    assert journal.waiting == 0
    journal.close()
    with Reader(tmp_path / "j") as stored:
        assert len(list(stored.read())) == 3
