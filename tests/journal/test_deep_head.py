"""The head of a journal from a stranger: facts that are nested too deeply are a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._text import MOST_LEVELS
from septet.errors import JournalError
from tests.journal.drawn import HEAD


@pytest.mark.parametrize("levels", [MOST_LEVELS, 600])
def test_facts_that_are_nested_too_deeply_are_a_message(tmp_path: Path, levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    head = msgspec.structs.replace(HEAD, facts={**HEAD.facts, "resolved": deep})
    with pytest.raises(JournalError, match="it is nested more than 100 levels deep"):
        Journal.create(tmp_path / "journal.sqlite", head)  # it reads what it has written
    with pytest.raises(JournalError, match="it is nested more than 100 levels deep"):
        Reader(tmp_path / "journal.sqlite")


def test_facts_of_a_run_are_read(tmp_path: Path) -> None:
    Journal.create(tmp_path / "journal.sqlite", HEAD).close()
    with Reader(tmp_path / "journal.sqlite") as journal:
        assert journal.head.facts == HEAD.facts
