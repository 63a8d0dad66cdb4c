"""The dispatcher: one call for a command, one POST for an id, alarms on time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._host.venues import may_leave
from septet._live.clock import ManualClock
from septet._live.dispatch import Alarm, Dispatcher
from tests.live.scripted import FAR, NS, START_NS, MemoryVenue, submit


class DispatchHarness:
    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(START_NS)
        self.venue = MemoryVenue(self.clock)
        self.got: list[m.Event] = []
        self.faults: list[str] = []
        self.out = Dispatcher(
            self.venue, clock=self.clock, put=self.got.append,
            fault=lambda call, error: self.faults.append(call), **options,
        )  # fmt: skip

    async def do(self, *commands: m.Command) -> list[m.Event]:
        self.got.clear()
        for send in self.out.dispatch(commands):
            self.out.start(send)
        await self.out.wait_for_calls(5.0)
        return list(self.got)


def amend(new_client_id: str = "t1-1", **changes: Any) -> m.Amend:
    fields: dict[str, Any] = {
        "client_id": "t1-0", "venue_order_id": "v1", "new_client_id": new_client_id, "parent": 1,
        "symbol": 0, "side": "buy", "quantity": 1.0, "limit_price": 1.0, "deadline_ns": FAR,
    }  # fmt: skip
    return m.Amend(**(fields | changes))


def test_filters_are_read_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = m.FiltersChanged(
        at_ns=START_NS, symbol=0, lot=0.1, tick=0.01, min_notional=1.0, trading=True
    )

    async def scene() -> None:
        harness = DispatchHarness()

        async def read() -> list[m.FiltersChanged]:
            return [changed]

        monkeypatch.setattr(harness.venue, "refresh_markets", read)
        assert await harness.do(m.Refresh(what="filters")) == [changed]

    asyncio.run(scene())


def test_each_command_is_one_call() -> None:
    async def scene() -> None:
        harness = DispatchHarness()
        await harness.do(
            submit(), amend(), m.Cancel(client_id="t1-0", symbol=0),
            m.Query(client_id="t1-0", symbol=0), m.Refresh(what="holdings"),
            m.Refresh(what="open_orders"), m.Refresh(what="fills", symbols=(0, 1), since_ns=7),
            m.Changed(order=1, client_id="t1-0", symbol=0, state="open", filled=0.0),
        )  # fmt: skip
        assert sorted(call for call, _ in harness.venue.calls) == sorted(
            ["submit", "amend", "cancel", "query", "holdings", "open_orders", "fills", "fills"]
        )
        assert harness.venue.named("fills") == [(0, 7), (1, 7)]
        assert harness.out.posts == 2

    asyncio.run(scene())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=30), st.sets(st.integers(0, 8)))
def test_an_id_is_posted_once_and_never_one_of_the_journal(ids: list[int], old: set[int]) -> None:
    async def scene() -> None:
        harness = DispatchHarness()
        harness.out.remember([submit(f"t{k}-0", k) for k in old])
        await harness.do(*[submit(f"t{k}-0", k) for k in ids])
        posted = [each.parent for each in harness.venue.named("submit")]
        assert sorted(posted) == sorted(set(ids) - old)
        assert len(harness.faults) == len(ids) - len(posted)

    asyncio.run(scene())


def test_ids_no_longer_remembered_are_queried_and_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        monkeypatch.setattr("septet._live.dispatch.REMEMBERED_IDS", 10)
        harness = DispatchHarness()
        harness.out.remember([submit(f"t{k}-0", k) for k in range(100)])
        [answer] = await harness.do(submit("t5-1", 5))
        assert isinstance(answer, m.Uncertain)
        assert harness.venue.calls == []

    asyncio.run(scene())


def test_a_protective_stop_leaves_though_it_serves_no_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        monkeypatch.setattr("septet._live.dispatch.REMEMBERED_IDS", 10)
        harness = DispatchHarness()
        harness.out.remember([submit(f"t{k}-0", k) for k in range(100)])
        stop = submit("t-0-1", -1, order_type="stop", trigger_price=1.0)
        [answer] = await harness.do(stop)
        assert isinstance(answer, m.Acked)
        assert harness.venue.named("submit") == [stop]

    asyncio.run(scene())


def test_after_a_restart_an_older_parent_may_have_another_child() -> None:
    async def scene() -> None:
        before, harness = DispatchHarness(), DispatchHarness()
        await before.do(submit("t3-0", 3), submit("t7-0", 7))
        harness.out.remember_ids(before.out.recent())
        assert await harness.do(submit("t3-0", 3)) == []
        [answer] = await harness.do(submit("t3-1", 3))
        assert isinstance(answer, m.Acked)

    asyncio.run(scene())


def test_an_order_past_its_deadline_stays() -> None:
    async def scene() -> None:
        harness = DispatchHarness()
        late = submit(deadline_ns=START_NS - 1)
        [rejected] = await harness.do(late)
        assert isinstance(rejected, m.Rejected)
        assert (rejected.code, rejected.by) == ("deadline", "local")
        [rejected] = await harness.do(amend(deadline_ns=START_NS - 1))
        assert isinstance(rejected, m.Rejected)
        assert rejected.client_id == "t1-1"
        assert harness.venue.calls == []

    asyncio.run(scene())


def test_the_gate_rejects_and_gives_the_reason() -> None:
    class Shut:
        def rejection(self, order: m.Submit | m.Amend) -> str:
            return "the account holds enough"

        def update(self, command: m.Changed | m.Traded) -> None:
            raise AssertionError("nothing has ended")

    async def scene() -> None:
        harness = DispatchHarness(gate=Shut())
        [rejected] = await harness.do(submit())
        assert isinstance(rejected, m.Rejected)
        assert (rejected.by, rejected.text) == ("gate", "the account holds enough")
        assert harness.venue.calls == []

    asyncio.run(scene())


def test_orders_no_longer_needed_are_rejected_before_sending_amends_included() -> None:
    async def scene() -> None:
        harness = DispatchHarness(may_send=lambda client_id: False)
        for rejected in await harness.do(submit(), amend()):
            assert isinstance(rejected, m.Rejected)
            assert (rejected.code, rejected.by) == ("cancelled", "local")
        assert harness.venue.calls == []
        assert harness.out.posts == 0

    asyncio.run(scene())


def test_an_adapter_can_ask_whether_its_order_may_still_leave() -> None:
    async def scene() -> None:
        unwanted: set[str] = set()
        harness = DispatchHarness(may_send=lambda client_id: client_id not in unwanted)
        asked: list[bool] = []

        def look(call: str, what: Any) -> None:
            asked.append(may_leave())
            unwanted.add(what.client_id)
            asked.append(may_leave())

        harness.venue.before = look
        await harness.do(submit("t1-0", 1), submit("t2-0", 2))
        assert asked == [True, False] * 2
        assert may_leave(), "outside of a call nothing is withdrawn"

    asyncio.run(scene())


def test_the_kill_switch_is_first_in_line() -> None:
    async def scene() -> None:
        harness = DispatchHarness()
        query = m.Query(client_id="t1-0", symbol=0)
        await harness.do(query, m.Refresh(what="holdings"), m.CancelAll(symbols=(0,)))
        assert harness.venue.calls[0] == ("cancel_all", (0,))

    asyncio.run(scene())


def test_an_adapter_that_raises_is_reported_for_every_command() -> None:
    async def scene() -> None:
        harness = DispatchHarness()
        harness.venue.fails = {"submit", "amend", "cancel", "cancel_all", "query", "holdings"}
        found = await harness.do(submit(), amend(), m.Cancel(client_id="t1-0", symbol=0))
        names = sorted(type(each).__name__ for each in found)
        assert names == ["CancelFailed", "Uncertain", "Uncertain"]
        assert await harness.do(m.Query(client_id="a", symbol=0), m.Refresh(what="holdings")) == []
        assert await harness.out.cancel_all((0,)) is False
        assert len(harness.faults) == 6

    asyncio.run(scene())


def test_the_same_question_is_not_asked_twice_at_once() -> None:
    async def scene() -> None:
        harness = DispatchHarness()
        query = m.Query(client_id="t1-0", symbol=0)
        await harness.do(query, query, m.Refresh(what="open_orders"), m.Refresh(what="open_orders"))
        assert len(harness.venue.calls) == 2
        await harness.do(query)
        assert len(harness.venue.calls) == 3

    asyncio.run(scene())


def test_training_that_fails_is_an_event() -> None:
    async def scene() -> None:
        async def train(command: m.Train) -> m.Event:
            raise ValueError("one class only")

        harness = DispatchHarness(train=train)
        [failed] = await harness.do(m.Train(number=3, trained_to_ns=9))
        assert isinstance(failed, m.ModelFailed)
        assert "one class only" in failed.text
        [failed] = await DispatchHarness().do(m.Train(number=4, trained_to_ns=9))
        assert isinstance(failed, m.ModelFailed)

    asyncio.run(scene())


class _Loop:
    """Stands for the loop's timers: runs what is due on request."""

    def __init__(self) -> None:
        self.timers: list[_Timer] = []
        self._soon: list[Any] = []

    def call_soon(self, call: Any, *given: Any) -> None:
        self._soon.append(partial(call, *given))

    def step(self) -> None:
        soon, self._soon = self._soon, []
        for call in soon:
            call()

    def call_later(self, wait_s: float, ring: Any, *given: Any) -> _Timer:
        self.timers.append(_Timer(wait_s, partial(ring, *given)))
        return self.timers[-1]


class _Timer:
    def __init__(self, wait_s: float, ring: Any) -> None:
        self.wait_s, self.ring, self.cancelled = wait_s, ring, False

    def cancel(self) -> None:
        self.cancelled = True


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=20), st.lists(st.integers(1, 9)))
def test_alarms_act_once_at_their_time(asked: list[int], steps: Sequence[int]) -> None:
    clock, loop = ManualClock(0), _Loop()
    rung: list[m.Event] = []
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("septet._live.dispatch.asyncio.get_running_loop", lambda: loop)
    with monkeypatch.context():
        alarm = Alarm(clock, rung.append)
        for each in asked:
            alarm.ask(m.Wake(at_ns=each))
        loop.step()
        waiting = set(asked)
        for step in [0, *steps, 30]:
            clock.advance(step)
            for timer in [each for each in loop.timers if not each.cancelled]:
                timer.cancelled = True
                timer.ring()
            due = {each for each in waiting if each <= clock.now_ns()}
            assert len(rung) == bool(due)
            rung.clear()
            waiting -= due
            live = [each for each in loop.timers if not each.cancelled]
            assert len(live) == bool(waiting)
    monkeypatch.undo()


def test_a_closed_alarm_is_silent() -> None:
    async def scene() -> None:
        clock = ManualClock(0)
        rung: list[m.Event] = []
        alarm = Alarm(clock, rung.append)
        alarm.ask(m.Wake(at_ns=NS))
        alarm.close()
        alarm.ask(m.Wake(at_ns=0))
        alarm.close()
        await asyncio.sleep(0)
        assert rung == []

    asyncio.run(scene())
