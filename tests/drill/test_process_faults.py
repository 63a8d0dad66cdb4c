"""The faults that a drill makes inside the process of its run, on the real parts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._drill.fault_kinds import CATALOGUE
from septet._drill.process_faults import (
    CODES,
    KilledError,
    Order,
    ProcessFaults,
    end_task,
    full_disk,
)
from septet._drill.venue.venue_journal import FaultInjected
from septet._journal.disk_reserve import Reserve
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._journal.write_ahead_tail import Tail
from septet._live.clock import ManualClock
from septet._live.supervisor import Supervisor
from septet.errors import JournalError
from tests.journal.drawn import HEAD

TICK = m.Ticked(at_ns=1, market_ns=1)
ENTRY = m.Submit(
    client_id="e", parent=1, symbol=0, side="buy", order_type="market", quantity=1.0,
    reduces=False, deadline_ns=1,
)  # fmt: skip
EXIT = msgspec.structs.replace(ENTRY, client_id="x", side="sell", reduces=True)
STOP = msgspec.structs.replace(EXIT, client_id="s", order_type="stop", trigger_price=1.0)


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessFaults:
    for owner, names in (
        (Journal, ("append", "_transaction")),
        (Tail, ("_write",)),
        (Reserve, ("make", "release")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    monkeypatch.setattr(Supervisor, "__init__", Supervisor.__init__)
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, getattr(time, name))
    made = ProcessFaults(tmp_path / "report")
    made.install()
    return made


def reported(tmp_path: Path) -> list[FaultInjected]:
    lines = (tmp_path / "report").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=FaultInjected) for line in lines]


def test_every_fault_of_the_process_is_in_the_catalogue() -> None:
    assert tuple(sorted(k for k, kind in CATALOGUE.items() if kind.way == "process")) == CODES


def test_a_full_disk_raises_the_error_of_sqlite() -> None:
    assert (full_disk().sqlite_errorname, str(full_disk())) == (
        "SQLITE_FULL", "database or disk is full",
    )  # fmt: skip


CANCEL = m.Cancel(client_id="s", symbol=0, venue_order_id="", reduces=True)


@pytest.mark.parametrize("tail", [False, True], ids=["tail-has-room", "tail-needs-reserve"])
@pytest.mark.parametrize("first", [EXIT, CANCEL], ids=["exit", "cancel"])
def test_a7_the_disk_is_full_from_the_row_of_an_exit(
    tmp_path: Path, faults: ProcessFaults, tail: bool, first: m.Command
) -> None:
    """What serves the reduction is stored; nothing else is until the disk has room again."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        faults.make(Order(number=9, code="A7", duration_ms=60_000, tail=tail))
        journal.append(TICK, [ENTRY, STOP])
        assert journal.commit() == 1
        journal.move()
        assert not reported(tmp_path)
        journal.append(TICK, [first])
        if tail:
            with pytest.raises(JournalError, match="No space left"):
                journal.commit(durable=True)
        assert (tmp_path / "j-reserve").exists()
        assert journal.commit(durable=True, reduces=True) == 1
        assert (tmp_path / "j-reserve").exists() is not tail
        with pytest.raises(JournalError, match=r"database or disk is full \(SQLITE_FULL\)"):
            journal.move()
        (row,) = reported(tmp_path)
        assert (row.code, row.number) == ("A7", 9)
        faults._full_until_s = 0.0
        journal.commit()
        assert (tmp_path / "j-reserve").exists()
        journal.move()
        with Reader(tmp_path / "j") as reader:
            assert [each.seq for each in reader.read()] == [1, 2]


def test_a9_the_clock_runs_ahead_and_is_right_again(tmp_path: Path, faults: ProcessFaults) -> None:
    faults.move_clock()
    faults._true_ns = lambda: 1_000
    faults._ahead_ns = 500
    assert time.time_ns() == 1_500
    faults.make(Order(number=1, code="A9", ahead_ms=4_000.0))
    assert time.time_ns() == 1_000
    assert reported(tmp_path)[0].detail == "4000 ms ahead"


@pytest.mark.parametrize("waits_for_several", [False, True])
def test_a4_a_task_ends_where_it_waits_and_is_started_again(
    tmp_path: Path, faults: ProcessFaults, waits_for_several: bool
) -> None:
    async def scene() -> list[tuple[str, str]]:
        reported = list[tuple[str, str]]()
        again = asyncio.Event()
        supervisor = Supervisor(
            ManualClock(1),
            lambda level, event, fields: reported.append((event, str(fields["task"]))),
        )

        async def work() -> None:
            if kept.starts > 1:
                again.set()
            waits = [asyncio.get_running_loop().create_future() for _ in range(2)]
            await (asyncio.wait(waits) if waits_for_several else waits[0])

        kept = supervisor.of("feed", "feed").keep("stream", work)
        supervisor.of().keep("alerts", asyncio.Event().wait)
        await asyncio.sleep(0)
        faults.make(Order(number=3, code="A4", draw=0.99))
        await again.wait()
        await supervisor.close()
        return reported

    assert asyncio.run(scene()) == [("task_failed", "stream")]
    assert reported(tmp_path)[0].detail == "stream of feed"


def test_a_task_that_is_over_is_not_ended() -> None:
    async def scene() -> bool:
        task = asyncio.ensure_future(asyncio.sleep(0))
        await task
        return end_task(task)

    assert not asyncio.run(scene())


def test_a_sleep_that_is_due_is_ended_once() -> None:
    """Its timer, due in that turn, ended it again, and the loop reported that as a failure."""
    reported: list[Any] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        task = asyncio.ensure_future(asyncio.sleep(0.001))
        await asyncio.sleep(0)
        loop.call_soon(end_task, task)
        ends = loop.time() + 0.002
        while loop.time() < ends:
            pass  # its timer is due in the turn in which it is ended
        with pytest.raises(KilledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert reported == []
