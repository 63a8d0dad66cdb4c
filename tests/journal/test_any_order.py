"""Whatever is done to a journal, in any order: it holds what was committed, and nothing else."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from septet._journal.journal_format import encode_commands, encode_event
from septet._journal.journal_writer import Durability, Journal
from septet._journal.reader import Reader
from septet.errors import JournalError
from tests.journal.drawn import HEAD, bar, order


class AnyOrder(RuleBasedStateMachine):
    """A journal beside a list of what it should hold."""

    @initialize(power=st.booleans())
    def begin(self, power: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="septet-journal-"))
        self.path = self.folder / "j"
        self.durability: Durability = "power" if power else "process"
        self.journal = Journal.create(self.path, HEAD, durability=self.durability, busy_s=0.0)
        self.reader = Reader(self.path)
        self.stored: list[bytes] = []
        self.waiting: list[bytes] = []
        self.snapshots: list[int] = []
        self.other: sqlite3.Connection | None = None

    @rule(count=st.integers(1, 4), encoded=st.booleans())
    def append(self, count: int, encoded: bool) -> None:
        for _ in range(count):
            number = self.journal.seq + 1
            event, commands = encode_event(bar(number))[2], encode_commands([order(number)])
            if encoded:
                assert self.journal.append(event, commands) == number
            else:
                assert self.journal.append(bar(number), [order(number)]) == number
            self.waiting.append(event)

    @rule(durable=st.booleans())
    def commit(self, durable: bool) -> None:
        if self.other is not None and self.journal.failing:
            self._refused(lambda: self.journal.commit(durable))
            return
        assert self.journal.commit(durable) == len(self.waiting)
        assert not self.journal.failing
        self._committed()

    @rule()
    def move(self) -> None:
        if self.other is not None and self._unmoved():
            self._refused(self.journal.move)
            assert self.journal.failing
            return
        self.journal.move()

    def _unmoved(self) -> bool:
        return len(self.journal._rows) > 6 * self.journal.waiting or bool(self.journal.failing)

    @rule()
    def snapshot(self) -> None:
        if self.other is not None:
            takes = not self.journal.failing
            self._refused(lambda: self.journal.snapshot(b"state"))
            if takes:
                self._committed()
            return
        self.journal.snapshot(b"state %d" % self.journal.seq)
        self._committed()
        if len(self.stored) not in self.snapshots:
            self.snapshots.append(len(self.stored))

    def _committed(self) -> None:
        self.stored += self.waiting
        self.waiting.clear()

    def _refused(self, attempt: Callable[[], object]) -> None:
        with pytest.raises(JournalError, match="locked"):
            attempt()

    @precondition(lambda self: self.other is None)
    @rule()
    def lock(self) -> None:
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    @precondition(lambda self: self.other is not None)
    @rule()
    def unlock(self) -> None:
        assert self.other is not None
        self.other.close()
        self.other = None

    @precondition(lambda self: self.other is None)
    @rule(full=st.booleans())
    def reopen(self, full: bool) -> None:
        self.journal.close()  # what waits is lost, as it is when a process ends
        self.waiting.clear()
        self.journal = Journal.open(
            self.path, durability=self.durability, full=full, busy_s=0.0
        )  # fmt: skip
        assert self.journal.findings.ok
        assert self.journal.seq == len(self.stored)

    @precondition(lambda self: self.other is None)
    @rule()
    def checkpoint_if_idle(self) -> None:
        self.journal._log_bytes = 1 << 30
        self.journal.checkpoint_if_idle()

    @invariant()
    def it_holds_what_was_committed(self) -> None:
        if not hasattr(self, "reader"):
            return
        assert [entry.event_json for entry in self.reader.read()] == self.stored
        assert [each.seq for each in self.reader.snapshots()] == self.snapshots[:-4:-1]
        assert self.journal.waiting == len(self.waiting)

    def teardown(self) -> None:
        if not hasattr(self, "reader"):
            return
        if self.other is not None:
            self.other.close()
        self.reader.close()
        self.journal.close()
        with Journal.open(self.path, full=True) as journal:
            assert journal.findings.ok
        shutil.rmtree(self.folder)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=25)
