"""The shell: order of events, durable before sent, a journal that fails, a core that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._live.clock import ManualClock
from septet._live.shell import Limits
from tests.live.scripted import NS, START_NS, Bench, quote, submit, tick
from tests.live.virtual_time import VirtualTimeLoop, run


def in_virtual_time(scene: Coroutine[Any, Any, None]) -> None:
    run(VirtualTimeLoop(ManualClock(START_NS)), scene)


def bar(at_ns: int = START_NS) -> m.BarClosed:
    return m.BarClosed(
        at_ns=at_ns, symbol=0, open_ns=0, known_ns=1, open=1.0, high=1.0, low=1.0, close=1.0,
        volume=1.0,
    )  # fmt: skip


def on_bar(*commands: m.Command) -> object:
    return lambda event: commands if isinstance(event, m.BarClosed) else ()


def test_an_order_is_stored_durably_before_it_is_sent() -> None:
    async def scene() -> None:
        bench = Bench(on_bar(submit()))  # type: ignore[arg-type]
        stored: list[bool] = []

        def look(call: str, what: object) -> None:
            if call == "submit":
                stored.append(what in bench.journal.stored_commands)

        bench.venue.before = look
        bench.shell.start()
        bench.shell.put(tick())
        bench.shell.put(bar())
        await bench.wait_until_idle()
        assert stored == [True]
        assert bench.journal.commits[0] is True  # one commit for the batch, and durable
        assert [type(each).__name__ for each in bench.core.seen] == ["Ticked", "BarClosed", "Acked"]
        assert bench.journal.commits[1:] == [False]
        assert bench.watched == bench.core.seen
        bench.shell.stop()

    asyncio.run(scene())


def test_the_send_begins_in_the_turn_that_decided() -> None:
    """Between the commit and the call of the venue no other callback of the loop runs."""

    async def scene() -> None:
        bench = Bench(on_bar(submit()))  # type: ignore[arg-type]
        order: list[str] = []
        commit = bench.journal.commit

        def committing(durable: bool = False) -> int:
            order.append("commit")
            asyncio.get_running_loop().call_soon(order.append, "other")
            return int(commit(durable))

        bench.journal.commit = committing  # type: ignore[method-assign]
        bench.venue.before = lambda call, what: order.append(call)
        bench.shell.start()
        bench.shell.put(bar())
        await bench.wait_until_idle()
        assert order[:2] == ["commit", "submit"]
        bench.shell.stop()

    asyncio.run(scene())


def test_a_slow_answer_does_not_hold_up_the_inbox() -> None:
    async def scene() -> None:
        bench = Bench(on_bar(submit("a-0", 1), submit("a-1", 2)))  # type: ignore[arg-type]
        bench.venue.wait = asyncio.Event()
        bench.shell.start()
        bench.shell.put(bar())
        for _ in range(5):
            await asyncio.sleep(0)
        assert [each.client_id for each in bench.venue.named("submit")] == ["a-0", "a-1"]
        bench.shell.put(tick())
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(bench.seen(m.Ticked)) == 1
        bench.venue.wait.set()
        await bench.wait_until_idle()
        assert len(bench.seen(m.Acked)) == 2
        bench.shell.stop()

    asyncio.run(scene())


def test_quotes_are_dropped_oldest_first_and_venue_events_never() -> None:
    async def scene() -> None:
        bench = Bench(limits=Limits(market_events=10, batch=1_000))
        for k in range(50):
            bench.shell.put(quote(bid=float(k)))
            bench.shell.put(tick(START_NS + k))
        bench.shell.start()
        await bench.wait_until_idle()
        assert len(bench.seen(m.Ticked)) == 50
        assert [each.bid for each in bench.seen(m.Quoted)] == [float(k) for k in range(40, 50)]
        assert bench.shell.dropped == 40
        assert isinstance(bench.core.seen[0], m.Ticked)  # what is vital goes first
        bench.shell.stop()

    asyncio.run(scene())


def test_what_a_person_asked_for_goes_first() -> None:
    async def scene() -> None:
        bench = Bench()
        bench.shell.put(tick())
        halt = m.Operated(at_ns=START_NS, action="halt", name="x", reason="y")
        bench.shell.put_first(halt)
        bench.shell.start()
        await bench.wait_until_idle()
        assert bench.core.seen[0] is halt
        assert bench.journal.commits == [True]
        bench.shell.stop()

    asyncio.run(scene())


def test_s1_nothing_is_sent_while_the_journal_fails_and_all_of_it_afterwards() -> None:
    async def scene() -> None:
        def script(event: m.Event) -> Sequence[m.Command]:
            if isinstance(event, m.BarClosed):
                cancel = m.Cancel(client_id="old-0", symbol=0)
                return [submit(), cancel, m.CancelAll(symbols=(0,)), submit("t2-0", 2)]
            return ()

        bench = Bench(script, limits=Limits(first_retry_s=0.0))
        bench.journal.broken = True
        bench.shell.start()
        bench.shell.put(bar())
        await bench.wait_until_idle()
        assert bench.venue.named("submit") == []
        assert bench.venue.named("cancel_all") == [(0,)]  # cancels are allowed
        assert bench.journal.stored == 0
        assert not bench.shell.journal_works
        assert [name for _, name, _ in bench.reported] == ["journal_failed"]
        refused = bench.seen(m.Rejected)
        assert [each.client_id for each in refused] == ["t1-0"]  # withdrawn by the kill switch
        bench.journal.broken = False
        for _ in range(200):
            await asyncio.sleep(0)
        assert [each.client_id for each in bench.venue.named("submit")] == ["t2-0"]
        assert bench.journal.stored == len(bench.journal.rows)
        assert [event for event, _ in bench.journal.rows] == bench.core.seen  # all, in order
        assert [name for _, name, _ in bench.reported] == ["journal_failed", "journal_works"]
        bench.shell.stop()

    asyncio.run(scene())


def test_what_was_committed_is_moved_on_a_moment_later() -> None:
    async def scene() -> None:
        bench = Bench(limits=Limits(first_retry_s=0.0))
        moved: list[int] = []
        bench.journal.move = lambda: moved.append(bench.journal.stored)  # type: ignore[method-assign]
        bench.shell.start()
        for k in range(3):
            bench.shell.put(tick(START_NS + k))
            await bench.wait_until_idle()
        assert moved == []
        await asyncio.sleep(1.0)
        assert moved == [3]  # once for all
        bench.shell.put(tick(START_NS + 3))
        await bench.wait_until_idle()
        bench.shell.stop()
        await asyncio.sleep(1.0)
        assert moved == [3]

    in_virtual_time(scene())


def test_s1_a_database_that_refuses_what_was_committed() -> None:
    """Known before the next order is made, and over when the database takes it."""

    async def scene() -> None:
        bench = Bench(limits=Limits(first_retry_s=0.01))
        bench.shell.start()
        bench.shell.put(tick())
        await bench.wait_until_idle()
        bench.journal.broken = True
        await asyncio.sleep(1.0)
        assert not bench.shell.journal_works
        bench.journal.broken = False
        await asyncio.sleep(1.0)
        assert bench.shell.journal_works
        assert [name for _, name, _ in bench.reported] == ["journal_failed", "journal_works"]
        bench.shell.stop()

    in_virtual_time(scene())


def test_s1_an_order_that_waited_past_its_deadline_is_refused() -> None:
    async def scene() -> None:
        order = submit(deadline_ns=START_NS + NS)
        bench = Bench(on_bar(order), limits=Limits(first_retry_s=0.0))  # type: ignore[arg-type]
        bench.journal.broken = True
        bench.shell.start()
        bench.shell.put(bar())
        await bench.wait_until_idle()
        bench.clock.advance(2 * NS)
        bench.journal.broken = False
        for _ in range(200):
            await asyncio.sleep(0)
        assert bench.venue.named("submit") == []
        assert [each.code for each in bench.seen(m.Rejected)] == ["deadline"]
        bench.shell.stop()

    asyncio.run(scene())


def test_s1_what_was_withdrawn_while_it_waited_stays_when_the_journal_works_again() -> None:
    """A drawdown or safe mode withdraws what has no order at the venue without a command."""

    async def scene() -> None:
        exit_ = submit("t2-0", 2, side="sell", reduces=True)
        bench = Bench(on_bar(submit(), exit_), limits=Limits(first_retry_s=0.0))  # type: ignore[arg-type]
        bench.journal.broken = True
        bench.shell.start()
        bench.shell.put(bar())
        await bench.wait_until_idle()
        bench.core.unwanted.add("t1-0")
        bench.journal.broken = False
        for _ in range(200):
            await asyncio.sleep(0)
        assert [each.client_id for each in bench.venue.named("submit")] == ["t2-0"]
        [refused] = bench.seen(m.Rejected)
        assert (refused.client_id, refused.code, refused.by) == ("t1-0", "cancelled", "local")
        bench.shell.stop()

    asyncio.run(scene())


def test_o1_a_halt_in_the_turn_of_an_entry_is_in_time() -> None:
    async def scene() -> None:
        def script(event: m.Event) -> Sequence[m.Command]:
            if isinstance(event, m.Ticked):
                bench.core.unwanted.add("t1-0")
                return [m.CancelAll(symbols=(0,))]
            return [submit()] if isinstance(event, m.BarClosed) else ()

        bench = Bench(script)
        bench.shell.put(bar())
        bench.shell.put(tick())
        bench.shell.start()
        await bench.wait_until_idle()
        assert bench.venue.named("submit") == []
        assert [each.code for each in bench.seen(m.Rejected)] == ["cancelled"]
        bench.shell.stop()

    asyncio.run(scene())


def test_s1_a_journal_that_stays_broken_stops_the_run() -> None:
    async def scene() -> None:
        bench = Bench(limits=Limits(first_retry_s=0.0, journal_patience_s=10.0))
        bench.journal.broken = True
        ended = bench.shell.start()
        bench.shell.put(tick())
        await bench.wait_until_idle()
        assert not ended.done()
        bench.clock.advance(11 * NS)
        found = await asyncio.wait_for(ended, 10)
        assert found.why == "journal"
        assert "the disk is full" in found.text

    asyncio.run(scene())


def test_s1_no_more_events_wait_than_memory_is_set_aside_for() -> None:
    async def scene() -> None:
        bench = Bench(limits=Limits(first_retry_s=60.0, stored_late=100))
        bench.journal.broken = True
        ended = bench.shell.start()
        for k in range(150):
            bench.shell.put(tick(START_NS + k))
        found = await asyncio.wait_for(ended, 10)
        assert found.why == "journal"

    asyncio.run(scene())


def test_p5_a_core_that_fails_ends_its_shell_alone_and_keeps_what_came_before() -> None:
    async def scene() -> None:
        def script(event: m.Event) -> Sequence[m.Command]:
            if isinstance(event, m.BarClosed):
                raise ZeroDivisionError("a strategy's bug")
            return [m.Wake(at_ns=2**62)]

        bench, other = Bench(script), Bench()
        ended, others = bench.shell.start(), other.shell.start()
        for shell in (bench.shell, other.shell):
            shell.put(tick())
            shell.put(bar())
            shell.put(tick())
        await other.wait_until_idle()
        found = await asyncio.wait_for(ended, 10)
        assert found.why == "core"
        assert "ZeroDivisionError at BarClosed" in found.text
        assert bench.journal.stored == 1
        assert not others.done()
        assert len(other.core.seen) == 3
        other.shell.stop()
        bench.dispatcher.close()

    asyncio.run(scene())


def test_a_row_that_no_journal_can_hold_is_the_cores_failure(tmp_path: Path) -> None:
    async def scene() -> None:
        with new_journal(tmp_path / "j.sqlite") as journal:
            wrong = m.Ruled(time_ns=1, equity=float("nan"), cash=0.0, exposure=0.0)
            bench = Bench(on_bar(wrong), journal=journal)  # type: ignore[arg-type]
            ended = bench.shell.start()
            bench.shell.put(tick())
            bench.shell.put(bar())
            assert (await asyncio.wait_for(ended, 10)).why == "core"
            assert journal.last_seq == 1

    asyncio.run(scene())


def new_journal(path: Path) -> Journal:
    head = Head(run_id="r", strategy="s", mode="paper", account="", created_ns=0, origin_ns=0)
    return Journal.create(path, head)


def test_with_the_real_journal_rows_are_what_was_handled(tmp_path: Path) -> None:
    async def scene() -> None:
        with new_journal(tmp_path / "j.sqlite") as journal:
            bench = Bench(on_bar(submit()), journal=journal)  # type: ignore[arg-type]
            bench.shell.start()
            bench.shell.put(bar())
            await bench.wait_until_idle()
            bench.shell.stop()
            assert [each.event for each in journal.read()] == bench.core.seen
            assert next(journal.read()).commands == [submit()]

    asyncio.run(scene())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["tick", "bar", "break", "mend", "yield"]), max_size=40))
def test_whatever_the_disk_does_rows_are_in_order_and_orders_leave_once(steps: list[str]) -> None:
    async def scene() -> None:
        made: list[m.Submit] = []

        def script(event: m.Event) -> Sequence[m.Command]:
            if not isinstance(event, m.BarClosed):
                return ()
            made.append(submit(f"t{len(made)}-0", len(made)))
            return [made[-1]]

        bench = Bench(script, limits=Limits(first_retry_s=0.0, longest_retry_s=0.0))

        def stored_first(call: str, what: object) -> None:
            assert call != "submit" or what in bench.journal.stored_commands

        bench.venue.before = stored_first
        bench.shell.start()
        for k, step in enumerate(steps):
            if step == "tick":
                bench.shell.put(tick(START_NS + k))
            elif step == "bar":
                bench.shell.put(bar(START_NS + k))
            elif step == "yield":
                await asyncio.sleep(0)
            else:
                bench.journal.broken = step == "break"
        bench.journal.broken = False
        for _ in range(100):
            await asyncio.sleep(0)
        assert [event for event, _ in bench.journal.rows] == bench.core.seen
        assert bench.journal.stored == len(bench.journal.rows)
        assert sorted(each.client_id for each in bench.venue.named("submit")) == sorted(
            each.client_id for each in made
        )
        assert bench.faults == []
        bench.shell.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("stopped", [True, False])
def test_a_stop_leaves_no_task_behind(stopped: bool) -> None:
    async def scene() -> None:
        bench = Bench(on_bar(submit()))  # type: ignore[arg-type]
        bench.venue.wait = asyncio.Event()
        bench.shell.start()
        bench.shell.put(bar())
        for _ in range(5):
            await asyncio.sleep(0)
        bench.shell.stop("asked to")
        if stopped:
            bench.venue.wait.set()
        assert await bench.shell.wait_for_calls(0.01) == (0 if stopped else 1)
        bench.venue.wait.set()
        assert await bench.shell.wait_for_calls(1.0) == 0

    asyncio.run(scene())


def test_a_stop_while_an_order_is_on_its_way_begins_no_further_turn() -> None:
    async def scene() -> None:
        bench = Bench(on_bar(submit()))  # type: ignore[arg-type]
        bench.venue.before = lambda call, what: bench.shell.stop("enough")
        ended = bench.shell.start()
        bench.shell.put(bar())
        bench.shell.put(tick())
        waits = asyncio.create_task(bench.shell.drain())
        assert (await ended).text == "enough"
        await asyncio.wait_for(waits, 5.0)
        assert await bench.shell.wait_for_calls(5.0) == 0
        assert [each.client_id for each in bench.venue.named("submit")] == ["t1-0"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())
