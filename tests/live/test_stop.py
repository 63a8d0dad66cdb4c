"""How a run ends: cancelling without a core, a loop that stood still (P4)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._host.background_tasks import Tasks
from septet._live.clock import ManualClock
from septet._live.stop import (
    ALL_WITHIN_S,
    FAILED,
    STOP_WITHIN_S,
    LoopWatch,
    Signals,
    StopBound,
    cancel_entries,
    mark_failed,
    within,
)
from tests.live.scripted import START_NS, MemoryVenue, submit
from tests.live.virtual_time import VirtualTimeLoop, run


def stop_of(client_id: str) -> m.Submit:
    return submit(client_id, -1, side="sell", order_type="stop", reduces=True, trigger_price=80.0)


def test_entries_are_cancelled_until_the_venue_shows_none_and_the_stop_stays() -> None:
    class Stubborn(MemoryVenue):
        async def cancel(self, order: m.Cancel) -> m.Event:
            self.calls.append(("cancel", order))
            if len(self.named("cancel")) == 1:
                raise ZeroDivisionError("a bug")
            return await super().cancel(order)

    async def scene() -> None:
        venue = Stubborn()
        for k in range(2):
            await venue.submit(submit(f"s1{k}", k))
        await venue.submit(stop_of("s1stop"))
        await venue.submit(submit("s1strange", 8))  # ours, and nobody knows what it is for
        await venue.submit(submit("theirs", 9))
        reported: list[str] = []
        left = await cancel_entries(
            venue, "s1", {"s10", "s11"}.__contains__,
            notify=lambda level, name, fields: reported.append(name),
        )  # fmt: skip
        assert left == 2
        assert list(venue.open_ids) == ["s1stop", "s1strange", "theirs"]
        assert reported == ["cancel_entries"]
        assert not venue.named("cancel_all")

    asyncio.run(scene())


def test_what_is_left_is_reported_when_the_time_is_up() -> None:
    class Deaf(MemoryVenue):
        async def cancel(self, order: m.Cancel) -> m.Event:
            return m.CancelFailed(at_ns=0, client_id=order.client_id, text="not now")

    async def scene() -> None:
        venue = Deaf()
        await venue.submit(submit("s10"))
        found = await cancel_entries(
            venue, "s1", lambda name: True, notify=lambda level, name, fields: None, within_s=0.0
        )
        assert found == 1
        assert await cancel_entries(None, "s1", bool, notify=lambda *reported: None) == 0

    asyncio.run(scene())


def test_p4_a_loop_that_stood_still_is_reported_from_outside_and_then_inside() -> None:
    async def scene() -> None:
        text = threading.Event()
        reported: list[dict[str, Any]] = []
        gone_on = asyncio.Event()
        pauses: list[float] = []

        def notify(level: str, name: str, fields: dict[str, Any]) -> None:
            reported.append({"event": name, **fields})
            text.set()

        def stood_still(seconds: float) -> None:
            pauses.append(seconds)
            gone_on.set()

        watch = LoopWatch(stood_still, notify, bound_s=0.1)
        watch.start()
        assert text.wait(30.0)  # the loop stands still here until the thread has reported it
        await asyncio.wait_for(gone_on.wait(), 30.0)
        watch.close()
        assert reported[0]["event"] == "loop_blocked"
        assert "threading.py" in reported[0]["text"]  # where it stood
        assert pauses[0] >= 0.1

    asyncio.run(scene())


def test_a_failure_leaves_its_event_and_traceback(tmp_path: Path) -> None:
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as error:
        mark_failed(tmp_path, "it failed", error, m.Ticked(at_ns=1, market_ns=2))
    found = json.loads((tmp_path / FAILED).read_text())
    assert found["failed"] == "it failed"
    assert "ZeroDivisionError: a bug" in found["traceback"]
    assert found["event"] == {"kind": "ticked", "at_ns": 1, "market_ns": 2}
    assert found["at_ns"] <= time.time_ns()
    mark_failed(tmp_path / "gone", "nobody can write it", None, None)


def test_a_closed_terminal_stops_in_order_however_often_it_is_reported() -> None:
    async def scene() -> list[str]:
        asked: list[str] = []
        loop = asyncio.get_running_loop()
        signals = Signals(asked.append, asked.append)
        signals.install(loop)
        try:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGHUP)
                until = len(asked) + 1
                while len(asked) < until:
                    await asyncio.sleep(0)
        finally:
            signals.forget(loop)
        return asked

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    try:
        assert asyncio.run(scene()) == ["SIGHUP", "SIGHUP"]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nohup_is_heeded() -> None:
    async def scene() -> Any:
        loop = asyncio.get_running_loop()
        signals = Signals(lambda name: None, lambda name: None)
        signals.install(loop)
        try:
            return signal.getsignal(signal.SIGHUP)
        finally:
            signals.forget(loop)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert asyncio.run(scene()) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_call_that_ignores_its_cancel_holds_up_no_stop() -> None:
    """All steps share one bound, however many of them use up theirs."""
    ignored: list[str] = []

    async def deaf() -> None:
        for _ in range(100):
            try:
                await asyncio.sleep(10.0)
                return
            except asyncio.CancelledError:
                ignored.append("cancel")

    async def scene() -> None:
        loop, tasks = asyncio.get_running_loop(), Tasks("test")
        began, bound = loop.time(), StopBound()
        for _ in range(8):
            assert not await within(tasks, "deaf", deaf(), bound.left_s(STOP_WITHIN_S / 4))
        assert loop.time() - began <= STOP_WITHIN_S + 1.1
        await tasks.close(bound.left_s(5.0, of_s=ALL_WITHIN_S - 2.0))
        assert loop.time() - began <= ALL_WITHIN_S
        assert ignored
        bound.extend(5.0)
        assert bound.left_s(3.0, of_s=ALL_WITHIN_S) == 3.0

    run(VirtualTimeLoop(ManualClock(START_NS)), scene())


def test_what_a_bounded_call_raises_is_raised() -> None:
    async def fails() -> None:
        raise ZeroDivisionError("a bug")

    async def scene() -> None:
        with pytest.raises(ZeroDivisionError):
            await within(Tasks("test"), "fails", fails(), 1.0)

    run(VirtualTimeLoop(ManualClock(START_NS)), scene())
