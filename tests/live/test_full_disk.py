"""A full disk: what protects a position stays until what would close it can be stored (A7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from septet import messages as m
from septet._live.shell import Limits
from tests.live.scripted import Bench, submit, tick
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
        await bench.settled()
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
        await bench.settled()
        assert [each.client_id for each in bench.venue.named("submit")] == ["t2-0"]
        bench.shell.stop()

    asyncio.run(scene())
