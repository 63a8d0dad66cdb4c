"""A full disk: what protects a position stays until what would close it can be stored (A7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from septet import messages as m
from septet._drill.process_faults import full_disk
from septet._journal.journal_writer import Journal
from septet._live.shell import Limits
from tests.journal.drawn import HEAD
from tests.journal.test_failures import FullDisk
from tests.live.scripted import START_NS, Bench, submit, tick
from tests.live.test_shell import bar


def exit_of(event: m.Event) -> Sequence[m.Command]:
    """An exit as the core makes it: the stop's cancel, and the sale once the stop is gone."""
    if isinstance(event, m.BarClosed):
        return [m.Cancel(client_id="s1-stop", symbol=0, reduces=True)]
    if isinstance(event, m.NotFound) and event.client_id == "s1-stop":
        return [submit("t2-0", 2, side="sell", reduces=True)]
    return ()


@pytest.mark.parametrize("room", [False, True])
def test_a7_a_full_disk_leaves_the_stop_or_lets_the_sale_go_as_well(room: bool) -> None:
    async def scene() -> None:
        bench = Bench(exit_of, limits=Limits(first_retry_s=0.0))
        bench.journal.broken, bench.journal.room = True, room
        bench.shell.start()
        bench.shell.put(bar())
        for _ in range(50):
            await asyncio.sleep(0)
        sold = [each.client_id for each in bench.venue.named("submit")]
        assert bench.venue.named("cancel") == ([*exit_of(bar())] if room else [])
        assert sold == (["t2-0"] if room else [])
        bench.journal.broken = False
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(bench.venue.named("cancel")) == 1
        assert [each.client_id for each in bench.venue.named("submit")] == ["t2-0"]
        bench.shell.stop()

    asyncio.run(scene())


def test_a7_the_cancel_of_a_stop_is_as_durable_as_the_order_it_serves() -> None:
    async def scene() -> None:
        bench = Bench(exit_of)
        bench.shell.start()
        bench.shell.put(bar())
        await bench.wait_until_idle()
        assert bench.journal.commits[0] is True
        bench.shell.stop()

    asyncio.run(scene())


def flatten_of(event: m.Event) -> Sequence[m.Command]:
    """A flatten as the core makes it: everything is cancelled, then what is held is sold."""
    if isinstance(event, m.Operated):
        entry = m.Cancel(client_id="t1-0", symbol=0)
        return [m.CancelAll(symbols=(0,), flattens=True, entries=(entry,))]
    if isinstance(event, m.Ticked):
        return [submit("t2-0", 2, side="sell", reduces=True)]
    return ()


@pytest.mark.parametrize("room", [False, True])
def test_a7_a_flatten_on_a_full_disk_keeps_the_stop_until_the_sale_can_be_stored(
    room: bool,
) -> None:
    async def scene() -> None:
        bench = Bench(flatten_of, limits=Limits(first_retry_s=0.0))
        bench.journal.broken, bench.journal.room = True, room
        bench.shell.start()
        bench.shell.put(m.Operated(at_ns=1, action="flatten", name="ann", reason="news"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(bench.venue.named("cancel_all")) == room
        cancelled = [each.client_id for each in bench.venue.named("cancel")]
        assert cancelled == ["t1-0"], "entries are cancelled at once"
        bench.journal.broken = False
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(bench.venue.named("cancel_all")) == 1
        bench.shell.put(tick())
        await bench.wait_until_idle()
        assert [each.client_id for each in bench.venue.named("submit")] == ["t2-0"]
        bench.shell.stop()

    asyncio.run(scene())


def steps_of(event: m.Event) -> Sequence[m.Command]:
    """A position in steps: an add has filled, and its stop must cover what it has bought."""
    if isinstance(event, m.BarClosed):
        return [m.Cancel(client_id="s1-1", symbol=0, reduces=True), submit("t3-0", 3)]
    if isinstance(event, m.NotFound) and event.client_id == "s1-1":
        return [submit("s1-2", -1, side="sell", order_type="stop", reduces=True, trigger_price=9.0)]
    return ()


def test_a7_an_add_that_fills_as_the_disk_is_full_gets_its_stop_and_no_entry_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the database nor the tail takes a row: the reserve is released for the stop."""

    @contextmanager
    def refused(journal: Journal) -> Iterator[None]:
        raise full_disk()
        yield

    async def scene(journal: Journal) -> None:
        bench = Bench(steps_of, limits=Limits(first_retry_s=0.0), journal=journal)
        with monkeypatch.context() as patched:
            FullDisk(patched, tmp_path)
            patched.setattr(Journal, "_transaction", refused)
            bench.shell.start()
            bench.shell.put(bar())
            for _ in range(200):
                await asyncio.sleep(0)
            assert [each.client_id for each in bench.venue.named("cancel")] == ["s1-1"]
            assert [each.client_id for each in bench.venue.named("submit")] == ["s1-2"]
            assert not bench.shell.journal_works
        for _ in range(200):
            await asyncio.sleep(0)
        assert [each.client_id for each in bench.venue.named("submit")] == ["s1-2", "t3-0"]
        bench.shell.stop()

    with Journal.create(tmp_path / "j", HEAD) as journal:
        asyncio.run(scene(journal))
        assert journal.verify().ok


def test_a7_an_entry_that_waits_for_the_disk_is_given_up_at_its_deadline() -> None:
    """An exit of its symbol leaves once it is known to have ended, not when the disk returns."""

    def script(event: m.Event) -> Sequence[m.Command]:
        if isinstance(event, m.BarClosed):
            return [
                submit("t1-0", deadline_ns=START_NS + 5),
                submit("t2-0", 2, deadline_ns=START_NS + 6),
            ]
        if isinstance(event, m.Rejected):
            return [submit("t3-0", 3, side="sell", reduces=True, deadline_ns=START_NS + 4)]
        return ()

    async def scene() -> None:
        bench = Bench(script, limits=Limits(first_retry_s=60.0))
        bench.journal.broken = bench.journal.room = True
        bench.shell.start()
        bench.shell.put(bar())
        await bench.wait_until_idle()
        bench.clock.advance(5)
        bench.shell.put(tick())
        await bench.wait_until_idle()
        assert bench.seen(m.Rejected) == []
        bench.clock.advance(1)
        bench.shell.put(tick())
        await bench.wait_until_idle()
        refused = [(each.client_id, each.code) for each in bench.seen(m.Rejected)]
        assert refused[0] == ("t1-0", "deadline")
        assert not bench.shell.journal_works
        assert "t2-0" not in dict(refused)
        bench.shell.stop()

    asyncio.run(scene())
